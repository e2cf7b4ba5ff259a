"""Intervals at the level that a limit demands: for one evaluation, or for any number of them as rows come in.

Where a label plan has drawn the rows, accuracy against the champion is measured by the plan, and everything else by
rows that count by the inverse of their probabilities, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from weighin.contract import Check
from weighin.contract.checks import FairnessRule, MetricRule
from weighin.errors import NotEvaluated
from weighin.stats import label_plan
from weighin.stats.anytime import TIGHTEST, level, sequence
from weighin.stats.intervals import Interval, Undefined
from weighin.stats.scored import MIN_RARER, Metric
from weighin.suites.rows import Rows

TIGHTEST_GROUPS = 100
"""Groups at which intervals are tightest, where rows depend on each other: there are fewer of them than of rows."""


def tightest(*, grouped: bool) -> int:
    """Return the number of units at which intervals are tightest, which the contract fixes before data are seen."""
    return TIGHTEST_GROUPS if grouped else TIGHTEST


def demanded(check: Check, rows: Rows, at: Callable[[float], Interval]) -> Interval:
    """Return an interval as a check demands it.

    rows  that it is made of
    at    the interval at a one-sided level
    Errors: `Undefined`.
    """
    return demanded_of(check, rows.units, at, grouped=rows.group is not None)


def demanded_of(check: Check, units: int, at: Callable[[float], Interval], *, grouped: bool) -> Interval:
    """Return an interval as a check demands it, of so many units that are independent of each other."""
    if check.limit.evaluations == "unlimited":
        return sequence(at, units, check.limit.alpha, tightest(grouped=grouped))
    return at(1 - check.limit.alpha)


def level_of(check: Check, units: int, *, grouped: bool) -> float:
    """Return the one-sided level at which a check demands an interval."""
    if check.limit.evaluations == "unlimited":
        return level(units, check.limit.alpha, tightest(grouped=grouped))
    return 1 - check.limit.alpha


def by_influence(check: Check, rule: MetricRule, known: Metric | None, rows: Rows) -> Rows:
    """Return rows whose intervals exist at every level: draws of a table say nothing of what one in 10,000 would.

    Rows of equal weight are measured as before, but by influence values.
    """
    exact = known is None or known.kind not in ("share", "table")
    exact = exact or (known is not None and known.kind == "share" and (rule.against is None or _is_paired(rule)))
    if exact or check.limit.evaluations == "one":
        return rows
    return rows.weighted()


def _is_paired(rule: MetricRule) -> bool:
    return rule.factor == 1 and rule.metric != "precision"


def is_by_plan(rule: MetricRule, rows: Rows) -> bool:
    """Whether a label plan measures a comparison itself."""
    wanted = (rule.metric, rule.against, rule.factor, rule.slice) == ("accuracy", "champion", 1.0, None)
    return rows.pool is not None and wanted and "champion" in rows.scored


def by_plan(check: Check, rows: Rows) -> Interval:
    """Return the difference of the accuracies by the labels of a plan.

    Errors: `Undefined`.
    """
    assert rows.pool is not None
    assert rows.differ is not None
    candidate, champion = rows.scored["candidate"], rows.scored["champion"]
    ours, theirs = (np.asarray(r.decision == r.truth) for r in (candidate, champion))
    return label_plan.difference(rows.pool, ours, theirs, rows.differ, check.limit.alpha)


def must_be_measurable(check: Check, rows: Rows) -> None:
    """Errors: `NotEvaluated`, `Undefined` where labelled rows of a plan say nothing of what a check is about."""
    pool, differ = rows.pool, rows.differ
    if pool is None or differ is None or not isinstance(check.rule, MetricRule | FairnessRule):
        return
    if pool.design == "disagreement":
        raise NotEvaluated(
            "only rows that candidate and champion decide differently are labelled, which tell their difference in "
            "accuracy and nothing else",
            check.id,
            "Write `design: stratified` in gates.performance.labels, or leave the check out.",
        )
    if pool.design == "random":
        return
    for stratum, of, said in ((differ, pool.differ, "differently"), (~differ, pool.rows - pool.differ, "the same")):
        count = int(stratum.sum())
        if count < min(MIN_RARER, of):
            raise Undefined(f"{count} labels of rows that both models decide {said}, at least {MIN_RARER} are needed")
