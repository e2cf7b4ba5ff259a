"""The workflows on the real example, with an image that is built in the run. The rest: `test_scenarios.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from support import act, small_project

pytestmark = [pytest.mark.workflow, pytest.mark.docker]

SUITE = "explainability"
PULL_REQUEST = {"pull_request": {"number": 1, "head": {"ref": "topic"}, "base": {"ref": "main"}}}


@pytest.fixture
def project(folder: Path) -> Path:
    """The repository with less data and one suite: each job fetches the image, which is large."""
    made = folder / "project"
    made.mkdir()
    small_project.make(made)
    contract = yaml.safe_load((made / "model_contract.yaml").read_text())
    contract["gates"] = {SUITE: contract["gates"][SUITE]}
    (made / "model_contract.yaml").write_text(yaml.safe_dump(contract))
    return made


@pytest.mark.exhaustive
def test_a_pull_request_with_a_good_challenger_is_green_in_the_image_that_it_built(project: Path) -> None:
    # No image is named: the workflow builds it from the Dockerfile and hands it on as an artifact.
    variables = {"WEIGHIN_BASE_IMAGE": "weighin-base:local"}
    ran = act.run(project, "pull-request.yml", "pull_request", PULL_REQUEST, variables)
    assert ran.code == 0, ran.log[-5000:]
    for name in ("junit.xml", "report.html", "outcomes.json"):
        assert (ran.artifacts["weighin-reports-suites-1"] / SUITE / name).is_file(), name
    for name in ("verdict.json", "summary.md", "record.json", "report.html"):
        assert (ran.artifacts["weighin-verdict-1"] / name).is_file(), name
    assert ran.read("weighin-verdict-1", "verdict.json")["status"] == "passed"
    assert set(ran.jobs.values()) == {"success"}
