"""Concept drift on the stream: detectors of river are fed row by row, and say where a mean has changed.

Nothing is kept between two calls: a detector is fed from the beginning of the rows, so the same rows give the same
signals. Both detectors forget everything at a change that they find. A caller who says which signals were told already
has them fed from there on, with the same result; and where older rows fall out of what is fed, none is told again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from weighin.contract.models import Contract
from weighin.contract.stream import PARAMETERS, Adwin, Stream
from weighin.errors import ContractError
from weighin.model.answers import COLUMN, Floats
from weighin.monitor.rules import threshold
from weighin.prediction_log.reader import Faults, Log
from weighin.prediction_log.tables import LogTables

ERROR = "error"
NUMBERS = ("integer", "float", "boolean")


@dataclass(frozen=True)
class Position:
    """A row in the stream: its moment (of `error` that of its label), and which one it is."""

    moment: datetime
    request: str
    row: int


@dataclass(frozen=True)
class Signal:
    """A change of a mean that a detector has found. It is no outcome: there is no interval and no limit.

    position       the row at which it was found; with `check` it says which signal this is
    began          about when the change was: where two means fit best
    before, after  means of what was fed until then, and from then on
    """

    check: str
    position: Position
    began: datetime
    before: float
    after: float
    action: Literal["nothing", "alert", "retrain"]
    text: str


@dataclass(frozen=True)
class Followed:
    """One stream.

    fed       rows that the detector was given
    left_out  rows without a number
    reason    why nothing can be said; empty where a change would have been found
    """

    check: str
    rows_used: int
    left_out: int
    reason: str
    signals: tuple[Signal, ...] = ()


def follow(
    contract: Contract,
    log: Log,
    version: str,
    since: datetime | None,
    now: datetime,
    notified: Mapping[str, Position] | None = None,
) -> tuple[tuple[Followed, ...], Faults]:
    """Read what the streams of a contract need of a version's promotion, and follow them.

    told  check -> the last of its signals that was told already
    Errors: `NotEvaluated` when the log cannot be read; `ContractError` as `followed`.
    """
    streams = contract.monitor.streams if contract.monitor else ()
    faults, read = Faults(), {}
    for labelled in (False, True):
        most = max((s.rows for s in streams if (s.of == ERROR) == labelled), default=0)
        if most:
            kind: Literal["labelled", "predicted"] = "labelled" if labelled else "predicted"
            found = log.last_rows(most, now, version=version, kind=kind, since=since)
            read[labelled], faults = found.rows, faults + found.faults
    none = pa.table({})
    return followed(contract, log.tables, read.get(False, none), read.get(True, none), notified), faults


def signals(
    contract: Contract,
    tables: LogTables,
    rows: pa.Table,
    labelled: pa.Table,
    notified: Mapping[str, Position] | None = None,
) -> tuple[Signal, ...]:
    """Return the changes alone that `followed` finds."""
    return tuple(s for stream in followed(contract, tables, rows, labelled, notified) for s in stream.signals)


def followed(
    contract: Contract,
    tables: LogTables,
    rows: pa.Table,
    labelled: pa.Table,
    notified: Mapping[str, Position] | None = None,
) -> tuple[Followed, ...]:
    """Feed every stream of a contract.

    rows      of the log, as `weighin.prediction_log.reader.Found` has them, in the order in which they came
    labelled  the same of rows whose labels have come, in the order of those
    Errors: `ContractError` for a stream of what is no number, is not logged, or needs a `scale`.
    """
    streams = contract.monitor.streams if contract.monitor else ()
    return tuple(
        _followed(stream, contract, tables, labelled if stream.of == ERROR else rows, notified or {})
        for stream in streams
    )


def _followed(
    stream: Stream, contract: Contract, tables: LogTables, rows: pa.Table, notified: Mapping[str, Position]
) -> Followed:
    check = f"monitor/stream/{stream.detector}/{stream.of}"
    _must_fit(stream, contract, tables)
    rows = rows.slice(max(0, rows.num_rows - stream.rows))
    if not rows.num_rows:
        return Followed(check, 0, 0, "no label has come" if stream.of == ERROR else "no row has come")
    values = _fed(stream, contract, tables, rows)
    known = np.isfinite(values)
    left_out = int((~known).sum())
    rows, values = rows.filter(pa.array(known)), values[known]
    by = "label_at" if stream.of == ERROR else "at"
    first = _after(notified.get(check), rows, by)
    rows_used, needed = len(values) - first, _needed(stream)
    if rows_used < needed:
        since = " since the last signal" if first else ""
        missing = f"; {left_out} have no number" if left_out else ""
        return Followed(check, rows_used, left_out, f"{rows_used} rows have come{since}, {needed} are needed{missing}")
    found = [_signal(check, stream, rows, values, by, *ends) for ends in _changes(stream, values, first)]
    return Followed(check, rows_used, left_out, "", tuple(found))


def _needed(stream: Stream) -> int:
    """Rows before which the detector finds no change."""
    if isinstance(stream, Adwin):
        return max(stream.clock, stream.grace_period, 2 * stream.min_window_length)
    return stream.min_instances


def _must_fit(stream: Stream, contract: Contract, tables: LogTables) -> None:
    """Errors: `ContractError`."""
    types, task = dict(tables.features), contract.model.task
    place = "monitor.streams"
    if stream.of == ERROR and tables.label == "":
        raise ContractError("labels are sensitive, and not in the log", place, "Leave out the stream of `error`.")
    if stream.of == COLUMN and task == "multiclass":
        raise ContractError("the prediction of several classes is no number", place, "Use `error`, or a feature.")
    if stream.of not in (ERROR, COLUMN) and types.get(stream.of) not in NUMBERS:
        listed = ", ".join([ERROR, COLUMN, *(n for n, kind in types.items() if kind in NUMBERS)])
        raise ContractError(f"`{stream.of}` is no number in the log", place, f"There are: {listed}.")
    small = types.get(stream.of) == "boolean" or (stream.of in (ERROR, COLUMN) and not contract.model.numeric)
    if not small and stream.scale is None:
        raise ContractError(
            f"a stream of `{stream.of}` needs a `scale`", place, "Write about the width of the range of its values."
        )


def _fed(stream: Stream, contract: Contract, tables: LogTables, rows: pa.Table) -> Floats:
    """(n,) numbers in their own unit, NaN where there is none."""
    if stream.of == ERROR:
        return _errors(contract, tables, rows)
    column = COLUMN if stream.of == COLUMN else tables.columns[stream.of]
    return _numbers(rows[column])


def _errors(contract: Contract, tables: LogTables, rows: pa.Table) -> Floats:
    predicted = np.column_stack([_numbers(rows[name]) for name in tables.outputs])
    if contract.model.numeric:
        return np.abs(predicted[:, 0] - _numbers(rows["label"]))
    classes = contract.model.classes
    known = {value: code for code, value in enumerate(classes or (0, 1))}
    label = np.array([known.get(value, np.nan) for value in rows["label"].to_pylist()], dtype=np.float64)
    whole = np.isfinite(predicted).all(axis=1)
    decided = np.nan_to_num(predicted).argmax(axis=1) if classes else predicted[:, 0] >= threshold(contract)
    return np.where(whole & np.isfinite(label), decided != label, np.nan)


def _numbers(values: pa.ChunkedArray) -> Floats:
    return np.asarray(pc.cast(values, pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _after(notified: Position | None, rows: pa.Table, by: str) -> int:
    """Return the number of the first row after one that was told; by its moment where it is not among the rows."""
    if notified is None:
        return 0
    same = pc.and_(pc.equal(rows["request"], notified.request), pc.equal(rows["row"], notified.row))
    place = pc.index(same, value=True).as_py()
    if place >= 0:
        return int(place) + 1
    return int(pc.sum(pc.less_equal(rows[by], pa.scalar(notified.moment, rows[by].type))).as_py() or 0)


def _changes(stream: Stream, values: Floats, first: int) -> list[tuple[int, int]]:
    """(where the detector began, where it found a change), of each change."""
    from river import drift

    kind = drift.ADWIN if isinstance(stream, Adwin) else drift.PageHinkley
    detector: Any = kind(**{name: getattr(stream, name) for name in PARAMETERS[type(stream)]})
    found = []
    for number, value in enumerate((values[first:] / (stream.scale or 1.0)).tolist(), first):
        detector.update(value)
        if detector.drift_detected:
            # It forgets everything at its next row.
            found.append((first, number))
            first = number + 1
    return found


def _signal(check: str, stream: Stream, rows: pa.Table, values: Floats, by: str, first: int, last: int) -> Signal:
    cut = first + _split(values[first : last + 1])
    before, after = float(values[first:cut].mean()), float(values[cut : last + 1].mean())
    began, moment = rows[by][cut].as_py(), rows[by][last].as_py()
    text = (
        f"the mean of `{stream.of}` went from {before:.4g} to {after:.4g} "
        f"(of {cut - first:,} rows and of {last + 1 - cut:,}), about from {began:%Y-%m-%d %H:%M} UTC on"
    )
    position = Position(moment, rows["request"][last].as_py(), int(rows["row"][last].as_py()))
    return Signal(check, position, began, before, after, stream.action, text)


def _split(values: Floats) -> int:
    """Where two means fit better than anywhere else (least squares), from 1 to n - 1; 1 of two values."""
    n = len(values)
    sizes = np.arange(1, n)
    sums = np.cumsum(values)
    lower, upper = sums[:-1] / sizes, (sums[-1] - sums[:-1]) / (n - sizes)
    return int(np.argmax(sizes * (n - sizes) * (upper - lower) ** 2)) + 1
