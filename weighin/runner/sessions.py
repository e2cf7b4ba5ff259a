"""What both runners do alike with the starts of a server. Standard library only."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from weighin.runner.artifact import changed
from weighin.runner.measure import Record, write_record
from weighin.runner.plan import LoadPlan, Plan, Session
from weighin.runner.problem import note_problem
from weighin.runner.target import refusal

PROBE_SECONDS = 60
"""For the requests that are sent one by one after the load."""
PREPARE_SECONDS = 600
GENERATOR_MB = 1500
"""Memory that a generator may use."""
READY, GO = "ready", "go"
"""Names of the files by which a generator says that its server is healthy, and is told to send."""
INTERRUPTED = "the step was interrupted"


class Turn:
    """The place of one start among those that start side by side: they start together, and send one after the other."""

    def __init__(self, before: Sequence[Turn] = (), together: Sequence[Turn] = ()) -> None:
        """Let the turn come when all of `together` are ready or over, and all of `before` are over."""
        self._before, self._together = before, together
        self._ready, self.over, self._stopped = threading.Event(), threading.Event(), threading.Event()
        self.came = False

    def waits(self, ready: Path, go: Path) -> bool:
        """Whether this start still waits for its turn, although its server is healthy.

        ready  file that the generator makes when its server is healthy
        go     file for which the generator waits; it is made here when the turn has come
        """
        if self.came or not os.path.lexists(ready):
            return False
        self._ready.set()
        self.came = all(t.over.is_set() for t in self._before) and all(
            t._ready.is_set() or t.over.is_set() for t in self._together
        )
        if self.came:
            go.touch()
        return not self.came

    @property
    def rests(self) -> bool:
        """Whether the server is healthy and is asked nothing yet, so that there is nothing to measure."""
        return self._ready.is_set() and not self.came

    @property
    def stopped(self) -> bool:
        """Whether the whole step is to end."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Let this start end at its next look."""
        self._stopped.set()


Start = Callable[[LoadPlan, Session, Path, Record, Turn], str]
"""Serve, ask, and note in the record what the server took; returns what went wrong in a sentence, or nothing.

Given the plan of this start, the start, a folder that the generator may write to, and the turn to wait for before
anything is sent."""


def side_by_side(plan: LoadPlan, cores: float, memory_mb: float) -> int:
    """How many starts of a server fit on a machine at once, each with the processors and the memory of its limits.

    A server that runs already is asked by one generator at a time.

    >>> from weighin.runner.plan import Interface
    >>> plan = LoadPlan((), "poisson", (1,), 3, 1, 1500, 90, Interface(), 300, 0.9, 50)
    >>> [side_by_side(plan, cores, memory_mb) for cores, memory_mb in ((2, 8000), (4, 8000), (8, 16000), (1, 500))]
    [2, 2, 5, 1]
    """
    if plan.url:
        return 1
    return max(1, min(int(cores / plan.server_cpus), int(memory_mb / (plan.server_memory_mb + GENERATOR_MB))))


def batches(sessions: Sequence[Session], number: int) -> list[tuple[Session, ...]]:
    """Return the starts in their order, so many at a time, and only those of one role.

    A model that waits for its turn must not slow the one that it is compared with. The clean environment, which is
    built first, is alone.
    """
    found: list[tuple[Session, ...]] = []
    for session in sessions:
        alone = session.role == "clean" or not found or found[-1][0].role != session.role
        if alone or len(found[-1]) >= number:
            found.append((session,))
        else:
            found[-1] = (*found[-1], session)
    return found


def every_start(
    plan: Plan, step: str, work: Path, made: Callable[[Path], Path], start: Start, together: int = 1
) -> None:
    """Go through all planned starts of a step, `load` or `shadow`; what goes wrong is noted beside the folder of each.

    made      gives an empty folder that the generator may write to
    together  how many servers start side by side; what is sent to them is sent to one after the other
    """
    out, asked = work / step, plan.of_step(step)
    made(out)
    note_problem(out, "" if asked else f"the contract has no {step} gate")
    if asked is None:
        return
    if asked.requests and not (work / asked.requests).is_file():
        note_problem(out, "there are no requests to ask")
        return
    refused = refusal(asked.url, os.environ) if asked.url else ""

    def one(session: Session, turn: Turn) -> None:
        folder = made(out / session.name)
        record: Record = {}
        # Also when it is interrupted: a part of a run must not look like a whole one.
        problem = f"the {step} step was interrupted"
        try:
            other = "" if asked.url else changed(work, model_of(session, work).name)
            unfit = "" if asked.url else plan.refused.get(model_of(session, work).name, "")
            found = refused or unfit or other or start(asked.at(session), session, folder, record, turn)
            problem = problem if turn.stopped else found
        finally:
            note_problem(folder, problem)
            write_record(folder, record)
            turn.over.set()

    for batch in batches(asked.sessions, together):
        turns: list[Turn] = []
        for _ in batch:
            # One list for all of them, which is filled before any of them looks.
            turns.append(Turn(tuple(turns), turns))
        if len(batch) == 1:
            one(batch[0], turns[0])
            continue
        with ThreadPoolExecutor(max_workers=len(batch)) as pool:
            running = [pool.submit(one, session, turn) for session, turn in zip(batch, turns, strict=True)]
            try:
                for future in running:
                    future.result()
            except BaseException:
                for turn in turns:
                    turn.stop()
                raise


def model_of(session: Session, work: Path) -> Path:
    """Whose files a start serves."""
    return work / "models" / ("candidate" if session.role == "clean" else session.role)


def server_command(
    plan: LoadPlan, session: Session, model: str, port: int, weighin: list[str], python: str
) -> list[str]:
    """Return what starts the server.

    model    where its files are, as the server sees them
    weighin  the command itself, as the server's machine or image has it
    python   the interpreter of an environment of the model's own; empty for none
    """
    own = [*weighin, "step", "serve", "--model", model, "--port", str(port)]
    own += ["--stream"] if plan.interface.stream else []
    if python and not (plan.image or plan.command):
        return [*own, "--python", python]
    if plan.image or plan.command:
        return [part.replace("{model}", model).replace("{port}", str(port)) for part in plan.command]
    return own
