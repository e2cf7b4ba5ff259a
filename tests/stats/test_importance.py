"""Importance: hand values, laws, and how often its intervals are wrong."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from weighin.data.permute import donors
from weighin.stats.importance import importance, per_row, rank_agreement, reliance, share
from weighin.stats.intervals import Undefined


def even(n):
    return np.full(n, 1 / n)


def squared(x, y, slopes, repeats, weights=None):
    """(features, n) values of a linear model's squared loss, and of its change."""
    n, k = x.shape
    before = np.square(y - x @ slopes)
    increase, change = [], []
    for j in range(k):
        permutation_source = np.array([donors(n, j, r) for r in range(repeats)])
        moved = np.array([slopes[j] * (x[d, j] - x[:, j]) for d in permutation_source])
        after = np.square(y - x @ slopes - moved)
        increase.append(per_row(after - before, permutation_source, even(n) if weights is None else weights))
        change.append(per_row(np.abs(moved), permutation_source, even(n)))
    return np.array(increase), np.array(change)


def drawn(seed, n, slopes):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(slopes)))
    return x, x @ slopes + rng.normal(size=n)


SLOPES = np.array([2.0, 1.0, 0.5, 0.0])


def test_two_roles_of_a_row_are_added_by_hand():
    change, permutation_source = np.array([[3.0, 0.0, 6.0]]), np.array([[1, 2, 0]])
    # Suffered 3, 0, 6; caused: row 0 gave to row 2 (6), row 1 to row 0 (3), row 2 to row 1 (0); the mean is 3.
    assert per_row(change, permutation_source, even(3)).tolist() == pytest.approx([6.0, 0.0, 3.0])


def test_the_mean_is_the_weighted_mean_over_rows_and_repeats():
    rng = np.random.default_rng(0)
    change, weights = rng.normal(size=(3, 40)), rng.random(40)
    permutation_source = np.array([donors(40, 0, r) for r in range(3)])
    found = per_row(change, permutation_source, weights / weights.sum())
    assert found.mean() == pytest.approx(np.average(change.mean(axis=0), weights=weights), abs=1e-12)


def test_equal_weights_are_no_weights():
    rng = np.random.default_rng(0)
    change, permutation_source = rng.normal(size=(1, 40)), donors(40, 0, 0)[None]
    by_hand = change[0] + change[0][np.argsort(permutation_source[0])] - change.mean()
    assert per_row(change, permutation_source, even(40)) == pytest.approx(by_hand)


def test_the_importance_of_a_linear_model_is_twice_its_squared_slope():
    increase, change = squared(*drawn(0, 20_000, SLOPES), SLOPES, 2)
    assert increase.mean(axis=1) == pytest.approx(2 * SLOPES**2, abs=0.15)
    # The difference of two standard normals is on average 2 / sqrt(pi) wide.
    assert change.mean(axis=1) == pytest.approx(2 * SLOPES / np.sqrt(np.pi), abs=0.03)


def test_an_unused_feature_has_no_importance_and_no_doubt():
    increase, change = squared(*drawn(0, 300, SLOPES), SLOPES, 2)
    for found in (importance(increase[3], None, 0.95), reliance(change[3], None, 0.95)):
        assert (found.low, found.estimate, found.high) == (0.0, 0.0, 0.0)


def test_the_order_of_rows_does_not_matter():
    rng = np.random.default_rng(0)
    values, group = rng.normal(1, 1, (4, 240)), np.arange(240) % 24
    order = rng.permutation(240)
    one, other = importance(values[0], group, 0.95), importance(values[0][order], group[order], 0.95)
    assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=1e-9)
    one, other = share(values, 1, group, 0.95), share(values[:, order], 1, group[order], 0.95)
    assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=1e-9)
    one, other = (rank_agreement(v[:3], v[1:], g, 0.95) for v, g in ((values, group), (values[:, order], group[order])))
    assert (other.low, other.estimate, other.high) == pytest.approx((one.low, one.estimate, one.high), abs=1e-9)


