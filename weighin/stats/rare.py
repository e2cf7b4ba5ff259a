"""Bounds for drift into or out of one bin that holds few rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from weighin.stats.intervals import Floats
from weighin.stats.shares import Shares

FEW = 30.0
"""A bin that is expected to hold fewer (effective) rows than this, or holds fewer, is rare. Without its exact limits
drift into it passes at the limit in 7 to 13 % of draws where 1 to 3 rows are expected; of many bins in 5 % from 10 rows
on, of two with PSI in 6 % up to 25."""


@dataclass(frozen=True)
class RareBins:
    """What exact limits of the shares of rare bins say of a distance.

    reference, current  the two tables
    p, q                (bins,) their shares, filled as the distance demands
    cell                (p, q) -> each bin's part of the distance
    empty               rows that an empty bin counts as

    Counts in such a bin are near a Poisson variable, too skewed for any sum of squares. Its share gets exact limits,
    and the distance of "in this bin" against "in any other" is put through them, those of both tables joined by MOVER
    (Zou and Donner 2008, Statistics in Medicine 27). A distance of coarser bins is never above that of finer ones.
    """

    reference: Shares
    current: Shares
    p: Floats
    q: Floats
    cell: Callable[[Floats, Floats], Floats]
    empty: float

    def highest(self, level: float) -> float:
        """Return the largest distance that drift into or out of a single rare bin may have."""
        return float(np.max(self._moved(level, away=True), initial=0.0))

    def fall(self, level: float) -> float:
        """Return the most by which a single rare bin may have raised the estimate."""
        return float(np.max(self._moved(level, away=False), initial=0.0))

    def _split(self, p: Floats, q: Floats) -> Floats:
        return self.cell(p, q) + self.cell(1 - p, 1 - q)

    def _moved(self, level: float, *, away: bool) -> Floats:
        p, q, split = self.p, self.q, self._split
        rows = min(table.rows / table.effect() for table in (self.reference, self.current))
        few = np.minimum(p, q) * rows < FEW
        if not few.any():
            return np.empty(0)
        p_low, p_high = self._limits(self.reference, self.current, p, level)
        if self.empty:
            # What an empty bin of the reference counts as is a rule, and no estimate.
            p_high = np.where(self.reference.counts == 0, p, p_high)
        q_low, q_high = self._limits(self.current, self.reference, q, level)
        value = split(p, q)
        if away:
            gain = value + np.hypot(split(p, q_high) - value, split(p_low, q) - value)
            loss = value + np.hypot(split(p, q_low) - value, split(p_high, q) - value)
            # What looks like a gain may truly be a loss.
            gain = np.maximum(gain, np.maximum(split(p, np.minimum(q_low, p)), split(np.maximum(p_high, q), q)))
            loss = np.maximum(loss, np.maximum(split(p, np.maximum(q_high, p)), split(np.minimum(p_low, q), q)))
        else:
            gain = np.hypot(value - split(p, np.maximum(q_low, p)), value - split(np.minimum(p_high, q), q))
            loss = np.hypot(value - split(p, np.minimum(q_high, p)), value - split(np.maximum(p_low, q), q))
        return np.where(q > p, gain, np.where(q < p, loss, np.maximum(gain, loss)))[few]

    def _limits(self, table: Shares, other: Shares, share: Floats, level: float) -> tuple[Floats, Floats]:
        """Around the filled share, and no lower than an empty bin counts."""
        low, high = table.limits(level, other)
        least = np.minimum(share, self.empty / table.rows)
        return np.clip(low, least, share), np.clip(high, share, 1 - least)
