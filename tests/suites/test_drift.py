"""Drift: a column that moved is red, one that did not is not, and what cannot be told says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.suite_work import ROWS, Work
from weighin.contract import read_contract
from weighin.suites.drift import stored_with_model
from weighin.suites.evidence import Evidence


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def test_the_same_distribution_passes(work: Work) -> None:
    assert work.write().red("drift") == {}


@pytest.mark.parametrize("column", ["distance", "carrier", "temp", "late", "prediction"])
def test_a_column_that_moved_is_red_and_no_other(column: str, work: Work) -> None:
    table = work.frames["current"]
    if column == "prediction":
        work.scores["candidate", "current"] = np.clip(work.scores["candidate", "current"] + 0.5, 0, 1)
    elif column == "carrier":
        table["carrier"] = np.where(np.arange(ROWS) % 10 < 7, "AA", "UA")
    elif column == "late":
        table["late"] = (np.arange(ROWS) % 10 < 7).astype(np.int64)
    else:
        table[column] = table[column] + 2 * table[column].std()
        table[column] = table[column].astype(np.int64 if column == "distance" else float)
    assert work.write().red("drift") == {f"drift/{column}": "failed"}


def test_a_column_that_became_half_missing_is_red(work: Work) -> None:
    work.frames["current"].loc[::2, "temp"] = np.nan
    assert work.write().red("drift") == {"drift/temp": "failed"}


def test_a_new_category_counts(work: Work) -> None:
    work.frames["current"]["carrier"] = np.where(np.arange(ROWS) % 2, "ZZ", work.frames["current"]["carrier"])
    assert work.write().red("drift")["drift/carrier"] == "failed"


def test_too_few_days_are_not_evaluated(work: Work) -> None:
    table = work.frames["current"]
    days = sorted(set(table["day"]))[:9]
    keep = table["day"].isin(days).to_numpy()
    work.frames["current"] = table[keep].reset_index(drop=True)
    work.scores["candidate", "current"] = work.scores["candidate", "current"][keep]
    found = work.write().outcomes("drift")
    table_check = found.pop("drift/table")
    assert table_check.status.value == "passed"
    assert {o.status.value for o in found.values()} == {"not_evaluated"}
    assert all("9 groups" in o.reason for o in found.values())


def test_a_column_that_turned_to_text_is_not_evaluated(work: Work) -> None:
    work.frames["current"]["distance"] = work.frames["current"]["distance"].astype(str)
    found = work.write().outcomes("drift")
    assert work.red("drift") == {"drift/distance": "not_evaluated", "drift/table": "failed"}
    assert "holds string here and integer in the reference" in found["drift/distance"].reason
    said = "distance: integer in the reference, string now (1 column, limit ≤ 0)"
    assert found["drift/table"].reason == said


def test_an_empty_table_passes_nothing(work: Work) -> None:
    work.frames["current"] = work.frames["current"].head(0)
    assert {o.status.value for o in work.write().outcomes("drift").values()} == {"not_evaluated"}


def test_a_column_without_any_value_is_not_passed(work: Work) -> None:
    work.frames["current"]["temp"] = np.nan
    assert work.write().red("drift")["drift/temp"] in ("failed", "not_evaluated")


def test_no_value_of_a_sensitive_column_is_kept(work: Work) -> None:
    work.contract = work.contract.replace("carrier: {type: string,", "carrier: {type: string, sensitive: true,")
    evidence = work.write().outcomes("drift")["drift/carrier"].evidence
    assert not {"labels", "reference", "current"} & set(evidence.detail)


def with_limits(work: Work, *limits: str) -> Work:
    """The drift gate with further limits for every column."""
    work.contract = work.contract.replace(
        "  drift:\n    at_most: 0.2\n", "\n    ".join(["  drift:", "at_most: 0.2", *limits, ""]).rstrip(" ")
    )
    return work


EVERY = (
    "missing_at_most: 0.1",
    "new_category_share_at_most: 0.1",
    "mean_shift_at_most: 0.5",
    "drifted_share_at_most: 0.25",
)


def test_the_same_distribution_passes_every_further_limit(work: Work) -> None:
    with_limits(work, *EVERY)
    found = work.write().outcomes("drift")
    assert {name: o.reason for name, o in found.items() if o.status.value != "passed"} == {}
    assert {"drift/temp/missing", "drift/carrier/new-category-share", "drift/distance/mean", "drift/drifted"} <= set(
        found
    )
    assert not {"drift/carrier/mean", "drift/distance/new-category-share"} & set(found)


def test_values_that_go_missing_fail_the_share(work: Work) -> None:
    with_limits(work, "missing_at_most: 0.1")
    work.frames["current"].loc[::3, "temp"] = np.nan
    assert work.write().red("drift") == {"drift/temp": "failed", "drift/temp/missing": "failed"}


def test_a_category_that_the_reference_does_not_have_fails_its_limit(work: Work) -> None:
    with_limits(work, "new_category_share_at_most: 0.02")
    work.frames["current"].loc[::16, "carrier"] = "ZZ"
    found = work.write().outcomes("drift")["drift/carrier/new-category-share"]
    assert found.status.value == "failed"
    assert found.evidence.estimate == pytest.approx(1 / 16, abs=0.001)


def test_a_mean_that_moved_fails_its_limit(work: Work) -> None:
    with_limits(work, "mean_shift_at_most: 0.5")
    work.frames["current"]["distance"] = work.frames["current"]["distance"] + 700
    assert work.write().red("drift")["drift/distance/mean"] == "failed"


def test_infinite_values_have_no_mean(work: Work) -> None:
    with_limits(work, "mean_shift_at_most: 0.5")
    work.frames["current"].loc[0, "temp"] = np.inf
    found = work.write().outcomes("drift")["drift/temp/mean"]
    assert (found.status.value, "infinite" in found.reason) == ("not_evaluated", True)


@pytest.mark.parametrize("change", ["extra", "missing"])
def test_another_table_than_the_reference_is_red(change: str, work: Work) -> None:
    if change == "extra":
        work.frames["current"]["surprise"] = 1
    else:
        del work.frames["current"]["id"]
    assert work.write().red("drift") == {"drift/table": "failed"}


def test_many_drifted_columns_fail_the_share_of_columns(work: Work) -> None:
    with_limits(work, "drifted_share_at_most: 0.25")
    work.frames["current"]["distance"] = work.frames["current"]["distance"] // 3
    work.frames["current"]["temp"] = work.frames["current"]["temp"] + 40
    found = work.write().outcomes("drift")["drift/drifted"]
    assert found.status.value == "failed"
    assert found.evidence.estimate == pytest.approx(2 / 5)


@pytest.mark.parametrize("measure", ["jensen_shannon", "total_variation", "kolmogorov_smirnov"])
def test_every_distance_tells_the_same_from_the_other(measure: str, work: Work) -> None:
    with_limits(work, f"measure: {measure}")
    work.contract = work.contract.replace("bins: 4, reason", f"bins: 4, measure: {measure}, reason")
    assert work.write().red("drift") == {}
    work.frames["current"]["distance"] = work.frames["current"]["distance"] // 3
    assert work.write().red("drift") == {"drift/distance": "failed"}


def test_a_column_that_is_ignored_has_no_check(work: Work) -> None:
    work.contract = work.contract.replace(
        "columns: {temp:", "columns: {carrier: {ignore: true, reason: new airlines}, temp:"
    )
    work.frames["current"]["carrier"] = "ZZ"
    assert work.write().red("drift") == {}


def test_a_stored_profile_takes_the_place_of_the_reference(work: Work) -> None:
    work.write()
    evidence = Evidence(read_contract(work.folder / "model_contract.yaml"), work.folder / "work")
    stored_with_model(evidence).write(work.stored)
    work.contract = work.contract.replace("reference: reference.parquet", "reference: {profile: champion}")
    del work.frames["reference"]
    (work.folder / "reference.parquet").unlink()
    assert work.write().red("drift") == {}
    work.frames["current"]["distance"] = work.frames["current"]["distance"] // 3
    assert work.write().red("drift") == {"drift/distance": "failed"}


def test_a_profile_that_was_changed_is_not_evaluated(work: Work) -> None:
    path = work.write().folder / "work/profiles/current.json"
    path.write_text(path.read_text().replace('"rows":2000', '"rows":2001'))
    found = work.outcomes("drift")["drift/distance"]
    assert (found.status.value, "not the one" in found.reason) == ("not_evaluated", True)
