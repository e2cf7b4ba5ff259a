"""The curve of a fault: what is fitted is what was drawn, and where nothing was caught nothing is promised."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

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


@pytest.mark.parametrize("trials", [[], [Trials(0.1, 0, 0)], [Trials(0.0, 1, 2)], [Trials(math.nan, 1, 2)]])
def test_no_draws_and_sizes_that_have_no_logarithm_are_undefined(trials: list[Trials]) -> None:
    with pytest.raises(Undefined):
        fit(trials)
