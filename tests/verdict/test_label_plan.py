"""`weighin labels` and `weighin validate` with a plan, from models in a registry to a verdict on a few labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from support import quick_python, tiny_project
from support.small_project import weighin

pytestmark = pytest.mark.exhaustive
GATES = """\
gates:
  performance:
    checks: [{metric: accuracy, against: champion, margin: 0.02}]
    labels: {plan: labels/plan.json, given: labels/labels.csv}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two models, whose holdout has no labels: `truth.parquet` has them."""
    folder = tmp_path_factory.mktemp("labels") / "project"
    tiny_project.make(folder, suites=("performance",))
    holdout = pd.read_parquet(folder / "data/holdout.parquet")
    holdout[["id", "label"]].to_parquet(folder / "truth.parquet")
    holdout.drop(columns="label").to_parquet(folder / "data/holdout.parquet", index=False)
    contract = folder / "model_contract.yaml"
    contract.write_text(contract.read_text().partition("gates:\n")[0] + GATES)
    done = quick_python.run(["scripts/train.py"], folder)
    assert done.returncode == 0, done.stderr[-3000:]
    done = weighin(folder, "labels", "plan", "--labels", "250")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "250 rows to label" in done.stdout
    return folder


@pytest.fixture(autouse=True)
def without_labels(project: Path) -> None:
    (project / "labels/labels.csv").unlink(missing_ok=True)


def label(project: Path, n: int) -> pd.DataFrame:
    """Write the labels of the first n draws."""
    plan = pd.read_csv(project / "labels/plan.csv").head(n).drop(columns="label")
    table = plan.merge(pd.read_parquet(project / "truth.parquet"), on="id", how="left")[["id", "label"]]
    table.to_csv(project / "labels/labels.csv", index=False)
    return table


def status(project: Path) -> dict[str, Any]:
    done = weighin(project, "labels", "status")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "left to do" in (project / "reports/labels/labels.html").read_text().lower()
    found: dict[str, Any] = json.loads((project / "reports/labels/labels.json").read_text())
    assert f"left to do: {found['left']}" in done.stdout
    return found


def test_the_plan_lists_rows_for_people(project: Path) -> None:
    rows, plan = pd.read_csv(project / "labels/plan.csv"), json.loads((project / "labels/plan.json").read_text())
    assert list(rows) == ["draw", "batch", "id", "stratum", "inclusion_probability", "label"]
    assert rows["draw"].tolist() == list(range(1, 251))
    assert rows["batch"].tolist() == [1] * 100 + [2] * 100 + [3] * 50
    assert rows["label"].isna().all()
    differ = plan["rows_decided_differently"]
    assert rows["inclusion_probability"].unique() == pytest.approx([100 / differ, 200 / differ, 250 / differ])
    assert rows["id"].is_unique


def test_labels_come_in_until_the_gate_passes(project: Path) -> None:
    before = status(project)
    assert (before["labels"], before["checks"][0]["status"]) == (0, "not_evaluated")
    assert "from draw 1 of the plan on" in before["left"]
    label(project, 5)
    some = status(project)
    assert (some["labels"], some["checks"][0]["status"]) == (5, "inconclusive")
    label(project, 250)
    found = status(project)
    assert found["checks"][0]["status"] == "passed"
    assert found["left"].startswith("nothing, every check that blocks has passed")
    assert [point[0] for point in found["checks"][0]["series"]] == [100, 200, 250]

    done = weighin(project, "validate")
    assert done.returncode == 0, done.stderr[-4000:]
    record = json.loads((project / "reports/record.json").read_text())
    outcomes = {o["check"]: o for s in record["suites"] for o in s["outcomes"]}
    decided = outcomes["performance/accuracy/vs-champion"]
    assert decided["limit"]["evaluations"] == decided["evidence"]["evaluations"] == "unlimited"
    last = found["checks"][0]["series"][-1]
    assert [decided["evidence"][k] for k in ("estimate", "low", "high")] == pytest.approx(last[1:])
    assert decided["evidence"]["detail"]["labelled_rows"] == 250
    checked = weighin(project, "verify", "reports/record.json")
    assert checked.returncode == 0, checked.stderr


def test_labels_that_contradict_each_other_come_to_no_decision(project: Path) -> None:
    table = label(project, 250)
    pd.concat([table, table.head(1).assign(label=1 - table["label"][0])]).to_csv(
        project / "labels/labels.csv", index=False
    )
    before = (project / "labels/labels.csv").read_bytes()
    done = weighin(project, "validate")
    assert done.returncode == 7, done.stderr[-4000:]
    record = (project / "reports/record.json").read_text()
    assert "1 rows have labels that contradict each other" in record
    shown = weighin(project, "labels", "status")
    assert shown.returncode == 7
    assert "1 rows have labels that contradict each other" in shown.stderr
    assert (project / "labels/labels.csv").read_bytes() == before


def test_a_list_with_labels_is_not_overwritten_and_a_longer_one_begins_alike(project: Path) -> None:
    labels, kept = project / "labels", project / "kept"
    shutil.copytree(labels, kept)
    try:
        rows = pd.read_csv(labels / "plan.csv")
        rows.assign(label=rows["label"].astype(object).where(rows["draw"] > 1, 1)).to_csv(
            labels / "plan.csv", index=False
        )
        done = weighin(project, "labels", "plan")
        assert done.returncode == 4
        assert "it holds 1 labels, which a new plan would overwrite" in done.stderr
        (labels / "plan.csv").unlink()
        assert weighin(project, "labels", "plan", "--labels", "260", "--batch", "20").returncode == 0
        longer = pd.read_csv(labels / "plan.csv")
        assert longer["id"].tolist()[:250] == rows["id"].tolist()
        assert len(longer) == 260
        before, after = (json.loads((f / "plan.json").read_text()) for f in (kept, labels))
        assert (before["tightest"], before["seed"]) == (after["tightest"], after["seed"])
    finally:
        shutil.rmtree(labels)
        kept.rename(labels)


def test_a_contract_without_a_plan_and_numbers_that_are_none_are_refused(project: Path) -> None:
    assert "a number of rows below one" in weighin(project, "labels", "plan", "--batch", "0").stderr
    contract = project / "model_contract.yaml"
    text = contract.read_text()
    try:
        contract.write_text(text.replace("    labels: {plan: labels/plan.json, given: labels/labels.csv}\n", ""))
        done = weighin(project, "labels", "status")
    finally:
        contract.write_text(text)
    assert done.returncode == 4
    assert "the contract has no label plan" in done.stderr
