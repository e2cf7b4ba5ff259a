"""The file of what a generator saw: one row per request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weighin.data.table import read_arrow
from weighin.errors import NotEvaluated

Floats = NDArray[np.float64]
LOG_BYTES = 512 * 2**20
WARM_UP = "warm_up"

SCHEMA = pa.schema(
    [
        ("start", pa.int64()),
        ("phase", pa.string()),
        ("intended", pa.float64()),
        ("sent", pa.float64()),
        ("done", pa.float64()),
        ("error", pa.string()),
        ("rows", pa.list_(pa.int64())),
        ("answers", pa.list_(pa.float64())),
        ("texts", pa.list_(pa.string())),
        ("first", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Response:
    """One request: three moments in seconds since the load began, an empty `error` for an answer of the right form.

    answers  row by row; a row of several classes gives as many numbers
    texts    row by row, of a text task
    first    when the first piece of a text was there; NaN where there is none
    """

    phase: str
    intended: float
    sent: float
    done: float
    error: str
    rows: Sequence[int] = ()
    answers: Sequence[float] | None = None
    texts: Sequence[str] | None = None
    first: float = math.nan


def log_name(role: str, start: int) -> str:
    """Name of the log of one start of the server of a role."""
    return f"responses-{role}-{start}.arrow"


def write_log(path: Path, start: int, responses: Sequence[Response]) -> None:
    """Write what was seen after one start of the server, counted from 0."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([{"start": start, **vars(r)} for r in responses], schema=SCHEMA)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_table(table)


@dataclass(frozen=True)
class LoadLog:
    """What the generator saw, after the warm-up. Arrays have shape (requests,); times in seconds.

    start     which start of the server, counted from 0; `intended` begins anew with each
    latency   from the intended start to the end of the answer, or to its failure
    first     from the intended start to the first piece of a text; NaN where there is none
    lateness  of the generator itself: from the intended start to the sending
    """

    start: NDArray[np.int64]
    phase: NDArray[np.str_]
    intended: Floats
    latency: Floats
    lateness: Floats
    ok: NDArray[np.bool_]
    errors: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    answers: tuple[tuple[float, ...] | None, ...]
    texts: tuple[tuple[str, ...] | None, ...]
    first: Floats

    @property
    def block(self) -> NDArray[np.int64]:
        """The second of a start in which each request was due, as codes 0..B-1."""
        second = np.column_stack([self.start, np.floor(self.intended).astype(np.int64)])
        return np.unique(second, axis=0, return_inverse=True)[1].astype(np.int64).ravel()

    def of(self, *phases: str) -> LoadLog:
        """Return the requests of these phases; none when the phases did not happen."""
        return self._only(np.isin(self.phase, phases))

    def at(self, start: int) -> LoadLog:
        """Return the requests of one start of the server."""
        return self._only(self.start == start)

    def _only(self, which: NDArray[np.bool_]) -> LoadLog:
        kept = np.flatnonzero(which)
        return LoadLog(
            self.start[kept],
            self.phase[kept],
            self.intended[kept],
            self.latency[kept],
            self.lateness[kept],
            self.ok[kept],
            tuple(self.errors[i] for i in kept),
            tuple(self.rows[i] for i in kept),
            tuple(self.answers[i] for i in kept),
            tuple(self.texts[i] for i in kept),
            self.first[kept],
        )


def write_histogram(path: Path, log: LoadLog, timeout_seconds: float) -> None:
    """Write the distribution of latencies in microseconds, as HdrHistogram's tools read it, to three digits.

    A failure counts as the timeout. For people and plots: the gate keeps to the samples themselves.
    """
    from hdrh.histogram import HdrHistogram

    latency = np.where(log.ok, log.latency, np.maximum(log.latency, timeout_seconds))
    microseconds = np.maximum(1, np.rint(latency * 1e6)).astype(np.int64)

    class Histogram(HdrHistogram):  # type: ignore[misc]
        """Its own mean and deviation each go through every bucket up to the longest latency, recorded or not."""

        def get_mean_value(self) -> float:
            return float(microseconds.mean())

        def get_stddev(self) -> float:
            return float(microseconds.std())

    histogram = Histogram(1, max(2, int(microseconds.max())), 3)
    for value, count in zip(*(a.tolist() for a in np.unique(microseconds, return_counts=True)), strict=True):
        histogram.record_value(value, count)
    with path.open("wb") as file:
        histogram.output_percentile_distribution(file, 1)


def read_log(paths: Sequence[Path]) -> LoadLog:
    """Read the logs of several starts, in this order, without the warm-up.

    Errors: `NotEvaluated` when there is none, one is missing or damaged, or none holds a counted request.
    """
    tables = [_read(path) for path in paths]
    counted = [row for table in tables for row in table.to_pylist() if row["phase"] != WARM_UP]
    if not counted:
        raise NotEvaluated("zero requests were sent after the warm-up", "load", "Raise `rate` or `seconds`.")
    moments = ("intended", "sent", "done", "first")
    intended, sent, done, first = (np.array([r[k] for r in counted], dtype=np.float64) for k in moments)
    errors = tuple(r["error"] for r in counted)
    return LoadLog(
        np.array([r["start"] for r in counted], dtype=np.int64),
        np.array([r["phase"] for r in counted], dtype=np.str_),
        intended,
        done - intended,
        sent - intended,
        np.array([not e for e in errors]),
        errors,
        tuple(tuple(r["rows"]) for r in counted),
        tuple(None if r["answers"] is None else tuple(r["answers"]) for r in counted),
        tuple(None if r["texts"] is None else tuple(r["texts"]) for r in counted),
        first - intended,
    )


@dataclass(frozen=True)
class WarmUp:
    """What was asked at one start before requests are counted; times in seconds, from the intended start.

    first, slowest  of the right answers; infinite where there was none
    """

    start: int
    requests: int
    failed: int
    first: float
    slowest: float


def read_warm_ups(paths: Sequence[Path]) -> list[WarmUp]:
    """Return the warm-up of each start: there workers are slow that load a model at their first request.

    Errors: `NotEvaluated` for a log that is missing or damaged.
    """
    # Not above: a generator needs none of it, and each start of one would import it.
    import pyarrow.compute as pc

    found = []
    for start, path in enumerate(paths):
        table = _read(path)
        asked = table.filter(pc.equal(table["phase"], WARM_UP)).to_pylist()
        right = [row["done"] - row["intended"] for row in asked if not row["error"]]
        first = right[0] if right else float("inf")
        found.append(WarmUp(start, len(asked), len(asked) - len(right), first, max(right, default=float("inf"))))
    return found


def _read(path: Path) -> pa.Table:
    place = f"load/{path.name}"
    table = read_arrow(path, place, LOG_BYTES)
    if table.schema != SCHEMA:
        raise NotEvaluated("not the columns of a load log", place, "Run the load step again.")
    return table
