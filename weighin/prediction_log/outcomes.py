"""Outcomes of units: read from a table that a team fills, a part at a time, in one form."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from weighin.contract.ab_test import OutcomeTable
from weighin.contract.sources import Files
from weighin.data.engines import Engine
from weighin.errors import NotEvaluated
from weighin.prediction_log.reader import MOMENT, as_moment, in_types
from weighin.prediction_log.stores import Store, Tables, store_for
from weighin.prediction_log.tables import LogTables

SCHEMA = pa.schema([("at", MOMENT), ("unit", pa.string()), ("outcome", pa.string()), ("value", pa.float64())])
"""When it happened, to which unit, what, and how much of it."""
TYPES = {"at": "timestamp", "unit": "string", "outcome": "string", "value": "float"}
"""The same in the contract's words, for files that do not say their types."""


@dataclass(frozen=True)
class Outcomes:
    """An open table of outcomes.

    place       what it is called in messages
    newest      name of an outcome -> moment of its newest row, of those before the end that was given
    undated     name of an outcome -> how many of its rows have no moment; they are in no part
    unreadable  files that cannot be read
    """

    place: str
    newest: dict[str, datetime]
    undated: dict[str, int]
    unreadable: int
    _engine: Engine
    _rows: Any

    def parts(self) -> Iterator[pa.Table]:
        """Yield the rows, a part at a time, in the form of `SCHEMA`. Errors: `NotEvaluated`."""
        with self._engine.reading(self.place):
            for batch in self._engine.batches(self._rows):
                yield in_types(pa.Table.from_batches([batch]), SCHEMA)


@contextlib.contextmanager
def opened(
    given: OutcomeTable, tables: LogTables, folder: Path, names: Sequence[str], first: datetime, before: datetime
) -> Iterator[Outcomes]:
    """Open the table, and of it the rows of some outcomes from `first` on and before a moment.

    tables  of the prediction log, beside which the table lies where the contract says no other place
    folder  that paths are relative to
    names   of the outcomes; rows of others are not read
    Errors: `NotEvaluated` when it is away, is not there, or has not the columns at, unit, outcome and value.
    """
    engine, place, rows, unreadable = _found(given, tables, folder, first, before)
    with contextlib.closing(engine), engine.reading(place):
        absent = [c for c in SCHEMA.names if c not in rows.columns]
        if absent:
            raise NotEvaluated(
                f"the table of outcomes has no column {', '.join(absent)}",
                place,
                f"Its columns are {', '.join(SCHEMA.names)}.",
            )
        rows = rows.select(*SCHEMA.names)
        rows = rows.filter(rows.outcome.isin(list(names)))
        undated = _undated(engine, rows)
        rows = rows.filter(rows["at"] >= as_moment(rows["at"], first), rows["at"] < as_moment(rows["at"], before))
        last = rows.group_by("outcome").aggregate(last=rows["at"].max())
        schema = pa.schema([("outcome", pa.string()), ("last", MOMENT)])
        found = [in_types(pa.Table.from_batches([b]), schema) for b in engine.batches(last)]
        newest = {name: at for part in found for name, at in zip(*part.to_pydict().values(), strict=True)}
        yield Outcomes(place, newest, undated, unreadable, engine, rows)


def _undated(engine: Engine, rows: Any) -> dict[str, int]:
    """Return how many rows of each outcome have no moment: no comparison with one would ever see them."""
    without = rows.filter(rows["at"].isnull())
    counted = without.group_by("outcome").aggregate(rows=without.count())
    schema = pa.schema([("outcome", pa.string()), ("rows", pa.int64())])
    found = [in_types(pa.Table.from_batches([b]), schema) for b in engine.batches(counted)]
    return {name: n for part in found for name, n in zip(*part.to_pydict().values(), strict=True)}


def _found(
    given: OutcomeTable, tables: LogTables, folder: Path, first: datetime, before: datetime
) -> tuple[Engine, str, Any, int]:
    """Return the engine, the place, the table in it, and how many files cannot be read."""
    if given.path is not None and not given.path.endswith(".sqlite"):
        return _files(folder / given.path)
    store: Store
    if given.path is not None:
        store = Tables.sqlite(folder / given.path)
    elif given.connection is not None:
        from weighin.data.engines.database import Database

        store = Tables(Database(given.connection), given.connection)
    else:
        store = store_for(tables)
    try:
        with store.engine.reading(store.place):
            part = store.part(given.table, first, before)
        if part.expression is None:
            raise NotEvaluated(
                f"there is no table {given.table}", store.place, "Write outcomes there, or correct `ab_test.outcomes`."
            )
    except BaseException:
        store.engine.close()
        raise
    return store.engine, store.place, part.expression, part.unreadable


def _files(path: Path) -> tuple[Engine, str, Any, int]:
    """Return a file, or the files of a folder, by DuckDB."""
    from weighin.data.engines.duckdb import DuckDB
    from weighin.prediction_log.stores import MEMORY

    engine, place = DuckDB(MEMORY), str(path)
    try:
        with engine.reading(place):
            return engine, place, engine.files(place, Files.model_validate({"path": place}), TYPES), 0
    except BaseException:
        engine.close()
        raise
