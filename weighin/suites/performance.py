"""Performance: the candidate against limits, and against the champion on the same rows."""

from __future__ import annotations

import numpy as np

from weighin.contract import Check
from weighin.contract.checks import ChangedRule, MetricRule
from weighin.outcome import Measurement, Unmeasured, census
from weighin.stats.intervals import Undefined, from_influence
from weighin.stats.metrics import METRICS, UNITS, Influence
from weighin.suites.evidence import Evidence
from weighin.suites.sample import sample

FIRST_RELEASE = "first release: there is no champion to compare with"


def measure(check: Check, evidence: Evidence) -> Measurement | Unmeasured:
    """Measure one performance check on the holdout. Errors: `NotEvaluated`, `Undefined`."""
    match check.rule:
        case ChangedRule():
            return _changed(check, evidence)
        case MetricRule():
            return _metric(check, check.rule, evidence)
        case _:
            raise TypeError(f"{check.id} is no performance check")


def _changed(check: Check, evidence: Evidence) -> Measurement:
    """How many holdout rows the candidate answers differently: zero means the same model again."""
    rows = len(evidence.predictions("candidate", "holdout"))
    method = "rows answered differently from the champion"
    if evidence.subject.champion is None:
        return census(check.id, rows, n=rows, unit="rows", method=FIRST_RELEASE)
    if evidence.subject.candidate.digest == evidence.subject.champion.digest:
        return census(check.id, 0, n=rows, unit="rows", method="candidate and champion are the same files")
    different = evidence.predictions("candidate", "holdout") != evidence.predictions("champion", "holdout")
    return census(check.id, int(different.sum()), n=rows, unit="rows", method=method)


def _metric(check: Check, rule: MetricRule, evidence: Evidence) -> Measurement | Unmeasured:
    if rule.against and evidence.subject.champion is None:
        # Allowed by the contract, or the subject would not have been resolved; recorded as what it is.
        return census(check.id, 0.0, n=1, unit=UNITS[rule.metric], method=FIRST_RELEASE)
    truth = evidence.truth("holdout")
    group = evidence.groups("holdout")
    keep = _slice(rule, evidence, len(truth))
    threshold = evidence.contract.gates.performance.threshold if evidence.contract.gates.performance else 0.5

    def score(role: str) -> Influence:
        return METRICS[rule.metric](truth[keep], evidence.predictions(role, "holdout")[keep], threshold)

    found = score("candidate")
    own = found.estimate
    if rule.against:
        found = found.minus(score("champion"))
    elif not np.any(found.values):
        raise Undefined(f"{rule.metric} is {own:g} without any variation between rows: no interval exists")
    codes = None if group is None else np.unique(group[keep], return_inverse=True)[1].astype(np.int64)
    interval = from_influence(found.estimate, found.values, codes, 1 - check.limit.alpha)
    method = "paired difference to the champion, sandwich by group" if rule.against else "sandwich by group"
    detail = {"rows": int(keep.sum()), "positives": int(truth[keep].sum()), "candidate": own}
    return sample(check, interval, UNITS[rule.metric], method, evidence.contract.sampling_unit, detail)


def _slice(rule: MetricRule, evidence: Evidence, rows: int) -> np.ndarray:
    if rule.slice is None:
        return np.ones(rows, dtype=bool)
    column, value = rule.slice
    values = evidence.columns("holdout", column)[column].to_numpy(zero_copy_only=False)
    keep = np.asarray(values == value)
    if not keep.any():
        raise Undefined(f"no holdout row has {column} = {value}")
    return keep
