"""Intervals of paired comparisons against published values and independent implementations."""

import math

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.proportion import confint_proportions_2indep

from weighin.stats.contrast import contrast
from weighin.stats.intervals import (
    Undefined,
    clopper_pearson,
    difference_of_samples,
    difference_of_shares,
    from_influence,
    magnitude,
    median,
    must_be_carried_by_many,
    without_rounding,
)
from weighin.stats.metrics import row_score
from weighin.stats.paired import from_table, tango
from weighin.stats.resample import bootstrap
from weighin.stats.scored import Scored


def score_by_likelihood(gained, lost, n, delta):
    """Tango's statistic with the constrained maximum of the likelihood found by a general optimiser."""

    def minus_log(q):
        return -(gained * math.log(q + delta) + lost * math.log(q) + (n - gained - lost) * math.log(1 - 2 * q - delta))

    low, high = max(0, -delta) + 1e-12, (1 - delta) / 2 - 1e-12
    q = optimize.minimize_scalar(minus_log, bounds=(low, high), method="bounded", options={"xatol": 1e-13}).x
    return (gained - lost - n * delta) / math.sqrt(n * (2 * q + delta * (1 - delta)))


@pytest.mark.parametrize(("gained", "lost", "n"), [(12, 2, 50), (5, 9, 500), (40, 31, 90), (1, 7, 60)])
def test_tango_bounds_solve_the_score_equation(gained, lost, n):
    found = tango(gained, lost, n, 0.95)
    z = stats.norm.ppf(0.95)
    assert score_by_likelihood(gained, lost, n, found.low) == pytest.approx(z, abs=1e-4)
    assert score_by_likelihood(gained, lost, n, found.high) == pytest.approx(-z, abs=1e-4)


def test_tango_gives_the_published_interval():
    """Newcombe (1998), Statistics in Medicine 17, table of examples: 36, 12, 2, 0 gives 0.0611 to 0.3447."""
    found = tango(12, 2, 50, 0.975)
    assert (found.low, found.high) == pytest.approx((0.0611, 0.3447), abs=5e-5)


def test_tango_is_symmetric_and_wider_with_fewer_rows():
    one, other = tango(7, 3, 100, 0.95), tango(3, 7, 100, 0.95)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)
    assert tango(0, 0, 50, 0.95).high > tango(0, 0, 500, 0.95).high > 0


@pytest.mark.parametrize(("gained", "lost", "n"), [(0, 0, 30), (30, 0, 30), (0, 30, 30), (1, 0, 30), (15, 15, 30)])
def test_tango_is_defined_at_the_edges(gained, lost, n):
    found = tango(gained, lost, n, 0.95)
    assert -1 <= found.low <= found.estimate <= found.high <= 1
    assert found.low < found.high


def test_p_values_and_bounds_of_tango_agree():
    found = tango(12, 20, 200, 0.95)
    assert found.p_above(found.low) == pytest.approx(0.05, abs=1e-6)
    assert found.p_below(found.high) == pytest.approx(0.05, abs=1e-6)


def test_a_difference_of_shares_is_as_wide_as_newcombes_or_wider():
    """Newcombe's method 10 uses Wilson limits; ours are Clopper-Pearson's, which contain them."""
    found = difference_of_shares(clopper_pearson(56, 70, 0.975), clopper_pearson(48, 80, 0.975))
    low, high = confint_proportions_2indep(56, 70, 48, 80, method="newcomb", compare="diff", alpha=0.05)
    assert found.low <= low < high <= found.high
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.015)


def of_mean(values, level=0.95):
    return from_influence(values.mean(), (values - values.mean()) / len(values), None, level)


def test_a_difference_of_means_of_two_samples_is_as_wide_as_welchs():
    rng = np.random.default_rng(8)
    one, other = rng.normal(1, 1, 400), rng.normal(0, 3, 300)
    found = difference_of_samples(of_mean(one), of_mean(other))
    low, high = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.03)
    assert difference_of_samples(of_mean(one, 0.95), of_mean(other, 0.9)).level == 0.9


