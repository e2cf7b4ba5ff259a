"""Fairness rates: fairlearn's definitions, and intervals that keep their level."""

import fairlearn.metrics as fair
import numpy as np
import pytest
from scipy import stats

from weighin.stats.intervals import Undefined
from weighin.stats.rates import difference
from weighin.stats.scored import Scored


def people(rng, n=3000):
    site = rng.choice(["a", "b", "c"], n)
    truth = rng.random(n) < 0.4
    score = np.clip(0.3 * truth + 0.1 * (site == "b") + rng.random(n) * 0.6, 0, 1)
    return Scored(truth, score, None, 0.5), site


def largest(name, rows, site, group=None):
    pairs = [(a, b) for a in "abc" for b in "abc" if a != b]
    return max(difference(name, rows, site == a, site == b, group, 0.95).estimate for a, b in pairs)


@pytest.mark.parametrize("grouped", [False, True])
def test_the_largest_pairwise_difference_is_fairlearns(grouped):
    rng = np.random.default_rng(0)
    rows, site = people(rng)
    group = rng.integers(0, 60, len(site)) if grouped else None
    said = (rows.truth, rows.decision)
    about = {"sensitive_features": site}
    assert largest("selection_rate", rows, site, group) == pytest.approx(
        fair.demographic_parity_difference(*said, **about), abs=1e-9
    )
    assert largest("true_positive_rate", rows, site, group) == pytest.approx(
        fair.equal_opportunity_difference(*said, **about), abs=1e-9
    )
    odds = max(largest(r, rows, site, group) for r in ("true_positive_rate", "false_positive_rate"))
    assert odds == pytest.approx(fair.equalized_odds_difference(*said, **about), abs=1e-9)
    for name, metric in (
        ("false_negative_rate", fair.false_negative_rate),
        ("error_rate", lambda y, d: np.mean(y != d)),
    ):
        frame = fair.MetricFrame(metrics=metric, y_true=said[0], y_pred=said[1], sensitive_features=site)
        assert largest(name, rows, site, group) == pytest.approx(frame.difference(), abs=1e-9)


def test_a_difference_the_other_way_round_is_its_mirror():
    rows, site = people(np.random.default_rng(1))
    one = difference("selection_rate", rows, site == "a", site == "b", None, 0.95)
    other = difference("selection_rate", rows, site == "b", site == "a", None, 0.95)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-12)


@pytest.mark.parametrize("name", ["mean_error", "mae"])
def test_errors_of_a_regression_are_compared(name):
    rng = np.random.default_rng(2)
    site = rng.choice(["a", "b"], 600)
    truth = rng.normal(size=600)
    rows = Scored(truth, truth + (site == "a") * 0.5 + rng.normal(0, 0.1, 600))
    found = difference(name, rows, site == "a", site == "b", None, 0.95)
    error = rows.error if name == "mean_error" else np.abs(rows.error)
    assert found.estimate == pytest.approx(error[site == "a"].mean() - error[site == "b"].mean(), abs=1e-12)
    assert 0.3 < found.low < found.high < 0.6


def test_few_rows_of_a_group_are_undefined():
    rows, _ = people(np.random.default_rng(3), n=60)
    rare = np.arange(60) < 5
    with pytest.raises(Undefined, match="fewer than 20"):
        difference("selection_rate", rows, rare, ~rare, None, 0.95)


@pytest.mark.parametrize("grouped", [False, True])
def test_bounds_hold_the_truth_as_often_as_they_say(grouped):
    rng, held, runs = np.random.default_rng(4), 0, 400
    for _ in range(runs):
        site = rng.random(800) < 0.3
        group = np.arange(800) // 20
        rows = Scored(rng.random(800) < 0.4, rng.random(800), None, 0.7)
        try:
            held += difference("selection_rate", rows, site, ~site, group if grouped else None, 0.95).low <= 0
        except Undefined:  # no bound is no wrong bound
            held += 1
    assert held >= stats.binom.ppf(1e-4, runs, 0.95)
