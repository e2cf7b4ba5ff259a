"""PostgreSQL, by COPY: the rows of a batch in one transaction.

The tables are made where they are missing and may be. A user that may only INSERT is enough for a table that is there:
the process that loads a model has this address, so the less it may do the better (docs/reference/prediction-log.md).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa

from weighin.prediction_log.sinks import SinkError, TableSink, Unstorable, said
from weighin.prediction_log.tables import LogTables

TYPES = {
    pa.int64(): "bigint",
    pa.float64(): "double precision",
    pa.string(): "text",
    pa.bool_(): "boolean",
    pa.timestamp("us", tz="UTC"): "timestamp with time zone",
    pa.date32(): "date",
}
INDEXES: dict[str, dict[str, tuple[str, ...]]] = {
    "predictions": {"at": ("at",), "version_at": ("version", "at"), "request": ("request",)},
    "labels": {"at": ("at",), "request": ("request",)},
}
"""What a run needs so that its cost does not grow with the table."""
CONNECT_SECONDS = 5
STATEMENT_MS = 20_000


class Postgres(TableSink):
    """Two tables of a database, in the search path of its user."""

    def __init__(self, tables: LogTables) -> None:
        super().__init__(tables)
        self._connection: Any = None
        self._known: dict[str, list[str]] = {}
        self.left_out: tuple[str, ...] = ()
        """Columns that the table has otherwise than the contract, or not at all and may not be added."""

    def write(self, table: str, rows: pa.Table) -> None:
        """In one transaction; a column that the table does not have in this type is left out."""
        import psycopg

        with self._open() as connection:
            names = [n for n in self._known[table] if n in rows.column_names]
            listed = ", ".join(_quoted(n) for n in names)
            taken = [rows[n].to_pylist() for n in names]
            try:
                with (
                    connection.transaction(),
                    connection.cursor() as cursor,
                    cursor.copy(f"COPY {_quoted(table)} ({listed}) FROM STDIN") as copy,
                ):
                    for row in zip(*taken, strict=True):
                        copy.write_row(row)
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                # Its message quotes the row.
                kind = type(error).__name__
                raise Unstorable(f"PostgreSQL refuses rows ({kind})", str(self.tables.connection)) from error

    def remove(self, table: str, since: datetime, most: int) -> int:
        """Oldest first."""
        name = _quoted(table)
        with self._open() as connection:
            return int(
                connection.execute(
                    f"DELETE FROM {name} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {name} WHERE at < %s "  # noqa: S608 - names, quoted
                    f"ORDER BY at LIMIT {most}))",
                    (since,),
                ).rowcount
            )

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _open(self) -> Iterator[Any]:
        import psycopg

        place = str(self.tables.connection)
        try:
            if self._connection is None:
                self._connection = psycopg.connect(
                    os.environ.get(place, ""),
                    connect_timeout=CONNECT_SECONDS,
                    autocommit=True,
                    options=f"-c statement_timeout={STATEMENT_MS} -c TimeZone=UTC -c client_encoding=UTF8",
                    keepalives_idle=10,
                    keepalives_interval=5,
                    keepalives_count=3,
                    tcp_user_timeout=STATEMENT_MS,
                )
                self._prepare(self._connection)
            yield self._connection
        except (psycopg.Error, OSError) as error:
            self.close()
            raise SinkError(f"PostgreSQL cannot be written ({said(error)})", place, "Look at it.") from error

    def _prepare(self, connection: Any) -> None:
        import psycopg

        missing = []
        for kind, table in (("predictions", self.tables.predictions), ("labels", self.tables.labels)):
            schema = self.schema(table)
            wanted = {f.name: TYPES[f.type] for f in schema}
            if not _types(connection, table):
                with connection.transaction():
                    # Two servers that start at once would otherwise both make it, and one of them fail.
                    connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (table,))
                    for statement in ddl(table, kind, schema):
                        connection.execute(statement)
            there = _types(connection, table)
            for name in [n for n in wanted if n not in there]:
                # The contract has a new feature; not every user may add a column for it.
                with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
                    connection.execute(f"ALTER TABLE {_quoted(table)} ADD COLUMN {_quoted(name)} {wanted[name]}")
                    there[name] = wanted[name]
            self._known[table] = [n for n, form in wanted.items() if there.get(n) == form]
            missing += [f"{table}.{n}" for n in wanted if n not in self._known[table]]
        self.left_out = tuple(missing)


def ddl(table: str, kind: str, schema: pa.Schema) -> list[str]:
    """Return the statements that make a table, of `kind` predictions or labels."""
    needed = ("at", "request", "row")
    columns = [f"{_quoted(f.name)} {TYPES[f.type]}{' NOT NULL' * (f.name in needed)}" for f in schema]
    made = [f"CREATE TABLE IF NOT EXISTS {_quoted(table)} ({', '.join(columns)})"]
    for name, by in INDEXES[kind].items():
        listed = ", ".join(_quoted(c) for c in by)
        made.append(f"CREATE INDEX IF NOT EXISTS {_quoted(f'{table}_{name}')} ON {_quoted(table)} ({listed})")
    return made


def _types(connection: Any, table: str) -> dict[str, str]:
    """Column -> type of a table that the user sees; nothing where it is not there."""
    found = connection.execute(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute "
        "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
        (_quoted(table),),
    ).fetchall()
    return {str(name): str(form) for name, form in found}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
