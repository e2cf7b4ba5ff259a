"""Judge inputs with a fault: suites, `decide`, the correction over all failures, and the gate, as a validation does.

Only the checks that a fault can reach are measured again; the others keep the outcome that they have without it. That
this is the same decision as that of the whole path is a test (tests/drill/test_same_decision.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from weighin.contract.checks import (
    ChangedRule,
    Check,
    DriftRule,
    FairnessRule,
    LoadRule,
    MetricRule,
    RecordedRule,
    checks,
)
from weighin.contract.rules import ColumnRule
from weighin.drill.inputs import HeldEvidence, Inputs, evidence_of
from weighin.errors import NotEvaluated
from weighin.model.answers import COLUMN
from weighin.outcome import Measurement, Outcome, Status, Unmeasured, confirm_failures, decide
from weighin.record.decision import SuiteVerdict, concluded
from weighin.stats.intervals import Undefined
from weighin.suites import measured
from weighin.suites.explainability import DATASET as PERMUTED
from weighin.suites.model import measure_model
from weighin.suites.performance import measure_rows
from weighin.suites.rows import Rows

Outcomes = Mapping[str, Outcome]
ORDER = (Status.FAILED, Status.NOT_EVALUATED, Status.INCONCLUSIVE)
"""What blocks, the plainest first."""
NEVER = ("sealed", "shadow")
"""Suites that no drill measures: a use of the sealed holdout would be spent, and logged requests need both servers."""


@dataclass(frozen=True)
class Judged:
    """What the gate made of inputs.

    status  of the verdict
    by      check -> status of those that block and did not block before
    """

    status: Status
    by: Mapping[str, str] = field(default_factory=dict)

    @property
    def killed(self) -> bool:
        """Whether a check that was no obstacle before has failed, or could not be evaluated."""
        return any(status != Status.INCONCLUSIVE for status in self.by.values())

    @property
    def answer(self) -> Literal["blocked", "inconclusive", "missed"]:
        """`blocked`, `inconclusive` or `missed`."""
        return "blocked" if self.killed else "inconclusive" if self.by else "missed"


@dataclass(frozen=True)
class Judge:
    """A gate before any fault.

    base      what it reads
    baseline  check -> outcome, for every check that a drill can measure, uncorrected
    broken    checks whose limit is truly broken by what is judged: nothing is learned from them
    """

    base: Inputs
    baseline: Outcomes
    broken: frozenset[str] = frozenset()

    @staticmethod
    def of(base: Inputs, known: Mapping[str, Measurement | Unmeasured] | None = None) -> Judge:
        """Measure everything once, without a fault.

        known  what suites have measured already, by check, which is not measured again
        """
        known = known or {}
        with evidence_of(base, base) as evidence:
            listed = [c for c in checks(base.file.contract) if c.suite not in NEVER]
            found = {c.id: decide(known[c.id], c.limit) if c.id in known else _decided(c, evidence) for c in listed}
            return Judge(base, found)

    @cached_property
    def checks(self) -> Mapping[str, Check]:
        """The checks that are judged, by id."""
        return {c.id: c for c in checks(self.base.file.contract) if c.id in self.baseline}

    @cached_property
    def red(self) -> frozenset[str]:
        """The checks that block without a fault; a fault gets no credit for them."""
        corrected = confirm_failures(list(self.baseline.values()), self.alpha)
        return self.broken | {o.check for o in corrected if o.blocks}

    @property
    def alpha(self) -> float:
        """The contract's."""
        return self.base.file.contract.alpha

    def outcomes(self, inputs: Inputs, ids: Iterable[str]) -> dict[str, Outcome]:
        """Measure and decide some checks on inputs; the outcomes are uncorrected."""
        wanted = frozenset(ids)
        if not wanted:
            return {}
        with evidence_of(inputs, self.base) as evidence:
            asked = replace(evidence, only=wanted)
            return {i: _decided(c, asked) for i, c in self.checks.items() if i in wanted}

    def judged(self, inputs: Inputs, *, asked: bool = True) -> Judged:
        """Judge inputs by every check that they reach.

        asked  whether the models have answered to the features as they are; else what needs answers is left out
        """
        ids = reached(self.checks.values(), inputs, self.base)
        if not asked:
            ids = frozenset(i for i in ids if not _needs_answers(self.checks[i], inputs))
        return self.verdict(self.outcomes(inputs, ids))

    def verdict(self, changed: Outcomes) -> Judged:
        """Return the verdict where some outcomes are others than before."""
        return decided({**self.baseline, **changed}.values(), self.alpha, self.red)

    def at_once(self, rows: Rows | None, fixed: Outcomes, first: str = "") -> Judged:
        """Judge performance on rows, with the outcomes of other checks; stop where the verdict cannot change.

        rows   of the holdout, drawn again perhaps; None where performance is not reached
        fixed  what was decided of other checks, uncorrected
        first  the check that is most likely to block
        The verdict is that of `verdict` over all checks. Which others block as well is not found out.
        """
        found = dict(fixed)
        blocking = [c for c in self._performance if c.limit.severity == "block"] if rows is not None else []
        for check in sorted(blocking, key=lambda c: c.id != first):
            assert rows is not None
            found[check.id] = one = decide(self._on(check, rows), check.limit)
            if check.id not in self.red and self._certain(one):
                return Judged(one.status, {check.id: one.status.value})
        kept = [o for o in found.values() if o.check not in self.red and self._certain(o)]
        if kept:
            return Judged(kept[0].status, {o.check: o.status.value for o in kept})
        failed = any(o.status is Status.FAILED and o.blocks for o in found.values())
        if failed and rows is not None:
            # Whether a failure is confirmed depends on all of them.
            rest = [c for c in self._performance if c.id not in found]
            found |= {c.id: decide(self._on(c, rows), c.limit) for c in rest}
        return self.verdict(found)

    @cached_property
    def _performance(self) -> Sequence[Check]:
        """The checks that are measured on scored rows."""
        rules = (MetricRule, FairnessRule)
        return [c for c in self.checks.values() if isinstance(c.rule, rules) and not c.expired]

    @property
    def performance(self) -> frozenset[str]:
        """Their ids."""
        return frozenset(c.id for c in self._performance)

    def _on(self, check: Check, rows: Rows) -> Measurement | Unmeasured:
        gate, folder = self.base.file.contract.gates.performance, self.base.file.folder
        assert gate is not None
        try:
            return measure_rows(check, rows, gate, folder)
        except (NotEvaluated, Undefined) as error:
            return Unmeasured(check.id, str(error))

    def _certain(self, outcome: Outcome) -> bool:
        """Whether an outcome blocks whatever the others are: Holm's correction over all checks confirms it."""
        if not outcome.blocks or outcome.status is Status.INCONCLUSIVE:
            return False
        alone = confirm_failures([outcome, *[_other(outcome)] * (self.family - 1)], self.alpha)
        return alone[0].status is outcome.status

    @cached_property
    def family(self) -> int:
        """At most so many outcomes are corrected together: all that are no census."""
        return sum(
            not (isinstance(e := o.evidence, Measurement) and e.kind == "census") for o in self.baseline.values()
        )


