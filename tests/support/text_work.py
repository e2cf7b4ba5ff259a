"""A small contract of a text task with answers, all green, for tests that break one thing of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from support.evidence_files import SOUND
from weighin.canonical import file_digest
from weighin.contract import checks, read_contract
from weighin.load.log import Response, log_name, write_log
from weighin.model.subject import ModelVersion, Subject
from weighin.model.texts import write_texts
from weighin.outcome import Outcome, decide
from weighin.suites import measured
from weighin.suites.evidence import Evidence

ROWS = 300
CONTRACT = """\
version: 1
model: {name: m, task: text, target: reference}
data:
  holdout: holdout.parquet
  columns:
    id: {type: integer, role: key}
    talk: {type: integer, role: group}
    question: {type: string}
    reference: {type: string, role: target, missing_at_most: 0.1}
gates:
  performance:
    checks:
      - {metric: exact_match, at_least: 0.7}
      - {metric: token_f1, at_least: 0.7}
      - {metric: token_f1, against: champion, margin: 0.02}
      - {metric: refusal, at_most: 0.05}
      - {metric: score.short, at_least: 0.9}
    scores:
      short: {pattern: "^.{1,200}$"}
"""


@dataclass
class TextWork:
    """What the suites read of a text task. Change answers, references or the contract, then ask for `outcomes`."""

    folder: Path
    contract: str = CONTRACT
    answers: dict[str, list[str]] = field(default_factory=dict)
    logs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rows: int = ROWS

    def __post_init__(self) -> None:
        random = np.random.default_rng(3)
        words = [f"word{i}" for i in range(50)]
        references = [" ".join(random.choice(words, 6)) for _ in range(self.rows)]
        self.frame = pd.DataFrame(
            {
                "id": np.arange(self.rows),
                "talk": np.arange(self.rows) // 5,
                "question": [f"question {i}" for i in range(self.rows)],
                "reference": references,
            }
        )
        for role, share in (("candidate", 0.9), ("champion", 0.8)):
            right = random.random(self.rows) < share
            self.answers[role] = [r if ok else "something else" for r, ok in zip(references, right, strict=True)]

    @property
    def answered(self) -> Path:
        """The file of the candidate's answers."""
        return self.folder / "work/predictions/candidate/holdout.arrow"

    def write(self) -> TextWork:
        """Write all of it."""
        path, data = self.folder / "model_contract.yaml", self.folder / "holdout.parquet"
        path.write_text(self.contract)
        self.frame.to_parquet(data, index=False)
        known = {"sha256": file_digest(data), "rows": len(self.frame), "problem": "", "features": "sha256:f"}
        for role, texts in self.answers.items():
            out = self.folder / f"work/predictions/{role}/holdout.arrow"
            out.parent.mkdir(parents=True, exist_ok=True)
            write_texts(out, texts, known["features"])
        for role, log in self.logs.items():
            for start in (0, 1):
                mine = [Response(**{k: v for k, v in r.items() if k != "start"}) for r in log if r["start"] == start]
                write_log(self.folder / f"work/load/{role}-{start}" / log_name(role, start), start, mine)
        models = {role: ModelVersion("m", role, "r", f"sha256:{role}", "x") for role in self.answers}
        subject = Subject(
            models["candidate"],
            models.get("champion"),
            read_contract(path).digest,
            {"holdout": known},
            ephemeral_registry=True,
            models=SOUND,
        )
        subject.write(self.folder / "work/subject.json")
        return self

    def served(self, role: str = "candidate", seconds: float = 0.05, first: float = 0.01) -> list[dict[str, Any]]:
        """Let a role's server have answered one row after the other, as its predictions are; returns the log."""
        self.logs[role] = [
            {
                "start": start,
                "phase": "load",
                "intended": 3 + i / 10,
                "sent": 3 + i / 10,
                "done": 3 + i / 10 + seconds,
                "first": 3 + i / 10 + first,
                "error": "",
                "rows": [i],
                "texts": [self.answers[role][i]],
            }
            for start in (0, 1)
            for i in range(200)
        ]
        return self.logs[role]

    def outcomes(self, *, write: bool = True, suite: str = "performance") -> dict[str, Outcome]:
        """Check -> outcome of a suite."""
        if write:
            self.write()
        file = read_contract(self.folder / "model_contract.yaml")
        evidence = Evidence(file, self.folder / "work")
        return {c.id: decide(measured(c, evidence), c.limit) for c in checks(file.contract, suite)}

    def red(self, *, write: bool = True, suite: str = "performance") -> dict[str, str]:
        """Check -> status, of all that did not pass."""
        return {
            n: o.status.value for n, o in self.outcomes(write=write, suite=suite).items() if o.status.value != "passed"
        }
