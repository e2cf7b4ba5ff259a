"""The files that a contract is drafted from."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset

from weighin.contract.sources import Files
from weighin.data.typed import file_type
from weighin.errors import ContractError
from weighin.untrusted.redact import cause

ROWS = 200_000
"""Rows that are looked at, spread evenly over the file; all rows of a shorter one."""
COLUMNS = 2_000
"""Columns that a drafted contract may list."""
LEAST = 30
"""With fewer rows nothing can be said of a column."""
SEPARATORS = ",;\t|"


@dataclass(frozen=True)
class Table:
    """One file.

    source  what the contract says of it besides `path`; empty for Parquet
    rows    of the whole file
    sample  at most `ROWS` of them
    """

    path: str
    source: dict[str, str]
    rows: int
    sample: pa.Table
    kinds: dict[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in the order of the file."""
        return list(self.sample.column_names)


def read(path: Path, folder: Path) -> Table:
    """Read a Parquet, CSV or Arrow file that lies below the contract's folder.

    Errors: `ContractError` where it is no table that a contract can be drafted from.
    """
    place = str(path)
    if not path.is_file():
        raise ContractError("no such file", place, "Give a Parquet, CSV or Arrow file.")
    try:
        relative = path.resolve().relative_to(folder.resolve())
    except ValueError:
        raise ContractError(
            "the file lies outside of the contract's folder", place, "Copy it there, or give --contract another place."
        ) from None
    kind = Files.model_validate({"path": relative.as_posix()}).kind
    try:
        if kind == "csv":
            sample, source, rows = _csv(path)
        else:
            sample, source, rows = _dataset(path, kind)
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        raise ContractError(f"not readable as {kind} ({cause(error)})", place, "Correct the file.") from error
    _must_be_a_table(sample, rows, place)
    sample = sample.drop_columns([n for n in sample.column_names if n.startswith("__index_level_")])
    kinds = {name: file_type(sample.schema.field(name).type) for name in sample.column_names}
    return Table(relative.as_posix(), source, rows, sample, kinds)


def _dataset(path: Path, kind: str) -> tuple[pa.Table, dict[str, str], int]:
    opened = pyarrow.dataset.dataset(path, format="ipc" if kind == "arrow" else "parquet")
    rows = opened.count_rows()
    step = -(-rows // ROWS) or 1
    return pa.Table.from_batches(_every(opened.to_batches(), step), opened.schema), {}, rows


def _every(batches: Iterator[pa.RecordBatch], step: int) -> Iterator[pa.RecordBatch]:
    """Yield every `step`-th row."""
    seen = 0
    for batch in batches:
        first = -seen % step
        seen += batch.num_rows
        yield batch if step == 1 else batch.take(pa.array(range(first, batch.num_rows, step), pa.int64()))


def _csv(path: Path) -> tuple[pa.Table, dict[str, str], int]:
    """Read a CSV file; the separator is the sign that stands most often in its first line."""
    encoding = "utf-8"
    with path.open("rb") as file:
        head = file.read(2**20)
    if b"\x00" in head[:1000]:
        encoding = "utf-16"
    else:
        try:
            head[: head.rfind(b"\n") + 1].decode("utf-8")
        except UnicodeDecodeError:
            encoding = "windows-1252"
    first = head.decode(encoding, "replace").lstrip("\ufeff").partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    names = next(csv.reader([first.rstrip("\r")], delimiter=separator), [])
    if any(_is_number(name) for name in names):
        raise ContractError(
            "the first line holds numbers, and no names of columns", str(path), "Write the names into the first line."
        )
    decimal = "," if separator == ";" and "," in head.decode(encoding, "replace") else "."
    table = pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(encoding=encoding),
        parse_options=pyarrow.csv.ParseOptions(delimiter=separator),
        convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True, null_values=[""], decimal_point=decimal),
    )
    given = {"separator": separator, "decimal": decimal, "encoding": encoding}
    usual = {"separator": ",", "decimal": ".", "encoding": "utf-8"}
    rows = table.num_rows
    step = -(-rows // ROWS) or 1
    table = table.take(pa.array(range(0, rows, step), pa.int64())) if step > 1 else table
    return table, {k: v for k, v in given.items() if v != usual[k]}, rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _must_be_a_table(sample: pa.Table, rows: int, place: str) -> None:
    """Errors: `ContractError`."""
    names = sample.column_names
    twice = sum(names.count(n) > 1 for n in set(names))
    if twice:
        raise ContractError(f"{twice} names of columns stand there twice", place, "Give each column a name of its own.")
    if any(not n.strip() or not n.isprintable() for n in names):
        raise ContractError("a column has no printable name", place, "Name every column.")
    if len(names) > COLUMNS:
        raise ContractError(
            f"{len(names):,} columns, and a contract is drafted for up to {COLUMNS:,}",
            place,
            "Leave out what no model reads, or make an array of what belongs together.",
        )
    if rows < LEAST:
        count = f"{rows} row{'' if rows == 1 else 's'}"
        raise ContractError(f"{count}, from which no limit follows", place, f"Give at least {LEAST:,} rows.")
    if all(pc.is_null(c, nan_is_null=True).to_numpy().all() for c in sample.columns):
        raise ContractError("every value is missing", place, "Give a table with values.")
