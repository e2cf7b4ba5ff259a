"""Upkeep of a prediction log by the monitor, about once an hour: older rows go, small Parquet files are merged.

A server leaves a file every half minute; a look at a day would open thousands. Files are merged when they are hours
old, by one process. Killed at any moment, the next run finishes: a note beside the merged file says what went into it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from weighin.prediction_log.sinks import sink_for
from weighin.prediction_log.stores import MEMORY, Folder, LogFile
from weighin.prediction_log.tables import LogTables

SETTLED = timedelta(hours=2)
"""Nobody writes or reads files of this age at the moment, but in looks at long spans."""
FEWEST = 20
"""So many small files are worth a merge."""
SMALL_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Kept:
    """Rows or files that were removed as too old, and files that were merged into others."""

    removed: int
    merged: int


def keep(tables: LogTables, now: datetime) -> Kept:
    """Remove what is older than `retain_days`, for a few seconds at most, and merge small files.

    Errors: `SinkError` or `NotEvaluated` when the log is away, or may not be changed by this user.
    """
    with contextlib.closing(sink_for(tables)) as sink:
        removed = sink.retain(now - timedelta(days=tables.retain_days))
    if tables.path is None or tables.path.endswith(".sqlite") or not Path(tables.path).is_dir():
        return Kept(removed, 0)
    merged = 0
    with _alone(Path(tables.path)) as alone:
        if alone:
            for table in (tables.predictions, tables.labels):
                _finish(Path(tables.path) / table)
                merged += _merged(Folder(Path(tables.path)), table, now.astimezone(UTC) - SETTLED)
    return Kept(removed, merged)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    with (folder / ".upkeep").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def _merged(folder: Folder, table: str, until: datetime) -> int:
    """How many files were merged, day by day."""
    days: dict[Path, list[LogFile]] = {}
    for file in folder.listed(table, until=until):
        if file.named and file.last < until and file.path.stat().st_size < SMALL_BYTES:
            days.setdefault(file.path.parent, []).append(file)
    number = 0
    for day, files in days.items():
        if len(files) >= FEWEST:
            _merge(day, files)
            number += len(files)
    return number


def _merge(day: Path, files: list[LogFile]) -> None:
    import duckdb

    first, last = min(f.first for f in files), max(f.last for f in files)
    name = f"{first:%H%M%S%f}-{last:%H%M%S%f}-{uuid.uuid4().hex}.parquet"
    begun, note = day / f".{name}.part", day / f".{name}.merged"
    with duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": str(day / ".spill")}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = connection.read_parquet([str(f.path) for f in files], union_by_name=True, hive_partitioning=False)
        rows.order('"at"').write_parquet(str(begun), compression="zstd", row_group_size=100_000)
    with begun.open("rb") as file:
        os.fsync(file.fileno())
    note.write_text(json.dumps([f.path.name for f in files]))
    begun.rename(day / name)
    _finish(day.parent)


def _finish(table: Path) -> None:
    """Remove what stands in a merged file as well."""
    for note in table.glob("day=*/.*.merged"):
        if (note.parent / note.name.removeprefix(".").removesuffix(".merged")).is_file():
            for name in json.loads(note.read_text()):
                (note.parent / name).unlink(missing_ok=True)
        note.unlink()
