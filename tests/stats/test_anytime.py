"""Confidence sequences: how often a bound misses at any time, and where it is undefined."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from weighin.stats.anytime import level, mean_of_signs, p_value, sequence, share, standard_errors
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
    with pytest.raises(ValueError, match="alpha"):
        standard_errors(100, alpha)


def test_nothing_has_no_interval() -> None:
    with pytest.raises(Undefined):
        share(0, 0, ALPHA)
    with pytest.raises(Undefined):
        standard_errors(0, ALPHA)
    with pytest.raises(Undefined):
        mean_of_signs(0, 0, 0, ALPHA)
    with pytest.raises(ValueError, match="alpha"):
        mean_of_signs(1, 0, 0, 0.5)
