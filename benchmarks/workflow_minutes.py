"""What a pull request costs: every job of the workflows on the whole example, with act on this machine.

    python benchmarks/workflow_minutes.py [--build] [--separate]

--build     no image is named, so that the run builds it and hands it on (otherwise the image is there, as a published
            one is on a machine that has pulled it)
--separate  with `jobs: separate`

Prints a table of seconds a job, split into what the time goes to, and JSON as the last line. `billed_minutes` is what
GitHub would bill if its machines took as long: every job rounded up to a minute. Jobs run one after the other here;
`wall_seconds` is what a run would take where those that measure run beside each other. The job that comments is not
counted: act has nobody to tell.
"""

from __future__ import annotations

import argparse
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

from support import act, small_project, workflow_scenarios

PARTS = ("image", "start", "imports", "work", "artifacts")
IMAGE = (
    "Say which image",
    "Verify who built",
    "Build the image",
    "Make the image ready",
    "Name the image",
    "Fetch the image",
    "Keep the image",
)
ARTIFACTS = ("Fetch ", "Keep ")
START = ("Set up job", "Check out", "Start without", "Complete job")
BEFORE, AFTER = ("review", "prepare", "candidate", "resolve", "predict"), ("gate",)
"""Jobs that run before those that measure, one after the other, and after them."""


def part(step: str) -> str:
    """What the time of a step goes to."""
    for name, starts in (("image", IMAGE), ("artifacts", ARTIFACTS), ("start", START)):
        if step.startswith(starts):
            return name
    return "work"


def sessions(artifacts: dict[str, Path]) -> dict[str, datetime]:
    """Key of a measuring job -> when the first session of pytest began in it, as its JUnit files say."""
    found = {}
    for name, folder in artifacts.items():
        if name.startswith("weighin-reports-"):
            files = folder.glob("*/junit.xml")
            begun = [ET.parse(f).getroot()[0].get("timestamp", "") for f in files]  # noqa: S314 - our own
            found[name.removeprefix("weighin-reports-").rpartition("-")[0]] = datetime.fromisoformat(min(begun))
    return found


def split(log: str, begun: dict[str, datetime]) -> dict[str, dict[str, float]]:
    """Job -> part -> seconds, by the time stamps of act and, for suites, of their JUnit files."""
    found: dict[str, dict[str, float]] = {}
    last: dict[str, datetime] = {}
    started: dict[str, datetime] = {}
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
        if step.startswith("Run the suites") and said.get("stage") == "Main":
            started.setdefault(job, moment)
        # What lies between two lines belongs to the step that the later one is of.
        parts[part(step)] += (moment - last.get(job, moment)).total_seconds()
        last[job] = moment
    for job, moment in started.items():
        key = job.rpartition("-")[0].removeprefix("suite ")
        if key in begun:
            seconds = max((begun[key] - moment).total_seconds(), 0.0)
            found[job]["imports"] += seconds
            found[job]["work"] -= seconds
    return found


def main() -> int:
    """Run once, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", action="store_true", help="build the image in the run")
    parser.add_argument("--separate", action="store_true", help="with `jobs: separate`")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = small_project.copy(Path(folder) / "project")
        if given.separate:
            caller = project / ".github/workflows/pull-request.yml"
            built = "      build: true\n"
            caller.write_text(caller.read_text().replace(built, f"{built}      jobs: separate\n"))
        payload = {"pull_request": {"number": 1, "head": {"ref": "topic"}, "base": {"ref": "main"}}}
        before = os.getloadavg()[0]
        variables = {"WEIGHIN_BASE_IMAGE": "weighin-base:local"}
        if not given.build:
            variables["WEIGHIN_IMAGE"] = workflow_scenarios.image()
        ran = act.run(project, "pull-request.yml", "pull_request", payload, variables)
        jobs = split(ran.log, sessions(ran.artifacts))
        sizes = {
            name: sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6
            for name, folder in sorted(ran.artifacts.items())
        }
        act.discard(project)
    if ran.code:
        print(ran.log[-5000:], file=sys.stderr)
        return 1
    print(f"{'job':24}" + "".join(f"{name:>11}" for name in (*PARTS, "all", "billed")))
    totals = {job: sum(parts.values()) for job, parts in jobs.items()}
    billed = {job: max(1, math.ceil(seconds / 60)) for job, seconds in totals.items()}
    for job, parts in jobs.items():
        print(f"{job:24}" + "".join(f"{parts[p]:11.1f}" for p in PARTS) + f"{totals[job]:11.1f}{billed[job]:11d}")
    measuring = {job: seconds for job, seconds in totals.items() if job not in (*BEFORE, *AFTER)}
    wall = sum(totals[job] for job in totals if job not in measuring) + max(measuring.values())
    start = max(jobs[job]["start"] + jobs[job]["imports"] for job in measuring)
    image = sum(parts["image"] for parts in jobs.values())
    print("artifacts, MB unpacked: " + ", ".join(f"{name} {size:.1f}" for name, size in sizes.items()))
    print(f"one after the other {ran.seconds:.0f} s; load of the machine before: {before:.1f}")
    said = {"jobs": len(jobs), "billed_minutes": sum(billed.values()), "wall_seconds": round(wall, 1)}
    print(json.dumps({**said, "image_seconds": round(image, 1), "start_seconds": round(start, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
