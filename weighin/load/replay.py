"""Ask a server logged requests again, one by one: the next when the one before was answered."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from weighin.errors import NotEvaluated
from weighin.load.answer import response
from weighin.load.bodies import Bodies, rows_as_json
from weighin.load.client import Client
from weighin.load.log import WARM_UP, Response
from weighin.load.precise_loop import precise_loop
from weighin.load.send import client_for, undisturbed
from weighin.prediction_log.requests import Requests
from weighin.runner.plan import Answers, LoadPlan

WARM_UP_REQUESTS = 20
"""Asked first, and not counted: what a server does once it does here."""
PHASE = "replay"


def replay(url: str, logged: Path, plan: LoadPlan, meant: Answers, start: int) -> list[Response]:
    """Ask the requests of one start, and return what was seen. `intended` of a response is when it was sent.

    logged  what `Requests.write` left
    Errors: `NotEvaluated` when it takes longer than the plan gives, or there is nothing to ask.
    """
    requests = Requests.read(logged)
    starts = 1 + max(session.start for session in plan.sessions)
    mine = requests.rows_of(start, starts)
    if not mine:
        raise NotEvaluated(f"no request is left for start {start}", "shadow", "Replay more requests, or start less.")
    bodies = rows_as_json(requests.features, plan.interface, range(len(requests.request)))
    with undisturbed(), asyncio.Runner(loop_factory=precise_loop) as runner:
        return runner.run(_ask(client_for(url, plan), mine, bodies, plan, meant))


async def _ask(
    client: Client, mine: list[tuple[int, ...]], bodies: Bodies, plan: LoadPlan, meant: Answers
) -> list[Response]:
    began, seconds = time.perf_counter(), sum(phase.seconds for phase in plan.phases)
    head = client.head("POST", plan.interface.path)
    found = []
    asked = [(WARM_UP, rows) for rows in mine[:WARM_UP_REQUESTS]] + [(PHASE, rows) for rows in mine]
    try:
        for number, (phase, rows) in enumerate(asked):
            sent = time.perf_counter() - began
            if sent > seconds:
                raise NotEvaluated(
                    f"{number} of {len(asked)} requests were answered in {seconds:g} s, and then it was stopped",
                    "shadow",
                    "Replay fewer, or raise `seconds_at_most`.",
                )
            answer = await client.ask(head, bodies.of(rows), plan.timeout_seconds)
            found.append(response(phase, sent, sent, began, answer, rows, plan.interface, meant))
    finally:
        await client.close()
    return found
