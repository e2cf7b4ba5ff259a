"""Where a prediction log is read: the parts of its two tables that a run needs, as Ibis tables."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from weighin.data.engines import Engine
from weighin.errors import NotEvaluated
from weighin.prediction_log.tables import LogTables

MEMORY = "256MB"
"""What DuckDB may hold in a run, besides what Python holds."""
_NAME = re.compile(r"(\d{12})-(\d{12})-[0-9a-f]+\.parquet")
_DAY = re.compile(r"day=(\d{4}-\d{2}-\d{2})")
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_MAGIC = b"PAR1"


@dataclass(frozen=True)
class Part:
    """Rows of a table between two moments.

    expression  an Ibis table, or None where there are none
    whole       whether all rows are in it, or only so many of the newest as were wanted
    unreadable  files that cannot be read
    """

    expression: Any
    whole: bool = True
    unreadable: int = 0


class Store(ABC):
    """The two tables."""

    engine: Engine
    place: str
    searches: bool
    """Whether a row is found by its request without reading all the others."""

    @abstractmethod
    def part(
        self, table: str, first: datetime | None = None, until: datetime | None = None, newest: int | None = None
    ) -> Part:
        """Return a part that holds all rows of a span, perhaps others too; with `newest` at least so many of the
        newest.

        Errors: `NotEvaluated` when the store is away.
        """


def store_for(tables: LogTables) -> Store:
    """Of the contract's log. Errors: `NotEvaluated` when it is away."""
    if tables.path is None:
        return Tables.of(tables)
    path = Path(tables.path)
    return Tables.sqlite(path) if tables.path.endswith(".sqlite") else Folder(path)


class Tables(Store):
    """Of a database that Ibis speaks to. The filters of a run do the rest."""

    searches = True

    def __init__(self, engine: Any, place: str) -> None:
        self.engine, self.place = engine, place
        self._there = engine.has

    @staticmethod
    def of(tables: LogTables) -> Tables:
        """By an address in the environment."""
        from weighin.data.engines.database import Database

        return Tables(Database(str(tables.connection)), str(tables.connection))

    @staticmethod
    def sqlite(path: Path) -> Tables:
        """Of a file."""
        from weighin.data.engines.database import Database

        try:
            return Tables(Database.sqlite(path), str(path))
        except FileNotFoundError as error:
            raise NotEvaluated("nothing was logged yet", str(path), "Let a server write it.") from error

    def part(
        self, table: str, first: datetime | None = None, until: datetime | None = None, newest: int | None = None
    ) -> Part:
        """Return the table itself."""
        from weighin.contract.sources import Query

        with self.engine.reading(self.place):
            return Part(self.engine.query(Query.model_validate({"table": table})) if self._there(table) else None)


@dataclass(frozen=True)
class LogFile:
    """A file of Parquet. `named`: whether its name says the moments of its rows, or they are those of its day."""

    path: Path
    first: datetime
    last: datetime
    named: bool = True


class Folder(Store):
    """Folders of Parquet files by day. A name that says no moments is looked into whenever its day is."""

    searches = False

    def __init__(self, path: Path) -> None:
        from weighin.data.engines.duckdb import DuckDB

        self._path, self.place = path, str(path)
        if not path.is_dir():
            raise NotEvaluated("nothing was logged yet", self.place, "Let a server write it.")
        self.engine = DuckDB(MEMORY)

    def part(
        self, table: str, first: datetime | None = None, until: datetime | None = None, newest: int | None = None
    ) -> Part:
        """Files by what their names say; their rows are counted only where so many of the newest are wanted."""
        import pyarrow.parquet as pq

        chosen: list[LogFile] = []
        unreadable, rows, reaches, whole = 0, 0, None, True
        with self.engine.reading(self.place):
            for file in self.listed(table, first, until):
                if reaches is not None and file.last < reaches:
                    whole = False
                    # Within a day the order is that of the last moments; a day earlier all are earlier.
                    break
                if not _complete(file.path):
                    unreadable += 1
                    continue
                chosen.append(file)
                if newest is not None and reaches is None:
                    rows += pq.read_metadata(file.path).num_rows
                    if rows >= newest:
                        reaches = min(c.first for c in chosen)
            paths = [str(f.path) for f in chosen]
            return Part(self.engine.parquet(paths) if paths else None, whole, unreadable)  # type: ignore[attr-defined]

    def listed(self, table: str, first: datetime | None = None, until: datetime | None = None) -> Iterator[LogFile]:
        """Files that may hold rows of a span, newest first."""
        first = first or _FIRST
        try:
            days = sorted((n for n in os.listdir(self._path / table) if _DAY.fullmatch(n)), reverse=True)
        except FileNotFoundError:
            return
        for name in days:
            day = date.fromisoformat(name.removeprefix("day="))
            if day < first.date():
                return
            if until is not None and day > until.date():
                continue
            listed = [n for n in os.listdir(self._path / table / name) if n[0] != "." and n.endswith(".parquet")]
            files = (_file(self._path / table / name / n, day) for n in listed)
            inside = (f for f in files if f.last >= first and (until is None or f.first <= until))
            yield from sorted(inside, key=lambda f: f.last, reverse=True)


def _file(path: Path, day: date) -> LogFile:
    found = _NAME.fullmatch(path.name)
    if not found:
        begin = datetime.combine(day, time(), UTC)
        return LogFile(path, begin, begin + timedelta(days=1), named=False)
    # A name says a day's microseconds; the day is its folder's.
    first, last = (datetime.strptime(f"{day} {t}", "%Y-%m-%d %H%M%S%f").replace(tzinfo=UTC) for t in found.groups())
    return LogFile(path, first, last)


def _complete(path: Path) -> bool:
    """Whether a file begins and ends as Parquet does: half a copy does not."""
    try:
        with path.open("rb") as file:
            begins = file.read(4) == _MAGIC
            file.seek(-4, os.SEEK_END)
            return begins and file.read(4) == _MAGIC
    except OSError:
        return False
