"""Intervals that hold at every number of units at once, so that anybody may look as often as they like.

An interval at a fixed level misses at one number of units with its stated error, and at some number of units almost
surely. A confidence sequence misses at no number of units, but for the stated error in all. There are three here:

*Any mean-like number.* The bounds of a sum of independent units cross the curve of a one-sided normal mixture (Robbins
1970; Howard, Ramdas, McAuliffe and Sekhon 2021, Annals of Statistics 49, proposition 6) with probability `alpha` at
most, when the sum has the variance that was estimated. At n units the curve lies z(n) standard errors away, so that an
interval of any method of this package at the one-sided level Phi(z(n)) becomes a confidence sequence, as n grows
(Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, Annals of Statistics 52). What the method does for few units
(Student's t, skewness) it does here at a level that is farther out.

*A share.* The mixture of likelihood ratios below holds exactly, at any number of trials.

*The mean of -1, 0 and 1*, such as which of two models was right. A mixture of bets against each mean holds exactly,
too, and is tuned to the number of units at which it should be tightest.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from weighin.stats.distributions import normal_cdf, normal_quantile
from weighin.stats.intervals import Interval, Undefined

TIGHTEST = 5_000
"""Units at which the curve lies nearest to that of one evaluation, unless a caller says otherwise."""
MOST_SURE = 1 - 1e-12
"""One-sided level beyond which no method of this package has a bound."""
STAKES, EVEN_STAKES, EVEN_WEIGHT = 96, 32, 0.1
"""Stakes of the mixture of bets that follow the half-normal distribution, those that are spread evenly over (0, 1),
and what the latter weigh together: they are for means that lie far from where the former look."""


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
    low, high = 0.0, math.sqrt(2 * math.log(1 / alpha) + math.log(total / rho)) + 1
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _log_mixture(middle, rho, total) < -math.log(alpha) else (low, middle)
    return high * math.sqrt(total / n)


def _log_mixture(x: float, rho: float, total: float) -> float:
    return math.log(2 * normal_cdf(x)) + x * x / 2 + math.log(rho / total) / 2


def p_value(once: float, n: int, alpha: float, tightest: int = TIGHTEST) -> float:
    """Return the p-value that holds at every number of units, of one that holds at `n` units alone.

    alpha  of the sequence, which fixes its curve: the p-value is at most `alpha` where the bound excludes the limit

    >>> round(p_value(1 - level(500, 0.05), 500, 0.05), 6)
    0.05
    """
    rho = _rho(alpha, tightest)
    # Below zero the mixture, less than one everywhere, tells nothing.
    x = max(0.0, -normal_quantile(once) * math.sqrt(n / (n + rho)))
    return min(1.0, math.exp(-_log_mixture(x, rho, n + rho)))


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
    Its level is 1 - `alpha`, which each end keeps at all numbers of units together, as its p-values do.
    Errors: `Undefined` where the interval is.
    """
    one_sided = level(n, alpha, tightest)
    if one_sided > MOST_SURE:
        raise Undefined(f"{n} units are too few for an interval that holds at any number of them")
    found = at(one_sided)

    def p(limit: float, upper: bool) -> float | None:
        once = found.p(limit, upper)
        return None if once is None else p_value(once, n, alpha, tightest)

    return replace(found, level=1 - alpha, tests=(p,), method=f"{found.method}, anytime-valid")


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
    low = least_share(successes, trials, alpha)
    high = 1 - least_share(trials - successes, trials, alpha)
    error = math.sqrt(estimate * (1 - estimate) / trials)
    return Interval(estimate, low, high, 1 - alpha, trials, error, "mixture of likelihood ratios, anytime-valid")


def least_share(successes: int, trials: int, alpha: float) -> float:
    """Return the largest share that is excluded from below: the lower bound of `share`, which needs trials."""
    from scipy import special

    a, b = successes + 1.0, trials - successes + 1.0

    def log_ratio(p: float) -> float:
        # The integral of the likelihood over (p, 1), over the length of that, over the likelihood at p.
        mixed = math.log(float(special.betaincc(a, b, p))) + float(special.betaln(a, b)) - math.log1p(-p)
        return mixed - successes * math.log(p) - (trials - successes) * math.log1p(-p)

    if successes == 0:
        return 0.0
    low, high = 0.0, successes / trials
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if log_ratio(middle) > -math.log(alpha) else (low, middle)
    return low


