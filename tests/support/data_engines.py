"""One table in every place where data can live."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq

from weighin.contract.sources import Files, Query
from weighin.data.relation import Relation

TYPES = {
    pa.int64(): "BIGINT",
    pa.int8(): "SMALLINT",
    pa.float64(): "DOUBLE PRECISION",
    pa.float32(): "REAL",
    pa.string(): "TEXT",
    pa.bool_(): "BOOLEAN",
    pa.date32(): "DATE",
    pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ",
    pa.timestamp("us"): "TIMESTAMP",
    pa.decimal128(12, 3): "NUMERIC(12, 3)",
}


def into_postgres(address: str, name: str, rows: pa.Table) -> None:
    """Create a table and fill it."""
    import psycopg
    from psycopg import sql

    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(f.name), sql.SQL(TYPES[f.type])) for f in rows.schema
    )
    with psycopg.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))
        cursor.execute(sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(name), columns))
        with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(name))) as copy:
            for row in rows.to_pylist():
                copy.write_row(tuple(row.values()))


def files(folder: Path, kind: str, rows: pa.Table) -> Relation:
    """The rows as files of a kind, read by the engine that the kind names."""
    engine = "spark" if kind.startswith("spark") else "duckdb"
    form = kind.removeprefix("spark-")
    path = folder / f"rows.{form}"
    if form == "parquet":
        pq.write_table(rows, path)
    elif form == "arrow":
        pyarrow.feather.write_feather(rows, path, compression="uncompressed")
    elif form == "partitioned":
        path = folder / "parts"
        half = rows.num_rows // 2
        for i, part in enumerate((rows.slice(0, half), rows.slice(half))):
            (path / f"part={i}").mkdir(parents=True, exist_ok=True)
            pq.write_table(part, path / f"part={i}" / "rows.parquet")
    elif form == "glob":
        half = rows.num_rows // 2
        for i, part in enumerate((rows.slice(0, half), rows.slice(half))):
            pq.write_table(part, folder / f"rows-{i}.parquet")
        path = folder / "rows-*.parquet"
    return Relation.of(Files.model_validate({"path": str(path)}), folder, engine)


def table(connection: str, name: str) -> Relation:
    """A table of the database whose address stands in an environment variable."""
    return Relation.of(Query(connection=connection, table=name), Path())
