"""The tests that reviewers ask for: two models on the same rows. Information beside a decision, never the rule."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from weighin.stats.intervals import Floats
from weighin.stats.scored import Bools


@dataclass(frozen=True)
class Test:
    """A two-sided test: its name, statistic, p-value, and an effect size (None where it has none)."""

    name: str
    statistic: float
    p: float
    effect: float | None = None


def mcnemar(candidate_right: Bools, champion_right: Bools) -> Test:
    """Exact McNemar test (1947) of equal error rates; (n,) whether each is right. The effect is the odds ratio.

    It is infinite where only the candidate is ever right alone, and there is none where neither is.

    >>> mcnemar(np.array([True] * 9 + [False]), np.array([False] * 9 + [True])).p
    0.021484375
    """
    gained, lost = int((candidate_right & ~champion_right).sum()), int((champion_right & ~candidate_right).sum())
    if gained + lost == 0:
        return Test("McNemar, exact", 0.0, 1.0)
    p = float(stats.binomtest(gained, gained + lost).pvalue)
    return Test("McNemar, exact", float(min(gained, lost)), p, gained / lost if lost else math.inf)


def paired_t(difference: Floats) -> Test:
    """Student's paired t test of the mean of (n,) per-row differences; the effect is Cohen's d of the differences."""
    spread = float(difference.std(ddof=1))
    if spread == 0:
        return Test("paired t", 0.0, 1.0, 0.0)
    found = stats.ttest_1samp(difference, 0.0)
    return Test("paired t", float(found.statistic), float(found.pvalue), float(difference.mean()) / spread)


def wilcoxon(difference: Floats) -> Test:
    """Wilcoxon's signed rank test (1945) of (n,) per-row differences; the effect is the matched rank biserial."""
    moved = difference[difference != 0]
    if len(moved) == 0:
        return Test("Wilcoxon signed rank", 0.0, 1.0, 0.0)
    found = stats.wilcoxon(moved)
    ranks = stats.rankdata(np.abs(moved))
    return Test(
        "Wilcoxon signed rank",
        float(found.statistic),
        float(found.pvalue),
        float((ranks * np.sign(moved)).sum() / ranks.sum()),
    )


def bonferroni(tests: list[Test]) -> list[float]:
    """p-values times the number of tests, at most 1 (Dunn 1961)."""
    return [min(1.0, test.p * len(tests)) for test in tests]
