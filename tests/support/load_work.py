"""A work folder with a plan of load for a team's own server, as `weighin step resolve` would leave it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weighin.runner.artifact import manifest_digest
from weighin.runner.plan import Answers, Interface, LoadPlan, Phase, Plan, Session

SERVER = Path(__file__).with_name("own_server.py")
INTERFACE = Interface("/health", "/predict", "template", '{"inputs": {"rows": {{rows}}}}', "/data/0/outputs")
CALM = (Phase("warm_up", 30, 0.3), Phase("load", 30, 1.5))
PLAN = LoadPlan(
    phases=(),
    arrivals="poisson",
    batch_rows=(1, 3),
    timeout_seconds=3,
    server_cpus=1,
    server_memory_mb=300,
    start_seconds=15,
    interface=INTERFACE,
    break_ms=100,
    break_share=0.5,
    lateness_ms=500,
    command=(sys.executable, str(SERVER), "{port}", "right"),
    sessions=(Session("candidate", 0, CALM, probes=True), Session("candidate", 1, CALM)),
)


def write(folder: Path, mode: str = "right", **changes: Any) -> Path:
    """The work folder; `changes` of the plan."""
    work = folder / "work"
    (work / "models/candidate").mkdir(parents=True)
    (work / "features").mkdir()
    resolved(work)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"row": np.arange(50.0), "other": rng.normal(size=50)})
    frame.to_parquet(work / "features/holdout.parquet")
    example = {"dataframe_split": {"columns": ["row", "other"], "data": [[1.0, 2.0], [3.0, 4.0]]}}
    (work / "features/input_example.json").write_text(json.dumps(example))
    command = (*PLAN.command[:-1], mode)
    plan = replace(PLAN, **{"command": command, **changes})
    Plan(("load",), ("candidate",), Answers((0,)), 60, 1000, plan).write(work / "plan.json")
    return work


def resolved(work: Path) -> None:
    """Write that the models' files are as they are now."""
    there = [role for role in ("candidate", "champion") if (work / "models" / role).is_dir()]
    roles = {role: {"digest": manifest_digest(work / "models" / role)} for role in there}
    (work / "subject.json").write_text(json.dumps(roles))


def facts(work: Path, name: str) -> dict[str, Any]:
    """A JSON file of the load step."""
    value: dict[str, Any] = json.loads((work / "load" / name).read_text())
    return value


def problems(work: Path) -> dict[str, str]:
    """Start of a server -> what went wrong."""
    return {p.stem: p.read_text() for p in sorted((work / "load").glob("*.problem"))}
