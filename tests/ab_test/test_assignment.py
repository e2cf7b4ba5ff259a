"""Who is in which arm: the same everywhere, in the share that is due, anew in each test."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from weighin.ab_test.assignment import arm, in_challenger, position

UNITS = [f"u{i}" for i in range(20_000)]
PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/ab-test.md"


def test_the_formula_is_what_the_documentation_says() -> None:
    vectors = re.findall(
        r"^ *\| `([\w.-]+)` \| `([\w.:-]+)` \| `([0-9a-f]{16})` \| ([\d.]+) \|", PAGE.read_text(), re.M
    )
    assert len(vectors) == 4
    for name, unit, first, at in vectors:
        assert hashlib.sha256(f"{name}:{unit}".encode()).hexdigest()[:16] == first
        assert position(name, unit) == int(first, 16) / 2**64 == pytest.approx(float(at), abs=1e-12)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_a_share_of_the_units_is_in_the_challengers_arm(share: float) -> None:
    ours = in_challenger("ranker-2", UNITS, share)
    assert stats.binomtest(int(ours.sum()), len(UNITS), share).pvalue > 1e-3
    assert [arm("ranker-2", u, share) == "challenger" for u in UNITS[:100]] == ours[:100].tolist()


def test_a_larger_share_keeps_who_is_in_the_challengers_arm() -> None:
    small, large = (in_challenger("ranker-2", UNITS, share) for share in (0.1, 0.5))
    assert not (small & ~large).any()


def test_another_test_divides_the_units_anew() -> None:
    one, other = (in_challenger(name, UNITS, 0.5) for name in ("ranker-2", "ranker-3"))
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / len(UNITS) ** 0.5
