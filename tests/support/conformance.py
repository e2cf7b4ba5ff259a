"""A table with everything that engines are known to disagree about, and what it means that two count it alike."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from weighin.data.profile import Profile

N = 600
COUNTED = {
    "plain": 10,
    "gaps": 10,
    "tied": 10,
    "empty": 10,
    "huge": 10,
    "tiny": 10,
    "single": 10,
    "whole": 10,
    "small": 4,
    "money": 10,
    "word": 10,
    "nothing": 10,
    "yes": 10,
    "at": 10,
    "naive": 10,
    "day": 10,
    'a "b" `c` %s {d}': 10,
    "Ünïcode; DROP TABLE rows": 10,
}


def rows(seed: int = 0, n: int = N) -> pa.Table:
    """Everything that engines are known to disagree about, in n rows."""
    rng = np.random.default_rng(seed)
    moments = [datetime(2024, 2, 28, 23, tzinfo=UTC) + timedelta(minutes=7 * i) for i in range(n)]
    gaps = rng.normal(size=n)
    gaps[::7] = np.nan
    word = rng.choice(np.array(["a", "A", "b ", "b", "", "ß", "'; --", "日本"]), n).tolist()
    word[5::11] = [None] * len(word[5::11])
    huge = np.where(rng.random(n) < 0.5, 1.0, -1.0) * 10.0 ** rng.uniform(200, 300, n)
    huge[3], huge[4] = np.inf, -np.inf
    columns = {
        "plain": pa.array(rng.normal(size=n)),
        "gaps": pa.array(gaps, mask=np.arange(n) % 13 == 0),  # NULL and NaN side by side
        "tied": pa.array(np.where(rng.random(n) < 0.7, 0.1 + 0.2, rng.integers(0, 4, n) / 10)),
        "empty": pa.array([None] * n, pa.float64()),
        "huge": pa.array(huge),
        "tiny": pa.array(rng.normal(size=n) * 1e-300),
        "single": pa.array(np.full(n, 0.3, dtype=np.float32), pa.float32()),
        "whole": pa.array(rng.integers(-(2**53), 2**53, n)),
        "small": pa.array(rng.integers(0, 2, n), pa.int8()),
        "money": pa.array([Decimal(int(v)) / 1000 for v in rng.integers(-(10**8), 10**8, n)], pa.decimal128(12, 3)),
        "word": pa.array(word),
        "nothing": pa.array([None] * n, pa.string()),
        "yes": pa.array((rng.random(n) < 0.3).tolist()),
        "at": pa.array(moments, pa.timestamp("us", tz="UTC")),
        "naive": pa.array([m.replace(tzinfo=None) for m in moments], pa.timestamp("us")),
        "day": pa.array([date(1969, 12, 1) + timedelta(days=i % 40) for i in range(n)]),
        'a "b" `c` %s {d}': pa.array(rng.normal(size=n)),
        "Ünïcode; DROP TABLE rows": pa.array(rng.choice(np.array(["x", "y"]), n)),
    }
    return pa.table(columns)


def must_agree(found: Profile, wanted: Profile, *, sketched: bool = False) -> None:
    """Equal cells, equal counts, equal ranges; sums of doubles up to the order in which they were added.

    sketched  numbers of different values may be those of an engine's sketch
    """
    assert set(found.columns) == set(wanted.columns)
    for name, column in wanted.columns.items():
        other = found.columns[name]
        assert other.cells == column.cells, name
        assert other.counts.tolist() == column.counts.tolist(), name
        assert (other.kind, other.complete) == (column.kind, column.complete), name
        assert other.distinct == (pytest.approx(column.distinct, rel=0.2) if sketched else column.distinct), name
        if column.moments is not None:
            assert other.moments is not None
            same = (other.moments.minimum, other.moments.maximum, other.moments.infinite)
            assert same == (column.moments.minimum, column.moments.maximum, column.moments.infinite), name
            np.testing.assert_allclose(other.moments.by_group, column.moments.by_group, rtol=1e-9, atol=1e-9)
    assert found.rows == wanted.rows