def mean_of_signs(
    wins: int, ties: int, losses: int, alpha: float, tightest: int = TIGHTEST, variance: float = 1.0
) -> Interval:
    """Return the mean of independent -1, 0 and 1, with bounds that each hold at every number of them, exactly.

    wins, ties, losses  how many were 1, 0 and -1
    alpha               probability that a bound misses at any number of them
    tightest, variance  units at which the bounds are tightest for values of this variance; fixed before any is seen
    Whoever stakes a share c of a capital on a mean above m multiplies it by (1 - c) + c (1 + x) / (1 + m) at each
    value x, which is fair or worse where the mean is m or less, whatever the values between -1 and 1. The mean of such
    capitals over stakes that are fixed before exceeds 1 / `alpha` with probability `alpha` at most, at any time (Ville
    1939; Waudby-Smith and Ramdas 2024, JRSS B 86). What makes it exceed that is excluded.
    Errors: `Undefined` without values; `ValueError` for an `alpha` outside of (0, 0.5).

    >>> found = mean_of_signs(600, 0, 400, 0.05, tightest=1_000)
    >>> round(found.low, 3), found.estimate, round(found.high, 3)
    (0.112, 0.2, 0.286)
    """
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha {alpha}")
    n = wins + ties + losses
    if n <= 0:
        raise Undefined("no values")
    estimate = (wins - losses) / n
    low = _least_mean(wins, ties, losses, alpha, tightest, variance)
    high = -_least_mean(losses, ties, wins, alpha, tightest, variance)
    error = math.sqrt(max(0.0, (wins + losses) / n - estimate**2) / n)
    mixture = _stakes(alpha, tightest, variance)

    def p(limit: float, upper: bool) -> float:
        counts, mean = ((wins, ties, losses), limit) if upper else ((losses, ties, wins), -limit)
        if mean <= -1:
            return 0.0
        return min(1.0, math.exp(-float(_log_capital(*counts, np.array([mean]), mixture)[0])))

    return Interval(estimate, low, high, 1 - alpha, n, error, "mixture of bets, anytime-valid", (p,))


_NINTHS = np.arange(1, 9) / 9


def _least_mean(wins: int, ties: int, losses: int, alpha: float, tightest: int, variance: float) -> float:
    """Return the largest mean that is excluded from below; -1 where none is."""
    if not wins and not ties:
        return -1.0
    mixture = _stakes(alpha, tightest, variance)
    low, high = -1.0, (wins - losses) / (wins + ties + losses)
    # Each capital falls as m grows: eight means at once, eight times, leave the bound within 1e-7, on its safe side.
    for _ in range(8):
        means = low + (high - low) * _NINTHS
        known = int((_log_capital(wins, ties, losses, means, mixture) > -math.log(alpha)).sum())
        edges = [low, *means.tolist(), high]
        low, high = edges[known], edges[known + 1]
    return low


def _log_capital(
    wins: int, ties: int, losses: int, means: NDArray[np.float64], mixture: tuple[NDArray[np.float64], ...]
) -> NDArray[np.float64]:
    """Return the logarithm of what bets against a mean of at most `means`, shape (m,) and above -1, have come to."""
    stake, weight = mixture
    won = np.log(1 - stake + stake * 2 / (1 + means[:, None]))
    tied = np.log(1 - stake + stake / (1 + means[:, None]))
    capital = np.log(weight) + losses * np.log1p(-stake) + wins * won + ties * tied
    top = capital.max(axis=1)
    return np.asarray(top + np.log(np.exp(capital - top[:, None]).sum(axis=1)))


@functools.lru_cache(64)
def _stakes(alpha: float, tightest: int, variance: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the stakes of the mixture, each in (0, 1), and their weights, which sum to one."""
    scale = 1 / math.sqrt(_rho(alpha, tightest) * variance)
    middle = (np.arange(STAKES) + 0.5) / STAKES
    near = np.array([normal_quantile(0.5 + q / 2) for q in middle]) * scale
    even = (np.arange(EVEN_STAKES) + 0.5) / EVEN_STAKES
    weights = [np.full(STAKES, (1 - EVEN_WEIGHT) / STAKES), np.full(EVEN_STAKES, EVEN_WEIGHT / EVEN_STAKES)]
    return np.concatenate([np.minimum(near, 1 - 1e-6), even]), np.concatenate(weights)
