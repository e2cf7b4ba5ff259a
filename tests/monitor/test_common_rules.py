"""The common rules, as docs/how-to/monitoring.md writes them: each alarms beyond its limit, and not within it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from support.evidence_files import ROOT
from weighin.contract import read_contract
from weighin.contract.models import Contract
from weighin.contract.monitor import Monitor, Window
from weighin.data.profiling import profile
from weighin.data.relation import Relation
from weighin.monitor.evaluate import Champion, evaluate

N = 1000
BASE = read_contract(ROOT / "model_contract.yaml").contract
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def rules() -> dict[str, dict[str, Any]]:
    """Comment of the documentation -> what to watch."""
    text = (ROOT / "docs/how-to/monitoring.md").read_text()
    section = text[text.index("## What is watched") :]
    found = re.search("```yaml\n(.*?)```", section, re.DOTALL)
    assert found
    listed = yaml.safe_load(found[1])["monitor"]["watch"]
    comments = re.findall(r"#\s(.*)", found[1])
    return dict(zip(comments, listed, strict=True))


def window(seed: int, *, wrong: float = 0.0, shifted: float = 0.0, other: float = 0.0, wide: float = 1.0) -> pa.Table:
    """Answers of a sure model, of which a share is wrong, about one feature.

    wide  factor of the errors of a regression, whose columns are `value` and `truth`
    """
    rng = np.random.default_rng(seed)
    truth = rng.random(N) < 0.5
    message = np.where(rng.random(N) < wrong, ~truth, truth)
    prediction = np.where(message, 0.95, 0.05) + rng.normal(0, 0.01, N)
    differs = rng.random(N) < other
    return pa.table(
        {
            "distance": (rng.gamma(2, 400, N) + 400 * shifted).astype(np.int64),
            "prediction": prediction,
            "label": truth.astype(float),
            "other": np.where(differs, 1 - prediction, prediction),
            "status": np.full(N, 200),
            "latency_ms": np.full(N, 10.0),
            "row": np.zeros(N, dtype=np.int64),
            "error": rng.normal(0, wide, N),
        }
    )


class Log:
    """All windows are alike, and independent."""

    def __init__(self, task: str, **changes: float) -> None:
        self._task, self._changes = task, changes

    def window(self, _window: Window, _now: datetime, back: int, *, labelled: bool) -> pa.Table:
        rows = window(100 + back + 10 * labelled, **self._changes)
        if self._task == "regression":
            index = rows.schema.get_field_index("prediction")
            rows = rows.set_column(index, "prediction", pa.array(rows["label"].to_numpy() + rows["error"].to_numpy()))
        return rows


@pytest.fixture(scope="module")
def champion() -> Champion:
    rows = pa.concat_tables([window(seed, wrong=0.03) for seed in range(20)]).select(["distance", "prediction"])
    found = profile(Relation.over(rows), {"distance": 10, "prediction": 10}, None)
    # A share w of wrong decisions gives this AUC; the mean absolute error of a standard normal is 0.8.
    return Champion("3", "sha256:a", found, {"roc_auc": 0.97, "mae": 0.8, "f1": 0.97})


CASES: list[tuple[str, dict[str, float], dict[str, float]]] = [
    ("MAE above 1.5 times the baseline", {"wide": 1.3}, {"wide": 1.9}),
    ("F1 below 0.85", {"wrong": 0.08}, {"wrong": 0.25}),
    ("PSI of any column above 0.2", {"shifted": 0.05}, {"shifted": 1.5}),
    ("five points of relative decline", {"wrong": 0.03}, {"wrong": 0.2}),
    ("a shadow that disagrees in 10 %", {"other": 0.05}, {"other": 0.2}),
]


def test_the_documentation_shows_them_all() -> None:
    assert list(rules()) == [name for name, _, _ in CASES]


@pytest.mark.parametrize(("name", "within", "beyond"), CASES, ids=[name for name, _, _ in CASES])
def test_a_rule_alarms_beyond_its_limit_and_not_within(
    name: str, within: dict[str, float], beyond: dict[str, float], champion: Champion
) -> None:
    watch = rules()[name]
    task = "regression" if watch.get("metric") == "mae" else "binary"
    monitor = Monitor.model_validate({"log": {"path": "log"}, "watch": [watch]})
    contract: Contract = BASE.model_copy(
        update={"monitor": monitor, "model": BASE.model.model_copy(update={"task": task})}
    )
    assert evaluate(contract, Log(task, **within), champion, NOW).alarms == ()
    found = evaluate(contract, Log(task, **beyond), champion, NOW)
    assert len(found.alarms) == 1, [o.reason for o in found.outcomes]
    assert next(w for w in found.watched if w.id == found.alarms[0].check).action == watch["action"]
