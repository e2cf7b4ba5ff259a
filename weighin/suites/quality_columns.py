"""The columns that Great Expectations counts: a dataset's own in few types, and one for each rule that it has not.

DuckDB prepares both for both engines, so that they cannot read a value differently. Columns go by their place (`c0`,
`c1`, ...) and never by name: SQL would fold `a` and `A`, and stumble over the rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from weighin.contract import Contract
from weighin.contract.columns import Column
from weighin.contract.quality import Copies, Fresh, Reference
from weighin.contract.rules import QualityRule, quality_rules
from weighin.data.condition import ROW, holds
from weighin.data.engines import BATCH
from weighin.data.names import must_differ
from weighin.data.table import read_columns
from weighin.data.typed import file_type
from weighin.errors import NotEvaluated
from weighin.suites.copies import repeated
from weighin.suites.evidence import Evidence
from weighin.suites.expectations import added_column

NOTHING = "(row)"
"""A column of trues, for expectations about columns that are not there, or about no column."""


@dataclass(frozen=True)
class Own:
    """One column of a Parquet file: SQL over its position, and the family of types that it belongs to.

    whole   SQL that tells two values apart, where `sql` does not
    """

    sql: str
    family: str
    zone: str
    whole: str = ""

    @property
    def identity(self) -> str:
        """SQL that is equal for equal values only."""
        return self.whole or self.sql


@dataclass
class QualityColumns:
    """A dataset as Great Expectations is to see it.

    scratch   a folder for what does not fit in memory
    own       the listed columns that the file has
    columns   name -> SQL, of these and of those that were added
    families  name -> `integer`, `float`, `string`, `boolean`, `timestamp`, `date`, or `other`
    within    added column -> number of the condition under which its rule holds, see `_Conditions`
    problems  added column -> why it could not be computed
    """

    connection: duckdb.DuckDBPyConnection
    scratch: Path
    table: str
    rows: int
    own: tuple[str, ...]
    columns: dict[str, str]
    families: dict[str, str]
    problems: dict[str, str] = field(default_factory=dict)
    within: dict[str, int] = field(default_factory=dict)

    def select(self, names: Sequence[str], aliases: Sequence[str]) -> str:
        """Return SQL for some columns, called by aliases that need no quotes."""
        listed = [f"{self.columns[n]} AS {a}" for n, a in zip(names, aliases, strict=True)]
        return f"SELECT {', '.join(listed)} FROM {self.source(names)}"  # noqa: S608 - positions and literals, see `Own`

    def source(self, names: Sequence[str]) -> str:
        """Return what some columns are selected from: the file, and the conditions that they need."""
        needed = sorted({self.within[n] for n in names if n in self.within})
        return self.table + "".join(f" JOIN when{i} ON when{i}.row{i} = pos" for i in needed)

    def arrow(self, names: Sequence[str]) -> pa.Table:
        """Return some columns in memory, by name. Errors: `NotEvaluated` for values that their type cannot hold."""
        aliases = [f"x{i}" for i in range(len(names))]
        with translated("the dataset"):
            return self.connection.sql(self.select(names, aliases)).to_arrow_table().rename_columns(list(names))

    def write(self, path: Path, names: Sequence[str], aliases: Sequence[str]) -> None:
        """Write some columns as a Parquet file, called by aliases. Errors: as `arrow`."""
        # Parquet's whole numbers without a sign are decimals to Spark.
        signed = {n: f"({sql})::BIGINT" if self.families[n] == "integer" else sql for n, sql in self.columns.items()}
        listed = ", ".join(f"{signed[n]} AS {a}" for n, a in zip(names, aliases, strict=True))
        with translated("the dataset, for Spark"):
            selected = f"SELECT {listed} FROM {self.source(names)}"  # noqa: S608 - positions and literals
            self.connection.execute(f"COPY ({selected}) TO {_text(str(path))} (FORMAT parquet)")

    def megabytes(self, names: Sequence[str]) -> float:
        """Return what pandas needs for some columns, in 2**20 bytes; texts are measured, the rest has a known width."""
        texts = [self.columns[n] for n in names if self.families[n] in ("string", "other")]
        width = sum(1 if self.families[n] == "boolean" else 8 for n in names)
        total = float(width * self.rows)
        if texts:
            sums = ", ".join(f"sum(octet_length(encode(({t})::VARCHAR)))" for t in texts)
            with translated("the dataset"):
                (found,) = self.connection.sql(f"SELECT {sums} FROM {self.table}").fetchall()  # noqa: S608 - as above
            total += sum(float(v or 0) for v in found)
        return total / 2**20


@contextlib.contextmanager
def quality_columns(evidence: Evidence, dataset: str, scratch: Path, moment: datetime) -> Iterator[QualityColumns]:
    """Yield a dataset's listed columns, and those of its rules.

    scratch  a folder for what does not fit in memory
    moment   at which dates are judged
    Errors: `NotEvaluated` when the file is missing, unreadable, empty, or has none of the contract's columns.
    """
    path, contract = evidence.whole(dataset), evidence.contract
    listed = _schema(path)
    present = [c for c in contract.data.columns if c in listed]
    if listed:
        must_differ(pq.read_schema(path).names, contract.data.columns, str(path))
    read_columns(path, present[:1] or list(contract.data.columns))  # says what is wrong with the file, if anything
    connection = duckdb.connect()
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET temp_directory = {_text(str(scratch / 'duckdb'))}")
        own = {name: listed[name] for name in present}
        table = f"{_relation(path)} AS t({_places(len(listed))}, pos)"
        with translated(str(path)):
            ((rows,),) = connection.sql(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608 - a quoted path
        columns, families = {n: o.sql for n, o in own.items()}, {n: o.family for n, o in own.items()}
        view = QualityColumns(connection, scratch, table, rows, tuple(own), columns, families)
        view.columns[NOTHING], view.families[NOTHING] = "true", "boolean"
        conditions = _Conditions(view, contract)
        for rule in quality_rules(contract):
            name = added_column(rule, contract)
            asked_for = evidence.wants(f"data_quality/{dataset}/{rule.key}")
            if name is None or (rule.datasets and dataset not in rule.datasets) or not asked_for:
                continue
            try:
                absent = [c for c in rule.columns if c not in own]
                if absent:
                    raise NotEvaluated(f"no column {', '.join(absent)}", dataset)
                _as_promised(rule, own)
                if rule.when:
                    view.within[name] = conditions.number(rule, dataset)
                if isinstance(rule.of, Copies):
                    _find_copies(view, [own[c].identity for c in rule.columns], natural=not rule.of.by)
                sql = _added(rule, [own[c] for c in rule.columns], evidence, moment, view.within.get(name))
                with translated(f"{dataset}, {rule.key}"):
                    connection.sql(f"SELECT {sql} FROM {view.source([name])} LIMIT 0").fetchall()  # noqa: S608 - does it bind?
                view.columns[name] = sql
                view.families[name] = {"fresh": "float", "time_zone": "string"}.get(rule.kind, "boolean")
            except NotEvaluated as error:
                view.problems[name] = str(error)
        yield view
    finally:
        connection.close()


class _Conditions:
    """Where the conditions of rules hold: for each a table `when0`, `when1`, ... beside the file's rows.

    They name columns by name, and are asked apart, over rows that they are given and nothing else.
    """

    def __init__(self, view: QualityColumns, contract: Contract) -> None:
        self._view, self._contract = view, contract
        self._known: dict[str, int | NotEvaluated] = {}

    def number(self, rule: QualityRule, dataset: str) -> int:
        """Return the number of a rule's condition. Errors: `NotEvaluated` when it is none, or holds nowhere."""
        if rule.when not in self._known:
            place = f"{dataset}, {rule.key}"
            try:
                self._known[rule.when] = self._asked(rule.when, place)
            except NotEvaluated as error:
                hidden = rule.sensitive(self._contract)
                # A condition on a sensitive column names a value of it.
                fact = "the condition is none over these columns, or true of no row"
                self._known[rule.when] = NotEvaluated(fact, place, "Correct `when`, or the data.") if hidden else error
        found = self._known[rule.when]
        if isinstance(found, NotEvaluated):
            raise found
        return found

    def _asked(self, when: str, place: str) -> int:
        view, text, number = self._view, when.lower(), len(self._known)
        named = [n for n in view.own if n.lower() in text or n.lower().replace('"', '""') in text]
        listed = "".join(f", {view.columns[n]} AS x{i}" for i, n in enumerate(named))
        with translated(place):
            batches = view.connection.sql(f"SELECT pos{listed} FROM {view.table}").to_arrow_reader(BATCH)  # noqa: S608
        # An open reader would keep the connection from everything else.
        with translated(place), contextlib.closing(batches):
            schema = pa.schema([f.with_name(n) for f, n in zip(batches.schema, (ROW, *named), strict=True)])
            renamed = (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in batches)
            keep = holds(pa.RecordBatchReader.from_batches(schema, renamed), when, place)
            if not keep.any():
                raise NotEvaluated("the condition is true of no row", place, "Correct `when`, or the data.")
            table = pa.table({f"row{number}": pa.array(np.arange(len(keep))), f"holds{number}": pa.array(keep)})
            view.connection.register(f"when{number}", table)
        return number


