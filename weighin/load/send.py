"""Ask a server by a schedule, in one process and one event loop."""

from __future__ import annotations

import asyncio
import gc
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from weighin.errors import NotEvaluated
from weighin.load.answer import response
from weighin.load.client import ANSWER_BYTES, GRPC, LATE, STREAM_BYTES, Client
from weighin.load.credentials import HEADERS, TOKEN, headers_for
from weighin.load.log import Response
from weighin.load.precise_loop import precise_loop
from weighin.load.schedule import Schedule
from weighin.runner.plan import Answers, LoadPlan, Phase

UNASKED = "not asked"
BY_HAND = "Serve the model by hand and read its log."
REMEDIES = {
    **dict.fromkeys(
        ("status 401", "status 403"),
        f"The server asks who is there: set {TOKEN} or {HEADERS} where the generator runs.",
    ),
    "status 404": "Name the path of its health in `server.health`; that of the V2 protocol is /v2/health/ready.",
    GRPC: "Name its port for HTTP/1.1 (Triton's is 8000 and not 8001): gRPC is not spoken here.",
}


def send(url: str, schedule: Schedule, plan: LoadPlan, meant: Answers) -> list[Response]:
    """Ask the server at `url`, wait for what is still unanswered, and return what was seen, in order of sending.

    Neighbouring phases of stress are a ramp: after each step its requests end or time out, and when fewer
    than `plan.break_share` were answered rightly within `plan.break_ms`, the steps that are left are not sent. The
    phase after the ramp begins right then.
    Errors: `NotEvaluated` when the server does not get healthy in time, or when the generator itself falls hopelessly
    behind its schedule outside of stress; within stress that ends the ramp as well.
    """
    with undisturbed(), asyncio.Runner(loop_factory=precise_loop) as runner:
        return runner.run(_send(client_for(url, plan), schedule, plan, meant))


def client_for(url: str, plan: LoadPlan) -> Client:
    """Return a client that asks as a plan says. Errors: `NotEvaluated` when `url` is no http(s) address."""
    return Client(url, headers_for(url, plan), STREAM_BYTES if plan.interface.stream else ANSWER_BYTES)


async def _send(client: Client, schedule: Schedule, plan: LoadPlan, meant: Answers) -> list[Response]:
    sender = _Sender(client, schedule, plan, meant)
    try:
        await _healthy(client, plan.interface.health, plan.start_seconds)
        return await sender.all_phases()
    finally:
        for task in sender.tasks:
            task.cancel()
        await asyncio.gather(*sender.tasks, return_exceptions=True)
        await client.close()


class _Sender:
    """One run of a schedule. `tasks` are all requests so far."""

    def __init__(self, client: Client, schedule: Schedule, plan: LoadPlan, meant: Answers) -> None:
        self.client, self.schedule, self.plan, self.meant = client, schedule, plan, meant
        self.head = client.head("POST", plan.interface.path)
        self.began = 0.0
        self.tasks: list[asyncio.Task[Response]] = []

    def now(self) -> float:
        """Seconds since the load began."""
        return time.perf_counter() - self.began

    async def all_phases(self) -> list[Response]:
        self.began = time.perf_counter()
        origin, broken = 0.0, False
        for number, phase in enumerate(self.plan.phases):
            stress = phase.stress
            if stress and broken:
                continue
            first = len(self.tasks)
            kept = await self.one_phase(number, phase, origin)
            origin += phase.seconds
            broken = False
            if stress:
                await asyncio.sleep(max(0.0, origin - self.now()) if kept else 0)
                broken = breaks(await asyncio.gather(*self.tasks[first:]), self.plan) or not kept
                origin = self.now()
        return list(await asyncio.gather(*self.tasks))

    async def one_phase(self, number: int, phase: Phase, origin: float) -> bool:
        """Send the requests of one phase, each at its moment; False when the schedule of a stress was given up."""
        requests = zip(self.schedule.moments[number].tolist(), self.schedule.rows[number], strict=True)
        for moment, rows in requests:
            late = self.now() - (origin + moment)
            if late > self.plan.hopeless_seconds:
                if phase.stress:
                    return False
                raise hopeless(late, phase)
            # Also when there is nothing to wait for: answers must get their turn.
            await asyncio.sleep(max(0.0, -late))
            self.tasks.append(asyncio.create_task(self.ask(phase.name, origin + moment, rows)))
        return True

    async def ask(self, phase: str, intended: float, rows: tuple[int, ...]) -> Response:
        sent = self.now()
        answer = await self.client.ask(self.head, self.schedule.bodies.of(rows), self.plan.timeout_seconds)
        return response(phase, intended, sent, self.began, answer, rows, self.plan.interface, self.meant)


def breaks(step: Sequence[Response], plan: LoadPlan) -> bool:
    """Whether a step of the ramp was more than the server bears."""
    right = sum(not r.error and r.done - r.intended <= plan.break_ms / 1000 for r in step)
    return right < plan.break_share * len(step)


def hopeless(late: float, phase: Phase) -> NotEvaluated:
    """Return the error for a generator that cannot do what it is asked."""
    return NotEvaluated(
        f"the generator fell {late:.1f} s behind {phase.rate:g} requests per second and gave up",
        f"load, phase {phase.name}",
        "Give it a core of its own, lower the rate, or use more machines.",
    )


def wait_until_healthy(url: str, plan: LoadPlan) -> None:
    """Wait until the server can be asked. Errors: `NotEvaluated` after `plan.start_seconds`."""

    async def wait() -> None:
        client = client_for(url, plan)
        try:
            await _healthy(client, plan.interface.health, plan.start_seconds)
        finally:
            await client.close()

    asyncio.run(wait())


async def _healthy(client: Client, path: str, seconds: float) -> None:
    """Wait until a GET is answered with 200. Errors: `NotEvaluated` after so many seconds."""
    deadline = time.perf_counter() + seconds
    said = UNASKED
    while (left := deadline - time.perf_counter()) > 0:
        error = (await client.ask(client.head("GET", path), b"", left)).error
        if not error:
            return
        # The last question has little time left: what the server said before tells more.
        said = error if error != LATE or said == UNASKED else said
        await asyncio.sleep(0.1)
    raise NotEvaluated(f"the server did not get healthy in {seconds:g} s ({said})", path, REMEDIES.get(said, BY_HAND))


@contextmanager
def undisturbed() -> Iterator[None]:
    """Nothing of our own making in between: no collection of garbage, and sockets for every unanswered request."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
