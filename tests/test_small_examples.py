"""The second and third example, from data to release: ten classes and a sealed holdout, a number and an anchor."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import quick_python, small_project
from weighin.contract import read_contract
from weighin.drill.asked import Models
from weighin.drill.inputs import Inputs
from weighin.drill.judge import Judge
from weighin.drill.process import answers_swapped, case_of, data_swapped, model_swapped
from weighin.drill.skew import all_frozen

EXAMPLES = small_project.ROOT / "examples"


def made(folder: Path, name: str) -> Path:
    """A copy of the example with data and two registered models."""
    for part in (name, "small.py"):
        source = EXAMPLES / part
        ignore = shutil.ignore_patterns("data", ".weighin", "reports", "__pycache__")
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignore)
        else:
            shutil.copy(source, folder)
    done = quick_python.run(["small.py", name], folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / name


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "reports/record.json").read_text())
    return found


def outcome(folder: Path, check: str) -> dict[str, Any]:
    every = [o for s in record(folder)["suites"] for o in s["outcomes"]]
    found: dict[str, Any] = next(o for o in every if o["check"] == check)
    return found


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("digits"), "digits")


@pytest.fixture(scope="module")
def diabetes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("diabetes"), "diabetes")


@pytest.mark.exhaustive
def test_a_regression_is_judged_against_champion_anchor_and_its_own_metric(diabetes: Path) -> None:
    done = small_project.weighin(diabetes, "validate")
    assert done.returncode == 0, done.stderr[-3000:]
    found = record(diabetes)
    assert found["anchor"]["version"] == "1"
    assert outcome(diabetes, "performance/rmse/vs-anchor")["status"] == "passed"
    assert outcome(diabetes, "performance/custom.large_errors")["evidence"]["method"] == "influence values"
    assert outcome(diabetes, "performance/mae/vs-champion/older with high pressure")["status"] == "passed"
    assert found["policy_inputs"]["explainability_done"] is True
    assert found["policy_inputs"]["fairness_checks"] == 2
    page = (diabetes / "reports/report.html").read_text()
    for title in (
        "Classical tests against the champion",
        "Slices, the least favourable first",
        "Permutation importance",
    ):
        assert f'data-table="{title}"' in page, title
    assert page.count('class="bars"') == 2
    assert "left by the model&#39;s process" in page


def test_contract_check_prints_power_after_a_validation(diabetes: Path) -> None:
    if not (diabetes / ".weighin/work/predictions").is_dir():
        small_project.weighin(diabetes, "validate")
    said = small_project.weighin(diabetes, "contract", "check").stdout
    assert "power: if a candidate were exactly as good as diabetes version 1" in said
    assert "rows give 80 %" in said
    assert "checks together" in said


def test_before_any_validation_power_is_said_to_be_unknown(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "diabetes/model_contract.yaml", tmp_path)
    done = small_project.weighin(tmp_path, "contract", "check")
    assert done.returncode == 0, done.stderr
    assert "power: not known yet" in done.stdout


@pytest.mark.exhaustive
def test_a_sealed_release_closes_its_epoch_and_says_so_in_mlflow(digits: Path) -> None:
    first = small_project.weighin(digits, "validate")
    assert first.returncode == 0, first.stderr[-3000:]
    assert "one evaluation on the development holdout" in record(digits)["risk"]

    refused = small_project.weighin(digits, "promote")
    assert refused.returncode == 1
    assert "judged on the development holdout only" in refused.stderr

    sealed = small_project.weighin(digits, "validate", "--sealed")
    assert sealed.returncode == 0, sealed.stderr[-3000:]
    assert record(digits)["sealed"] == {"epoch": "first", "use": 1, "holdout_uses": 2, "ledger_version": "1"}
    assert "all 2 uses of the sealed holdout of epoch first together" in record(digits)["risk"]
    left = json.loads(small_project.weighin(digits, "holdout", "--json").stdout)
    assert (left["left"], left["closed"], left["taken"][0]["result"]) == (1, False, "reserved")

    again = small_project.weighin(digits, "validate", "--sealed", "--out", "again", "--work", "again/work")
    assert again.returncode == 1
    assert "has had its use" in again.stderr

    promoted = small_project.weighin(digits, "promote")
    assert promoted.returncode == 0, promoted.stderr
    assert "closed by a pass" in small_project.weighin(digits, "holdout").stdout
    in_mlflow(digits)


def in_mlflow(folder: Path) -> None:
    """A person who lives in MLflow sees the verdict: tags on the version, metrics and MLflow's plots on its run."""
    code = (
        "import json, mlflow; c = mlflow.MlflowClient(); v = c.get_model_version_by_alias('digits', 'champion');"
        "r = c.get_run(v.run_id);"
        "files = [f.path for f in c.list_artifacts(v.run_id, 'weighin/evaluation')];"
        "print(json.dumps([v.tags, r.data.metrics, files]))"
    )
    uri = f"sqlite:///{folder}/.weighin/registry/mlflow.db"
    done = quick_python.run(["-c", code], folder, env={**os.environ, "MLFLOW_TRACKING_URI": uri})
    assert done.returncode == 0, done.stderr[-2000:]
    tags, metrics, files = json.loads(done.stdout.strip().splitlines()[-1])
    assert tags["validation_status"] == "passed"
    assert tags["weighin.suite.performance"].startswith("passed: 5 checks")
    assert 0.5 < metrics["weighin/performance/accuracy"] < 1
    assert metrics["weighin/performance/accuracy/low"] < metrics["weighin/performance/accuracy"]
    assert any(name.endswith("confusion_matrix.png") for name in files)
    assert any(name.endswith("roc_curve_plot.png") for name in files)


