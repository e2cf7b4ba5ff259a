"""Resolving datasets: files of any kind, windows, tables and samples become what suites and models read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.data_engines import into_postgres
from support.postgres_server import postgres
from support.suite_work import CONTRACT, ROWS, Work
from weighin.contract import read_contract
from weighin.contract.reading import ContractFile
from weighin.data.profile import Profile
from weighin.errors import NotEvaluated
from weighin.resolve.datasets import resolve_profiles, resolve_rows

MOMENT = datetime(2013, 7, 1, tzinfo=UTC)
FEATURES = ["distance", "carrier", "temp"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Work(tmp_path).write()
    return tmp_path


def contract(folder: Path, *changes: tuple[str, str]) -> ContractFile:
    text = CONTRACT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "model_contract.yaml").write_text(text)
    return read_contract(folder / "model_contract.yaml")


def none_stored(role: str) -> Profile:
    raise NotEvaluated(f"no profile of {role}")


def test_one_parquet_file_is_read_in_place(folder: Path) -> None:
    found = resolve_rows(contract(folder), folder / "out", False, MOMENT)["holdout"]
    assert (found["place"], found["rows"], found["total"], found["problem"]) == ("", ROWS, ROWS, "")
    assert not (folder / "out/data").exists()
    assert pq.read_schema(folder / "out/features/holdout.parquet").names == FEATURES


@pytest.mark.parametrize("kind", ["csv", "glob", "folder", "arrow"])
def test_other_files_are_left_as_one(kind: str, folder: Path) -> None:
    table = pq.read_table(folder / "current.parquet")
    match kind:
        case "csv":
            table.to_pandas().to_csv(folder / "rows.csv", index=False)
            place = "rows.csv"
        case "arrow":
            with pa.ipc.new_file(folder / "rows.arrow", table.schema) as writer:
                writer.write_table(table)
            place = "rows.arrow"
        case _:
            (folder / "parts").mkdir()
            for i in range(4):
                pq.write_table(table.slice(i * 500, 500), folder / f"parts/{i}.parquet")
            place = "parts/*.parquet" if kind == "glob" else "parts"
    file = contract(folder, ("current: current.parquet", f"current: {place}"))
    found = resolve_rows(file, folder / "out", False, MOMENT)["current"]
    assert (found["place"], found["rows"], found["problem"]) == ("data/current.parquet", ROWS, "")
    left = pq.read_table(folder / "out/data/current.parquet").to_pandas()
    assert sorted(left["id"]) == list(range(ROWS))
    assert left["at"].dt.tz is not None
    wanted = resolve_profiles(contract(folder), folder / "one", MOMENT, none_stored)
    again = resolve_profiles(file, folder / "two", MOMENT, none_stored)
    counts = [Profile.read(folder / f / "profiles/current.json").columns for f in ("one", "two")]
    assert wanted["reference"] == again["reference"]
    assert [counts[0][c].counts.tolist() for c in FEATURES] == [counts[1][c].counts.tolist() for c in FEATURES]


def test_a_folder_that_spark_wrote_under_the_name_of_a_file_is_a_folder(folder: Path) -> None:
    table = pq.read_table(folder / "holdout.parquet")
    (folder / "holdout.parquet").unlink()
    (folder / "holdout.parquet/_temporary").mkdir(parents=True)
    for name in ("part-0", "_temporary/part-1"):
        pq.write_table(table, folder / f"holdout.parquet/{name}.parquet")
    found = resolve_rows(contract(folder), folder / "out", False, MOMENT)["holdout"]
    assert (found["place"], found["rows"], found["problem"]) == ("data/holdout.parquet", ROWS, "")


def test_a_window_cuts_rows_and_profile_alike(folder: Path) -> None:
    file = contract(folder, ("current: current.parquet", "current: {path: current.parquet, window: last 20 days}"))
    found = resolve_rows(file, folder / "out", False, MOMENT)["current"]
    profiles = resolve_profiles(file, folder / "out", MOMENT, none_stored)
    days = pq.read_table(folder / "out/data/current.parquet")["day"].to_pylist()
    assert {str(min(days)), str(max(days))} == {"2013-06-11", "2013-06-30"}
    assert found["window"] == ["2013-06-11T00:00:00+00:00", "2013-07-01T00:00:00+00:00"]
    assert profiles["current"]["uncounted"] == ""
    assert Profile.read(folder / "out/profiles/current.json").rows == len(days) == found["rows"]


def test_an_empty_window_is_said(folder: Path) -> None:
    file = contract(folder, ("current: current.parquet", "current: {path: current.parquet, window: last 1 day}"))
    later = datetime(2020, 1, 1, tzinfo=UTC)
    assert "there are no rows" in resolve_rows(file, folder / "out", False, later)["current"]["problem"]
    assert "there are no rows" in resolve_profiles(file, folder / "out", later, none_stored)["current"]["uncounted"]


def test_models_are_asked_about_a_sample_of_many_rows_and_all_are_counted(folder: Path) -> None:
    file = contract(folder, ("current: current.parquet", "current: current.parquet\n  rows_at_most: 500"))
    found = resolve_rows(file, folder / "out", False, MOMENT)
    assert found["holdout"]["rows"] == ROWS
    assert 350 < found["current"]["rows"] < 650
    assert found["current"]["total"] == ROWS
    assert pq.read_metadata(folder / "out/features/current.parquet").num_rows == found["current"]["rows"]
    resolve_profiles(file, folder / "out", MOMENT, none_stored)
    assert Profile.read(folder / "out/profiles/current.json").rows == ROWS


@pytest.mark.parametrize("how", ["table: rows", "query: 'select * from rows where distance > 0'"])
def test_a_table_of_a_database_is_a_dataset(how: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = contract(folder, ("holdout: holdout.parquet", f"holdout: {{connection: WAREHOUSE, {how}}}"))
    with postgres() as address:
        monkeypatch.setenv("WAREHOUSE", address)
        rows = pq.read_table(folder / "holdout.parquet")
        at = rows.schema.get_field_index("at")
        rows = rows.set_column(at, "at", rows["at"].cast(pa.timestamp("us", tz="UTC")))
        into_postgres(address, "rows", rows)
        found = resolve_rows(file, folder / "out", False, MOMENT)["holdout"]
    assert (found["problem"], found["rows"]) == ("", ROWS)
    left = pq.read_table(folder / "out/data/holdout.parquet").to_pandas().sort_values("id")
    wanted = pq.read_table(folder / "holdout.parquet").to_pandas()
    assert left["temp"].tolist() == wanted["temp"].tolist()
    assert (left["at"].reset_index(drop=True) == wanted["at"]).all()


def test_a_reference_that_cannot_be_counted_leaves_drift_unevaluated_with_the_reason(folder: Path) -> None:
    file = contract(folder, ("reference: reference.parquet", "reference: {profile: champion}"))
    found = resolve_profiles(file, folder / "out", MOMENT, none_stored)
    assert found["reference"]["uncounted"] == "no profile of champion"
    assert found["current"]["uncounted"]
