"""Target drift by group: the label's rate (or mean) in one part of the rows, reference against current."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from weighin.contract import Check
from weighin.contract.checks import TargetRule
from weighin.outcome import Measurement
from weighin.stats.drift import Distance
from weighin.stats.intervals import Floats, Undefined
from weighin.stats.scored import MIN_RARER
from weighin.stats.shift import mean_shift, share_shift
from weighin.suites.evidence import Evidence
from weighin.suites.sample import of_distance


def measure(check: Check, evidence: Evidence) -> Measurement:
    """Return how far the label has moved within a part: a difference of shares, or of means in standard deviations.

    Errors: `NotEvaluated`, `Undefined`.
    """
    rule, level = check.rule, 1 - check.limit.alpha
    assert isinstance(rule, TargetRule)
    binary = evidence.contract.model.task == "binary"
    was, now = (_sums(evidence, dataset, rule, binary=binary) for dataset in ("reference", "current"))
    grouped = evidence.contract.group is not None
    found: Distance = (share_shift if binary else mean_shift)(was, now, level, grouped, grouped)
    unit, method = ("share", "rate") if binary else ("SD", "mean")
    n, said = len(now) if grouped else int(now[0]), f"absolute difference of the label's {method} in this part"
    return of_distance(check, found, n, unit, said, evidence.contract.sampling_unit)


def _sums(evidence: Evidence, dataset: str, rule: TargetRule, *, binary: bool) -> Floats:
    """Return (groups, 2 or 3) or (2 or 3,) numbers: rows of the part, sums of their labels, and of the squares."""
    mask = evidence.of_labelled(_part(evidence, dataset, rule), dataset)
    if int(mask.sum()) < MIN_RARER:
        # Without the number: small counts of a sensitive column must not be published.
        raise Undefined(f"fewer than {MIN_RARER} rows of {dataset} are in this part")
    label = np.asarray(evidence.truth(dataset), dtype=np.float64)
    if not binary:
        # Sums of squares of large numbers cancel.
        label = label - float(np.median(evidence.truth("reference")))
    label = label[mask]
    columns = [np.ones(len(label)), label, *([] if binary else [label**2])]
    groups = evidence.groups(dataset)
    if groups is None:
        return np.array([column.sum() for column in columns])
    _, codes = np.unique(evidence.of_labelled(groups, dataset)[mask], return_inverse=True)
    return np.column_stack([np.bincount(codes, weights=column) for column in columns])


def _part(evidence: Evidence, dataset: str, rule: TargetRule) -> NDArray[np.bool_]:
    if isinstance(rule.part, tuple):
        low, high = rule.part
        score = evidence.predictions("candidate", dataset)
        # A probability of 1 belongs to the last range.
        return np.asarray((score >= low) & ((score < high) | ((high == 1) & (score == 1))))
    values = evidence.columns(dataset, rule.column)[rule.column].to_numpy(zero_copy_only=False)
    return np.asarray(values == rule.part)
