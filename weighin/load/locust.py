"""Tasks of a team's own locustfile, run by our schedule instead of Locust's loop.

Every arrival runs one task of one user in a greenlet, whatever became of the arrivals before it; a user whose task has
ended is free for the next. `wait_time` and shapes are the schedule's business and left out. Each request that a task
makes is a row of the log, and its latency begins as much earlier as the arrival was late. Beyond one process, Locust's
master and workers carry the plan and what was seen; each of N workers runs every N-th arrival.

Importing this module makes gevent replace the blocking calls of the whole process: commands do it last, and alone.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import Any

from weighin.errors import NotEvaluated
from weighin.load.log import Response
from weighin.load.schedule import Workers, arrivals
from weighin.load.send import breaks, hopeless, undisturbed
from weighin.runner.plan import LoadPlan
from weighin.untrusted import JsonDict
from weighin.untrusted.redact import cause, reduced, type_of

try:
    import locust
except ImportError as missing:
    raise NotEvaluated("Locust is not installed", "load", "Install weighin with its dependencies.") from missing
import gevent
from gevent.pool import Group
from locust.env import Environment
from locust.exception import StopUser
from locust.user.users import DefaultTaskSet
from locust.util.load_locustfile import load_locustfile

MESSAGE = "weighin"
READY = "weighin-ready"
"""A worker that can be told to begin. Locust counts it as soon as it connects, when it would still lose a message."""
ENDED = "weighin-ended"
"""A worker has run its arrivals. Its last rows come with this, for the next of Locust's reports may be seconds away,
and how many there were in all: Locust drops a report that it cannot send."""
ARRIVAL = ContextVar[tuple[str, float]]("arrival")
"""Phase of the arrival that a greenlet and those it starts belong to, and how late it was started, in seconds."""


def run(url: str, plan: LoadPlan, seed: Sequence[int], workers: Workers | None = None) -> list[Response]:
    """Run the schedule of `plan` with tasks of its locustfile, here or by workers; in order of the intended start.

    A ramp of stress ends early where one process runs it; workers, who cannot know of each other, run all of it.
    Errors: `NotEvaluated` when the file has no usable task, workers do not come or get lost, or the schedule cannot
    be kept.
    """
    if workers is None:
        tasks = _Tasks(plan.locustfile)
        tasks.environment.create_local_runner()
        tasks.run(url, plan, seed, 0, 1)
        return sorted(tasks.seen, key=lambda r: r.intended)
    return _as_master(url, plan, seed, workers)


def _failed(exception: object) -> str:
    """Return what a request met: a status, or the type of an error. Its text may be the server's, with rows in it."""
    status = getattr(getattr(exception, "response", None), "status_code", None) or getattr(exception, "code", None)
    said = type_of(exception) if isinstance(exception, BaseException) else "an error"
    return f"{said}: status {status}" if isinstance(status, int) and status else said


class _Tasks:
    """The users of a locustfile, and what their requests met: `seen`."""

    def __init__(self, locustfile: str) -> None:
        try:
            classes = list(load_locustfile(str(Path(locustfile).resolve()))[0].values())
        except (Exception, SystemExit) as error:
            said = reduced(error)
            raise NotEvaluated(f"the locustfile does not load, {said}", locustfile, "Try it with Locust.") from error
        for each in classes:
            if not each.tasks or any(isinstance(task, type) for task in each.tasks):
                raise NotEvaluated(f"{each.__name__} has no tasks, or a TaskSet", locustfile, "Use methods with @task.")
        if not classes:
            raise NotEvaluated("no user class", locustfile, "Write an HttpUser with a @task.")
        self.environment = Environment(user_classes=classes, events=locust.events)
        self.environment.events.request.add_listener(self._requested)
        self.free: dict[type, list[Any]] = {each: [] for each in classes}
        self.seen: list[Response] = []
        self.began = 0.0

    def now(self) -> float:
        """Seconds since the load began."""
        return time.perf_counter() - self.began

    def run(self, url: str, plan: LoadPlan, seed: Sequence[int], index: int, count: int) -> None:
        """Start the tasks of every `count`-th arrival from `index` on, and wait for them. Errors: `NotEvaluated`."""
        for each in self.free:
            each.host = url  # type: ignore[attr-defined]
        self.environment.host = url
        random.seed(repr((seed, index)))
        self.environment.events.test_start.fire(environment=self.environment)
        due = [phase[index::count].tolist() for phase in arrivals(plan, seed)]
        self.began = time.perf_counter()
        with undisturbed():
            self._phases(plan, due, whole=count == 1)
        self.environment.events.test_stop.fire(environment=self.environment)

    def _phases(self, plan: LoadPlan, due: list[list[float]], whole: bool) -> None:
        """Start every task at its moment, and wait for all. `whole`: nobody else runs arrivals of the same plan."""
        running, origin, broken = Group(), 0.0, False
        for phase, moments in zip(plan.phases, due, strict=True):
            stress = phase.name == "stress"
            if stress and broken:
                continue
            first, broken = len(self.seen), False
            for moment in moments:
                late = self.now() - (origin + moment)
                if late > plan.hopeless_seconds:
                    if stress:
                        broken = True
                        break
                    running.kill()
                    raise hopeless(late, phase)
                gevent.sleep(max(0.0, -late))
                running.spawn(self._one, phase.name, origin + moment, plan.timeout_seconds)
            origin += phase.seconds
            if stress and whole:
                gevent.sleep(0 if broken else max(0.0, origin - self.now()))
                running.join()
                broken = broken or breaks(self.seen[first:], plan)
                origin = self.now()
        running.join()

    def _one(self, phase: str, intended: float, seconds: float) -> None:
        """One task of one user, which is free again when the task ended well."""
        started = self.now()
        ARRIVAL.set((phase, started - intended))
        error = ""
        try:
            with gevent.Timeout(seconds):
                user = self._user()
                tasks = user._taskset_instance
                tasks.execute_task(tasks.get_next_task())
                self.free[type(user)].append(user)
        except gevent.Timeout:
            error = "no answer in time"
        except StopUser:
            pass
        except Exception as raised:  # noqa: BLE001 - whatever a team's task raises is a failure of this arrival
            error = f"the task raised {cause(raised)}"
        if error:
            self.seen.append(Response(phase, intended, started, self.now(), error))

    def _user(self) -> Any:
        """Return a free user of a class drawn by weight, or a new one, whose `on_start` is part of the arrival."""
        classes = list(self.free)
        each = random.choices(classes, [c.weight for c in classes])[0]  # type: ignore[attr-defined]  # noqa: S311
        if self.free[each]:
            return self.free[each].pop()
        user = each(self.environment)
        user._state, user._taskset_instance = "running", DefaultTaskSet(user)
        user.on_start()
        return user

    def _requested(self, response_time: float, exception: object = None, **_: object) -> None:
        """Locust's event for every request, fired in the greenlet that made it when its answer is there."""
        phase, late = ARRIVAL.get(("", 0.0))
        if phase:
            done = self.now()
            sent = done - (response_time or 0.0) / 1000
            error = _failed(exception) if exception else ""
            self.seen.append(Response(phase, sent - late, sent, done, error))


