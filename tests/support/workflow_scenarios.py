"""What the scenarios have in common: how a tiny project is made, changed, run, and what its run left."""

from __future__ import annotations

import copy
import fcntl
import functools
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import act, small_project, tiny_project
from support.small_project import ROOT, edit

LIGHT = ("explainability",)
"""The suite that takes least time, for scenarios that are about something else than suites."""
EVENTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "pull request": ("pull-request.yml", "pull_request", {"pull_request": {"number": 1, "base": {"ref": "main"}}}),
    "merge group": ("pull-request.yml", "merge_group", {"merge_group": {"head_ref": "refs/heads/queue/main"}}),
    "release": ("release.yml", "push", {"ref": "refs/heads/release/1"}),
}
VALIDATE = ".github/workflows/validate.yml"
PULL_REQUEST = ".github/workflows/pull-request.yml"


@functools.cache
def image() -> str:
    """The id of the image under test."""
    name = os.environ.get("WEIGHIN_IMAGE_UNDER_TEST", "weighin:local")
    command = ["docker", "image", "inspect", "--format", "{{.Id}}", name]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()


def gateway() -> str:
    """The address by which containers reach this machine: their default route."""
    command = ["docker", "run", "--rm", "--network", "bridge", image(), "cat", "/proc/net/route"]
    routes = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    (found,) = [r.split()[2] for r in routes[1:] if r.split()[1] == "00000000"]
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(found)))


def aliases(registry: Path) -> dict[str, str]:
    """Alias -> version in an embedded registry that came back as an artifact."""
    aside = registry.parent / "copy.db"
    shutil.copy(registry / "mlflow.db", aside)
    connection = sqlite3.connect(aside)
    try:
        rows = connection.execute("select alias, version from registered_model_aliases where name = 'tiny'").fetchall()
    finally:
        connection.close()
    return {str(alias): str(version) for alias, version in rows}


@dataclass(frozen=True)
class Scenario:
    """One run and what must come of it.

    event      one of EVENTS
    suites     of the contract
    change     what is done to the project before it is committed and run
    proposed   what is done after that commit, so that the run is of a pull request that changes it
    status     of the verdict; empty where there is no verdict.json
    says       each must stand in the summary of the run
    sentences  each must stand in one of the verdict's sentences
    blocking   every check that blocks starts with one of these, and each of these is one that does
    passing_suites  which pass all the same
    champion   version that the alias names at the end; "1" is the one before. Empty where there is no registry.
    attempt    of the run
    first      whether the alias moves to version 1, the first champion
    trains     whether the workflow's own training is run, and not one from before copied
    exhaustive  whether what only a whole run shows of it is shown by others: steps have tests of their own
    """

    name: str
    status: str
    event: str = "release"
    suites: tuple[str, ...] = LIGHT
    change: Callable[[Path], None] | None = None
    proposed: Callable[[Path], None] | None = None
    variables: dict[str, str] = field(default_factory=dict)
    payload: dict[str, Any] = field(default_factory=dict)
    says: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    blocking: tuple[str, ...] = ()
    passing_suites: tuple[str, ...] = ()
    champion: str = "1"
    attempt: int = 1
    repositories: Callable[[Path], dict[str, Path]] | None = None
    workflow: str = ""
    trains: bool = False
    first: bool = False
    exhaustive: bool = False


class SHARED:
    """What the processes of the tests have in common, as conftest.py says."""

    folder: Path


def trained(fault: str) -> Path:
    """An embedded registry with the champion and a candidate that has this fault.

    Trained once in the image, by whichever process of the tests asks first.
    """
    kept = SHARED.folder / f"trained-{fault or 'well'}"
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever holds it ends within the time limit below
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=SHARED.folder, ignore_cleanup_errors=True) as aside:
                project = tiny_project.make(Path(aside) / "project", suites=LIGHT)
                command = [sys.executable, "-I", str(ROOT / "weighin/runner"), "docker", "run", "--image", image()]
                command += ["--registry", f"{aside}/registry", "--"]
                command += ["python3", "scripts/train.py", "--fault", fault]
                done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=600, check=False)
                assert done.returncode == 0, done.stderr[-3000:]
                Path(aside, "registry").rename(kept)
    return kept


