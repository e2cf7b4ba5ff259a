"""A metric before its labels come: what the predicted probabilities themselves let expect, if they are calibrated.

Known as confidence-based performance estimation. It answers what the metric of these rows will be if each probability
is right, and so sees what changes with the rows: more of the difficult ones, more near the threshold. It cannot see
that the probabilities have become wrong, which is what labels are for: an estimate raises no alarm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from weighin.model.answers import Floats
from weighin.stats.distributions import normal_cdf, normal_quantile, normal_sf
from weighin.stats.intervals import Interval, Undefined
from weighin.stats.metrics import CLIP, METRICS, table_value
from weighin.stats.scored import MIN_RARER

METHOD = "expected from the predicted probabilities, if they are calibrated"
DRAWS = 400
"""Of labels. The standard error, which they are for, is then known to about 4 %."""
CELLS = 2_000_000
"""Labels that are held at once."""


def estimate(metric: str, predictions: Floats, threshold: float, level: float, seed: int = 0) -> Interval:
    """Where the metric of these rows will lie once their labels have come, each bound at one-sided `level`.

    predictions  (n,) probabilities of class 1, in [0, 1]
    threshold    a prediction counts as positive at or above it

    Labels are drawn from the probabilities; mean and standard deviation of the metric over the draws give a normal
    interval, cut off where the metric ends. O(n) for each draw.
    Errors: `Undefined` for a metric that is not estimated, for what is no probability, and where fewer than 20 rows are
    expected of the rarer class, or are predicted positive for a precision.

    >>> found = estimate("accuracy", np.linspace(0.0, 1.0, 2001), 0.5, 0.95)
    >>> round(found.estimate, 2), round(found.low, 2), round(found.high, 2)
    (0.75, 0.74, 0.76)
    """
    if metric not in METRICS or "binary" not in METRICS[metric].tasks or metric == "average_precision":
        raise Undefined(f"no estimate of {metric} from probabilities alone")
    n = len(predictions)
    if not np.all((predictions >= 0) & (predictions <= 1)):
        raise Undefined("no estimate: predictions outside of 0 and 1 are no probabilities")
    rarer = min(float(predictions.sum()), n - float(predictions.sum()))
    if rarer < MIN_RARER:
        raise Undefined(f"no estimate: {rarer:.3g} rows of the rarer class are expected, {MIN_RARER} are needed")
    decided = predictions >= threshold
    if metric == "precision" and int(decided.sum()) < MIN_RARER:
        raise Undefined(f"no estimate: {int(decided.sum())} rows predicted positive, {MIN_RARER} are needed")
    if metric == "roc_auc" and predictions.min() == predictions.max():
        raise Undefined(f"no estimate: all {n} scores are {predictions[0]:g}: a model that ranks nothing")
    found = _drawn(metric, predictions, decided, np.random.default_rng(seed))
    mean, error = float(found.mean()), float(found.std(ddof=1))
    if not np.isfinite(error):
        raise Undefined(f"no estimate: {metric} does not exist for some of the labels that are possible")
    reach = error * normal_quantile(level)
    most = np.inf if metric == "log_loss" else 1.0

    def p(limit: float, upper: bool) -> float:
        z = (mean - limit) / max(error, 1e-300)
        return float(normal_sf(z) if upper else normal_cdf(z))

    return Interval(mean, max(0.0, mean - reach), min(most, mean + reach), level, n, error, METHOD, (p,))


def _drawn(metric: str, predictions: Floats, decided: NDArray[np.bool_], draws: np.random.Generator) -> Floats:
    """(DRAWS,) values of the metric. Each is a function of sums over the rows whose label is 1."""
    from scipy.stats import rankdata  # it takes a second, and most processes need no ranks

    n = len(predictions)
    p = np.clip(predictions, CLIP, 1 - CLIP)
    none = np.zeros(n)
    of_one, of_zero = {
        "roc_auc": (rankdata(predictions), none),
        "log_loss": (-np.log(p), -np.log1p(-p)),
        "brier": (np.square(1 - predictions), np.square(predictions)),
    }.get(metric, (decided.astype(np.float64), none))
    weights = np.column_stack([np.ones(n), of_one - of_zero])
    sums = np.empty((DRAWS, 2))
    step = max(1, CELLS // n)
    for first in range(0, DRAWS, step):
        size = min(step, DRAWS - first)
        sums[first : first + size] = (draws.random((size, n)) < predictions).astype(np.float64) @ weights
    ones, total = sums[:, 0], sums[:, 1] + of_zero.sum()
    if metric in ("log_loss", "brier"):
        return np.asarray(total / n)
    if metric == "roc_auc":
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((total - ones * (ones + 1) / 2) / (ones * (n - ones)))
    positive = int(decided.sum())
    table = [[n - positive - ones + total, positive - total], [ones - total, total]]
    return table_value(metric, np.asarray(table).transpose(2, 0, 1))
