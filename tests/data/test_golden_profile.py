"""A profile that an earlier release stored with a model version is still read, and still means the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from weighin.data.profile import Profile
from weighin.data.profiling import profile
from weighin.data.relation import Relation
from weighin.errors import EvidenceError
from weighin.stats.drift import psi

GOLDEN = Path(__file__).parent / "golden/profile-v1.json"
"""Of `table()`, by the first release that wrote profiles. Not to be made again: a change of form is a new version."""
COUNTED = {"distance": 4, "carrier": 10, "late": 10}


def table() -> pa.Table:
    """Twelve days of fifty flights, the same everywhere."""
    row = np.arange(600)
    distance = (row * 37 % 101).astype(float)
    distance[row % 20 == 3] = np.nan
    return pa.table(
        {
            "day": pa.array((row // 50).astype(np.int64)),
            "distance": pa.array(distance),
            "carrier": pa.array(np.array(["AA", "UA", "B6"])[row * row % 3].tolist()),
            "late": pa.array((row % 4 == 0).tolist()),
        }
    )


def test_the_stored_counts_are_read() -> None:
    found = Profile.read(GOLDEN)
    assert (found.rows, found.groups, found.exact) == (600, 12, True)
    assert found.table == {"day": "integer", "distance": "float", "carrier": "string", "late": "boolean"}
    distance = found.columns["distance"]
    assert distance.missing.sum(axis=0).tolist() == [600, 30]
    assert distance.moments is not None
    assert (distance.moments.minimum, distance.moments.maximum) == (0.0, 100.0)
    assert len(distance.cells.edges) == 3
    assert found.columns["carrier"].cells.categories == ("UA", "AA")
    assert found.columns["late"].counts.sum() == 600


def test_current_data_are_compared_with_it() -> None:
    stored = Profile.read(GOLDEN)
    same = profile(Relation.over(table()), COUNTED, "day", stored)
    assert same.digest == stored.digest
    moved = table().set_column(1, "distance", pa.array(np.arange(600.0) % 30))
    current = profile(Relation.over(moved), COUNTED, "day", stored)
    found = psi(stored.columns["distance"].counts, current.columns["distance"].counts, 0.95, True, True)
    assert found.estimate > 1


def test_a_version_of_tomorrow_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(GOLDEN.read_text().replace("weighin/profile/v1", "weighin/profile/v2"))
    with pytest.raises(EvidenceError, match=r"weighin/profile/v1"):
        Profile.read(path)
