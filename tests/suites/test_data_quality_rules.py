"""Every rule of the data quality gate on pandas: one thing is broken, and exactly its checks are red."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support.quality_work import BROKEN, PREFIX, SOUND, QualityWork, broken
from weighin.contract import checks, read_contract
from weighin.contract.checks import ColumnRule
from weighin.contract.rules import quality_rules
from weighin.outcome import Measurement, Unmeasured
from weighin.suites.data_quality import as_measurement
from weighin.suites.expectations import suite_json
from weighin.suites.quality_docs import Found


@pytest.fixture
def work(tmp_path: Path) -> QualityWork:
    return QualityWork(tmp_path)


def changed(work: QualityWork, old: str, new: str) -> QualityWork:
    assert old in work.contract
    work.contract = work.contract.replace(old, new)
    return work


def red(work: QualityWork) -> dict[str, str]:
    return {name.removeprefix(PREFIX): status for name, status in work.red("data_quality").items()}


def hand_written(work: QualityWork, *expectations: dict[str, object], name: str = "team") -> QualityWork:
    changed(work, "    rows_at_most: 2000\n", f"    rows_at_most: 2000\n    own_expectations: [{name}]\n").write()
    path = work.folder / f"great_expectations/expectations/{name}.json"
    path.write_text(json.dumps({"name": name, "expectations": list(expectations)}))
    return work


def as_they_may_be(work: QualityWork) -> None:
    """All that sound data may be at once, numbers beyond what has a sign, and a name that differs in case only."""
    for change in SOUND.values():
        change(work)
    work.holdout["id"] = work.holdout["id"].astype("uint64") + np.uint64(2**63)
    work.holdout.insert(0, "TEMP", -1e9)


@pytest.mark.parametrize("change", [SOUND["as it is"], as_they_may_be], ids=["as they are", "as they may be"])
def test_sound_data_keep_every_rule(change: Callable[[QualityWork], None], work: QualityWork) -> None:
    change(work)
    found = work.write().outcomes("data_quality")
    assert {k: o.reason for k, o in found.items() if o.status.value != "passed"} == {}
    assert len(found) == 56


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.exhaustive
def test_one_broken_thing_makes_its_checks_red_and_no_other(name: str, tmp_path: Path) -> None:
    work, expected = broken(tmp_path, name)
    assert set(red(work)) == expected


def test_every_rule_is_broken_by_one_of_the_tests() -> None:
    kinds = {"exists", "type", "missing", "range", "allowed", "pattern", "unique", "time_zone", "order", "rows"}
    kinds |= {
        "rows_at_most",
        "unique_together",
        "compare",
        "reference",
        "fresh",
        "future",
        "training_rows",
        "copies",
        "training_overlap",
    }
    seen = {part for _, names in BROKEN.values() for name in names for part in name.split("/")}
    assert kinds <= seen


def test_every_check_has_one_expectation_and_every_expectation_a_check(work: QualityWork) -> None:
    work.write()
    contract = read_contract(work.folder / "model_contract.yaml").contract
    listed = json.loads(suite_json(contract))["expectations"]
    keys = [e["meta"]["rule"] for e in listed]
    # What `training_overlap` counts are rows of another table.
    expected = {c.rule.rule.key for c in checks(contract) if isinstance(c.rule, ColumnRule)} - {"training_overlap"}
    assert sorted(keys) == sorted(expected)
    assert len({e["id"] for e in listed}) == len(listed) == len(set(keys))


def test_the_suite_does_not_move_with_the_day_on_which_freshness_is_judged(work: QualityWork) -> None:
    file = work.folder / "model_contract.yaml"
    work.write()
    before = suite_json(read_contract(file).contract)
    changed(work, "as_of: 2013-07-11T12:00:00Z\n", "").write()
    assert suite_json(read_contract(file).contract) == before
    # Judged now, data of 2013 are not fresh any more.
    assert red(work) == {"fresh/at": "failed"}


def test_values_after_as_of_may_stand_where_the_contract_says_so(work: QualityWork) -> None:
    BROKEN["tomorrow"][0](work)
    changed(work, "hours_at_most: 48", "hours_at_most: 48, future: allow")
    assert red(work.write()) == {}


def test_a_fresh_value_after_as_of_does_not_hide_that_the_rest_is_stale(work: QualityWork) -> None:
    BROKEN["stale"][0](work)
    BROKEN["tomorrow"][0](work)
    assert set(red(work.write())) == {"fresh/at", "future/at"}


def test_equal_times_are_in_order_but_not_strictly(work: QualityWork) -> None:
    changed(work, "order: increasing", "order: strictly_increasing")
    assert set(red(work.write())) == {"at/order"}
    work.holdout["at"] += pd.to_timedelta(np.arange(len(work.holdout)), unit="s")
    assert red(work.write()) == {}


def test_a_gap_between_two_times_does_not_hide_that_the_second_lies_before_the_first(work: QualityWork) -> None:
    changed(work, "order: increasing}", "order: increasing, missing_at_most: 1}")
    work.holdout.loc[7, "at"] = pd.NaT
    work.holdout.loc[8, "at"] -= pd.Timedelta(minutes=1)
    assert set(red(work.write())) == {"at/order"}


def test_rows_alike_in_a_gap_are_not_unique(work: QualityWork) -> None:
    changed(work, "seat: {type: integer,", "seat: {type: integer, missing_at_most: 1,")
    work.holdout["seat"] = work.holdout["seat"].astype("Int64")
    work.holdout.loc[[3], "seat"] = pd.NA
    assert red(work.write()) == {}
    work.holdout.loc[[3, 4], "seat"] = pd.NA  # of one day
    assert set(red(work.write())) == {"unique_together/day+seat"}


def test_a_comparison_is_about_the_rows_that_have_both(work: QualityWork) -> None:
    changed(work, "end: {type: float}", "end: {type: float, missing_at_most: 1}")
    BROKEN["ends before it starts"][0](work)
    work.holdout.loc[0, "end"] = np.nan  # 20 of 1,999: still more than a hundredth
    found = work.write().outcomes("data_quality")[PREFIX + "compare/end>=start"]
    assert (found.status.value, found.evidence.n) == ("failed", 1_999)
    work.holdout["end"] = np.nan
    assert red(work.write())["compare/end>=start"] == "not_evaluated"


def test_a_gap_among_the_keys_of_another_table_finds_nothing(work: QualityWork) -> None:
    work.airports = ["JFK", "SFO", None]  # ORD is not there
    assert set(red(work.write())) == {"reference/dest"}


def test_other_tables_that_are_missing_are_not_evaluated(work: QualityWork) -> None:
    work.write()
    (work.folder / "airports.parquet").unlink()
    (work.folder / "train.parquet").unlink()
    assert red(work) == dict.fromkeys(("reference/dest", "training_rows", "training_overlap"), "not_evaluated")


def test_training_rows_of_the_holdouts_time_are_counted_and_limited(work: QualityWork) -> None:
    first = work.holdout["at"].min()
    work.frames["train"].loc[:19, "at"] = [first] * 10 + [first - pd.Timedelta(seconds=1)] * 10
    work.frames["train"].loc[20:, "at"] = pd.NaT
    found = work.write().outcomes("data_quality")[PREFIX + "training_overlap"]
    evidence = found.evidence
    assert isinstance(evidence, Measurement)
    assert (evidence.estimate, evidence.n, evidence.detail["rows_breaking"]) == (0.5, 20, 10)
    changed(work, "    fresh:\n", "    training_rows: {overlap_at_most: 0.5}\n    fresh:\n").write()
    assert red(work) == {}
    work.frames["train"] = work.frames["train"].drop(columns="at")
    assert red(work.write()) == {"training_overlap": "not_evaluated"}
    changed(work, "overlap_at_most: 0.5", "overlap_at_most: 1")
    assert red(work.write()) == {}


def test_a_row_with_a_gap_is_found_in_the_training_data(work: QualityWork) -> None:
    work.holdout.loc[1_999, "temp"] = np.nan
    BROKEN["learnt before"][0](work)
    found = work.write().outcomes("data_quality")[PREFIX + "training_rows"]
    assert (found.status.value, found.evidence.detail["rows_breaking"]) == ("failed", 2)


def test_rows_are_told_apart_by_what_the_contract_names(work: QualityWork) -> None:
    changed(work, "    fresh:\n", "    training_rows: {by: [seat], share_at_most: 0.5}\n    fresh:\n")
    assert red(work.write()) == {"training_rows": "failed"}  # every seat was there before


def test_a_whole_number_that_was_written_as_a_float_is_found_all_the_same(work: QualityWork) -> None:
    work.frames["train"]["seat"] = work.frames["train"]["seat"].astype(float)
    BROKEN["learnt before"][0](work)
    assert set(red(work.write())) == {"training_rows", "training_overlap"}


def test_a_rule_that_only_warns_blocks_nothing(work: QualityWork) -> None:
    BROKEN["a late end"][0](work)
    work.holdout.loc[3, "distance"] = 6001
    changed(work, "maximum: 6000}", "maximum: 6000, severity: warn}")
    outcomes = work.write().outcomes("data_quality")
    found = {k: o for k, o in outcomes.items() if o.status.value != "passed"}
    assert set(found) == {PREFIX + "compare/end>seat", PREFIX + "distance/range"}
    assert not any(o.blocks for o in found.values())
    suite = json.loads((work.folder / "great_expectations/expectations/contract.json").read_text())
    warned = {e["meta"]["rule"] for e in suite["expectations"] if e["severity"] == "warning"}
    assert warned == {"distance/exists", "distance/type", "distance/missing", "distance/range", "compare/end>seat"}


def test_a_waiver_relaxes_what_is_decided_and_not_what_is_counted(work: QualityWork) -> None:
    work.holdout.loc[3, "distance"] = 6001
    work.contract += f"""\
