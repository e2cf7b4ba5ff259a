"""Sealed: the performance gate once more, on the holdout that nobody has seen, and one bit of it published.

Every blocking check of the performance gate is judged at alpha / H, for H uses declared. What comes out is whether all
of them passed, and nothing else: no estimate, no interval, no name of a check, so that the next candidate cannot be
fitted to what was seen. H candidates, each chosen knowing only that the earlier ones did not pass, are H fixed tests:
the union bound holds (Renggli et al. 2019, ease.ml/ci; design of a reusable holdout: Dwork et al. 2015).
"""

from __future__ import annotations

from dataclasses import replace

from weighin.contract import Check, checks
from weighin.contract.checks import EmptyRule, FairnessRule, MetricRule, SealedRule
from weighin.contract.gates import Performance
from weighin.errors import NotEvaluated
from weighin.outcome import Measurement, Status, Unmeasured, census, decide
from weighin.record.suite import SuiteOutcomes
from weighin.stats.intervals import Undefined
from weighin.suites.evidence import Evidence
from weighin.suites.performance import measure_rows
from weighin.suites.rows import Rows


def measure(check: Check, evidence: Evidence) -> Measurement | Unmeasured:
    """0 when every blocking performance check passes on the sealed holdout, 1 otherwise. Errors: `NotEvaluated`."""
    use, contract = evidence.subject.sealed, evidence.contract
    if not isinstance(check.rule, SealedRule) or contract.gates.sealed is None or contract.gates.performance is None:
        raise TypeError(f"{check.id} is no sealed check")
    if use is None:
        raise NotEvaluated("no use was reserved", check.id, "Run `weighin validate --sealed`.")
    gate, level = contract.gates.performance, contract.alpha / use.holdout_uses
    rows = evidence.rows("sealed_holdout")
    passed = True
    for one in checks(contract, "performance"):
        # Whether anything has changed, and what was recorded, is known of the development holdout.
        if not isinstance(one.rule, MetricRule | FairnessRule | EmptyRule):
            continue
        if one.limit.severity == "warn" or not _is_asked_here(one, evidence):
            continue
        # A check that warns when it is inconclusive would publish a pass that nothing stands behind.
        # Each use is one evaluation, of a holdout that does not grow.
        limit = replace(one.limit, alpha=level, when_inconclusive="block", evaluations="one")
        passed &= _passes(replace(one, limit=limit), rows, gate, evidence)
    if evidence.own is not None:
        passed &= _passed(check, evidence.own)
    method = f"all blocking performance checks at alpha {level:g}, use {use.use} of {use.holdout_uses} in {use.epoch}"
    return census(check.id, 0 if passed else 1, n=1, unit="", sampling_unit="holdout_uses", method=method)


def _is_asked_here(check: Check, evidence: Evidence) -> bool:
    """Whether this process measures a check, or the judge of the repository's own code does."""
    custom = isinstance(check.rule, MetricRule) and check.rule.custom
    return custom if evidence.own_only else not custom or evidence.own is None


def _passed(check: Check, own: SuiteOutcomes) -> bool:
    """Whether the judge of the repository's own code found that its metrics pass: one bit, as here."""
    return [o.status for o in own.outcomes if o.check == check.id] == [Status.PASSED]


def _passes(check: Check, rows: Rows, gate: Performance, evidence: Evidence) -> bool:
    if check.expired:
        return False
    try:
        found = measure_rows(check, rows, gate, evidence.file.folder)
    except (NotEvaluated, Undefined):
        return False
    return decide(found, check.limit).status is Status.PASSED
