"""Phases become requests: a moment each, real rows, and a body."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from weighin.errors import NotEvaluated
from weighin.runner.plan import Interface, LoadPlan, Phase

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Floats = NDArray[np.float64]
ROWS = "{{rows}}"


def moments(phase: Phase, arrivals: str, rng: np.random.Generator) -> Floats:
    """Intended starts in one phase, in seconds since its start: shape (n,), increasing, below `phase.seconds`.

    arrivals  "constant": every 1/rate seconds from 0 on; "poisson": independent users, n itself is Poisson

    >>> moments(Phase("load", 4, 1), "constant", np.random.default_rng(0)).tolist()
    [0.0, 0.25, 0.5, 0.75]
    """
    if arrivals == "constant":
        every = np.arange(int(np.ceil(phase.rate * phase.seconds))) / phase.rate
        return every[every < phase.seconds]
    return np.sort(rng.uniform(0, phase.seconds, rng.poisson(phase.rate * phase.seconds)))


def arrivals(plan: LoadPlan, seed: Sequence[int]) -> tuple[Floats, ...]:
    """Intended starts in seconds since the start of the phase, for each phase of a plan; equal for equal seeds."""
    rng = np.random.default_rng(seed)
    return tuple(moments(phase, plan.arrivals, rng) for phase in plan.phases)


@dataclass(frozen=True)
class Workers:
    """So many processes connect to this address of ours, and take every `number`-th arrival each."""

    number: int
    host: str
    port: int


@dataclass(frozen=True)
class Bodies:
    """Requests as JSON, from rows that are encoded already: a body is put together in microseconds, when it is sent."""

    rows: dict[int, bytes]
    before: bytes
    after: bytes

    def of(self, rows: Sequence[int]) -> bytes:
        """Return the body that asks for these rows."""
        return self.before + b",".join([self.rows[row] for row in rows]) + self.after


@dataclass(frozen=True)
class Schedule:
    """What is asked when.

    moments  for each phase of the plan, seconds since the start of the phase
    rows     for each phase, for each request, the rows of the features that it asks for
    """

    moments: tuple[Floats, ...]
    rows: tuple[tuple[tuple[int, ...], ...], ...]
    bodies: Bodies


def schedule(features: Path, plan: LoadPlan, seed: Sequence[int]) -> Schedule:
    """Draw arrivals, and for each of them one of the batch sizes and so many different rows of a Parquet file.

    Equal seeds give equal schedules, so that two models can be asked the same.
    Errors: `NotEvaluated` when the features have no rows, or the template is not JSON around {{rows}}.
    """
    import pyarrow.parquet as pq

    table = pq.read_table(features)
    if not table.num_rows:
        raise NotEvaluated("the features have no rows", features.name, "Requests are drawn from them.")
    due = arrivals(plan, seed)
    rng = np.random.default_rng([*seed, 1])
    drawn = tuple(
        tuple(
            tuple(sorted(rng.choice(table.num_rows, size=min(int(size), table.num_rows), replace=False).tolist()))
            for size in rng.choice(plan.batch_rows, size=len(phase))
        )
        for phase in due
    )
    used = sorted({row for phase in drawn for request in phase for row in request})
    return Schedule(due, drawn, rows_as_json(table.take(used), plan.interface, used))


def bodies(frame: pd.DataFrame, interface: Interface, numbers: Sequence[int] | None = None) -> Bodies:
    """Rows of a frame as JSON, see `rows_as_json`.

    numbers  by which the rows are known; default 0, 1, ...
    """
    import pyarrow as pa

    numbers = range(len(frame)) if numbers is None else numbers
    return rows_as_json(pa.Table.from_pandas(frame, preserve_index=False), interface, numbers)


def rows_as_json(table: pa.Table, interface: Interface, numbers: Sequence[int]) -> Bodies:
    """Return rows of a table as JSON: numbers keep every digit, what is missing is null, moments are ISO 8601 in UTC.

    An integer that is missing makes no others floats. MLflow's server takes moments without a zone only, so its forms
    have none; a template of another server has it.
    """
    names, zoned = table.column_names, interface.form == "template"
    columns = [[_plain(value, zoned=zoned) for value in column.to_pylist()] for column in table.columns]
    rows = zip(*columns, strict=True)
    if interface.form == "dataframe_split":
        encoded = [json.dumps(row, allow_nan=False).encode() for row in rows]
        return Bodies(
            dict(zip(numbers, encoded, strict=True)),
            b'{"dataframe_split": {"columns": ' + json.dumps(names).encode() + b', "data": [',
            b"]}}",
        )
    encoded = [json.dumps(dict(zip(names, row, strict=True)), allow_nan=False).encode() for row in rows]
    before, after = _around(interface)
    return Bodies(dict(zip(numbers, encoded, strict=True)), before + b"[", b"]" + after)


def _around(interface: Interface) -> tuple[bytes, bytes]:
    """Return what stands before and after the list of row objects."""
    if interface.form == "instances":
        return b'{"instances": ', b"}"
    parts = interface.template.split(ROWS)
    try:
        # A text within, so that one that stands in quotation marks is found out.
        json.loads('[""]'.join(parts))
    except ValueError as error:
        raise NotEvaluated("the template of requests is not JSON", "load", f"Write {ROWS} for the rows.") from error
    if len(parts) != 2:
        raise NotEvaluated(f"the template of requests has {ROWS} {len(parts) - 1} times", "load", "Write it once.")
    return parts[0].encode(), parts[1].encode()


def _plain(value: object, *, zoned: bool = True) -> object:
    """Return a cell as JSON has it."""
    match value:
        case float():
            return value if np.isfinite(value) else None
        case datetime() if value.tzinfo is not None:
            utc = value.astimezone(UTC)
            return utc.isoformat() if zoned else utc.replace(tzinfo=None).isoformat()
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return float(value)
        case bytes():
            raise NotEvaluated("a column of bytes has no form in JSON", "load", "Leave it out of the features.")
        case list():
            return [_plain(inner, zoned=zoned) for inner in value]
        case dict():
            return {key: _plain(inner, zoned=zoned) for key, inner in value.items()}
    return value