waivers:
  - {{check: "{PREFIX}distance/range", limit: 0.01, owner: a, reason: b, expires: 2013-08-01}}
"""
    assert red(work.write()) == {}


def test_an_empty_column_passes_nothing_but_that_it_is_there(work: QualityWork) -> None:
    changed(work, "dest: {type: string,", "dest: {type: string, missing_at_most: 1,")
    work.holdout["dest"] = pd.Series([None] * len(work.holdout), dtype="string")
    assert red(work.write()) == {"dest/pattern": "not_evaluated", "reference/dest": "not_evaluated"}


def test_a_time_column_without_a_time_is_not_fresh(work: QualityWork) -> None:
    changed(work, "order: increasing}", "order: increasing, missing_at_most: 1}")
    work.holdout["at"] = pd.Series(pd.NaT, index=work.holdout.index).dt.tz_localize("UTC")
    found = red(work.write())
    assert found == dict.fromkeys(("at/order", "fresh/at", "future/at", "training_overlap"), "not_evaluated")


def test_an_empty_table_is_not_evaluated_at_all(work: QualityWork) -> None:
    work.frames["holdout"] = work.holdout.head(0)
    found = work.write().outcomes("data_quality")
    assert {o.status.value for o in found.values()} == {"not_evaluated"}


def test_a_file_with_none_of_the_columns_is_not_evaluated_at_all(work: QualityWork) -> None:
    work.frames["holdout"] = pd.DataFrame({"other": [1, 2]})
    found = work.write().outcomes("data_quality")
    assert {o.status.value for o in found.values()} == {"not_evaluated"}


def test_a_date_beyond_the_year_9999_is_counted(work: QualityWork) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    work.write()
    path = work.folder / "holdout.parquet"
    table = pq.read_table(path)
    days = table["day"].cast(pa.int32()).to_pylist()
    days[0] = 4_000_000  # the year 12921
    table = table.set_column(table.column_names.index("day"), "day", pa.array(days, pa.int32()).cast(pa.date32()))
    pq.write_table(table, path)
    work.forget_fingerprints()
    assert red(work) == {}


def test_times_that_microseconds_cannot_hold_are_said_in_a_sentence(work: QualityWork) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    work.write()
    path = work.folder / "holdout.parquet"
    table = pq.read_table(path)
    far = pa.array([2**60] * len(table), pa.int64()).cast(pa.timestamp("ms", tz="UTC"))
    pq.write_table(table.set_column(table.column_names.index("at"), "at", far), path)
    work.forget_fingerprints()
    found = work.outcomes("data_quality")
    assert {o.status.value for o in found.values()} == {"not_evaluated"}
    assert "cannot be prepared for counting" in found[PREFIX + "rows"].reason


def test_a_time_far_from_now_is_counted(work: QualityWork) -> None:
    at = work.holdout["at"].astype("datetime64[us, UTC]")
    for place, day in ((0, date(1, 1, 1)), (len(at) - 1, date(9999, 12, 31))):
        at[place] = pd.Timestamp(np.datetime64(day, "us"), tz="UTC")
    work.holdout["at"] = at
    # The training data end after the first time; as_of lies before the last.
    assert set(red(work.write())) == {"training_overlap", "future/at"}


def test_a_hand_written_suite_counts_beside_the_contracts(work: QualityWork) -> None:
    kwargs = {"column": "distance", "min_value": 0}
    hand_written(work, {"type": "expect_column_values_to_be_between", "kwargs": kwargs})
    assert red(work) == {}
    work.holdout.loc[3, "distance"] = -1
    hand = (work.folder / "great_expectations/expectations/team.json").read_text()
    work.write()
    assert set(red(work)) == {"distance/range", "own/team"}
    assert json.loads(hand)["expectations"]


def test_an_expectation_that_cannot_be_evaluated_is_no_pass(work: QualityWork) -> None:
    mean = "expect_column_mean_to_be_between"
    cases: dict[str, tuple[dict[str, object], str]] = {
        "lucky": ({"type": "expect_column_values_to_be_lucky", "kwargs": {"column": "distance"}}, "left no result"),
        "nowhere": ({"type": mean, "kwargs": {"column": "nowhere", "min_value": 1}}, "crashed"),
        "text": ({"type": mean, "kwargs": {"column": "dest", "min_value": 1}}, "crashed"),
    }
    hand_written(work, name=", ".join(cases))
    for name, (expectation, _) in cases.items():
        path = work.folder / f"great_expectations/expectations/{name}.json"
        path.write_text(json.dumps({"name": name, "expectations": [expectation]}))
    found = work.outcomes("data_quality")
    for name, (_, says) in cases.items():
        outcome = found[PREFIX + f"own/{name}"]
        assert outcome.status.value == "not_evaluated"
        assert says in outcome.reason


def test_what_is_no_suite_of_expectations_is_no_pass(work: QualityWork) -> None:
    hand_written(work, {"kwargs": {}})
    outcome = work.outcomes("data_quality")[PREFIX + "own/team"]
    assert outcome.status.value == "not_evaluated"
    assert "not a suite of expectations" in outcome.reason


def test_an_empty_hand_written_suite_is_no_pass(work: QualityWork) -> None:
    hand_written(work)
    assert work.outcomes("data_quality")[PREFIX + "own/team"].status.value == "not_evaluated"


def test_a_hand_written_suite_that_is_not_there_is_no_pass(work: QualityWork) -> None:
    hand_written(work)
    (work.folder / "great_expectations/expectations/team.json").unlink()
    assert "no suite `team`" in work.outcomes("data_quality")[PREFIX + "own/team"].reason


@pytest.mark.parametrize(
    ("key", "result"),
    [
        ("distance/range", {"element_count": 9, "unexpected_count": None, "missing_count": 0}),
        ("distance/range", {"element_count": None, "unexpected_count": 0}),
        ("distance/range", {"element_count": 0, "unexpected_count": 0, "missing_count": 0}),
        ("distance/range", {"element_count": 9, "unexpected_count": 0, "missing_count": 9}),
        ("rows", {"observed_value": None}),
        ("rows", {"observed_value": float("nan")}),
        ("rows", {}),
        ("fresh/at", {"observed_value": float("nan")}),
    ],
)
def test_a_count_that_is_none_is_no_measurement(key: str, result: dict[str, object], work: QualityWork) -> None:
    work.write()
    contract = read_contract(work.folder / "model_contract.yaml").contract
    rule = next(r for r in quality_rules(contract) if r.key == key)
    found = Found({"type": "expect", "kwargs": {}, "meta": {}}, True, "", result)
    assert isinstance(as_measurement("c", rule, found, 9), Unmeasured)
    whole = Found(found.configuration, True, "", {"element_count": 9, "unexpected_count": 0, "observed_value": 9})
    assert isinstance(as_measurement("c", rule, whole, 9), Measurement)
