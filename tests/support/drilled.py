"""What a drill found, made by hand: one fault of each answer, with a curve, a control and a score."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from typing import Any

from weighin.contract import read_contract
from weighin.drill.controls import Control
from weighin.drill.ml_test_score import score
from weighin.drill.result import Drill, FaultResult
from weighin.drill.search import Sized
from weighin.stats.dose_response import Curve

ROOT = Path(__file__).resolve().parents[2]
ABOUT = {
    "model": "flight-delay",
    "candidate": "flight-delay version 2",
    "champion": None,
    "contract": "sha256:" + "c" * 64,
    "subject": "sha256:" + "d" * 64,
    "alpha": 0.05,
    "sampling_unit": "days",
    "dataset": "current",
    "seed": 7,
    "repeats": 60,
    "quick": False,
    "controls": 200,
    "suggest": True,
    "seconds": 9.5,
    "made": "2026-11-01T00:00:00+00:00",
}
DRAWS = (Sized(0.05, 4, 0, 1), Sized(0.1, 20, 9, 8), Sized(0.2, 20, 19, 1))


def result(name: str, family: str, answer: Any, **more: Any) -> FaultResult:
    """One fault."""
    said = f"Do what {name} does."
    return FaultResult(name, family, said, "Seen: here.", "share of the rows", 0.2, answer, **more)


def value() -> dict[str, Any]:
    """The value of `drill.json`."""
    faults = [
        result("labels-flipped", "labels", "blocked", by={"performance/roc_auc": "failed"}, draws=DRAWS,
               curve=Curve(0.14, 0.1, math.inf, 3.0)),
        result("model-worse", "model", "inconclusive", by={"performance/log_loss": "inconclusive"}, draws=DRAWS[:1],
               suggestion=("gates.performance.checks[1].at_most: 0.6",)),
        result("data-missing", "data", "missed"),
        result("serving-slow", "serving", "not_applicable", reason="the contract has no load gate"),
        result("own-half", "own", "error", reason="`faults:half` returned NoneType in place of a data frame"),
    ]  # fmt: skip
    controls = [Control("control-same-candidate", "the candidate, drawn again", 200, 3, 190, 7, 0.93, 0.9)]
    found = Drill(ABOUT, ("model", "performance", "drift"), {"status": "passed", "blocking": []}, faults, controls)
    drilled = found.to_json()
    contract = read_contract(ROOT / "model_contract.yaml").contract
    return {**drilled, "ml_test_score": score(contract, None, drilled, date(2026, 11, 30))}
