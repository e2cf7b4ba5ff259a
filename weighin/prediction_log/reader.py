"""Read a prediction log: the last rows, or the last hours, with their labels, at a cost that does not grow with it.

What cannot be used is left out and counted: rows logged twice, labels that contradict, clocks that run ahead, rows and
files that were written by half.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from weighin.contract.reading import ContractFile
from weighin.contract.sources import Span
from weighin.errors import NotEvaluated
from weighin.prediction_log.stores import Part, Store, store_for
from weighin.prediction_log.tables import KEY, LogTables

AHEAD = timedelta(minutes=5)
"""So far clocks of servers may differ; rows that lie further ahead are left out."""
AHEAD_AT_MOST = 100_000
"""More of them are not counted."""
LONGEST_SEARCH = 64
"""Labels come for other versions too: so many times the rows wanted are looked at."""

MOMENT = pa.timestamp("us", tz="UTC")
SERVED = ("role", "version", "digest")
"""Columns of the log that say who answered."""

Kind = Literal["all", "predicted", "labelled"]


@dataclass(frozen=True)
class Faults:
    """What a run left out.

    duplicates      rows whose request, row and role came earlier: the first counts
    contradictions  rows with labels that differ: their label counts as unknown
    ahead           rows or labels of the future, by more than five minutes
    broken          rows without a request, or without a number in it
    unreadable      files that were written by half
    """

    duplicates: int = 0
    contradictions: int = 0
    ahead: int = 0
    broken: int = 0
    unreadable: int = 0

    def __add__(self, other: Faults) -> Faults:
        return Faults(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @property
    def messages(self) -> tuple[str, ...]:
        """One for each kind that there is.

        >>> Faults(duplicates=2).messages
        ('2 rows stand in the log twice, with one request, row and role: the first counts',)
        """
        said = {
            "duplicates": "rows stand in the log twice, with one request, row and role: the first counts",
            "contradictions": "rows have labels that contradict each other: their label counts as unknown",
            "ahead": "rows lie in the future: a server's clock is wrong, and they are left out",
            "broken": "rows say no request or no number in it, and are left out",
            "unreadable": "files are not whole, and are left out",
        }
        more = {"ahead": "or more "} if self.ahead >= AHEAD_AT_MOST else {}
        return tuple(f"{getattr(self, k)} {more.get(k, '')}{text}" for k, text in said.items() if getattr(self, k))


@dataclass(frozen=True)
class Found:
    """Rows of the log, oldest first, with the columns of its table and `label`, `label_at` (null where none came).
    What belongs to a request, such as its status and time, stands in each of its rows; that with `row` 0 stands for it.

    cut  whether more rows than `most_rows` lay in the span: the newest are here
    """

    rows: pa.Table
    faults: Faults = field(default_factory=Faults)
    cut: bool = False


@dataclass(frozen=True)
class Units:
    """Whom requests were for.

    units       unit, the moment of its `first` request, and for each role how many requests it had
    served      role, version and digest, how many requests each had, and how many of them name no unit
    unreadable  files that cannot be read
    """

    units: pa.Table
    served: pa.Table
    unreadable: int = 0


@dataclass(frozen=True)
class _Wanted:
    """Which rows: as `Log.last_rows`."""

    version: str | None
    role: str | None
    kind: Kind = "all"
    since: datetime | None = None

    def after(self, first: datetime | None, early: timedelta = timedelta()) -> datetime | None:
        """Return the later of `first` and `since` less `early`; None where neither is given."""
        given = [m for m in (first, None if self.since is None else self.since - early) if m is not None]
        return max(given, default=None)


@dataclass(frozen=True)
class Log:
    """The prediction log of a contract. Every method reads anew; all moments have a zone."""

    tables: LogTables

    @staticmethod
    def of(file: ContractFile) -> Log:
        """Errors: `ContractError` where the contract has no `monitor`."""
        return Log(LogTables.of(file))

    def last_rows(
        self,
        n: int,
        now: datetime,
        *,
        version: str | None = None,
        role: str = "champion",
        kind: Kind = "all",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Found:
        """Return the newest n rows, or fewer where there are no more.

        kind   `all`: failed requests too; `predicted`: rows with a prediction; `labelled`: the n rows with a prediction
               whose labels came last, in the order in which they came
        since  no row of a request that came earlier
        until  no row (`labelled`: no label) that came later
        Errors: `NotEvaluated` when the log is away or its table cannot be used.
        """
        return self._read(n, now, _Wanted(version, role, kind, since), None, until)

    def last_hours(
        self,
        hours: float,
        now: datetime,
        most_rows: int,
        *,
        version: str | None = None,
        role: str = "champion",
        kind: Kind = "all",
        since: datetime | None = None,
        back: int = 0,
    ) -> Found:
        """Return the rows of the last hours (`labelled`: whose labels came in them), at most the newest `most_rows`.

        since  as `last_rows`
        back   so many times these hours earlier, up to where the hours after them begin
        Errors: as `last_rows`.
        """
        first = now - timedelta(hours=hours * (back + 1))
        # Both ends of a span belong to it, and moments are of microseconds.
        last = now - timedelta(hours=hours * back, microseconds=1) if back else None
        found = self._read(most_rows + 1, now, _Wanted(version, role, kind, since), first, last)
        if found.rows.num_rows <= most_rows:
            return found
        return Found(found.rows.slice(found.rows.num_rows - most_rows), found.faults, cut=True)

    def requests(self, span: Span, *, version: str | None = None, role: str = "champion") -> int:
        """Return how many requests lie in a span; duplicates count. Errors: as `last_rows`."""
        with _opened(self.tables) as store:
            part = self._part(store, span.first, span.before)
            if part.expression is None:
                return 0
            reading = _Reading(self.tables, store, part.expression)
            rows = reading.chosen(span.first, span.before, _Wanted(version, role), ends=False)
            # A request has one row or more, and one of number 0.
            found = rows.aggregate(requests=(rows.row == 0).sum()).to_pyarrow()
        return int(found["requests"][0].as_py() or 0)

    def units(self, span: Span, roles: Sequence[str]) -> Units:
        """Return the units of the requests in a span that have one of two roles, and what each role served.

        Errors: as `last_rows`; `NotEvaluated` as well where the table has no column `unit`.
        """
        schema = pa.schema([("unit", pa.string()), ("first", MOMENT), *((r, pa.int64()) for r in roles)])
        numbers = [(n, pa.int64()) for n in ("requests", "without_unit")]
        served = pa.schema([*((n, pa.string()) for n in SERVED), *numbers])
        with _opened(self.tables) as store:
            part = self._part(store, span.first, span.before)
            if part.expression is None:
                return Units(schema.empty_table(), served.empty_table(), part.unreadable)
            reading = _Reading(self.tables, store, part.expression)
            rows = reading.chosen(span.first, span.before, _Wanted(None, None), ends=False)
            absent = [c for c in ("unit", *SERVED) if c not in rows.columns]
            if absent:
                raise NotEvaluated(
                    f"the table {self.tables.predictions} has no column {', '.join(absent)}",
                    store.place,
                    "docs/reference/prediction-log.md shows its columns.",
                )
            rows = rows.filter(rows.row == 0, rows.role.isin(list(roles)))
            without = rows.unit.isnull().sum()
            kinds = rows.group_by(list(SERVED)).aggregate(requests=rows.count(), without_unit=without)
            named = rows.filter(rows.unit.notnull())
            counts = {role: (named.role == role).sum() for role in roles}
            units = named.group_by("unit").aggregate(first=named["at"].min(), **counts)
            return Units(collected(store, units, schema), collected(store, kinds, served), part.unreadable)

    def beside(
        self, rows: pa.Table, now: datetime, *, version: str | None, role: str = "champion", other: str = "shadow"
    ) -> Found:
        """Return what another role answered to the rows that were found of a version and a role.

        A shadow answers a copy of a request, under the request's id, at about the same time. Searched are the stretch
        of time in which the rows lie, and a little around it.
        Errors: as `last_rows`.
        """
        if not rows.num_rows:
            return Found(_empty(self.tables))
        oldest, newest = pc.min(rows["at"]).as_py(), pc.max(rows["at"]).as_py()
        until = min(newest + AHEAD, now.astimezone(UTC) + AHEAD)
        with _opened(self.tables) as store:
            part = self._part(store, oldest - AHEAD, until)
            if part.expression is None:
                return Found(_empty(self.tables), Faults(unreadable=part.unreadable))
            reading = _Reading(self.tables, store, part.expression)
            same = reading.chosen(oldest, newest, _Wanted(version, role, "predicted")).select("request", "row")
            answers = reading.chosen(oldest - AHEAD, until, _Wanted(None, other, "predicted"))
            unique, faults = _unique(reading.fetched(answers.semi_join(same, ["request", "row"])))
        joined, _ = _with_labels(unique, _no_labels(self.tables))
        return Found(joined, faults + Faults(unreadable=part.unreadable))

    def _read(
        self, n: int, now: datetime, wanted: _Wanted, first: datetime | None = None, last: datetime | None = None
    ) -> Found:
        """first, last: of the rows, or of labels where those count."""
        until = now.astimezone(UTC) + AHEAD
        last = until if last is None else min(last, until)
        with _opened(self.tables) as store:
            ahead = self._ahead(store, until)
            if wanted.kind == "labelled":
                found = self._labelled(store, n, first, last, until, wanted)
            else:
                found = self._newest(store, n, wanted.after(first), last, until, wanted)
        return Found(found.rows, found.faults + ahead)

    def _part(self, store: Store, first: datetime | None, until: datetime, newest: int | None = None) -> Part:
        return store.part(self.tables.predictions, first, until, newest)

    def _ahead(self, store: Store, until: datetime) -> Faults:
        """Rows of the future."""
        found = 0
        for table in (self.tables.predictions, self.tables.labels):
            rows = store.part(table, until).expression
            if rows is not None and "at" in rows.columns:
                later = rows.filter(rows.at > as_moment(rows.at, until)).select("at").limit(AHEAD_AT_MOST)
                found += int(later.count().to_pyarrow().as_py())
        return Faults(ahead=found)

    def _newest(
        self,
        store: Store,
        n: int,
        first: datetime | None,
        last: datetime,
        until: datetime,
        wanted: _Wanted,
    ) -> Found:
        # Some more, as some of them may stand there twice; files for some more again, as some are of other versions.
        limit = files = n + n // 20 + 20
        while True:
            part = self._part(store, first, last, files)
            if part.expression is None:
                return Found(_empty(self.tables), Faults(unreadable=part.unreadable))
            reading = _Reading(self.tables, store, part.expression)
            rows = reading.chosen(first, last, wanted)
            taken = reading.fetched(_newest_first(rows, wanted.version).limit(limit))
            unique, faults = _unique(taken)
            if unique.num_rows >= n:
                break
            if taken.num_rows == limit:
                limit *= 2
                files = max(files, limit)
            elif part.whole:
                break
            else:
                files *= 4
        unique = unique.slice(max(0, unique.num_rows - n))
        labels = self._labels_of(store, rows, unique, until)
        joined, contradictions = _with_labels(unique, labels)
        faults = faults + Faults(contradictions=contradictions, unreadable=part.unreadable)
        return Found(joined, faults)

    def _labels_of(self, store: Store, rows: Any, taken: pa.Table, until: datetime) -> pa.Table:
        """Labels of rows that were fetched, whenever they came."""
        if not taken.num_rows:
            return _no_labels(self.tables)
        oldest, newest = pc.min(taken["at"]).as_py(), pc.max(taken["at"]).as_py()
        labels = _Labels(self.tables, store, oldest - AHEAD, until)
        if labels.expression is None:
            return _no_labels(self.tables)
        # Both ends: rows of a version that is gone are found by an index as well.
        same = rows.filter(rows.at >= as_moment(rows.at, oldest), rows.at <= as_moment(rows.at, newest))
        same = same.select("request", "row")
        return labels.fetched(labels.expression.semi_join(same, ["request", "row"]))

    def _labelled(
        self, store: Store, n: int, first: datetime | None, last: datetime, until: datetime, wanted: _Wanted
    ) -> Found:
        limit = n + n // 20 + 20
        # No label comes before its prediction, but for clocks that differ.
        begin = wanted.after(first, AHEAD)
        while True:
            newest = _Labels(self.tables, store, begin, last, limit)
            if newest.expression is None:
                return Found(_empty(self.tables))
            came = newest.expression
            came = came.filter(came.label.notnull())
            taken = newest.fetched(_newest_first(came).limit(limit))
            if not taken.num_rows:
                return Found(_empty(self.tables))
            since = pc.min(taken["at"]).as_py()
            keys = came.filter(came.at >= as_moment(came.at, since)).select("request", "row").distinct()
            found = self._answers_to(store, keys, until, wanted)
            if found.rows.num_rows >= n or taken.num_rows < limit or limit > LONGEST_SEARCH * n:
                break
            limit *= 4
        if not found.rows.num_rows:
            return found
        # By their requests where those are indexed, else by the time before which they cannot have come.
        since = None if store.searches else pc.min(found.rows["at"]).as_py() - AHEAD
        labels = _Labels(self.tables, store, since, until)
        assert labels.expression is not None
        said = labels.fetched(labels.expression.semi_join(keys, ["request", "row"]))
        rows, contradictions = _with_labels(found.rows, said)
        rows = rows.filter(pc.is_valid(rows["label"]))
        if first is not None:
            rows = rows.filter(pc.greater_equal(rows["label_at"], pa.scalar(first, rows["label_at"].type)))
        rows = rows.sort_by([(c, "ascending") for c in ("label_at", "at", "request", "row")])
        rows = rows.slice(max(0, rows.num_rows - n))
        return Found(rows, found.faults + Faults(contradictions=contradictions))

    def _answers_to(self, store: Store, keys: Any, until: datetime, wanted: _Wanted) -> Found:
        """Predictions that labels were given for."""
        part = self._part(store, wanted.since, until)
        if part.expression is None:
            return Found(_empty(self.tables), Faults(unreadable=part.unreadable))
        first = wanted.since
        if not store.searches:
            # First by the few columns that tell which rows they are, then the stretch of time in which they lie.
            rows = _Reading(self.tables, store, part.expression).chosen(first, until, replace(wanted, kind="all"))
            lie = rows.select("request", "row", "at").semi_join(keys, ["request", "row"])
            span = lie.aggregate(first=lie.at.min(), last=lie.at.max()).to_pyarrow()
            if span["first"][0].as_py() is None:
                return Found(_empty(self.tables), Faults(unreadable=part.unreadable))
            first, until = (pd.Timestamp(span[c][0].as_py()).to_pydatetime() for c in ("first", "last"))
            first, until = (m.replace(tzinfo=UTC) if m.tzinfo is None else m for m in (first, until))
            part = self._part(store, first, until)
        reading = _Reading(self.tables, store, part.expression)
        rows = reading.chosen(first, until, wanted)
        unique, faults = _unique(reading.fetched(rows.semi_join(keys, ["request", "row"])))
        return Found(unique, faults + Faults(unreadable=part.unreadable))


@contextlib.contextmanager
def _opened(tables: LogTables) -> Iterator[Store]:
    store = store_for(tables)
    with contextlib.closing(store.engine), store.engine.reading(store.place):
        yield store


class _Reading:
    """The table of predictions, or a part of it."""

    def __init__(self, tables: LogTables, store: Store, expression: Any) -> None:
        self._tables, self._store = tables, store
        needed = ("at", "request", "row", *tables.outputs)
        absent = [c for c in needed if c not in expression.columns]
        if absent:
            raise NotEvaluated(
                f"the table {tables.predictions} has no column {', '.join(absent)}",
                store.place,
                "docs/reference/prediction-log.md shows its columns.",
            )
        self._rows = expression.select(*[c for c in tables.schema.names if c in expression.columns])

    def chosen(self, first: datetime | None, until: datetime, given: _Wanted, *, ends: bool = True) -> Any:
        """Rows of a span. `ends`: whether the last moment belongs to it."""
        rows = self._rows
        last = as_moment(rows.at, until)
        wanted = [rows.at <= last if ends else rows.at < last]
        if first is not None:
            wanted.append(rows.at >= as_moment(rows.at, first))
        for column, value in (("role", given.role), ("version", given.version)):
            if value is None:
                continue
            if column in rows.columns:
                # A range of one, so that the order by version is not taken for none (see `_newest_first`).
                wanted += [rows[column] >= value, rows[column] <= value]
            elif column == "version":
                raise NotEvaluated(
                    f"the table {self._tables.predictions} does not say the version", self._store.place, "Add it."
                )
        if given.kind != "all":
            wanted += [rows[c].notnull() for c in self._tables.outputs]
        return rows.filter(wanted)

    def fetched(self, rows: Any) -> pa.Table:
        """In the types of the log, a part at a time."""
        return collected(self._store, rows, self._tables.schema)


class _Labels:
    """The table of labels, or a part of it; `expression` is None where there is none."""

    def __init__(
        self, tables: LogTables, store: Store, first: datetime | None, until: datetime, newest: int | None = None
    ) -> None:
        self._store, self._schema = store, tables.label_schema
        rows = store.part(tables.labels, first, until, newest).expression
        self.expression = None
        if rows is None:
            return
        absent = [c for c in self._schema.names if c not in rows.columns]
        if absent:
            raise NotEvaluated(
                f"the table {tables.labels} has no column {', '.join(absent)}",
                store.place,
                "docs/reference/prediction-log.md shows its columns.",
            )
        rows = rows.select(*self._schema.names)
        wanted = [rows.at <= as_moment(rows.at, until)]
        if first is not None:
            wanted.append(rows.at >= as_moment(rows.at, first))
        self.expression = rows.filter(wanted)

    def fetched(self, rows: Any) -> pa.Table:
        """In the types of the log."""
        return collected(self._store, rows, self._schema)


def _newest_first(rows: Any, version: str | None = None) -> Any:
    """There are no nulls; but an index of PostgreSQL, read backwards, begins with them, and serves no other order.

    The version comes first where one is asked for: ordered by time alone PostgreSQL reads the index of `at` backwards
    until enough rows of the version were met, which of one that is gone is half of the table.
    """
    by = ("at",) if version is None else ("version", "at")
    return rows.order_by([rows[c].desc(nulls_first=True) for c in by])


def as_moment(column: Any, moment: datetime) -> Any:
    """Return a moment as a column says it: with a zone, without one (UTC), or as text."""
    import ibis

    dtype, utc = column.type(), moment.astimezone(UTC)
    if dtype.is_string():
        return ibis.literal(f"{utc:%Y-%m-%d %H:%M:%S.%f}")
    if not dtype.is_timestamp():
        raise NotEvaluated(f"the column `at` holds {dtype}, no time", "the prediction log", "Store time stamps.")
    return ibis.literal(utc if dtype.timezone is not None else utc.replace(tzinfo=None), type=dtype)


def collected(store: Store, rows: Any, schema: pa.Schema) -> pa.Table:
    """Return rows in the types of a schema, taken a part at a time."""
    parts = [in_types(pa.Table.from_batches([batch]), schema) for batch in store.engine.batches(rows)]
    return pa.concat_tables(parts) if parts else schema.empty_table()


def in_types(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the columns of a schema in its types; one that is not there has no values."""
    columns = []
    for wanted in schema:
        if wanted.name not in rows.column_names:
            columns.append(pa.nulls(rows.num_rows, wanted.type))
            continue
        found = rows[wanted.name]
        if pa.types.is_string(found.type) and not pa.types.is_string(wanted.type):
            found = _of_text(found, wanted.type)
        columns.append(found.cast(wanted.type, safe=False))
    return pa.table(columns, schema=schema)


