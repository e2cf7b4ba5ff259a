"""Where a prediction log is written: a folder of Parquet files, an SQLite file, PostgreSQL. One module for each."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from datetime import datetime
from typing import ClassVar

import pyarrow as pa

from weighin.errors import NotEvaluated, WeighinError
from weighin.prediction_log.tables import LogTables

CHUNK = 10_000
RETAIN_SECONDS = 5
POSTGRES = ("postgres://", "postgresql://")


class SinkError(WeighinError):
    """The log cannot be written now: it is away, full, or locked. The same rows are tried again."""

    exit_code = 7


class Unstorable(WeighinError):
    """These rows will never be taken; others may be."""

    exit_code = 7


class Sink(ABC):
    """A place for rows. It connects at the first use, and again after a failure; one thread uses it."""

    batch_seconds: ClassVar[float] = 5.0
    """How long rows wait for others to be stored with."""

    def __init__(self, tables: LogTables) -> None:
        self.tables = tables

    @abstractmethod
    def write(self, table: str, rows: pa.Table) -> None:
        """Append rows to the table of that name, all or none. Errors: `SinkError`, `Unstorable`."""

    @abstractmethod
    def retain(self, since: datetime) -> int:
        """Remove what is older, for a few seconds at most; returns how many rows or files. Errors: `SinkError`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections."""

    def schema(self, table: str) -> pa.Schema:
        """Of one of the two tables."""
        return self.tables.schema if table == self.tables.predictions else self.tables.label_schema


class TableSink(Sink):
    """A database: rows are removed a part at a time, so that whoever writes meanwhile waits for one part."""

    def retain(self, since: datetime) -> int:
        """Until nothing is older, or a few seconds are over."""
        gone, until = 0, time.monotonic() + RETAIN_SECONDS
        for table in (self.tables.predictions, self.tables.labels):
            part = CHUNK
            while part == CHUNK and time.monotonic() < until:
                part = self.remove(table, since, CHUNK)
                gone += part
        return gone

    @abstractmethod
    def remove(self, table: str, since: datetime, most: int) -> int:
        """Remove at most so many older rows of a table; returns how many. Errors: `SinkError`."""


def sink_for(tables: LogTables) -> Sink:
    """Return the sink that the contract names. Errors: `NotEvaluated` when nothing here can write there."""
    if tables.path is not None:
        if tables.path.endswith(".sqlite"):
            from weighin.prediction_log.sinks.sqlite import SQLite

            return SQLite(tables)
        from weighin.prediction_log.sinks.parquet import ParquetFolder

        return ParquetFolder(tables)
    address = os.environ.get(str(tables.connection), "")
    if not address:
        raise NotEvaluated(
            f"the environment has no {tables.connection}", "the prediction log", "Set it to the database's address."
        )
    if not address.startswith(POSTGRES):
        raise NotEvaluated(
            f"nothing here writes to {address.partition(':')[0]}",
            str(tables.connection),
            "Name PostgreSQL, or fill the tables yourself: any database that Ibis speaks to is read.",
        )
    from weighin.prediction_log.sinks.postgres import Postgres

    return Postgres(tables)


def said(error: BaseException) -> str:
    """Return what a driver says, without secrets; of an error over rows, which quotes them, a type and a code."""
    # Not above: the engines import the contract, which a server that logs has no other need of.
    from weighin.data.engines import told

    return told(error)
