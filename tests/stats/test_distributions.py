"""The functions from `scipy.special` say what those of `scipy.stats` say, over the whole range that is used."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from weighin.stats import distributions as ours

LEVELS = (1e-9, 1e-6, 0.001, 0.01, 0.025, 0.05, 0.5, 0.9, 0.95, 0.99, 0.999, 1 - 1e-6)
POINTS = (-40.0, -8.0, -3.0, -1.0, -1e-6, 0.0, 1e-6, 0.5, 2.0, 6.0, 40.0)
FREEDOM = (1, 2, 5, 29, 300, 100_000)
TRIALS = (1, 2, 10, 59, 1000, 250_000)
SHARES = (1e-6, 0.001, 0.05, 0.5, 0.95, 0.999)


@pytest.mark.parametrize(
    ("one", "other", "given"),
    [
        (ours.normal_cdf, stats.norm.cdf, [(x,) for x in POINTS]),
        (ours.normal_sf, stats.norm.sf, [(x,) for x in POINTS]),
        (ours.normal_quantile, stats.norm.ppf, [(q,) for q in LEVELS]),
        (ours.t_cdf, stats.t.cdf, [*itertools.product(POINTS, FREEDOM)]),
        (ours.t_sf, stats.t.sf, [*itertools.product(POINTS, FREEDOM)]),
        (ours.t_quantile, stats.t.ppf, [*itertools.product(LEVELS, FREEDOM)]),
        (ours.beta_quantile, stats.beta.ppf, [*itertools.product(LEVELS, (1, 5, 2000), (1, 7, 90_000))]),
        (ours.chi2_sf, stats.chi2.sf, [*itertools.product((0.0, 0.1, 3.0, 50.0), FREEDOM)]),
    ],
    ids=["normal cdf", "normal sf", "normal quantile", "t cdf", "t sf", "t quantile", "beta quantile", "chi2 sf"],
)
def test_a_function_is_that_of_scipy_stats(
    one: Callable[..., float], other: Callable[..., Any], given: list[tuple[float, ...]]
) -> None:
    got = np.array([one(*values) for values in given])
    assert got == pytest.approx(np.array([float(other(*values)) for values in given]), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("n", TRIALS)
def test_the_binomial_distribution_is_that_of_scipy_stats(n: int) -> None:
    counts = sorted({-2, -1, 0, 1, n // 3, n // 2, n - 1, n, n + 1})
    for k, p in itertools.product(counts, SHARES):
        assert ours.binomial_cdf(k, n, p) == pytest.approx(float(stats.binom.cdf(k, n, p)), rel=1e-9, abs=1e-290)
        assert ours.binomial_sf(k, n, p) == pytest.approx(float(stats.binom.sf(k, n, p)), rel=1e-9, abs=1e-290)
    for level, p in itertools.product(LEVELS, SHARES):
        assert ours.binomial_quantile(level, n, p) == int(stats.binom.ppf(level, n, p)), (level, p)


@pytest.mark.parametrize("n", [0, 1, 7, 30])
def test_a_quantile_is_the_least_count_that_reaches_the_level(n: int) -> None:
    for p in (0.0, 0.3, 0.5, 1.0):
        reached = [ours.binomial_cdf(k, n, p) for k in range(n + 1)]
        for level in {0.0, 1.0, *reached, *(min(1.0, float(np.nextafter(c, 1))) for c in reached)}:
            least = next(k for k, c in enumerate(reached) if c >= level)
            assert ours.binomial_quantile(level, n, p) == least
