"""`weighin labels` where predictions are given in place of a model: no model is trained, and none is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from support.small_project import weighin

ROWS = 2_000
CONTRACT = """\
version: 1
model: {name: m, task: binary, target: y, candidate: {predictions: answers.csv}}
data:
  holdout: pool.csv
  columns:
    id: {type: string, role: key}
    x: {type: float}
    y: {type: string, role: target}
gates:
  performance:
    first_release: allow
    checks: [{metric: accuracy, at_least: 0.7}]
    labels: {plan: labels/plan.json, given: labels/*.csv, design: random}
"""


def test_labels_decide_about_predictions_that_a_contract_gives(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    truth, keys = np.where(random.random(ROWS) < 0.4, "late", "in time"), [f"row {i}" for i in range(ROWS)]
    right = random.random(ROWS) < 0.85
    score = np.where((truth == "late") == right, 0.8, 0.2) + random.random(ROWS) / 10
    pd.DataFrame({"id": keys, "x": random.random(ROWS)}).to_csv(tmp_path / "pool.csv", index=False)
    answers = pd.DataFrame({"id": keys, "prediction": score}).sample(frac=1, random_state=1)
    answers.to_csv(tmp_path / "answers.csv", index=False)
    contract = CONTRACT.replace("target: y,", "target: y, positive: late,")
    (tmp_path / "model_contract.yaml").write_text(contract)

    made = weighin(tmp_path, "labels", "plan", "--labels", "400", "--batch", "80", "--format", "parquet")
    assert made.returncode == 0, made.stderr[-3000:]
    rows = pd.read_parquet(tmp_path / "labels/plan.parquet")
    assert len(rows) == 400
    assert set(rows["stratum"]) == {"all"}
    assert rows["inclusion_probability"].tolist()[::80] == [n / ROWS for n in (80, 160, 240, 320, 400)]

    known = dict(zip(keys, truth, strict=True))
    rows = rows[["id"]].assign(y=[known[key] for key in rows["id"]])
    for number, part in enumerate((rows[:80], rows[160:])):
        part.to_csv(tmp_path / f"labels/{number}.csv", index=False)
    shown = weighin(tmp_path, "labels", "status")
    assert shown.returncode == 0, shown.stderr[-3000:]
    assert "80 of 400 listed rows are labelled, in the order of the plan; 240 later labels wait" in shown.stdout

    rows[80:160].to_csv(tmp_path / "labels/2.csv", index=False)
    done = weighin(tmp_path, "validate")
    assert done.returncode == 0, done.stderr[-3000:]
    record = json.loads((tmp_path / "reports/record.json").read_text())
    (found,) = [o for s in record["suites"] for o in s["outcomes"] if o["check"] == "performance/accuracy"]
    assert found["evidence"]["n"] == 400
    assert found["evidence"]["evaluations"] == "unlimited"
    assert abs(found["evidence"]["estimate"] - right.mean()) < 0.06
    assert "late" not in json.dumps(found)
