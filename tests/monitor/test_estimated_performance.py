"""A metric before its labels come: right where probabilities are, and wrong where they are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from weighin.monitor.estimated_performance import METHOD, estimate
from weighin.stats.intervals import Undefined
from weighin.stats.metrics import METRICS
from weighin.stats.scored import Scored

ESTIMATED = sorted(n for n, m in METRICS.items() if "binary" in m.tasks and n != "average_precision")
LEVEL = 0.95
TRIALS = 400
THRESHOLD = 0.4


def missed(metric: str, miscalibrated: float = 0.0) -> tuple[int, int]:
    """How often the metric that came lay below and above the interval; labels come with another probability."""
    rng = np.random.default_rng(11)
    below = above = 0
    for _ in range(TRIALS):
        score = rng.beta(2, 4, 600)
        truth = rng.random(600) < score * (1 - miscalibrated) + 0.5 * miscalibrated
        came = METRICS[metric].of(Scored(truth, score, None, THRESHOLD)).estimate
        found = estimate(metric, score, THRESHOLD, LEVEL)
        below, above = below + (came < found.low), above + (came > found.high)
    return below, above


@pytest.mark.exhaustive
@pytest.mark.parametrize("metric", ESTIMATED)
def test_what_comes_lies_within_at_about_the_stated_level(metric: str) -> None:
    """5 % on each side: counts that 400 trials have but once in 5,000 times are refused, too few ones as well."""
    for side in missed(metric):
        assert binom.ppf(1e-4, TRIALS, 1 - LEVEL) <= side <= binom.isf(1e-4, TRIALS, 1 - LEVEL)


@pytest.mark.exhaustive
@pytest.mark.parametrize("metric", ["roc_auc", "accuracy", "log_loss"])
def test_where_probabilities_are_wrong_so_is_the_estimate(metric: str) -> None:
    """The limit of the method, which docs/how-to/monitoring.md states."""
    assert max(missed(metric, miscalibrated=0.5)) > 0.9 * TRIALS


@pytest.mark.parametrize("metric", ["accuracy", "brier", "log_loss"])
def test_means_and_their_errors_are_those_of_independent_labels(metric: str) -> None:
    score = np.random.default_rng(2).beta(2, 4, 2000)
    loss = {
        "accuracy": lambda y: (score >= THRESHOLD) == y,
        "brier": lambda y: (score - y) ** 2,
        "log_loss": lambda y: -np.log(np.where(y, score, 1 - score)),
    }[metric]
    one, zero = (np.asarray(loss(np.full(2000, y)), dtype=float) for y in (True, False))
    error = np.sqrt((score * (1 - score) * (one - zero) ** 2).sum()) / 2000
    found = estimate(metric, score, THRESHOLD, 0.99)
    assert found.estimate == pytest.approx((score * one + (1 - score) * zero).mean(), abs=4 * error / np.sqrt(400))
    assert found.standard_error == pytest.approx(error, rel=0.15)
    assert found.high - found.low == pytest.approx(2 * 2.3263 * found.standard_error, rel=1e-3)
    assert (found.n, found.level, found.method) == (2000, 0.99, METHOD)
    assert found.p_below(found.low) == pytest.approx(0.99, abs=1e-6)


def test_the_same_predictions_give_the_same_estimate() -> None:
    score = np.random.default_rng(2).beta(2, 4, 500)
    one, again = (estimate("f1", score, 0.5, 0.95) for _ in range(2))
    assert (one.estimate, one.low, one.high) == (again.estimate, again.low, again.high)
    # A hundred times the rows, of which the draws are made in parts: a tenth of the width.
    many = estimate("f1", np.tile(score, 100), 0.5, 0.95)
    assert (one.high - one.low) / (many.high - many.low) == pytest.approx(10, rel=0.15)


@pytest.mark.parametrize(
    ("metric", "score", "says"),
    [
        ("average_precision", np.full(500, 0.5), "no estimate of average_precision"),
        ("mae", np.full(500, 0.5), "no estimate of mae"),
        ("custom.profit", np.full(500, 0.5), "no estimate of custom.profit"),
        ("accuracy", np.full(500, 1.5), "are no probabilities"),
        ("accuracy", np.full(500, np.nan), "are no probabilities"),
        ("accuracy", np.full(500, 0.01), "5 rows of the rarer class are expected, 20 are needed"),
        ("accuracy", np.full(500, 0.99), "5 rows of the rarer class are expected, 20 are needed"),
        ("accuracy", np.zeros(0), "0 rows of the rarer class"),
        ("precision", np.full(500, 0.2), "0 rows predicted positive, 20 are needed"),
        ("roc_auc", np.full(500, 0.5), "a model that ranks nothing"),
    ],
)
def test_what_cannot_be_estimated_says_why(metric: str, score: np.ndarray, says: str) -> None:
    with pytest.raises(Undefined, match=says):
        estimate(metric, score, THRESHOLD, LEVEL)
