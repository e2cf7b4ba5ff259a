"""Shares of rows in bins: hand values, the formulas of scipy and statsmodels, and one thing changed at a time."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.proportion import proportion_confint

from weighin.stats.intervals import Undefined
from weighin.stats.shares import LARGE, Error, Shares, between, solve

Z95 = scipy_stats.norm.ppf(0.95)
ROOM = (2 * Z95**2 + 1) / 3
"""Standard errors by which a bound moves for each unit of skewness: 2 z^2 + 1, over 6, times the attenuation of 2."""


def uneven():
    """Ten groups of 8 to 12 rows in three bins, and one more without rows."""
    table = np.random.default_rng(3).multinomial(10, [0.5, 0.3, 0.2], size=10).astype(float)
    table[0, 0] += 2
    table[1, 1] += 1
    return np.vstack([table, np.zeros(3)])


# --- the error of a number


def test_errors_of_independent_numbers_add_up():
    one, other = Error(1.0, 2.0, 3.0, 4, False), Error(10.0, 20.0, 30.0, 40, False)
    assert one + other == Error(11.0, 22.0, 33.0, 44, False)
    assert (one + replace(other, grouped=True)).grouped
    assert (replace(one, grouped=True) + other).grouped


def test_a_bound_of_independent_rows_is_a_normal_quantile():
    assert Error(4.0, 0.0, 9.0, 20, False).reach(0.95) == pytest.approx((Z95, Z95))


def test_a_bound_of_groups_is_a_quantile_of_students_t():
    t = scipy_stats.t.ppf(0.95, 19)
    assert Error(4.0, 0.0, 0.0, 20, True).reach(0.95) == pytest.approx((t, t))
    assert Error(4.0, 0.0, -5.0, 20, True).reach(0.95) == pytest.approx((t, t))


@pytest.mark.parametrize(("spread", "freedom"), [(4.0, 8.0), (1.0, 19.0), (64.0, 1.0), (12.8, 2.5)])
def test_squares_that_vary_leave_fewer_degrees_of_freedom(spread, freedom):
    t = scipy_stats.t.ppf(0.95, freedom)
    assert Error(4.0, 0.0, spread, 20, True).reach(0.95) == pytest.approx((t, t))


def test_the_spread_of_small_squares_counts_as_well():
    t = scipy_stats.t.ppf(0.95, 5)
    assert Error(0.5, 0.0, 0.1, 20, True).reach(0.95) == pytest.approx((t, t))


@pytest.mark.parametrize("grouped", [False, True])
def test_the_bound_on_the_longer_side_moves_out(grouped):
    # A third moment of 4 at a variance of 4 is a skewness of 4 / 4^1.5 = 0.5.
    error = Error(4.0, 4.0, 0.0, 20, grouped)
    quantile = scipy_stats.t.ppf(0.95, 19) if grouped else Z95
    assert error.reach(0.95) == pytest.approx((quantile, quantile + 0.5 * ROOM))
    assert replace(error, third=-4.0).reach(0.95) == pytest.approx((quantile + 0.5 * ROOM, quantile))


def test_at_an_even_level_nothing_is_added_and_below_it_a_bound_lies_on_the_other_side():
    error = Error(4.0, 4.0, 0.0, 20, False)
    assert error.reach(0.5) == pytest.approx((0.0, 0.0), abs=1e-12)
    assert error.reach(0.05) == pytest.approx((-Z95, -Z95))
    assert error.reach(0.501)[1] > 0.16


def test_a_number_without_variance_has_no_reach():
    assert Error(0.0, 4.0, 1.0, 20, False).reach(0.95) == (0.0, 0.0)
    assert Error(1e-100, 0.0, 0.0, 20, False).reach(0.95) == pytest.approx((Z95, Z95))


# --- shares


def test_shares_of_independent_rows():
    found = Shares.of(np.array([30.0, 50.0, 20.0, 0.0]), False)
    assert (found.rows, found.units, found.residual, found.size) == (100.0, 100, None, None)
    assert found.counts.tolist() == [30.0, 50.0, 20.0, 0.0]
    assert found.share.tolist() == [0.3, 0.5, 0.2, 0.0]
    assert found.variance == pytest.approx([0.0021, 0.0025, 0.0016, 0.0])


def test_rows_of_a_table_are_added_up_where_they_are_no_groups():
    whole, parts = Shares.of(np.array([30.0, 70.0]), False), Shares.of(np.array([[10.0, 60.0], [20.0, 10.0]]), False)
    assert parts.counts.tolist() == whole.counts.tolist()
    assert parts.variance.tolist() == whole.variance.tolist()


def test_the_variance_by_groups_of_one_size_is_that_of_the_mean_of_their_shares():
    hits = np.array([0.0, 1, 9, 10, 5, 5, 2, 8, 3, 7])
    found = Shares.of(np.column_stack([hits, 10 - hits]), True)
    expected = np.var(hits / 10, ddof=1) / 10
    assert found.variance == pytest.approx([expected, expected])
    assert found.residual[:, 0] == pytest.approx((hits - 5) / 100)
    assert found.size == pytest.approx(np.full(10, 0.1))
    assert (found.units, found.rows) == (10, 100.0)


def test_groups_of_several_sizes_count_by_their_rows():
    table = uneven()
    found = Shares.of(table, True)
    held = table[:10]
    rows = held.sum()
    assert found.counts.tolist() == held.sum(axis=0).tolist()
    assert found.share == pytest.approx(held.sum(axis=0) / rows)
    assert found.size == pytest.approx(held.sum(axis=1) / rows)
    assert found.residual == pytest.approx((held - held.sum(axis=1, keepdims=True) * found.share) / rows)
    assert found.residual.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-15)


def test_groups_that_agree_more_than_chance_allows_count_as_independent_rows():
    found = Shares.of(np.tile([3.0, 7.0], (10, 1)), True)
    assert found.variance == pytest.approx([0.0021, 0.0021])


def test_a_group_of_one_row_is_a_group():
    found = Shares.of(np.array([[1.0, 0.0]] * 4 + [[0.0, 1.0]] * 6), True)
    assert (found.units, found.rows) == (10, 10.0)
    assert found.variance == pytest.approx([0.24 / 9, 0.24 / 9])


def test_counts_that_are_whole_numbers_become_floating_point_numbers():
    found = Shares.of(np.array([30, 70]), False)
    assert found.counts.dtype == np.float64


def test_a_group_without_rows_is_no_group():
    ten = np.tile([3.0, 7.0], (10, 1))
    assert Shares.of(np.vstack([ten, np.zeros((5, 2))]), True).units == 10
    with pytest.raises(Undefined, match=r"^9 groups, at least 10 are needed$"):
        Shares.of(np.vstack([ten[:9], np.zeros((5, 2))]), True)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([5.0, -1.0], r"^counts that are negative or not finite$"),
        ([5.0, np.nan], r"^counts that are negative or not finite$"),
        ([5.0, np.inf], r"^counts that are negative or not finite$"),
        ([0.0, 0.0], r"^a table without rows$"),
    ],
)
def test_counts_that_are_none_are_undefined(table, message):
    with pytest.raises(Undefined, match=message):
        Shares.of(np.array(table), False)


def test_a_count_of_zero_and_one_row_are_a_table():
    assert Shares.of(np.array([1.0, 0.0]), False).share.tolist() == [1.0, 0.0]


# --- design effect


def test_independent_rows_have_a_design_effect_of_one():
    assert Shares.of(np.array([30.0, 50.0, 20.0, 0.0]), False).effect() == pytest.approx(1.0)


def test_groups_whose_rows_are_equal_count_as_one_row_each():
    hits = np.array([10.0] * 4 + [0.0] * 6)
    third = np.array([0.0] * 4 + [10.0] * 3 + [0.0] * 3)
    # Ten rows count as one, and the variance of ten groups has nine degrees of freedom.
    assert Shares.of(np.column_stack([hits, 10 - hits]), True).effect() == pytest.approx(100 / 9)
    assert Shares.of(np.column_stack([hits, third, 10 - hits - third]), True).effect() == pytest.approx(100 / 9)


def test_a_bin_without_rows_does_not_count_in_the_design_effect():
    hits = np.array([10.0] * 4 + [0.0] * 6)
    table = Shares.of(np.column_stack([hits, np.zeros(10), 10 - hits]), True)
    assert table.effect() == pytest.approx(100 / 9)


def test_one_bin_has_a_design_effect_of_one():
    only = Shares.of(np.column_stack([np.full(10, 5.0), np.zeros(10)]), True)
    assert only.effect() == 1.0
    assert replace(only, variance=np.array([1.0, 1.0])).effect() == 1.0


def test_a_design_effect_is_never_below_one():
    table = Shares.of(np.array([30.0, 70.0]), False)
    assert replace(table, variance=table.variance / 4).effect() == 1.0
    assert replace(table, variance=table.variance * 4).effect() == pytest.approx(4.0)


# --- the error of a weighted sum


def test_the_error_of_one_share_has_the_moments_of_a_bernoulli_variable():
    found = Shares.of(np.array([30.0, 70.0]), False).error(np.array([1.0, 0.0]))
    third = 0.3 * 0.7**3 - 0.7 * 0.3**3
    fourth = 0.3 * 0.7**4 + 0.7 * 0.3**4
    assert (found.variance, found.third) == pytest.approx((0.0021, third / 100**2))
    assert found.spread == pytest.approx(fourth / 100**3 - 0.0021**2 / 100)
    assert (found.units, found.grouped) == (100, False)


def test_a_constant_added_to_the_weights_changes_no_error():
    table = Shares.of(np.array([30.0, 50.0, 20.0]), False)
    one, other = table.error(np.array([1.0, 2.0, 4.0])), table.error(np.array([8.0, 9.0, 11.0]))
    assert (one.variance, one.third, one.spread) == pytest.approx((other.variance, other.third, other.spread))


def test_the_error_of_groups_is_that_of_their_residuals():
    hits = np.array([0.0, 1, 9, 10, 5, 5, 2, 8, 3, 7])
    table = Shares.of(np.column_stack([hits, 10 - hits]), True)
    assert table.error(np.array([2.0, 0.0])) == between(table.residual @ np.array([2.0, 0.0]))
    assert table.error(np.array([2.0, 0.0])).variance == pytest.approx(4 * np.var(hits / 10, ddof=1) / 10)


def test_the_error_of_groups_is_not_below_that_of_rows():
    table = Shares.of(np.column_stack([np.array([3.0] * 9 + [4.0]), np.array([7.0] * 9 + [6.0])]), True)
    weights = np.array([2.0, 0.0])
    found, plain = table.error(weights), between(table.residual @ weights)
    assert found.variance == pytest.approx(4 * 0.31 * 0.69 / 100)
    assert plain.variance < found.variance / 10
    assert (found.third, found.spread, found.units, found.grouped) == (plain.third, plain.spread, 10, True)


# --- leaving out one group


def test_the_jackknife_gives_the_shares_without_each_group_and_efron_and_steins_variance():
    table = uneven()
    held = table[:10]
    left = np.array([np.delete(held, i, axis=0).sum(axis=0) for i in range(10)])
    left /= left.sum(axis=1, keepdims=True)
    given = []

    def squared(shares):
        given.append(shares)
        return shares[:, 0] ** 2

    found = Shares.of(table, True).jackknife(squared)
    assert given[0] == pytest.approx(left)
    values = left[:, 0] ** 2
    parts = (values.mean() - values) * 0.9
    assert found.variance == pytest.approx(0.9 * np.square(values - values.mean()).sum())
    assert found.third == pytest.approx((parts**3).sum())
    assert found.spread == pytest.approx((parts**4).sum() - (parts**2).sum() ** 2 / 10)
    assert (found.units, found.grouped) == (10, True)


def test_the_jackknife_of_a_sum_over_groups_of_one_size_is_its_error():
    hits = np.array([0.0, 1, 9, 10, 5, 5, 2, 8, 3, 7])
    table = Shares.of(np.column_stack([hits, 10 - hits]), True)
    found, slope = table.jackknife(lambda shares: shares[:, 0]), table.error(np.array([1.0, 0.0]))
    assert (found.variance, found.third) == pytest.approx((slope.variance, slope.third), abs=1e-15)


def test_the_jackknife_has_no_negative_share():
    table = np.column_stack([np.zeros(10), np.full(10, 7.0)])
    table[3, 0] = 1e-17
    seen = []
    Shares.of(table, True).jackknife(lambda shares: seen.append(shares) or shares[:, 0])
    assert seen[0].min() == 0.0


def test_independent_rows_have_no_jackknife():
    table = Shares.of(np.array([30.0, 70.0]), False)
    assert table.jackknife(lambda shares: shares[:, 0]) is None
    grouped = Shares.of(np.tile([3.0, 7.0], (10, 1)), True)
    assert replace(grouped, size=None).jackknife(lambda shares: shares[:, 0]) is None
    assert replace(grouped, residual=None).jackknife(lambda shares: shares[:, 0]) is None


# --- limits


def test_limits_of_independent_rows_are_those_of_clopper_and_pearson():
    counts = np.array([0.0, 1.0, 30.0, 69.0])
    low, high = Shares.of(counts, False).limits(0.95)
    expected = [proportion_confint(k, 100, 0.1, "beta") for k in counts]
    assert low == pytest.approx([e[0] for e in expected])
    assert high == pytest.approx([e[1] for e in expected])
    assert low[0] == 0.0


def test_the_limits_of_a_bin_with_all_rows_end_at_one():
    low, high = Shares.of(np.array([59.0, 0.0]), False).limits(0.95)
    assert (low[0], high[0]) == pytest.approx((0.05 ** (1 / 59), 1.0))
    assert (low[1], high[1]) == pytest.approx((0.0, 1 - 0.05 ** (1 / 59)))


def test_at_an_even_level_limits_are_the_share():
    for level in (0.5, 0.3):
        low, high = Shares.of(np.array([30.0, 70.0]), False).limits(level)
        assert low.tolist() == high.tolist() == [0.3, 0.7]
    low, high = Shares.of(np.array([30.0, 70.0]), False).limits(0.51)
    assert low[0] < 0.3 < high[0]


def effective(table, bin_, level, effect):
    """statsmodels' limits of a bin, with the effective number of rows of Korn and Graubard."""
    widen = (scipy_stats.t.ppf(level, table.units - 1) / scipy_stats.norm.ppf(level)) ** 2
    rows = table.rows / max(1.0, effect * widen)
    return proportion_confint(table.share[bin_] * rows, rows, 2 * (1 - level), "beta")


