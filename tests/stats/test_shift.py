"""Shift of a mean and of a share: hand values, laws, and how often their bounds are wrong."""

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.proportion import proportion_confint

from weighin.stats.intervals import Undefined, clopper_pearson, difference_of_shares
from weighin.stats.shift import mean_shift, share_shift

RUNS = 300
MOST = scipy_stats.binom.ppf(1 - 1e-4, RUNS, 0.05)


def moments(values, group=None):
    powers = np.column_stack([np.ones_like(values), values, values**2])
    if group is None:
        return powers.sum(axis=0)
    return np.column_stack([np.bincount(group, weights=w) for w in powers.T])


def test_a_shift_is_measured_in_standard_deviations_of_the_reference():
    reference, current = np.array([1.0, 3.0, 5.0]), np.array([5.0, 6.0, 10.0, 7.0])
    assert mean_shift(moments(reference), moments(current), 0.95).estimate == pytest.approx((7 - 3) / 2)


def test_bounds_against_a_known_reference_are_those_of_the_one_sample_t():
    rng = np.random.default_rng(0)
    values = rng.normal(1.0, 1.0, 25)
    found = mean_shift(np.array([1e14, 0.0, 1e14]), moments(values), 0.95)
    low, high = scipy_stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    # Wider by the room for skewness: 2 / 6 / sqrt(25) * (2 * 1.645**2 + 1) standard errors.
    room = 0.427 * values.std(ddof=1) / 5
    assert (found.low, found.high) == pytest.approx((low - room, high + room), abs=0.005)


def test_the_sign_of_a_shift_does_not_matter():
    rng = np.random.default_rng(0)
    reference, current = rng.normal(size=500), rng.normal(0.3, 1, 200)
    one, other = (mean_shift(moments(s * reference), moments(s * current), 0.95) for s in (1, -1))
    assert (one.low, one.estimate, one.high) == pytest.approx((other.low, other.estimate, other.high))


def test_a_constant_added_and_a_unit_changed_do_not_matter():
    rng = np.random.default_rng(0)
    group = np.arange(500) % 25
    reference, current = rng.normal(size=500), rng.normal(0.3, 1, 500)
    one = mean_shift(moments(reference, group), moments(current, group), 0.95, True, True)
    other = mean_shift(moments(7 + 3 * reference, group), moments(7 + 3 * current, group), 0.95, True, True)
    assert (one.low, one.high) == pytest.approx((other.low, other.high), rel=1e-6)


def test_days_of_one_row_are_rows():
    rng = np.random.default_rng(0)
    values = rng.normal(0.3, 1, 2_000)
    reference = np.array([1e9, 0.0, 1e9])
    by_day = mean_shift(reference, moments(values, np.arange(2_000)), 0.95, current_groups=True)
    by_row = mean_shift(reference, moments(values), 0.95)
    assert (by_day.low, by_day.high) == pytest.approx((by_row.low, by_row.high), abs=0.002)


@pytest.mark.parametrize("shift", [mean_shift, share_shift])
def test_the_p_value_of_a_bound_is_one_less_its_level(shift):
    if shift is mean_shift:
        reference, current = np.array([1000.0, 0.0, 1000.0]), np.array([400.0, 120.0, 440.0])
    else:
        reference, current = np.array([1000.0, 20.0]), np.array([400.0, 40.0])
    found = shift(reference, current, 0.95)
    assert found.low > 0
    assert found.p_above(found.low) == pytest.approx(0.05, abs=1e-3)
    assert found.p_above(found.low * 1.2) > 0.05 > found.p_above(found.low * 0.8)


def test_a_share_against_a_known_one_has_the_limits_of_clopper_and_pearson():
    low, high = proportion_confint(30, 200, 0.1, "beta")
    found = share_shift(np.array([1e12, 0.0]), np.array([200.0, 30.0]), 0.95)
    assert (found.estimate, found.low, found.high) == pytest.approx((0.15, low, high), abs=1e-6)


def test_two_shares_of_rows_are_compared_as_elsewhere():
    ours = share_shift(np.array([500.0, 50.0]), np.array([200.0, 40.0]), 0.95)
    theirs = difference_of_shares(clopper_pearson(40, 200, 0.95), clopper_pearson(50, 500, 0.95))
    assert (ours.estimate, ours.high) == pytest.approx((theirs.estimate, theirs.high))
    # The lower bound of an absolute difference has noise of either sign to fear.
    assert theirs.low - 0.002 <= ours.low <= theirs.low


def test_a_share_that_falls_is_a_shift_too():
    rise = share_shift(np.array([500.0, 50.0]), np.array([200.0, 60.0]), 0.95)
    fall = share_shift(np.array([500.0, 450.0]), np.array([200.0, 140.0]), 0.95)
    assert (rise.low, rise.high) == pytest.approx((fall.low, fall.high))


def test_no_missing_value_on_any_day_bounds_the_share_by_days():
    days = np.column_stack([np.full(50, 1000.0), np.zeros(50)])
    found = share_shift(np.array([1e6, 0.0]), days, 0.95, current_groups=True)
    assert found.high == pytest.approx(clopper_pearson(0, 50, 0.95).high)


def test_one_bad_day_counts_as_one_day():
    days = np.column_stack([np.full(50, 1000.0), np.zeros(50)])
    days[7, 1] = 1000.0
    by_day = share_shift(np.array([1e6, 0.0]), days, 0.95, current_groups=True)
    by_row = share_shift(np.array([1e6, 0.0]), days.sum(axis=0), 0.95)
    assert by_row.low > 0.015
    assert by_day.low < 0.005
    assert by_day.high > 0.08


