"""Evidence as the suites leave it, for the example's contract, written by the real code: all green unless told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weighin.contract import Check, checks, read_contract
from weighin.contract.checks import ChangedRule, ColumnRule
from weighin.contract.reading import ContractFile
from weighin.model.examined import Examined
from weighin.model.subject import ModelVersion, Release, Subject
from weighin.outcome import Direction, Measurement, Unmeasured, census, decide
from weighin.record.decision import Decision, decision_record, judge_evidence
from weighin.record.suite import Binding, SuiteOutcomes
from weighin.suites.model import model_information, model_outcomes

ROOT = Path(__file__).resolve().parents[2]
SOUND = {"candidate": Examined(flavours={"sklearn": "1.9.1"}, signature="3 columns", inputs=3)}
"""What `resolve` says of a model that fits its contract."""
RUN = {"commit": "c" * 40, "url": "https://example.org/runs/1", "created": "2013-11-16T00:00:00+00:00"}


RELEASES = (
    Release(1, "adopt", "7", "2013-06-02"),
    Release(2, "promote", "8", "2013-08-19", "sha256:" + "8" * 64, "sha256:" + "e" * 64, {"roc_auc": 0.681}),
    Release(3, "promote", "1", "2013-10-04", "sha256:" + "9" * 64, "sha256:" + "d" * 64, {"roc_auc": 0.689}),
)
"""Changes of champion before: one without a record, one on another holdout, one on today's."""

DRILLED = {
    "digest": "sha256:" + "e" * 64,
    "made": "2013-11-13T00:00:00+00:00",
    "age_days": 3.0,
    "same_contract": True,
    "faults": 66,
    "killed": 62,
    "score": 0.9394,
    "ml_test_score": 2.5,
}
"""What a record says of a drill, three days before it."""


@dataclass
class Case:
    """A decision about one candidate, with the evidence for it in `reports`."""

    reports: Path
    file: ContractFile = field(default_factory=lambda: read_contract(ROOT / "model_contract.yaml"))
    evidence: dict[str, Measurement | Unmeasured] = field(default_factory=dict)
    releases: tuple[Release, ...] = ()
    drill: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        candidate = ModelVersion("flight-delay", "2", "r2", "sha256:" + "2" * 64, "models:/flight-delay@challenger")
        champion = ModelVersion("flight-delay", "1", "r1", "sha256:" + "1" * 64, "models:/flight-delay@champion")
        data = {name: {"sha256": "sha256:" + "d" * 64, "rows": 100, "problem": ""} for name in ("holdout", "current")}
        self.subject = Subject(candidate, champion, self.file.digest, data, True, models=SOUND, releases=self.releases)
        self.binding = Binding(self.file.digest, self.subject.digest, "", "1")

    def write(self, *suites: str) -> Case:
        """Write the outcomes of all suites, or of the named ones."""
        for suite in suites or self.file.contract.gates.names:
            found = [decide(self.evidence.get(c.id) or passing(c), c.limit) for c in checks(self.file.contract, suite)]
            SuiteOutcomes(suite, self.binding, tuple(found), 1.5).write(self.reports / suite)
        return self

    def decision(self, **more: Any) -> Decision:
        """The decision on what is written."""
        looked = model_outcomes(self.file.contract, self.subject)
        shown = model_information(self.subject)
        more.setdefault("model", SuiteOutcomes("model", self.binding, looked, 0.0, information=shown))
        return judge_evidence(self.file, self.binding, self.reports, **more)

    def record(self, **more: Any) -> dict[str, Any]:
        """The record of that decision."""
        return decision_record(self.decision(**more), self.file, self.subject, self.binding, RUN, drill=self.drill)

    def check(self, name: str) -> Check:
        """One check of the contract."""
        return next(c for c in checks(self.file.contract) if c.id == name)


def passing(check: Check) -> Measurement:
    """A measurement that lies clearly on the allowed side."""
    sign = 1 if check.limit.direction is Direction.AT_LEAST else -1
    value = check.limit.value
    if isinstance(check.rule, ColumnRule | ChangedRule) or check.id in ("load/wrong-answers", "load/peak-memory"):
        return census(check.id, value, n=100, unit="", method="counted")
    return interval(check, value + sign * 0.02, 0.01)


def interval(check: Check, estimate: float, half: float) -> Measurement:
    """A sample with a symmetric interval at the level that the check demands."""
    low, high = estimate - half, estimate + half
    detail = {"labels": ["a", "missing"], "reference": [1.0, 0.0], "current": [0.9, 0.1]} if "drift" in check.id else {}
    level = 1 - check.limit.alpha
    return Measurement(
        check.id,
        estimate,
        low,
        high,
        level,
        76,
        "AUC",
        "made up",
        sampling_unit="days",
        p_value=1e-9,
        detail=detail,
        evaluations=check.limit.evaluations,
    )
