"""A table where it lives: rows are counted there, and only counts, ranges and a bounded sample come back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from weighin.contract.sources import Files, Query, Span
from weighin.data.engines import Engine, Expression, engine_for, located
from weighin.data.folders import refuse_table_format
from weighin.errors import NotEvaluated
from weighin.untrusted.redact import reduced

Kind = Literal["integer", "float", "string", "boolean", "timestamp", "date", "other"]

COLUMNS = 40
"""Columns in one query: a wider table is read in several."""


@dataclass(frozen=True)
class Relation:
    """Rows of a source.

    expression  an Ibis table
    place       what the source is called in messages
    """

    expression: Any
    engine: Engine
    place: str

    @staticmethod
    def of(
        given: Files | Query,
        folder: Path,
        engine: str = "duckdb",
        types: Mapping[str, str] | None = None,
        span: Span | None = None,
        time_column: str | None = None,
    ) -> Relation:
        """Open a source; with `span` only the rows whose time lies in it.

        types  column -> type of the contract, for formats that name none
        Errors: `NotEvaluated` when it is not there or cannot be read.
        """
        place = located(given, folder) if isinstance(given, Files) else f"table {given.table or given.query}"
        if isinstance(given, Files) and not given.remote:
            refuse_table_format(place)
        chosen = engine_for(given, engine)
        chosen.names = tuple(types or ())
        with chosen.reading(place):
            opened = chosen.files(place, given, types or {}) if isinstance(given, Files) else chosen.query(given)
            if span is not None:
                opened = _within(opened, str(time_column), span, place)
        return Relation(opened, chosen, place)

    @staticmethod
    def over(rows: pa.Table) -> Relation:
        """Rows in memory."""
        from weighin.data.engines.duckdb import DuckDB

        engine = DuckDB()
        return Relation(engine.registered(rows), engine, "a table in memory")

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """Column -> kind, in the order of the table."""
        return {name: _kind(dtype) for name, dtype in self.expression.schema().items()}

    @cached_property
    def rows(self) -> int:
        """How many rows there are. Errors: `NotEvaluated` when the source cannot be read."""
        return int(self.run(self.expression.aggregate(n=self.expression.count()))["n"][0].as_py())

    def run(self, expression: Expression) -> pa.Table:
        """Return the answer to a query. Errors: `NotEvaluated`."""
        with self.engine.reading(self.place):
            return expression.to_pyarrow()

    def value(self, column: str) -> Expression:
        """Return what of a column is counted: a double for numbers and times, text for the rest; NaN is missing."""
        import ibis

        found = self.expression[column]
        match self.kinds[column]:
            case "integer":
                return found.cast("float64")
            case "float":
                double = found.cast("float64")
                return ibis.ifelse(double.isnan(), ibis.null("float64"), double)
            case "timestamp":
                return found.epoch_seconds().cast("float64")
            case "date":
                return found.cast("timestamp").epoch_seconds().cast("float64")
            case "string":
                return found
            case "boolean":
                return ibis.ifelse(found, "true", "false")
            case _:
                raise NotEvaluated(
                    f"column {column} holds {found.type()}", self.place, "Only flat columns are counted."
                )

    def is_number(self, column: str) -> bool:
        """Whether a column is counted in ordered cells."""
        return self.kinds[column] in ("integer", "float", "timestamp", "date")

    def values(self, columns: Sequence[str], key: Expression | None = None) -> tuple[pa.Table, pa.ChunkedArray | None]:
        """Return the `value`s of all rows, and what a key is in each of them."""
        grouped = {} if key is None else {"key": key}
        wanted = {f"value{i}": self.value(c) for i, c in enumerate(columns)}
        if not grouped | wanted:
            return pa.table({}), None
        found = self.run(self.expression.select(**wanted, **grouped))
        values = found.select(list(wanted)).rename_columns(list(columns))
        return values, found["key"] if grouped else None

    def sample(self, columns: Sequence[str], rows: int) -> pa.Table:
        """`value`s of about so many rows; of all of them where there are no more."""
        return self._drawn(rows).values(columns)[0]

    def rows_sampled(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the columns as they are, of all rows or of about so many."""
        drawn = self._drawn(rows)
        with self.engine.reading(self.place):
            yield from self.engine.batches(drawn.expression.select(*columns))

    def _drawn(self, rows: int) -> Relation:
        if self.rows <= rows:
            return self
        with self.engine.reading(self.place):
            return Relation(self.engine.sample(self.expression, rows / self.rows), self.engine, self.place)

    def save(self, columns: Sequence[str], rows: int, path: Path) -> None:
        """Write the columns of all rows, or of a sample of about so many, as one Parquet file, a part at a time.

        Errors: `NotEvaluated` when there are no rows, they cannot be read, or there is no room for them.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as opened:
            writer = None
            for batch in self.rows_sampled(columns, rows):
                try:
                    writer = writer or opened.enter_context(pq.ParquetWriter(path, batch.schema, compression="zstd"))
                    writer.write_batch(batch)
                except OSError as error:
                    said = reduced(error)
                    raise NotEvaluated(f"its rows cannot be kept here ({said})", str(path), "Make room.") from error
        if writer is None:
            raise NotEvaluated("there are no rows", self.place, "Nothing can be measured on an empty table.")

    def distinct(self, columns: Sequence[str]) -> dict[str, int]:
        """About how many different values each column has, by the engine's own sketch."""
        found: dict[str, int] = {}
        for part in in_parts(columns):
            row = self.run(self.expression.aggregate(**{c: self.value(c).approx_nunique() for c in part}))
            found |= {c: int(row[c][0].as_py() or 0) for c in part}
        return found

    def other_categories(self, column: str, known: Sequence[str], most: int) -> list[str]:
        """Up to `most` categories that are not among the known ones."""
        value = self.expression.select(v=self.value(column))
        left = (
            value.filter(value.v.notnull() & value.v.notin(list(known))) if known else value.filter(value.v.notnull())
        )
        return sorted(self.run(left.distinct().limit(most))["v"].to_pylist())


def in_parts(columns: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(columns), COLUMNS):
        yield columns[start : start + COLUMNS]


def _kind(dtype: Any) -> Kind:
    if dtype.is_integer():
        return "integer"
    if dtype.is_floating() or dtype.is_decimal():
        return "float"
    for name in ("string", "boolean", "timestamp", "date"):
        if getattr(dtype, f"is_{name}")():
            return name
    return "other"


def _within(expression: Any, column: str, span: Span, place: str) -> Any:
    """Rows of a span of time, by a comparison that the engine can push down to its files."""
    import ibis

    if column not in expression.columns:
        raise NotEvaluated(f"no column {column} to cut a window by", place, "Correct `window`, or the data.")
    dtype = expression[column].type()
    bounds: list[Any]
    if dtype.is_date():
        day = timedelta(days=1) - timedelta(microseconds=1)
        bounds = [(moment + day).astimezone(UTC).date() for moment in (span.first, span.before)]
    elif dtype.is_timestamp():
        bounds = [_moment(moment, zoned=dtype.timezone is not None) for moment in (span.first, span.before)]
    else:
        raise NotEvaluated(f"column {column} holds {dtype}, no time", place, "Correct `role: time`, or the data.")
    first, before = (ibis.literal(b, type=dtype) for b in bounds)
    return expression.filter((expression[column] >= first) & (expression[column] < before))


def _moment(moment: datetime, *, zoned: bool) -> datetime:
    """Take a column without a zone to be UTC."""
    utc = moment.astimezone(UTC)
    return utc if zoned else utc.replace(tzinfo=None)
