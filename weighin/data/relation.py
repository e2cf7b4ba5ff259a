"""A table where it lives: rows are counted there, and only counts, ranges and a bounded sample come back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from weighin.contract.models import TimeBlock
from weighin.contract.sources import Files, Query, Span
from weighin.data.engines import Engine, engine_for, located
from weighin.errors import NotEvaluated

Kind = Literal["integer", "float", "string", "boolean", "timestamp", "date", "other"]
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Labels = NDArray[np.str_]

GROUPS = 2048
"""More groups than these are thrown together at random, by a hash: fewer, larger units are independent as well."""
COLUMNS = 40
"""Columns in one query: a wider table is read in several."""
WIDE = 200
"""Columns beyond which their number, not that of the rows, decides what counting costs: a few rows of very many
columns are counted in this process."""
VALUES = 4_000_000
STRIDE = 2048
"""More cells than a column may have; tells columns apart that are counted in one query."""
FEW = 1_000_000
"""Up to so many pairs of a value and a group, equal values are counted before anything else is done with them."""
HUGE = 1e300
SUMS = ("n", "s", "q", "low", "high", "infinite")


@dataclass(frozen=True)
class Cells:
    """How the rows of a column are counted.

    edges       of a number: cells are closed below, `len(edges) + 1` of them
    categories  of anything else: the first `own` have a cell each, the rest share one; then one for values that are
                none of them
    A last cell counts missing values. `centre` and `scale` are the middle and the spread of a number, in which its
    moments are taken: sums of squares of large numbers lose their digits.
    """

    kind: Literal["number", "category"]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    own: int = 0
    centre: float = 0.0
    scale: float = 1.0

    @property
    def count(self) -> int:
        """How many cells there are, that of missing values included."""
        return len(self.edges) + 2 if self.kind == "number" else self.own + 3


@dataclass(frozen=True)
class Moments:
    """Of a number: (groups, 3) finite values, their sum and sum of squares, both of (value - centre) / scale; the range
    of the finite values, and how many are not (infinite, above 1e300 in size, or 1e100 times the spread away)."""

    by_group: Floats
    minimum: float | None
    maximum: float | None
    infinite: int


@dataclass(frozen=True)
class Counted:
    """(groups, cells) rows of a column, and the moments of a number."""

    counts: Counts
    moments: Moments | None


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
        chosen = engine_for(given, engine)
        with chosen.reading(place):
            if isinstance(given, Files):
                opened = chosen.files(located(given, folder), given, types or {})
            else:
                opened = chosen.query(given)
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

    def run(self, expression: Any) -> pa.Table:
        """The answer to a query. Errors: `NotEvaluated`."""
        with self.engine.reading(self.place):
            return expression.to_pyarrow()

    def value(self, column: str) -> Any:
        """What of a column is counted: a double for numbers and times, text for the rest; NaN is missing."""
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

    def sample(self, columns: Sequence[str], rows: int) -> pa.Table:
        """`value`s of about so many rows; of all of them where there are no more."""
        drawn = self._drawn(rows)
        taken = drawn.expression.select(**{c: drawn.value(c) for c in columns}) if columns else None
        return pa.table({}) if taken is None else drawn.run(taken)

    def rows_sampled(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """The columns as they are, of all rows or of about so many."""
        drawn = self._drawn(rows)
        with self.engine.reading(self.place):
            yield from self.engine.batches(drawn.expression.select(*columns))

    def _drawn(self, rows: int) -> Relation:
        if self.rows <= rows:
            return self
        with self.engine.reading(self.place):
            return Relation(self.engine.sample(self.expression, rows / self.rows), self.engine, self.place)

    def save(self, columns: Sequence[str], rows: int, path: Path) -> None:
        """Write the columns of all rows, or of a sample of about so many, as one Parquet file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = None
        for batch in self.rows_sampled(columns, rows):
            writer = writer or pq.ParquetWriter(path, batch.schema, compression="zstd")
            writer.write_batch(batch)
        if writer is None:
            raise NotEvaluated("there are no rows", self.place, "Nothing can be measured on an empty table.")
        writer.close()

    def distinct(self, columns: Sequence[str]) -> dict[str, int]:
        """About how many different values each column has, by the engine's own sketch."""
        found: dict[str, int] = {}
        for part in _parts(columns):
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

    def counted(
        self, cells: Mapping[str, Cells], group: str | TimeBlock | None, distinct: Mapping[str, int]
    ) -> dict[str, Counted]:
        """Every row of the columns, counted by group. Without a group there is one; groups come sorted by label.

        distinct  column -> about how many values it has; decides how a column is counted, not what comes out
        """
        key, groups = self._grouped(group)
        if len(cells) > WIDE and self.rows * len(cells) <= VALUES:
            return self._here(key, cells)
        if not self.engine.reads_once:
            return {c: self._one(key, c, of, few=distinct[c] * groups <= FEW) for c, of in cells.items()}
        found: dict[str, Counted] = {}
        for part in _parts(list(cells)):
            found |= self._together(key, {c: cells[c] for c in part})
        return found

    def _here(self, key: Any, cells: Mapping[str, Cells]) -> dict[str, Counted]:
        """Few rows of many columns, fetched and counted here."""
        answer = self.run(self.expression.select(key=key, **{f"v{i}": self.value(c) for i, c in enumerate(cells)}))
        groups, labels = _groups(answer)
        found = {}
        for i, (column, of) in enumerate(cells.items()):
            values = answer[f"v{i}"].to_numpy(zero_copy_only=False)
            counts = np.zeros((len(labels), of.count), dtype=np.int64)
            if of.kind == "category":
                places = {c: min(j, of.own) for j, c in enumerate(of.categories)} | {None: of.own + 2}
                np.add.at(counts, (groups, np.array([places.get(v, of.own + 1) for v in values])), 1)
                found[column] = Counted(counts, None)
                continue
            values = values.astype(np.float64)
            code = np.searchsorted(of.edges, values, side="right")
            np.add.at(counts, (groups, np.where(np.isnan(values), of.count - 1, code)), 1)
            finite = (np.abs(values) <= HUGE) & (np.abs(values - of.centre) <= min(HUGE, of.scale * 1e100))
            unit = (values[finite] - of.centre) / of.scale
            sums = np.zeros((len(labels), 3))
            np.add.at(sums, groups[finite], np.column_stack([np.ones(len(unit)), unit, unit * unit]))
            low, high = (float(f(values[finite])) if finite.any() else None for f in (np.min, np.max))
            found[column] = Counted(counts, Moments(sums, low, high, int((~finite & ~np.isnan(values)).sum())))
        return found

    def _one(self, key: Any, column: str, cells: Cells, *, few: bool) -> Counted:
        """One column in a query of its own.

        few  count equal values first: where they are few, cells and sums then cost nothing
        """
        number = cells.kind == "number"
        apart = not few and len(cells.categories) > cells.own
        t = self.expression.select(key=key, value=self.value(column))
        if few:
            t = t.group_by(["key", "value"]).aggregate(n=t.count())
        t = t.mutate(code=_code(t.value, cells, apart=apart))
        times = t.n if few else None
        wanted = {"rows": t.n.sum() if few else t.count(), **(_sums(t.value, times, cells) if number else {})}
        answer = self.run(t.group_by(["key", "code"]).aggregate(**wanted))
        groups, labels = _groups(answer)
        counts = np.zeros((len(labels), cells.count), dtype=np.int64)
        np.add.at(
            counts, (groups, answer["code"].to_numpy().astype(np.int64)), _floats(answer["rows"]).astype(np.int64)
        )
        if apart:
            self._move_strangers(key, column, cells, counts, labels)
        return Counted(counts, _moments(answer, groups, len(labels)) if number else None)

    def _move_strangers(self, key: Any, column: str, cells: Cells, counts: Counts, labels: Labels) -> None:
        """Tell values that are no listed category from the rest of the listed: a filter looks them up in a hash table,
        where a CASE would compare with each."""
        strange = self.value(column).notin(list(cells.categories))
        t = self.expression.filter(strange).select(key=key)
        answer = self.run(t.group_by("key").aggregate(rows=t.count()))
        at = np.searchsorted(labels, np.array(answer["key"].to_pylist(), dtype=labels.dtype))
        rows = _floats(answer["rows"]).astype(np.int64)
        counts[at, cells.own] -= rows
        counts[at, cells.own + 1] += rows

    def _together(self, key: Any, cells: Mapping[str, Cells]) -> dict[str, Counted]:
        """Several columns in one query for the counts and one for the moments, however many columns there are."""
        import ibis

        codes = [_code(self.value(c), of) + i * STRIDE for i, (c, of) in enumerate(cells.items())]
        t = self.expression.select(key=key, code=ibis.array(codes).unnest())
        answer = self.run(t.group_by(["key", "code"]).aggregate(rows=t.count()))
        groups, labels = _groups(answer)
        place, cell = np.divmod(answer["code"].to_numpy().astype(np.int64), STRIDE)
        rows = answer["rows"].to_numpy().astype(np.int64)
        moments = self._all_moments(key, {c: of for c, of in cells.items() if of.kind == "number"})
        found = {}
        for i, (column, of) in enumerate(cells.items()):
            counts = np.zeros((len(labels), of.count), dtype=np.int64)
            here = place == i
            np.add.at(counts, (groups[here], cell[here]), rows[here])
            found[column] = Counted(counts, moments.get(column))
        return found

    def _all_moments(self, key: Any, cells: Mapping[str, Cells]) -> dict[str, Moments]:
        if not cells:
            return {}
        t = self.expression.select(key=key, **{f"value{i}": self.value(c) for i, c in enumerate(cells)})
        wanted: dict[str, Any] = {}
        for i, of in enumerate(cells.values()):
            wanted |= {f"{name}{i}": sum_ for name, sum_ in _sums(t[f"value{i}"], None, of).items()}
        answer = self.run(t.group_by("key").aggregate(**wanted))
        groups, labels = _groups(answer)
        return {
            c: _moments(answer.select([f"{n}{i}" for n in SUMS]).rename_columns(SUMS), groups, len(labels))
            for i, c in enumerate(cells)
        }

    def _grouped(self, group: str | TimeBlock | None) -> tuple[Any, int]:
        """The key that rows of one sampling unit share, and about how many there are.

        Errors: `NotEvaluated` when a row has none.
        """
        import ibis

        if group is None:
            return ibis.literal("all"), 1
        name = group.column if isinstance(group, TimeBlock) else group
        if name not in self.kinds:
            raise NotEvaluated(f"no column {name} to group by", self.place, "Correct `group`, or the data.")
        column = self.expression[name]
        if isinstance(group, TimeBlock):
            if self.kinds[name] not in ("timestamp", "date"):
                raise NotEvaluated(f"column {name} holds no time", self.place, "Correct `group`.")
            key = (self.value(name) / (group.hours * 3600)).floor().cast("int64").cast("string")
        else:
            key = column.cast("string")
        missing, groups = self._how_many(key)
        if missing:
            raise NotEvaluated(f"{missing} rows have no group", self.place, "Every row must belong to a group.")
        if groups > GROUPS:
            key = ((key.hash() % GROUPS + GROUPS) % GROUPS).cast("string")
        return key, min(groups, GROUPS)

    def _how_many(self, key: Any) -> tuple[int, int]:
        t = self.expression.select(group=key)
        row = self.run(t.aggregate(missing=t.count() - t.group.count(), groups=t.group.approx_nunique()))
        return int(row["missing"][0].as_py() or 0), int(row["groups"][0].as_py() or 0)


