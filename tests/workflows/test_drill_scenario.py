"""The drill as a workflow, as act runs it: validated, then drilled in a container. Keeping it is tested as its step."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import act, tiny_project
from support import workflow_scenarios as scenarios

pytestmark = [pytest.mark.workflow, pytest.mark.docker]


def test_some_families_are_drilled_on_what_a_validation_left_and_not_kept(folder: Path) -> None:
    project = tiny_project.make(folder / "project", suites=("drift", "explainability"))
    scenarios.spare_the_training(project)
    variables = {"WEIGHIN_IMAGE": scenarios.image()}
    ran = act.run(project, "weekly-drill.yml", "workflow_dispatch", {"inputs": {"families": "process data"}}, variables)
    shown = f"{ran.summary}\n{ran.jobs}\n{ran.log[-6000:]}"
    assert ran.code == 0, shown
    value = ran.read("weighin-drilled-drill-1", "drill.json")
    assert {f["family"] for f in value["faults"]} == {"process", "data"}
    assert value["summary"]["killed"] > 10, shown
    assert "# Drill of tiny" in ran.summary
    assert ran.read("weighin-drilled-verdict-1", "verdict.json")["status"] == "passed"
