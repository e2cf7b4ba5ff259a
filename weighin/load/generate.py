"""The load step: from a plan and features to a log."""

from __future__ import annotations

from pathlib import Path

from weighin.load.log import log_name, write_log
from weighin.load.schedule import schedule
from weighin.load.send import send
from weighin.runner.plan import LoadPlan


def generate(
    url: str,
    features: Path,
    plan: LoadPlan,
    columns: tuple[int, ...],
    out: Path,
    role: str = "candidate",
    start: int = 0,
    seed: int = 0,
) -> None:
    """Ask the server at `url` as the plan says, and leave `out/responses-<role>-<start>.arrow`.

    features  Parquet file whose rows are sent
    columns   the numbers of a prediction that count
    start     which start of the server this is, counted from 0: each draws requests of its own, for every role the same
    Errors: `NotEvaluated` when the server does not get healthy in time, or the generator cannot keep the schedule.
    """
    path = out / log_name(role, start)
    write_log(path, start, send(url, schedule(features, plan, (seed, start)), plan, columns))
