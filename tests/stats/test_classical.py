"""Tests that reviewers ask for: each field against a direct count, scipy and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar

from weighin.stats.classical import Test as Known
from weighin.stats.classical import bonferroni, mcnemar, paired_t, wilcoxon


@pytest.mark.parametrize(
    ("gained", "lost", "odds"),
    [(9, 1, 9.0), (1, 9, 1 / 9), (6, 6, 1.0), (5, 0, math.inf), (0, 5, 0.0), (1, 0, math.inf)],
)
def test_mcnemar_counts_the_rows_that_one_model_alone_has_right(gained: int, lost: int, odds: float) -> None:
    number = np.arange(50)
    candidate, champion = number < 20 + gained, (number < 20) | ((number >= 30) & (number < 30 + lost))
    found = mcnemar(candidate, champion)
    assert (found.name, found.statistic) == ("McNemar, exact", min(gained, lost))
    assert found.effect == pytest.approx(odds)
    assert found.p == pytest.approx(their_mcnemar([[20, gained], [lost, 30 - gained - lost]], exact=True).pvalue)


def test_two_models_that_are_right_on_the_same_rows_have_no_odds_ratio() -> None:
    same = np.arange(50) < 20
    assert mcnemar(same, same) == Known("McNemar, exact", 0.0, 1.0, None)


@pytest.mark.parametrize("n", [5, 40, 200])
def test_the_paired_t_is_that_of_scipy_and_its_effect_is_cohens(n: int) -> None:
    one, two = np.random.default_rng(n).normal([[0.3], [0.0]], 1, (2, n))
    found, theirs = paired_t(one - two), stats.ttest_rel(one, two)
    assert found.name == "paired t"
    assert (found.statistic, found.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    # Student's t is Cohen's d times the root of the number of pairs.
    assert found.effect == pytest.approx(theirs.statistic / math.sqrt(n))


@pytest.mark.parametrize("n", [8, 50, 51, 200])
def test_wilcoxons_test_is_that_of_scipy_and_its_effect_is_a_share_of_ranks(n: int) -> None:
    difference = np.random.default_rng(n).normal(0.3, 1, n)
    found, theirs = wilcoxon(np.append(difference, [0.0, 0.0])), stats.wilcoxon(difference)
    assert found.name == "Wilcoxon signed rank"
    assert (found.statistic, found.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    # Kerby 2014: the favourable share of the rank sum less the unfavourable one; each pair of rows votes by its mean.
    i, j = np.triu_indices(n)
    votes = np.sign(difference[i] + difference[j])
    assert found.effect == pytest.approx(votes.mean())


def test_tests_of_no_difference_say_so() -> None:
    for same in (np.zeros(50), np.zeros(1), np.zeros(0)):
        assert wilcoxon(same) == Known("Wilcoxon signed rank", 0.0, 1.0, 0.0)
    assert paired_t(np.zeros(50)) == Known("paired t", 0.0, 1.0, 0.0)


def test_p_values_are_multiplied_by_how_many_there_are() -> None:
    tests = [Known("a", 0.0, p) for p in (0.01, 0.3, 0.4)]
    assert bonferroni(tests) == pytest.approx([0.03, 0.9, 1.0])
    assert bonferroni([]) == []
