"""Intervals for a served model: shares and quantiles of requests that depend on their neighbours in time.

Requests are not independent: a stall hits all that are due while it lasts. The unit is a block of time, at least as
long as the stalls that the contract expects (`stall_seconds`); where blocks still depend on each other they are
lengthened. What can be said about stalls that did not happen while somebody looked is bounded as well: in 60 blocks
without one, they may fill 4.9 % of the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from weighin.stats.distributions import chi2_sf, normal_quantile, t_quantile
from weighin.stats.intervals import (
    MIN_GROUPS,
    Codes,
    Floats,
    Interval,
    Powers,
    PValue,
    Undefined,
    clopper_pearson,
    from_influence,
    from_powers,
)

DEPENDENT = 1.645
"""Blocks whose correlation with the next one is larger than this many standard errors are lengthened."""
DIFFERENT = 0.1
"""Starts of a server that differ with a smaller p-value than this are units of their own."""


@dataclass(frozen=True)
class Moments:
    """When requests were due.

    due    (n,) seconds since the server's start
    start  (n,) which start of the server, as codes 0..S-1
    block  seconds of the shortest block
    """

    due: Floats
    start: Codes
    block: float

    def codes(self, seconds: float) -> Codes:
        """(n,) codes 0..B-1 of blocks of so many seconds; none reaches over two starts."""
        first = np.full(int(self.start.max()) + 1, np.inf)
        np.minimum.at(first, self.start, self.due)
        number = np.floor((self.due - first[self.start]) / seconds).astype(np.int64)
        return np.unique(self.start * (number.max() + 1) + number, return_inverse=True)[1].astype(np.int64)


def share(success: NDArray[np.bool_], moments: Moments, level: float) -> Interval:
    """Share of requests that succeeded, in [0, 1].

    success  (n,) one per request. Failure is what stalls bring, so that the lower bound allows for those not seen.
    level    one-sided confidence of each bound

    Each side is the widest of: the exact interval of independent requests (Clopper and Pearson 1934); blocks of time
    as units, lengthened until neighbours are uncorrelated (batch means: Law and Carson 1979, Operations Research 27);
    for the lower side also the observed share times what time free of stalls is proven, (1 - level) ** (1 / blocks).
    Starts that differ more than their blocks explain widen both sides by Student's t over starts.
    Errors: `Undefined` without requests or with fewer than `MIN_GROUPS` blocks.
    """
    n = len(success)
    if n == 0:
        raise Undefined("no requests")
    mean = float(success.mean())
    codes, seconds = _uncorrelated(success, moments)
    # Blocks that are all alike have no width: the exact interval beside it has one.
    sums = np.asarray(np.bincount(codes, weights=(success - mean) / n), dtype=np.float64)
    blocks = from_powers(mean, Powers.of(sums), level, "influence values by group")
    exact = clopper_pearson(int(success.sum()), n, level)
    shortest = int(moments.codes(moments.block).max()) + 1
    unseen = mean * (1 - level) ** (1 / shortest)

    def stalls(limit: float, upper: bool) -> float:
        # The level at which the unseen bound meets the limit.
        return min(1.0, (limit / mean) ** shortest) if upper and mean > 0 else 0.0

    low, high = min(blocks.low, exact.low, unseen), max(blocks.high, exact.high)
    tests: tuple[PValue, ...] = (*blocks.tests, *exact.tests, stalls)
    method = "widest of blocks, requests and unseen stalls"
    if seconds > moments.block:
        method += f"; blocks joined to {seconds:g} s since neighbours are alike"
    widened = _between(success, moments, codes, level)
    if widened:
        starts = int(moments.start.max()) + 1
        low, high = mean - math.hypot(mean - low, widened), mean + math.hypot(high - mean, widened)
        method += f"; {starts} starts differ"
        tests = ()
    return Interval(
        mean,
        max(0.0, low),
        min(1.0, high),
        level,
        shortest,
        max(blocks.standard_error, exact.standard_error),
        method,
        tests,
    )


def failures(failed: NDArray[np.bool_], moments: Moments, level: float) -> Interval:
    """Share of requests that failed: one minus the share that succeeded."""
    found = share(~failed, moments, level)

    def mirrored(test: PValue) -> PValue:
        return lambda limit, upper: test(1 - limit, not upper)

    return replace(
        found,
        estimate=1 - found.estimate,
        low=1 - found.high,
        high=1 - found.low,
        tests=tuple(mirrored(t) for t in found.tests),
    )


def quantile(latency: Floats, p: float, moments: Moments, level: float) -> Interval:
    """Return the p-quantile of latency, by asking `share` within which time p of the requests are answered.

    latency  (n,) in any unit; infinite for a request without a right answer

    The lower bound is the smallest time within which the share may reach p, the upper bound the smallest within which
    it does reach p; infinite where no time is proven to be enough.
    Errors: as `share`; also where the quantile itself is infinite.
    """
    ordered = np.sort(latency)
    if not len(ordered):
        raise Undefined("no requests")
    estimate = float(ordered[max(0, math.ceil(p * len(ordered)) - 1)])
    if not math.isfinite(estimate):
        raise Undefined(f"{1 - p:.3g} of the requests or more had no right answer, so the quantile is no time")
    times = np.unique(ordered[np.isfinite(ordered)])

    def within(time: float) -> Interval:
        return share(latency <= time, moments, level)

    low = _first(times, lambda t: within(t).high >= p)
    high = _first(times, lambda t: within(t).low >= p)
    at = within(estimate)

    def test(limit: float, upper: bool) -> float | None:
        # "The quantile is at most the limit" says that at least p are answered within it.
        return within(limit).p(p, not upper)

    bounds = min(low, estimate), max(high, estimate)
    error = (min(bounds[1], float(times[-1])) - bounds[0]) / (2 * normal_quantile(level))
    return Interval(estimate, *bounds, level, at.n, error, at.method, (test,))


def ratio(one: Interval, other: Interval) -> Interval:
    """Ratio of two positive numbers that were measured apart, from their intervals, at the level of both.

    The logarithms are joined by MOVER (Zou and Donner 2008, Statistics in Medicine 27). Inverts no test.
    Errors: `Undefined` where the other's lower bound is not positive.
    """
    if min(one.low, other.low) <= 0:
        raise Undefined("a time of zero has no ratio")
    log = math.log
    middle = log(one.estimate / other.estimate)
    low = middle - math.hypot(log(one.estimate / one.low), log(other.high / other.estimate))
    high = middle + math.hypot(log(one.high / one.estimate), log(other.estimate / other.low))
    n = min(one.n, other.n)
    error = math.exp(middle) * (high - low) / (2 * normal_quantile(one.level))
    return Interval(math.exp(middle), math.exp(low), math.exp(high), one.level, n, error, f"MOVER; {one.method}")


def rate(done: Floats, seconds: float, level: float, block: float = 1.0) -> Interval:
    """Events per second over a stretch of time, from blocks.

    done     (n,) moments in [0, seconds)
    Errors: `Undefined` with fewer than `MIN_GROUPS` blocks.
    """
    whole = math.floor(seconds / block)
    counts = np.bincount(np.floor(done / block).astype(np.int64), minlength=whole)[:whole] / block
    if whole < MIN_GROUPS:
        raise Undefined(f"{whole} blocks of {block:g} s, at least {MIN_GROUPS} are needed")
    mean = float(counts.mean())
    return replace(from_influence(mean, (counts - mean) / whole, None, level), method=f"blocks of {block:g} s")


def _uncorrelated(success: NDArray[np.bool_], moments: Moments) -> tuple[Codes, float]:
    """Blocks, lengthened twofold until neighbours are uncorrelated or fewer than twice `MIN_GROUPS` are left."""
    seconds = moments.block
    while True:
        codes = moments.codes(seconds)
        count = int(codes.max()) + 1
        if count < 2 * MIN_GROUPS or not _correlated(success, codes):
            return codes, seconds
        seconds *= 2


def _correlated(success: NDArray[np.bool_], codes: Codes) -> bool:
    means = np.bincount(codes, weights=success) / np.bincount(codes)
    off = means - means.mean()
    square = float(off @ off)
    # Below this, means differ by rounding only.
    return square > 1e-12 and float(off[:-1] @ off[1:]) / square > DEPENDENT / math.sqrt(len(means))


def _between(success: NDArray[np.bool_], moments: Moments, codes: Codes, level: float) -> float:
    """By how much starts that differ widen each side; 0 where their blocks explain the difference."""
    starts = int(moments.start.max()) + 1
    if starts < 2:
        return 0.0
    means, errors = np.empty(starts), np.empty(starts)
    for s in range(starts):
        mine = success[moments.start == s]
        block = np.unique(codes[moments.start == s], return_inverse=True)[1]
        means[s] = mine.mean()
        sums = np.bincount(block, weights=mine - means[s])
        independent = means[s] * (1 - means[s]) / len(mine)
        errors[s] = max(float(sums @ sums) / len(mine) ** 2, independent, 0.25 / len(mine) ** 2)
    weights = 1 / errors
    middle = float(weights @ means / weights.sum())
    q = float(weights @ np.square(means - middle))
    if chi2_sf(q, starts - 1) >= DIFFERENT:
        return 0.0
    between = max(0.0, float(means.var(ddof=1)) - float(errors.mean()))
    return t_quantile(level, starts - 1) * math.sqrt(between / starts)


def _first(times: Floats, holds: Callable[[float], bool]) -> float:
    """Return the smallest time for which something holds that, once it holds, holds for every longer one; else
    infinity.
    """
    low, high = 0, len(times)
    while low < high:
        middle = (low + high) // 2
        if holds(float(times[middle])):
            high = middle
        else:
            low = middle + 1
    return float(times[low]) if low < len(times) else math.inf