def test_limits_of_groups_have_the_effective_rows_of_each_bin():
    hits = np.array([10.0] * 4 + [0.0] * 6)
    rest = 40 - hits
    table = Shares.of(np.column_stack([hits, rest / 4, rest * 3 / 4]), True)
    effects = table.variance / (table.share * (1 - table.share) / table.rows)
    assert effects[0] > 2 * effects[1]
    low, high = table.limits(0.95)
    for bin_ in range(3):
        assert (low[bin_], high[bin_]) == pytest.approx(effective(table, bin_, 0.95, effects[bin_]))


def test_groups_never_give_closer_limits_than_rows():
    few = Shares.of(np.tile([3.0, 7.0], (10, 1)), True)
    narrow = replace(few, variance=few.variance / 4)
    assert narrow.limits(0.95)[0] == pytest.approx(Shares.of(np.array([30.0, 70.0]), False).limits(0.95)[0])


def test_a_bin_without_rows_takes_the_design_effect_of_the_other_table():
    empty = Shares.of(np.column_stack([np.zeros(10), np.full(10, 10.0)]), True)
    hits = np.array([3.0, 1, 0, 2, 0, 4, 0, 0, 5, 0])
    held = Shares.of(np.column_stack([hits, 10 - hits]), True)
    effect = held.variance[0] / (held.share[0] * (1 - held.share[0]) / 100)
    assert effect > 1.5
    _, high = empty.limits(0.95, held)
    assert high[0] == pytest.approx(effective(empty, 0, 0.95, effect)[1])


