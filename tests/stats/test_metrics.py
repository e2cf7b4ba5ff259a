"""Metrics and their intervals against scikit-learn, by hand, and by simulation."""

import numpy as np
import pytest
from scipy import stats as scipy_stats
from sklearn import metrics as sk

from weighin.stats.intervals import Undefined, clopper_pearson, from_influence, share_by_blocks
from weighin.stats.metrics import METRICS, roc_auc


def scored(rng, n=2000, strength=1.0, ties=False):
    truth = rng.random(n) < 0.3
    score = 1 / (1 + np.exp(-(rng.normal(size=n) + strength * truth - 1)))
    return truth, np.round(score, 1) if ties else score


@pytest.mark.parametrize("ties", [False, True])
def test_metrics_agree_with_scikit_learn(ties):
    truth, score = scored(np.random.default_rng(0), ties=ties)
    expected = {
        "roc_auc": sk.roc_auc_score(truth, score),
        "log_loss": sk.log_loss(truth, np.clip(score, 1e-15, 1 - 1e-15)),
        "precision": sk.precision_score(truth, score >= 0.4),
        "recall": sk.recall_score(truth, score >= 0.4),
    }
    assert set(expected) == set(METRICS)
    for name, value in expected.items():
        assert METRICS[name](truth, score, 0.4).estimate == pytest.approx(value, abs=1e-12), name


def test_influence_values_sum_to_zero():
    truth, score = scored(np.random.default_rng(1), ties=True)
    for name, metric in METRICS.items():
        assert abs(metric(truth, score, 0.4).values.sum()) < 1e-9, name


def test_auc_variance_is_that_of_delong_by_hand():
    """The two-sample form of DeLong (1988) on a case small enough to write out."""
    rng = np.random.default_rng(2)
    truth, score = scored(rng, n=300)
    x, y = score[truth], score[~truth]
    kernel = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
    by_hand = kernel.mean(axis=1).var(ddof=1) / len(x) + kernel.mean(axis=0).var(ddof=1) / len(y)
    found = roc_auc(truth, score, 0.5)
    assert np.square(found.values).sum() == pytest.approx(by_hand, rel=0.02)


@pytest.mark.parametrize("name", list(METRICS))
def test_the_order_of_rows_does_not_matter(name):
    rng = np.random.default_rng(3)
    truth, score = scored(rng)
    group = rng.integers(0, 40, len(truth))
    order = rng.permutation(len(truth))
    one, two = METRICS[name](truth, score, 0.4), METRICS[name](truth[order], score[order], 0.4)
    first = from_influence(one.estimate, one.values, group, 0.95)
    second = from_influence(two.estimate, two.values, group[order], 0.95)
    assert first.low == pytest.approx(second.low, abs=1e-12)


@pytest.mark.parametrize("name", list(METRICS))
def test_identical_models_have_no_difference(name):
    truth, score = scored(np.random.default_rng(4))
    same = METRICS[name](truth, score, 0.4).minus(METRICS[name](truth, score, 0.4))
    assert same.estimate == 0
    assert not same.values.any()


@pytest.mark.parametrize("name", list(METRICS))
@pytest.mark.parametrize(
    ("truth", "says"),
    [(np.zeros(500, bool), "equal"), (np.ones(500, bool), "equal"), (np.arange(500) < 19, "at least 20")],
)
def test_too_few_of_a_class_is_undefined(name, truth, says):
    with pytest.raises(Undefined, match=says):
        METRICS[name](truth, np.linspace(0, 1, 500), 0.4)


def test_a_threshold_that_nobody_reaches_leaves_precision_undefined():
    truth, score = scored(np.random.default_rng(5))
    with pytest.raises(Undefined, match="predicted positive"):
        METRICS["precision"](truth, score, 1.0)


def test_one_group_gives_no_interval():
    with pytest.raises(Undefined, match="at least 10"):
        from_influence(0.5, np.ones(100), np.zeros(100, dtype=np.int64), 0.95)


def covers(name, grouped, runs=400):
    """Share of runs whose one-sided bounds hold the true difference of two models, found on a million rows."""
    rng = np.random.default_rng(6)

    def draw(days, rows):
        day = np.repeat(np.arange(days), rows)
        shift = rng.normal(size=days)[day] * (0.7 if grouped else 0.0)
        truth = rng.random(days * rows) < 1 / (1 + np.exp(1 - shift))
        common = rng.normal(size=days * rows) + truth
        noise = rng.normal(size=days)[day] * (0.7 if grouped else 0.0)
        a = 1 / (1 + np.exp(-common - 0.3 * rng.normal(size=days * rows) - noise))
        b = 1 / (1 + np.exp(-common - 0.6 * rng.normal(size=days * rows) + noise))
        return day, truth, a, b

    _, truth, a, b = draw(20_000, 50)
    true = METRICS[name](truth, a, 0.6).estimate - METRICS[name](truth, b, 0.6).estimate
    low = high = 0
    for _ in range(runs):
        day, truth, a, b = draw(30, 50)
        difference = METRICS[name](truth, a, 0.6).minus(METRICS[name](truth, b, 0.6))
        found = from_influence(difference.estimate, difference.values, day if grouped else None, 0.95)
        low += found.low <= true
        high += true <= found.high
    return low / runs, high / runs


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("name", list(METRICS))
def test_bounds_hold_the_truth_as_often_as_they_say(name, grouped):
    # 0.95 nominal; exact binomial bound at 1 in 10,000 for 400 runs.
    least = scipy_stats.binom.ppf(1e-4, 400, 0.95) / 400
    assert min(covers(name, grouped)) >= least


def test_a_share_without_any_success_has_an_exact_p_value():
    found = share_by_blocks(np.zeros(150, bool), np.repeat(np.arange(15), 10), 0.95)
    assert found.p_below(0.9) < 1e-100
    assert found.p_above(0.0) == 1.0


@pytest.mark.parametrize(("successes", "limit"), [(3, 0.2), (30, 0.2), (100, 0.9)])
def test_p_values_of_a_share_are_those_of_the_exact_test(successes, limit):
    found = clopper_pearson(successes, 100, 0.95)
    assert found.p_below(limit) == pytest.approx(scipy_stats.binomtest(successes, 100, limit, "less").pvalue)
    assert found.p_above(limit) == pytest.approx(scipy_stats.binomtest(successes, 100, limit, "greater").pvalue)


def test_clopper_pearson_agrees_with_scipy():
    for successes, trials in ((0, 10), (3, 10), (10, 10), (77, 1000)):
        found = clopper_pearson(successes, trials, 0.975)
        expected = scipy_stats.binomtest(successes, trials).proportion_ci(0.95, "exact")
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_blocks_widen_an_interval_when_failures_come_together():
    block = np.repeat(np.arange(20), 50)
    together, spread = block < 2, np.arange(1000) % 10 == 0
    assert together.mean() == spread.mean()
    assert share_by_blocks(together, block, 0.95).high > share_by_blocks(spread, block, 0.95).high
    assert share_by_blocks(spread, block, 0.95).high >= clopper_pearson(100, 1000, 0.95).high


def test_a_calm_server_is_not_certain():
    found = share_by_blocks(np.ones(200, bool), np.repeat(np.arange(20), 10), 0.95)
    assert found.low == pytest.approx(clopper_pearson(200, 200, 0.95).low)
    assert found.low < 1
