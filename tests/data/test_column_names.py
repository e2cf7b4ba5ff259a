"""Names of folders have the contract's types, odd names stay, and a name that stands twice is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from weighin.contract.sources import Files
from weighin.data.relation import Relation
from weighin.data.table import read_columns
from weighin.errors import NotEvaluated

SPARK = pytest.param("parquet", "spark", marks=pytest.mark.jvm)
KINDS = [("parquet", "duckdb"), ("arrow", "duckdb"), ("csv", "duckdb"), SPARK]
ODD = "net. `sum` of a=b"
TYPES = {"zip": "string", "store": "integer", "day": "date", ODD: "integer"}


def written(path: Path, kind: str, table: pa.Table) -> None:
    path.parent.mkdir(parents=True)
    if kind == "parquet":
        pq.write_table(table, path)
    elif kind == "arrow":
        pyarrow.feather.write_feather(table, path, compression="uncompressed")
    else:
        pyarrow.csv.write_csv(table, path)


def read(path: Path, kind: str, engine: str) -> list[dict[str, Any]]:
    found = Relation.of(Files.model_validate({"path": str(path), "format": kind}), path, engine, TYPES)
    with found.engine.reading(found.place):
        return [row for batch in found.engine.batches(found.expression) for row in batch.to_pylist()]


@pytest.mark.parametrize(("kind", "engine"), KINDS)
def test_the_contracts_type_decides_what_the_name_of_a_folder_means(kind: str, engine: str, tmp_path: Path) -> None:
    for number, folder in enumerate(("zip=007/store=007", "zip=8/store=8", "zip=__HIVE_DEFAULT_PARTITION__/store=9")):
        written(tmp_path / "rows" / folder / f"a.{kind}", kind, pa.table({ODD: [number]}))
    found = sorted((row[ODD], row["zip"], row["store"]) for row in read(tmp_path / "rows", kind, engine))
    assert found == [(0, "007", 7), (1, "8", 8), (2, None, 9)]


def test_a_folder_whose_name_is_no_value_of_the_type_is_said(tmp_path: Path) -> None:
    written(tmp_path / "rows/store=Jane/a.parquet", "parquet", pa.table({"x": [1]}))
    with pytest.raises(NotEvaluated, match="column store: text among whole numbers") as caught:
        read(tmp_path / "rows", "parquet", "duckdb")
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize(("kind", "engine"), KINDS)
def test_a_name_that_stands_twice_is_refused_with_the_name(kind: str, engine: str, tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array([1]), pa.array(["b"])], names=["zip", ODD, "zip"])
    written(tmp_path / f"rows/a.{kind}", kind, twice)
    with pytest.raises(NotEvaluated, match=r"column zip: .*more than once|column `zip` already exists"):
        read(tmp_path / f"rows/a.{kind}", kind, engine)


def test_a_name_that_stands_twice_is_refused_where_the_file_is_read_in_place(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["zip", "zip"])
    written(tmp_path / "rows/a.parquet", "parquet", twice)
    with pytest.raises(NotEvaluated, match="column zip: the name stands there more than once"):
        read_columns(tmp_path / "rows/a.parquet", ["zip"])