@pytest.mark.parametrize(
    ("reference", "current", "says"),
    [
        (np.zeros(3), np.array([5.0, 1.0, 9.0]), "fewer than two rows"),
        (np.array([1.0, 2.0, 4.0]), np.array([5.0, 1.0, 9.0]), "fewer than two rows"),
        (np.array([5.0, 10.0, 20.0]), np.array([5.0, 1.0, 9.0]), "standard deviation of zero"),
        (np.array([5.0, 1.0, 9.0]), np.array([5.0, np.inf, 9.0]), "not finite"),
    ],
)
def test_a_mean_that_cannot_be_compared_is_undefined(reference, current, says):
    with pytest.raises(Undefined, match=says):
        mean_shift(reference, current, 0.95)


@pytest.mark.parametrize(("current", "says"), [(np.zeros(2), "without rows"), (np.array([5.0, 6.0]), "negative")])
def test_a_share_that_cannot_be_compared_is_undefined(current, says):
    with pytest.raises(Undefined, match=says):
        share_shift(np.array([100.0, 2.0]), current, 0.95)


def test_too_few_days_are_undefined():
    with pytest.raises(Undefined, match="9 groups"):
        mean_shift(np.array([5.0, 1.0, 9.0]), np.ones((9, 3)) * 5, 0.95, current_groups=True)
    with pytest.raises(Undefined, match="9 groups"):
        share_shift(np.array([100.0, 2.0]), np.ones((9, 2)), 0.95, current_groups=True)


def wrong(draw, measure, limit, grouped):
    rng = np.random.default_rng(1)
    found = [measure(*draw(rng), 0.95, grouped, grouped) for _ in range(RUNS)]
    return sum(f.low > limit for f in found), sum(f.high <= limit for f in found)


@pytest.mark.parametrize(("n", "reference"), [(30, 5_000), (300, 5_000), (300, 300)])
@pytest.mark.parametrize("true", [0.0, 0.2002])
def test_shifted_rows_are_judged_at_the_promised_rate(n, reference, true):
    def draw(rng):
        return moments(rng.normal(size=reference)), moments(rng.normal(true, 1, n))

    failed, passed = wrong(draw, mean_shift, 0.2, False)
    assert failed <= MOST
    assert passed <= MOST or not true


def test_skewed_rows_are_judged_at_the_promised_rate():
    def draw(rng):
        return moments(rng.exponential(1, 5_000) - 1), moments(rng.exponential(1, 50) - 1 + 0.2002)

    assert max(wrong(draw, mean_shift, 0.2, False)) <= MOST


def test_the_error_of_the_deviation_counts_by_day_where_days_differ_in_spread():
    def draw(rng):
        group = np.repeat(np.arange(60), 50)
        spread = np.sqrt(rng.gamma(2.0, 0.5, 60))
        reference = moments(rng.normal(size=3_000) * spread[group], group)
        return reference, moments(rng.normal(3.003, 1, 10_000), np.arange(10_000) % 200)

    assert max(wrong(draw, mean_shift, 3.0, True)) <= MOST


@pytest.mark.parametrize("days", [20, 100])
@pytest.mark.parametrize("true", [0.0, 0.2002])
def test_shifted_days_are_judged_at_the_promised_rate(days, true):
    def draw(rng):
        tables = []
        for count, shift in ((150, 0.0), (days, true)):
            sizes = rng.integers(5, 60, count)
            group = np.repeat(np.arange(count), sizes)
            values = shift + rng.normal(0, 0.4, count)[group] + rng.normal(0, np.sqrt(1 - 0.16), len(group))
            tables.append(moments(values, group))
        return tables

    failed, passed = wrong(draw, mean_shift, 0.2, True)
    assert failed <= MOST
    assert passed <= MOST or not true


@pytest.mark.parametrize(("n", "true"), [(100, 0.0), (100, 0.02), (2_000, 0.02)])
def test_shares_of_rows_are_judged_at_the_promised_rate(n, true):
    def draw(rng):
        return (
            np.array([50_000.0, rng.binomial(50_000, 0.01)]),
            np.array([float(n), rng.binomial(n, 0.01 + true * 1.001)]),
        )

    failed, passed = wrong(draw, share_shift, 0.02, False)
    assert failed <= MOST
    assert passed <= MOST or not true


def test_equal_shares_are_seldom_called_shifted_at_all():
    rng = np.random.default_rng(1)
    drawn = rng.binomial(5_000, 0.3, (2_000, 2))
    found = sum(share_shift(np.array([5e3, a]), np.array([5e3, b]), 0.95).low > 0 for a, b in drawn)
    assert found <= scipy_stats.binom.ppf(1 - 1e-4, 2_000, 0.05)


@pytest.mark.parametrize("true", [0.0, 0.05])
def test_shares_of_days_are_judged_at_the_promised_rate(true):
    def draw(rng):
        def table(days, share):
            by_day = rng.beta(share * 9, (1 - share) * 9, days)
            return np.column_stack([np.full(days, 50.0), rng.binomial(50, by_day)]).astype(float)

        return table(300, 0.02), table(60, 0.02 + true * 1.001)

    failed, passed = wrong(draw, share_shift, 0.05, True)
    assert failed <= MOST
    assert passed <= MOST or not true