def test_a_bin_with_rows_keeps_its_own_design_effect():
    table = Shares.of(uneven(), True)
    wild = Shares.of(np.column_stack([np.array([10.0] * 4 + [0.0] * 6)] * 3) + 1, True)
    assert table.limits(0.95, wild)[0] == pytest.approx(table.limits(0.95)[0])


def test_where_no_table_knows_the_design_effect_a_group_counts_as_one_row():
    empty = Shares.of(np.column_stack([np.zeros(10), np.full(10, 10.0)]), True)
    rows = Shares.of(np.array([5.0, 95.0]), False)
    for other in (None, empty, rows):
        low, high = empty.limits(0.95, other)
        assert (low[0], high[0]) == pytest.approx((0.0, 1 - 0.05 ** (1 / 10)))
        assert (low[1], high[1]) == pytest.approx((0.05 ** (1 / 10), 1.0))


def test_independent_rows_take_no_design_effect_from_groups():
    rows = Shares.of(np.array([0.0, 100.0]), False)
    grouped = Shares.of(np.column_stack([np.array([10.0] * 4 + [0.0] * 6), np.full(10, 3.0)]), True)
    assert rows.limits(0.95, grouped)[1] == pytest.approx(rows.limits(0.95)[1])


# --- sums by group, and noncentrality


