"""What two arms of independent units differ by: shares, means and ratios, each with an interval at any level."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from weighin.stats.intervals import (
    Interval,
    Powers,
    Undefined,
    clopper_pearson,
    difference_of_shares,
    from_powers,
    without_rounding,
)

Floats = NDArray[np.float64]

UNITS_AT_LEAST = 50
"""Fewer units of an arm give no interval."""
CARRIERS_AT_LEAST = 15.0
"""Units of an arm that carry its variation, as if the others did not differ: the squared sum of squares over the sum of
fourth powers. With fewer, up to 5.2 % instead of 5 % failed falsely (benchmarks/ab_test.py, lognormal 1.5 with 10). The
skewness of the difference is then 1 / sqrt(15) at most (Cauchy and Schwarz), which needs no limit of its own."""


def share_difference(one: Floats, other: Floats, level: float) -> Interval:
    """Return the share of ones among the units of one arm, less that of the other.

    one, other  (n,) and (m,) zeros and ones
    level       one-sided confidence of each bound
    Bounds by MOVER over Clopper-Pearson limits: see `difference_of_shares`. Errors: `Undefined` with few units.

    >>> one, other = np.repeat([1.0, 0.0], 100), np.repeat([1.0, 0.0], [80, 120])
    >>> round(share_difference(one, other, 0.95).estimate, 3)
    0.1
    """
    _must_be_enough(one, other)
    found = [clopper_pearson(int(arm.sum()), len(arm), level) for arm in (one, other)]
    return difference_of_shares(*found)


def mean_difference(one: Floats, other: Floats, level: float) -> Interval:
    """Return the mean of the units of one arm, less that of the other.

    one, other  (n,) and (m,) numbers
    Errors: `Undefined` with few units, or where a few of them are so large that the difference has no usable interval.
    """
    _must_be_enough(one, other)
    means = (float(one.mean()), float(other.mean()))
    return _from_arms(means, ((one - means[0]) / len(one), (other - means[1]) / len(other)), level)


def ratio_difference(one: tuple[Floats, Floats], other: tuple[Floats, Floats], level: float) -> Interval:
    """Return the ratio of two sums over the units of one arm, less that of the other, by the delta method.

    one, other  numerator and denominator of each unit
    Units are independent of each other; what a unit's numerator and denominator are made of need not be. Source: Deng,
    Knoblich and Lu 2018, KDD. Errors: as `mean_difference`; `Undefined` where a denominator sums to zero or less.
    """
    _must_be_enough(one[0], other[0])
    _must_be_enough(one[1], other[1])
    totals = (float(one[1].sum()), float(other[1].sum()))
    if min(totals) <= 0:
        raise Undefined("the denominator of an arm is zero")
    ratios = (float(one[0].sum()) / totals[0], float(other[0].sum()) / totals[1])
    influence = tuple(
        (top - ratio * below) / total for (top, below), ratio, total in zip((one, other), ratios, totals, strict=True)
    )
    return _from_arms(ratios, (influence[0], influence[1]), level)


def _from_arms(estimates: tuple[float, float], influence: tuple[Floats, Floats], level: float) -> Interval:
    one, other = (_powers(without_rounding(v, abs(e))) for v, e in zip(influence, estimates, strict=True))
    # The other arm's influence counts with the other sign.
    both = Powers(
        one.units + other.units, one.second + other.second, one.third - other.third, one.fourth + other.fourth
    )
    return from_powers(estimates[0] - estimates[1], both, level, "influence values of two arms")


def _powers(values: Floats) -> Powers:
    """Return the sums of powers of an arm. Errors: `Undefined` where too few units carry its variation."""
    sums = Powers.of(values)
    if not sums.second > 0 or not math.isfinite(sums.units * sums.fourth):
        raise Undefined("the units of an arm do not differ, or too much: nothing says how sure its number is")
    carriers = sums.second**2 / sums.fourth
    if carriers < CARRIERS_AT_LEAST:
        raise Undefined(
            f"a few of {sums.units:,} units carry the variation of an arm, as if there were {carriers:.0f}: "
            "more units are needed, or a `cap`"
        )
    return sums


def _must_be_enough(*arms: Floats) -> None:
    if not all(np.isfinite(arm.sum()) for arm in arms):
        raise Undefined("a number of a unit is not finite")
    least = min(map(len, arms))
    if least < UNITS_AT_LEAST:
        raise Undefined(f"{least} units in an arm, at least {UNITS_AT_LEAST} are needed")