def test_a_reliance_is_never_below_zero():
    change = np.zeros((1, 50))
    change[0, 7] = 1.0
    assert reliance(per_row(change, donors(50, 0, 0)[None], even(50)), None, 0.95).low == 0.0


def test_shares_sum_to_one_and_match_the_ratio():
    increase, _ = squared(*drawn(0, 500, SLOPES), SLOPES, 2)
    found = [share(increase, j, None, 0.95) for j in range(4)]
    assert sum(i.estimate for i in found) == pytest.approx(1, abs=1e-12)
    assert found[0].estimate == pytest.approx(increase[0].mean() / increase.mean(axis=1).sum())
    assert all(i.low <= i.estimate <= i.high for i in found)


def test_the_error_of_a_share_agrees_with_the_jackknife():
    increase, _ = squared(*drawn(3, 400, SLOPES), SLOPES, 2)
    total = increase.sum(axis=1)
    without = total[:, None] - increase
    left_out = without[0] / without.sum(axis=0)
    jackknife = np.sqrt(399 / 400 * np.square(left_out - left_out.mean()).sum())
    assert share(increase, 0, None, 0.95).standard_error == pytest.approx(jackknife, rel=0.01)


def test_where_nothing_matters_nothing_has_a_share():
    noise = np.random.default_rng(0).normal(0, 1, (4, 400))
    said = r"^the model loses nothing when features are permuted: the importances sum to -?[\d.e-]+, at least "
    with pytest.raises(Undefined, match=said + r"-0\.\d+, so none of them has a share$"):
        share(noise - noise.mean(), 0, None, 0.95)
    slightly_above_zero = noise - noise.mean() + 0.01
    for values in (slightly_above_zero, np.zeros((4, 400))):
        with pytest.raises(Undefined, match="loses nothing"):
            share(values, 0, None, 0.95)


def test_a_model_agrees_with_itself_and_not_with_its_reverse():
    increase, _ = squared(*drawn(0, 800, SLOPES), SLOPES, 2)
    itself, reverse = (rank_agreement(increase, other, None, 0.95) for other in (increase, increase[::-1]))
    assert (itself.low, itself.estimate, itself.high) == pytest.approx((1, 1, 1))
    assert reverse.estimate == pytest.approx(-1)
    assert reverse.high < 0
    assert reverse.p_below(0.5) < 0.01
    assert reverse.p_above(-1.0) > 0.5


def test_the_rank_correlation_is_the_one_of_scipy_ties_included():
    rng = np.random.default_rng(4)
    one, other = rng.normal(0, 1, (6, 50)), rng.normal(0, 1, (6, 50))
    one[2] = one[3] = other[1] = other[5] = 0.0
    found = rank_agreement(one, other, None, 0.95)
    assert found.estimate == pytest.approx(scipy_stats.spearmanr(one.mean(axis=1), other.mean(axis=1)).statistic)
    assert -1 <= found.low <= found.estimate <= found.high <= 1


def test_the_bounds_of_a_rank_agreement_reach_equally_far_on_both_sides():
    rng = np.random.default_rng(2)
    one, other = rng.normal(0, 1, (2, 12, 400))
    one, other = one + np.arange(12.0)[:, None] / 20, other + np.roll(np.arange(12.0), 2)[:, None] / 20
    found = rank_agreement(one, other, None, 0.95)
    below, above = found.estimate - found.low, found.high - found.estimate
    assert found.high < 1
    assert above == pytest.approx(below)


def test_groups_are_resampled_whole():
    increase, _ = squared(*drawn(0, 600, SLOPES), SLOPES, 2)
    found = rank_agreement(increase, increase, np.arange(600) % 12, 0.95)
    assert (found.n, "groups" in found.method) == (12, True)


