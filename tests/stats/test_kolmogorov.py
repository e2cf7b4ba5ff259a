"""Kolmogorov-Smirnov distance from cells: hand values, scipy, cells that hide a difference, and error rates."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from weighin.stats.drift import edges
from weighin.stats.intervals import Undefined
from weighin.stats.kolmogorov import kolmogorov_smirnov, single_valued

CELLS = edges(scipy_stats.norm.ppf(np.arange(1, 100) / 100))
RUNS = 300
MOST = scipy_stats.binom.ppf(1 - 1e-4, RUNS, 0.05)


def cells(values, inner=CELLS):
    return np.bincount(np.searchsorted(inner, values, side="right"), minlength=len(inner) + 1).astype(float)


def shift_of(distance):
    """Two normal distributions this far apart have such a distance."""
    return 2 * scipy_stats.norm.ppf((1 + distance) / 2)


def test_the_distance_at_the_edges_is_the_largest_difference_of_cumulated_shares():
    found = kolmogorov_smirnov(np.array([20.0, 30.0, 50.0]), np.array([10.0, 20.0, 70.0]), 0.95)
    assert found.statistic == pytest.approx(0.2)


def test_the_interval_holds_what_scipy_finds_in_the_raw_values():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=3_000), rng.normal(0.3, 1.2, 800)
    exact = scipy_stats.ks_2samp(one, other).statistic
    found = kolmogorov_smirnov(cells(one), cells(other), 0.95)
    assert found.statistic <= exact <= found.statistic + 0.02
    assert found.low < exact < found.high


def test_a_difference_inside_a_cell_is_not_overlooked():
    # All of the current rows lie at the lower end of the second of two cells: no edge shows it.
    reference, current = np.full(2, 5e8), np.full(2, 5e8)
    found = kolmogorov_smirnov(reference, current, 0.95)
    assert found.estimate == 0
    assert found.high >= 0.5


def test_nothing_hides_in_a_cell_of_a_single_value():
    counts = np.array([1e8, 8e8, 1e8])
    hidden = kolmogorov_smirnov(counts, counts, 0.95)
    plain = kolmogorov_smirnov(counts, counts, 0.95, single=np.array([False, True, False]))
    assert hidden.high > 0.8 > 0.11 > plain.high


def test_edges_that_repeat_make_a_cell_of_a_single_value():
    inner = edges(np.array([-1.0, 0.0, 0.0, 0.0, 2.0]))
    assert single_valued(inner).tolist() == [False, False, True, False, False]
    assert np.searchsorted(inner, 0.0, side="right") == 2


def test_a_table_without_edges_is_undefined():
    with pytest.raises(Undefined, match="at least 2"):
        kolmogorov_smirnov(np.array([5.0]), np.array([5.0]), 0.95)
    with pytest.raises(Undefined, match="2 cells against 3"):
        kolmogorov_smirnov(np.ones(2), np.ones(3), 0.95)
    with pytest.raises(Undefined, match="without rows"):
        kolmogorov_smirnov(np.ones(2), np.zeros(2), 0.95)
    with pytest.raises(Undefined, match="9 groups"):
        kolmogorov_smirnov(np.ones(2), np.ones((9, 2)), 0.95, current_groups=True)


def test_the_lower_bound_takes_off_the_band_of_massart():
    found = kolmogorov_smirnov(np.array([5e14, 5e14]), np.array([300.0, 700.0]), 0.95)
    assert found.low == pytest.approx(0.2 - np.sqrt(np.log(2 / 0.05) / 2_000), abs=1e-6)
    assert found.p_above(found.low) == pytest.approx(0.05, abs=1e-4)


def test_more_rows_do_not_widen_the_interval_on_average():
    rng = np.random.default_rng(0)
    reference = cells(rng.normal(size=50_000))

    def width(n):
        found = [kolmogorov_smirnov(reference, cells(rng.normal(size=n)), 0.95) for _ in range(30)]
        return np.mean([f.high - f.low for f in found])

    assert width(100) > width(400) > width(1_600)


@pytest.mark.parametrize("n", [50, 1_000])
@pytest.mark.parametrize("true", [0.0, 0.1001])
def test_rows_are_judged_at_the_promised_rate(n, true):
    rng = np.random.default_rng(1)
    # Off the edges by half a cell: the largest difference lies inside one.
    shift = shift_of(true) if true else 0.0
    share = np.full(100, 0.01)
    moved = np.diff(np.concatenate([[0.0], scipy_stats.norm.cdf(CELLS - shift), [1.0]]))
    found = [
        kolmogorov_smirnov(rng.multinomial(100_000, share).astype(float), rng.multinomial(n, moved).astype(float), 0.95)
        for _ in range(RUNS)
    ]
    assert sum(f.low > 0.1 for f in found) <= MOST
    assert sum(f.high <= 0.1 for f in found) <= MOST or not true


@pytest.mark.parametrize("days", [20, 100])
@pytest.mark.parametrize("true", [0.0, 0.1001])
def test_days_are_judged_at_the_promised_rate(days, true):
    rng = np.random.default_rng(1)

    def table(count, shift):
        day = rng.normal(0, np.sqrt(0.3), count) + shift
        below = scipy_stats.norm.cdf((CELLS - day[:, None]) / np.sqrt(0.7))
        share = np.diff(np.column_stack([np.zeros(count), below, np.ones(count)]), axis=1)
        return rng.multinomial(rng.integers(10, 90, count), share).astype(float)

    shift = shift_of(true) if true else 0.0
    found = [kolmogorov_smirnov(table(100, 0.0), table(days, shift), 0.95, True, True) for _ in range(RUNS // 2)]
    most = scipy_stats.binom.ppf(1 - 1e-4, RUNS // 2, 0.05)
    assert sum(f.low > 0.1 for f in found) <= most
    assert sum(f.high <= 0.1 for f in found) <= most or not true
