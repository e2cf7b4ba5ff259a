"""One table in every place where data can live."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
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


def postgres_programs() -> Path:
    """Where initdb lies: Debian keeps it off PATH."""
    found = shutil.which("initdb")
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found and not known:
        raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")
    return Path(found).parent if found else known[-1].parent


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A server of its own on loopback, and its address. It refuses to run as root, so root hands it to `nobody`."""
    programs = postgres_programs()
    with tempfile.TemporaryDirectory(prefix="weighin-postgres-") as folder:
        user: dict[str, str] = {}
        if os.getuid() == 0:
            user = {"user": "nobody"}
            os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        data = f"{folder}/data"
        commands = ([programs / "initdb", "-D", data, "-U", "weighin", "-A", "trust", "-E", "UTF8", "--locale=C"],)
        for command in commands:
            subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=folder, **user)
        options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off"
        start = [programs / "pg_ctl", "-D", data, "-w", "-t", "60", "-l", f"{folder}/log", "-o", options, "start"]
        subprocess.run(
            start, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=90, cwd=folder, **user
        )
        try:
            yield f"postgres://weighin@127.0.0.1:{port}/postgres"
        finally:
            stop = [programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "-t", "30", "stop"]
            subprocess.run(stop, check=False, capture_output=True, timeout=60, cwd=folder, **user)


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
