"""Intervals of one number: scipy's and statsmodels' intervals, closed forms, and where there is none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from weighin.stats.intervals import (
    Interval,
    PerfectScore,
    Powers,
    Undefined,
    clopper_pearson,
    difference_of_samples,
    difference_of_shares,
    from_influence,
    from_powers,
    magnitude,
    median,
    must_be_carried_by_many,
    must_not_be_skewed,
    p_without_variation,
    unit_sums,
    unseen,
    without_rounding,
)


def mean(values, group=None, level=0.95):
    return from_influence(values.mean(), (values - values.mean()) / len(values), group, level)


def ends(found):
    return found.low, found.estimate, found.high


def known(estimate, below, above, level=0.95, n=50, error=0.1):
    """An interval that reaches so far to each side."""
    return Interval(estimate, estimate - below, estimate + above, level, n, error, "any")


# --- influence values


@pytest.mark.parametrize("level", [0.6, 0.95, 0.999])
def test_the_mean_of_signs_has_the_interval_and_the_p_values_of_a_t_test(level):
    # Balanced signs are not skewed and have equal squares: Student's t with n - 1 degrees of freedom.
    values = np.tile([1.0, -1.0], 10) + 3
    found = mean(values, level=level)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(2 * level - 1)
    assert ends(found) == pytest.approx((expected.low, 3.0, expected.high))
    assert (found.level, found.n, found.method) == (level, 20, "influence values")
    assert found.standard_error == pytest.approx(stats.sem(values))
    for limit in (2.5, 3.0, 3.2):
        greater, less = (stats.ttest_1samp(values, limit, alternative=a).pvalue for a in ("greater", "less"))
        assert (found.p_above(limit), found.p_below(limit)) == (pytest.approx(greater), pytest.approx(less))


@pytest.mark.parametrize(("carriers", "units"), [(2, 10), (20, 2_000), (8, 10)])
def test_units_that_carry_nothing_do_not_count_as_degrees_of_freedom(carriers, units):
    # k of n units with squares that are equal, the others zero: the squares of a sample so vary as those of 2k / (1 -
    # k / n) normal variables, and n - 1 are the most there are.
    influence = np.zeros(units)
    influence[:carriers] = np.tile([0.01, -0.01], carriers // 2)
    found = from_influence(1.0, influence, None, 0.95)
    freedom = min(2 * carriers / (1 - carriers / units), units - 1)
    error = 0.01 * math.sqrt(carriers * units / (units - 1))
    reach = stats.t.ppf(0.95, freedom) * error
    assert ends(found) == pytest.approx((1 - reach, 1.0, 1 + reach))
    assert found.p_above(0.98) == pytest.approx(stats.t.sf(0.02 / error, freedom))
    assert found.p_below(1.03) == pytest.approx(stats.t.cdf(-0.03 / error, freedom))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_bound_on_the_long_side_moves_out_by_twice_the_first_term_of_the_expansion(sign):
    values = sign * np.random.default_rng(0).exponential(size=80)
    found = mean(values, level=0.9)
    z, n, error = stats.norm.ppf(0.9), 80, stats.sem(values)
    # The squares vary as those of 2n / (kurtosis - 1) normal variables.
    freedom = min(n - 1, 2 * n / (stats.kurtosis(values, fisher=False) - 1))
    reach = stats.t.ppf(0.9, freedom) * error
    moved = abs(stats.skew(values)) / math.sqrt(n) / 3 * (2 * z * z + 1) * error
    short, long = (found.estimate - found.low, found.high - found.estimate)[::sign]
    assert (short, long) == (pytest.approx(reach), pytest.approx(reach + moved))
    for limit, p in ((found.low, found.p_above), (found.high, found.p_below)):
        assert p(limit) == pytest.approx(0.1)


def test_groups_are_units_as_in_cluster_robust_regression():
    rng = np.random.default_rng(1)
    group = rng.integers(0, 25, 400)
    values = rng.normal(size=400) + rng.normal(size=25)[group]
    fitted = sm.OLS(values, np.ones(400)).fit(cov_type="cluster", cov_kwds={"groups": group})
    found = mean(values, group)
    assert found.standard_error == pytest.approx(fitted.bse[0])
    assert (found.n, found.method) == (25, "influence values by group")
    sums = np.array([((values - values.mean()) / 400)[group == g].sum() for g in range(25)])
    assert ends(found) == ends(from_influence(values.mean(), sums, None, 0.95))


def test_no_variation_is_an_interval_of_no_width_that_inverts_no_test():
    found = from_influence(0.25, np.zeros(10), None, 0.9)
    assert found == Interval(0.25, 0.25, 0.25, 0.9, 10, 0.0, "influence values")
    assert (found.p_above(0.1), found.p_below(0.1)) == (None, None)


def test_ten_units_are_enough_and_fewer_are_not():
    assert from_influence(0.0, np.tile([1.0, -1.0], 5), None, 0.95).n == 10
    nine = np.append(np.tile([1.0, -1.0], 4), 0.0)
    for influence, group in ((nine, None), (np.repeat(nine, 3), np.repeat(np.arange(9), 3))):
        with pytest.raises(Undefined, match=r"^9 independent units, at least 10 are needed$"):
            from_influence(0.0, influence, group, 0.95)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_has_no_interval(bad):
    said = r"^the estimate or its standard error is not finite$"
    for estimate, influence in ((bad, np.tile([1.0, -1.0], 5)), (0.0, np.append(np.ones(9), bad))):
        with pytest.raises(Undefined, match=said):
            from_influence(estimate, influence, None, 0.95)


def test_rows_that_cancel_within_every_group_say_nothing():
    influence, group = np.tile([0.1, -0.1], 20), np.repeat(np.arange(20), 2)
    with pytest.raises(
        Undefined, match=r"^rows differ, and the groups of them do not: nothing says how sure the number is$"
    ):
        from_influence(0.5, influence, group, 0.95)
    # Without any difference between rows there is nothing to doubt.
    assert from_influence(0.5, np.zeros(40), group, 0.95).high == 0.5


def test_sums_of_powers_are_those_of_the_values():
    assert Powers.of(np.array([1.0, -2.0, 3.0])) == Powers(3, 14.0, 20.0, 98.0)
    values = np.random.default_rng(2).exponential(size=30) - 1
    one, other = from_powers(0.5, Powers.of(values), 0.9, "so"), from_influence(0.5, values, None, 0.9)
    assert (ends(one), one.method) == (ends(other), "so")


# --- rounding


def test_sums_by_group_are_plain_sums():
    assert unit_sums(np.array([1.0, 2.0, 4.0]), None).tolist() == [1.0, 2.0, 4.0]
    assert unit_sums(np.array([1.0, 2.0, 4.0]), np.array([1, 0, 1])).tolist() == [2.0, 5.0]


@pytest.mark.parametrize(("trace", "units", "kept"), [(0.9, 10, False), (1.1, 10, True), (0.9, 9, True)])
def test_sums_by_group_that_rounding_leaves_are_zero(trace, units, kept):
    # Each group has 1 and -1, so that the absolute values sum to 2 * units; one group has a trace beside.
    influence, group = np.tile([1.0, -1.0], units), np.repeat(np.arange(units), 2)
    influence[0] += trace * 1e-9 * 2
    assert np.any(unit_sums(influence, group)) == kept


@pytest.mark.parametrize("sign", [1, -1])
def test_values_that_rounding_leaves_are_zero(sign):
    influence = np.zeros(100)
    influence[3] = sign * 1e-11
    assert not np.any(without_rounding(influence, 1.0))
    for scale in (0.99, 0.0):
        assert without_rounding(influence, scale).tolist() == influence.tolist()
    assert without_rounding(np.empty(0), 1.0).tolist() == []
    assert np.isnan(without_rounding(np.array([0.0, math.nan]), 1.0)).any()


# --- too few that carry the variation


def carried(carriers, groups, sign=1.0):
    """Influence of two rows in each group: some groups with sums that are equal, the others with none."""
    sums = np.where(np.arange(groups) < carriers, sign, 0.0)
    return np.repeat(sums / 2, 2), np.repeat(np.arange(groups), 2)


def test_few_groups_of_many_that_carry_the_variation_are_refused():
    must_be_carried_by_many(*carried(9, 54))
    with pytest.raises(
        Undefined,
        match=r"^a few of 55 groups carry the variation, as if there were 9: no usable interval$",
    ):
        must_be_carried_by_many(*carried(9, 55))
    must_be_carried_by_many(*carried(10, 1_000))
    # Rows that depend on nothing are no groups, and groups that are all alike carry nothing.
    must_be_carried_by_many(carried(1, 1_000)[0], None)
    must_be_carried_by_many(*carried(0, 20))


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("grouped", [True, False])
def test_a_mean_of_few_that_are_much_larger_is_refused(sign, grouped):
    def asked(carriers):
        influence, group = carried(carriers, 40, sign / 100)
        must_not_be_skewed(*(influence, group) if grouped else (influence[::2], None))

    # Of k equal values among zeros the skewness is 1 / sqrt(k): a quarter for 16.
    asked(16)
    asked(0)
    with pytest.raises(
        Undefined,
        match=r"^a few of 40 units are so much larger than the rest that their mean has no usable interval: "
        r"limit a share instead, such as that of answers beyond a length$",
    ):
        asked(15)


# --- counts


@pytest.mark.parametrize(("units", "level"), [(10, 0.95), (60, 0.95), (60, 0.9)])
def test_what_no_unit_shows_may_still_be_there(units, level):
    found, wide = unseen(0.5, units, level), unseen(0.5, units, level, 2.0)
    reach = 1 - (1 - level) ** (1 / units)
    assert ends(found) == pytest.approx((0.5 - reach, 0.5, 0.5 + reach))
    assert ends(wide) == pytest.approx((0.5 - 2 * reach, 0.5, 0.5 + 2 * reach))
    assert (found.level, found.n, found.standard_error, found.tests) == (level, units, 0.0, ())
    assert found.method == "no unit differs: exact bound of none"


def test_nine_units_show_nothing_at_all():
    with pytest.raises(Undefined, match=r"^9 independent units, at least 10 are needed$"):
        unseen(0.5, 9, 0.95)


@pytest.mark.parametrize(("distance", "p"), [(0.25, 0.75**7), (0.0, 1.0), (-0.1, 1.0), (1.0, 0.0), (1.5, 0.0)])
def test_a_limit_is_missed_by_all_units_with_the_probability_of_that(distance, p):
    assert p_without_variation(distance, 7) == p


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (0, 59), (1, 59), (30, 59), (58, 59), (59, 59)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_an_exact_interval_is_that_of_statsmodels_and_its_p_values_are_those_of_scipy(hits, n, level):
    found = clopper_pearson(hits, n, level)
    low, high = proportion_confint(hits, n, 2 * (1 - level), "beta")
    assert ends(found) == pytest.approx((low, hits / n, high), abs=1e-12)
    assert found.standard_error == pytest.approx(math.sqrt(hits * (n - hits) / n**3))
    assert (found.level, found.n, found.method) == (level, n, "Clopper-Pearson")
    for limit in (0.01, 0.5, 0.97):
        above, below = (stats.binomtest(hits, n, limit, a).pvalue for a in ("greater", "less"))
        assert (found.p_above(limit), found.p_below(limit)) == (pytest.approx(above), pytest.approx(below))


@pytest.mark.parametrize("n", [0, -1])
def test_no_trials_have_no_share(n):
    with pytest.raises(Undefined, match=r"^no trials$"):
        clopper_pearson(0, n, 0.95)


# --- differences, magnitudes, medians


def test_a_difference_reaches_as_far_as_both_bounds_squared_and_added():
    # The lower bound is as far off as one's lower and the other's upper bound: 3-4-5 and 5-12-13.
    found = difference_of_samples(known(1.0, 3.0, 5.0, n=50, error=0.3), known(7.0, 12.0, 4.0, n=8, error=0.4))
    assert ends(found) == (-6.0 - 5.0, -6.0, -6.0 + 13.0)
    assert (found.n, found.standard_error, found.tests) == (58, 0.5, ())
    assert (found.level, found.method) == (0.95, "MOVER, independent samples")
    for levels in ((0.9, 0.95), (0.95, 0.9)):
        assert difference_of_samples(*(known(0.0, 1.0, 1.0, level) for level in levels)).level == 0.9


def test_a_difference_of_shares_names_its_method():
    one, other = clopper_pearson(30, 100, 0.95), clopper_pearson(20, 80, 0.95)
    found, plain = difference_of_shares(one, other), difference_of_samples(one, other)
    assert ends(found) == ends(plain)
    assert found.method == "MOVER over Clopper-Pearson limits"


@pytest.mark.parametrize("sign", [1, -1])
def test_a_magnitude_below_a_limit_is_equivalence_by_two_one_sided_tests(sign):
    below, above = (1.0, 2.0)[::sign]
    found = magnitude(known(sign * 3.0, below, above))
    assert ends(found) == (2.0, 3.0, 5.0)
    assert (found.n, found.level, found.method) == (50, 0.95, "any")
    # By the distance to the bound that lies nearer to zero, 1.0 at a level of 95 %.
    z = stats.norm.ppf(0.95)
    for limit in (0.5, 2.0, 3.0, 4.5):
        assert found.p_above(limit) == pytest.approx(stats.norm.sf((3 - limit) * z))
        assert found.p_below(limit) == pytest.approx(stats.norm.cdf((3 - limit) * z))


@pytest.mark.parametrize(
    ("estimate", "below", "above", "low", "high"),
    [(1.0, 2.0, 2.0, 0.0, 3.0), (-1.0, 2.0, 2.0, 0.0, 3.0), (1.0, 1.0, 2.0, 0.0, 3.0), (-1.0, 2.0, 1.0, 0.0, 3.0)],
)
def test_a_magnitude_of_what_may_be_zero_may_be_zero(estimate, below, above, low, high):
    assert ends(magnitude(known(estimate, below, above))) == (low, 1.0, high)


def test_a_magnitude_does_not_depend_on_the_unit():
    found, thousandth = magnitude(known(3.0, 1.0, 2.0)), magnitude(known(0.003, 0.001, 0.002))
    assert thousandth.p_above(0.0025) == pytest.approx(found.p_above(2.5))
    assert ends(thousandth) == pytest.approx((0.002, 0.003, 0.005))


def test_a_magnitude_without_width_is_certain():
    found = magnitude(known(-2.0, 0.0, 0.0))
    assert ends(found) == (2.0, 2.0, 2.0)
    assert [found.p_above(limit) for limit in (1.0, 3.0)] == [0.0, 1.0]
    assert [found.p_below(limit) for limit in (1.0, 3.0)] == [1.0, 0.0]


@pytest.mark.parametrize("n", [5, 20, 101])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_a_median_has_the_order_statistics_of_the_sign_test(n, level):
    values = np.random.default_rng(n).permutation(np.arange(float(n)) ** 2)
    found = median(values, level)
    lower = stats.quantile_test(values, q=0, p=0.5, alternative="greater").confidence_interval(level).low
    upper = stats.quantile_test(values, q=0, p=0.5, alternative="less").confidence_interval(level).high
    assert ends(found) == (lower, np.median(values), upper)
    assert (found.level, found.n, found.method) == (level, n, "order statistics")
    assert found.standard_error == pytest.approx((upper - lower) / 2 / stats.norm.ppf(level))
    # scipy's null hypothesis names the quantile, ours the limit: both count values on the limit against themselves.
    for limit in (values[0], found.estimate + 0.5, -1.0, float(n**2)):
        above, below = (stats.quantile_test(values, q=limit, p=0.5, alternative=a).pvalue for a in ("greater", "less"))
        assert (found.p_above(limit), found.p_below(limit)) == (pytest.approx(above), pytest.approx(below))


def test_four_values_have_no_interval_of_a_median():
    # Half to the fifth is 3 %, to the fourth 6 %.
    assert median(np.arange(5.0), 0.95).n == 5
    for n in (4, 0):
        with pytest.raises(Undefined, match=rf"^{n} rows are too few for an interval of a median$"):
            median(np.arange(float(n)), 0.95)


def test_a_perfect_score_is_undefined_and_a_wider_bound_has_the_larger_p_value():
    assert issubclass(PerfectScore, Undefined)
    tests = (lambda limit, upper: 0.2, lambda limit, upper: 0.5 if upper else 0.1)
    wider_of_two = Interval(0.0, -1.0, 1.0, 0.95, 9, 0.5, "any", tests)
    assert (wider_of_two.p_above(0.0), wider_of_two.p_below(0.0)) == (0.5, 0.2)
    # A test that knows no p-value at a limit leaves none, however small those of the others are.
    unknown = replace(wider_of_two, tests=(*tests, lambda limit, upper: None if upper else 0.3))
    assert (unknown.p_above(0.0), unknown.p_below(0.0)) == (None, 0.3)