@pytest.mark.parametrize(("shift", "zero"), [(0.0, True), (0.4, False), (-0.4, False)])
def test_a_magnitude_is_bounded_by_the_bounds_of_the_number(shift, zero):
    found = of_mean(np.random.default_rng(2).normal(shift, 1, 400))
    size = magnitude(found)
    assert (size.low == 0) == zero
    assert size.low <= size.estimate == abs(found.estimate) <= size.high == max(abs(found.low), abs(found.high))
    assert magnitude(difference_of_samples(of_mean(np.zeros(400)), found)).high == pytest.approx(size.high)
    for limit in (0.5 * size.low, 0.9 * size.low, 1.1 * size.low, size.high):
        assert (size.p_above(limit) < 0.05) == (size.low > limit)
    assert size.p_above(size.estimate) == pytest.approx(0.5)
    assert size.p_below(size.estimate) == pytest.approx(0.5)


def test_a_magnitude_at_its_limit_passes_in_one_of_twenty():
    rng = np.random.default_rng(4)
    runs = [
        magnitude(difference_of_samples(of_mean(rng.normal(0.3, 1, 200)), of_mean(rng.normal(0, 1, 200))))
        for _ in range(400)
    ]
    most = stats.binom.ppf(1 - 1e-4, 400, 0.05)
    assert sum(r.high <= 0.3 for r in runs) <= most
    assert sum(r.low > 0.3 for r in runs) <= most


def test_the_median_covers_at_least_as_often_as_it_says():
    rng = np.random.default_rng(4)
    low = sum(median(rng.exponential(size=60), 0.95).low <= math.log(2) for _ in range(1000))
    assert low >= stats.binom.ppf(1e-4, 1000, 0.95)


def test_a_resampled_table_says_what_a_beta_distribution_says():
    """One share with Jeffreys' prior: the quantiles are known."""
    table = np.array([30, 70])
    found = from_table(table, lambda t: t[:, 0] / t.sum(axis=1), 0.95)
    exact = stats.beta(30 + 2, 70 + 2)
    assert (found.low, found.high) == pytest.approx((exact.ppf(0.05), exact.ppf(0.95)), abs=3e-3)
    assert found.estimate == 0.3


def test_a_table_that_a_number_is_not_defined_for_is_undefined():
    with pytest.raises(Undefined):
        from_table(np.array([5, 5]), lambda t: np.where(t[:, 0] > 5, t[:, 0], np.nan), 0.95)


def test_skewed_sums_move_the_long_side_only():
    skewed = np.random.default_rng(5).exponential(size=200) - 1
    mirrored = from_influence(0.0, -skewed / 200, None, 0.95)
    found = from_influence(0.0, skewed / 200, None, 0.95)
    assert found.high > -found.low
    assert (found.low, found.high) == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-12)


def test_twenty_rows_among_many_count_as_twenty():
    few = np.zeros(2000)
    few[:20] = np.random.default_rng(6).normal(size=20)
    many = np.random.default_rng(6).normal(size=2000)
    for values, least in ((few, 1.70), (many, 1.64)):
        found = from_influence(0.0, values - values.mean(), None, 0.95)
        assert (found.estimate - found.low) / found.standard_error >= least


def test_groups_of_which_a_few_carry_everything_are_undefined():
    rng = np.random.default_rng(7)
    group = np.repeat(np.arange(100), 10)
    values = rng.normal(size=1000) * np.where(group < 3, 50, 1)
    with pytest.raises(Undefined, match="a few of 100 groups"):
        must_be_carried_by_many(values, group)
    must_be_carried_by_many(values, None)
    must_be_carried_by_many(rng.normal(size=1000), group)