def _as_master(url: str, plan: LoadPlan, seed: Sequence[int], workers: Workers) -> list[Response]:
    environment = Environment(events=locust.events)
    master = environment.create_master_runner(workers.host, workers.port)
    seen: list[Response] = []
    counted: Counter[str] = Counter()
    ended: dict[str, str] = {}
    ready: set[str] = set()
    master.register_message(READY, lambda environment, msg, **_: ready.add(msg.node_id))

    def reported(client_id: str, data: JsonDict) -> None:
        rows = data.get(MESSAGE, ())
        counted[client_id] += len(rows)
        seen.extend(Response(*row) for row in rows)

    def has_ended(environment: Environment, msg: Any, **_: object) -> None:
        reported(msg.node_id, msg.data)
        lost = msg.data["rows"] - counted[msg.node_id]
        ended[msg.node_id] = msg.data["problem"] or (f"{lost} rows of a worker were lost on the way" if lost else "")

    environment.events.worker_report.add_listener(reported)
    master.register_message(ENDED, has_ended)
    try:
        _wait(plan.start_seconds, lambda: len(ready) >= workers.number, "workers did not come")
        master.send_message(MESSAGE, {"url": url, "plan": asdict(plan), "seed": list(seed), "workers": workers.number})

        def all_ended() -> bool:
            if master.worker_count < workers.number:
                raise NotEvaluated("a worker was lost", "load", "Look at its output.")
            return len(ended) >= workers.number or any(ended.values())

        _wait(plan.most_seconds, all_ended, "workers did not end")
    finally:
        master.quit()
    for problem in filter(None, ended.values()):
        raise NotEvaluated(problem, "load, a worker")
    return sorted(seen, key=lambda r: r.intended)


def _wait(seconds: float, until: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline:
            raise NotEvaluated(f"{otherwise} in {seconds:g} s", "load", "Start them beside the master.")
        gevent.sleep(0.1)


def work_for(host: str, port: int, locustfile: str) -> None:
    """Run arrivals for the master at this address, until it ends us. Errors: `NotEvaluated`."""
    tasks = _Tasks(locustfile)
    problem, rows = "", 0

    def report(client_id: str, data: JsonDict) -> None:
        nonlocal rows
        taken, tasks.seen = tasks.seen, []
        rows += len(taken)
        data[MESSAGE] = [(r.phase, r.intended, r.sent, r.done, r.error) for r in taken]

    def begin(environment: Environment, msg: Any, **_: object) -> None:
        nonlocal problem
        told = msg.data
        try:
            tasks.run(told["url"], LoadPlan.of(told["plan"]), told["seed"], worker.worker_index, told["workers"])
        except NotEvaluated as error:
            problem = error.fact
        last: JsonDict = {"problem": problem}
        report("", last)
        last["rows"] = rows
        worker.send_message(ENDED, last)

    tasks.environment.events.report_to_master.add_listener(report)
    try:
        worker = tasks.environment.create_worker_runner(host, port)
    except (ConnectionError, OSError) as error:
        raise NotEvaluated("no master answers", f"{host}:{port}", "Start the master first.") from error
    worker.register_message(MESSAGE, begin, concurrent=True)
    worker.send_message(READY)
    worker.greenlet.join()
    if problem:
        print(problem, file=sys.stderr)
