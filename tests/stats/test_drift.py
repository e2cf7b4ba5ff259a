"""PSI: laws, hand values, and how often its interval is wrong."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from weighin.stats.drift import edges, psi
from weighin.stats.intervals import Undefined

P = np.full(10, 0.1)


def tilted(true):
    """Ten bins at the given PSI from the uniform, by bisection on the tilt."""
    low, high = 0.0, 5.0
    for _ in range(80):
        middle = (low + high) / 2
        q = np.exp(middle * np.linspace(-1, 1, 10))
        q /= q.sum()
        low, high = (middle, high) if np.sum((q - P) * np.log(q / P)) < true else (low, middle)
    return q


def test_the_plug_in_value_is_the_textbook_sum():
    reference, current = np.array([400.0, 600.0]), np.array([500.0, 500.0])
    by_hand = (0.5 - 0.4) * np.log(0.5 / 0.4) + (0.5 - 0.6) * np.log(0.5 / 0.6)
    assert psi(reference, current, 0.95).statistic == pytest.approx(by_hand, abs=1e-12)


def test_a_table_has_no_distance_from_itself():
    counts = np.array([10.0, 500.0, 30.0, 7.0])
    found = psi(counts, counts, 0.95)
    assert (found.low, found.estimate) == (0.0, 0.0)


def test_the_order_of_bins_does_not_matter():
    rng = np.random.default_rng(0)
    a, b = rng.multinomial(5000, P).astype(float), rng.multinomial(5000, tilted(0.1)).astype(float)
    order = rng.permutation(10)
    assert psi(a, b, 0.95).estimate == pytest.approx(psi(a[order], b[order], 0.95).estimate, abs=1e-9)


def test_missing_values_that_appear_are_drift():
    reference = np.append(np.full(10, 1000.0), 0.0)
    current = np.append(np.full(10, 500.0), 5000.0)
    assert psi(reference, current, 0.95).low > 0.2


@pytest.mark.parametrize(
    ("reference", "current", "says"),
    [
        (np.zeros(3), np.ones(3), "without rows"),
        (np.ones(3), np.zeros(3), "without rows"),
        (np.array([100.0]), np.array([100.0]), "one bin"),
    ],
)
def test_nothing_to_compare_is_undefined(reference, current, says):
    with pytest.raises(Undefined, match=says):
        psi(reference, current, 0.95)


def test_too_few_days_are_undefined():
    with pytest.raises(Undefined, match="9 groups"):
        psi(np.full(10, 1000.0), np.full((9, 10), 100.0), 0.95, current_groups=True)


def test_a_value_that_holds_most_of_a_column_gets_its_own_bin():
    inner = edges(np.quantile(np.append(np.zeros(900), np.linspace(0.1, 2, 100)), np.linspace(0, 1, 11)[1:-1]))
    below, zero, above = np.searchsorted(inner, [-1.0, 0.0, 0.05], side="right").tolist()
    assert below < zero < above


def test_a_column_without_values_has_no_edges():
    assert len(edges(np.empty(0))) == 0


def rates(n, q, runs=500, limit=0.1):
    rng = np.random.default_rng(1)
    found = [
        psi(rng.multinomial(100_000, P).astype(float), rng.multinomial(n, q).astype(float), 0.95) for _ in range(runs)
    ]
    return sum(f.low > limit for f in found), sum(f.high <= limit for f in found)


@pytest.mark.parametrize("n", [30, 100, 1000])
def test_identical_distributions_are_seldom_called_drifted(n):
    false_alarms, _ = rates(n, P)
    assert false_alarms <= scipy_stats.binom.ppf(1 - 1e-4, 500, 0.05)


def test_identical_distributions_pass_from_three_hundred_rows():
    assert rates(300, P)[1] >= 0.95 * 500


def test_real_drift_is_found_from_five_hundred_rows():
    assert rates(500, tilted(0.3))[0] >= 0.95 * 500


@pytest.mark.parametrize("n", [300, 2000])
def test_drift_just_above_the_limit_seldom_passes(n):
    assert rates(n, tilted(0.1001))[1] <= scipy_stats.binom.ppf(1 - 1e-4, 500, 0.05)


def test_days_that_differ_are_no_drift_when_days_are_the_unit():
    rng = np.random.default_rng(2)
    reference = np.full(10, 10_000.0)
    by_rows = by_days = 0
    for _ in range(200):
        shares = rng.dirichlet(np.full(10, 2.0), size=40)
        days = np.array([rng.multinomial(200, s) for s in shares]).astype(float)
        by_rows += psi(reference, days.sum(axis=0), 0.95).low > 0
        by_days += psi(reference, days, 0.95, current_groups=True).low > 0
    assert by_days <= scipy_stats.binom.ppf(1 - 1e-4, 200, 0.05)
    assert by_rows > 100, "otherwise the days of this test do not differ"
