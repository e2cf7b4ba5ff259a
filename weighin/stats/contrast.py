"""One metric of one model, or of two on the same rows, with the interval that fits it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from weighin.stats.intervals import (
    ROUNDING,
    Codes,
    Floats,
    Interval,
    PerfectScore,
    Undefined,
    clopper_pearson,
    from_influence,
    median,
    must_be_carried_by_many,
    must_not_be_skewed,
    unit_sums,
    unseen,
    without_rounding,
)
from weighin.stats.metrics import METRICS, counts, table_value
from weighin.stats.paired import from_table, tango
from weighin.stats.scored import Influence, Metric, Scored

TABLE_CLASSES = 4
"""With more classes the joint table has more cells than rows to fill them: influence values are used instead."""


@dataclass(frozen=True)
class Contrast:
    """`interval` of the candidate's metric, or of candidate minus `factor` times the other's; both estimates beside it.

    influence  (n,) of that number: what power calculations are made of; (0,) where rows were not kept
    """

    interval: Interval
    candidate: float
    other: float | None
    influence: Floats


def contrast(
    metric: str,
    candidate: Scored,
    other: Scored | None,
    group: Codes | None,
    level: float,
    factor: float = 1.0,
    known: Metric | None = None,
) -> Contrast:
    """Measure a metric of `METRICS`, or `known`, which a contract describes and calls `metric`.

    candidate, other  the same rows in the same order, scored by each; without `other` the candidate's metric alone
    group             (n,) codes of rows that depend on each other, or None
    level             one-sided confidence of each bound
    factor            the difference is candidate - factor * other; 0.98 for "at most 2 % lower"

    Independent rows with equal weights: Clopper-Pearson for shares, Tango for their paired difference, order
    statistics for a median, resampled tables for what is a function of a confusion table. All else: influence values.
    Errors: `Undefined` where metric or interval do not exist for these rows.
    """
    of = known or METRICS[metric]
    own = _once(metric, of, candidate)
    theirs = None if other is None else _once(metric, of, other)
    total = own if theirs is None else own.minus(theirs, factor)
    scale = abs(own.estimate) + (0.0 if theirs is None else abs(factor * theirs.estimate))
    if not math.isfinite(scale):
        raise Undefined(f"{metric} is not a finite number: no interval exists")
    # Of the same predictions in other digits the difference is none.
    estimate = total.estimate if abs(total.estimate) > ROUNDING * scale else 0.0
    total = Influence(estimate, without_rounding(total.values, scale))
    independent = group is None and candidate.weight is None
    alike = not np.any(total.values)
    same = alike and other is not None and factor == 1 and candidate.same_as(other, of.uses)
    if independent and of.kind == "median" and other is None:
        found = median(np.abs(candidate.error), level)
    elif independent and of.kind in ("share", "table"):
        found = _from_counts(metric, of, candidate, other, level, factor, total)
    else:
        found = _from_sums(metric, of, total, group, level, other is None, same)
    return Contrast(found, own.estimate, None if theirs is None else theirs.estimate, total.values)


def _once(metric: str, of: Metric, rows: Scored) -> Influence:
    """Return a metric of some rows, kept with them: a contract asks for it alone and against each baseline."""
    kept: dict[str, Influence] = rows.__dict__.setdefault("_metrics", {})
    if metric not in kept:
        kept[metric] = of.of(rows)
    return kept[metric]


def must_vary(
    metric: str, of: Metric, estimate: float, said: str, *, alone: bool, same: bool, perfect: bool = True
) -> None:
    """Refuse a number that is the same for all units, unless it is a difference between the same predictions.

    said     which units are alike, in words
    alone    whether it is one model's value, and no difference
    same     whether both models say the same of each row: then zero is certain
    perfect  whether the best value there is would be a suspicion of leaked truths
    Errors: `PerfectScore`, `Undefined`.
    """
    if alone:
        best = 0.0 if of.lower_is_better else 1.0
        leaked = perfect and math.isclose(estimate, best, abs_tol=ROUNDING)
        raise (PerfectScore if leaked else Undefined)(
            f"{metric} is {estimate:g} without any variation between {said}: no interval exists"
        )
    if estimate:
        raise Undefined(f"{metric} differs by the same for all {said}: no interval exists")
    if not same:
        raise Undefined(f"{metric} differs for none of the {said}, and the predictions do: no interval exists")


def _from_sums(
    metric: str, of: Metric, total: Influence, group: Codes | None, level: float, alone: bool, same: bool
) -> Interval:
    alike = not np.any(total.values)
    if alike or not np.any(unit_sums(total.values, group)):
        said = "rows" if alike else "groups of rows"
        units = len(total.values) if group is None else int(group.max()) + 1
        # Answers may all be valid or all be clean, intervals all wide enough, and no truth has leaked.
        if of.uses in ("text", "interval") and math.isfinite(of.range):
            return unseen(total.estimate, units, level, of.range)
        if not alone and of.kind in ("share", "table"):
            return unseen(total.estimate, units, level)
        if not alone and of.uses in ("text", "interval"):
            raise Undefined(f"{metric} differs by the same for all {said}: no interval exists")
        must_vary(metric, of, total.estimate, said, alone=alone, same=same, perfect=alike)
    must_be_carried_by_many(total.values, group)
    if of.uses == "text" and math.isinf(of.range):
        must_not_be_skewed(total.values, group)
    return from_influence(total.estimate, total.values, group, level)


def _from_counts(
    metric: str,
    of: Metric,
    candidate: Scored,
    other: Scored | None,
    level: float,
    factor: float,
    total: Influence,
) -> Interval:
    share = of.kind == "share"
    if share and other is None:
        hit, base = counts(metric, candidate)
        return clopper_pearson(int(hit.sum()), int(base.sum()), level)
    if share and metric != "precision" and factor == 1 and other is not None:
        # Accuracy and recall have the same base for both models: all rows, or all positives.
        (ours, base), (theirs, _) = counts(metric, candidate), counts(metric, other)
        return tango(int((ours & ~theirs).sum()), int((theirs & ~ours).sum()), int(base.sum()), level)
    classes = 2 if candidate.score.ndim == 1 else candidate.score.shape[1]
    if classes > TABLE_CLASSES or of.uses == "text":
        return _from_sums(metric, of, total, None, level, other is None, False)
    decided = (candidate.decision,) if other is None else (other.decision, candidate.decision)
    return resampled(metric, joint_table(classes, candidate.truth, *decided), level, factor)


def resampled(metric: str, table: NDArray[np.int64], level: float, factor: float) -> Interval:
    """Return the interval of a function of a confusion table, or of a difference of two, from resampled tables.

    table  (k, k) label by decision, or (k, k, k) label by the other's decision by the candidate's
    """
    if table.ndim == 2:
        return from_table(table, partial(table_value, metric), level)

    def difference(tables: Floats) -> Floats:
        theirs, ours = tables.sum(axis=3), tables.sum(axis=2)
        return np.asarray(table_value(metric, ours) - factor * table_value(metric, theirs))

    return from_table(table, difference, level)


def joint_table(classes: int, *codes: NDArray[np.bool_ | np.int64 | np.float64]) -> NDArray[np.int64]:
    """Return the counts of all combinations of class codes, shape (classes,) * len(codes)."""
    flat = np.zeros(len(codes[0]), dtype=np.int64)
    for code in codes:
        flat = flat * classes + np.asarray(code, dtype=np.int64)
    return np.bincount(flat, minlength=classes ** len(codes)).reshape((classes,) * len(codes))
