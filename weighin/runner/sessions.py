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


def every_start(plan: Plan, step: str, work: Path, made: Callable[[Path], Path], start: Start) -> None:
    """Go through all planned starts of a step, `load` or `shadow`; what goes wrong is noted beside the folder of each.

    made  gives an empty folder that the generator may write to
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
    for session in asked.sessions:
        folder = made(out / session.name)
        record: Record = {}
        try:
            other = "" if asked.url else changed(work, model_of(session, work).name)
            problem = refused or other or start(asked.at(session), session, folder, record)
        finally:
            # Also when it is interrupted: a part of a run must not look like a whole one.
            note_problem(folder, f"the {step} step was interrupted")
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