def _parts(columns: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(columns), COLUMNS):
        yield columns[start : start + COLUMNS]


def _groups(answer: pa.Table) -> tuple[NDArray[np.int64], Labels]:
    """The group of each row of an answer, as a number, and the groups' labels, sorted."""
    labels, groups = np.unique(np.array(answer["key"].to_pylist(), dtype=str), return_inverse=True)
    return groups.astype(np.int64), labels


def _code(value: Any, cells: Cells, *, apart: bool = False) -> Any:
    """The number of the cell that a value falls into; with `apart` strangers are counted with the rest for now."""
    import ibis

    last = cells.count - 1
    if cells.kind == "number":
        return ibis.ifelse(value.notnull(), _cell(value, cells.edges, 0), last).cast("int64")
    branches = [(value == c, i) for i, c in enumerate(cells.categories[: cells.own])]
    rest = cells.categories[cells.own :]
    if rest and not apart:
        branches.append((value.isin(rest), cells.own))
    return ibis.cases((value.isnull(), last), *branches, else_=cells.own + (0 if apart else 1)).cast("int64")


def _sums(value: Any, times: Any | None, cells: Cells) -> dict[str, Any]:
    """Aggregates of the finite values, each counted so many `times` (None: once).

    Databases differ in what they do with a product that is too large or too small for a double, so none is formed.
    """
    import ibis

    large = _double(HUGE)
    away = value - _double(cells.centre)
    reach, dust = _double(min(HUGE, cells.scale * 1e100)), _double(cells.scale * 1e-100)
    inside = (value <= large) & (value >= -large)
    finite = ibis.ifelse(inside & (away <= reach) & (away >= -reach), value, ibis.null("float64"))
    shifted = finite - _double(cells.centre)
    unit = ibis.ifelse((shifted < dust) & (shifted > -dust), _double(0.0), shifted / _double(cells.scale))
    square = ibis.ifelse((unit < 1e-100) & (unit > -1e-100), _double(0.0), unit * unit)
    infinite = value.notnull() & finite.isnull()
    return {
        "n": finite.count() if times is None else ibis.ifelse(finite.notnull(), times, 0).sum(),
        "s": unit.sum() if times is None else (unit * times).sum(),
        "q": square.sum() if times is None else (square * times).sum(),
        "low": finite.min(),
        "high": finite.max(),
        "infinite": ibis.ifelse(infinite, 1 if times is None else times, 0).sum(),
    }


