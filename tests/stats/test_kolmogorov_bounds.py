"""Bounds of the Kolmogorov-Smirnov distance, point by point: binomial errors, sums by group, Massart's band."""

import math

import numpy as np
import pytest
from scipy import stats

from weighin.stats.intervals import Undefined
from weighin.stats.kolmogorov import kolmogorov_smirnov, single_valued

KNOWN = np.array([0.1, 0.3, 0.4, 0.2]) * 1e14
"""A reference without noise."""


def ends(found):
    return found.low, found.estimate, found.high


def days_of(seed, days=30, rows=40):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([2.0, 4.0, 4.0, 6.0], days)
    return np.array([rng.multinomial(rng.integers(rows // 2, rows * 2), s) for s in shares]).astype(float)


def function_of(table):
    """(cells + 1,) the distribution function at each edge, and its variance by rows or by groups."""
    table = np.atleast_2d(table)
    f = np.append(0.0, table.sum(axis=0).cumsum() / table.sum())
    plain = f * (1 - f) / table.sum()
    if len(table) == 1:
        return f, plain
    groups = len(table)
    between = np.zeros(len(f))
    for edge in range(len(f)):
        # What each group has below the edge, less what it would have there at the common share.
        error = (table[:, :edge].sum(axis=1) - f[edge] * table.sum(axis=1)) / table.sum()
        between[edge] = groups / (groups - 1) * (error**2).sum()
    return f, np.maximum(plain, between)


def expected(reference, current, level, single):
    """(low, statistic, high) from the errors at each edge and across each cell."""
    (f, f_error), (g, g_error) = function_of(reference), function_of(current)
    groups = [len(t) for t in (reference, current) if t.ndim == 2]
    reach = stats.t.ppf(level, min(groups) - 1) if groups else stats.norm.ppf(level)
    worth = []
    for table, error in ((reference, f_error), (current, g_error)):
        worth.append(table.sum() if table.ndim == 1 else min(table.sum(), 0.25 / error.max()))
    statistic = np.abs(f - g).max()
    high = [abs(a - b) + reach * math.sqrt(v) for a, b, v in zip(f, g, f_error + g_error, strict=True)]
    for cell in np.flatnonzero(~single):
        high.append(f[cell + 1] - g[cell] + reach * math.sqrt(f_error[cell + 1] + g_error[cell]))
        high.append(g[cell + 1] - f[cell] + reach * math.sqrt(g_error[cell + 1] + f_error[cell]))
    # Massart's band with the level that is left after Student's t, of the rows of both tables joined.
    band = math.sqrt(math.log(2 / stats.norm.sf(reach)) / 2 * (1 / worth[0] + 1 / worth[1]))
    return max(0.0, statistic - band), statistic, min(1.0, max(high))


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("grouped", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("single", [(), (1, 2), (0, 1, 2, 3)])
def test_bounds_are_pointwise_above_and_a_band_below(level, grouped, single):
    alone = np.isin(np.arange(4), single)
    rng = np.random.default_rng(0)
    for seed in range(5):
        plain = rng.multinomial(900, [0.15, 0.3, 0.35, 0.2]).astype(float), rng.multinomial(400, [0.1, 0.2, 0.3, 0.4])
        reference = days_of(seed, days=40, rows=400) if grouped[0] else plain[0]
        current = days_of(seed + 100, days=20) if grouped[1] else plain[1].astype(float)
        found = kolmogorov_smirnov(reference, current, level, *grouped, single=alone)
        assert ends(found) == pytest.approx(expected(reference, current, level, alone), abs=1e-9)
        assert (found.level, found.bins, found.statistic) == (level, 4, found.estimate)
        assert found.units == (20 if grouped[1] else 400)
        assert (found.design_effect > 1.1) == grouped[1]
        if not single:
            assert ends(kolmogorov_smirnov(reference, current, level, *grouped)) == ends(found)


def test_groups_that_vary_less_than_rows_count_as_rows():
    # Twenty days with the same shares.
    days = np.tile([10.0, 20.0, 30.0, 40.0], (20, 1))
    by_day = kolmogorov_smirnov(KNOWN, days, 0.95, current_groups=True)
    assert ends(by_day) == pytest.approx(expected(KNOWN, days, 0.95, np.zeros(4, bool)), abs=1e-9)


def test_groups_of_rows_in_one_cell_have_no_error():
    reference, current = np.tile([5.0, 0.0], (20, 1)), np.tile([0.0, 7.0], (20, 1))
    found = kolmogorov_smirnov(reference, current, 0.95, True, True)
    # Then each row counts: 100 and 140.
    level = stats.norm.sf(stats.t.ppf(0.95, 19))
    assert found.low == pytest.approx(1 - math.sqrt(math.log(2 / level) / 2 * (1 / 100 + 1 / 140)))
    assert (found.estimate, found.high) == (1.0, 1.0)


@pytest.mark.parametrize("counts", [[7e13, 3e13], [3e13, 7e13], [2e13, 6e13, 2e13]])
def test_tables_that_are_alike_at_each_edge_may_differ_by_the_largest_cell(counts):
    found = kolmogorov_smirnov(np.array(counts), np.array(counts), 0.95)
    assert found.high == pytest.approx(max(counts) / sum(counts), abs=1e-6)
    # Of few rows the errors come on top, and no distance exceeds one.
    few = kolmogorov_smirnov(np.array([99.0, 1.0]), np.array([99.0, 1.0]), 0.95)
    assert (few.estimate, few.high) == (0.0, 1.0)


def test_no_difference_has_no_lower_bound_and_two_cells_are_enough():
    found = kolmogorov_smirnov(np.array([50.0, 50.0]), np.array([50.0, 50.0]), 0.95)
    assert (found.low, found.estimate, found.bins) == (0.0, 0.0, 2)
    for tables, says in (((1, 1), "1 cells against 1"), ((2, 3), "2 cells against 3"), ((3, 2), "3 cells against 2")):
        with pytest.raises(Undefined, match=f"^{says}, at least 2 in common are needed$"):
            kolmogorov_smirnov(*(np.ones(n) for n in tables), 0.95)


def test_a_cell_of_a_single_value_ends_where_the_next_number_begins():
    found = single_valued(np.array([0.0, 5e-324, 0.5, np.nextafter(0.5, 1), 1.0]))
    assert found.tolist() == [False, True, False, True, False, False]
    assert found.dtype == np.bool_
    # Integers are numbers as well: between 1 and 2 there are others.
    assert single_valued(np.array([1, 2])).tolist() == [False, False, False]
