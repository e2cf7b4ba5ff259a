"""Which rows of a table to label, in which order, and what the labels of the first n say of two models.

Rows on which both models decide the same are known to count nothing in the difference of their accuracies. With a
share D of rows that they decide differently, the difference is D times the mean of d among those rows, where d is 1 if
the candidate alone is right, -1 if the champion alone is, and 0 if neither is. D is counted on all rows of the table;
the mean of d needs labels of a random sample of those rows alone.

Rows of the table are independent draws from the population that the statement is about, as everywhere in this package.
In a random order any first n of the rows that are decided differently are then n independent draws of d, so that
`weighin.stats.anytime` bounds their mean at every n at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from weighin.stats.anytime import mean_of_signs
from weighin.stats.intervals import Codes, Floats, Interval, Undefined, clopper_pearson
from weighin.stats.scored import Bools

Design = Literal["disagreement", "stratified", "random"]
"""Which rows are drawn: those decided differently, those and some of the others, or any."""
OF_THE_RATE = 0.05
"""Part of alpha that bounds the share of rows that are decided differently; the rest bounds what their labels say."""


@dataclass(frozen=True)
class Pool:
    """A table whose rows may be labelled, and how they are drawn.

    design     see `Design`
    rows       of the table
    differ     rows that candidate and champion decide differently
    same_share of the draws of `stratified` that are rows decided the same
    tightest   labels at which the interval is tightest, fixed before the first label
    """

    design: Design
    rows: int
    differ: int
    same_share: float
    tightest: int

    def inclusion(self, n: int) -> tuple[float, float]:
        """Return the probabilities that a row decided differently, or the same, is among the first `n` draws."""
        if self.design == "random":
            return n / self.rows, n / self.rows
        if self.design == "disagreement":
            return n / self.differ, 0.0
        same = int(_is_same(np.arange(n), self).sum())
        return (n - same) / max(1, self.differ), same / max(1, self.rows - self.differ)


def order(pool: Pool, differ: Bools, seed: int) -> Codes:
    """Return the numbers of the rows to label, in the order of their draws; shape (draws,).

    differ  (rows,) which rows both models decide differently
    seed    of the permutations; the same seed gives the same order
    `random` and `stratified` draw every row in the end, `disagreement` every row that is decided differently.
    """
    random = np.random.default_rng(seed)
    if pool.design == "random":
        return random.permutation(pool.rows)
    first = random.permutation(np.flatnonzero(differ))
    if pool.design == "disagreement":
        return first
    other = random.permutation(np.flatnonzero(~differ))
    is_same = _is_same(np.arange(pool.rows), pool)
    found = np.empty(pool.rows, dtype=np.int64)
    found[is_same], found[~is_same] = other, first
    return found


def _is_same(draws: Codes, pool: Pool) -> Bools:
    """(n,) which of these draws of the stratified design are rows that both models decide the same.

    Every so-many-th draw is, until one of the two kinds has no rows left.
    """
    before, after = np.floor(draws * pool.same_share), np.floor((draws + 1) * pool.same_share)
    # Of the first n draws floor(n * share) are of rows decided the same, within what there is of either.
    same = pool.rows - pool.differ
    least, most = draws - pool.differ, np.minimum(draws, same)
    least_after, most_after = draws + 1 - pool.differ, np.minimum(draws + 1, same)
    return np.asarray(np.clip(after, least_after, most_after) > np.clip(before, least, most))


def weights(pool: Pool, differ: Bools) -> Floats:
    """Return (n,) inverse inclusion probabilities of labelled rows, of which `differ` says the stratum.

    Errors: `Undefined` where a stratum of the table has no label.
    """
    labelled = int(differ.sum())
    other, same = len(differ) - labelled, pool.rows - pool.differ
    if (pool.differ and not labelled) or (same and not other):
        which = "differently" if pool.differ and not labelled else "the same"
        raise Undefined(f"no label yet of a row that both models decide {which}")
    return np.where(differ, pool.differ / max(1, labelled), same / max(1, other)).astype(np.float64)


def difference(pool: Pool, ours: Bools, theirs: Bools, differ: Bools, alpha: float) -> Interval:
    """Return candidate's minus champion's accuracy, from the labels of the first n draws; holds at every n at once.

    ours, theirs  (n,) whether the candidate, and the champion, decided a labelled row rightly
    differ        (n,) whether they decided it differently
    alpha         one-sided error of each bound, over all n together
    Of `random`, all draws are values of d. Of the others, the rows decided differently are, and the mean of those is
    multiplied by the share of such rows, which has an exact interval of its own (Clopper and Pearson 1934) at a
    twentieth of alpha: whatever sign the true difference has, each bound rests on one end of that interval.
    Errors: `Undefined` without a label of a row that counts.
    """
    known = np.ones(len(ours), dtype=bool) if pool.design == "random" else differ
    d = ours[known].astype(np.int64) - theirs[known].astype(np.int64)
    wins, losses = int((d > 0).sum()), int((d < 0).sum())
    ties = len(d) - wins - losses
    if not len(d):
        raise Undefined("no label yet of a row that both models decide differently")
    if pool.design == "random":
        # The variance of d is about the share of such rows, which is known before the first label.
        variance = max(pool.differ, 1) / pool.rows
        return mean_of_signs(wins, ties, losses, alpha, pool.tightest, variance)
    rate = clopper_pearson(pool.differ, pool.rows, 1 - OF_THE_RATE * alpha)
    mean = mean_of_signs(wins, ties, losses, (1 - OF_THE_RATE) * alpha, pool.tightest)
    low = mean.low * (rate.low if mean.low > 0 else rate.high)
    high = mean.high * (rate.high if mean.high > 0 else rate.low)
    share = rate.estimate

    def p(limit: float, upper: bool) -> float:
        # The end of the rate's interval that makes the hypothesis on the mean hardest to refuse.
        end = rate.low if (limit > 0) == upper else rate.high
        at = limit / end if end > 0 else math.copysign(math.inf, limit)
        if abs(at) >= 1:
            surely = (at < 0) == upper
            return OF_THE_RATE * alpha if surely else 1.0
        return min(1.0, max(test(at, upper) for test in mean.tests) + OF_THE_RATE * alpha)

    method = "share of rows decided differently, times a mixture of bets on their labels, anytime-valid"
    return Interval(share * mean.estimate, low, high, 1 - alpha, len(d), share * mean.standard_error, method, (p,))


def labels_needed(differ: int, rows: int, margin: float, alpha: float) -> int:
    """Return about how many labels of rows decided differently settle a comparison of equal models.

    margin  by which the candidate may be worse; 0 has no such number, and gives that of a margin of a fifth of the rate
    """
    share = differ / rows
    if share == 0:
        return 1
    at = min(1.0, margin / share) if margin > 0 else 0.2
    low, high = 1, 10_000_000
    while low < high:
        middle = (low + high) // 2
        half = -mean_of_signs(middle // 2, middle % 2, middle // 2, (1 - OF_THE_RATE) * alpha, middle).low
        low, high = (low, middle) if half < at else (middle + 1, high)
    return low
