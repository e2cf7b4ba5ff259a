"""Data quality: one thing is broken, and exactly its check is red."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support.suite_work import Work

PREFIX = "data_quality/holdout/"


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def test_sound_data_pass_every_check(work: Work) -> None:
    found = work.write().outcomes("data_quality")
    assert {name: o.reason for name, o in found.items() if o.status.value != "passed"} == {}
    assert len(found) == 1 + 7 * 3 + 6 + 1


def strings(frame: pd.DataFrame) -> None:
    frame["distance"] = frame["distance"].astype(str)


def far(frame: pd.DataFrame) -> None:
    frame.loc[3, "distance"] = 6001


def stranger(frame: pd.DataFrame) -> None:
    frame.loc[3, "carrier"] = "XX"


def gaps(frame: pd.DataFrame) -> None:
    frame.loc[:300, "temp"] = np.nan


def one_gap(frame: pd.DataFrame) -> None:
    frame["carrier"] = frame["carrier"].astype(object)
    frame.loc[3, "carrier"] = None


def twice(frame: pd.DataFrame) -> None:
    frame.loc[3, "id"] = 4


def naive(frame: pd.DataFrame) -> None:
    frame["at"] = frame["at"].dt.tz_localize(None)


def new_york(frame: pd.DataFrame) -> None:
    frame["at"] = frame["at"].dt.tz_convert("America/New_York")


def text_time(frame: pd.DataFrame) -> None:
    frame["at"] = frame["at"].astype(str)


def label(frame: pd.DataFrame) -> None:
    frame.loc[3, "late"] = 2


@pytest.mark.parametrize(
    ("change", "red", "says"),
    [
        (far, {"distance/range"}, "distance: 1 of 2,000 values lie outside of the range"),
        (stranger, {"carrier/allowed"}, "carrier: 1 of 2,000 values are none of the allowed values"),
        (gaps, {"temp/missing"}, "temp: 301 of 2,000 values are missing"),
        (one_gap, {"carrier/missing"}, "carrier: 1 of 2,000 values are missing"),
        (twice, {"id/unique"}, "id: 2 of 2,000 values are not unique"),
        (new_york, {"at/time_zone"}, "at: 2,000 of 2,000 values have another time zone"),
        (label, {"late/allowed"}, "late: 1 of 2,000 values are none of the allowed values"),
        (text_time, {"at/type", "at/time_zone"}, "at: string in the file, timestamp in the contract"),
        (strings, {"distance/type", "distance/range"}, "distance: string in the file, integer in the contract"),
    ],
)
def test_one_broken_thing_makes_its_check_red_and_is_said(
    change: Callable[[pd.DataFrame], None], red: set[str], says: str, work: Work
) -> None:
    change(work.frames["holdout"])
    found = {name: o for name, o in work.write().outcomes("data_quality").items() if o.status.value != "passed"}
    assert {name.removeprefix(PREFIX) for name in found} == red
    assert [o.reason for o in found.values() if o.reason.startswith(f"{says} (")]


def test_a_time_without_a_zone_is_utc(work: Work) -> None:
    naive(work.frames["holdout"])
    assert work.write().red("data_quality") == {}


def test_a_few_missing_values_are_allowed_where_the_contract_says_so(work: Work) -> None:
    work.frames["holdout"].loc[:100, "temp"] = np.nan
    assert work.write().red("data_quality") == {}


def test_too_few_rows_are_red(work: Work) -> None:
    work.frames["holdout"] = work.frames["holdout"].head(900)
    assert set(work.write().red("data_quality")) == {PREFIX + "rows"}


def test_a_column_that_is_gone_is_red_in_all_its_checks(work: Work) -> None:
    del work.frames["holdout"]["temp"]
    red = work.write().red("data_quality")
    rules = {"temp/exists", "temp/type", "temp/missing", "temp/range"}
    # Copies are compared in every column.
    assert {name.removeprefix(PREFIX) for name in red} == {*rules, "copies"}
    assert red[PREFIX + "temp/exists"] == "failed"
    assert work.outcomes("data_quality")[PREFIX + "temp/exists"].reason.startswith("there is no column temp (")


def test_an_empty_column_passes_no_range(work: Work) -> None:
    work.frames["holdout"]["temp"] = np.nan
    red = work.write().red("data_quality")
    assert red[PREFIX + "temp/range"] == "not_evaluated"
    assert red[PREFIX + "temp/missing"] == "failed"


def test_an_empty_table_is_not_evaluated_at_all(work: Work) -> None:
    work.frames["holdout"] = work.frames["holdout"].head(0)
    found = work.write().outcomes("data_quality")
    assert {o.status.value for o in found.values()} == {"not_evaluated"}


def test_a_suite_that_is_not_the_contracts_is_refused(work: Work) -> None:
    from weighin.errors import ContractError

    work.write()
    path = work.folder / "great_expectations/expectations/contract.json"
    path.write_text(path.read_text().replace("6000.0", "9000.0"))
    with pytest.raises(ContractError, match="not what the contract says"):
        work.outcomes("data_quality")
