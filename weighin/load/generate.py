"""The load step: from a plan and features to a log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from weighin.load.log import log_name, read_log, write_histogram, write_log
from weighin.load.schedule import schedule
from weighin.load.send import send, wait_until_healthy
from weighin.runner.plan import LoadPlan


@dataclass(frozen=True)
class Workers:
    """So many processes connect to this address of ours, and take every `number`-th arrival each."""

    number: int
    host: str
    port: int


def generate(
    url: str,
    features: Path,
    plan: LoadPlan,
    columns: tuple[int, ...],
    out: Path,
    role: str = "candidate",
    start: int = 0,
    seed: int = 0,
    workers: Workers | None = None,
) -> None:
    """Ask the server at `url` as the plan says, and leave two files in `out`.

    `responses-<role>-<start>.arrow` has every request; `latency-<role>-<start>.hgrm` the distribution of the counted
    ones (`write_histogram`).

    features  Parquet file whose rows are sent
    columns   the numbers of a prediction that count
    start     which start of the server this is, counted from 0: each draws requests of its own, for every role the same
    workers   other processes that run the locustfile of the plan; by default this one does
    Errors: `NotEvaluated` when the server does not get healthy in time, or the generator cannot keep the schedule.
    """
    if plan.locustfile:
        wait_until_healthy(url, plan)
        from weighin.load.locust import run

        responses = run(url, plan, (seed, start), workers)
    else:
        responses = send(url, schedule(features, plan, (seed, start)), plan, columns)
    path = out / log_name(role, start)
    write_log(path, start, responses)
    write_histogram(out / f"latency-{role}-{start}.hgrm", read_log([path]), plan.timeout_seconds)
