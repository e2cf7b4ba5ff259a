"""Intervals for one number: from influence values, from counts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from weighin.stats.distributions import (
    beta_quantile,
    binomial_cdf,
    binomial_quantile,
    binomial_sf,
    normal_cdf,
    normal_quantile,
    normal_sf,
    t_cdf,
    t_quantile,
    t_sf,
)

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
PValue = Callable[[float, bool], float | None]
"""(limit, upper) -> p-value of "the true value is at most the limit" (upper), or "at least the limit"; None where
nothing is known of it but the bound."""

MIN_GROUPS = 10
"""Fewer groups than this give no usable variance between groups."""
MIN_CARRIERS = 10.0
MAX_KURTOSIS = 6.0
"""Groups whose sums have a heavier tail than this (3 is normal), and carry their variation as if they were fewer than
`MIN_CARRIERS`, give bounds that miss too often: 7 to 9 % instead of 5 % in benchmarks/error_rates.py."""
MAX_SKEWNESS = 0.25
"""Skewness of a mean (that of the units over the root of their number) beyond which the mean of a number without a
largest value is refused: up to 9 % instead of 5 % passed with 100 lognormal lengths (benchmarks/text_scores.py)."""
ROUNDING = 1e-9
"""Variation between rows below this share of the numbers themselves is rounding."""
ATTENUATION = 2.0
"""The skewness of a sample from a heavy tail is about half that of its source (same benchmark)."""


class Undefined(ValueError):
    """The number does not exist for these data: one class, no positives, no variation, too few units."""


class PerfectScore(Undefined):
    """Every row has the best value that a metric knows, so that no interval exists."""


@dataclass(frozen=True)
class Interval:
    """An estimate with one-sided bounds at `level` each, and what is needed to test it against a limit.

    n               independent units behind it: rows, or groups where rows depend on each other
    standard_error  of the estimate; an approximation where the bounds are exact
    method          how the bounds were made, for the report
    tests           the tests that the bounds invert; where a bound is the wider of two, both
    """

    estimate: float
    low: float
    high: float
    level: float
    n: int
    standard_error: float
    method: str
    tests: tuple[PValue, ...] = ()

    def p_above(self, limit: float) -> float | None:
        """p-value of "the true value is at most `limit`"; small when the value lies above it."""
        return self.p(limit, True)

    def p_below(self, limit: float) -> float | None:
        """p-value of "the true value is at least `limit`"; small when the value lies below it."""
        return self.p(limit, False)

    def p(self, limit: float, upper: bool) -> float | None:
        """p-value as of `PValue`: the largest of all tests; None where one of them knows none."""
        found = [test(limit, upper) for test in self.tests]
        known = [p for p in found if p is not None]
        return max(known, default=None) if len(known) == len(found) else None


@dataclass(frozen=True)
class Powers:
    """All that an interval needs of influence values, or of their sums by group: how many, and sums of powers."""

    units: int
    second: float
    third: float
    fourth: float

    @staticmethod
    def of(sums: Floats) -> Powers:
        """Return those of (units,) values."""
        square = np.square(sums)
        return Powers(len(sums), float(square.sum()), float((square * sums).sum()), float(np.square(square).sum()))


def from_influence(estimate: float, influence: Floats, group: Codes | None, level: float) -> Interval:
    """Interval of an estimator that is, to first order, a sum of one influence value per row.

    estimate   the value itself
    influence  (n,) each row's share of the estimator's error; sums to about zero
    group      (n,) codes 0..G-1 of rows that depend on each other, or None for independent rows
    level      one-sided confidence of each bound

    The variance is G/(G-1) times the sum of squared group sums (the sandwich; for the area under the ROC curve it is
    Obuchowski 1997, Biometrics 53). The bounds are Student's t with as many degrees of freedom as the variation of
    the squares leaves (Satterthwaite 1946, from the fourth moment): 20 positives among 2,000 rows count as 20, not as
    2,000. Where the sums are skewed, the bound on the long side moves outwards by the first term of the Cornish-Fisher
    expansion of a studentised mean (Johnson 1978, JASA 73; Hall 1992); the other bound is left where it is.
    Errors: `Undefined` with fewer than `MIN_GROUPS` groups, where rows differ and groups do not, or where the result is
    not finite.

    >>> x = np.arange(20.0); i = from_influence(x.mean(), (x - x.mean()) / 20, None, 0.975)
    >>> round(i.standard_error, 6) == round(float(x.std(ddof=1) / 20**0.5), 6)
    True
    """
    sums = unit_sums(influence, group)
    if np.any(influence) and not np.any(sums):
        raise Undefined("rows differ, and the groups of them do not: nothing says how sure the number is")
    method = "influence values" if group is None else "influence values by group"
    return from_powers(estimate, Powers.of(sums), level, method)


def from_powers(estimate: float, sums: Powers, level: float, method: str) -> Interval:
    """Return the interval of `from_influence` from sums of powers, which values that are not kept leave as well."""
    units, variation = sums.units, sums.second
    if units < MIN_GROUPS:
        raise Undefined(f"{units} independent units, at least {MIN_GROUPS} are needed")
    error = math.sqrt(units / (units - 1) * variation)
    # The square of the second power is at most so many times the fourth.
    if not all(map(math.isfinite, (estimate, error, units * sums.fourth))):
        raise Undefined("the estimate or its standard error is not finite")
    if error == 0:
        return Interval(estimate, estimate, estimate, level, units, 0.0, method)
    spread = sums.fourth - variation**2 / units
    df = units - 1.0 if spread <= 0 else min(units - 1.0, 2 * variation**2 / spread)
    quantile = t_quantile(level, df)
    # Σu³/(Σu²)^1.5 is the skewness of the mean; 2z²+1 is the expansion's polynomial at the bound.
    shift = sums.third / variation**1.5 / 6 * ATTENUATION * (2 * normal_quantile(level) ** 2 + 1)
    below, above = max(0.0, -shift), max(0.0, shift)

    def p(limit: float, upper: bool) -> float:
        t = (estimate - limit) / error
        return float(t_sf(t - below, df) if upper else t_cdf(t + above, df))

    low, high = estimate - error * (quantile + below), estimate + error * (quantile + above)
    return Interval(estimate, low, high, level, units, error, method, (p,))


def unit_sums(influence: Floats, group: Codes | None) -> Floats:
    """Return (units,) sums of influence values; zeros where they are no more than what sums of doubles leave.

    influence, group  as for `from_influence`; without groups each row is a unit
    """
    if group is None:
        return influence
    sums = np.asarray(np.bincount(group, weights=influence), dtype=np.float64)
    trace = ROUNDING * float(np.abs(influence).sum())
    # Of too few groups, which have no interval at all, that is said.
    alike = len(sums) >= MIN_GROUPS and float(np.abs(sums).max()) * len(sums) <= trace
    return np.zeros(len(sums)) if alike else sums


def without_rounding(influence: Floats, scale: float) -> Floats:
    """Return influence values; zeros where they are no more than what sums of doubles leave of rows that are all alike.

    influence  (n,) as for `from_influence`
    scale      how large the numbers are, of which the estimate is a mean or a difference of means
    An interval of no width would believe what is left.
    """
    # NaN is no variation that is small: it stays, and is refused as not finite.
    alike = float(np.abs(influence).max(initial=0.0)) * len(influence) <= ROUNDING * scale
    return np.zeros(len(influence)) if alike else influence


def must_be_carried_by_many(influence: Floats, group: Codes | None) -> None:
    """Errors: `Undefined` where a few groups carry nearly all of the variation: see `MAX_KURTOSIS`.

    influence, group  as for `from_influence`
    """
    sums = unit_sums(influence, group)
    if group is None or not np.any(sums):
        return
    square = np.square(sums)
    fourth = float(np.square(square).sum())
    if not math.isfinite(len(square) * fourth):
        return  # too large for any interval, which `from_powers` says
    carriers = float(square.sum()) ** 2 / fourth
    if carriers < MIN_CARRIERS and len(square) / carriers > MAX_KURTOSIS:
        raise Undefined(
            f"a few of {len(square)} groups carry the variation, as if there were {carriers:.0f}: no usable interval"
        )


def must_not_be_skewed(influence: Floats, group: Codes | None) -> None:
    """Errors: `Undefined` where so few units with so long a tail give no usable interval: see `MAX_SKEWNESS`.

    influence, group  as for `from_influence`
    """
    sums = unit_sums(influence, group)
    variation = float(np.square(sums).sum())
    if not math.isfinite(len(sums) * float((sums**4).sum())):
        return  # too large for any interval, which `from_powers` says
    if variation > 0 and abs(float((sums**3).sum())) / variation**1.5 > MAX_SKEWNESS:
        raise Undefined(
            f"a few of {len(sums)} units are so much larger than the rest that their mean has no usable interval: "
            "limit a share instead, such as that of answers beyond a length"
        )


def unseen(estimate: float, units: int, level: float, range: float = 1.0) -> Interval:
    """Interval of a difference of shares that no unit shows: zero of `units` is no proof that there is none.

    A difference that some share of units has was missed by all of them with probability (1 - share) ** units: both
    bounds are as far off as the exact upper bound of zero of `units`, times what a unit can differ by (`range`).
    Errors: `Undefined` with fewer than `MIN_GROUPS` units.
    """
    if units < MIN_GROUPS:
        raise Undefined(f"{units} independent units, at least {MIN_GROUPS} are needed")
    bound = range * clopper_pearson(0, units, level).high
    method = "no unit differs: exact bound of none"
    return Interval(estimate, estimate - bound, estimate + bound, level, units, 0.0, method)


def p_without_variation(distance: float, units: int) -> float:
    """p-value of a limit that lies `distance` below a share (or a mean of such) of one that every unit shows.

    Were the true value at the limit, a share `distance` of the units would lack it at least, and a sample of `units`
    independent ones would hold none of those with probability (1 - distance) ** units.

    >>> round(p_without_variation(0.05, 100), 4)
    0.0059
    """
    return float((1 - min(max(distance, 0.0), 1.0)) ** units)


def clopper_pearson(successes: int, trials: int, level: float) -> Interval:
    """Exact interval of a proportion (Clopper and Pearson 1934), each bound at one-sided `level`.

    Errors: `Undefined` without trials.

    >>> round(clopper_pearson(0, 59, 0.95).high, 4)
    0.0495
    """
    if trials <= 0:
        raise Undefined("no trials")
    low = 0.0 if successes == 0 else beta_quantile(1 - level, successes, trials - successes + 1)
    high = 1.0 if successes == trials else beta_quantile(level, successes + 1, trials - successes)
    share = successes / trials

    def p(limit: float, upper: bool) -> float:
        if upper:
            return binomial_sf(successes - 1, trials, limit)
        return binomial_cdf(successes, trials, limit)

    error = math.sqrt(share * (1 - share) / trials)
    return Interval(share, low, high, level, trials, error, "Clopper-Pearson", (p,))


def difference_of_shares(one: Interval, other: Interval) -> Interval:
    """Difference of two independent proportions from the interval of each, both at the same level.

    Bounds by MOVER (Newcombe 1998, Statistics in Medicine 17, method 10) over Clopper-Pearson limits, which keeps
    them on the safe side where one share is near 0 or 1. It inverts no test, so it has no p-value.
    """
    return replace(difference_of_samples(one, other), method="MOVER over Clopper-Pearson limits")


def difference_of_samples(one: Interval, other: Interval) -> Interval:
    """Difference of two numbers of independent samples, each with bounds of any kind.

    Bounds by MOVER (Zou and Donner 2008, Statistics in Medicine 27): each bound of the difference is as far off as the
    bounds of both, squared and added; the level is the weaker of both. It inverts no test, so it has no p-value.
    """
    estimate = one.estimate - other.estimate
    low = estimate - math.hypot(one.estimate - one.low, other.high - other.estimate)
    high = estimate + math.hypot(one.high - one.estimate, other.estimate - other.low)
    error = math.hypot(one.standard_error, other.standard_error)
    level = min(one.level, other.level)
    return Interval(estimate, low, high, level, one.n + other.n, error, "MOVER, independent samples")


def magnitude(found: Interval) -> Interval:
    """Interval of the absolute value of a number, from that of the number.

    The upper bound lies below a limit only if both bounds of the number lie within it, which is the equivalence test of
    two one-sided tests (Schuirmann 1987). The p-value takes the distance from the estimate to the bound nearer to zero
    for that of a normal distribution: it is below 1 - level exactly where that bound is beyond the limit.

    >>> x = magnitude(Interval(-0.3, -0.4, -0.1, 0.95, 50, 0.1, "any"))
    >>> x.estimate, x.low, x.high
    (0.3, 0.1, 0.4)
    """
    estimate, near, far = abs(found.estimate), *sorted((abs(found.low), abs(found.high)))
    inner = found.low if found.estimate > 0 else found.high
    error = abs(found.estimate - inner) / normal_quantile(found.level)

    def p(limit: float, upper: bool) -> float:
        z = (estimate - limit) / error if error > 0 else math.copysign(math.inf, estimate - limit)
        return normal_sf(z) if upper else normal_cdf(z)

    low = 0.0 if found.low <= 0 <= found.high else near
    return replace(found, estimate=estimate, low=low, high=far, tests=(p,))


def median(values: Floats, level: float) -> Interval:
    """Median of independent values by order statistics, each bound at one-sided `level`; distribution free.

    values  (n,) in any order. Errors: `Undefined` where `n` is too small for a bound to exist.

    >>> median(np.arange(101.0), 0.95).estimate
    50.0
    """
    ordered = np.sort(values)
    n = len(ordered)
    # The k-th smallest lies above the median with probability P(Binomial(n, 1/2) < k).
    k = binomial_quantile(1 - level, n, 0.5) if n else 0
    if k < 1:
        raise Undefined(f"{n} rows are too few for an interval of a median")
    middle = float(np.median(ordered))
    low, high = float(ordered[k - 1]), float(ordered[n - k])

    def p(limit: float, upper: bool) -> float:
        if upper:
            return float(binomial_cdf(int((ordered <= limit).sum()), n, 0.5))
        return float(binomial_cdf(int((ordered >= limit).sum()), n, 0.5))

    error = (high - low) / (2 * normal_quantile(level))
    return Interval(middle, low, high, level, n, error, "order statistics", (p,))
