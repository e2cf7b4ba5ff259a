"""Distance of two distributions as an effect size with an interval: PSI, Jensen-Shannon, total variation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from weighin.stats.intervals import Floats, Undefined
from weighin.stats.rare import RareBins
from weighin.stats.shares import Counts as Counts
from weighin.stats.shares import Error, Shares, solve

FINEST = 6.0
"""Standard normal quantile of the smallest p-value that is told apart from zero, 1e-9."""


@dataclass(frozen=True)
class Distance:
    """A distance with bounds at one-sided `level`: each is wrong in at most about 1 - level of samples.

    estimate       with the upward bias of `statistic` removed; never below 0
    units          groups (or rows) of the current table
    bins           bins that were compared
    design_effect  variance over that of independent rows, current table
    statistic      the plug-in value: the distance of the two samples, biased upwards
    lower          level -> lower bound, of which `p_above` is made
    """

    estimate: float
    low: float
    high: float
    level: float
    units: int
    bins: int
    design_effect: float
    statistic: float
    lower: Callable[[float], float] = field(repr=False, compare=False)

    def p_above(self, limit: float) -> float:
        """p-value of "the true distance is at most `limit`": 1 less the highest level whose lower bound exceeds it."""
        beyond, short = -FINEST, FINEST
        if self.lower(float(special.ndtr(short))) > limit:
            return float(special.ndtr(-short))
        if self.lower(float(special.ndtr(beyond))) <= limit:
            return 1.0
        while short - beyond > 1e-7:
            middle = (beyond + short) / 2
            beyond, short = (middle, short) if self.lower(float(special.ndtr(middle))) > limit else (beyond, middle)
        return float(special.ndtr(-beyond))


def edges(quantiles: Floats) -> Floats:
    """Inner edges of bins, from the inner quantiles of the reference; bins are closed below.

    A value at which several quantiles fall holds much of the column (no rain, for most hours) and gets a bin of its
    own, so that what lies above it can still be told from it.

    >>> edges(np.array([1.0, 2.0, 3.0])).tolist()
    [1.0, 2.0, 3.0]
    >>> edges(np.array([0.0, 0.0, 0.5])).tolist()
    [0.0, 5e-324, 0.5]
    """
    values, repeats = np.unique(quantiles, return_counts=True)
    above = np.nextafter(values[repeats > 1], np.inf)
    return np.union1d(values, above)


def psi(
    reference: Counts, current: Counts, level: float, reference_groups: bool = False, current_groups: bool = False
) -> Distance:
    """Return the population stability index: the sum over bins of (q - p) ln(q / p), with p the reference's shares.

    reference, current  (bins,) counts; or (groups, bins) with `..._groups`, one row per day or customer
    level               one-sided confidence of each bound

    0 or more, without an upper end; the order of bins does not matter. A bin that is empty on one side counts as half
    a row, or as what the other side leads to expect where that is less; one that is empty on both is left out.
    Errors: `Undefined` for an empty table, fewer than two bins, or too few groups.

    >>> same = np.array([500.0, 300.0, 200.0]); r = psi(same, same, 0.95)
    >>> r.low, r.estimate, round(r.high, 3)
    (0.0, 0.0, 0.0)
    """
    return _divergence(_PSI, reference, current, level, reference_groups, current_groups)


def jensen_shannon(
    reference: Counts, current: Counts, level: float, reference_groups: bool = False, current_groups: bool = False
) -> Distance:
    """Jensen-Shannon distance: square root of the divergence in bits (Lin 1991; Endres and Schindelin 2003).

    reference, current, level  as for `psi`

    Between 0 (equal) and 1 (no bin in common); the order of bins does not matter. A small distance d is about
    the square root of PSI / 5.5. Errors: as for `psi`.

    >>> one, other = np.array([9000.0, 1000.0]), np.array([1000.0, 9000.0])
    >>> round(jensen_shannon(one, other, 0.95).statistic, 4)
    0.7287
    """
    return _divergence(_JENSEN_SHANNON, reference, current, level, reference_groups, current_groups)


def total_variation(
    reference: Counts, current: Counts, level: float, reference_groups: bool = False, current_groups: bool = False
) -> Distance:
    """Total variation: half the sum of the absolute differences of shares; the share of rows that would have to move.

    reference, current, level  as for `psi`

    Between 0 and 1; the order of bins does not matter. Noise makes the plug-in value too large, most where bins do not
    differ. The upper bound takes off what is left where all bins differ by as many standard errors, which is the least
    that noise can add; the lower bound takes off what noise adds to equal shares, which is the most.
    Errors: as for `psi`.

    >>> round(total_variation(np.array([600.0, 400.0]), np.array([500.0, 500.0]), 0.95).statistic, 3)
    0.1
    """
    one, other = _pair(reference, current, reference_groups, current_groups)
    p, q = one.share, other.share
    statistic = float(np.abs(q - p).sum()) / 2
    deviation = np.sqrt(one.variance + other.variance)
    sign = np.where(q >= p, 0.5, -0.5)
    equal = np.array_equal(p, q)
    if equal:
        # All have moved up, and so none has: the bin that is known least has in truth moved against the others.
        sign[np.argmax(deviation)] = -0.5
    error = one.error(-sign) + other.error(sign)
    added = float(deviation.sum()) / 2
    # Shares that are equal: the variance of a sum of folded normals, which no choice of signs may undercut.
    standard = math.sqrt(max(error.variance, (1 - 2 / math.pi) * float(np.square(deviation).sum()) / 4))
    rare = RareBins(one, other, p, q, lambda p, q: np.abs(q - p) / 2, 0.0)
    estimate = added * _unfold(statistic / added) if added else statistic

    def lower(at: float) -> float:
        bound = statistic - error.reach(at)[0] * standard - FOLD * added
        return max(0.0, min(bound, estimate - rare.fall(at)) if at > 0.5 else bound)

    def upper(at: float) -> float:
        reach = max(error.reach(at)) if equal else error.reach(at)[1]
        bound = added * _unfold((statistic + reach * standard) / added) if added else statistic
        return min(1.0, max(bound, rare.highest(at)))

    bins, effect = len(p), other.effect()
    return Distance(estimate, lower(level), upper(level), level, other.units, bins, effect, statistic, lower)


FOLD = math.sqrt(2 / math.pi)
"""Mean of the absolute value of a standard normal variable."""


def _unfold(mean: float) -> float:
    """u of which |u + Z| has this mean, Z standard normal; 0 where noise alone has a larger one."""
    if mean <= FOLD:
        return 0.0
    low, high = 0.0, mean
    while high - low > 1e-9 * high:
        u = (low + high) / 2
        folded = u * (2 * float(special.ndtr(u)) - 1) + FOLD * math.exp(-u * u / 2)
        low, high = (u, high) if folded < mean else (low, u)
    return high


@dataclass(frozen=True)
class _Divergence:
    """A symmetric divergence that is, times `curvature`, a noncentral chi-square where it is small.

    cell, slope, bend  (p, q) -> each bin's part, and its first and second derivative by the second share
    empty              rows that an empty bin counts as
    most               the largest value there is
    root               the distance is the square root
    """

    cell: Callable[[Floats, Floats], Floats]
    slope: Callable[[Floats, Floats], Floats]
    bend: Callable[[Floats, Floats], Floats]
    curvature: float
    empty: float
    most: float
    root: bool


_PSI = _Divergence(
    lambda p, q: (q - p) * np.log(q / p),
    lambda p, q: np.log(q / p) + 1 - p / q,
    lambda p, q: 1 / q + p / q**2,
    1.0,
    0.5,
    math.inf,
    False,
)
_JENSEN_SHANNON = _Divergence(
    lambda p, q: (p * np.log2(2 * p / (p + q)) + q * np.log2(2 * q / (p + q))) / 2,
    lambda p, q: np.log2(2 * q / (p + q)) / 2,
    lambda p, q: p / (2 * math.log(2) * q * (p + q)),
    8 * math.log(2),
    1e-9,
    1.0,
    True,
)


def _divergence(
    kind: _Divergence, reference: Counts, current: Counts, level: float, reference_groups: bool, current_groups: bool
) -> Distance:
    """Bounds by inverting a scaled noncentral chi-square whose first two moments are those of the plug-in value.

    Its mean is the true value and the bias, the trace of the design matrix; its variance is that of the delta method
    *in the direction of the drift*. Where days differ mostly in the direction in which the drift goes, that variance is
    many times what an average design effect says. Where directions are equal and rows independent this is the plain
    noncentral chi-square. Levels pass through Student's t and the skewness of the units: see `Error.reach`.

    Rao and Scott 1981 (JASA 76) for the trace; Satterthwaite 1946 for a scale by two moments; `RareBins` for the rest.
    """
    one, other = _pair(reference, current, reference_groups, current_groups)
    p = _filled(one.share, other.share, kind.empty / one.rows)
    q = _filled(other.share, one.share, kind.empty / other.rows)
    bins, statistic, rare = len(p), float(kind.cell(p, q).sum()), RareBins(one, other, p, q, kind.cell, kind.empty)
    error = _error(kind, other, q, p) + _error(kind, one, p, q)
    # Second derivatives: half of each times a variance is a bin's bias. For the upper bound a bin that lost rows counts
    # as one that did not, since its share is too noisy to divide by twice.
    by_q, by_p = kind.bend(p, q) * kind.curvature / 2, kind.bend(q, p) * kind.curvature / 2
    bent = float(by_q @ other.variance + by_p @ one.variance)
    bias = float(np.minimum(by_q, 1 / q) @ other.variance + np.minimum(by_p, 1 / p) @ one.variance)
    scale = max(bias / (bins - 1), 1 / one.rows + 1 / other.rows)
    if statistic > 0:
        scale = max(scale, error.variance * kind.curvature / (4 * statistic))
    found = statistic * kind.curvature / scale

    def invert(probability: float, bias: float = bias) -> float:
        degrees = max(bias / scale, 1e-3)
        return min(kind.most, solve(probability, found, degrees) * scale / kind.curvature)

    estimate = invert(0.5)

    def finish(value: float) -> float:
        return math.sqrt(value) if kind.root else value

    def lower(at: float) -> float:
        # Few rows in a bin make the plug-in value larger still: the lower bound takes off the larger bias.
        bound = invert(float(special.ndtr(error.reach(at)[0])), max(bias, bent))
        return finish(max(0.0, min(bound, estimate - rare.fall(at)) if at > 0.5 else bound))

    high = min(kind.most, max(invert(float(special.ndtr(-error.reach(level)[1]))), rare.highest(level)))
    return Distance(
        finish(estimate),
        lower(level),
        finish(high),
        level,
        other.units,
        bins,
        other.effect(),
        finish(statistic),
        lower,
    )


def _error(kind: _Divergence, table: Shares, share: Floats, opposite: Floats) -> Error:
    """Of the divergence, by this table: from its slope, or from leaving out one group where that finds more."""
    slope = table.error(kind.slope(opposite, share))
    least = kind.empty / table.rows
    left_out = table.jackknife(lambda shares: kind.cell(opposite, _filled(shares, opposite, least)).sum(axis=1))
    return slope if left_out is None or slope.variance >= left_out.variance else left_out


def _pair(reference: Counts, current: Counts, reference_groups: bool, current_groups: bool) -> tuple[Shares, Shares]:
    """Both tables in the bins that either holds."""
    reference, current = np.atleast_2d(reference), np.atleast_2d(current)
    if reference.shape[1] != current.shape[1]:
        raise Undefined(f"{reference.shape[1]} bins against {current.shape[1]}")
    one, other = Shares.of(reference, reference_groups), Shares.of(current, current_groups)
    held = (one.counts + other.counts) > 0
    if held.sum() < 2:
        raise Undefined("one bin holds everything: a constant has no distribution to compare")
    if not held.all():
        return Shares.of(reference[:, held], reference_groups), Shares.of(current[:, held], current_groups)
    return one, other


def _filled(share: Floats, opposite: Floats, least: float) -> Floats:
    """Shares without zeros: an empty bin gets `least`, or what the other table has where that is less."""
    filled: Floats = np.where(share == 0, np.minimum(least, opposite), share)
    filled /= filled.sum(axis=-1, keepdims=True)
    return filled