@pytest.mark.exhaustive
def test_a_candidate_that_fails_elsewhere_is_not_shown_the_sealed_rows(digits: Path) -> None:
    contract = digits / "model_contract.yaml"
    kept = contract.read_text()
    small_project.edit(
        contract, ("accuracy, at_least: 0.4", "accuracy, at_least: 0.99"), ("epoch: first", "epoch: second")
    )
    # Other rows, as a new epoch must have; the candidate is the champion by now, so the first model stands against it.
    import pandas as pd

    sealed = digits / "data/sealed_holdout.parquet"
    rows = sealed.read_bytes()
    try:
        pd.read_parquet(sealed).assign(dark=lambda t: t["dark"] + 1).to_parquet(sealed, index=False)
        done = small_project.weighin(
            digits, "validate", "--sealed", "--candidate", "models:/digits/1", "--out", "worse"
        )
    finally:
        contract.write_text(kept)
        sealed.write_bytes(rows)
    assert done.returncode == 1, done.stderr[-2000:]
    assert "suite sealed: not run, since another suite does not pass" in done.stderr
    found = json.loads((digits / "worse/record.json").read_text())
    statuses = {s["suite"]: s["status"] for s in found["suites"]}
    assert statuses == {"model": "passed", "performance": "failed", "sealed": "not_evaluated"}


@pytest.mark.exhaustive
def test_a_drill_measures_what_the_validation_measured_and_asks_the_models_as_it_did(
    diabetes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(diabetes)
    file = read_contract(Path("model_contract.yaml"))
    base = Inputs.read(file, Path(".weighin/work"))
    judge = Judge.of(base)
    recorded = {o["check"]: o for s in record(diabetes)["suites"] for o in s["outcomes"]}
    assert {i: o.status.value for i, o in judge.baseline.items()} == {i: recorded[i]["status"] for i in judge.baseline}
    assert {i for i in recorded if not i.startswith("custom/")} == set(judge.baseline)
    models = Models(base)
    try:
        same = models.again(replace(base, prepare=lambda table: table))
        frozen = models.again(all_frozen(base, 1.0, np.random.default_rng(1)))
    finally:
        models.close()
    assert same.problems == {}
    for dataset in ("holdout", "permuted"):
        assert np.array_equal(same.answers["candidate", dataset], base.answers["candidate", dataset])
        assert same.answers["champion", dataset] is base.answers["champion", dataset]
    # Every feature has its median: every row has the same answer, and the gate says so.
    assert np.ptp(frozen.answers["candidate", "holdout"]) < np.ptp(base.answers["candidate", "holdout"]) / 10
    assert judge.judged(frozen).killed


def test_a_drill_of_the_command_line_reads_the_registry_and_writes_nothing_to_it(diabetes: Path) -> None:
    database = diabetes / ".weighin/registry/mlflow.db"
    before = database.read_bytes()
    done = small_project.weighin(diabetes, "drill", "--quick", "--fault", "process-alias-moved")
    assert done.returncode == 0, done.stderr[-3000:]
    value = json.loads((diabetes / "reports/drill/drill.json").read_text())
    (found,) = value["faults"]
    assert (found["answer"], "is version 1 now" in found["reason"]) == ("blocked", True)
    assert value["ml_test_score"]["sections"]["model"] == 2.0
    assert database.read_bytes() == before


def test_files_of_a_validation_that_were_exchanged_are_noticed(diabetes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(diabetes)
    judge = Judge.of(Inputs.read(read_contract(Path("model_contract.yaml")), Path(".weighin/work")))
    for ask in (model_swapped, answers_swapped, data_swapped):
        with case_of(judge) as case:
            assert ask(case) != "", ask.__name__
