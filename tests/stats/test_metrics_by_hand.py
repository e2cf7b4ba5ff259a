"""Numbers of metrics that can be had without a computer: medians, probabilities at their ends, calibration curves."""

import numpy as np
import pytest

from weighin.stats.metrics import METRICS, calibration, log_losses
from weighin.stats.scored import Scored


@pytest.mark.parametrize(("truth", "p"), [(t, p) for t in (True, False) for p in (0.0, 1e-20, 0.3, 1.0 - 1e-16, 1.0)])
def test_a_probability_of_nothing_costs_as_much_as_one_of_1e_15(truth, p):
    own = np.clip(p if truth else 1 - p, 1e-15, None)
    # What is certain and right costs a little, and as much with two columns as with one.
    expected = pytest.approx(max(-np.log(own), 1e-15), rel=2e-3, abs=0)
    assert log_losses(Scored(np.array([truth]), np.array([p])))[0] == expected
    assert log_losses(Scored(np.array([int(truth)]), np.array([[1 - p, p]])))[0] == expected


@pytest.mark.parametrize("n", [400, 441])
def test_the_error_of_a_median_is_what_the_density_there_leaves(n):
    # Errors 0, 1, ... are uniform on (0, n), with the density f = 1 / n: the standard error is 1 / (2 f sqrt(n)).
    truth = np.random.default_rng(10).permutation(n).astype(float)
    found = METRICS["median_absolute_error"].of(Scored(truth, np.zeros(n)))
    assert found.estimate == (n - 1) / 2
    assert np.sqrt(np.square(found.values).sum()) == pytest.approx(np.sqrt(n) / 2, rel=1e-9 if n == 400 else 0.05)
    # What counts more moves the median towards itself; an error at the median counts as below it.
    assert (np.sign(found.values) == np.where(truth > found.estimate, 1, -1)).all()


@pytest.mark.parametrize(("heavy", "median"), [(0, 0.0), (37, 37.0), (39, 39.0)])
def test_a_row_with_all_of_the_weight_is_the_median(heavy, median):
    rows = Scored(np.arange(40.0), np.zeros(40), np.where(np.arange(40) == heavy, 1e18, 1.0))
    found = METRICS["median_absolute_error"].of(rows)
    assert found.estimate == median
    assert np.isfinite(found.values).all()


@pytest.mark.parametrize(("weight", "median"), [(39.0, 38.5), (38.0, 38.0), (40.0, 39.0)])
def test_a_weighted_median_lies_between_two_rows_where_half_of_the_weight_does(weight, median):
    rows = Scored(np.arange(40.0), np.zeros(40), np.where(np.arange(40) == 39, weight, 1.0))
    assert METRICS["median_absolute_error"].of(rows).estimate == median


def test_the_calibration_curve_has_tenths_of_the_rows():
    # 0.000, 0.005, ... 0.995: twenty rows in each tenth; every third of a tenth is positive, and of the last all are.
    score, number = np.arange(200) / 200, np.arange(200)
    curve = calibration(Scored((number % 20 % 3 == 0) | (number >= 180), score))
    expected = [(0.1 * tenth + 0.0475, 7 / 20 if tenth < 9 else 1.0, 0.1) for tenth in range(10)]
    assert np.array(curve) == pytest.approx(np.array(expected), abs=1e-12)


def test_the_calibration_curve_weighs_rows_and_leaves_out_bins_without_any():
    # Half of the weight is on the rows at 0.2; a cut is the lower end of its bin.
    score = np.repeat([0.2, 0.7], [11, 9])
    weight = np.where(score < 0.5, 9.0, 11.0)
    curve = calibration(Scored(np.arange(20) % 11 < 3, score, weight))
    assert np.array(curve) == pytest.approx(np.array([(0.2, 3 / 11, 0.5), (0.7, 3 / 9, 0.5)]), abs=1e-12)
    # Nine cuts between five rows.
    few = calibration(Scored(np.arange(5) > 2, np.arange(5) / 5))
    assert np.array(few) == pytest.approx(np.array([(i / 5, i > 2, 0.2) for i in range(5)]), abs=1e-12)
    same = calibration(Scored(np.arange(20) < 5, np.full(20, 0.3)))
    assert np.array(same) == pytest.approx(np.array([(0.3, 0.25, 1.0)]), abs=1e-12)


def test_a_cut_of_the_calibration_curve_is_the_lower_end_of_its_bin():
    # The deciles are 0.2 and 0.8.
    score = np.repeat([0.2, 0.5, 0.8], [18, 1, 21])
    curve = calibration(Scored(np.arange(40) >= 18, score))
    expected = [((18 * 0.2 + 0.5) / 19, 1 / 19, 19 / 40), (0.8, 1.0, 21 / 40)]
    assert np.array(curve) == pytest.approx(np.array(expected), abs=1e-12)
