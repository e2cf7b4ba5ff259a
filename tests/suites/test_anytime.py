"""`evaluations: unlimited`: wider intervals of every metric, said so; what was made for one evaluation is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.suite_work import Work
from weighin.contract import checks, read_contract
from weighin.outcome import Measurement, confirm_failures, decide

CHECKS = """\
      - {metric: accuracy, at_least: 0.5}
      - {metric: accuracy, against: champion, margin: 0.1}
      - {metric: precision, against: champion, margin: 0.2}
      - {metric: f1, at_least: 0.3}
      - {metric: f1, against: champion, relative_margin: 0.3}
      - {metric: custom.brier, at_most: 0.5}
    fairness: [{column: carrier, values: [AA, UA], measure: error_rate, at_most: 0.3}]
    custom: {brier: {function: "own:brier", lower_is_better: true}}
    slices:
"""


def measurements(work: Work) -> dict[str, Measurement]:
    found = {name: o.evidence for name, o in work.write().outcomes("performance").items()}
    return {name: m for name, m in found.items() if isinstance(m, Measurement)}


@pytest.mark.parametrize("grouped", [True, False])
def test_every_interval_is_wider_and_says_so(tmp_path: Path, *, grouped: bool) -> None:
    (tmp_path / "own.py").write_text("def brier(truth, score, weight):\n    return (score - truth) ** 2\n")
    work = Work(tmp_path)
    work.contract = work.contract.replace("    slices:\n", CHECKS, 1)
    if not grouped:
        work.contract = work.contract.replace("group: day\n", "")
    once = measurements(work)
    work.contract = work.contract.replace("    threshold: 0.5\n", "    threshold: 0.5\n    evaluations: unlimited\n")
    found = measurements(work)
    samples = [name for name, m in once.items() if m.kind == "sample"]
    assert len(samples) == 12
    for name in samples:
        before, now = once[name], found[name]
        assert (now.evaluations, now.level, before.evaluations) == ("unlimited", 0.95, "one"), name
        assert now.method.endswith("anytime-valid"), name
        assert now.low < before.low <= before.high < now.high, name
        assert now.estimate == pytest.approx(before.estimate), name
        assert (now.p_value is None) == (before.p_value is None), name
        assert (now.p_value or 0) >= (before.p_value or 0), name
    assert found["performance/changed"].evaluations == "one"


def test_an_interval_for_one_evaluation_is_no_evidence_for_such_a_limit(tmp_path: Path) -> None:
    work = Work(tmp_path)
    before = measurements(work)
    work.contract = work.contract.replace("    threshold: 0.5\n", "    threshold: 0.5\n    evaluations: unlimited\n")
    (tmp_path / "model_contract.yaml").write_text(work.contract)
    for check in checks(read_contract(tmp_path / "model_contract.yaml").contract, "performance"):
        if check.id != "performance/changed":
            outcome = decide(before[check.id], check.limit)
            assert outcome.status.value == "not_evaluated"
            assert "for one evaluation" in outcome.reason


def test_a_perfect_score_is_a_fault_at_any_number_of_evaluations(tmp_path: Path) -> None:
    work = Work(tmp_path)
    work.contract = work.contract.replace("    threshold: 0.5\n", "    threshold: 0.5\n    evaluations: unlimited\n")
    work.scores["candidate", "holdout"] = work.frames["holdout"]["late"].to_numpy() * 0.4 + 0.3
    found = work.write().outcomes("performance")["performance/roc_auc"]
    assert found.status.value == "failed"
    assert "leak?" in found.reason


def test_a_worse_candidate_fails_after_holm_as_well(tmp_path: Path) -> None:
    work = Work(tmp_path)
    work.contract = work.contract.replace("    threshold: 0.5\n", "    threshold: 0.5\n    evaluations: unlimited\n")
    work.contract = work.contract.replace("group: day\n", "")
    work.scores["candidate", "holdout"] = work.scores["candidate", "holdout"][::-1].copy()
    outcomes = list(work.write().outcomes("performance").values())
    confirmed = {o.check: o.status.value for o in confirm_failures(outcomes, 0.05)}
    assert confirmed["performance/roc_auc/vs-champion"] == "failed"
