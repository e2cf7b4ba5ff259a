"""Confidence sequences: how often a bound misses at any time, and where it is undefined."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from weighin.stats.anytime import level, sequence, share, standard_errors
from weighin.stats.intervals import Undefined, clopper_pearson, from_influence

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
    assert (found.level, found.tests) == (1 - ALPHA, ())
    assert found.low < once.low
    assert found.high > once.high
    assert level(400, ALPHA) > 1 - ALPHA


@pytest.mark.parametrize("alpha", [0.0, 0.5, -1.0, float("nan")])
def test_an_error_that_is_none_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        standard_errors(100, alpha)


def test_nothing_has_no_interval() -> None:
    with pytest.raises(Undefined):
        share(0, 0, ALPHA)
    with pytest.raises(Undefined):
        standard_errors(0, ALPHA)
