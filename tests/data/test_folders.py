"""Which files of a folder are data: the same on every engine, and never those of a table that only its reader knows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from weighin.contract.sources import Files
from weighin.data.engines.duckdb import _stored
from weighin.data.relation import Relation
from weighin.errors import NotEvaluated

TWO = pa.table({"a": [1, 2]})
DATA = ("year=1/day=1/part-0", "year=1/day=2/part-1", "year=2/day=1/part.of.many")
NO_DATA = (
    *("_temporary/0/part-9", "year=1/_temporary/day=1/part-9", ".cache/day=1/part-9"),
    *("year=1/day=1/_part-9", "year=1/day=1/.part-9"),
)
FORMATS = ("parquet", "csv", "arrow")
TABLES = {
    "Delta Lake": "_delta_log/00000000000000000000.json",
    "Apache Hudi": ".hoodie/hoodie.properties",
    "Apache Iceberg": "metadata/00000-a.metadata.json",
}


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".parquet":
            pq.write_table(TWO, path)
        case ".csv":
            pyarrow.csv.write_csv(TWO, path)
        case _:
            pyarrow.feather.write_feather(TWO, path, compression="uncompressed")


def opened(path: Path | str, form: str = "parquet", engine: str = "duckdb") -> Relation:
    return Relation.of(Files.model_validate({"path": str(path), "format": form}), Path(), engine, {"a": "integer"})


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("glob", ["", "**/*.{form}", "*/*/*.{form}", "year=*/day=*/*"])
def test_names_with_an_underscore_or_a_dot_in_front_are_no_data(form: str, glob: str, tmp_path: Path) -> None:
    # The folder itself may be called as it likes: only what lies below it counts.
    folder = tmp_path / "_exports" / ".new" / "rows"
    for name in DATA:
        write(folder / f"{name}.{form}")
    before = opened(folder / glob.format(form=form), form)
    assert (before.rows, "a" in before.kinds) == (2 * len(DATA), True)
    for name in NO_DATA:
        write(folder / f"{name}.{form}")
    after = opened(folder / glob.format(form=form), form)
    assert (after.rows, after.kinds) == (before.rows, before.kinds)


@pytest.mark.jvm
def test_spark_leaves_out_the_same(tmp_path: Path) -> None:
    for name in (*DATA, *NO_DATA):
        write(tmp_path / f"{name}.parquet")
    assert opened(tmp_path, engine="spark").rows == opened(tmp_path).rows == 2 * len(DATA)


@pytest.mark.parametrize("form", FORMATS)
def test_a_partition_is_data_whatever_its_column_is_called(form: str, tmp_path: Path) -> None:
    for part in (1, 2):
        write(tmp_path / f"_year={part}/part.{form}")
    found = opened(tmp_path, form)
    assert (found.rows, set(found.kinds)) == (4, {"a", "_year"})


def test_an_object_store_is_listed_by_the_same_rule(tmp_path: Path) -> None:
    from pyarrow import fs

    for name in (*DATA, *NO_DATA):
        write(tmp_path / f"{name}.parquet")
    found = _stored(fs.LocalFileSystem(), str(tmp_path), "s3://bucket/rows")
    assert sorted(found) == sorted(str(tmp_path / f"{name}.parquet") for name in DATA)
    write(tmp_path / "_delta_log/0.parquet")
    with pytest.raises(NotEvaluated, match="s3://bucket/rows: the folder of a table of Delta Lake"):
        _stored(fs.LocalFileSystem(), str(tmp_path), "s3://bucket/rows")


@pytest.mark.parametrize("form", FORMATS)
def test_a_folder_without_data_is_not_evaluated(form: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotEvaluated, match="no such file"):
        opened(tmp_path / "empty", form)
    write(tmp_path / f"_temporary/part.{form}")
    with pytest.raises(NotEvaluated, match="no file of it is data"):
        opened(tmp_path, form)


@pytest.mark.parametrize("engine", ["duckdb", "no-spark-is-started"])
@pytest.mark.parametrize("name", TABLES)
def test_a_folder_of_a_table_format_is_refused_before_anything_is_counted(
    name: str, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(given: Files, chosen: str) -> None:
        raise AssertionError("an engine was started")

    table = tmp_path / "table"
    write(table / "data/day=1/part-0.parquet")
    assert opened(table).rows == 2
    (table / TABLES[name]).parent.mkdir()
    (table / TABLES[name]).write_text("{}")
    monkeypatch.setattr("weighin.data.relation.engine_for", refused)
    for path in (table, table / "data", table / "data/day=1", table / "**/*.parquet", table / "data/*/*.parquet"):
        with pytest.raises(NotEvaluated, match=rf"the folder of a table of {name}.*`engine: spark`.*Parquet export"):
            opened(path, engine=engine)


def test_a_table_format_below_the_folder_is_refused_as_well(tmp_path: Path) -> None:
    write(tmp_path / "one/part-0.parquet")
    (tmp_path / "one/_delta_log").mkdir()
    with pytest.raises(NotEvaluated, match="one: the folder of a table of Delta Lake"):
        opened(tmp_path)


def test_one_file_that_is_named_is_itself(tmp_path: Path) -> None:
    write(tmp_path / "_delta_log/_0.parquet")
    assert opened(tmp_path / "_delta_log/_0.parquet").rows == 2
