"""The workflows as they stand, run with act on a real Docker engine, artifacts included."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import act
import small_project

pytestmark = [pytest.mark.workflow, pytest.mark.docker]

SUITES = ("data_quality", "performance", "drift", "explainability", "load")
REPORTS = {f"weighin-suite-{suite}-1" for suite in SUITES} | {"weighin-verdict-1"}
PULL_REQUEST = {"pull_request": {"number": 1, "head": {"ref": "topic"}, "base": {"ref": "main"}}}
PUSH = {"ref": "refs/heads/release/1"}
TRAIN = "python3 scripts/train.py --role champion --if-missing && python3 scripts/train.py"

Project = Callable[[], Path]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A small project whose jobs use the image that is already built."""
    folder = tmp_path / "project"
    folder.mkdir()
    yield small_project.make(folder)
    act.discard(folder)


@pytest.fixture(scope="session")
def image() -> str:
    """The id of the image under test."""
    found = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Id}}", "weighin:local"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return found.stdout.strip()


def alias(registry: Path, name: str, tmp_path: Path) -> str:
    """The version that an alias names in a registry that came back as an artifact."""
    import sqlite3

    copy = tmp_path / "copy.db"
    shutil.copy(registry / "mlflow.db", copy)
    with sqlite3.connect(copy) as connection:
        row = connection.execute("select version from registered_model_aliases where alias = ?", (name,)).fetchone()
    connection.close()
    return str(row[0]) if row else ""


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


def test_a_push_to_a_release_branch_moves_the_alias(project: Path, image: str, tmp_path: Path) -> None:
    ran = act.run(project, "release.yml", "push", PUSH, {"WEIGHIN_IMAGE": image})
    assert ran.code == 0, ran.log[-5000:]
    assert_reports_are_there(ran)
    assert alias(ran.artifacts["weighin-registry-1"], "champion", tmp_path) == "1"
    after = ran.artifacts["weighin-promoted-registry-1"]
    assert (alias(after, "champion", tmp_path), alias(after, "previous", tmp_path)) == ("2", "1")
    done = ran.read("weighin-promotion-1", "promotion.json")
    assert (done["before"], done["after"], done["signed"]) == ("1", "2", False)


@pytest.mark.parametrize(
    ("fault", "blocking"), [("dropped-feature", "performance/roc_auc"), ("row-differs", "load/wrong-answers")]
)
def test_a_push_with_a_faulty_candidate_ends_red_and_leaves_the_alias(
    fault: str, blocking: str, project: Path, image: str
) -> None:
    small_project.edit(project / ".github/workflows/release.yml", (TRAIN, f"{TRAIN} --fault {fault}"))
    ran = act.run(project, "release.yml", "push", PUSH, {"WEIGHIN_IMAGE": image})
    assert ran.code != 0
    assert_reports_are_there(ran)
    record = ran.read("weighin-verdict-1", "record.json")
    failed = [o["check"] for s in record["suites"] for o in s["outcomes"] if o["status"] == "failed" and o["blocks"]]
    assert record["verdict"]["status"] == "failed"
    assert blocking in failed
    assert_nothing_was_promoted(ran)


def test_a_suite_whose_container_dies_without_a_word_blocks(project: Path, image: str) -> None:
    # The interpreter ends at once, with a code that says success, before anything is written.
    (project / "validation_tests/test_drift.py").write_text("import os\n\nos._exit(0)\n")
    ran = act.run(project, "release.yml", "push", PUSH, {"WEIGHIN_IMAGE": image})
    assert ran.code != 0
    verdict = ran.read("weighin-verdict-1", "verdict.json")
    assert verdict["status"] == "not_evaluated"
    assert any("suite drift" in s and "missing" in s for s in verdict["sentences"]), verdict["sentences"][:5]
    assert_nothing_was_promoted(ran)


def test_a_skipped_suite_blocks(project: Path, image: str) -> None:
    validate = project / ".github/workflows/validate.yml"
    small_project.edit(validate, ("    name: suite ${{ matrix.suite }}\n", "    if: false\n    name: suite\n"))
    ran = act.run(project, "release.yml", "push", PUSH, {"WEIGHIN_IMAGE": image})
    assert ran.code != 0
    verdict = ran.read("weighin-verdict-1", "verdict.json")
    assert verdict["status"] == "not_evaluated"
    assert any("job suites ended as skipped" in s for s in verdict["sentences"]), json.dumps(verdict["sentences"][:5])
    assert_nothing_was_promoted(ran)


def assert_nothing_was_promoted(ran: act.Ran) -> None:
    """No promoting job ran to an end, and no registry with a moved alias was left."""
    assert not {"weighin-promotion-1", "weighin-promoted-registry-1"} & set(ran.artifacts)
    assert not any("promote" in job and result == "success" for job, result in ran.jobs.items())