def _of_text(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Moments and days that a database holds as text; what is none is missing."""
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        return values
    moments = pd.to_datetime(values.to_pandas(), utc=True, format="ISO8601", errors="coerce")
    return pa.chunked_array([pa.Array.from_pandas(moments, type=pa.timestamp("us", tz="UTC"))])


def _unique(rows: pa.Table) -> tuple[pa.Table, Faults]:
    """Rows oldest first, each once."""
    whole = pc.and_(pc.and_(pc.is_valid(rows["request"]), pc.is_valid(rows["row"])), pc.is_valid(rows["at"]))
    sound = rows.filter(whole)
    sound = sound.take(pc.sort_indices(sound, sort_keys=[(c, "ascending") for c in ("at", "request", "row")]))
    again = sound.select(KEY).to_pandas().duplicated(keep="first").to_numpy()
    broken = rows.num_rows - sound.num_rows
    return sound.filter(pa.array(~again)), Faults(duplicates=int(again.sum()), broken=broken)


def _with_labels(rows: pa.Table, labels: pa.Table) -> tuple[pa.Table, int]:
    """Rows with `label` and `label_at` (when the first came), and how many rows have labels that contradict."""
    said = labels.to_pandas().dropna(subset=["request", "row", "label"])
    grouped = said.groupby(["request", "row"], sort=False)
    first = pd.DataFrame({"label": grouped["label"].first(), "label_at": grouped["at"].min()})
    first["differ"] = grouped["label"].nunique() > 1
    keys = pd.MultiIndex.from_frame(rows.select(["request", "row"]).to_pandas())
    place = first.index.get_indexer(keys) if len(first) else np.full(rows.num_rows, -1)
    differ = np.zeros(rows.num_rows, dtype=bool)
    differ[place >= 0] = first["differ"].to_numpy()[place[place >= 0]]
    at = pa.array(np.where((place < 0) | differ, 0, place), mask=(place < 0) | differ)
    schema = labels.schema
    for name, kind in (("label", schema.field("label").type), ("label_at", schema.field("at").type)):
        values = pa.Array.from_pandas(first[name], type=kind) if len(first) else pa.nulls(1, kind)
        rows = rows.append_column(name, values.take(at))
    return rows, int(differ.sum())


def _no_labels(tables: LogTables) -> pa.Table:
    return tables.label_schema.empty_table()


def _empty(tables: LogTables) -> pa.Table:
    return _with_labels(tables.schema.empty_table(), _no_labels(tables))[0]
