"""A repository of three models: a pull request that may concern two of them, as act runs it.

act ends a run at the first called workflow that fails, so what the collecting job says then is tested as its step.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support import act, tiny_project
from support import workflow_scenarios as scenarios

pytestmark = [pytest.mark.workflow, pytest.mark.docker]

CALLER = """name: models
on: pull_request
permissions: {}
jobs:
  validate:
    uses: ./.github/workflows/monorepo.yml
    permissions:
      contents: read
    with:
      contracts: models/*/model_contract.yaml
      image: ${{ vars.WEIGHIN_IMAGE }}
      train: cp -r {folder}/trained/. /weighin/registry/
"""
NAMES = ("a", "b", "c")


def three_models(folder: Path) -> Path:
    """Three copies of the tiny project, each with a candidate that was trained before."""
    project = folder / "project"
    one = tiny_project.make(folder / "one", suites=scenarios.LIGHT)
    project.mkdir()
    project.chmod(0o755)
    for name in (".github", "actions"):
        shutil.copytree(one / name, project / name)
    (project / ".github/workflows/models.yml").write_text(CALLER)
    for name in NAMES:
        for part in ("data", "validation_tests"):
            shutil.copytree(one / part, project / "models" / name / part)
        shutil.copy(one / "model_contract.yaml", project / "models" / name)
        shutil.copytree(scenarios.trained(""), project / "models" / name / "trained")
    return project


def test_only_what_a_pull_request_may_concern_is_validated_and_one_check_says_it(folder: Path) -> None:
    project = three_models(folder)
    act.prepare(project)
    act.commit(project)
    for name in ("b", "c"):
        (project / "models" / name / "notes.md").write_text("trained again\n")
    payload = {"pull_request": {"number": 1, "head": {"ref": "topic"}, "base": {"ref": "main"}}}
    ran = act.run(project, "models.yml", "pull_request", payload, {"WEIGHIN_IMAGE": scenarios.image()})
    shown = f"{ran.summary}\n{ran.jobs}\n{ran.log[-6000:]}"
    assert ran.code == 0, shown
    said = "2 of 3 models are validated. Left out, since nothing that they may depend on changed: models-a."
    assert said in ran.summary
    statuses = {n: ran.read(f"weighin-models-{n}-verdict-1", "verdict.json")["status"] for n in ("b", "c")}
    assert statuses == {"b": "passed", "c": "passed"}, shown
    assert not [name for name in ran.artifacts if name.startswith("weighin-models-a-")]
    assert [result for job, result in ran.jobs.items() if job.startswith("monorepo") and job.endswith("/gate")] == [
        "success"
    ]
