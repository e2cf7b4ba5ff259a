"""Phases become requests: a moment each, real rows, and a body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from weighin.errors import NotEvaluated
from weighin.load.bodies import Bodies, rows_as_json
from weighin.runner.plan import LoadPlan, Phase

Floats = NDArray[np.float64]


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