@pytest.mark.parametrize(
    ("features", "rows", "says"),
    [
        (2, 100, "2 features, at least 3 are needed for a rank agreement"),
        (4, 9, "9 independent units, at least 10 are needed"),
        (4, 100, "all importances of a model are equal: they have no order"),
    ],
)
def test_no_rank_agreement_where_there_is_no_order(features, rows, says):
    values = np.ones((features, rows))
    # A division of zero by zero is expected, and warns nobody.
    with np.errstate(all="raise"), pytest.raises(Undefined, match=f"^{says}$"):
        rank_agreement(values, values, None, 0.95)


def test_three_features_and_ten_units_have_a_rank_agreement():
    values = np.arange(3.0)[:, None] + np.zeros((3, 10))
    found = rank_agreement(values, values, None, 0.9)
    assert (found.low, found.estimate, found.high, found.standard_error) == pytest.approx((1, 1, 1, 0))
    assert (found.n, found.level, found.method) == (10, 0.9, "Spearman, bootstrap of rows, 2,000 draws")
    # Of draws that all lie on the limit, none lies beyond it.
    assert (found.p_above(found.estimate), found.p_below(found.estimate)) == (1.0, 1.0)


def test_importances_that_hang_on_one_row_have_no_order_without_it():
    values = np.zeros((4, 100))
    values[:, 0] = [1.0, 2.0, 3.0, 4.0]
    said = "all importances of a model are equal in a resampled set of rows: too few rows carry them"
    with np.errstate(all="raise"), pytest.raises(Undefined, match=f"^{said}$"):
        rank_agreement(values, values, None, 0.95)


def agreeing(seed, rows, noise=1.0):
    """Importances of twelve features by two models, whose order chance alone makes differ."""
    rng = np.random.default_rng(seed)
    order = np.arange(12.0)[:, None] / 20
    return order + noise * rng.normal(size=(12, rows)), order + noise * rng.normal(size=(12, rows))


@pytest.mark.parametrize("rows", [200, 2_100])
def test_p_values_of_a_rank_agreement_count_the_draws_beyond_the_limit(rows):
    # With 2,100 rows the draws are made in two parts: together they are 2,000 as well.
    found = rank_agreement(*agreeing(0, rows), None, 0.95)
    assert (found.p_above(-3.0), found.p_above(3.0)) == (1 / 2001, 1.0)
    assert (found.p_below(3.0), found.p_below(-3.0)) == (1 / 2001, 1.0)
    again = rank_agreement(*agreeing(0, rows), None, 0.95)
    assert (found.low, found.high, found.standard_error) == (again.low, again.high, again.standard_error)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_bounds_of_a_rank_agreement_are_the_outer_ones_of_a_bootstrap_and_its_reflection(level):
    one, other = agreeing(3, 150)
    found = rank_agreement(one, other, None, level)
    assert found.p_above(found.low) == pytest.approx(1 - level, abs=0.02)
    rng, drawn = np.random.default_rng(7), []
    for _ in range(500):
        rows = rng.integers(0, 150, 150)
        drawn.append(scipy_stats.spearmanr(one[:, rows].sum(axis=1), other[:, rows].sum(axis=1)).statistic)
    assert found.standard_error == pytest.approx(np.std(drawn), rel=0.1)
    reflected = 2 * found.estimate - np.array(drawn)
    lows, highs = np.quantile([drawn, reflected], [1 - level, level], axis=1)
    assert abs(lows[0] - lows[1]) > 0.05, "otherwise one of both is not needed"
    assert found.low == pytest.approx(lows.min(), abs=0.03)
    assert found.high == pytest.approx(min(1, highs.max()), abs=0.03)


def test_no_bound_of_a_rank_agreement_lies_beyond_one():
    one, other = agreeing(1, 200, 0.3)
    alike, reverse = (rank_agreement(one, v, None, 0.95) for v in (other, other[::-1]))
    assert alike.low < alike.estimate < alike.high == 1.0
    assert -1.0 == reverse.low < reverse.estimate < reverse.high


