"""Rates of one group of rows against those of another: what fairness checks compare.

Definitions as in fairlearn (Weerts et al. 2023): selection rate for demographic parity, true positive rate for equal
opportunity, true and false positive rates for equalised odds. There the largest of all differences is reported; here
every ordered pair is measured, since the largest of several noisy differences is biased upwards.
"""

from __future__ import annotations

import numpy as np

from weighin.stats.intervals import (
    Codes,
    Floats,
    Interval,
    Undefined,
    clopper_pearson,
    difference_of_shares,
    from_influence,
    must_be_carried_by_many,
    without_rounding,
)
from weighin.stats.scored import MIN_RARER, Bools, Scored


def rate(name: str, rows: Scored) -> tuple[Floats, Bools]:
    """(n,) values and (n,) base of a rate: it is the mean of the values over the base.

    selection_rate, true_positive_rate, false_positive_rate, false_negative_rate, error_rate: shares in [0, 1];
    mean_error (prediction minus truth) and mae: in the target's unit; of texts the mean of a score.
    """
    every = np.ones(len(rows.truth), dtype=bool)
    if rows.row_scores is not None:
        return rows.row_scores(name), every
    if name in ("mean_error", "mae"):
        return (rows.error if name == "mean_error" else np.abs(rows.error)), every
    if name == "error_rate":
        return np.asarray(rows.decision != rows.truth, dtype=np.float64), every
    positive, decided = np.asarray(rows.truth, dtype=bool), np.asarray(rows.decision, dtype=bool)
    match name:
        case "selection_rate":
            return decided.astype(np.float64), every
        case "true_positive_rate":
            return decided.astype(np.float64), positive
        case "false_positive_rate":
            return decided.astype(np.float64), ~positive
        case "false_negative_rate":
            return (~decided).astype(np.float64), positive
    raise ValueError(f"no rate {name}")


def difference(name: str, rows: Scored, one: Bools, other: Bools, group: Codes | None, level: float) -> Interval:
    """Return a rate among the rows of `one` minus the same among those of `other` (masks without a common row).

    Independent rows with equal weights: MOVER over Clopper-Pearson limits for shares. All else: influence values,
    which know that both sides of a difference may share a day.
    Errors: `Undefined` where either side has fewer than 20 rows that count.
    """
    values, base = rate(name, rows)
    sides = []
    for mask, which in ((one, "the first"), (other, "the second")):
        if int((mask & base).sum()) < MIN_RARER:
            # Without the number: small counts of a sensitive column must not be published.
            raise Undefined(
                f"fewer than {MIN_RARER} rows of {which} group count for this rate, too few for an interval"
            )
        sides.append(mask & base)
    if group is None and rows.weight is None and np.isin(values, (0.0, 1.0)).all():
        first, second = (clopper_pearson(int(values[s].sum()), int(s.sum()), level) for s in sides)
        return difference_of_shares(first, second)
    estimate, influence = influence_of_difference(name, rows, one, other)
    touched = one | other
    codes = None if group is None else np.unique(group[touched], return_inverse=True)[1].astype(np.int64)
    if not np.any(influence):
        raise Undefined(f"{name} is the same for every row of a group: no interval exists")
    must_be_carried_by_many(influence[touched], codes)
    return from_influence(estimate, influence[touched], codes, level)


def influence_of_difference(name: str, rows: Scored, one: Bools, other: Bools) -> tuple[float, Floats]:
    """Return the difference of `difference`, and (n,) each row's influence on it.

    Errors: `Undefined` where no row of a side counts.
    """
    values, base = rate(name, rows)
    means, influence = [], np.zeros(len(values))
    for sign, side in ((1, one & base), (-1, other & base)):
        mass = float(rows.share[side].sum())
        if not mass:
            raise Undefined("no row of a group counts for this rate")
        mean = float((rows.share * values)[side].sum()) / mass
        influence += sign * rows.share * (values - mean) * side / mass
        means.append(mean)
    return means[0] - means[1], without_rounding(influence, abs(means[0]) + abs(means[1]))
