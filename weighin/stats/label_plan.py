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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from weighin.stats.anytime import least_share, mean_of_signs
from weighin.stats.intervals import MIN_CARRIERS, Codes, Floats, Interval, Undefined, clopper_pearson
from weighin.stats.scored import MIN_RARER, Bools

Design = Literal["disagreement", "stratified", "random"]
"""Which rows are drawn: those decided differently, those and some of the others, or any."""
OF_THE_RATE = 0.05
"""Part of alpha that bounds the share of rows that are decided differently; the rest bounds what their labels say."""
LEAST_P = 1e-12
"""P-values below this are given as this."""
ROUNDING = 1e-9
"""Variation of influence values within a stratum below this share of the largest of all is rounding."""


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
    seed    of the permutation; the same seed gives the same order
    There is one permutation of all rows, whatever the models decide, and each design takes the rows that it draws in
    that order: a decision that changes moves one row, and leaves the order of all others.
    `random` and `stratified` draw every row in the end, `disagreement` every row that is decided differently.
    """
    every = np.random.default_rng(seed).permutation(pool.rows)
    if pool.design == "random":
        return every
    first, other = every[differ[every]], every[~differ[every]]
    if pool.design == "disagreement":
        return first
    is_same = _is_same(np.arange(pool.rows), pool)
    found = np.empty(pool.rows, dtype=np.int64)
    found[is_same], found[~is_same] = other, first
    return found


def _is_same(draws: Codes, pool: Pool) -> Bools:
    """(n,) which of these draws of the stratified design are rows that both models decide the same.

    Every so-many-th draw is, until one of the two kinds has no rows left.
    """

    def same_of(first: Codes) -> Floats:
        # Of so many first draws this share, within what there is of either kind.
        return np.asarray(np.clip(np.floor(first * pool.same_share), first - pool.differ, pool.rows - pool.differ))

    return np.asarray(same_of(draws + 1) > same_of(draws))


def weights(pool: Pool, differ: Bools) -> Floats:
    """Return (n,) inverse inclusion probabilities of labelled rows, of which `differ` says the stratum.

    Errors: `Undefined` where a stratum of the table has no label.
    """
    labelled = int(differ.sum())
    other, same = len(differ) - labelled, pool.rows - pool.differ
    if (pool.differ and not labelled) or (same and not other):
        which = "differently" if pool.differ and not labelled else "the same"
        raise Undefined(f"no label yet of a row that both models decide {which}")
    return np.where(differ, pool.differ / max(1, labelled), same / max(1, other))


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
        def excluded(a: float) -> bool:
            # The end of the rate's interval that makes the hypothesis on the mean hardest to refuse.
            ends = clopper_pearson(pool.differ, pool.rows, 1 - OF_THE_RATE * a)
            end = ends.low if (limit > 0) == upper else ends.high
            once = mean.p(limit / end, upper)
            return once is not None and once <= (1 - OF_THE_RATE) * a

        return _least(excluded)

    method = "share of rows decided differently, times a mixture of bets on their labels, anytime-valid"
    return Interval(share * mean.estimate, low, high, 1 - alpha, len(d), share * mean.standard_error, method, (p,))


def accuracy(pool: Pool, right: Bools, differ: Bools, alpha: float) -> Interval:
    """Return the accuracy of one model on all rows, from the labels of the first n draws of `stratified`.

    right   (n,) whether it decided a labelled row rightly
    differ  (n,) whether candidate and champion decided it differently
    alpha   one-sided error of each bound, over all n together
    It is D a + (1 - D) b, with a share D of rows decided differently, of which a share a is decided rightly, and b of
    the others. Each of the three has exact bounds of its own: D at a twentieth of alpha, a and b at half of the rest.
    Whichever of a and b is larger in truth, one end of D's interval is the one that a bound rests on, so that the three
    errors add up to alpha; that it is not known which is why the worse of both ends is taken.
    Errors: `Undefined` where a stratum of the table has no label.
    """
    weights(pool, differ)
    counts = [(int(right[of].sum()), int(of.sum())) for of in (differ, ~differ)]

    def low_of(successes: tuple[int, int], a: float) -> float:
        each = (1 - OF_THE_RATE) * a / 2
        # Of a kind of rows that the table has none of, nothing is known.
        one, other = (least_share(k, n, each) if n else 0.0 for k, (_, n) in zip(successes, counts, strict=True))
        ends = clopper_pearson(pool.differ, pool.rows, 1 - OF_THE_RATE * a)
        return min(d * one + (1 - d) * other for d in (ends.low, ends.high))

    def bound(a: float, upper: bool) -> float:
        if upper:
            return low_of((counts[0][0], counts[1][0]), a)
        return 1 - low_of((counts[0][1] - counts[0][0], counts[1][1] - counts[1][0]), a)

    rate = pool.differ / pool.rows
    one, other = (hits / n if n else 0.0 for hits, n in counts)
    variances = [of * (1 - of) / n if n else 0.0 for of, (_, n) in zip((one, other), counts, strict=True)]
    variance = (
        rate**2 * variances[0] + (1 - rate) ** 2 * variances[1] + (one - other) ** 2 * rate * (1 - rate) / pool.rows
    )
    low, high = bound(alpha, True), bound(alpha, False)

    def p(limit: float, upper: bool) -> float:
        return _least(lambda a: bound(a, upper) > limit if upper else bound(a, upper) < limit)

    method = "shares of rows decided differently and the same, each by a mixture of likelihood ratios, anytime-valid"
    estimate = rate * one + (1 - rate) * other
    return Interval(estimate, low, high, 1 - alpha, len(right), math.sqrt(variance), method, (p,))


def _least(excluded: Callable[[float], bool]) -> float:
    """Return the least error at which an interval excludes a limit: its p-value, as intervals hold each other."""
    if not excluded(1.0):
        return 1.0
    low, high = math.log(LEAST_P), 0.0
    for _ in range(22):
        middle = (low + high) / 2
        low, high = (low, middle) if excluded(math.exp(middle)) else (middle, high)
    return math.exp(high)


def must_have_labels(differ: Bools) -> None:
    """Errors: `Undefined` with fewer labels of rows decided differently, or the same, than an interval is made of.

    differ  (n,) which labelled rows of a part candidate and champion decide differently
    """
    for count, said in ((int(differ.sum()), "differently"), (int((~differ).sum()), "the same")):
        if count < MIN_RARER:
            raise Undefined(f"{count} labels of rows that both models decide {said}, at least {MIN_RARER} are needed")


def must_be_carried(values: Floats, others: Floats, differ: Bools, *, known: bool = False) -> None:
    """Errors: `Undefined` where the labels of a stratum show too little of what may be among its rows.

    values  (n,) influence values of the labelled rows of a part, each for a row of weight one
    others  (labels, n) what they would be if the row had another label than it has
    differ  (n,) which of them candidate and champion decide differently
    known   rows decided the same are known to count nothing, so that nothing of theirs is estimated
    A label of a row decided the same may stand for hundreds of rows. Where 20 such labels are all right, their part of
    the variance is estimated as about zero, and the wrong ones among those hundreds are missed. So in each stratum the
    values must vary as if `MIN_CARRIERS` rows carried that, by (sum of squares)^2 / (sum of fourth powers), and as much
    as so many rows with another label would make them: about ten wrong rows, where few are wrong. What is unseen by
    chance is then small beside the interval.
    """
    scale = float(np.abs(values).max(initial=0.0))
    for stratum, said in ((differ, "differently"), *(() if known else ((~differ, "the same"),))):
        middle = values[stratum].mean() if stratum.any() else 0.0
        own = values[stratum] - middle
        square = np.square(np.where(np.abs(own) > ROUNDING * scale, own, 0.0))
        other = np.square(others[:, stratum] - middle).max(axis=0, initial=0.0)
        total, fourth = float(square.sum()), float(np.square(square).sum())
        carriers = total**2 / fourth if fourth > 0 else 0.0
        if carriers > 0 and other.mean() > 0:
            carriers = min(carriers, total / float(other.mean()))
        if not carriers >= MIN_CARRIERS:
            raise Undefined(
                f"too few of the labelled rows that both models decide {said} carry what varies among them, as if "
                f"there were {carriers:.0f} and not {MIN_CARRIERS:.0f}: more labels are needed"
            )


def labels_needed(differ: int, rows: int, margin: float, alpha: float) -> int:
    """Return about how many labels of rows decided differently settle a comparison of equal models.

    margin  by which the candidate may be worse; 0 has no such number, and gives that of a margin of a fifth of the rate
    """
    share = differ / rows
    if share == 0:
        return 1
    at = margin / share if margin > 0 else 0.2
    low, high = 1, 10_000_000
    while low < high:
        middle = (low + high) // 2
        half = -mean_of_signs(middle // 2, middle % 2, middle // 2, (1 - OF_THE_RATE) * alpha, middle).low
        low, high = (low, middle) if half < at else (middle + 1, high)
    return low