@pytest.mark.parametrize("name", ["accuracy", "mae"])
def test_groups_that_are_all_alike_say_nothing_of_how_sure_a_number_is(name):
    """Eight of ten rows are right on each of twenty days: sums of doubles leave a trace of variation between days."""
    right = np.tile(np.arange(10) < 8, 20)
    truth = np.zeros(200, dtype=bool) if name == "accuracy" else np.zeros(200)
    rows = Scored(truth, np.where(right, 0.1, 0.9))
    with pytest.raises(Undefined):
        contrast(name, rows, None, np.arange(200) // 10, 0.95)
    values = np.where(right, 0.1, 0.9) - 0.26
    with pytest.raises(Undefined, match=r"^rows differ, and the groups of them do not"):
        from_influence(0.26, values / 200, np.arange(200) // 10, 0.95)


@pytest.mark.parametrize("off", [0.1, 3.0])
def test_a_difference_that_is_the_same_in_every_row_is_not_certain(off):
    truth = np.arange(200.0)
    with pytest.raises(Undefined, match=r"^mae differs by the same for all rows: no interval exists$"):
        contrast("mae", Scored(truth, truth + off), Scored(truth, truth + 2 * off), None, 0.95)
    # The same predictions in other digits are the same.
    noise = np.random.default_rng(1).normal(size=200)
    other = truth + noise
    found = contrast("mae", Scored(truth, other), Scored(truth, other * (1 + 1e-15)), None, 0.95).interval
    assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)


def test_a_score_that_cancels_within_each_group_is_no_perfect_one():
    texts = np.full(200, "x", dtype=object)
    signs = np.tile([1.0, -1.0], 100)
    rows = Scored(texts, texts, row_scores=lambda name: signs)
    known = row_score("score.off", "", lower_is_better=True, range=math.inf)
    with pytest.raises(Undefined, match="groups of rows") as error:
        contrast("score.off", rows, None, np.arange(200) // 10, 0.95, known=known)
    assert error.type is Undefined


def test_what_is_gained_and_lost_on_the_same_day_is_not_proven_absent():
    rng = np.random.default_rng(9)
    truth, score = rng.random(600) < 0.4, rng.random(600)
    other, first = score.copy(), np.arange(0, 600, 50)
    right = np.where(truth, 0.9, 0.1)
    score[first], other[first] = right[first], 1 - right[first]
    score[first + 1], other[first + 1] = 1 - right[first + 1], right[first + 1]
    found = contrast("accuracy", Scored(truth, score), Scored(truth, other), np.arange(600) // 50, 0.95).interval
    assert (found.estimate, found.high) == (pytest.approx(0), pytest.approx(1 - 0.05 ** (1 / 12)))


def test_a_row_that_is_no_number_is_no_row_that_is_alike():
    assert np.isnan(without_rounding(np.array([0.1, math.nan, -0.1]), 1.0)).any()
    with pytest.raises(Undefined, match="not finite"):
        from_influence(0.5, np.where(np.arange(50) == 7, math.nan, 0.01), None, 0.95)


def test_a_difference_that_no_group_shows_is_not_proven_absent():
    """Two models that decide alike on every row of twelve groups may differ in a thirteenth."""
    rng = np.random.default_rng(9)
    truth, score = rng.random(600) < 0.4, rng.random(600)
    moved = np.where(score < 0.5, score / 2, score)  # another model, the same decisions
    group = np.arange(600) // 50
    for name in ("accuracy", "recall", "f1", "balanced_accuracy"):
        found = contrast(name, Scored(truth, moved), Scored(truth, score), group, 0.95).interval
        assert (found.estimate, found.high) == (0.0, pytest.approx(1 - 0.05 ** (1 / 12)))
        assert found.low == -found.high


def test_the_bootstrap_of_a_mean_is_the_interval_of_a_mean():
    rng = np.random.default_rng(8)
    rows = Scored(np.zeros(400), rng.normal(size=400))
    found = bootstrap(lambda r: float(r.score.mean()), rows, None, None, 0.95)
    error = float(rows.score.std(ddof=1)) / 20
    assert found.standard_error == pytest.approx(error, rel=0.1)
    grouped = bootstrap(lambda r: float(r.score.mean()), rows, None, np.repeat(np.arange(40), 10), 0.95)
    assert grouped.n == 40
    with pytest.raises(Undefined):
        bootstrap(lambda r: math.nan, rows, None, None, 0.95)


# --- Tango's interval to its edges


@pytest.mark.parametrize("n", [0, -1])
def test_no_rows_have_no_difference(n):
    with pytest.raises(Undefined, match=r"^no rows$"):
        tango(0, 0, n, 0.95)


def test_one_row_says_little():
    found = tango(0, 0, 1, 0.95)
    z2 = stats.norm.ppf(0.95) ** 2
    # Without a discordant row the bounds are those of one share, which nobody has seen (Wilson).
    assert (found.low, found.high) == pytest.approx((-z2 / (1 + z2), z2 / (1 + z2)), abs=1e-9)
    assert tango(1, 0, 1, 0.95).high == -tango(0, 1, 1, 0.95).low == 1.0


def test_an_interval_of_tango_says_what_it_is():
    found = tango(12, 2, 50, 0.975)
    assert (found.level, found.n, found.method) == (0.975, 50, "Tango's score interval")
    # McNemar's: Newcombe 1998, method 1.
    assert found.standard_error == pytest.approx(math.sqrt(14 - 100 / 50) / 50)
    assert tango(50, 0, 50, 0.975).standard_error == 0


def test_where_all_rows_are_discordant_one_way_the_other_bound_is_the_scores():
    found = tango(30, 0, 30, 0.95)
    z = stats.norm.ppf(0.95)
    assert (found.estimate, found.high) == (1.0, 1.0)
    assert score_by_likelihood(30, 1e-9, 30, found.low) == pytest.approx(z, abs=1e-3)
    assert tango(0, 30, 30, 0.95).high == pytest.approx(-found.low, abs=1e-12)


@pytest.mark.parametrize(
    ("gained", "lost", "limit", "above", "below"),
    [
        (3, 1, -1.0, 0.0, 1.0),
        (3, 1, -1.5, 0.0, 1.0),
        (3, 1, 1.0, 1.0, 0.0),
        (3, 1, 1.5, 1.0, 0.0),
        (5, 0, 1.0, 1.0, 1.0),
    ],
)
def test_limits_that_no_difference_can_have_are_decided_without_an_interval(gained, lost, limit, above, below):
    found = tango(gained, lost, 5, 0.95)
    assert (found.p_above(limit), found.p_below(limit)) == (above, below)


def test_the_draws_of_a_table_are_always_the_same():
    found = from_table(np.array([30, 70]), lambda t: t[:, 0] / t.sum(axis=1), 0.95)
    again = from_table(np.array([30, 70]), lambda t: t[:, 0] / t.sum(axis=1), 0.95)
    assert (found.low, found.high, found.standard_error) == (again.low, again.high, again.standard_error)
    assert (found.level, found.n, found.method) == (0.95, 100, "resampled table of label and decisions")


def test_a_limit_that_is_no_number_is_never_kept():
    found = tango(3, 1, 5, 0.95)
    assert (found.p_above(math.nan), found.p_below(math.nan)) == (1.0, 1.0)


@pytest.mark.parametrize("share", [0.0, np.nan])
def test_a_number_that_is_undefined_here_or_in_drawn_tables_is_undefined(share):
    said = r"^the number is not defined for tables like this one: cells are empty that it divides by$"
    with pytest.raises(Undefined, match=said):
        from_table(np.array([5, 5]), lambda t: np.where(t[:, 0] == 5, share, np.nan), 0.95)
    with pytest.raises(Undefined, match=said):
        from_table(np.array([5, 5]), lambda t: np.where(t[:, 0] == 5, np.nan, 0.5), 0.95)


def test_p_values_of_a_table_count_the_draws_beyond_a_limit_and_one_more():
    found = from_table(np.array([30, 70]), lambda t: np.full(len(t), 0.3), 0.95)
    least = 1 / 20_001
    assert (found.p_above(0.3), found.p_below(0.3)) == (1.0, 1.0)
    assert (found.p_above(0.2), found.p_below(0.4)) == (least, least)
    assert (found.p_above(0.4), found.p_below(0.2)) == (1.0, 1.0)
    share = from_table(np.array([30, 70]), lambda t: t[:, 0] / t.sum(axis=1), 0.95)
    assert share.standard_error == pytest.approx(stats.beta(32, 72).std(), rel=0.02)
    assert share.p_above(share.low) == pytest.approx(0.05, abs=1e-3)


def test_rows_that_all_agree_say_as_much_for_either_side():
    found = tango(0, 0, 100, 0.95)
    assert (found.p_above(0.0), found.p_below(0.0)) == (0.5, 0.5)
    assert tango(0, 5, 5, 0.95).p_above(-1.0) == 1.0
