"""Power: the share of passes that is promised is the share that simulation finds, and that of a normal distribution."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from weighin.stats.intervals import from_influence
from weighin.stats.power import Planned, Power, power, share_needed


@pytest.mark.exhaustive
def test_the_promised_share_is_the_simulated_share():
    rng = np.random.default_rng(0)
    n, margin = 400, 0.12
    values = rng.normal(size=n)
    (one,), _ = power([Planned("c", margin, (values - values.mean()) / n, 0.95)], None)
    passes = 0
    for _ in range(2000):
        drawn = rng.normal(size=n)
        passes += from_influence(drawn.mean(), (drawn - drawn.mean()) / n, None, 0.95).low >= -margin
    assert one.probability == pytest.approx(passes / 2000, abs=0.04)


@pytest.mark.exhaustive
def test_the_needed_rows_reach_eighty_percent():
    def influence(n):
        values = np.random.default_rng(1).normal(size=n)
        return (values - values.mean()) / values.std() / n

    values = influence(200)
    (one,), together = power([Planned("c", 0.05, values, 0.95)], None)
    assert one.n_required is not None
    times = one.n_required / 200
    (again,), _ = power([Planned("c", 0.05, influence(one.n_required), 0.95)], None)
    assert again.probability == pytest.approx(0.8, abs=0.01)
    assert times > 1
    assert together.n_required == pytest.approx(one.n_required, rel=0.05)


def test_checks_that_agree_pass_together_and_independent_ones_do_not():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=300) / 300, rng.normal(size=300) / 300
    same = power([Planned("a", 0.1, a, 0.95), Planned("b", 0.1, a, 0.95)], None)[1].probability
    apart = power([Planned("a", 0.1, a, 0.95), Planned("b", 0.1, b, 0.95)], None)[1].probability
    assert apart < same - 0.1


def test_a_model_on_the_limit_passes_at_alpha_and_no_data_helps():
    values = np.random.default_rng(3).normal(size=300) / 300
    (one,), together = power([Planned("c", 0.0, values, 0.95)], None)
    assert one.probability == pytest.approx(0.05, abs=0.002)
    assert one.n_required is None
    assert together.n_required is None


def test_groups_count_and_not_rows():
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(30), 20)
    values = rng.normal(size=30)[group] / 600
    by_rows = power([Planned("c", 0.2, values, 0.95)], None)[0][0]
    by_groups = power([Planned("c", 0.2, values, 0.95)], group)[0][0]
    assert by_groups.probability < by_rows.probability


# --- against closed forms, on a few units


N = 12
EVEN = np.tile([1.0, -1.0], 6) / N
"""Influence values of a mean of 1 and -1: its standard error is 1 / sqrt(N - 1)."""
ORTHOGONAL = np.array([[1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1], np.tile([1, -1], 6)]) / N
"""Two means that do not depend on each other."""


def passes(distance, error, units=N, level=0.95, times=1.0):
    """P(the lower bound lies above the limit), by scipy.stats."""
    return stats.norm.cdf(distance * math.sqrt(times) / error - stats.t.ppf(level, units - 1))


@pytest.mark.parametrize("level", [0.9, 0.95, 0.995])
@pytest.mark.parametrize("distance", [-0.2, 0.0, 0.3, 0.9, 3.0])
@pytest.mark.parametrize("grouped", [False, True])
def test_a_check_passes_as_often_as_a_normal_estimate_clears_students_quantile(level, distance, grouped):
    group = np.repeat(np.arange(N), 3) if grouped else None
    influence = np.repeat(EVEN, 3) / 3 if grouped else EVEN
    (found,), together = power([Planned("c", distance, influence, level)], group)
    error = 1 / math.sqrt(N - 1)
    expected = passes(distance, error, level=level)
    assert (found.check, together.check) == ("c", "all of them")
    assert found.probability == pytest.approx(expected, rel=1e-9)
    assert together.probability == pytest.approx(expected, abs=0.015)
    times = share_needed(distance, influence, group, level)
    if distance <= 0:
        assert (found.n_required, together.n_required, times) == (None, None, math.inf)
        return
    # As many times the data as give 80 %, with the quantile of the data at hand.
    assert passes(distance, error, level=level, times=times) == pytest.approx(0.8)
    assert found.n_required == math.ceil(N * times)
    assert together.n_required == pytest.approx(N * times, rel=0.02, abs=1)


@pytest.mark.parametrize("distances", [(0.2, 0.25), (0.9, 0.9), (-0.05, 0.6)])
def test_independent_checks_pass_together_as_often_as_the_product_says(distances):
    planned = [Planned(str(d), d, v, 0.95) for d, v in zip(distances, ORTHOGONAL, strict=True)]
    single, together = power(planned, None)
    assert together.probability == pytest.approx(math.prod(s.probability for s in single), abs=0.015)
    if min(distances) <= 0:
        assert together.n_required is None
        return

    def reached(log):
        return math.prod(passes(d, 1 / math.sqrt(N - 1), times=10**log) for d in distances) - 0.8

    needed = N * 10 ** optimize.brentq(reached, -3, 3)
    assert together.n_required == pytest.approx(needed, rel=0.02, abs=1)
    assert power(planned, None) == (single, together)


def test_checks_that_depend_on_each_other_pass_together_as_often_as_two_normals():
    values = np.array([ORTHOGONAL[0], (ORTHOGONAL[0] + ORTHOGONAL[1]) / math.sqrt(2)])
    _, together = power([Planned("c", 0.6, v, 0.95) for v in values], None)
    reach = 0.6 * math.sqrt(N - 1) - stats.t.ppf(0.95, N - 1)
    expected = stats.multivariate_normal([0, 0], [[1, 0.5**0.5], [0.5**0.5, 1]]).cdf([reach, reach])
    assert together.probability == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("copies", [2, 3, 7])
def test_the_same_check_several_times_is_one_check(copies):
    values = np.random.default_rng(5).normal(size=(2, 50)) / 50
    planned = [Planned("c", 0.3, values[i % 2], 0.95) for i in range(2)]
    once, often = power(planned, None)[1], power(planned * copies, None)[1]
    assert often.probability == pytest.approx(once.probability, abs=0.015)
    assert once.probability > 0.2


def test_what_does_not_vary_passes_where_it_keeps_the_limit_and_says_nothing_of_fewer_units():
    still = np.zeros(N)
    for distance in (0.5, 0.0):
        planned = [Planned("c", distance, still, 0.95)]
        assert power(planned, None) == ([Power("c", 1.0, N)], Power("all of them", 1.0, N))
    planned = [Planned("c", -0.1, still, 0.95)]
    assert power(planned, None) == ([Power("c", 0.0, None)], Power("all of them", 0.0, None))
    # Among others it decides alone, or not at all.
    other = Planned("d", 0.5, EVEN, 0.95)
    alone = power([other], None)
    for distance, together in ((0.0, alone[1]), (-0.1, Power("all of them", 0.0, None))):
        single, found = power([Planned("c", distance, still, 0.95), other], None)
        assert single == [Power("c", float(distance >= 0), N if distance >= 0 else None), *alone[0]]
        assert found.probability == pytest.approx(together.probability, abs=0.015)
        assert (found.n_required is None) == (together.n_required is None)


@pytest.mark.parametrize("scale", [1e-3, 1e-9])
def test_a_candidate_that_hardly_differs_needs_hardly_any_data(scale):
    (found,), together = power([Planned("c", 0.5, scale * EVEN, 0.95)], None)
    assert found == Power("c", 1.0, 1)
    assert together == Power("all of them", 1.0, 1)


def test_beyond_a_million_times_the_data_no_amount_is_enough():
    error = 1 / math.sqrt(N - 1)
    at = (stats.t.ppf(0.95, N - 1) + stats.norm.ppf(0.8)) * error / 1e3  # a millionth of the variance is needed
    for distance, needed in ((at * 1.001, True), (at * 0.999, False)):
        (found,), _ = power([Planned("c", distance, EVEN, 0.95)], None)
        assert found.n_required == (pytest.approx(N * 1e6, rel=0.003) if needed else None)
    assert power([Planned("c", 0.9 * at, EVEN, 0.95)], None)[1].n_required is None
    assert share_needed(0.9 * at, EVEN, None, 0.95) == pytest.approx(1e6 / 0.9**2)


def test_one_unit_says_nothing_of_how_many_are_needed():
    assert share_needed(0.5, np.ones(1), None, 0.95) == math.inf
    assert share_needed(0.5, np.ones(5), np.zeros(5, dtype=np.int64), 0.95) == math.inf
    assert share_needed(0.5, np.array([0.1, -0.1]), None, 0.95) < math.inf
