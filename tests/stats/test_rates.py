"""Fairness rates: fairlearn's definitions, and intervals that keep their level."""

import fairlearn.metrics as fair
import numpy as np
import pytest
from scipy import stats

from weighin.stats.intervals import Undefined, clopper_pearson, difference_of_shares
from weighin.stats.rates import difference, influence_of_difference, rate
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


# --- each rate, to the last row


HALVES = np.arange(200) % 2 == 0


def mixed(weight=None):
    """200 rows, of which truth and decision are known: of each half another share is decided."""
    number = np.arange(200)
    truth, decided = number % 4 < 2, (number % 5 == 0) | (HALVES & (number % 3 == 0))
    return Scored(truth, decided.astype(float), weight, 0.5)


@pytest.mark.parametrize(
    ("name", "of", "base"),
    [
        ("selection_rate", lambda t, d: d, lambda t: t | ~t),
        ("true_positive_rate", lambda t, d: d, lambda t: t),
        ("false_positive_rate", lambda t, d: d, lambda t: ~t),
        ("false_negative_rate", lambda t, d: ~d, lambda t: t),
        ("error_rate", lambda t, d: d != t, lambda t: t | ~t),
    ],
)
def test_a_rate_is_a_mean_over_its_base(name, of, base):
    rows = mixed()
    values, counted = rate(name, rows)
    assert values.dtype == np.float64
    assert values.tolist() == of(rows.truth, rows.decision).astype(float).tolist()
    assert counted.tolist() == base(rows.truth).tolist()
    found = difference(name, rows, HALVES, ~HALVES, None, 0.95)
    means = [values[counted & side].mean() for side in (HALVES, ~HALVES)]
    assert found.estimate == pytest.approx(means[0] - means[1], abs=1e-12)


def test_a_rate_of_texts_is_a_score():
    texts = np.full(200, "x", dtype=object)
    scores = {"short": np.linspace(0, 1, 200)}
    rows = Scored(texts, texts, row_scores=scores.__getitem__)
    values, counted = rate("short", rows)
    assert values is scores["short"]
    assert counted.all()


def test_truth_and_decision_of_numbers_are_read_as_they_are_meant():
    rows = mixed()
    numbers = Scored(rows.truth.astype(float), rows.score, None, 0.5)
    for name in ("true_positive_rate", "false_positive_rate", "false_negative_rate"):
        assert [a.tolist() for a in rate(name, numbers)] == [a.tolist() for a in rate(name, rows)]


def test_what_is_no_rate_is_named():
    with pytest.raises(ValueError, match=r"^no rate roc_auc$"):
        rate("roc_auc", mixed())


@pytest.mark.parametrize("first", [True, False])
def test_twenty_rows_of_a_group_are_enough_and_the_sentence_names_no_number_of_theirs(first):
    rows, number = mixed(), np.arange(200)
    few, many = number < 20, number >= 100
    sides = (few, many) if first else (many, few)
    assert difference("selection_rate", rows, *sides, None, 0.95).n > 0
    fewer = tuple(side & (number != 0) for side in sides)
    said = f"^fewer than 20 rows of the {'first' if first else 'second'} group count for this rate, too few"
    with pytest.raises(Undefined, match=f"{said} for an interval$"):
        difference("selection_rate", rows, *fewer, None, 0.95)


def test_shares_of_independent_rows_have_exact_limits_and_all_else_has_influence_values():
    rows = mixed()
    first, second = (clopper_pearson(int(rows.decision[side].sum()), 100, 0.95) for side in (HALVES, ~HALVES))
    exact = difference("selection_rate", rows, HALVES, ~HALVES, None, 0.95)
    assert (exact.low, exact.high) == (
        difference_of_shares(first, second).low,
        difference_of_shares(first, second).high,
    )
    weighted = difference("selection_rate", mixed(np.ones(200)), HALVES, ~HALVES, None, 0.95)
    assert (exact.method, weighted.method) == (difference_of_shares(first, second).method, "influence values")
    assert weighted.estimate == pytest.approx(exact.estimate, abs=1e-12)
    # A share whose values are all ones on one side is one, too; numbers are none.
    numbers = Scored(np.zeros(200), np.where(HALVES, 0.0, 2.0) + np.arange(200) % 3)
    assert difference("mae", numbers, HALVES, ~HALVES, None, 0.95).method == "influence values"


def test_rows_of_a_group_count_as_one():
    rows = mixed()
    alone = difference("selection_rate", rows, HALVES, ~HALVES, np.arange(200), 0.95)
    # Each row ten times is no more than each row once.
    tenfold, sides = rows.rows(np.repeat(np.arange(200), 10)), np.repeat(HALVES, 10)
    known = difference("selection_rate", tenfold, sides, ~sides, np.repeat(np.arange(200), 10), 0.95)
    assert (known.estimate, known.low, known.high) == pytest.approx((alone.estimate, alone.low, alone.high))
    assert known.n == alone.n == 200
    assert known.method == "influence values by group"


def test_a_few_groups_that_carry_the_variation_give_no_interval():
    rows = Scored(np.zeros(4000), np.where(np.arange(4000) < 200, 1.0, 0.0) * (1 + np.arange(4000) % 7))
    group = np.where(np.arange(4000) < 200, 0, np.arange(4000) // 10)
    sides = np.arange(4000) % 2 == 0
    with pytest.raises(Undefined, match="groups carry the variation"):
        difference("mae", rows, sides, ~sides, group, 0.95)


@pytest.mark.parametrize("same", [0.1, 3.0, 1e6 + 0.1])
def test_numbers_that_are_the_same_everywhere_have_no_interval(same):
    # Sums of doubles leave a trace of variation.
    rows = Scored(np.zeros(200), np.full(200, same))
    with pytest.raises(Undefined, match=r"^mae is the same for every row of a group: no interval exists$"):
        difference("mae", rows, HALVES, ~HALVES, None, 0.95)


def test_the_influence_of_a_row_is_what_the_difference_moves_by_when_it_counts_more():
    weight = np.random.default_rng(5).uniform(0.5, 2, 200)
    estimate, influence = influence_of_difference("true_positive_rate", mixed(weight), HALVES, ~HALVES)
    assert influence.sum() == pytest.approx(0, abs=1e-12)
    for row in (0, 1, 2, 4, 5, 15):
        more = weight.copy()
        more[row] *= 1 + 1e-6
        moved, _ = influence_of_difference("true_positive_rate", mixed(more), HALVES, ~HALVES)
        # (n,) influence is per row as it is weighted: a millionth more of it moves the estimate by a millionth of that.
        assert (moved - estimate) * 1e6 == pytest.approx(influence[row], rel=1e-4, abs=1e-9)


def test_a_side_of_which_no_row_counts_has_no_rate():
    with pytest.raises(Undefined, match=r"^no row of a group counts for this rate$"):
        influence_of_difference("selection_rate", mixed(), HALVES, np.zeros(200, dtype=bool))
