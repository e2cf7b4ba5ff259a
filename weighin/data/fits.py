"""Whether the files that a contract names are there and hold its columns in types that fit, by their schemas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from weighin.contract.reading import ContractFile
from weighin.contract.sources import Files
from weighin.data.typed import file_type
from weighin.untrusted.redact import cause, listed

FITS = {
    "integer": ("integer", "float", "decimal"),
    "float": ("integer", "float", "decimal"),
    "string": ("string",),
    "boolean": ("boolean",),
    "timestamp": ("timestamp", "date"),
    "date": ("date", "timestamp"),
    "array": ("array",),
}
"""Contract type -> types of a file that may hold its values; whether each value fits is found when they are read."""


@dataclass(frozen=True)
class Fit:
    """What can be said of the files before they are read.

    absent    sentences about files that are not here, or cannot be opened
    unfit     sentences about columns that are missing, or of another type
    unopened  what is not looked at: tables, addresses, globs, CSV
    """

    absent: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()
    unopened: tuple[str, ...] = ()


def look(file: ContractFile) -> Fit:
    """Compare the Parquet files that a contract names with its columns."""
    absent: list[str] = []
    unfit: list[str] = []
    unopened: list[str] = []
    data = file.contract.data
    for dataset in (*data.named, *(["sealed_holdout"] if data.sealed_holdout else [])):
        given = data.source(dataset)
        if not isinstance(given, Files) or given.remote or set("*?[") & set(given.path):
            unopened.append(f"data.{dataset} is no single file")
            continue
        path = file.folder / given.path
        if not path.exists():
            absent.append(f"data.{dataset}: no such file: {given.path}. Correct the path, or bring the file.")
        elif path.is_dir() or given.kind != "parquet":
            unopened.append(f"data.{dataset} is {'a folder' if path.is_dir() else 'no Parquet file'}")
        else:
            problem, found = _compared(file, dataset, path)
            absent += [problem] if problem else []
            unfit += found
    return Fit(tuple(absent), tuple(unfit), tuple(unopened))


def _compared(file: ContractFile, dataset: str, path: Path) -> tuple[str, list[str]]:
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        return f"data.{dataset}: not readable as Parquet ({cause(error)}). Write it again.", []
    return "", list(_unfit(file, dataset, schema))


def _unfit(file: ContractFile, dataset: str, schema: pa.Schema) -> Iterator[str]:
    columns = file.contract.data.columns
    apart = file.contract.model.target if dataset == "holdout" and file.contract.labels is not None else None
    missing = [name for name in columns if name not in schema.names and name != apart]
    if missing:
        yield f"data.{dataset}: no column {listed(missing)}. Correct data.columns, or the file."
    for name, column in columns.items():
        if name in schema.names:
            held = file_type(schema.field(schema.names.index(name)).type)
            if held != "no value" and held not in FITS[column.type]:
                yield (
                    f"data.{dataset}: column {name} holds {held}, and the contract says {column.type}. "
                    "Correct `type`, or the file."
                )
