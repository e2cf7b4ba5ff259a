"""Confidence sequences: how often a bound misses at any time, and where it is undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from weighin.stats.anytime import TIGHTEST, level, mean_of_signs, p_value, sequence, share, standard_errors
from weighin.stats.intervals import Interval, Undefined, clopper_pearson, from_influence

ALPHA, DRAWS = 0.05, 1_000
MOST = int(stats.binom.isf(1e-4, DRAWS, ALPHA))
"""Misses that a true error of `ALPHA` exceeds once in ten thousand runs."""


def test_the_curve_is_crossed_as_seldom_as_it_says() -> None:
    sums = np.cumsum(np.random.default_rng(1).standard_normal((DRAWS, 10_000)), axis=1)
    looks = np.unique(np.geomspace(10, 10_000, 200).astype(int))
    curve = np.array([standard_errors(int(n), ALPHA, 1_000) for n in looks])
    own = (sums[:, looks - 1] / np.sqrt(looks) > curve).any(axis=1).sum()
    once = (sums[:, looks - 1] / np.sqrt(looks) > stats.norm.isf(ALPHA)).any(axis=1).sum()
    assert own <= MOST < once / 5


def test_a_share_is_missed_as_seldom_as_it_says() -> None:
    truth = 0.1
    hits = np.cumsum(np.random.default_rng(2).random((DRAWS, 1_000)) < truth, axis=1)
    looks = np.unique(np.geomspace(1, 1_000, 25).astype(int))
    found = {(int(k), int(n)): share(int(k), int(n), ALPHA) for n in looks for k in np.unique(hits[:, n - 1])}
    misses = [[found[int(row[n - 1]), int(n)] for n in looks] for row in hits]
    assert sum(any(i.low > truth for i in row) for row in misses) <= MOST
    assert sum(any(i.high < truth for i in row) for row in misses) <= MOST


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 500), (500, 500), (3, 500), (497, 500)])
def test_a_share_is_wider_than_for_one_evaluation(hits: int, n: int) -> None:
    ours, once = share(hits, n, ALPHA), clopper_pearson(hits, n, 1 - ALPHA)
    assert 0 <= ours.low <= once.low <= ours.estimate <= once.high <= ours.high <= 1


def test_an_interval_of_any_method_is_widened() -> None:
    values = np.random.default_rng(3).standard_normal(400)
    once = from_influence(0.0, values / 400, None, 1 - ALPHA)
    found = sequence(lambda at: from_influence(0.0, values / 400, None, at), 400, ALPHA)
    assert found.level == 1 - ALPHA
    assert found.p_above(found.low) == pytest.approx(ALPHA)
    assert found.p_below(found.high) == pytest.approx(ALPHA)
    assert (found.p_above(0.0) or 0) > (once.p_above(0.0) or 1)
    assert found.low < once.low
    assert found.high > once.high
    assert level(400, ALPHA) > 1 - ALPHA


@pytest.mark.parametrize(("won", "lost"), [(0.45, 0.55), (0.05, 0.08), (0.3, 0.3)])
def test_a_mean_of_signs_is_missed_as_seldom_as_it_says(won: float, lost: float) -> None:
    turn, truth = np.random.default_rng(4).random((200, 1_000)), won - lost
    wins, losses = np.cumsum(turn < won, axis=1), np.cumsum(turn > 1 - lost, axis=1)
    missed = np.zeros((2, 200), dtype=bool)
    for n in np.unique(np.geomspace(20, 1_000, 8).astype(int)):
        counts = np.stack([wins[:, n - 1], n - wins[:, n - 1] - losses[:, n - 1], losses[:, n - 1]], axis=1)
        known = {row: mean_of_signs(*row, ALPHA, 300, won + lost) for row in set(map(tuple, counts.tolist()))}
        found = [known[tuple(row)] for row in counts.tolist()]
        missed |= np.array([[i.low > truth for i in found], [i.high < truth for i in found]])
    assert missed.sum(axis=1).max() <= stats.binom.isf(1e-4, 200, ALPHA)


def test_bets_that_are_tuned_are_tighter_than_a_share_and_wider_than_one_evaluation() -> None:
    for n in (300, 1_000, 3_000):
        tuned, uniform, once = mean_of_signs(n // 2, 0, n // 2, ALPHA, 1_000), share(n // 2, n, ALPHA), n // 2
        assert 2 * clopper_pearson(once, n, 1 - ALPHA).low - 1 > tuned.low > 2 * uniform.low - 1


def test_ties_make_a_mean_of_signs_surer() -> None:
    few, many = mean_of_signs(10, 980, 10, ALPHA, 1_000, 0.02), mean_of_signs(500, 0, 500, ALPHA, 1_000, 1.0)
    assert few.high < many.high / 4
    assert (mean_of_signs(0, 0, 9, ALPHA).low, mean_of_signs(9, 0, 0, ALPHA).high) == (-1.0, 1.0)
    assert mean_of_signs(0, 9, 0, ALPHA).low > -1


def test_a_p_value_of_a_mean_of_signs_is_alpha_at_each_bound() -> None:
    found = mean_of_signs(300, 20, 250, ALPHA, 500)
    assert found.p_above(found.low) == pytest.approx(ALPHA, abs=1e-5)
    assert found.p_below(found.high) == pytest.approx(ALPHA, abs=1e-5)
    assert (found.p_above(-1.0), found.p_above(1.0)) == (0.0, 1.0)


def test_a_p_value_for_one_evaluation_becomes_larger() -> None:
    assert [p_value(p, 100, ALPHA) for p in (0.0, 1.0)] == [0.0, 1.0]
    assert 0.01 < p_value(0.01, 100, ALPHA) <= 1
    assert p_value(0.999999999, 100, ALPHA) == 1.0


@pytest.mark.parametrize("alpha", [0.0, 0.5, -1.0, float("nan")])
def test_an_error_that_is_none_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=f"^alpha {alpha}$"):
        standard_errors(100, alpha)
    with pytest.raises(ValueError, match=f"^alpha {alpha}$"):
        mean_of_signs(1, 0, 0, alpha)


def test_nothing_has_no_interval_and_one_has() -> None:
    with pytest.raises(Undefined, match=r"^no trials$"):
        share(0, 0, ALPHA)
    with pytest.raises(Undefined, match=r"^no units$"):
        standard_errors(0, ALPHA)
    with pytest.raises(Undefined, match=r"^no values$"):
        mean_of_signs(0, 0, 0, ALPHA)
    assert standard_errors(1, ALPHA) > standard_errors(2, ALPHA)
    assert (share(0, 1, ALPHA).high, share(1, 1, ALPHA).low) == pytest.approx((1 - ALPHA / 1.95, ALPHA / 1.95))
    assert mean_of_signs(1, 0, 0, ALPHA).n == 1


# --- against the integrals that the closed forms stand for


def variance_of_mixture(alpha: float, tightest: int) -> float:
    """Of the half-normal mixture: Howard and others (2021), section 3.5, at twice the error for one side."""
    log = -2 * math.log(2 * alpha)
    return (log + math.log1p(log)) / tightest


def mixed(total: float, n: int, alpha: float, tightest: int) -> float:
    """Of exp(l * total - l^2 n / 2), the expectation over a half-normal l."""
    deviation = math.sqrt(variance_of_mixture(alpha, tightest))

    def weighted(u: float) -> float:
        return math.exp(u * deviation * total - (u * deviation) ** 2 * n / 2 - u * u / 2)

    return math.sqrt(2 / math.pi) * integrate.quad(weighted, 0, 15, limit=200)[0]


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.45])
@pytest.mark.parametrize("n", [1, 50, 1_000, 50_000])
def test_at_the_curve_the_mixture_is_one_over_alpha(alpha: float, n: int) -> None:
    for tightest in (1, 100, TIGHTEST):
        z = standard_errors(n, alpha, tightest)
        assert mixed(z * math.sqrt(n), n, alpha, tightest) == pytest.approx(1 / alpha, rel=1e-9)
        assert level(n, alpha, tightest) == pytest.approx(stats.norm.cdf(z), abs=1e-15)
    assert standard_errors(n, alpha) == z


@pytest.mark.parametrize("alpha", [0.01, 0.05])
def test_the_curve_is_lowest_at_the_units_it_is_tuned_to(alpha: float) -> None:
    # The variance is that of the two-sided mixture, up to an approximation of Lambert's function.
    exact = -special.lambertw(-((2 * alpha) ** 2) / math.e, -1).real - 1
    assert variance_of_mixture(alpha, 500) * 500 == pytest.approx(exact, rel=0.05)
    here, earlier, later = (standard_errors(500, alpha, tightest) for tightest in (500, 200, 1_250))
    assert here < min(earlier, later)


@pytest.mark.parametrize("n", [10, 1_000, 50_000])
@pytest.mark.parametrize("once", [1e-12, 0.01, 0.2, 0.4])
def test_a_p_value_at_any_time_is_one_over_the_mixture(n: int, once: float) -> None:
    for alpha, tightest in ((0.05, 200), (0.01, TIGHTEST)):
        expected = 1 / mixed(stats.norm.isf(once) * math.sqrt(n), n, alpha, tightest)
        assert p_value(once, n, alpha, tightest) == pytest.approx(min(1.0, expected), rel=1e-9)
    assert p_value(once, n, 0.01) == p_value(once, n, 0.01, TIGHTEST)


def test_a_p_value_at_any_time_is_none_above_one_half() -> None:
    # Of one unit the mixture is nearly one, so that nothing but the clip holds the p-value at one.
    assert [p_value(p, 1, ALPHA, 10**9) for p in (0.5, 0.51, 0.9, 1.0)] == [1.0] * 4
    assert 0.99 < p_value(0.4, 1, ALPHA, 10**9) < 1
    assert [p_value(p, 10**6, ALPHA, 1) for p in (0.5, 0.6, 1.0)] == [1.0] * 3


@pytest.mark.parametrize(("hits", "n", "alpha"), [(1, 1, 0.05), (3, 10, 0.1), (60, 100, 0.05), (497, 500, 0.01)])
def test_at_a_bound_of_a_share_the_mixture_of_likelihood_ratios_is_one_over_alpha(
    hits: int, n: int, alpha: float
) -> None:
    def mixture(p: float, hits: int) -> float:
        def ratio(q: float) -> float:
            return (q / p) ** hits * ((1 - q) / (1 - p)) ** (n - hits)

        return integrate.quad(ratio, p, 1, points=[max(p, min(1, hits / n))], limit=200)[0] / (1 - p)

    found = share(hits, n, alpha)
    assert mixture(found.low, hits) == pytest.approx(1 / alpha, rel=1e-8)
    mirrored = share(n - hits, n, alpha)
    assert (found.low, found.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low))
    assert found.standard_error == pytest.approx(math.sqrt(found.estimate * (1 - found.estimate) / n))
    said = "mixture of likelihood ratios, anytime-valid"
    assert (found.estimate, found.level, found.n, found.method) == (hits / n, 1 - alpha, n, said)


def capital(wins: int, ties: int, losses: int, mean: float, alpha: float, tightest: int, variance: float) -> float:
    """What bets against a mean have come to: stakes that are half-normal, and a tenth that are spread evenly."""
    deviation = math.sqrt(variance_of_mixture(alpha, tightest) / variance)

    def bet(stake: float) -> float:
        won, tied = 1 - stake + 2 * stake / (1 + mean), 1 - stake + stake / (1 + mean)
        return won**wins * tied**ties * (1 - stake) ** losses

    near = integrate.quad(lambda q: bet(min(1.0, stats.norm.ppf(0.5 + q / 2) * deviation)), 0, 1)[0]
    return 0.9 * near + 0.1 * integrate.quad(bet, 0, 1)[0]


@pytest.mark.parametrize(
    ("counts", "alpha", "tightest", "variance"),
    [((60, 0, 40), 0.05, 100, 1.0), ((300, 20, 250), 0.01, 500, 0.9), ((5, 30, 2), 0.1, 50, 0.2)],
)
def test_bounds_and_p_values_of_a_mean_of_signs_are_what_bets_come_to(
    counts: tuple[int, int, int], alpha: float, tightest: int, variance: float
) -> None:
    def expected(counts: tuple[int, ...], mean: float) -> float:
        return min(1.0, 1 / capital(*counts, mean, alpha, tightest, variance))  # type: ignore[call-arg]

    found = mean_of_signs(*counts, alpha, tightest, variance)
    assert expected(counts, found.low) == pytest.approx(alpha, rel=1e-3)
    assert expected(counts[::-1], -found.high) == pytest.approx(alpha, rel=1e-3)
    for limit in (-0.3, 0.0, 0.3):
        assert found.p_above(limit) == pytest.approx(expected(counts, limit), rel=1e-3)
        assert found.p_below(limit) == pytest.approx(expected(counts[::-1], -limit), rel=1e-3)
    values = np.repeat([1, 0, -1], counts)
    assert (found.estimate, found.standard_error) == pytest.approx((values.mean(), values.std() / len(values) ** 0.5))
    said = "mixture of bets, anytime-valid"
    assert (found.level, found.n, found.method) == (1 - alpha, len(values), said)


def test_a_mean_of_signs_is_tuned_to_five_thousand_that_are_never_tied() -> None:
    found, same = mean_of_signs(60, 9, 40, ALPHA), mean_of_signs(60, 9, 40, ALPHA, 5_000, 1.0)
    assert (found.low, found.high) == (same.low, same.high)
    with_ties = mean_of_signs(60, 9, 40, ALPHA, variance=0.5)
    assert (found.low, found.high) != (with_ties.low, with_ties.high)


# --- intervals of other methods


def given(level: float, tests: bool = True) -> Interval:
    """Return an interval of a normal estimate with a standard error of 0.1, as a method of this package has it."""
    z = float(stats.norm.ppf(level))
    both = (lambda limit, upper: float(stats.norm.sf((0.3 - limit) * (10 if upper else -10))),) if tests else ()
    return Interval(0.3, 0.3 - z / 10, 0.3 + z / 10, level, 80, 0.1, "any", both)


@pytest.mark.parametrize("tightest", [50, 5_000])
def test_a_sequence_is_the_interval_at_the_level_of_its_curve(tightest: int) -> None:
    found, z = sequence(given, 300, 0.1, tightest), standard_errors(300, 0.1, tightest)
    assert (found.low, found.estimate, found.high) == pytest.approx((0.3 - z / 10, 0.3, 0.3 + z / 10), rel=1e-9)
    assert (found.level, found.n, found.standard_error, found.method) == (0.9, 80, 0.1, "any, anytime-valid")
    for limit in (0.05, 0.3, 0.5):
        above, below = (p_value(stats.norm.sf(d), 300, 0.1, tightest) for d in (3 - 10 * limit, 10 * limit - 3))
        assert (found.p_above(limit), found.p_below(limit)) == (pytest.approx(above), pytest.approx(below))
    assert sequence(given, 300, 0.1).low == sequence(given, 300, 0.1, 5_000).low
    assert level(300, 0.1) == level(300, 0.1, 5_000)


def test_a_sequence_of_an_interval_without_tests_has_none() -> None:
    assert sequence(lambda at: given(at, tests=False), 80, 0.1).p_above(0.0) is None


def test_of_few_units_no_method_has_a_level_that_is_high_enough() -> None:
    assert level(84, ALPHA) < 1 - 1e-12 < level(83, ALPHA)
    assert sequence(given, 84, ALPHA).level == 1 - ALPHA
    with pytest.raises(Undefined, match=r"^83 units are too few for an interval that holds at any number of them$"):
        sequence(given, 83, ALPHA)
