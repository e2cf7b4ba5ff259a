"""Bounds of a shift of a mean and of a share: Welch's test, sums over rows of groups, Korn and Graubard's limits."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from weighin.stats.intervals import Undefined, clopper_pearson, difference_of_shares
from weighin.stats.shift import mean_shift, share_shift


def powers(values, group=None):
    table = np.column_stack([np.ones_like(values), values, values**2])
    if group is None:
        return table.sum(axis=0)
    return np.array([table[group == g].sum(axis=0) for g in np.unique(group)])


def folded(level, size):
    """The mean above which |X| of a normal variable lies this far out, so seldom: a noncentral chi-square's root."""
    if stats.chi2.cdf(size**2, 1) <= level:
        return 0.0
    return math.sqrt(optimize.brentq(lambda nc: stats.ncx2.cdf(size**2, 1, nc) - level, 1e-12, 4 * size**2 + 50))


def ends(found):
    return found.low, found.estimate, found.high


def drawn(seed, n, groups, mean):
    rng = np.random.default_rng(seed)
    group = np.arange(n) % groups
    return mean + rng.exponential(1, n) + 0.4 * rng.gamma(2, 1, groups)[group], group


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("mean", [-1.0, 0.0, 0.05, 1.5])
@pytest.mark.parametrize(("n", "m"), [(300, 20), (12, 40), (2, 9)])
def test_rows_are_compared_by_welch_with_room_for_the_skewness_of_an_exponential_variable(level, mean, n, m):
    rng = np.random.default_rng(n)
    reference, current = rng.normal(size=n), rng.normal(mean, 2, m)
    deviation = reference.std(ddof=1)
    found = mean_shift(powers(reference), powers(current), level)
    shift = (current.mean() - reference.mean()) / deviation
    # The standard deviation is an estimate as well: of a normal variable, with the variance 1 / (2n).
    parts = np.array([current.var(ddof=1) / deviation**2 / m, 1 / n + shift**2 / (2 * n)])
    freedom = parts.sum() ** 2 / (parts**2 / np.array([m - 1, n - 1])).sum()
    skewness = (parts**1.5 / np.sqrt([m, n])).sum() / parts.sum() ** 1.5
    reach = stats.t.ppf(level, freedom) + skewness / 3 * (2 * stats.norm.ppf(level) ** 2 + 1)
    error = math.sqrt(parts.sum())
    low = error * folded(stats.norm.cdf(reach), abs(shift) / error)
    assert ends(found) == pytest.approx((low, abs(shift), abs(shift) + reach * error), rel=1e-6, abs=1e-7)
    assert (found.level, found.units, found.bins, found.design_effect) == (level, m, 1, 1.0)
    assert found.statistic == found.estimate


