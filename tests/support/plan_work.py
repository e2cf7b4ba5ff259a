"""A holdout without labels, both models' answers to it, and a plan; labels come from `truth`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from support.evidence_files import SOUND
from weighin.canonical import file_digest, write_json
from weighin.contract import checks, read_contract
from weighin.model.answers import COLUMN
from weighin.model.subject import ModelVersion, Subject
from weighin.outcome import Outcome, decide
from weighin.suites import measured
from weighin.suites.evidence import Evidence
from weighin.suites.label_plan import Plan, facts_of, pool_of

ROWS = 6_000
CONTRACT = """\
version: 1
model: {name: m, task: binary, target: late}
data:
  holdout: holdout.parquet
  columns:
    id: {type: integer, role: key}
    day: {type: string, role: key}
    late: {type: integer, role: target, allowed: [0, 1]}
    distance: {type: float}
    carrier: {type: string}
gates:
  performance:
    checks:
      - {metric: accuracy, against: champion, margin: 0.01}
    labels: {plan: labels/plan.json, given: labels.csv, design: disagreement}
"""
MORE = """\
      - {metric: accuracy, at_least: 0.7}
      - {metric: f1, against: champion, margin: 0.1}
    slices: [{column: carrier, values: [AA], metric: accuracy, margin: 0.2}]
    fairness: [{column: carrier, values: [AA, UA], measure: error_rate, at_most: 0.3}]
"""


@dataclass
class PlanWork:
    """What the performance suite reads. Change contract, answers or plan, `write`, `label`, then ask for `outcomes`.

    gain  candidate's minus champion's share of right answers, among the rows that they decide differently
    """

    folder: Path
    gain: float = 0.5
    differ: float = 0.1
    contract: str = CONTRACT
    classes: int = 2
    listed: int = ROWS
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    roles: tuple[str, ...] = ("candidate", "champion")

    def __post_init__(self) -> None:
        random = np.random.default_rng(5)
        self.truth = random.integers(0, self.classes, ROWS)
        self.frame = pd.DataFrame(
            {
                "id": np.arange(ROWS)[::-1] // 2,
                "day": np.where(np.arange(ROWS) % 2, "2026-01-01", "2026-01-02"),
                "distance": random.random(ROWS),
                "carrier": random.choice(["AA", "UA"], ROWS),
            }
        )
        wrong = (self.truth + 1) % self.classes
        apart, wins = random.random(ROWS) < self.differ, random.random(ROWS) < (1 + self.gain) / 2
        both = np.where(random.random(ROWS) < 0.85, self.truth, wrong)
        codes = {
            "candidate": np.where(apart, np.where(wins, self.truth, wrong), both),
            "champion": np.where(apart, np.where(wins, wrong, self.truth), both),
        }
        for role, code in codes.items():
            noise = random.random(ROWS) * 0.2
            self.scores[role] = (
                np.where(code == 1, 0.7 + noise, 0.1 + noise)
                if self.classes == 2
                else np.eye(self.classes)[code] * 0.7 + 0.3 / self.classes
            )

    @property
    def evidence(self) -> Evidence:
        """What suites look at, as it was written."""
        return Evidence(read_contract(self.folder / "model_contract.yaml"), self.folder / "work")

    def write(self) -> PlanWork:
        """Write all of it but the labels, and the plan that follows from it."""
        path, data = self.folder / "model_contract.yaml", self.folder / "holdout.parquet"
        path.write_text(self.contract)
        self.frame.to_parquet(data, index=False)
        known = {"sha256": file_digest(data), "rows": len(self.frame), "problem": ""}
        for role in self.roles:
            out = self.folder / "work/predictions" / role
            out.mkdir(parents=True, exist_ok=True)
            answers = self.scores[role].astype(np.float64)
            parts = {COLUMN: answers} if answers.ndim == 1 else {f"{COLUMN}_{i}": c for i, c in enumerate(answers.T)}
            table = pa.table({name: pa.array(np.ascontiguousarray(part)) for name, part in parts.items()})
            with pa.OSFile(str(out / "holdout.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
        models = {role: ModelVersion("m", role, "r", f"sha256:{role}", "x") for role in self.roles}
        digest = read_contract(path).digest
        Subject(models["candidate"], models.get("champion"), digest, {"holdout": known}, True, models=SOUND).write(
            self.folder / "work/subject.json"
        )
        return self.plan()

    def plan(self) -> PlanWork:
        """Write the plan that follows from what is there."""
        labels, facts = self.evidence.contract.labels, facts_of(self.evidence)
        assert labels is not None
        pool = pool_of(self.evidence.contract, facts)[0]
        plan = Plan(pool, facts.digests, 0, 50)
        self.drawn = plan.order(facts)[: self.listed]
        self.written = Plan(pool, plan.digests, len(self.drawn), 50)
        write_json(self.folder / labels.plan, self.written.to_json())
        return self

    def labels(self, n: int) -> pd.DataFrame:
        """Return the labels of the first n draws."""
        rows = self.drawn[:n]
        return self.frame.loc[rows, ["id", "day"]].assign(late=self.truth[rows])

    def label(self, given: int | pd.DataFrame) -> PlanWork:
        """Write labels: those of the first draws, or others."""
        table = self.labels(given) if isinstance(given, int) else given
        table.to_csv(self.folder / "labels.csv", index=False)
        return self

    def outcomes(self) -> dict[str, Outcome]:
        """What the performance suite finds."""
        evidence = self.evidence
        return {
            c.id.removeprefix("performance/"): decide(measured(c, evidence), c.limit)
            for c in checks(evidence.contract, "performance")
        }

    def outcome(self, check: str = "accuracy/vs-champion") -> Outcome:
        """What one check finds."""
        return self.outcomes()[check]

    def red(self) -> dict[str, Any]:
        """Check -> status, of all that did not pass."""
        return {name: o.status.value for name, o in self.outcomes().items() if o.status.value != "passed"}
