"""Distance of two distributions as an effect size with an interval: the population stability index."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from weighin.stats.intervals import MIN_GROUPS, Floats, Undefined

Counts = NDArray[np.float64]

MIN_EXPECTED = 5.0
"""Bins of which the smaller table would hold fewer rows than this are merged with a neighbour."""


@dataclass(frozen=True)
class Psi:
    """PSI with bounds at one-sided `level`.

    units          groups (or rows) of the current table
    bins           bins after thin ones were merged
    design_effect  variance of the bin shares over that of independent rows
    statistic      the plug-in PSI, biased upwards; times `scale` it is a noncentral chi-square with bins - 1 degrees
    """

    estimate: float
    low: float
    high: float
    level: float
    units: int
    bins: int
    design_effect: float
    statistic: float
    scale: float

    def p_above(self, limit: float) -> float:
        """p-value of "the true PSI is at most `limit`"."""
        return float(stats.ncx2.sf(self.statistic * self.scale, self.bins - 1, limit * self.scale))


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
) -> Psi:
    """PSI of two tables of counts: the sum over bins of (q - p) ln(q / p).

    reference, current  (bins,) counts; or (groups, bins) with `..._groups`, one row per day or customer
    level               one-sided confidence of each bound

    Bins that would hold fewer than 5 rows of the smaller table are merged with the next; a bin that is then still
    empty on one side counts as half a row. Near its null the PSI is, scaled, a noncentral chi-square: its
    noncentrality is inverted for the bounds and for the estimate, which removes the upward bias of a plug-in PSI.
    Groups enter through the design effect of the shares (Rao and Scott 1981, first order).
    Errors: `Undefined` for an empty table, fewer than two bins, or too few groups.

    >>> same = np.array([500.0, 300.0, 200.0]); r = psi(same, same, 0.95)
    >>> r.low, r.estimate, round(r.high, 3)
    (0.0, 0.0, 0.0)
    """
    reference, current = np.atleast_2d(reference), np.atleast_2d(current)
    if not reference.sum() or not current.sum():
        raise Undefined("a table without rows")
    keep = _merge(reference.sum(axis=0), current.sum(axis=0))
    reference, current = reference @ keep, current @ keep
    bins = keep.shape[1]
    if bins < 2:
        raise Undefined("one bin holds nearly everything: a constant has no distribution to compare")
    p, effective_reference, _ = _shares(reference, grouped=reference_groups)
    q, effective_current, effect = _shares(current, grouped=current_groups)
    raw = float(np.sum((q - p) * np.log(q / p)))
    scale = 1 / (1 / effective_reference + 1 / effective_current)
    low, estimate, high = (_noncentrality(raw * scale, bins - 1, at) / scale for at in (level, 0.5, 1 - level))
    units = len(current) if current_groups else int(current.sum())
    return Psi(estimate, low, high, level, units, bins, effect, raw, scale)


def _merge(reference: Counts, current: Counts) -> Floats:
    """(bins, merged) matrix of zeros and ones that joins thin neighbours."""
    p = reference / reference.sum()
    rows = min(reference.sum(), current.sum())
    owner, filled, at = np.zeros(len(p), dtype=int), 0.0, 0
    for i, share in enumerate(p):
        if filled >= MIN_EXPECTED:
            at, filled = at + 1, 0.0
        owner[i], filled = at, filled + share * rows
    if filled < MIN_EXPECTED and at:
        owner[owner == at] = at - 1
    return np.eye(owner.max() + 1)[owner]


def _shares(table: Counts, *, grouped: bool) -> tuple[Floats, float, float]:
    """Bin shares, effective number of rows and design effect of one table."""
    total = float(table.sum())
    counts = table.sum(axis=0)
    share = np.where(counts == 0, 0.5, counts)
    share = share / share.sum()
    if not grouped:
        return share, total, 1.0
    groups = len(table)
    if groups < MIN_GROUPS:
        raise Undefined(f"{groups} groups, at least {MIN_GROUPS} are needed")
    residual = table - table.sum(axis=1, keepdims=True) * (counts / total)
    variance = groups / (groups - 1) * np.square(residual).sum(axis=0) / total**2
    # Mean of the eigenvalues of the generalised design matrix; independent rows would give exactly 1.
    effect = max(1.0, float(np.sum(variance / share)) * total / (len(share) - 1))
    return share, total / effect, effect


def _noncentrality(statistic: float, df: int, probability: float) -> float:
    """The noncentrality at which the statistic would be exceeded with 1 - `probability`; 0 where even that is large.

    With `probability` = level this is a lower bound, with 1 - level an upper one, with 0.5 a median-unbiased estimate.
    """

    def excess(nc: float) -> float:
        return float(stats.ncx2.cdf(statistic, df, nc)) - probability

    if statistic <= 0 or excess(0.0) <= 0:
        return 0.0
    top = statistic + 4 * math.sqrt(statistic) + 10
    while excess(top) > 0:
        top *= 2
    return float(optimize.brentq(excess, 0.0, top, xtol=1e-9))