def _moments(answer: pa.Table, groups: NDArray[np.int64], count: int) -> Moments:
    sums = np.zeros((count, 3))
    np.add.at(sums, groups, np.column_stack([_floats(answer[name]) for name in ("n", "s", "q")]))
    low, high = ([v for v in answer[name].to_pylist() if v is not None] for name in ("low", "high"))
    infinite = int(_floats(answer["infinite"]).sum())
    return Moments(sums, min(low, default=None), max(high, default=None), infinite)


def _cell(value: Any, edges: Sequence[float], first: int) -> Any:
    """A search tree of comparisons: as deep as the logarithm of the number of edges."""
    import ibis

    if not edges:
        return ibis.literal(first)
    half = len(edges) // 2
    below, above = _cell(value, edges[:half], first), _cell(value, edges[half + 1 :], first + half + 1)
    return ibis.ifelse(value < _double(edges[half]), below, above)


def _double(value: float) -> Any:
    """A literal that every engine reads as exactly this double: a bare 0.1 is a decimal to some of them."""
    import ibis

    return ibis.literal(repr(float(value))).cast("float64")


def _floats(values: pa.ChunkedArray) -> Floats:
    """Numbers of an answer; nothing counted is a zero."""
    return np.array([0.0 if v is None else float(v) for v in values.to_pylist()])


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
    """A column without a zone is taken to be UTC."""
    utc = moment.astimezone(UTC)
    return utc if zoned else utc.replace(tzinfo=None)
