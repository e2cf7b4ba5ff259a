"""The load step: from a plan and features to a log."""

from __future__ import annotations

import json
import time
from pathlib import Path

from weighin.errors import NotEvaluated
from weighin.load.heartbeat import beating
from weighin.load.log import log_name, read_log, write_histogram, write_log
from weighin.load.probes import probe
from weighin.load.replay import replay
from weighin.load.schedule import Workers, schedule
from weighin.load.send import send, wait_until_healthy
from weighin.runner.plan import Answers, LoadPlan
from weighin.runner.sessions import READY

FACTS = "session.json"
TURN_SECONDS = 7200.0
"""How long a generator waits for its turn; whoever started it ends it long before."""


def generate(
    url: str,
    features: Path,
    plan: LoadPlan,
    meant: Answers,
    out: Path,
    role: str = "candidate",
    start: int = 0,
    seed: int = 0,
    workers: Workers | None = None,
    probes: bool = False,
    turn: Path | None = None,
) -> None:
    """Ask the server at `url` as the plan says, and leave three files in `out`.

    `responses-<role>-<start>.arrow` has every request; `latency-<role>-<start>.hgrm` the distribution of the counted
    ones (`write_histogram`); `session.json` what else was noted: `healthy_at` and `began_at` (seconds since 1970),
    `phases` (seconds), `predictions` (rows that were answered), `probes` (see `probe`); while requests were sent the
    `pauses` and `stolen_seconds` of the machine (see `weighin.load.heartbeat`).

    features  Parquet file whose rows are sent; beside it lies the model's input example, if it has one. For a plan of
              logged requests the file of these
    meant     what of an answer is the prediction
    start     which start of the server, counted from 0: each draws requests of its own, for every role the same
    workers   other processes that run the locustfile of the plan; by default this one does
    probes    whether the input example and malformed requests are sent as well, when the load is over
    turn      a file to wait for before anything but a question for the server's health is sent; `out/ready` then says
              that the server is healthy
    Errors: `NotEvaluated` when the server does not get healthy in time, the turn does not come, or the generator cannot
    keep the schedule.
    """
    wait_until_healthy(url, plan)
    facts: dict[str, object] = {"healthy_at": time.time()}
    if plan.locustfile:
        from weighin.load.locust import run

        _wait_for(turn, out)
        facts["began_at"] = time.time()
        responses = run(url, plan, (seed, start), workers)
    elif plan.requests:
        _wait_for(turn, out)
        facts["began_at"] = time.time()
        responses = replay(url, features, plan, meant, start)
    else:
        made = schedule(features, plan, (seed, start))
        _wait_for(turn, out)
        facts["began_at"] = time.time()
        with beating() as heart:
            responses = send(url, made, plan, meant)
        facts |= {"pauses": heart.pauses, "stolen_seconds": heart.stolen_seconds}
    probed = probe(url, features, plan, meant) if probes else {}
    predictions = sum(len(r.answers or ()) // meant.width + len(r.texts or ()) for r in responses)
    facts |= {"phases": [p.seconds for p in plan.phases], "predictions": predictions, "probes": probed}
    path = out / log_name(role, start)
    write_log(path, start, responses)
    write_histogram(out / f"latency-{role}-{start}.hgrm", read_log([path]), plan.timeout_seconds)
    (out / FACTS).write_text(json.dumps(facts))


def _wait_for(turn: Path | None, out: Path) -> None:
    """Say that the server is healthy, and wait until this generator may send. Errors: `NotEvaluated`."""
    if turn is None:
        return
    (out / READY).touch()
    deadline = time.monotonic() + TURN_SECONDS
    while not turn.exists():
        if time.monotonic() > deadline:
            raise NotEvaluated(f"no turn came in {TURN_SECONDS:g} s", "load", "Run the load step again.")
        time.sleep(0.02)
