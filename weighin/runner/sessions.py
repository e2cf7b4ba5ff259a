"""What both runners do alike with the starts of a server. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from weighin.runner.artifact import changed
from weighin.runner.measure import Record, write_record
from weighin.runner.plan import LoadPlan, Plan, Session
from weighin.runner.problem import note_problem
from weighin.runner.target import refusal

Start = Callable[[LoadPlan, Session, Path, Record], str]
"""Serve, ask, and note in the record what the server took; returns what went wrong in a sentence, or nothing.

Given the plan of this start, the start, and a folder that the generator may write to."""
PROBE_SECONDS = 60
"""For the requests that are sent one by one after the load."""
PREPARE_SECONDS = 600


def every_start(plan: Plan, work: Path, made: Callable[[Path], Path], start: Start) -> None:
    """Go through all planned starts, in `work/load`; what goes wrong is noted beside the folder of each.

    made  gives an empty folder that the generator may write to
    """
    out = work / "load"
    made(out)
    note_problem(out, "" if plan.load else "the contract has no load gate")
    if plan.load is None:
        return
    refused = refusal(plan.load.url, os.environ) if plan.load.url else ""
    for session in plan.load.sessions:
        folder = made(out / session.name)
        record: Record = {}
        try:
            other = "" if plan.load.url else changed(work, model_of(session, work).name)
            problem = refused or other or start(plan.load.at(session), session, folder, record)
        finally:
            # Also when it is interrupted: a part of a run must not look like a whole one.
            note_problem(folder, "the load step was interrupted")
            write_record(folder, record)
        note_problem(folder, problem)


def model_of(session: Session, work: Path) -> Path:
    """Whose files a start serves."""
    return work / "models" / ("candidate" if session.role == "clean" else session.role)


def server_command(
    plan: LoadPlan, session: Session, model: str, port: int, weighin: list[str], python: str
) -> list[str]:
    """What starts the server.

    model    where its files are, as the server sees them
    weighin  the command itself, as the server's machine or image has it
    python   the interpreter of the clean environment
    """
    own = [*weighin, "serve", "--model", model, "--port", str(port)]
    if session.role == "clean":
        return [*own, "--python", python]
    if plan.image or plan.command:
        return [part.replace("{model}", model).replace("{port}", str(port)) for part in plan.command]
    return own
