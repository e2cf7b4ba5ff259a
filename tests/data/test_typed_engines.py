"""One table reaches a model the same whatever read it: in place, a glob, Arrow, CSV, and Spark."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from support.type_cases import column
from weighin.contract.sources import Files
from weighin.data.relation import Relation
from weighin.data.table import read_columns
from weighin.data.typed import typed

NOON = datetime(2026, 3, 1, 12, 30, 0, 250_000, tzinfo=UTC)
COLUMNS = {
    "n": column("integer"),
    "whole": column("integer"),
    "f": column("float"),
    "money": column("float"),
    "t": column("string"),
    "code": column("string"),
    "b": column("boolean"),
    "naive": column("timestamp"),
    "zoned": column("timestamp"),
    "day": column("date"),
    "e": column("array"),
}
RIGHT = {
    "n": [1, None, 3],
    "whole": [4, None, 6],
    "f": [0.5, None, -2.0],
    "money": [1.25, None, 3.5],
    "t": ["a", None, "b"],
    "code": ["007", "12", None],
    "b": [True, None, False],
    "naive": [NOON, None, NOON],
    "zoned": [NOON, NOON, None],
    "day": [date(2026, 3, 1), None, date(1999, 12, 31)],
    "e": [[0.5, 1.0], [2.0], None],
}


def written() -> pa.Table:
    """The same values in types that writers choose."""
    right = RIGHT
    return pa.table(
        {
            "n": pa.array(right["n"], pa.int16()),
            "whole": pa.array([4.0, None, 6.0]),
            "f": pa.array(right["f"], pa.float32()),
            "money": pa.array([Decimal("1.25"), None, Decimal("3.50")], pa.decimal128(9, 2)),
            "t": pa.array(right["t"]).dictionary_encode(),
            "code": pa.array(right["code"], pa.large_string()),
            "b": pa.array(right["b"]),
            "naive": pa.array([NOON.replace(tzinfo=None), None, NOON.replace(tzinfo=None)], pa.timestamp("us")),
            "zoned": pa.array(right["zoned"], pa.timestamp("us", "Europe/Zurich")),
            "day": pa.array(right["day"]),
            "e": pa.array(right["e"], pa.list_(pa.float32())),
        }
    )


def given(path: Path, folder: Path, engine: str, names: tuple[str, ...]) -> pa.Table:
    """What a model is given of a source that is not read in place."""
    source = Files.model_validate({"path": path.name})
    types = {name: COLUMNS[name].type for name in names}
    relation = Relation.of(source, folder, engine, types)
    relation.save(list(names), 100, folder / "out" / f"{engine}.parquet")
    return typed(read_columns(folder / "out" / f"{engine}.parquet", names), COLUMNS, "holdout")


def test_files_reach_a_model_the_same_on_every_way(tmp_path: Path) -> None:
    names = tuple(COLUMNS)
    pq.write_table(written(), tmp_path / "one.parquet")
    in_place = typed(read_columns(tmp_path / "one.parquet", names), COLUMNS, "holdout")
    assert in_place.to_pydict() == RIGHT
    assert given(tmp_path / "on*.parquet", tmp_path, "duckdb", names).equals(in_place)
    with pa.OSFile(str(tmp_path / "one.arrow"), "wb") as sink, pa.ipc.new_file(sink, written().schema) as writer:
        writer.write_table(written())
    assert given(tmp_path / "one.arrow", tmp_path, "duckdb", names).equals(in_place)
    # CSV has no lists, and says of a time what it is: without a zone it is UTC.
    flat = tuple(n for n in names if n not in ("e", "zoned"))
    texts = {n: [None if v is None else str(v) for v in RIGHT[n]] for n in flat}
    texts["naive"] = [None if v is None else v.replace(tzinfo=None).isoformat() for v in RIGHT["naive"]]
    pyarrow.csv.write_csv(pa.table(texts), tmp_path / "one.csv")
    assert given(tmp_path / "one.csv", tmp_path, "duckdb", flat).equals(in_place.select(flat))


@pytest.mark.jvm
def test_spark_gives_a_model_the_same(tmp_path: Path) -> None:
    names = tuple(COLUMNS)
    pq.write_table(written(), tmp_path / "one.parquet")
    in_place = typed(read_columns(tmp_path / "one.parquet", names), COLUMNS, "holdout")
    assert given(tmp_path / "one.parquet", tmp_path, "spark", names).equals(in_place)