def spare_the_training(project: Path) -> None:
    """Let the workflows copy a registry that was trained before: training is most of what they would do."""
    for path in (project / ".github/workflows").glob("*.yml"):
        text = path.read_text()
        if found := re.search(r"python3 scripts/train\.py(?: --fault (\w+))?", text):
            if not (project / "trained").exists():
                shutil.copytree(trained(found[1] or ""), project / "trained")
            path.write_text(text.replace(found[0], "cp -r trained/. /weighin/registry/"))


def run(scenario: Scenario, folder: Path) -> act.Ran:
    """Make the project of a scenario, and run it."""
    project = tiny_project.make(folder / "project", suites=scenario.suites)
    if scenario.change:
        scenario.change(project)
    if not scenario.trains:
        spare_the_training(project)
    if scenario.proposed:
        act.prepare(project)
        act.commit(project)
        scenario.proposed(project)
    workflow, event, payload = EVENTS[scenario.event]
    payload = copy.deepcopy(payload)  # `act.run` writes the base's commit into it
    for key, more in scenario.payload.items():
        payload[key] = {**payload[key], **more} if isinstance(payload.get(key), dict) else more
    return act.run(
        project,
        scenario.workflow or workflow,
        event,
        payload,
        {"WEIGHIN_IMAGE": image(), **scenario.variables},
        repositories=scenario.repositories(folder) if scenario.repositories else None,
        attempt=scenario.attempt,
    )


def broken(*suites: str) -> Callable[[Path], None]:
    """Let suites fail, and no others."""

    def change(project: Path) -> None:
        for suite in suites:
            tiny_project.break_suite(project, suite)

    return change


def edited(path: str, *changes: tuple[str, str]) -> Callable[[Path], None]:
    """Replace texts in a file of the project."""
    return lambda project: edit(project / path, *changes)


def written(path: str, text: str) -> Callable[[Path], None]:
    """Write a file of the project."""
    return lambda project: void((project / path).write_text(text))


def void(_: object) -> None:
    """Nothing, whatever was returned."""


def before_upload(script: str) -> Callable[[Path], None]:
    """Run a script in the suite's job when the suite has left its reports, before they are uploaded."""
    mark = "      - &keep-reports\n        name: Keep the reports, whatever they say\n"
    return edited(
        VALIDATE, (mark, f"      - name: Meddle\n        if: always()\n        run: |\n          {script}\n{mark}")
    )


THEIRS = "OWNER/weigh-in@" + "0" * 40
"""What examples/caller calls."""


def foreign_caller(project: Path) -> None:
    """Make the project one that holds no workflow of ours, with its contract in a folder, and calls us by name."""
    shutil.rmtree(project / ".github/workflows")
    (project / ".github/workflows").mkdir()
    theirs = project / ".github/workflows/weigh-in.yml"
    shutil.copy(ROOT / "examples/caller/weigh-in.yml", theirs)
    edit(
        theirs,
        (
            "      contract: model_contract.yaml\n",
            "      image: ${{ vars.WEIGHIN_IMAGE }}\n      train: python3 scripts/train.py\n",
        ),
        ("      tracking-uri:", "      contract: gate/model_contract.yaml\n      tracking-uri:"),
    )
    gate = project / "gate"
    gate.mkdir()
    for name in ("model_contract.yaml", "data", "validation_tests", "great_expectations"):
        if (project / name).exists():
            shutil.move(project / name, gate / name)
    edit(project / "scripts/train.py", ('root / "data/', 'root / "gate/data/'))


def own_project(project: Path) -> None:
    """Put in the place of the project one that `weighin init --project` writes; its suites measure no load."""
    made = project.parent / "own" / "shop"
    made.parent.mkdir()
    done = small_project.weighin(
        made.parent, "init", "--yes", "--no-load", "--project", "shop", "--name", "tiny", "--engine", THEIRS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(project)
    shutil.copytree(made, project, ignore=shutil.ignore_patterns(".weighin"))
    project.chmod(0o755)


def with_own_test(body: str) -> Callable[[Path], None]:
    """A foreign caller with a suite file of its own."""

    def change(project: Path) -> None:
        foreign_caller(project)
        (project / "gate/validation_tests/test_extra.py").write_text(f"def test_ours(evidence):\n    {body}\n")

    return change


def ours(folder: Path) -> dict[str, Path]:
    """Our workflows under the name by which the foreign caller knows them."""
    place = folder / "weigh-in"
    shutil.copytree(ROOT / ".github/workflows", place / ".github/workflows")
    act.prepare(place)
    return {THEIRS: place}
