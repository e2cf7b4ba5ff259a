"""A database that Ibis speaks to, by an address in an environment variable. PostgreSQL is the one that is tested."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from weighin.contract.sources import Files, Query
from weighin.data.engines import Engine, Expression
from weighin.errors import NotEvaluated


class Database(Engine):
    """Counts run in the database. Nothing is written there but the session's own temporary views."""

    name = "the database"

    def __init__(self, connection: str) -> None:
        import ibis

        address = os.environ.get(connection)
        if not address:
            raise NotEvaluated(f"the environment has no {connection}", "data", "Set it to the database's address.")
        with self.reading(connection):
            self._connection = ibis.connect(address)
            if self._connection.name == "postgres":
                self._connection.raw_sql("SET TIME ZONE 'UTC'").close()

    @staticmethod
    def sqlite(path: Path) -> Database:
        """Return a file of SQLite. Errors: `FileNotFoundError`; `NotEvaluated` for a file of something else."""
        import ibis

        if not path.is_file():
            raise FileNotFoundError(str(path))
        found = Database.__new__(Database)
        with found.reading(str(path)):
            found._connection = ibis.sqlite.connect(str(path))
        return found

    def has(self, table: str) -> bool:
        """Whether a table is seen without naming a schema."""
        from ibis.common.exceptions import TableNotFound

        try:
            self._connection.table(table)
        except TableNotFound:
            return False
        return True

    def batches(self, expression: Expression) -> Iterator[pa.RecordBatch]:
        """Yield the rows a part at a time where that is known to work, else at once."""
        if self._connection.name == "postgres":
            yield from super().batches(expression)
        else:
            yield from expression.to_pyarrow().to_batches()

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.disconnect()

    def files(self, paths: str, given: Files, types: Mapping[str, str]) -> Expression:
        """Files are read by DuckDB or Spark."""
        raise NotEvaluated("a database reads no files", paths, "Leave `connection` out.")

    def query(self, given: Query) -> Expression:
        """Return a table, in a schema where the name has a dot, or a SELECT."""
        if given.query is not None:
            if self._connection.name != "postgres":
                return self._connection.sql(given.query)
            # As it stands: Ibis would read it with a parser of its own, which knows less than the database.
            name = self.view()
            self._connection.raw_sql(f"CREATE TEMPORARY VIEW {name} AS {given.query}").close()
            return self._connection.table(name)
        schema, _, name = str(given.table).rpartition(".")
        return self._connection.table(name, database=schema or None)

    def sample(self, expression: Expression, share: float) -> Expression:
        """By a hash of the row's number in the order of the scan, which a table that is not written to keeps."""
        import ibis

        number = "weighin_row_number"
        numbered = expression.mutate(ibis.row_number().name(number))
        kept = (numbered[number].cast("string").hash() % 1_000_003 + 1_000_003) % 1_000_003 < int(share * 1_000_003)
        return numbered.filter(kept).drop(number)

    def failures(self) -> tuple[type[BaseException], ...]:
        """Errors of the drivers of PostgreSQL and SQLite; other drivers raise through Ibis."""
        import sqlite3

        import psycopg

        return (psycopg.Error, sqlite3.Error)
