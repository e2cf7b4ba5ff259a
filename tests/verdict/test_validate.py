"""`weighin validate` from end to end, in the local environment: a good challenger, and everything that can be missing.

Slow by nature: models are trained, loaded, served and judged for real. The faults that need walls between model and
judge are in test_faults.py, which runs them in containers.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from support import quick_python, small_project
from support.evidence_files import ROOT
from weighin.data.profile import Profile

HOLDOUT = "examples/flights/data/holdout.parquet"
SUITES = ("data_quality", "performance", "drift", "explainability", "load")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project with champion and challenger in its embedded registry."""
    folder = small_project.make(tmp_path_factory.mktemp("project"))
    small_project.train(folder, "--role", "champion")
    small_project.train(folder)
    return folder


@pytest.fixture
def restored(project: Path) -> Any:
    """The project for a test that breaks a file of it: set back afterwards."""
    broken = (HOLDOUT, "model_contract.yaml", "great_expectations/expectations/contract.json")
    kept = {p: (project / p).read_bytes() for p in broken}
    yield project
    for path, content in kept.items():
        (project / path).write_bytes(content)


def outcomes(folder: Path, suite: str) -> list[dict[str, Any]]:
    record = json.loads((folder / "record.json").read_text())
    return next(s["outcomes"] for s in record["suites"] if s["suite"] == suite)


