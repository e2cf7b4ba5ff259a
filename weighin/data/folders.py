"""Which files of a folder or a glob are data, by the rule of Spark, Hive and Arrow, and which folders are tables.

A name below the given folder that begins with `_` or `.` is no data: `_temporary`, `_SUCCESS`, `.part-0.crc`. A
partition is, whatever its column is called: `_day=1`. A glob is given up to its first wildcard.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from weighin.errors import NotEvaluated

WILD = frozenset("*?[")
FORMATS = {"_delta_log": "Delta Lake", ".hoodie": "Apache Hudi"}
"""Folder in which a format keeps what belongs to a table, and the format."""
ICEBERG = ("metadata", ".metadata.json")
REMEDY = (
    "Some of its files no longer belong to it, which only its own reader knows: give `table` or `query` with "
    "`engine: spark`, or a Parquet export."
)


def fixed(path: str) -> PurePosixPath:
    """Return a glob up to its first wildcard, and another path as it is.

    >>> str(fixed("data/day=*/part-?.parquet")), str(fixed("data/part"))
    ('data', 'data/part')
    """
    parts = PurePosixPath(path).parts
    wild = [n for n, part in enumerate(parts) if WILD & set(part)]
    return PurePosixPath(*parts[: wild[0]]) if wild else PurePosixPath(path)


def data_files(files: Iterable[str], given: PurePosixPath, place: str) -> list[str]:
    """Return those of the files below a folder that are data, in their order.

    Errors: `NotEvaluated` where there is nothing else, and for files of a table format.
    """
    every = list(files)
    below = [PurePosixPath(name).relative_to(given).parts for name in every]
    for parts in below:
        _refuse([name for part, name in FORMATS.items() if part in parts[:-1]], place)
        if parts[-2:-1] == ICEBERG[:1] and parts[-1].endswith(ICEBERG[1]):
            _refuse(["Apache Iceberg"], place)
    kept = [name for name, parts in zip(every, below, strict=True) if not any(map(_hidden, parts))]
    if every and not kept:
        raise NotEvaluated("no file of it is data", place, "Names that begin with `_` or `.` are left out.")
    return kept


def _hidden(name: str) -> bool:
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def refuse_table_format(path: str) -> None:
    """Demand that no folder on the way to a local file is that of a table format. One file that is named is itself.

    path  of the folder, glob or file
    Errors: `NotEvaluated`.
    """
    folder = Path(fixed(path)).absolute()
    if folder.is_file():
        return
    for place in (folder, *folder.parents):
        _refuse([name for part, name in FORMATS.items() if (place / part).is_dir()], path)
        # Where Iceberg keeps the files of a table; another folder may have a neighbour of the name `metadata`.
        if place == folder or "data" in folder.relative_to(place).parts[:1]:
            _refuse(["Apache Iceberg"] if any((place / ICEBERG[0]).glob(f"*{ICEBERG[1]}")) else [], path)


def _refuse(formats: Sequence[str], place: str) -> None:
    for name in formats[:1]:
        raise NotEvaluated(f"the folder of a table of {name}", place, REMEDY)
