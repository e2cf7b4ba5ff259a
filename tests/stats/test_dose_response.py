"""The curve of a fault: what is fitted is what was drawn, and where nothing was caught nothing is promised."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import optimize
from scipy.stats import chi2, norm

from weighin.stats.dose_response import Curve, Trials, fit
from weighin.stats.intervals import Undefined

SIZES = (0.05, 0.1, 0.2, 0.4)


def drawn(true: Curve, rng: np.random.Generator, draws: int) -> list[Trials]:
    return [Trials(s, int(rng.binomial(draws, true.probability(s))), draws) for s in SIZES]


def test_the_probability_at_the_size_is_the_one_that_is_wanted() -> None:
    curve = Curve(0.2, 0.1, 0.3, 3.0)
    assert curve.probability(0.2) == pytest.approx(0.8)
    assert curve.probability(0.1) == pytest.approx(norm.cdf(-3 * math.log(2) + norm.ppf(0.8)))
    assert curve.probability(curve.quantile(0.6)) == pytest.approx(0.6)


def test_the_interval_holds_the_true_size_as_often_as_it_says() -> None:
    rng, true = np.random.default_rng(3), Curve(0.15, 0, 1, 2.0)
    assert true.size is not None
    fitted = [fit(drawn(true, rng, 30)) for _ in range(60)]
    inside = [c.low <= true.size <= c.high for c in fitted]
    # 95 % of 60 draws: fewer than 51 would happen by chance less than once in a thousand.
    assert sum(inside) >= 51
    assert np.median([c.size for c in fitted if c.size]) == pytest.approx(0.15, rel=0.15)


def test_a_clean_step_lies_between_the_last_size_that_was_missed_and_the_first_that_was_caught() -> None:
    found = fit([Trials(0.1, 0, 20), Trials(0.2, 20, 20)])
    assert found.size is not None
    assert 0.1 < found.low < found.size <= 0.2 <= found.high * 1.05


def test_nothing_caught_is_no_size_and_everything_caught_promises_no_less_than_was_tried() -> None:
    assert fit([Trials(s, 0, 10) for s in SIZES]).size is None
    assert fit([Trials(s, 0, 10) for s in SIZES]).probability(0.4) == 0.0
    assert fit([Trials(s, 10, 10) for s in SIZES]).size == 0.05


@pytest.mark.parametrize("size", [0.0, -1.0, math.nan, math.inf])
def test_no_draws_and_sizes_that_have_no_logarithm_are_undefined(size: float) -> None:
    for trials in ([], [Trials(0.1, 0, 0)], [Trials(0.1, 1, 2), Trials(size, 1, 2)]):
        with pytest.raises(Undefined, match=r"^no draws at sizes above zero$"):
            fit(trials)


# --- against statsmodels' probit regression

COUNTS = [(1, 6, 17, 28), (3, 3, 12, 25), (0, 2, 15, 30), (9, 12, 20, 22)]


def trials(caught: tuple[int, ...], draws: int = 30) -> list[Trials]:
    return [Trials(s, c, draws) for s, c in zip(SIZES, caught, strict=True)]


def probit(caught: tuple[int, ...], draws: int = 30) -> tuple[float, float]:
    """Size that is caught in four of five draws, and slope per unit of the logarithm."""
    table = np.column_stack([caught, draws - np.array(caught)])
    design = sm.add_constant(np.log(SIZES))
    model = sm.GLM(table, design, sm.families.Binomial(sm.families.links.Probit()))
    level, slope = model.fit().params
    return math.exp((norm.ppf(0.8) - level) / slope), slope


def profile(size: float, caught: tuple[int, ...], draws: int = 30) -> float:
    """The largest log-likelihood of any slope, where so large a fault is caught in four of five draws."""

    def negative(log_slope: float) -> float:
        z = math.exp(log_slope) * np.log(np.array(SIZES) / size) + norm.ppf(0.8)
        return -float(np.sum(np.array(caught) * norm.logcdf(z) + (draws - np.array(caught)) * norm.logsf(z)))

    return -float(optimize.minimize_scalar(negative, bounds=(math.log(0.3), math.log(60)), method="bounded").fun)


@pytest.mark.parametrize("caught", COUNTS)
def test_size_and_slope_are_those_of_a_probit_regression(caught: tuple[int, ...]) -> None:
    found, (size, slope) = fit(trials(caught)), probit(caught)
    # The grid has steps of 0.4 % in the size and 6 % in the slope.
    assert found.size == pytest.approx(size, rel=0.03)
    assert found.slope == pytest.approx(slope, rel=0.035)
    once = fit([Trials(t.size, t.caught - t.caught // 2, 10) for t in trials(caught)])
    assert once == fit([Trials(t.size, t.caught - t.caught // 2, 10) for t in trials(caught)[::-1]])


@pytest.mark.parametrize("caught", COUNTS[:3])
def test_the_interval_is_where_the_profile_falls_by_half_a_chi_square(caught: tuple[int, ...]) -> None:
    found, (size, _) = fit(trials(caught)), probit(caught)
    least = profile(size, caught) - chi2.ppf(0.95, 1) / 2
    low, high = (optimize.brentq(lambda s: profile(s, caught) - least, size, end) for end in (0.06, 1.5))
    assert (found.low, found.high) == (pytest.approx(low, rel=0.02), pytest.approx(high, rel=0.02))


def test_draws_at_one_size_count_together() -> None:
    parts = [
        Trials(s, c, 15)
        for s, caught in zip(SIZES, COUNTS[0], strict=True)
        for c in (caught // 2, caught - caught // 2)
    ]
    assert fit(parts) == fit(trials(COUNTS[0]))


def test_a_flat_likelihood_ends_where_what_was_caught_becomes_less_probable() -> None:
    found = fit([Trials(0.1, 0, 20), Trials(0.2, 20, 20)])

    def worth(size: float) -> float:
        z = 60 * np.log(np.array([0.1, 0.2]) / size) + norm.ppf(0.8)
        return 20 * float(norm.logsf(z[0]) + norm.logcdf(z[1]))

    assert found.size == pytest.approx(optimize.brentq(lambda s: worth(s) + 1e-3, 0.15, 0.2), rel=0.005)
    assert found.slope == pytest.approx(60)


@pytest.mark.parametrize(("caught", "known"), [((0, 1, 4, 17), True), ((0, 1, 4, 13), False), ((0, 0, 0, 0), False)])
def test_a_largest_size_that_is_mostly_missed_gives_no_size(caught: tuple[int, ...], known: bool) -> None:
    # By the curve, of the largest size, more than half of 30 or less.
    found = fit(trials(caught))
    if any(caught):
        size, slope = probit(caught)
        assert found.slope == pytest.approx(slope, rel=0.035)
        assert (norm.cdf(slope * math.log(0.4 / size) + norm.ppf(0.8)) > 0.5) == known
    assert (found.size is not None) == known
    if not known:
        assert found.high == math.inf
        assert found.probability(0.4) == 0.0
        best = max(profile(size, caught) for size in np.geomspace(0.0125, 1.6, 60))
        # Steep where a size is surely missed: the grid lies within one of its steps.
        least = best - chi2.ppf(0.95, 1) / 2
        assert profile(found.low * 0.99, caught) < least < profile(found.low * 1.01, caught)
        with pytest.raises(Undefined, match=r"^no size that was tried is caught$"):
            found.quantile(0.5)


def test_what_the_draws_do_not_bound_has_no_bound() -> None:
    neither = fit([Trials(0.1, 2, 3), Trials(0.2, 3, 3)])
    assert (neither.low, neither.high) == (0.0, math.inf)
    above = fit([Trials(0.1, 9, 10), Trials(0.2, 9, 10)])
    assert above.low == 0.0 < 0.2 < above.high < 0.8
    below = fit([Trials(0.1, 1, 10), Trials(0.2, 6, 10)])
    assert below.low > 0.1
    assert below.high == math.inf
    caught = fit([Trials(0.1, 7, 7), Trials(0.3, 5, 5)])
    assert (caught.low, caught.size, caught.high) == (0.0, 0.1, 0.1)
