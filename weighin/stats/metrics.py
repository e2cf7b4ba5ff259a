"""Metrics of a binary model as an estimate with one influence value per row.

The difference of two models on the same rows is the difference of estimates and of influence values, which makes every
comparison a paired one, by rows or by groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from weighin.stats.intervals import Floats, Undefined

MIN_RARER = 20
"""Fewer rows of the rarer class than this: every interval here is an approximation that is not to be trusted."""


@dataclass(frozen=True)
class Influence:
    """A metric's value and what each row contributes to its error; `values` has shape (n,)."""

    estimate: float
    values: Floats

    def minus(self, other: Influence) -> Influence:
        """The paired difference: the same rows, in the same order, judged for both."""
        return Influence(self.estimate - other.estimate, self.values - other.values)


def roc_auc(truth: NDArray[np.bool_], score: Floats, threshold: float) -> Influence:
    """Area under the ROC curve, ties counted half, in [0, 1].

    Structural components of DeLong, DeLong and Clarke-Pearson (1988), by midranks as in Sun and Xu (2014):
    O(n log n). `threshold` is not used.
    """
    positives, negatives = _classes(truth)
    ranks = rankdata(score)
    within = np.empty_like(ranks)
    within[truth] = rankdata(score[truth])
    within[~truth] = rankdata(score[~truth])
    # Of a positive row: the share of negatives below it. Of a negative row: the share of positives above it.
    placement = np.where(truth, (ranks - within) / negatives, 1 - (ranks - within) / positives)
    value = float(placement[truth].mean())
    return Influence(value, (placement - value) / np.where(truth, positives, negatives))


def log_loss(truth: NDArray[np.bool_], score: Floats, threshold: float) -> Influence:
    """Mean negative log likelihood, in nats, 0 or more. Probabilities are clipped at 1e-15 as scikit-learn does."""
    _classes(truth)
    p = np.clip(score, 1e-15, 1 - 1e-15)
    loss = -np.where(truth, np.log(p), np.log1p(-p))
    value = float(loss.mean())
    return Influence(value, (loss - value) / len(loss))


def precision(truth: NDArray[np.bool_], score: Floats, threshold: float) -> Influence:
    """Share of rows predicted positive (score at or above `threshold`) that are positive, in [0, 1]."""
    _classes(truth)
    return _ratio(truth & (score >= threshold), score >= threshold, "predicted positive")


def recall(truth: NDArray[np.bool_], score: Floats, threshold: float) -> Influence:
    """Share of positive rows that are predicted positive (score at or above `threshold`), in [0, 1]."""
    _classes(truth)
    return _ratio(truth & (score >= threshold), truth, "positive")


METRICS: dict[str, Callable[[NDArray[np.bool_], Floats, float], Influence]] = {
    "roc_auc": roc_auc,
    "log_loss": log_loss,
    "precision": precision,
    "recall": recall,
}
LOWER_IS_BETTER = frozenset({"log_loss"})
UNITS = {"roc_auc": "AUC", "log_loss": "nats", "precision": "share", "recall": "share"}


def _classes(truth: NDArray[np.bool_]) -> tuple[int, int]:
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if min(positives, negatives) == 0:
        raise Undefined(f"all {len(truth)} labels are equal")
    if min(positives, negatives) < MIN_RARER:
        raise Undefined(f"{min(positives, negatives)} rows of the rarer class, at least {MIN_RARER} are needed")
    return positives, negatives


def _ratio(hit: NDArray[np.bool_], base: NDArray[np.bool_], name: str) -> Influence:
    total = int(base.sum())
    if total < MIN_RARER:
        raise Undefined(f"{total} rows {name}, at least {MIN_RARER} are needed")
    value = float(hit.sum()) / total
    return Influence(value, (hit - value * base) / total)