@pytest.mark.parametrize("grouped", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("mean", [-0.8, 0.0, 0.8])
def test_days_are_compared_by_what_each_adds_to_the_error(grouped, mean):
    (before, days_before), (after, days_after) = drawn(1, 1_200, 30, 0.0), drawn(2, 600, 20, mean)
    tables = powers(before, days_before if grouped[0] else None), powers(after, days_after if grouped[1] else None)
    found = mean_shift(*tables, 0.9, *grouped)
    deviation, n, m = before.std(ddof=1), len(before), len(after)
    shift = (after.mean() - before.mean()) / deviation
    # What one row adds to the error of the shift: of the mean, and of the standard deviation that it is measured in.
    off = before - before.mean()
    own = -off / deviation / n - shift / 2 * (off**2 / deviation**2 - 1) / n
    theirs = (after - after.mean()) / deviation / m
    pieces = []
    for add, days, by_day, rows, plain in (
        (own, days_before, grouped[0], n, 1 / n + shift**2 / (2 * n)),
        (theirs, days_after, grouped[1], m, after.var(ddof=1) / deviation**2 / m),
    ):
        if by_day:
            sums = np.array([add[days == d].sum() for d in np.unique(days)])
            k = len(sums)
            variance, spread = k / (k - 1) * (sums**2).sum(), (sums**4).sum() - (sums**2).sum() ** 2 / k
            assert variance > plain
            pieces.append((variance, (sums**3).sum(), spread))
        else:
            pieces.append((plain, plain**1.5 / math.sqrt(rows), 2 * plain**2 / (rows - 1)))
    variance, third, spread = (sum(piece) for piece in zip(*pieces, strict=True))
    moved = third / variance**1.5 / 3 * (2 * stats.norm.ppf(0.9) ** 2 + 1)
    down, up = (stats.t.ppf(0.9, 2 * variance**2 / spread) + max(0.0, side) for side in (-moved, moved))
    if grouped != (True, True):
        down = up = max(down, up)
    if shift < 0:
        down, up = up, down
    error = math.sqrt(variance)
    low = error * folded(stats.norm.cdf(down), abs(shift) / error)
    assert ends(found) == pytest.approx((low, abs(shift), abs(shift) + up * error), rel=1e-6, abs=1e-7)
    assert found.units == (20 if grouped[1] else 600)
    effect = pieces[1][0] / (after.var(ddof=1) / deviation**2 / m)
    assert found.design_effect == pytest.approx(effect if grouped[1] else 1.0)


def test_days_that_are_alike_count_as_rows():
    # Each day has the same values: between days nothing varies, and rows are what is left.
    values, days = np.tile([0.0, 1.0, 4.0], 20), np.repeat(np.arange(20), 3)
    other = values + 1.0
    found = mean_shift(powers(values, days), powers(other, days), 0.95, True, True)
    shift = 1 / values.std(ddof=1)
    error = math.sqrt(2 / 60 + shift**2 / 120)
    assert found.high - found.estimate == pytest.approx(stats.norm.ppf(0.95) * error, rel=0.05)
    assert found.design_effect == pytest.approx(1.0)


def test_a_current_table_without_variation_still_has_the_error_of_the_reference():
    found = mean_shift(
        powers(np.arange(50.0)), powers(np.full(30, 40.0), np.arange(30) % 10), 0.95, current_groups=True
    )
    assert (found.design_effect, found.units) == (1.0, 10)
    assert found.low < found.estimate < found.high


def test_days_without_rows_and_too_few_of_anything():
    values, days = np.arange(40.0), np.arange(40) % 10
    table = powers(values, days)
    with_empty = np.vstack([table[:4], np.zeros((3, 3)), table[4:]])
    one, other = (mean_shift(t, t, 0.95, True, True) for t in (table, with_empty))
    assert (one.high, one.units) == (other.high, 10)
    known = np.array([1e6, 0.0, 1e6])
    for reference, current, grouped, says in (
        (np.array([1.0, 2.0, 4.0]), known, False, "fewer than two rows: no standard deviation"),
        (known, np.array([1.0, 2.0, 4.0]), False, "fewer than two rows: no standard deviation"),
        (np.array([5.0, 10.0, 20.0]), known, False, "the reference has a standard deviation of zero"),
        (known, np.array([5.0, np.nan, 9.0]), False, "sums that are not finite"),
        (known, table[:9], True, "9 groups, at least 10 are needed"),
    ):
        with pytest.raises(Undefined, match=f"^{says}$"):
            mean_shift(reference, current, 0.95, False, grouped)
    assert mean_shift(powers(np.array([0.0, 1.0])), powers(np.array([5.0, 6.0])), 0.8).units == 2


@pytest.mark.parametrize(("variance", "varies"), [(0.9e-12, False), (1.2e-12, True)])
def test_a_standard_deviation_that_rounding_leaves_is_none(variance, varies):
    # Sums of squares of numbers near one keep some sixteen digits.
    reference, current = np.array([1e6, 1e6, 1e6 * (1 + variance)]), np.array([50.0, 100.0, 210.0])
    if varies:
        assert mean_shift(reference, current, 0.95).low > 0
    else:
        with pytest.raises(Undefined, match="standard deviation of zero"):
            mean_shift(reference, current, 0.95)


# --- shares


def at_level(level, size):
    """The level of each bound at which noise of either sign is allowed for."""
    return stats.norm.cdf(size - folded(level, size))


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("hits", [5, 30, 45, 120])
def test_shares_of_rows_have_exact_limits_joined_by_mover(level, hits):
    found = share_shift(np.array([500.0, 75.0]), np.array([200.0, float(hits)]), level)

    def joined(level):
        return difference_of_shares(clopper_pearson(hits, 200, level), clopper_pearson(75, 500, level))

    p, q = 0.15, hits / 200
    size = abs(q - p) / math.sqrt(p * (1 - p) / 500 + q * (1 - q) / 200)
    of_noise = joined(at_level(level, size))
    low = of_noise.low if q >= p else -of_noise.high
    high = max(abs(joined(level).low), abs(joined(level).high))
    assert ends(found) == pytest.approx((max(0.0, low), abs(q - p), high), abs=1e-9)
    assert (found.level, found.units, found.bins, found.design_effect) == (level, 200, 2, 1.0)
    assert found.statistic == found.estimate


@pytest.mark.parametrize("shift", [0.1, -0.1])
@pytest.mark.parametrize("current_groups", [True, False])
def test_shares_of_days_have_limits_of_as_many_rows_as_they_are_worth(shift, current_groups):
    rng = np.random.default_rng(8)

    def days(count, share):
        return np.column_stack([np.full(count, 60.0), rng.binomial(60, rng.beta(share * 20, (1 - share) * 20, count))])

    tables = days(40, 0.3 + shift), days(25, 0.3)
    tables = tables if current_groups else tables[::-1]
    found = share_shift(tables[0] if current_groups else tables[0].sum(axis=0), tables[1], 0.95, current_groups, True)
    limits, variances = [], []
    for table, by_day in zip(tables, (current_groups, True), strict=True):
        rows, share, k = table[:, 0].sum(), table[:, 1].sum() / table[:, 0].sum(), len(table)
        plain = share * (1 - share) / rows
        error = (table[:, 1] - share * table[:, 0]) / rows
        variance = k / (k - 1) * (error**2).sum() if by_day else plain
        assert variance > plain or not by_day
        variances.append(variance)

        def exact(level, rows=rows, share=share, k=k, effect=variance / plain, by_day=by_day):
            # Korn and Graubard (1998): rows over the design effect, and Student's t in place of the normal quantile.
            if by_day:
                rows = rows / max(1.0, effect * (stats.t.ppf(level, k - 1) / stats.norm.ppf(level)) ** 2)
            hits = share * rows
            return stats.beta.ppf(1 - level, hits, rows - hits + 1), share, stats.beta.ppf(level, hits + 1, rows - hits)

        limits.append(exact)

    def joined(level):
        (p_low, p, p_high), (q_low, q, q_high) = (exact(level) for exact in limits)
        return q - p - math.hypot(q - q_low, p_high - p), q - p, q - p + math.hypot(q_high - q, p - p_low)

    _, by, _ = joined(0.95)
    low, _, high = joined(at_level(0.95, abs(by) / math.sqrt(sum(variances))))
    wide = joined(0.95)
    assert ends(found) == pytest.approx(
        (max(0.0, low if by >= 0 else -high), abs(by), max(abs(wide[0]), abs(wide[2]))), abs=1e-9
    )
    assert found.design_effect == pytest.approx(variances[1] / plain)


@pytest.mark.parametrize("limit", [0.02, 0.05, 0.08])
def test_the_lower_bound_at_the_level_of_a_p_value_is_the_limit(limit):
    tables = np.array([1000.0, 100.0]), np.array([500.0, 100.0])
    p = share_shift(*tables, 0.95).p_above(limit)
    assert share_shift(*tables, 1 - p).low == pytest.approx(limit, abs=1e-6)
    assert share_shift(*tables, 0.95).p_above(0.1001) == 1.0
    numbers = np.array([1000.0, 0.0, 1000.0]), np.array([400.0, 40.0, 440.0])
    p = mean_shift(*numbers, 0.95).p_above(limit)
    assert mean_shift(*numbers, 1 - p).low == pytest.approx(limit, abs=1e-6)


def test_equal_shares_have_no_lower_bound_and_no_share_exceeds_one():
    same = np.array([100.0, 50.0])
    assert share_shift(same, same, 0.95).low == share_shift(same, same, 0.95).estimate == 0.0
    apart = share_shift(np.array([20.0, 0.0]), np.array([20.0, 20.0]), 0.95)
    assert (apart.estimate, apart.high) == (1.0, 1.0)
    # None of either has no variance: nothing is proven, and the bound is that of none.
    none = share_shift(np.array([1e9, 0.0]), np.array([59.0, 0.0]), 0.95)
    assert (none.low, none.high) == (0.0, pytest.approx(clopper_pearson(0, 59, 0.95).high, abs=1e-6))
