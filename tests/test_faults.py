"""Candidates that must be blocked, each judged in containers, where the model and its judge share nothing.

Every one is right in all but one thing, so each must be blocked by the check that is about that thing. Those that need
no walls are in test_validate.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from support import small_project

pytestmark = pytest.mark.docker

# fault -> check that must block, its status, what the reason says
BLOCKED = {
    "label-thief": ("performance/roc_auc", "not_evaluated", "a model that ranks nothing"),
    # Which of its things is seen first depends on when the watch looks.
    "rewriter": ("performance/roc_auc", "not_evaluated", "a file that nobody asked for|folders deeper than 0"),
    "hangs": ("performance/roc_auc", "not_evaluated", "was stopped after 30 s"),
    "writes-much": ("performance/roc_auc", "not_evaluated", "No space left on device"),
    "slow": ("load/within-1000-ms", "failed", "beyond the limit"),
    "row-differs": ("load/wrong-answers", "failed", "answers"),
}


HASTY = "hasty.yaml"
"""The contract, but for the time that a model has to answer: 30 s."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project with its champion."""
    folder = small_project.make(tmp_path_factory.mktemp("project"))
    contract = folder / "model_contract.yaml"
    # Logging an example runs the model on it, and some of these do not come back.
    small_project.edit(contract, ("tolerance: 1.0e-9", "tolerance: 1.0e-9\n    input_example: false"))
    # Only for who waits for its end: an honest model that shares the machine may need more.
    (folder / HASTY).write_text(contract.read_text().replace("predict_seconds: 120", "predict_seconds: 30"))
    small_project.train(folder, "--role", "champion")
    return folder


def validated(
    project: Path, version: str, out: str, *suites: str, contract: str = "model_contract.yaml"
) -> tuple[int, dict[str, Any]]:
    """The exit code, and every outcome of the record by check."""
    arguments = [f"--contract={contract}", *(f"--suite={suite}" for suite in suites)]
    done = small_project.weighin(
        project, "validate", "--runner", "docker", "--candidate", version, "--out", out, *arguments
    )
    path = project / out / "record.json"
    assert path.is_file(), done.stderr[-4000:]
    record = json.loads(path.read_text())
    return done.returncode, {o["check"]: o for s in record["suites"] for o in s["outcomes"]}


def test_the_good_challenger_passes_in_containers_as_it_does_outside(project: Path) -> None:
    version = small_project.train(project)
    code, inside = validated(project, version, "out-good")
    assert code == 0, [o["reason"] for o in inside.values() if o["blocks"]]
    assert len(inside) == 306
    assert {o["status"] for o in inside.values() if o["limit"]["severity"] == "block"} == {"passed"}
    foreign = small_project.weighin(project, "promote", "out-good", "--dry-run")
    assert (foreign.returncode, "of another image" in foreign.stderr) == (1, True), foreign.stderr
    promoted = small_project.weighin(project, "promote", "out-good", "--dry-run", "--image", "weighin:local")
    assert promoted.returncode == 0, promoted.stderr

    # Not load: its numbers are of the moment.
    suites = ("data_quality", "performance", "drift", "explainability")
    arguments = [f"--suite={suite}" for suite in suites]
    done = small_project.weighin(project, "validate", "--candidate", version, "--out", "out-outside", *arguments)
    assert done.returncode != 0  # a suite did not run
    outside = [
        o for s in suites for o in json.loads((project / f"out-outside/{s}/outcomes.json").read_text())["outcomes"]
    ]
    assert len(outside) == len([check for check in inside if not check.startswith(("load/", "model/"))])
    assert all(outcome == inside[outcome["check"]] for outcome in outside)


SHOWN = ("label-thief", "hangs", "row-differs")
"""Faults that every run of `.ci/run` shows to be blocked; the others are proofs of the same kind."""


@pytest.mark.parametrize(
    "fault", [pytest.param(f, marks=[] if f in SHOWN else [pytest.mark.exhaustive]) for f in BLOCKED]
)
def test_a_faulty_candidate_is_blocked_by_the_check_that_is_about_it(fault: str, project: Path) -> None:
    check, status, says = BLOCKED[fault]
    version = small_project.train(project, "--fault", fault)
    contract = HASTY if fault == "hangs" else "model_contract.yaml"
    code, found = validated(project, version, f"out-{fault}", check.split("/")[0], contract=contract)
    assert found[check]["blocks"]
    assert found[check]["status"] == status, found[check]["reason"]
    assert re.search(says, found[check]["reason"])
    verdict = json.loads((project / f"out-{fault}/verdict.json").read_text())
    assert verdict["status"] == {1: "failed", 5: "not_evaluated", 7: "not_evaluated"}[code]
    refused = small_project.weighin(project, "promote", f"out-{fault}")
    assert refused.returncode != 0
    if fault == "label-thief":
        # It found no labels, so it said the same for every row.
        with pa.OSFile(str(project / ".weighin/work/predictions/candidate/holdout.arrow")) as source:
            answers = pa.ipc.open_file(source).read_all()["prediction"].to_numpy()
        assert np.unique(answers).tolist() == [0.25]


@pytest.mark.exhaustive
def test_a_model_is_served_in_an_environment_of_its_own_requirements(project: Path) -> None:
    version = small_project.train(project)
    contract = (project / "model_contract.yaml").read_text()
    stress = "{rate_at_most: 30, seconds: 2, max_sustainable_rate_at_least: 5}"
    asked = f"profile: full\n    clean_environment: true\n    stress: {stress}"
    (project / "full.yaml").write_text(contract.replace("  load:\n", f"  load:\n    {asked}\n"))
    arguments = ["--contract", "full.yaml", "--suite", "load", "--runner", "docker", "--candidate", version]
    done = small_project.weighin(project, "validate", *arguments, "--out", "out-full", seconds=900)
    path = project / "out-full/load/outcomes.json"
    assert path.is_file(), done.stderr[-3000:]
    found = {o["check"]: o for o in json.loads(path.read_text())["outcomes"]}
    clean = found["load/clean-environment"]
    assert (clean["status"], clean["evidence"].get("estimate")) == ("passed", 0), clean["reason"]
    assert clean["evidence"]["n"] > 100
    assert found["load/max-sustainable-rate"]["status"] == "passed", found["load/max-sustainable-rate"]["reason"]


def test_a_repository_that_containers_cannot_read_is_said_at_once(project: Path) -> None:
    project.chmod(0o700)
    try:
        done = small_project.weighin(project, "validate", "--runner", "docker", "--out", "out-closed")
    finally:
        project.chmod(0o755)
    if os.getuid() == 0:  # for anybody else the containers run as that user
        assert (done.returncode, "chmod go+rx" in done.stderr) == (7, True), done.stderr[-2000:]


def test_the_image_stays_within_its_budget_and_holds_no_data() -> None:
    size = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Size}}", "weighin:local"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert int(size.stdout) <= 1_400_000_000
    inside = "import glob, os; print(os.getuid(), glob.glob('/repo/*') + glob.glob('/src/*') + glob.glob('/work/*'))"
    ran = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", "weighin:local", "python3", "-c", inside],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stdout.split(maxsplit=1) == ["65532", "[]\n"]