def test_the_moments_of_sums_by_group():
    found = between(np.array([3.0, -1, -1, -1, 0, 0, 0, 0, 0, 0]))
    assert (found.variance, found.third, found.spread) == pytest.approx((10 / 9 * 12, 24.0, 84 - 12**2 / 10))
    assert (found.units, found.grouped) == (10, True)


@pytest.mark.parametrize("probability", [0.95, 0.5, 0.05, 1e-9])
@pytest.mark.parametrize("freedom", [0.5, 1.0, 7.0])
@pytest.mark.parametrize("statistic", [30.0, 900.0, 90_000.0])
def test_the_noncentrality_gives_the_statistic_its_probability(probability, freedom, statistic):
    found = solve(probability, statistic, freedom)
    assert scipy_stats.ncx2.cdf(statistic, freedom, found) == pytest.approx(probability, rel=1e-4)


def test_a_statistic_that_chance_makes_as_small_has_no_noncentrality():
    limit = float(scipy_stats.chi2.ppf(0.95, 3))
    assert solve(0.95, limit * 0.999, 3.0) == 0.0
    assert 0 < solve(0.95, limit * 1.001, 3.0) < 0.02
    assert solve(0.5, 0.0, 3.0) == solve(0.5, -1.0, 3.0) == 0.0


def test_a_large_statistic_is_the_square_of_a_normal_variable():
    assert solve(0.5, 4 * LARGE, 1.0) == pytest.approx(4 * LARGE)
    assert solve(0.95, 4 * LARGE, 1.0) == pytest.approx((2000 - Z95) ** 2, rel=1e-12)
    assert solve(0.05, 4 * LARGE, 1.0) == pytest.approx((2000 + Z95) ** 2, rel=1e-12)
    assert solve(0.95, LARGE, 1.0) == pytest.approx(solve(0.95, math.nextafter(LARGE, 2 * LARGE), 1.0), rel=1e-6)


def test_a_bin_without_rows_is_not_divided_by():
    empty = Shares.of(np.column_stack([np.zeros(10), np.full(10, 10.0)]), True)
    with np.errstate(all="raise"):
        low, high = empty.limits(0.95)
    assert np.isfinite([low, high]).all()


def test_a_statistic_below_one_may_have_a_noncentrality():
    assert scipy_stats.ncx2.cdf(0.8, 1.0, solve(0.5, 0.8, 1.0)) == pytest.approx(0.5)
