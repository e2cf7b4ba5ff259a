"""Where datasets live: what a contract may say, and what a window means."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.suite_work import CONTRACT
from weighin.contract import read_contract
from weighin.contract.sources import Dates, Files, Query, StoredProfile, in_place, span
from weighin.errors import ContractError

AS_OF = datetime(2024, 2, 29, 12, tzinfo=UTC)


def contract(tmp_path: Path, current: str, **also: str):
    path = tmp_path / "model_contract.yaml"
    text = CONTRACT.replace("current: current.parquet", f"current: {current}")
    for old, new in also.values():
        text = text.replace(old, new)
    path.write_text(text)
    return read_contract(path).contract


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("rows.parquet", Files.model_validate({"path": "rows.parquet"})),
        ("{path: 'parts/*.csv', window: last 7 days}", Files(path="parts/*.csv", window="last 7 days")),
        ("{connection: WAREHOUSE, table: a.flights}", Query(connection="WAREHOUSE", table="a.flights")),
    ],
)
def test_a_dataset_is_files_or_a_table(written: str, wanted, tmp_path: Path) -> None:
    assert contract(tmp_path, written).data.source("current") == wanted


def test_a_reference_may_be_a_stored_profile(tmp_path: Path) -> None:
    found = contract(tmp_path, "c.parquet", r=("reference: reference.parquet", "reference: {profile: champion}"))
    assert found.data.source("reference") == StoredProfile(profile="champion")
    assert "reference" not in found.data.named


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("{path: a.parquet, window: last week}", "a window is `last 7 days`"),
        ("{path: a.parquet, window: {from: 2024-02-01, to: 2024-02-01}}", "comes after `from`"),
        ("{connection: WAREHOUSE, table: a, query: select 1}", "either `table` or `query`"),
        ("{connection: WAREHOUSE}", "either `table` or `query`"),
        ("{connection: 'postgres://me:secret@host/x', table: a}", "current"),
        ("{table: flights}", "only `engine: spark` has its own"),
        ("{path: 's3://bucket/*.parquet'}", "name a folder"),
        ("{profile: champion}", "current"),
        ("{path: a.parquet, formt: csv}", "unknown key `formt`"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(written: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ContractError) as caught:
        contract(tmp_path, written)
    assert says in str(caught.value)
    assert "model_contract.yaml:" in str(caught.value)


def test_a_window_needs_one_time_column(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="exactly one column needs `role: time`"):
        contract(tmp_path, "{path: a.parquet, window: last 7 days}", t=("role: time", "role: other"))


@pytest.mark.parametrize(
    ("window", "first", "before"),
    [
        ("last 7 days", datetime(2024, 2, 22, 12, tzinfo=UTC), AS_OF),
        ("last 1 hour", datetime(2024, 2, 29, 11, tzinfo=UTC), AS_OF),
        ("last 2 weeks", datetime(2024, 2, 15, 12, tzinfo=UTC), AS_OF),
        ("same season last year", datetime(2023, 1, 14, 0, tzinfo=UTC), datetime(2023, 4, 15, 0, tzinfo=UTC)),
        ("same season 2 years ago", datetime(2022, 1, 14, 0, tzinfo=UTC), datetime(2022, 4, 15, 0, tzinfo=UTC)),
    ],
)
def test_a_window_is_a_span_of_time(window: str, first: datetime, before: datetime) -> None:
    found = span(window, AS_OF)
    assert (found.first, found.before) == (first, before)


def test_dates_are_whole_days_in_utc() -> None:
    found = span(Dates.model_validate({"from": "2024-01-01", "to": "2024-02-01"}), AS_OF)
    assert (found.first, found.before) == (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("path", "engine", "wanted"),
    [
        ("a.parquet", "duckdb", True),
        ("a.parquet", "spark", False),
        ("a.csv", "duckdb", False),
        ("folder", "duckdb", False),
        ("part-*.parquet", "duckdb", False),
        ("s3://bucket/a.parquet", "duckdb", False),
    ],
)
def test_one_local_parquet_file_is_read_in_place(path: str, engine: str, wanted: bool) -> None:
    assert in_place(Files.model_validate({"path": path}), engine) is wanted