def _schema(path: Path) -> dict[str, Own]:
    """Return the columns of a file by name, as SQL over their places. What cannot be read has none."""
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException):
        return {}
    return {f.name: _column(f"c{i}", f.type) for i, f in enumerate(schema)}


def _column(place: str, kind: pa.DataType) -> Own:
    """One type for each family, whatever width a file chose: both engines know these, and vectorise them."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_uint64(kind):
        return Own(place, "integer", "")
    if pa.types.is_integer(kind):
        return Own(f"{place}::BIGINT", "integer", "")
    if pa.types.is_floating(kind):
        return Own(f"CASE WHEN NOT isnan({place}) THEN {place}::DOUBLE END", "float", "")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return Own(f"{place}::VARCHAR", "string", "")
    if pa.types.is_boolean(kind):
        return Own(place, "boolean", "")
    if pa.types.is_timestamp(kind):
        sql = f"make_timestamp(epoch_us({place}::TIMESTAMPTZ))" if kind.tz else f"{place}::TIMESTAMP"
        # Without a zone it is UTC, as everywhere.
        return Own(sql, "timestamp", str(kind.tz or "UTC"))
    if pa.types.is_date(kind):
        return Own(f"{place}::DATE", "date", "")
    if file_type(kind) == "array":
        # A type that nothing else has: of a list only that it is one, and whether it is there, is counted.
        return Own(f"CASE WHEN {place} IS NOT NULL THEN 1::TINYINT END", "array", "", f"{place}::VARCHAR")
    # Bytes are of no type that a contract can ask for, in either engine.
    return Own(f"encode({place}::VARCHAR)", "other", "")


def _as_promised(rule: QualityRule, own: dict[str, Own]) -> None:
    """Refuse a rule about values of another type: SQL would compare a text with a number by turning one into the
    other.
    """
    types = {"pattern": ("string",), "fresh": ("timestamp", "date"), "future": ("timestamp", "date")}
    number = ("integer", "float")
    for name in rule.columns:
        of, family = rule.of, own[name].family
        wanted = types.get(rule.kind, (family,))
        if isinstance(of, Column) and rule.kind != "time_zone":
            wanted = number if of.type in number else (of.type,)
        if family not in wanted:
            raise NotEvaluated(f"the column holds the type {family}, not {wanted[0]}", name, "Correct the column.")


def _added(
    rule: QualityRule, own: list[Own], evidence: Evidence, moment: datetime, condition: int | None = None
) -> str:
    """Return SQL for the column of a rule: true where it holds, NULL where it is not judged.

    condition  number of the one that rows have to meet
    """
    one, of = own[0].sql, rule.of
    if condition is not None:
        # Rows that do not meet it are as good as absent, also for what compares rows with each other.
        one = f"CASE WHEN holds{condition} THEN {one} END"
        if rule.kind == "missing":
            return f"CASE WHEN holds{condition} THEN ({one}) IS NOT NULL END"
    match rule.kind:
        case "time_zone":
            return _text(own[0].zone or "none")
        case "order":
            assert isinstance(of, Column)
            sign = ">" if of.order == "strictly_increasing" else ">="
            before = f"lag({one} IGNORE NULLS) OVER (ORDER BY pos)"
            return f"CASE WHEN ({one}) IS NOT NULL THEN coalesce(({one}) {sign} {before}, true) END"
        case "fresh" | "future":
            assert isinstance(of, Fresh)
            now = int(moment.astimezone(UTC).timestamp() * 1_000_000)
            age = f"({now} - epoch_us({one})) / 3600000000.0"
            if rule.kind == "future":
                return f"{age} >= 0"
            return age if of.future == "allow" else f"CASE WHEN {age} >= 0 THEN {age} END"
        case "range" | "allowed" | "pattern" | "unique":
            return rule_column(rule, one)
        case "reference":
            assert isinstance(of, Reference)
            return _referenced(own[0], of, evidence)
        case "copies":
            assert isinstance(of, Copies)
            return "pos NOT IN (SELECT copied FROM copies)"
        case "training":
            return _unseen(rule.columns, own, evidence)
        case _:
            raise AssertionError(f"{rule.kind} adds no column")


def rule_column(rule: QualityRule, one: str) -> str:
    """Return SQL for whether a value keeps a rule about one column; NULL where the value is missing."""
    of = rule.of
    assert isinstance(of, Column)
    match rule.kind:
        case "unique":
            return f"CASE WHEN ({one}) IS NOT NULL THEN count(*) OVER (PARTITION BY {one}) = 1 END"
        case "range":
            bounds = [f"({one}) >= {of.minimum!r}"] if of.minimum is not None else []
            bounds += [f"({one}) <= {of.maximum!r}"] if of.maximum is not None else []
            return " AND ".join(bounds)
        case "allowed":
            return f"({one}) IN ({', '.join(_text(v) if isinstance(v, str) else repr(v) for v in of.allowed or ())})"
        case "pattern":
            return f"regexp_full_match({one}, {_text(str(of.pattern))}, 's')"
        case _:
            raise AssertionError(f"{rule.kind} is no rule about the values of a column")


def _other(evidence: Evidence, table: str, columns: Sequence[str]) -> tuple[str, list[Own]]:
    """Another table of the contract, or a Parquet file: what to select from, and its columns."""
    data = evidence.contract.data
    if table in data.named:
        path = evidence.whole(table)
    else:
        path = evidence.file.folder / (data.training if table == "training" and data.training else table)
    return _table(path, columns)


def _table(path: Path, columns: Sequence[str]) -> tuple[str, list[Own]]:
    """Return what to select from for a Parquet file, and its columns."""
    listed = _schema(path)
    read_columns(path, columns)
    return f"{_relation(path)} AS o({_places(len(listed))}, pos)", [listed[c] for c in columns]


def _referenced(own: Own, of: Reference, evidence: Evidence) -> str:
    table, (key,) = _other(evidence, of.table, [of.key])
    _comparable(own, key, of.column, of.table)
    # A NULL among the keys would turn "not found" into "unknown".
    return f"{own.sql} IN (SELECT {key.sql} FROM {table} WHERE ({key.sql}) IS NOT NULL)"  # noqa: S608 - places


def _unseen(columns: Sequence[str], own: list[Own], evidence: Evidence) -> str:
    """Whether no row of the training data has the same values; missing is a value like any other."""
    return _absent_from(_other(evidence, "training", columns), columns, own)


def _absent_from(other_table: tuple[str, list[Own]], columns: Sequence[str], own: list[Own]) -> str:
    table, theirs = other_table
    for mine, other, name in zip(own, theirs, columns, strict=True):
        _comparable(mine, other, name, "the training data")
    known = ", ".join(f"{o.identity} AS k{i}" for i, o in enumerate(theirs))
    same = " AND ".join(f"k.k{i} IS NOT DISTINCT FROM ({o.identity})" for i, o in enumerate(own))
    return f"NOT EXISTS (SELECT 1 FROM (SELECT {known} FROM {table}) AS k WHERE {same})"  # noqa: S608 - places


def rows_in_training(holdout: Path, training: Path, columns: Sequence[str]) -> NDArray[np.bool_]:
    """(rows of the holdout,) whether a row of the training data has the same values; both are Parquet files.

    Errors: `NotEvaluated` where a file cannot be read, or a column is of another type there.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        table, own = _table(holdout, columns)
        absent = _absent_from(_table(training, columns), columns, own)
        with translated("the training data"):
            found = connection.sql(f"SELECT pos, NOT ({absent}) FROM {table}").fetchnumpy()  # noqa: S608 - places
    known = np.zeros(len(found["pos"]), dtype=bool)
    known[found["pos"]] = next(values for name, values in found.items() if name != "pos")
    return known