def _other(outcome: Outcome) -> Outcome:
    """Return an outcome that only counts as one more of the family."""
    return replace(outcome, check="", status=Status.PASSED)


def decided(outcomes: Iterable[Outcome], alpha: float, red: frozenset[str] = frozenset()) -> Judged:
    """Return the verdict that outcomes come to: corrected, gathered by suite, and the worst of them.

    red   checks that are no news
    """
    corrected = confirm_failures(list(outcomes), alpha)
    suites: dict[str, list[Outcome]] = {}
    for one in corrected:
        suites.setdefault(one.check.partition("/")[0], []).append(one)
    parts = tuple(SuiteVerdict.of(name, tuple(listed), (), 0.0) for name, listed in suites.items())
    status = concluded(parts, ()).status
    news = [o for o in corrected if o.blocks and o.check not in red]
    return Judged(status, {o.check: o.status.value for o in sorted(news, key=lambda o: ORDER.index(o.status))})


def _decided(check: Check, evidence: HeldEvidence) -> Outcome:
    if check.suite == "model":
        subject = evidence.subject
        return decide(measure_model(check, subject.models, subject.trained_on), check.limit)
    return decide(measured(check, evidence), check.limit)


def reached(listed: Iterable[Check], inputs: Inputs, base: Inputs) -> frozenset[str]:
    """Return the ids of the checks whose outcome may differ between two inputs."""
    tables = {d: inputs.changed_columns(base, d) for d in inputs.tables}
    answers = inputs.changed_answers(base)
    return frozenset(c.id for c in listed if _reached(c, tables, answers, inputs))


