"""Shares of rows in bins, from counts by row or by group, with what their errors are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from weighin.stats.intervals import ATTENUATION, MIN_GROUPS, Floats, Undefined

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Error:
    """The error of a number that is, to first order, a sum over independent units: rows or groups.

    variance  of the number
    third     sum over units of the cubed influence
    spread    sum over units of the fourth power, less what equal squares would give
    units     independent units behind it
    grouped   the variance was estimated from groups, and has degrees of freedom
    """

    variance: float
    third: float
    spread: float
    units: int
    grouped: bool

    def __add__(self, other: Error) -> Error:
        return Error(
            self.variance + other.variance,
            self.third + other.third,
            self.spread + other.spread,
            self.units + other.units,
            self.grouped or other.grouped,
        )

    def reach(self, level: float) -> tuple[float, float]:
        """How many standard errors the low and the high bound lie off the estimate.

        Student's t, for groups, with as many degrees of freedom as the variation of the squares leaves (Satterthwaite
        1946); the bound on the side of the longer tail is moved out by the skewness (Johnson 1978, JASA 73). The same
        as in `intervals.from_influence`, for units that are not listed one by one.
        """
        if self.variance <= 0:
            return 0.0, 0.0
        freedom = self.units - 1.0
        if self.grouped and self.spread > 0:
            freedom = max(1.0, min(freedom, 2 * self.variance**2 / self.spread))
        quantile = float(special.stdtrit(freedom, level) if self.grouped else special.ndtri(level))
        if level <= 0.5:
            return quantile, quantile
        shift = self.third / self.variance**1.5 / 6 * ATTENUATION * (2 * float(special.ndtri(level)) ** 2 + 1)
        return quantile + max(0.0, -shift), quantile + max(0.0, shift)


@dataclass(frozen=True)
class Shares:
    """Shares of the rows of one table.

    rows      how many rows there are
    counts    (bins,) rows by bin
    share     (bins,) counts / rows
    variance  (bins,) of each share; never below that of independent rows
    residual  (groups, bins) each group's part of the error of the shares; None for independent rows
    size      (groups,) each group's share of the rows; None for independent rows
    """

    rows: float
    counts: Floats
    share: Floats
    variance: Floats
    residual: Floats | None
    size: Floats | None = None

    @staticmethod
    def of(table: Counts, grouped: bool) -> Shares:
        """From (bins,) counts, or (groups, bins) where groups are the units.

        Errors: `Undefined` for a table without rows, for counts that are negative or not finite, or with fewer than
        `MIN_GROUPS` groups.
        """
        table = np.atleast_2d(np.asarray(table, dtype=np.float64))
        if not np.isfinite(table).all() or (table < 0).any():
            raise Undefined("counts that are negative or not finite")
        rows = float(table.sum())
        if not rows:
            raise Undefined("a table without rows")
        counts = table.sum(axis=0)
        share = counts / rows
        variance = share * (1 - share) / rows
        if not grouped:
            return Shares(rows, counts, share, variance, None)
        size = table.sum(axis=1, keepdims=True)
        table, size = table[size[:, 0] > 0], size[size[:, 0] > 0]
        groups = len(table)
        if groups < MIN_GROUPS:
            raise Undefined(f"{groups} groups, at least {MIN_GROUPS} are needed")
        residual: Floats = (table - size * share) / rows
        between = groups / (groups - 1) * np.square(residual).sum(axis=0)
        return Shares(rows, counts, share, np.maximum(variance, between), residual, size[:, 0] / rows)

    @property
    def units(self) -> int:
        """Groups, or rows where these are independent."""
        return int(self.rows) if self.residual is None else len(self.residual)

    def effect(self) -> float:
        """Design effect: variance over that of independent rows, averaged over bins (Rao and Scott 1981)."""
        held = self.share > 0
        if held.sum() < 2:
            return 1.0
        return max(1.0, float(np.sum(self.variance[held] / self.share[held])) * self.rows / (int(held.sum()) - 1))

    def error(self, weights: Floats) -> Error:
        """Of the weighted sum of the shares; not below that of independent rows. `weights` (bins,) must be finite."""
        centred = weights - self.share @ weights
        plain = float(self.share @ centred**2) / self.rows
        if self.residual is None:
            third = float(self.share @ centred**3) / self.rows**2
            fourth = float(self.share @ centred**4) / self.rows**3
            return Error(plain, third, fourth - plain**2 / self.rows, int(self.rows), False)
        found = between(self.residual @ weights)
        return found if found.variance > plain else replace(found, variance=plain)

    def jackknife(self, of: Callable[[Floats], Floats]) -> Error | None:
        """Error of a function of the shares from leaving out one group at a time (Efron and Stein 1981).

        `of` takes (groups, bins) shares and gives (groups,) values. Where groups are few and the function bends, this
        is larger than what its slope says. None for independent rows.
        """
        if self.residual is None or self.size is None:
            return None
        values = of(np.maximum(0.0, self.share - self.residual / (1 - self.size)[:, None]))
        return between((values.mean() - values) * (len(values) - 1) / len(values))

    def limits(self, level: float, other: Shares | None = None) -> tuple[Floats, Floats]:
        """(bins,) lower and upper limits of each share, each at one-sided `level`.

        Clopper and Pearson's with the effective number of rows of each bin (Korn and Graubard 1998, Survey Methodology
        24). A bin that no group holds says nothing of its design effect: that of the `other` table is taken, and where
        that holds none either, a group counts as one row.
        """
        if level <= 0.5:
            return self.share, self.share
        rows = np.full(len(self.share), self.rows)
        if self.residual is not None:
            effect = self._effects()
            if other is not None and other.residual is not None:
                effect = np.where(np.isnan(effect), other._effects(), effect)
            groups = len(self.residual)
            widen = (float(special.stdtrit(groups - 1, level)) / float(special.ndtri(level))) ** 2
            rows = np.where(np.isnan(effect), groups, rows / np.maximum(1.0, effect * widen))
        hits = self.share * rows
        some, short = hits > 0, hits < rows
        low = np.where(some, special.betaincinv(np.where(some, hits, 1.0), rows - hits + 1, 1 - level), 0.0)
        high = np.where(short, special.betaincinv(hits + 1, np.where(short, rows - hits, 1.0), level), 1.0)
        return low, high

    def _effects(self) -> Floats:
        plain = self.share * (1 - self.share) / self.rows
        effects: Floats = np.divide(self.variance, plain, out=np.full(len(plain), np.nan), where=plain > 0)
        return effects


LARGE = 1e6
"""Beyond this a noncentral chi-square is, to three digits, the square of a normal variable."""


def between(sums: Floats) -> Error:
    """Of a number of which each group has this part in the error."""
    groups, square = len(sums), np.square(sums)
    total = float(square.sum())
    spread = float(np.square(square).sum()) - total**2 / groups
    return Error(groups / (groups - 1) * total, float((square * sums).sum()), spread, groups, True)


def solve(probability: float, statistic: float, freedom: float) -> float:
    """Return the noncentrality at which a chi-square with `freedom` degrees lies below `statistic` with this
    probability.

    `probability` = level gives a lower bound, 1 - level an upper one, 0.5 an estimate without bias in the median; 0
    where even no noncentrality makes the statistic that small so seldom.
    """
    if statistic <= 0 or special.chndtr(statistic, freedom, 0.0) <= probability:
        return 0.0
    if statistic > LARGE:
        return max(0.0, math.sqrt(statistic) - float(special.ndtri(probability))) ** 2
    low, high = 0.0, statistic + 4 * math.sqrt(statistic) + 10
    while special.chndtr(statistic, freedom, high) > probability:
        low, high = high, 2 * high
    while high - low > 1e-9 * (1 + high):
        middle = (low + high) / 2
        if special.chndtr(statistic, freedom, middle) > probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2
