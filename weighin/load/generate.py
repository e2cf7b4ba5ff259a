"""The load step: from a plan and features to a log."""

from __future__ import annotations

import json
import time
from pathlib import Path

from weighin.load.log import log_name, write_log
from weighin.load.probes import probe
from weighin.load.schedule import schedule
from weighin.load.send import healthy, send
from weighin.runner.plan import LoadPlan

FACTS = "session.json"


def generate(
    url: str,
    features: Path,
    plan: LoadPlan,
    columns: tuple[int, ...],
    out: Path,
    role: str = "candidate",
    start: int = 0,
    seed: int = 0,
    probes: bool = False,
) -> None:
    """Ask the server at `url` as the plan says, and leave `out/responses-<role>-<start>.arrow` and `out/session.json`.

    features  Parquet file whose rows are sent; beside it lies the model's input example, if it has one
    columns   the numbers of a prediction that count
    start     which start of the server this is, counted from 0: each draws requests of its own, for every role the same
    probes    whether the input example and malformed requests are sent as well, when the load is over
    Errors: `NotEvaluated` when the server does not get healthy in time, or the generator cannot keep the schedule.
    """
    healthy(url, plan)
    facts: dict[str, object] = {"healthy_at": time.time()}
    made = schedule(features, plan, (seed, start))
    facts["began_at"] = time.time()
    responses = send(url, made, plan, columns)
    facts |= {
        "phases": [phase.seconds for phase in plan.phases],
        "predictions": sum(len(r.answers or ()) // max(len(columns), 1) for r in responses),
        "probes": probe(url, features, plan.interface, columns, plan.timeout_seconds) if probes else {},
    }
    write_log(out / log_name(role, start), start, responses)
    (out / FACTS).write_text(json.dumps(facts))