def test_a_good_challenger_passes_and_is_released(project: Path) -> None:
    # The one run of the whole as a user starts it, with nothing imported beforehand.
    command = [sys.executable, "-P", "-m", "weighin", "validate"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "✅ PASSED: flight-delay version 2 may replace version 1" in done.stderr
    reports = project / "reports"
    for suite in SUITES:
        for name in ("junit.xml", "report.html", "outcomes.json"):
            assert (reports / suite / name).is_file(), (suite, name)
    for name in ("verdict.json", "summary.md", "report.html", "record.json"):
        assert (reports / name).is_file(), name
    assert (reports / "drift/evidently.html").is_file(), done.stderr
    assert (reports / "data_quality/data_docs/holdout/index.html").is_file()
    page = (reports / "report.html").read_text()
    assert page.count('class="interval"') >= 35  # every sample is drawn
    assert page.count("data-histogram=") == 16
    assert 'class="curve"' in page

    again = small_project.weighin(project, "step", "verdict", "reports")
    assert again.returncode == 0, again.stderr

    alone = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "validation_tests/test_drift.py"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert alone.returncode == 0, alone.stdout[-2000:]
    assert "17 passed" in alone.stdout

    registry = project / ".weighin/registry"
    shutil.copytree(registry, project / "before")
    promoted = small_project.weighin(project, "promote", "reports")
    assert promoted.returncode == 0, promoted.stderr
    assert "version 1 -> version 2 (unsigned)" in promoted.stdout
    told = small_project.weighin(project, "history", "--json")
    assert [(e["action"], e["before"], e["after"]) for e in json.loads(told.stdout)] == [
        ("adopt", "", "1"),
        ("promote", "1", "2"),
    ]
    held = small_project.weighin(project, "verify", "reports/record.json")
    assert (held.returncode, "flight-delay version 2: passed; unsigned" in held.stdout) == (0, True), held.stderr
    (stored,) = registry.rglob("weighin/profile/reference.json")
    profile = Profile.read(stored)
    assert profile.rows == json.loads((project / ".weighin/work/subject.json").read_text())["data"]["reference"]["rows"]
    assert {"prediction", "late", "temp"} <= set(profile.columns)
    shutil.rmtree(registry)
    (project / "before").rename(registry)


@pytest.mark.exhaustive
def test_a_run_that_ended_early_goes_on_with_the_steps_that_it_lacks(project: Path) -> None:
    chosen = ("validate", "--suite", "performance", "--suite", "load", "--work", "resumed/work", "--out", "resumed/out")
    first = small_project.weighin(project, *chosen)
    again = small_project.weighin(project, *chosen, "--resume")
    for step in ("predict", "load"):
        assert f"{step}: taken up" not in first.stderr
        assert f"{step}: taken up from the run before" in again.stderr
    assert "serve and send load" not in again.stderr
    assert outcomes(project / "resumed/out", "load") != []
    (project / "resumed/work/load/candidate-1/session.json").write_text("{}")
    changed = small_project.weighin(project, *chosen, "--resume")
    assert "predict: taken up" in changed.stderr
    assert "serve and send load ..." in changed.stderr
    refused = small_project.weighin(project, "validate", "--resume", "--train", "scripts/train.py")
    assert (refused.returncode, "--train registers another model in each run" in refused.stderr) == (4, True)


def test_the_numbers_of_evidently_are_those_of_the_gate(project: Path) -> None:
    if not (project / "reports/drift/evidently.html").is_file():
        small_project.weighin(project, "validate", "--suite", "drift")
    page = (project / "reports/drift/evidently.html").read_text()
    for outcome in json.loads((project / "reports/drift/outcomes.json").read_text())["outcomes"]:
        if outcome["check"] == "drift/table":
            continue  # about the columns, not about what is in one
        assert outcome["reason"].partition(" [")[0] in page, outcome["check"]


def not_evaluated(project: Path, out: str, suite: str, sentence: str) -> None:
    """Every check of the suite that needed what is missing says so, and nothing of it is a pass."""
    done = small_project.weighin(project, "validate", "--suite", suite, "--out", out)
    assert done.returncode in (5, 7), done.stderr[-3000:]
    # Fewer suites than the contract demands are never a pass.
    told = json.loads((project / out / "verdict.json").read_text())["messages"]
    assert sum(" was left out: no verdict without it" in message for message in told) == len(SUITES) - 1
    found = outcomes(project / out, suite)
    touched = [o for o in found if sentence in o["reason"]]
    assert touched, [o["reason"] for o in found][:3]
    assert {o["status"] for o in touched} == {"not_evaluated"}
    assert (project / out / suite / "junit.xml").read_text().count("<error") >= len([o for o in touched if o["blocks"]])
    for page in ("report.html", "summary.md"):
        assert "not evaluated" in (project / out / page).read_text()
    if suite == "performance":
        assert not [o for o in found if o["status"] == "passed"]


def test_a_missing_file_is_not_evaluated(restored: Path) -> None:
    (restored / HOLDOUT).unlink()
    done = small_project.weighin(restored, "validate", "--out", "out-missing")
    assert done.returncode == 7
    # Before any model is asked, and with a verdict that says so.
    assert "resolve" not in done.stderr
    assert f"data.holdout: no such file: {HOLDOUT}" in done.stderr
    assert json.loads((restored / "out-missing/verdict.json").read_text())["status"] == "not_evaluated"


def test_an_unknown_column_is_not_evaluated(restored: Path) -> None:
    small_project.edit(
        restored / "model_contract.yaml",
        ("    visib: {type: float", "    wind_gust: {type: float}\n    visib: {type: float"),
    )
    small_project.weighin(restored, "contract", "sync")
    not_evaluated(restored, "out-unknown", "performance", "no column wind_gust")


def test_an_empty_frame_passes_no_data_quality_check(restored: Path) -> None:
    pd.read_parquet(restored / HOLDOUT).head(0).to_parquet(restored / HOLDOUT, index=False)
    done = small_project.weighin(restored, "validate", "--suite", "data_quality", "--out", "out-empty-quality")
    assert done.returncode == 7
    for outcome in outcomes(restored / "out-empty-quality", "data_quality"):
        if "/holdout/" in outcome["check"]:
            assert outcome["status"] == "not_evaluated", outcome["check"]


def test_data_that_change_after_they_were_resolved_are_not_evaluated(restored: Path) -> None:
    assert small_project.weighin(restored, "step", "resolve").returncode == 0
    pd.read_parquet(restored / HOLDOUT).iloc[1:].to_parquet(restored / HOLDOUT, index=False)
    small_project.weighin(restored, "step", "judge", "performance", "--out", "out-changed")
    found = json.loads((restored / "out-changed/performance/outcomes.json").read_text())["outcomes"]
    assert {o["status"] for o in found} == {"not_evaluated"}


# fault -> check of the performance suite that must block, its status, what the reason says
BLOCKED = {
    "shuffled-labels": ("performance/roc_auc", "failed", "beyond the limit"),
    "dropped-feature": ("performance/roc_auc/vs-champion", "failed", "beyond the limit"),
    "constant": ("performance/roc_auc", "not_evaluated", "a model that ranks nothing"),
    "same-champion": ("performance/changed", "failed", "0 rows"),
    "raises": ("performance/roc_auc", "not_evaluated", "the model raised RuntimeError, code "),
    "hangs": ("performance/roc_auc", "not_evaluated", "was stopped after"),
    "nan": ("performance/roc_auc", "not_evaluated", "predictions are NaN"),
    "too-few": ("performance/roc_auc", "not_evaluated", "answers for"),
}


SHOWN = ("raises", "nan", "too-few")
"""Faults of which every run of the tests shows that they block; the others take longer, and are proofs."""


@pytest.mark.parametrize(
    "fault", [pytest.param(f, marks=[] if f in SHOWN else [pytest.mark.exhaustive]) for f in BLOCKED]
)
def test_a_faulty_candidate_is_blocked_by_the_check_that_is_about_it(fault: str, restored: Path) -> None:
    small_project.edit(restored / "model_contract.yaml", ("predict_seconds: 120", "predict_seconds: 15"))
    version, out = small_project.train(restored, "--fault", fault), f"out-{fault}"
    done = small_project.weighin(
        restored, "validate", "--suite", "performance", "--candidate", version, "--out", out, seconds=120
    )
    assert done.returncode in (1, 5, 7), done.stderr[-3000:]
    check, status, says = BLOCKED[fault]
    (found,) = [o for o in outcomes(restored / out, "performance") if o["check"] == check]
    assert (found["status"], found["blocks"]) == (status, True), found["reason"]
    assert says in found["reason"]


def test_a_registry_that_is_away_is_said_in_one_line_and_in_the_reports(project: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (project / "out-away").mkdir()
    (project / "out-away/record.json").write_text("{}")
    environment = {
        "MLFLOW_TRACKING_URI": f"http://user:secret@127.0.0.1:{port}",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    }
    done = quick_python.run(["-m", "weighin", "validate", "--out", "out-away"], project, env=os.environ | environment)
    assert done.returncode == 7
    said = [line for line in done.stderr.splitlines() if line.startswith("weighin: ")]
    assert len(said) == 1
    assert f"127.0.0.1:{port}" in said[0]
    assert "Check the address" in said[0]
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr
    verdict = json.loads((project / "out-away/verdict.json").read_text())
    assert (verdict["status"], verdict["exit_code"]) == ("not_evaluated", 7)
    assert "Not evaluated: " in (project / "out-away/summary.md").read_text()
    assert "secret" not in (project / "out-away/summary.md").read_text()
    assert not (project / "out-away/record.json").exists()


def test_a_wrong_contract_is_a_usage_error_with_line_and_nearest_key(restored: Path) -> None:
    small_project.edit(restored / "model_contract.yaml", ("rows_at_least:", "rows_at_lest:"))
    done = small_project.weighin(restored, "validate", "--out", "out-contract")
    assert done.returncode == 4
    assert "rows_at_least" in done.stderr
    assert "model_contract.yaml" in done.stderr
    assert json.loads((restored / "out-contract/verdict.json").read_text())["status"] == "not_evaluated"


def test_without_an_engine_the_docker_runner_says_so(project: Path) -> None:
    environment = os.environ | {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
    done = quick_python.run(
        ["-m", "weighin", "validate", "--runner", "docker", "--out", "out-engine"], project, env=environment
    )
    assert done.returncode == 7
    assert json.loads((project / "out-engine/verdict.json").read_text())["status"] == "not_evaluated"


def test_python_does_what_the_command_does(project: Path) -> None:
    page = re.findall(r"```python\n(.*?)```", (ROOT / "docs/reference/api.md").read_text(), re.DOTALL)[0]
    (project / "run_validate.py").write_text(page)
    done = quick_python.run(["run_validate.py"], project)
    verdict = json.loads((project / "reports/verdict.json").read_text())
    assert done.stdout.splitlines() == [
        f"{verdict['status']} {verdict['exit_code']} reports/report.html",
        *verdict["messages"],
    ]
    assert verdict["exit_code"] in (5, 7), done.stderr
