"""An SQLite file, with a write-ahead log so that a reader waits for nobody. Moments are text, as SQLite's own are."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from weighin.prediction_log.sinks import SinkError, TableSink, Unstorable, said

TYPES = {
    pa.int64(): "INTEGER",
    pa.float64(): "REAL",
    pa.string(): "TEXT",
    pa.bool_(): "BOOLEAN",
    pa.timestamp("us", tz="UTC"): "TEXT",
    pa.date32(): "TEXT",
}


class SQLite(TableSink):
    """Two tables in one file, made where they are missing."""

    _connection: sqlite3.Connection | None = None

    def write(self, table: str, rows: pa.Table) -> None:
        """In one transaction."""
        names = ", ".join(_quoted(n) for n in rows.column_names)
        marks = ", ".join("?" * rows.num_columns)
        columns = [[_value(v) for v in column.to_pylist()] for column in rows.columns]
        with self._open() as connection:
            connection.executemany(
                f"INSERT INTO {_quoted(table)} ({names}) VALUES ({marks})",  # noqa: S608 - names, quoted
                zip(*columns, strict=True),
            )

    def remove(self, table: str, since: datetime, most: int) -> int:
        """In any order."""
        name = _quoted(table)
        with self._open() as connection:
            return connection.execute(
                f"DELETE FROM {name} WHERE rowid IN (SELECT rowid FROM {name} WHERE at < ? LIMIT {most})",  # noqa: S608 - names, quoted
                (_value(since),),
            ).rowcount

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._connection is None:
                Path(self.tables.place).parent.mkdir(parents=True, exist_ok=True)
                self._connection = sqlite3.connect(self.tables.place, timeout=10, check_same_thread=False)
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=NORMAL")
                self._prepare(self._connection)
            with self._connection:
                yield self._connection
        except (sqlite3.IntegrityError, sqlite3.DataError) as error:
            raise Unstorable(f"SQLite refuses rows ({said(error)})", self.tables.place) from error
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise SinkError(f"SQLite cannot be written ({said(error)})", self.tables.place, "Look at it.") from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        for table in (self.tables.predictions, self.tables.labels):
            schema = self.schema(table)
            needed = ("at", "request", "row")
            columns = [f"{_quoted(f.name)} {TYPES[f.type]}{' NOT NULL' * (f.name in needed)}" for f in schema]
            connection.execute(f"CREATE TABLE IF NOT EXISTS {_quoted(table)} ({', '.join(columns)})")
            for by in ("at", "request"):
                connection.execute(
                    f"CREATE INDEX IF NOT EXISTS {_quoted(f'{table}_{by}')} ON {_quoted(table)} ({_quoted(by)})"
                )
            there = {row[1].lower() for row in connection.execute(f"PRAGMA table_info({_quoted(table)})")}
            for field in schema:
                if field.name.lower() not in there:
                    # The contract has a new feature.
                    connection.execute(
                        f"ALTER TABLE {_quoted(table)} ADD COLUMN {_quoted(field.name)} {TYPES[field.type]}"
                    )
        connection.commit()


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
    return value.isoformat() if isinstance(value, date) else value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
