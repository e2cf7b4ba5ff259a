"""A folder of Parquet files, one folder for each day (UTC): `day=2026-11-27/101500000000-101512345678-<id>.parquet`.

A name says the first and the last moment of its rows, so that a reader opens no file in vain. A file is written beside
its place and renamed: nobody sees half of one.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from weighin.prediction_log.sinks import Sink, SinkError, said

LEFT_SECONDS = 86_400
"""A file that was begun so long ago will not be finished."""


class ParquetFolder(Sink):
    """Files in `<path>/<table>/day=YYYY-MM-DD/`."""

    batch_seconds = 30.0
    """Longer than elsewhere: each batch is a file."""

    def write(self, table: str, rows: pa.Table) -> None:
        """One file for each day that the rows are of. A second day that fails leaves the first written."""
        days = pc.cast(pc.floor_temporal(rows["at"], unit="day"), pa.date32())
        try:
            for day in sorted(pc.unique(days).to_pylist()):
                self._file(table, day, rows.filter(pc.equal(days, day)))
        except OSError as error:
            raise SinkError(
                f"no file can be written ({error.strerror or said(error)})", self.tables.place, "Look at the disk."
            ) from error

    def _file(self, table: str, day: date, rows: pa.Table) -> None:
        folder = Path(self.tables.place) / table / f"day={day:%Y-%m-%d}"
        folder.mkdir(parents=True, exist_ok=True)
        span = pc.min_max(rows["at"]).as_py()
        name = f"{span['min']:%H%M%S%f}-{span['max']:%H%M%S%f}-{uuid.uuid4().hex}.parquet"
        begun = folder / f".{name}.part"
        try:
            with begun.open("wb") as file:
                pq.write_table(rows, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            begun.rename(folder / name)
        except BaseException:
            begun.unlink(missing_ok=True)
            raise

    def retain(self, since: datetime) -> int:
        """Whole days only."""
        gone, first, until = 0, since.astimezone(UTC).date(), time.monotonic() + 30
        for table in (self.tables.predictions, self.tables.labels):
            for folder in sorted((Path(self.tables.place) / table).glob("day=????-??-??")):
                if time.monotonic() > until:
                    return gone
                with contextlib.suppress(OSError, ValueError):
                    old = date.fromisoformat(folder.name.removeprefix("day=")) < first
                    for path in folder.iterdir() if old else folder.glob(".*.part"):
                        if old or time.time() - path.stat().st_mtime > LEFT_SECONDS:
                            path.unlink(missing_ok=True)
                            gone += path.suffix == ".parquet"
                    if old:
                        folder.rmdir()
        return gone

    def close(self) -> None:
        """Nothing is held."""
