"""Measure a draft: resolve it, ask the model, and let the suites measure, with the code of `weighin validate`.

Nothing is decided here, nothing is written to a registry, and no use of a sealed holdout is counted.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from weighin.contract.checks import Check, DriftRule, checks, cut
from weighin.contract.reading import ContractFile, read_contract
from weighin.data.profiling import profile
from weighin.data.relation import Relation
from weighin.errors import NotEvaluated
from weighin.model.answers import COLUMN
from weighin.model.survey import Survey
from weighin.outcome import Measurement, Outcome, Unmeasured, decide
from weighin.resolve.models import resolve
from weighin.runner import local
from weighin.runner.warm import Warm, warm
from weighin.stats.intervals import Undefined
from weighin.suites import measured
from weighin.suites.drift import compared
from weighin.suites.evidence import Evidence

SURVEYED = 500
"""Rows that show what a model answers."""
WINDOWS = 4
"""Stretches of the reference that are compared with the rest of it."""
MOST = 50_000
"""Rows of the reference from which these stretches are cut."""


@contextlib.contextmanager
def forking() -> Iterator[Warm | None]:
    """Yield a warm process for the models."""
    # What the registry's store says of itself is not for a person's terminal.
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with warm(("models",), {**local.PATIENT, **local.variables()}) as forks:
        yield forks


@dataclass(frozen=True)
class Trial:
    """A draft beside the contract that it will become.

    path   of that contract: the draft stands in a hidden file of the same folder while it is measured
    model  address or folder of the model that is asked
    """

    path: Path
    work: Path
    model: str
    forks: Warm | None

    @contextlib.contextmanager
    def draft(self, text: str) -> Iterator[ContractFile]:
        """Yield the contract that a draft's text makes."""
        place = self.path.with_name(f".{self.path.stem}.{os.getpid()}.yaml")
        place.write_text(text, encoding="utf-8")
        try:
            yield read_contract(place)
        finally:
            place.unlink(missing_ok=True)

    def survey(self, text: str) -> Survey:
        """Return what the model's answers to rows of the holdout look like.

        Errors: `NotEvaluated` with the reason where it does not answer.
        """
        with self.draft(text) as file:
            resolve(file, self.work, self.model)
            features = self.work / "features/holdout.parquet"
            if features.is_file():
                pq.write_table(pq.read_table(features).slice(0, SURVEYED), features)
            local.predict(self.work, self.forks, survey=True)
        out = self.work / "predictions/candidate"
        problem = out.with_suffix(".problem")
        if problem.is_file():
            raise NotEvaluated(
                problem.read_text(encoding="utf-8", errors="replace"), "--model", "See docs/how-to/log-a-model.md."
            )
        return Survey.read(out)

    def measure(self, text: str) -> dict[str, Measurement | Unmeasured]:
        """Return check -> measurement, of all suites of a draft but data quality."""
        with self.draft(text) as file:
            resolve(file, self.work, self.model)
            local.predict(self.work, self.forks)
            if self.forks is not None:
                self.forks.rest()
            if file.contract.gates.load:
                local.load(self.work)
            evidence = Evidence(file, self.work)
            wanted = [c for c in checks(file.contract) if c.suite not in ("model", "data_quality")]
            found = {c.id: measured(c, evidence) for c in wanted}
            for name, high in self._windows(evidence, wanted).items():
                one = found[name]
                if isinstance(one, Measurement) and high > one.high:
                    found[name] = Measurement(name, one.estimate, one.low, high, one.level, one.n, one.unit, one.method)
        return found

    def decided(self, known: Mapping[str, Measurement | Unmeasured]) -> list[Outcome]:
        """Return the outcomes by the contract as it was written; `known` is what its trial has measured.

        Data quality is measured now. What the server did is not decided again: the trial set its limits.
        """
        file = read_contract(self.path)
        evidence = Evidence(file, self.work)
        found = []
        for check in checks(file.contract):
            if check.suite == "data_quality":
                found.append(decide(measured(check, evidence), check.limit))
            elif check.suite not in ("model", "load"):
                one = known.get(check.id)
                found.append(decide(one if one is not None else measured(check, evidence), check.limit))
        return found

    def _windows(self, evidence: Evidence, wanted: Sequence[Check]) -> dict[str, float]:
        """Return drift check -> largest upper bound between a stretch of the reference and the rest of it."""
        contract = evidence.contract
        of_drift = [c for c in wanted if isinstance(c.rule, DriftRule) and c.rule.kind == "distance"]
        gate = contract.gates.drift
        if gate is None or not of_drift or evidence.subject.data["reference"].get("problem"):
            return {}
        names = [c for c in contract.data.columns if contract.data.columns[c].type != "array"]
        rows = evidence.columns("reference", *names)
        with contextlib.suppress(NotEvaluated):
            rows = rows.append_column(COLUMN, evidence.predicted("reference"))
        rows = rows.slice(0, MOST)
        order = contract.data.time_column
        rows = rows.sort_by(order) if order else rows
        size = rows.num_rows // WINDOWS
        cells = {
            name: cut(gate, name)[1] for c in of_drift if isinstance(c.rule, DriftRule) and (name := c.rule.column)
        }
        cells = {name: n for name, n in cells.items() if name in rows.column_names}
        highest: dict[str, float] = {}
        for number in range(WINDOWS if size >= 100 else 0):
            piece = rows.slice(number * size, size)
            rest = pa.concat_tables([rows.slice(0, number * size), rows.slice((number + 1) * size)])
            with contextlib.suppress(NotEvaluated):
                before = profile(Relation.over(rest), cells, contract.group)
                after = profile(Relation.over(piece), cells, contract.group, before)
                for check in of_drift:
                    with contextlib.suppress(NotEvaluated, Undefined):
                        level = 1 - check.limit.alpha
                        one = compared(check, before, after, level, contract.sampling_unit, hidden=True)
                        highest[check.id] = max(highest.get(check.id, 0.0), one.high)
        return highest
