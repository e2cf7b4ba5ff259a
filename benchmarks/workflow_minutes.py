"""What a pull request costs: every job of the workflows on the whole example, with act on this machine.

    python benchmarks/workflow_minutes.py

Prints a table of seconds a job, split into what the time goes to, and JSON as the last line. `billed` is what GitHub
would bill if its machines took as long: every job rounded up to a minute. Jobs run one after the other here; `critical
path` is what a run would take where suites run side by side.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import xml.etree.ElementTree as ET
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support import act, small_project

PARTS = ("image", "start", "imports", "work", "artifacts")
IMAGE = (
    "Say which image",
    "Verify who built",
    "Build the image",
    "Make the image ready",
    "Fetch the image",
    "Keep the image",
)
ARTIFACTS = ("Fetch ", "Keep ")
START = ("Set up job", "Check out", "Start without", "Complete job")


def part(step: str) -> str:
    """What the time of a step goes to."""
    for name, starts in (("image", IMAGE), ("artifacts", ARTIFACTS), ("start", START)):
        if step.startswith(starts):
            return name
    return "work"


def split(log: str, reports: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Job -> part -> seconds, by the time stamps of act and, for suites, of their JUnit files."""
    found: dict[str, dict[str, float]] = {}
    last: dict[str, datetime] = {}
    began: dict[str, datetime] = {}
    for line in log.splitlines():
        try:
            said: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        if not isinstance(said, dict) or "job" not in said or "time" not in said:
            continue
        job, step = said["job"].rpartition("/")[2].strip(), said.get("step", "Set up job")
        moment = datetime.fromisoformat(said["time"])
        parts = found.setdefault(job, dict.fromkeys(PARTS, 0.0))
        if step == "Run the suite" and said.get("stage") == "Main":
            began.setdefault(job, moment)
        # What lies between two lines belongs to the step that the later one is of.
        parts[part(step)] += (moment - last.get(job, moment)).total_seconds()
        last[job] = moment
    for job, moment in began.items():
        suite = job.removeprefix("suite ").rpartition("-")[0]
        if suite in reports:
            (junit,) = ET.parse(reports[suite] / suite / "junit.xml").getroot()  # noqa: S314 - our own
            seconds = max((datetime.fromisoformat(junit.get("timestamp", "")) - moment).total_seconds(), 0.0)
            found[job]["imports"] += seconds
            found[job]["work"] -= seconds
    return found


def main() -> int:
    """Run once, print."""
    with tempfile.TemporaryDirectory() as folder:
        project = small_project.copy(Path(folder) / "project")
        payload = {"pull_request": {"number": 1, "head": {"ref": "topic"}, "base": {"ref": "main"}}}
        before = os.getloadavg()[0]
        ran = act.run(
            project, "pull-request.yml", "pull_request", payload, {"WEIGHIN_BASE_IMAGE": "weighin-base:local"}
        )
        suites = {
            name.removeprefix("weighin-suite-").rpartition("-")[0]: path
            for name, path in ran.artifacts.items()
            if name.startswith("weighin-suite-")
        }
        jobs = split(ran.log, suites)
        act.discard(project)
    if ran.code:
        print(ran.log[-5000:], file=sys.stderr)
        return 1
    print(f"{'job':24}" + "".join(f"{name:>11}" for name in (*PARTS, "all", "billed")))
    totals = {job: sum(parts.values()) for job, parts in jobs.items()}
    billed = {job: max(1, math.ceil(seconds / 60)) for job, seconds in totals.items()}
    for job, parts in jobs.items():
        print(f"{job:24}" + "".join(f"{parts[p]:11.1f}" for p in PARTS) + f"{totals[job]:11.1f}{billed[job]:11d}")
    side_by_side = max(s for job, s in totals.items() if job.startswith("suite "))
    path = sum(s for job, s in totals.items() if not job.startswith("suite ")) + side_by_side
    start = max(p["start"] + p["imports"] for job, p in jobs.items() if job.startswith("suite "))
    print(f"one after the other {ran.seconds:.0f} s, critical path {path:.0f} s, billed {sum(billed.values())} minutes")
    print(f"start and imports of a suite: at most {start:.1f} s; load of the machine before: {before:.1f}")
    said = {"seconds": round(ran.seconds, 1), "critical_path": round(path, 1), "billed_minutes": sum(billed.values())}
    print(json.dumps({**said, "start_and_imports": round(start, 1), "load_before": round(before, 1), "jobs": jobs}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
