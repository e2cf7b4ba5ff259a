"""Tables through Ibis on DuckDB: counts and quantiles come back; a whole column is read only where a rank needs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from weighin.errors import NotEvaluated

Floats = NDArray[np.float64]


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Some columns of a Parquet file, in file order.

    Errors: `NotEvaluated` when the file is missing or unreadable, lacks a column, or has no rows.
    """
    try:
        schema = pq.read_schema(path)
        absent = [c for c in columns if c not in schema.names]
        if absent:
            have = ", ".join(schema.names[:20])
            raise NotEvaluated(f"no column {', '.join(absent)}", str(path), f"The file has: {have}.")
        table = pq.read_table(path, columns=list(columns), use_threads=True)
    except FileNotFoundError as error:
        raise NotEvaluated("the file is missing", str(path), "Correct the path in the contract's `data`.") from error
    except (pa.ArrowException, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NotEvaluated(f"not a readable Parquet file ({first})", str(path), "Write it again.") from error
    if not table.num_rows:
        raise NotEvaluated("the file has no rows", str(path), "Nothing can be measured on an empty table.")
    return table


def read_arrow(path: Path, place: str, most: int) -> pa.Table:
    """An Arrow file that a step left, perhaps under a model's hands: nothing about it is trusted.

    most  largest size in bytes
    Errors: `NotEvaluated` with what went wrong in that step, or with what is wrong with the file.
    """
    problem = path.parent.with_suffix(".problem")
    if problem.is_file():
        raise NotEvaluated(problem.read_text()[:500], place)
    if path.is_symlink() or not path.is_file():
        raise NotEvaluated("the file was not left", place, "Look at the log of the step that should have left it.")
    if path.stat().st_size > most:
        raise NotEvaluated(f"larger than {most} bytes", place, "Nothing that is asked for needs more.")
    try:
        with pa.OSFile(str(path), "rb") as source, pa.ipc.open_file(source) as reader:
            return reader.read_all()
    except (pa.ArrowException, OSError) as error:
        raise NotEvaluated(f"not an Arrow file ({error})", place, "Run the step again.") from error


def group_codes(values: pa.ChunkedArray, place: str) -> tuple[NDArray[np.int64], int]:
    """Codes 0..G-1 of a grouping column, and G. Errors: `NotEvaluated` when a value is missing."""
    if values.null_count:
        raise NotEvaluated(f"{values.null_count} rows have no group", place, "Every row must belong to a group.")
    encoded = values.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), len(encoded.dictionary)


class Counter:
    """Bin and category counts of a table's columns, by group, counted where the data lies.

    `of` opens a Parquet file; `over` takes a table in memory (predictions).
    """

    def __init__(self, expression: Any, group: str | None, hours: float | None = None) -> None:
        self._table = expression
        self._group = group
        self._hours = hours

    @staticmethod
    def of(path: Path, columns: Sequence[str], group: str | None, hours: float | None = None) -> Counter:
        """A counter over a Parquet file; with `hours` its group is a time, in blocks. Errors: `read_columns`."""
        import ibis

        read_columns(path, [*columns[:1], *([group] if group else [])])
        return Counter(ibis.duckdb.connect().read_parquet(str(path)), group, hours)

    @staticmethod
    def over(table: pa.Table, group: str | None, hours: float | None = None) -> Counter:
        """A counter over a table in memory."""
        import ibis

        return Counter(ibis.memtable(table), group, hours)

    def is_numeric(self, column: str) -> bool:
        """Whether the column is counted in quantile bins; otherwise by category."""
        kind = self._table.schema()[column]
        return bool(kind.is_numeric())

    def quantiles(self, column: str, shares: Sequence[float]) -> Floats:
        """Quantiles of the values that are there (neither NULL nor NaN), all in one query; empty without any."""
        values = self._present(column)
        row = values.aggregate([values.value.quantile(s).name(f"q{i}") for i, s in enumerate(shares)]).to_pyarrow()
        found = [row[f"q{i}"][0].as_py() for i in range(len(shares))]
        return np.array([v for v in found if v is not None], dtype=np.float64)

    def most_frequent(self, column: str, most: int) -> list[str]:
        """The `most` categories with most rows, ties by name, as text; missing is none."""
        import ibis

        text = self._table.select(value=self._table[column].cast("string")).filter(lambda t: t.value.notnull())
        counted = text.group_by("value").aggregate(rows=lambda t: t.count())
        top = counted.order_by([ibis.desc("rows"), "value"]).limit(most).to_pyarrow()
        return [str(v) for v in top["value"].to_pylist()]

    def bin_counts(self, column: str, edges: Floats) -> Floats:
        """(groups, bins + 1) rows per bin; bins are closed below, the last column counts missing."""
        import ibis

        value = self._table[column].cast("float64")
        missing = value.isnull() | value.isnan()
        branches = [(missing, len(edges) + 1)]
        branches += [(value < float(edge), i) for i, edge in enumerate(edges)]
        return self._counts(ibis.cases(*branches, else_=len(edges)), len(edges) + 2)

    def category_counts(self, column: str, categories: Sequence[str]) -> Floats:
        """(groups, categories + 2) rows per category, then of all others, then missing."""
        import ibis

        value = self._table[column].cast("string")
        branches = [(value.isnull(), len(categories) + 1)]
        branches += [(value == category, i) for i, category in enumerate(categories)]
        return self._counts(ibis.cases(*branches, else_=len(categories)), len(categories) + 2)

    def _present(self, column: str) -> Any:
        values = self._table.select(value=self._table[column].cast("float64"))
        return values.filter(lambda t: t.value.notnull() & ~t.value.isnan())

    def _counts(self, code: Any, bins: int) -> Floats:
        import ibis

        group = ibis.literal("all")
        if self._group and self._hours is not None:
            seconds = self._table[self._group].cast("timestamp").epoch_seconds()
            group = (seconds / (self._hours * 3600)).floor().cast("string")
        elif self._group:
            group = self._table[self._group].cast("string")
        keyed = self._table.select(bin=code, group=group)
        counted = keyed.group_by(["group", "bin"]).aggregate(rows=lambda t: t.count()).to_pyarrow()
        rows, _ = group_codes(counted["group"], self._group or "")
        table = np.zeros((int(rows.max()) + 1, bins))
        np.add.at(table, (rows, counted["bin"].to_numpy().astype(np.int64)), counted["rows"].to_numpy())
        return table
