"""Rows of one model as a metric sees them, and what a metric is: an estimate with one influence value per row."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from weighin.stats.intervals import ROUNDING, Codes, Floats, Undefined
from weighin.stats.prediction_powered import prediction_powered

Task = Literal["binary", "multiclass", "regression", "text", "ranking", "forecast"]
Uses = Literal["decision", "rank", "probability", "value", "text", "interval"]
"""What of a prediction a metric takes: what it decides, how it ranks, that it is a probability, its value, its text, or
the bounds of an interval."""
Bools = NDArray[np.bool_]
RowScores = Callable[[str], Floats]
"""Name of a score -> (n,) its value for each row."""
MIN_RARER = 20
"""Fewer rows of the rarer class than this: every interval here is an approximation that is not to be trusted."""


@dataclass(frozen=True)
class Scored:
    """Rows of one model as a metric sees them.

    truth      (n,) booleans (binary), codes 0..k-1 (multiclass), numbers (regression) or texts
    score      (n,) probabilities, predictions or texts; (n, k) probabilities for multiclass; (n, 2) for intervals
    weight     (n,) positive, or None for equal weights
    threshold  a binary prediction counts as positive at or above it
    row_scores what of answers that are no numbers a metric is the mean of; None where answers are numbers
    unit       (n,) codes of the queries of a ranking
    scale      (n,) what errors of a forecast are divided by
    """

    truth: NDArray[Any]
    score: Floats
    weight: Floats | None = None
    threshold: float = 0.5
    row_scores: RowScores | None = None
    unit: Codes | None = None
    scale: Floats | None = None

    @cached_property
    def share(self) -> Floats:
        """(n,) weights that sum to one."""
        n = len(self.truth)
        return np.full(n, 1 / n) if self.weight is None else self.weight / self.weight.sum()

    @cached_property
    def decision(self) -> NDArray[np.bool_ | np.int64]:
        """(n,) what the model decides: positive or not, or the code of the most probable class (ties: the first)."""
        if self.score.ndim == 2:
            return np.asarray(self.score.argmax(axis=1), dtype=np.int64)
        return np.asarray(self.score >= self.threshold)

    @cached_property
    def error(self) -> Floats:
        """(n,) prediction minus truth, of a regression."""
        return np.asarray(self.score - self.truth, dtype=np.float64)

    def same_as(self, other: Scored, uses: Uses) -> bool:
        """Whether two models say the same of these rows, if in other digits; equal mistakes are no such proof.

        uses  what of the answers a metric looks at: for `rank` the same order is the same, as after a calibration
        """
        one, two = self.score, other.score
        if self.threshold != other.threshold or one.shape != two.shape:
            return False
        if uses == "rank":
            return np.array_equal(self._ranks(), other._ranks())
        if one.dtype.kind != "f":
            return np.array_equal(one, two)
        return bool(np.all(np.abs(one - two) <= ROUNDING * (np.abs(one) + np.abs(two))))

    def _ranks(self) -> Codes:
        """(k, n) place of each row's score, of each of k classes, within its query; equal scores share one."""
        unit = np.zeros(len(self.score), dtype=np.int64) if self.unit is None else self.unit
        columns = self.score[None] if self.score.ndim == 1 else self.score.T
        return np.array([np.unique(np.column_stack([unit, c]), axis=0, return_inverse=True)[1] for c in columns])

    def rows(self, keep: Bools | Codes) -> Scored:
        """Return some of the rows, by a mask or by their numbers; a row may be taken more than once."""
        weight, named = None if self.weight is None else self.weight[keep], self.row_scores
        of_rows: RowScores | None = None if named is None else lambda name: named(name)[keep]
        unit = None if self.unit is None else self.unit[keep]
        scale = None if self.scale is None else self.scale[keep]
        return Scored(self.truth[keep], self.score[keep], weight, self.threshold, of_rows, unit, scale)


@dataclass(frozen=True)
class Influence:
    """A metric's value and what each row contributes to its error; `values` has shape (n,)."""

    estimate: float
    values: Floats

    def minus(self, other: Influence, factor: float = 1.0) -> Influence:
        """Return the paired contrast `self - factor * other`: the same rows, in the same order, judged for both."""
        return Influence(self.estimate - factor * other.estimate, self.values - factor * other.values)


@dataclass(frozen=True)
class Metric:
    """One metric: its function, its unit, which way it improves, the tasks it is for.

    kind  how its interval is made: `share` and `table` from counts where rows are independent and unweighted,
          `median` from order statistics there; `sum` always from influence values
    range between the least and the largest value that a row of a score can have; infinite where there is no largest
    row   (n,) values of which the metric is the weighted mean, where it is one that rows have by themselves
    """

    of: Callable[[Scored], Influence]
    unit: str
    tasks: tuple[Task, ...]
    lower_is_better: bool = False
    kind: Literal["sum", "share", "table", "median"] = "sum"
    uses: Uses = "value"
    range: float = math.inf
    row: Callable[[Scored], Floats] | None = None


def average(values: Floats, rows: Scored) -> Influence:
    """Return the weighted mean of (n,) values."""
    enough(len(values))
    value = float((rows.share * values).sum())
    return Influence(value, rows.share * (values - value))


def ratio_of_sums(above: Floats, below: Floats, rows: Scored) -> Influence:
    """Return the weighted sum of (n,) values over that of others, which is not zero."""
    enough(len(above))
    total = float((rows.share * below).sum())
    value = float((rows.share * above).sum()) / total
    return Influence(value, rows.share * (above - value * below) / total)


def enough(n: int) -> None:
    """Errors: `Undefined` where there are fewer than `MIN_RARER` rows."""
    if n < MIN_RARER:
        raise Undefined(f"{n} rows, at least {MIN_RARER} are needed")


HUMAN = "/human"
"""Ends the name of what people say of some rows, NaN for the others."""


def row_score(
    name: str,
    unit: str,
    *,
    lower_is_better: bool = False,
    counted: bool = False,
    range: float = math.inf,
    human: bool = False,
) -> Metric:
    """Return the mean of a score of each answer as a metric.

    counted  whether each row is 0 or 1, so that the mean is a share
    range    between the least and the largest value of a row
    human    whether people have scored some rows too: the mean is then that of what they would say of all
    """

    def mean(rows: Scored) -> Influence:
        if rows.row_scores is None:
            raise TypeError(f"{name} is a score of answers that are no numbers")
        if not human:
            return average(rows.row_scores(name), rows)
        return Influence(*prediction_powered(rows.row_scores(name), rows.row_scores(name + HUMAN), rows.share))

    kind: Literal["share", "sum"] = "share" if counted else "sum"
    return Metric(mean, unit, ("text",), lower_is_better, kind, "text", 1.0 if counted else range)