def _reached(
    check: Check, tables: Mapping[str, frozenset[str] | None], answers: frozenset[tuple[str, str]], inputs: Inputs
) -> bool:
    rule, asked = check.rule, {dataset for _, dataset in answers}

    def changed(dataset: str, columns: Iterable[str] = ()) -> bool:
        found = tables.get(dataset, frozenset())
        named = tuple(columns)
        return found is None or (bool(found & set(named)) if named else bool(found))

    match check.suite:
        case "data_quality":
            assert isinstance(rule, ColumnRule)
            # A condition may name any column, and a hand-written suite reads what it likes.
            narrow = () if rule.rule.when else rule.rule.columns
            if rule.rule.kind in ("rows", "rows_at_most"):
                return tables.get(rule.dataset, frozenset()) is None
            return changed(rule.dataset, narrow)
        case "performance":
            if isinstance(rule, RecordedRule):
                return False
            return "holdout" in asked or (changed("holdout") and not isinstance(rule, ChangedRule))
        case "explainability":
            return bool(asked & {"holdout", PERMUTED}) or changed("holdout")
        case "drift":
            if isinstance(rule, DriftRule) and rule.kind not in ("table", "drifted", "joint"):
                if rule.column == COLUMN and COLUMN not in inputs.file.contract.data.columns:
                    mine = {d for role, d in answers if role == "candidate"}
                    return bool(mine & {"reference", "current"}) or _groups(inputs, tables)
                return any(changed(d, (rule.column,)) for d in ("reference", "current")) or _groups(inputs, tables)
            return any(changed(d) for d in ("reference", "current")) or bool(asked & {"reference", "current"})
        case "load":
            return isinstance(rule, LoadRule) and rule.kind == "wrong_answers" and inputs.apart
        case _:
            return False


def _needs_answers(check: Check, inputs: Inputs) -> bool:
    of = inputs.file.contract.data.columns
    drift = isinstance(check.rule, DriftRule) and check.rule.column == COLUMN and COLUMN not in of
    return drift or check.suite in ("performance", "explainability")


def _groups(inputs: Inputs, tables: Mapping[str, frozenset[str] | None]) -> bool:
    """Whether the compared tables have other rows, or rows that are grouped otherwise."""
    found = [tables.get(d, frozenset()) for d in ("reference", "current")]
    group = inputs.file.contract.group_column
    return any(columns is None or group in columns for columns in found)


def holdout_rows(inputs: Inputs, base: Inputs) -> Rows:
    """Return the scored rows of the holdout. Errors: `NotEvaluated`, `Undefined`."""
    with evidence_of(inputs, base) as evidence:
        return evidence.rows("holdout")


def drawn_again(rows: Rows, rng: np.random.Generator) -> Rows:
    """Return as many sampling units, drawn with replacement: groups where there are some, else rows."""
    if rows.group is None:
        chosen = rng.integers(0, len(rows), len(rows))
        return _of(rows, chosen, None)
    order, sizes = np.argsort(rows.group, kind="stable"), np.bincount(rows.group)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    units = rng.integers(0, len(sizes), len(sizes))
    chosen = np.concatenate([order[starts[u] : starts[u] + sizes[u]] for u in units])
    return _of(rows, chosen, np.repeat(np.arange(len(units)), sizes[units]))


def _of(rows: Rows, chosen: NDArray[np.int64], group: NDArray[np.int64] | None) -> Rows:
    scored = {role: of.rows(chosen) for role, of in rows.scored.items()}
    if group is not None:
        # A query that is drawn twice is two queries.
        scored = {role: of if of.unit is None else replace(of, unit=group) for role, of in scored.items()}
    return Rows(
        scored,
        group,
        rows.sampling_unit,
        lambda name: rows.column(name)[chosen],
        lambda query: rows.where(query)[chosen],
        rows.alpha,
        rows.known,
    )
