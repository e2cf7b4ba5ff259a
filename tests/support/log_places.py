"""A prediction log of a test's own in each kind of place, and rows and labels in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

from support.postgres_server import postgres
from weighin.prediction_log.sinks import Sink, sink_for
from weighin.prediction_log.tables import LogTables

NOW = datetime(2026, 11, 27, 12, 0, 30, tzinfo=UTC)
BASE = LogTables.sketch(["a", "Größe"], kind="float")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as address:
        yield address


@pytest.fixture(params=["parquet", "sqlite", "postgres", "duckdb"])
def tables(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LogTables]:
    """A log of its own in each kind of place; DuckDB stands for any database that a team fills by itself."""
    kind = request.param
    if kind == "postgres":
        address = request.getfixturevalue("server")
        monkeypatch.setenv("TEST_LOG", address)
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        yield replace(BASE, path=None, connection="TEST_LOG")
    elif kind == "duckdb":
        monkeypatch.setenv("TEST_LOG", f"duckdb://{tmp_path}/log.db")
        yield replace(BASE, path=None, connection="TEST_LOG")
    else:
        yield replace(BASE, path=str(tmp_path / ("log" if kind == "parquet" else "log.sqlite")))


class OwnDuckDB(Sink):
    """How a team would write tables of its own."""

    def write(self, table: str, rows: pa.Table) -> None:
        import duckdb

        with duckdb.connect(os.environ["TEST_LOG"].removeprefix("duckdb://")) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("given", rows)
            connection.execute(f'CREATE TABLE IF NOT EXISTS "{table}" AS SELECT * FROM given LIMIT 0')  # noqa: S608
            connection.execute(f'INSERT INTO "{table}" BY NAME SELECT * FROM given')  # noqa: S608

    def add_column(self, table: str, name: str) -> None:
        """Give a table one more column of text."""
        import duckdb

        with duckdb.connect(os.environ["TEST_LOG"].removeprefix("duckdb://")) as connection:
            connection.execute(f'ALTER TABLE "{table}" ADD COLUMN "{name}" TEXT')

    def retain(self, since: datetime) -> int:
        return 0

    def close(self) -> None:
        pass


@pytest.fixture
def sink(tables: LogTables) -> Iterator[Sink]:
    if tables.connection and os.environ["TEST_LOG"].startswith("duckdb"):
        yield OwnDuckDB(tables)
        return
    with contextlib.closing(sink_for(tables)) as found:
        yield found


Add = Callable[..., None]


@pytest.fixture
def add(sink: Sink) -> Add:
    """Log rows, each `minutes` before NOW, newest last."""

    def rows(*minutes: float, prefix: str = "r", **given: object) -> None:
        own = {
            "model": "m",
            "version": "3",
            "digest": "sha256:d",
            "role": "champion",
            "status": 200,
            "latency_ms": 2.5,
            "row": 0,
            "f_a": 1.5,
            "f_Größe": None,
            "prediction": 0.25,
        }
        made = [{**own, "at": NOW - timedelta(minutes=m), "request": f"{prefix}{m:g}", **given} for m in minutes]
        sink.write(sink.tables.predictions, pa.Table.from_pylist(made, schema=sink.tables.schema))

    return rows


@pytest.fixture
def label(sink: Sink) -> Callable[..., None]:
    def rows(*given: tuple[str, int, float], row: int = 0) -> None:
        made = [{"at": NOW - timedelta(minutes=m), "request": r, "row": row, "label": value} for r, value, m in given]
        sink.write(sink.tables.labels, pa.Table.from_pylist(made, schema=sink.tables.label_schema))

    return rows
