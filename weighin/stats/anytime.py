"""Intervals that hold at every number of units at once, so that anybody may look as often as they like.

An interval at a fixed level misses at one number of units with its stated error, and at some number of units almost
surely. A confidence sequence misses at no number of units, but for the stated error in all. There are two here:

*Any mean-like number.* The bounds of a sum of independent units cross the curve of a one-sided normal mixture (Robbins
1970; Howard, Ramdas, McAuliffe and Sekhon 2021, Annals of Statistics 49, proposition 6) with probability `alpha` at
most, when the sum has the variance that was estimated. At n units the curve lies z(n) standard errors away, so that an
interval of any method of this package at the one-sided level Phi(z(n)) becomes a confidence sequence, as n grows
(Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, Annals of Statistics 52). What the method does for few units
(Student's t, skewness) it does here at a level that is farther out.

*A share.* The mixture of likelihood ratios below holds exactly, at any number of trials.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from weighin.stats.distributions import normal_cdf
from weighin.stats.intervals import Interval, Undefined

TIGHTEST = 5_000
"""Units at which the curve lies nearest to that of one evaluation, unless a caller says otherwise."""


def standard_errors(n: int, alpha: float, tightest: int = TIGHTEST) -> float:
    """Return z(n): how many standard errors a one-sided bound lies from the estimate at `n` units.

    alpha     probability that the bound misses at any number of units
    tightest  units at which z is least; fixed before anything is looked at
    Errors: `Undefined` without units; `ValueError` for an `alpha` outside of (0, 0.5).

    >>> [round(standard_errors(n, 0.05), 2) for n in (500, 5_000, 50_000)]
    [3.63, 2.77, 2.98]
    """
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha {alpha}")
    if n <= 0:
        raise Undefined("no units")
    rho = _rho(alpha, tightest)
    total = n + rho

    # The logarithm of the mixture grows with the distance; where it reaches log(1 / alpha) is the bound.
    def log_mixture(x: float) -> float:
        return math.log(2 * normal_cdf(x)) + x * x / 2 + math.log(rho / total) / 2

    low, high = 0.0, math.sqrt(2 * math.log(1 / alpha) + math.log(total / rho)) + 1
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if log_mixture(middle) < -math.log(alpha) else (low, middle)
    return high * math.sqrt(total / n)


def _rho(alpha: float, tightest: int) -> float:
    """Return the variance of the mixture for which the curve is lowest at so many units.

    The optimum of the two-sided mixture at 2 * `alpha` (Howard and others, section 3.5) by its usual approximation.
    """
    log = 2 * math.log(1 / (2 * alpha))
    return tightest / (log + math.log(1 + log))


def level(n: int, alpha: float, tightest: int = TIGHTEST) -> float:
    """Return the one-sided level at which an interval of `n` units belongs to a sequence of error `alpha`."""
    return normal_cdf(standard_errors(n, alpha, tightest))


def sequence(at: Callable[[float], Interval], n: int, alpha: float, tightest: int = TIGHTEST) -> Interval:
    """Return the interval of a confidence sequence at `n` units.

    at  the interval at a one-sided level, by a method of this package
    Its level is 1 - `alpha`, which each end keeps at all numbers of units together. It has no p-value.
    Errors: `Undefined` where the interval is.
    """
    found = at(level(n, alpha, tightest))
    return replace(found, level=1 - alpha, tests=(), method=f"{found.method}, anytime-valid")


def share(successes: int, trials: int, alpha: float) -> Interval:
    """Return a share with bounds that each hold at every number of trials with error `alpha` in all, exactly.

    Were the share p or less, the likelihood of what was seen under a share above p, averaged over the uniform
    distribution of those, would exceed 1 / `alpha` times that under p with probability `alpha` at most, at any time
    (Ville 1939; for one-sided hypotheses as p is the least favourable of them). What exceeds it is excluded.
    Errors: `Undefined` without trials.

    >>> found = share(60, 100, 0.05)
    >>> round(found.low, 3), found.estimate, round(found.high, 3)
    (0.45, 0.6, 0.742)
    """
    if trials <= 0:
        raise Undefined("no trials")
    estimate = successes / trials
    low = _lower(successes, trials, alpha)
    high = 1 - _lower(trials - successes, trials, alpha)
    error = math.sqrt(estimate * (1 - estimate) / trials)
    return Interval(estimate, low, high, 1 - alpha, trials, error, "mixture of likelihood ratios, anytime-valid")


def _lower(successes: int, trials: int, alpha: float) -> float:
    """Return the largest share that is excluded from below."""
    from scipy import special

    a, b = successes + 1.0, trials - successes + 1.0

    def log_ratio(p: float) -> float:
        # The integral of the likelihood over (p, 1), over the length of that, over the likelihood at p.
        above = float(special.betaincc(a, b, p))
        if above <= 0:
            return -math.inf
        mixed = math.log(above) + float(special.betaln(a, b)) - math.log1p(-p)
        return mixed - successes * math.log(p) - (trials - successes) * math.log1p(-p)

    estimate = successes / trials
    if successes == 0:
        return 0.0
    low, high = 0.0, min(estimate, 1 - 1e-15)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if middle <= 0 or log_ratio(middle) > -math.log(alpha) else (low, middle)
    return low