def test_a_group_is_as_one_row_of_its_sum():
    rng = np.random.default_rng(5)
    values, group = rng.normal(0.5, 1, (4, 240)), np.arange(240) % 24
    sums = np.array([[v[group == g].sum() for g in range(24)] for v in values]) / 10
    for ask in (
        lambda v, g: importance(v[1], g, 0.9),
        lambda v, g: reliance(v[1], g, 0.9),
        lambda v, g: share(v, 1, g, 0.9),
    ):
        one, other = ask(values, group), ask(sums, None)
        assert (one.low, one.estimate, one.high, one.n) == pytest.approx((other.low, other.estimate, other.high, 24))
        assert (one.level, one.method) == (0.9, "influence values by group")
    one, other = (rank_agreement(v[:3], v[1:], g, 0.9) for v, g in ((values, group), (sums, None)))
    assert (one.low, one.high) == pytest.approx((other.low, other.high))
    assert one.method == "Spearman, bootstrap of groups, 2,000 draws"


def test_a_share_does_not_depend_on_the_unit_of_the_loss():
    increase, _ = squared(*drawn(0, 500, SLOPES), SLOPES, 2)
    one, other = share(increase, 0, None, 0.95), share(increase / 1e6, 0, None, 0.95)
    assert (one.low, one.estimate, one.high) == pytest.approx((other.low, other.estimate, other.high))


def test_nan_is_undefined_everywhere():
    values = np.ones((4, 100)) * np.arange(4.0)[:, None]
    values[1, 5] = np.nan
    for ask in (
        lambda: importance(values[1], None, 0.95),
        lambda: reliance(values[1], None, 0.95),
        lambda: share(values, 1, None, 0.95),
    ):
        with pytest.raises(Undefined, match=r"^the estimate or its standard error is not finite$"):
            ask()
    fine = np.ones((4, 100)) * np.arange(4.0)[:, None]
    for pair in ((values, fine), (fine, values)):
        with pytest.raises(Undefined, match=r"^an importance is not finite$"):
            rank_agreement(*pair, None, 0.95)


@pytest.mark.parametrize(("repeats", "groups"), [(1, None), (2, None), (10, None), (5, 100)])
def test_each_bound_of_an_importance_is_wrong_at_most_as_often_as_promised(repeats, groups):
    runs, n, true = 400, 600, 2.0
    low = high = 0
    for seed in range(runs):
        rng = np.random.default_rng([seed, repeats])
        noise, group = rng.normal(size=(n, 2)), None
        if groups:
            group = np.arange(n) % groups
            noise = (noise + rng.normal(size=(groups, 2))[group]) / np.sqrt(2)
        x, y = noise[:, :1], noise.sum(axis=1)
        try:
            found = importance(squared(x, y, np.array([1.0]), repeats)[0][0], group, 0.95)
        except Undefined:  # a few groups carry it: no bound, and so no wrong one
            continue
        low, high = low + (found.low > true), high + (found.high < true)
    for wrong in (low, high):
        assert scipy_stats.binomtest(wrong, runs, 0.05, alternative="greater").pvalue > 0.001, (low, high)


def test_the_rows_of_a_loss_table_alone_promise_too_much():
    """Why `per_row` adds what a row causes: without it, the error at ten repeats is far beyond the promise."""
    runs, n, wrong = 200, 500, 0
    for seed in range(runs):
        x, y = drawn(seed, n, np.array([3.0]))
        permutation_source = [donors(n, 0, r) for r in range(10)]
        plain = np.mean([np.square(y - 3 * x[d, 0]) for d in permutation_source], axis=0) - np.square(y - 3 * x[:, 0])
        found = importance(plain, None, 0.95)
        wrong += not found.low <= 18.0 <= found.high
    assert scipy_stats.binomtest(wrong, runs, 0.10, alternative="greater").pvalue < 1e-6, wrong
