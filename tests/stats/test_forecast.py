"""Metrics of forecasts: by hand, with weights, against scikit-learn, and what each refuses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import mean_pinball_loss

from weighin.stats.forecast import coverage, interval_width, mase, pinball, smape, wape
from weighin.stats.intervals import Undefined
from weighin.stats.scored import Influence, Scored

N = 40
EVERY = np.ones(N)
WEIGHT = np.where(np.arange(N) % 4 == 0, 3.0, 1.0)
"""Every fourth row counts three times: half of the whole."""


def every_fourth(first: float, other: float) -> np.ndarray:
    """(N,) of which every fourth, half of the weight, is the first."""
    return np.where(np.arange(N) % 4 == 0, first, other)


@pytest.mark.parametrize(
    ("truth", "forecast", "share"),
    [
        (100.0, 120.0, 20 / 110),  # Makridakis' own form: the error over the mean of both
        (-100.0, -120.0, 20 / 110),
        (0.02, 0.01, 2 / 3),
        (0.0, 5.0, 2.0),
        (3.0, -3.0, 2.0),
        (0.0, 0.0, 0.0),
        (7.0, 7.0, 0.0),
    ],
)
def test_an_error_is_a_share_of_the_mean_of_truth_and_forecast(truth: float, forecast: float, share: float) -> None:
    # The others are 50 and 150: their error is 100 of 100.
    rows = Scored(every_fourth(truth, 50.0), every_fourth(forecast, 150.0), WEIGHT)
    found = smape(rows)
    assert found.estimate == pytest.approx((share + 1) / 2, abs=1e-12)
    # A row moves the mean by its weight times its distance from it.
    np.testing.assert_allclose(found.values, every_fourth(3 / 60, 1 / 60) * (every_fourth(share, 1) - found.estimate))


def test_a_forecast_that_is_no_number_is_no_perfect_one() -> None:
    assert np.isnan(smape(Scored(EVERY, np.where(np.arange(N) == 0, np.nan, 1.0))).estimate)


def test_the_sum_of_errors_is_a_share_of_the_sum_of_targets() -> None:
    found = wape(Scored(every_fourth(-100.0, 50.0), every_fourth(-90.0, 70.0), WEIGHT))
    assert found.estimate == pytest.approx((10 + 20) / (100 + 50))
    assert found.values.sum() == pytest.approx(0, abs=1e-15)
    whole = wape(Scored(np.arange(N), np.arange(N) + 2))  # counts are whole numbers, and may hold zeros
    assert whole.estimate == pytest.approx(2 * N / sum(range(N)))
    with pytest.raises(Undefined, match=r"^every target is zero: an error as a share of them does not exist$"):
        wape(Scored(np.zeros(N), EVERY))


def test_an_error_is_divided_by_the_scale_of_its_series() -> None:
    truth = np.linspace(-5, 5, N)
    found = mase(Scored(truth, truth - every_fourth(0.3, 4.0), WEIGHT, scale=every_fourth(0.1, 2.0)))
    assert found.estimate == pytest.approx((3 + 2) / 2)
    np.testing.assert_allclose(found.values, every_fourth(3 / 60, 1 / 60) * (every_fourth(3, 2) - 2.5))


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf])
def test_each_scale_must_be_a_positive_number(wrong: float) -> None:
    said = r"^the scale of 10 rows is no positive number: their series never changed before$"
    with pytest.raises(Undefined, match=said):
        mase(Scored(EVERY, EVERY, scale=every_fourth(wrong, 1.0)))
    with pytest.raises(TypeError, match=r"^errors are scaled by what the contract names as `model\.forecast\.scale`$"):
        mase(Scored(EVERY, EVERY))


@pytest.mark.parametrize("quantile", [0.05, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_the_loss_of_a_quantile_is_that_of_scikit_learn(quantile: float, weight: np.ndarray | None) -> None:
    truth, forecast = np.random.default_rng(0).normal(size=(2, N))
    forecast[:5] = truth[:5]
    found = pinball(quantile)(Scored(truth, forecast, weight))
    assert found.estimate == pytest.approx(
        mean_pinball_loss(truth, forecast, sample_weight=weight, alpha=quantile), abs=1e-14
    )
    # What each row adds to the mean, above what the mean is.
    for i in (0, 6, 7, 8):
        share = 1 / N if weight is None else weight[i] / weight.sum()
        own = mean_pinball_loss(truth[i : i + 1], forecast[i : i + 1], alpha=quantile)
        assert found.values[i] == pytest.approx(share * (own - found.estimate), abs=1e-14)


def test_an_interval_holds_its_bounds() -> None:
    truth = np.zeros(N)
    low, high = np.full(N, -1.0), np.full(N, 2.0)
    low[0], high[1] = 0.0, 0.0  # on a bound: within
    low[4], high[8] = 0.5, -0.5
    rows = Scored(truth, np.column_stack([low, high]), WEIGHT)
    found = coverage(rows)
    assert found.estimate == pytest.approx(1 - 2 * 3 / 60)
    assert found.values[[4, 8, 0, 1]] == pytest.approx([-0.9 * 3 / 60] * 2 + [0.1 * 3 / 60, 0.1 / 60])
    assert interval_width(rows).estimate == pytest.approx(float((WEIGHT * (high - low)).sum()) / 60)
    assert interval_width(rows).values.sum() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("metric", [coverage, interval_width])
def test_an_interval_may_be_a_point_and_must_not_end_before_it_begins(metric: Callable[[Scored], Influence]) -> None:
    bounds = np.column_stack([EVERY, EVERY])
    assert metric(Scored(EVERY, bounds)).estimate == (1 if metric is coverage else 0)
    bounds[3:5, 1] = 0.999
    with pytest.raises(Undefined, match=r"^2 of 40 intervals end before they begin$"):
        metric(Scored(EVERY, bounds))
