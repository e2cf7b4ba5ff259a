"""Intervals at the level that a limit demands: for one evaluation, or for any number of them as rows come in.

Where a label plan has drawn the rows, accuracy is measured by the plan itself, alone or against the champion, and
everything else by rows that count by the inverse of their probabilities, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from weighin.contract import Check
from weighin.contract.checks import FairnessRule, MetricRule
from weighin.errors import NotEvaluated
from weighin.stats import label_plan
from weighin.stats.anytime import TIGHTEST, level, sequence
from weighin.stats.intervals import Floats, Interval, Undefined
from weighin.stats.label_plan import Pool
from weighin.stats.rates import influence_of_difference, rate
from weighin.stats.scored import Bools, Metric, Scored
from weighin.suites.rows import Rows

TIGHTEST_GROUPS = 100
"""Groups at which intervals are tightest, where rows depend on each other: there are fewer of them than of rows."""
NEXT_TO_NOTHING = 1e-7
"""Weight of a row that is not there, of one that is."""
Influences = Callable[[Mapping[str, Scored]], Floats]
"""(n,) influence values of rows that each role has scored."""


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
    """Whether a label plan measures a metric itself, with bounds that are exact."""
    pool = rows.pool
    if pool is None or (rule.metric, rule.factor, rule.slice) != ("accuracy", 1.0, None):
        return False
    return "champion" in rows.scored and (rule.against == "champion" or _is_alone(rule, pool))


def _is_alone(rule: MetricRule, pool: Pool) -> bool:
    """Whether it is the accuracy of one model, from labels of both strata."""
    return rule.against is None and pool.design == "stratified"


def by_plan(check: Check, rule: MetricRule, rows: Rows) -> Interval:
    """Return the candidate's accuracy, or the difference of both accuracies, by the labels of a plan.

    Errors: `Undefined`.
    """
    assert rows.pool is not None
    assert rows.differ is not None
    ours, theirs = (np.asarray(r.decision == r.truth) for r in (rows.scored["candidate"], rows.scored["champion"]))
    if rule.against is None:
        return label_plan.accuracy(rows.pool, ours, rows.differ, check.limit.alpha)
    return label_plan.difference(rows.pool, ours, theirs, rows.differ, check.limit.alpha)


def must_be_measurable(check: Check, part: Rows) -> None:
    """Errors: `NotEvaluated`, `Undefined` where labelled rows of a plan say nothing of what a check is about.

    part  the rows that the check is about: a slice, where it is about one
    """
    pool, differ = part.pool, part.differ
    if pool is None or differ is None:
        return
    if pool.design == "disagreement":
        raise NotEvaluated(
            "only rows that candidate and champion decide differently are labelled, which tell their difference in "
            "accuracy and nothing else",
            check.id,
            "Write `design: stratified` in gates.performance.labels, or leave the check out.",
        )
    if pool.design == "stratified":
        label_plan.must_have_labels(differ)


def must_be_carried(rule: MetricRule, part: Rows, of: Influences | None) -> None:
    """Errors: `Undefined` where the labels of a stratum say too little of how much a metric varies there.

    of  the influence values of the metric, or of what it is compared by; None where it has none
    """
    if part.pool is None or part.differ is None or part.pool.design != "stratified":
        return
    if of is None:
        raise Undefined("one number of all rows: nobody knows what it would be without the rows that have few labels")
    # Whatever is true of a row that both decide the same, both are right there or both are wrong.
    known = (rule.metric, rule.against, rule.factor) == ("accuracy", "champion", 1.0)
    label_plan.must_be_carried(*_with_other_labels(part.scored, of), part.differ, known=known)


def _with_other_labels(scored: Mapping[str, Scored], of: Influences) -> tuple[Floats, Floats]:
    """Return (n,) influence values for rows of weight one, and (labels, n) those of the same rows with other labels.

    The others are rows that weigh next to nothing, and are measured along with the rows that are there.
    """
    one = next(iter(scored.values()))
    n, binary = len(one.truth), one.truth.dtype == np.bool_
    changed = [~one.truth] if binary else [(one.truth + k) % one.score.shape[1] for k in range(1, one.score.shape[1])]
    truth, often = np.concatenate([one.truth, *changed]), 1 + len(changed)
    weight = np.concatenate([one.share, *[one.share * NEXT_TO_NOTHING] * len(changed)])
    more = {
        role: replace(rows, truth=truth, score=np.concatenate([rows.score] * often), weight=weight)
        for role, rows in scored.items()
    }
    values = (of(more) / next(iter(more.values())).share).reshape(often, n)
    return values[0], values[1:]


def sides_must_be_measurable(check: Check, rule: FairnessRule, rows: Rows, sides: Sequence[Bools]) -> None:
    """Errors: `NotEvaluated`, `Undefined` where labelled rows of a plan say too little of either group of rows.

    sides  (n,) which rows are of the one group, and of the other
    The sentences hold no counts: those of a column may be sensitive.
    """
    if rows.pool is None or rows.differ is None or rows.pool.design != "stratified":
        return must_be_measurable(check, rows)
    candidate = {"candidate": rows.scored["candidate"]}

    def of(scored: Mapping[str, Scored]) -> Floats:
        often = len(scored["candidate"].truth) // len(rows)
        return influence_of_difference(rule.rate, scored["candidate"], *(np.tile(s, often) for s in sides))[1]

    _, base = rate(rule.rate, candidate["candidate"])
    for side, which in zip(sides, ("first", "second"), strict=True):
        try:
            label_plan.must_have_labels(rows.differ[side & base])
            values, others = _with_other_labels(candidate, of)
            label_plan.must_be_carried(values[side], others[:, side], rows.differ[side])
        except Undefined as error:
            said = f"too few labels of the {which} group that count for this rate: of rows decided differently, the "
            raise Undefined(f"{said}same, or of what varies among them") from error
    return None
