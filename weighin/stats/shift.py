"""Shift of a mean, in standard deviations of the reference, and of a share."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import special

from weighin.stats.drift import Distance
from weighin.stats.intervals import ATTENUATION, MIN_GROUPS, Floats, Undefined
from weighin.stats.shares import Counts, Error, Shares, between, solve

SKEWNESS = 2.0
"""Of an exponential variable. Without room for it, a shift at the limit passed in 7.5 % of draws of 100 such rows."""


def mean_shift(
    reference: Floats, current: Floats, level: float, reference_groups: bool = False, current_groups: bool = False
) -> Distance:
    """Absolute difference of the means over the standard deviation of the reference (Glass 1976).

    reference, current  (3,) rows, sum, sum of squares; or (groups, 3) with `..._groups`. The caller takes a constant
                        near the middle of the reference off every value first: sums of squares of large numbers cancel
    level               one-sided confidence of each bound

    0 or more, in standard deviations. The error of the reference's standard deviation counts: by group from the data,
    for independent rows as a normal variable has it. How skewed independent rows are three sums do not tell, so both
    bounds have room for the skewness of an exponential variable. Errors: `Undefined` with fewer than two rows, fewer
    groups than `MIN_GROUPS`, a standard deviation of zero, or sums that are not finite.

    >>> shift = mean_shift(np.array([1e6, 0.0, 1e6]), np.array([400.0, 40.0, 404.0]), 0.95)
    >>> round(shift.estimate, 3), round(shift.low, 3), round(shift.high, 3)
    (0.1, 0.0, 0.188)
    """
    before, after = _Moments.of(reference, reference_groups), _Moments.of(current, current_groups)
    if before.variance <= 1e-12 * before.second:
        raise Undefined("the reference has a standard deviation of zero")
    deviation = math.sqrt(before.variance)
    shift = (after.mean - before.mean) / deviation
    error = after.error(1 / deviation, 0.0) + before.error(-1 / deviation, shift)
    standard = math.sqrt(error.variance)
    plain = after.variance / after.rows / before.variance
    effect = max(1.0, after.error(1 / deviation, 0.0).variance / plain) if plain > 0 and current_groups else 1.0

    def reach(at: float) -> tuple[float, float]:
        """Of the low and the high bound of the distance: those of the shift, by its sign."""
        down, up = error.reach(at)
        if not (reference_groups and current_groups):
            down = up = max(down, up)
        return (down, up) if shift >= 0 else (up, down)

    def lower(at: float) -> float:
        probability = float(special.ndtr(reach(at)[0]))
        return standard * math.sqrt(solve(probability, (shift / standard) ** 2, 1.0))

    high = abs(shift) + reach(level)[1] * standard
    return Distance(abs(shift), lower(level), high, level, after.units, 1, effect, abs(shift), lower)


def share_shift(
    reference: Counts, current: Counts, level: float, reference_groups: bool = False, current_groups: bool = False
) -> Distance:
    """Absolute difference of a share, such as that of missing values.

    reference, current  (2,) rows, rows with the property; or (groups, 2) with `..._groups`
    level               one-sided confidence of each bound

    Between 0 and 1. Each share has Clopper and Pearson's limits, for groups with an effective number of rows (Korn and
    Graubard 1998), and both are joined by MOVER (Newcombe 1998, method 10). Errors: `Undefined` for an empty table,
    more hits than rows, or too few groups.

    >>> found = share_shift(np.array([1e6, 0.0]), np.array([59.0, 0.0]), 0.95)
    >>> found.low, round(found.high, 4)
    (0.0, 0.0495)
    """
    before, after = _split(reference, reference_groups), _split(current, current_groups)
    p, q = float(before.share[1]), float(after.share[1])
    shift = q - p
    standard = math.sqrt(float(before.variance[1] + after.variance[1]))

    def bounds(at: float) -> tuple[float, float]:
        (p_low, p_high), (q_low, q_high) = (
            (float(low[1]), float(high[1])) for low, high in (before.limits(at, after), after.limits(at, before))
        )
        return shift - math.hypot(q - q_low, p_high - p), shift + math.hypot(q_high - q, p - p_low)

    def lower(at: float) -> float:
        if at > 0.5 and standard:
            # Noise of either sign looks like a shift: the level at which a folded normal variable is judged.
            z = abs(shift) / standard
            at = float(special.ndtr(z - math.sqrt(solve(at, z * z, 1.0))))
        low, high = bounds(at)
        return max(0.0, low if shift >= 0 else -high)

    low, high = bounds(level)
    bound = max(abs(low), abs(high))
    return Distance(abs(shift), lower(level), min(1.0, bound), level, after.units, 2, after.effect(), abs(shift), lower)


def _split(table: Counts, grouped: bool) -> Shares:
    """Rows without and with the property."""
    table = np.atleast_2d(np.asarray(table, dtype=np.float64))
    return Shares.of(np.column_stack([table[:, 0] - table[:, 1], table[:, 1]]), grouped)


class _Moments:
    """Rows, sum and sum of squares of one table, of all rows and by group."""

    def __init__(self, table: Floats, grouped: bool) -> None:
        self.table, self.grouped = table, grouped
        self.rows, total, squares = (float(v) for v in table.sum(axis=0))
        self.mean, self.second = total / self.rows, squares / self.rows
        self.variance = max(0.0, (squares - self.rows * self.mean**2) / (self.rows - 1))
        self.units = len(table) if grouped else int(self.rows)

    @staticmethod
    def of(table: Floats, grouped: bool) -> _Moments:
        table = np.atleast_2d(np.asarray(table, dtype=np.float64))
        table = table[table[:, 0] > 0]
        if not np.isfinite(table).all():
            raise Undefined("sums that are not finite")
        if table[:, 0].sum() < 2:
            raise Undefined("fewer than two rows: no standard deviation")
        if grouped and len(table) < MIN_GROUPS:
            raise Undefined(f"{len(table)} groups, at least {MIN_GROUPS} are needed")
        return _Moments(table, grouped)

    def error(self, factor: float, shift: float) -> Error:
        """Of the mean times `factor`, and of the standard deviation where a `shift` is measured in it."""
        plain = self.variance * factor**2 / self.rows + shift**2 / (2 * self.rows)
        if not self.grouped:
            third = SKEWNESS / ATTENUATION * plain**1.5 / math.sqrt(self.rows)
            return Error(plain, third, 2 * plain**2 / (self.rows - 1), int(self.rows), True)
        rows, sums, squares = self.table.T
        influence = factor * (sums - rows * self.mean)
        if shift:
            around = squares - 2 * self.mean * sums + rows * (self.mean**2 - self.variance)
            influence = influence - shift / 2 * around / self.variance
        found = between(influence / self.rows)
        return found if found.variance > plain else replace(found, variance=plain)
