"""The workflows on the real example: image built in the run, load gate included. The rest: `test_scenarios.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import act, small_project

pytestmark = [pytest.mark.workflow, pytest.mark.docker]

SUITES = ("data_quality", "performance", "drift", "explainability", "load")
REPORTS = {f"weighin-suite-{suite}-1" for suite in SUITES} | {"weighin-verdict-1"}
PULL_REQUEST = {"pull_request": {"number": 1, "head": {"ref": "topic"}, "base": {"ref": "main"}}}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A small project whose jobs use the image that is already built."""
    folder = tmp_path / "project"
    folder.mkdir()
    yield small_project.make(folder)
    act.discard(folder)


def assert_reports_are_there(ran: act.Ran) -> None:
    """Every suite's reports and the verdict were uploaded."""
    assert set(ran.artifacts) >= REPORTS, ran.log[-3000:]
    for suite in SUITES:
        for name in ("junit.xml", "report.html", "outcomes.json"):
            assert (ran.artifacts[f"weighin-suite-{suite}-1"] / suite / name).is_file(), (suite, name)
    assert (ran.artifacts["weighin-suite-data_quality-1"] / "data_quality/data_docs/holdout/index.html").is_file()
    for name in ("verdict.json", "summary.md", "record.json", "report.html"):
        assert (ran.artifacts["weighin-verdict-1"] / name).is_file(), name


def test_a_pull_request_with_a_good_challenger_is_green_and_leaves_every_report(project: Path) -> None:
    # No image is named: the workflow builds it from the Dockerfile and hands it on as an artifact.
    variables = {"WEIGHIN_BASE_IMAGE": "weighin-base:local"}
    ran = act.run(project, "pull-request.yml", "pull_request", PULL_REQUEST, variables)
    assert ran.code == 0, ran.log[-5000:]
    assert_reports_are_there(ran)
    assert ran.read("weighin-verdict-1", "verdict.json")["status"] == "passed"
    assert set(ran.jobs.values()) == {"success"}
