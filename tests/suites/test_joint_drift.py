"""Joint drift: what leaves every column as it was is found, and nothing is found where nothing has moved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.suite_work import Work
from weighin.contract import checks, read_contract
from weighin.contract.stricter import compare
from weighin.errors import ContractError
from weighin.outcome import Measurement
from weighin.stats.domain_classifier import apart
from weighin.stats.intervals import Undefined

JOINT = ("    at_most: 0.2\n", "    at_most: 0.2\n    joint: {auc_at_most: 0.6}\n")


def work(folder: Path, *changes: tuple[str, str]) -> Work:
    made = Work(folder)
    rng = np.random.default_rng(5)
    for old, new in (JOINT, ("group: day\n", ""), *changes):
        assert old in made.contract
        made.contract = made.contract.replace(old, new)
    for table in made.frames.values():
        # Flights of AA are long, those of UA short.
        far = table["carrier"].map({"AA": 2_000, "UA": 500, "B6": 1_200}) + rng.integers(0, 400, len(table))
        table["distance"] = far
    return made


def swapped(made: Work) -> Work:
    current = made.frames["current"]
    current["carrier"] = current["carrier"].map({"AA": "UA", "UA": "AA", "B6": "B6"})
    return made


def test_two_category_codes_that_were_swapped_are_found_by_all_features_together(tmp_path: Path) -> None:
    outcomes = swapped(work(tmp_path)).write().outcomes("drift")
    assert {k: o.status.value for k, o in outcomes.items() if o.status.value != "passed"} == {"drift/joint": "failed"}
    found = outcomes["drift/joint"].evidence
    assert isinstance(found, Measurement)
    assert found.low > 0.7
    assert "carrier" in found.method
    assert "distance" in found.method
    assert "temp" not in found.method.split("most by")[1].split(", ")[:2]


@pytest.mark.parametrize("group", ["", "group: day\n"])
def test_rows_that_have_not_moved_pass(group: str, tmp_path: Path) -> None:
    made = work(tmp_path, ("data:\n", f"{group}data:\n"))
    found = made.write().outcomes("drift")["drift/joint"]
    assert found.status.value == "passed"
    assert isinstance(found.evidence, Measurement)
    assert found.evidence.low < 0.52


def test_a_sample_of_rows_is_drawn_with_a_fixed_seed(tmp_path: Path) -> None:
    made = swapped(work(tmp_path, ("auc_at_most: 0.6", "auc_at_most: 0.6, rows_at_most: 600"))).write()
    one, two = (made.outcomes("drift")["drift/joint"].evidence for _ in range(2))
    assert one == two
    assert isinstance(one, Measurement)
    assert one.detail["rows"] == [600, 600]
    assert one.low > 0.6


def test_a_column_that_is_away_or_of_another_type_is_not_evaluated(tmp_path: Path) -> None:
    made = work(tmp_path)
    made.frames["current"]["temp"] = made.frames["current"]["temp"].astype(str)
    assert made.write().outcomes("drift")["drift/joint"].status.value == "not_evaluated"
    del made.frames["current"]["temp"]
    assert "no column temp" in made.write().outcomes("drift")["drift/joint"].reason


def test_a_larger_area_is_relaxed_and_more_rows_are_another_measurement(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(work(tmp_path).contract)
    base = read_contract(tmp_path / "a.yaml").contract
    assert "drift/joint" in {c.id for c in checks(base)}
    for old, new, how, measured in (
        ("0.6}", "0.7}", ["relaxed"], ()),
        ("0.6}", "0.55}", ["tightened"], ()),
        ("0.6}", "0.6, rows_at_most: 500}", [], ("gates.drift.joint.rows_at_most",)),
    ):
        (tmp_path / "b.yaml").write_text(work(tmp_path).contract.replace(f"auc_at_most: {old}", f"auc_at_most: {new}"))
        found = compare(read_contract(tmp_path / "b.yaml").contract, base)
        assert ([c.how for c in found.limits], found.measured) == (how, measured)


def test_a_stored_profile_holds_no_rows_to_tell_apart(tmp_path: Path) -> None:
    text = work(tmp_path).contract.replace("reference: reference.parquet", "reference: {profile: champion}")
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ContractError, match=r"joint needs the rows of data\.reference"):
        read_contract(tmp_path / "c.yaml")


def test_of_tables_that_have_not_moved_about_one_in_twenty_is_said_to_have() -> None:
    category, current = np.array([True, False, False]), np.arange(600) >= 300
    wrong = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rows = np.column_stack([rng.integers(0, 5, 600).astype(float), rng.normal(size=(600, 2))])
        wrong += apart(rows, current, category, None, 0.95).interval.low > 0.5
    # Of 60 tables more than 8 would be wrong in one of 200 simulations at 5 %.
    assert wrong <= 8


def test_too_few_rows_are_no_evidence() -> None:
    with pytest.raises(Undefined, match="fewer than 100 rows"):
        apart(np.zeros((150, 1)), np.arange(150) >= 75, np.array([False]), None, 0.95)
