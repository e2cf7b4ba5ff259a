"""Intervals for one number: from influence values, from counts, from blocks of time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

MIN_GROUPS = 10
"""Fewer groups than this give no usable variance between groups."""


class Undefined(ValueError):
    """The number does not exist for these data: one class, no positives, no variation, too few units."""


@dataclass(frozen=True)
class Interval:
    """An estimate with one-sided bounds at `level` each, and what is needed to test it against a limit.

    `n` counts the independent units behind it: rows, or groups where rows depend on each other.
    `standard_error` and `df` are those of Student's t; `df` is None where the bounds are exact. `counts` is
    (successes, trials) of a proportion.
    """

    estimate: float
    low: float
    high: float
    level: float
    n: int
    standard_error: float
    df: int | None
    counts: tuple[int, int] | None = None

    def p_above(self, limit: float) -> float | None:
        """p-value of "the true value is at most `limit`"; small when the value lies above it."""
        return self._p(limit, upper=True)

    def p_below(self, limit: float) -> float | None:
        """p-value of "the true value is at least `limit`"; small when the value lies below it."""
        return self._p(limit, upper=False)

    def _p(self, limit: float, *, upper: bool) -> float | None:
        """The largest of the p-values that exist: Student's t, and the exact binomial one of a proportion."""
        found = []
        if self.df is not None and self.standard_error > 0:
            t = (self.estimate - limit) / self.standard_error
            found.append(stats.t.sf(t, self.df) if upper else stats.t.cdf(t, self.df))
        if self.counts is not None:
            successes, trials = self.counts
            found.append(
                stats.binom.sf(successes - 1, trials, limit) if upper else stats.binom.cdf(successes, trials, limit)
            )
        return float(max(found)) if found else None


def from_influence(estimate: float, influence: Floats, group: NDArray[np.int64] | None, level: float) -> Interval:
    """Interval of an estimator that is, to first order, a sum of one influence value per row.

    estimate   the value itself
    influence  (n,) each row's share of the estimator's error; sums to about zero
    group      (n,) codes 0..G-1 of rows that depend on each other, or None for independent rows
    level      one-sided confidence of each bound

    The variance is G/(G-1) times the sum of squared group sums (the sandwich; for the area under the ROC curve it is
    Obuchowski 1997, Biometrics 53), the bounds are Student's t with G-1 degrees of freedom.
    Errors: `Undefined` with fewer than `MIN_GROUPS` groups or without any variation.

    >>> x = np.arange(20.0); i = from_influence(x.mean(), (x - x.mean()) / 20, None, 0.975)
    >>> round(i.standard_error, 6) == round(float(x.std(ddof=1) / 20**0.5), 6)
    True
    """
    sums = influence if group is None else np.bincount(group, weights=influence)
    units = len(sums)
    if units < MIN_GROUPS:
        raise Undefined(f"{units} independent units, at least {MIN_GROUPS} are needed")
    error = math.sqrt(units / (units - 1) * float(np.square(sums).sum()))
    if not math.isfinite(error) or not math.isfinite(estimate):
        raise Undefined("the estimate or its standard error is not finite")
    half = float(stats.t.ppf(level, units - 1)) * error
    return Interval(estimate, estimate - half, estimate + half, level, units, error, units - 1)


def clopper_pearson(successes: int, trials: int, level: float) -> Interval:
    """Exact interval of a proportion (Clopper and Pearson 1934), each bound at one-sided `level`.

    Errors: `Undefined` without trials.

    >>> round(clopper_pearson(0, 59, 0.95).high, 4)
    0.0495
    """
    if trials <= 0:
        raise Undefined("no trials")
    alpha = 1 - level
    low = 0.0 if successes == 0 else float(stats.beta.ppf(alpha, successes, trials - successes + 1))
    high = 1.0 if successes == trials else float(stats.beta.ppf(level, successes + 1, trials - successes))
    share = successes / trials
    return Interval(share, low, high, level, trials, math.sqrt(share * (1 - share) / trials), None, (successes, trials))


def share_by_blocks(success: NDArray[np.bool_], block: NDArray[np.int64], level: float) -> Interval:
    """Share of successes where neighbours in time depend on each other: blocks are the units.

    success  (n,) one per request
    block    (n,) codes 0..B-1 of the stretch of time each request was due in

    Takes the wider of the exact interval for independent requests and the block interval, each side on its own: a
    calm server has no variation between blocks, and then only the exact one says how little was seen.
    Errors: `Undefined` with fewer than `MIN_GROUPS` blocks.
    """
    n = len(success)
    if n == 0:
        raise Undefined("no requests")
    share = float(success.mean())
    blocks = from_influence(share, (success - share) / n, block, level)
    exact = clopper_pearson(int(success.sum()), n, level)
    low, high = max(0.0, min(blocks.low, exact.low)), min(1.0, max(blocks.high, exact.high))
    error = max(blocks.standard_error, exact.standard_error)
    return Interval(share, low, high, level, blocks.n, error, blocks.df, exact.counts)