def training_overlap(holdout: Path, training: Path, column: str) -> tuple[int, int]:
    """Return how many training rows are not before the holdout's first moment, and how many have a time.

    Errors: `NotEvaluated` where one of the tables has no time.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        tables = {}
        for name, path in (("holdout", holdout), ("training", training)):
            table, (own,) = _table(path, [column])
            if own.family not in ("timestamp", "date"):
                raise NotEvaluated(f"column {column} holds the type {own.family}", name, "Write it as a time.")
            tables[name] = table, f"({own.sql})::TIMESTAMP"
        (judged, at), (learnt, then) = tables["holdout"], tables["training"]
        with translated("the training data"):
            first = f"(SELECT min({at}) FROM {judged})"  # noqa: S608 - places and quoted paths
            counted = f"SELECT count(*) FILTER ({then} >= {first}), count({then}), {first} FROM {learnt}"  # noqa: S608
            ((late, rows, begins),) = connection.sql(counted).fetchall()
    if not rows or begins is None:
        empty = "the holdout" if begins is None else "the training data"
        raise NotEvaluated(f"no row of {empty} has a time", f"column {column}", "Write the times.")
    return late, rows


def _find_copies(view: QualityColumns, columns: list[str], *, natural: bool) -> None:
    """Leave a table `copies` of the rows that repeat an earlier one."""
    with translated("the dataset"):
        copied = np.flatnonzero(repeated(view.connection, view.table, columns, natural=natural))
        view.connection.register("copies", pa.table({"copied": copied}))


def _comparable(mine: Own, other: Own, column: str, place: str) -> None:
    if mine.family != other.family and {mine.family, other.family} != {"integer", "float"}:
        fact = f"column {column} holds the type {mine.family} here and {other.family} there"
        raise NotEvaluated(fact, place, "Write both with the same type.")


def _relation(path: Path) -> str:
    return f"read_parquet({_text(str(path))}, file_row_number = true)"


def _places(columns: int) -> str:
    return ", ".join(f"c{i}" for i in range(columns))


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


@contextlib.contextmanager
def translated(place: str) -> Iterator[None]:
    """DuckDB's and Arrow's complaints without what they quote: a message may hold a value of the data."""
    try:
        yield
    except duckdb.IOException as error:
        fact, remedy = (
            "a file could not be read or written",
            "Make room: docs/reference/gates/data-quality.md says for what.",
        )
        raise NotEvaluated(fact, place, remedy) from error
    except (duckdb.Error, pa.ArrowException, OverflowError) as error:
        kind = type(error).__name__.removesuffix("Exception").removesuffix("Error")
        fact = f"values that cannot be prepared for counting ({kind})"
        raise NotEvaluated(fact, place, "Correct the column, or the rule.") from error
