"""The decision about an A/B test, from numbers of its units, at any moment and as often as anybody likes.

*Pass.* Every interval is one of a confidence sequence (`weighin.stats.anytime`) of error `alpha`, and all have to lie
within their limits at one evaluation. A challenger that truly breaks a limit passes that limit at any of all
evaluations with probability at most `alpha`, so the test passes with no more (intersection-union test, Berger 1982).

*Fail.* One interval lies beyond its limit, and does so at `alpha` divided by the number of limits as well: a challenger
that keeps all limits fails with probability at most `alpha`, however many there are.

*Sample ratio.* The share of the units that are in the challenger's arm, by an exact confidence sequence of error
`RATIO_ALPHA`. Units that are missing, or counted twice, in one arm only make any comparison worthless.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from weighin.contract.ab_test import AbMetric, AbTest
from weighin.outcome import Direction, Limit, Measurement, Outcome, Status, Unmeasured, decide
from weighin.stats import anytime
from weighin.stats.intervals import Interval, Undefined
from weighin.stats.two_arms import mean_difference, ratio_difference, share_difference

Floats = NDArray[np.float64]

RATIO_ALPHA = 0.001
"""Error of the check of the sample ratio, both sides together, in all evaluations of a test."""
UNITS = {"share": "share", "mean": "per unit", "ratio": "ratio"}


class Answer(StrEnum):
    """What an evaluation says of the challenger."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_EVALUATED = "not_evaluated"


@dataclass(frozen=True)
class Counted:
    """Numbers of the units whose time has passed, in any order.

    challenger  (n,) whether the hash puts a unit into the challenger's arm
    sums        name of an outcome -> (n,) sum of its values
    events      name of an outcome -> (n,) number of its rows that are not zero
    """

    challenger: NDArray[np.bool_]
    sums: Mapping[str, Floats]
    events: Mapping[str, Floats]


@dataclass(frozen=True)
class Ratio:
    """The sample ratio: challengers among all units that were seen.

    broken  why it is not what the contract says; empty while it may be
    """

    challengers: int
    units: int
    expected: float
    low: float
    high: float
    broken: str

    @property
    def share(self) -> float:
        """Of the challengers."""
        return self.challengers / self.units


@dataclass(frozen=True)
class Decision:
    """What an evaluation says, and why."""

    answer: Answer
    reason: str
    outcomes: tuple[Outcome, ...]


def sample_ratio(challengers: int, units: int, expected: float) -> Ratio:
    """Return the share of challengers with its interval, and whether `expected` may be the truth.

    Errors: `Undefined` without units.
    """
    found = anytime.share(challengers, units, RATIO_ALPHA / 2)
    ends = (found.estimate, found.low, found.high, found.level)
    measured = Measurement("ab/sample-ratio", *ends, found.n, "share", found.method, sampling_unit="units")
    sides = (Direction.AT_LEAST, Direction.AT_MOST)
    broken = any(decide(measured, Limit(s, expected, RATIO_ALPHA / 2)).status is Status.FAILED for s in sides)
    said = (
        f"{challengers:,} of {units:,} units are in the challenger's arm, a share of {found.estimate:.4f} "
        f"[{found.low:.4f}, {found.high:.4f}] where {expected:g} is due"
    )
    return Ratio(challengers, units, expected, found.low, found.high, said if broken else "")


def evaluate(spec: AbTest, alpha: float, counted: Counted) -> Decision:
    """Decide on the units whose time has passed. Faults of the data are the caller's: they come before.

    alpha  one-sided error of a test, as the contract has it
    """
    units = len(counted.challenger)
    if units < spec.units_at_least:
        return Decision(
            Answer.INCONCLUSIVE, f"{units:,} units so far, the first decision needs {spec.units_at_least:,}", ()
        )
    confirmed = alpha / len(spec.metrics)
    return _decision(tuple(_outcome(metric, alpha, confirmed, counted) for metric in spec.metrics))


def limit(metric: AbMetric, alpha: float) -> Limit:
    """Return what must hold of the difference challenger - champion."""
    worse = -metric.better_by if metric.better_by is not None else metric.margin
    assert worse is not None
    if metric.lower_is_better:
        return Limit(Direction.AT_MOST, worse + 0.0, alpha)
    return Limit(Direction.AT_LEAST, 0.0 - worse, alpha)


def answer_of(statuses: Collection[Status]) -> Answer:
    """Return what the outcomes of all limits say together; nothing is no pass."""
    for status, answer in (
        (Status.FAILED, Answer.FAIL),
        (Status.NOT_EVALUATED, Answer.NOT_EVALUATED),
        (Status.INCONCLUSIVE, Answer.INCONCLUSIVE),
    ):
        if status in statuses:
            return answer
    return Answer.PASS if statuses else Answer.NOT_EVALUATED


def _decision(outcomes: tuple[Outcome, ...]) -> Decision:
    answer = answer_of([o.status for o in outcomes])
    if answer is Answer.PASS:
        return Decision(answer, "every limit is kept", outcomes)
    said = [o for o in outcomes if answer_of([o.status]) is answer]
    return Decision(answer, "; ".join(f"{o.check}: {o.reason}" for o in said), outcomes)


def _outcome(metric: AbMetric, alpha: float, confirmed: float, counted: Counted) -> Outcome:
    try:
        found = decide(_measured(metric, alpha, counted), limit(metric, alpha))
        if found.status is not Status.FAILED or confirmed >= alpha:
            return found
        again = decide(_measured(metric, confirmed, counted), limit(metric, confirmed))
    except Undefined as error:
        return decide(Unmeasured(metric.id, str(error)), limit(metric, alpha))
    if again.status is Status.FAILED:
        return found
    note = f"not at the error of {confirmed:g} that each of several limits has"
    return replace(found, status=Status.INCONCLUSIVE, reason=f"{found.reason}, but {note}")


def _measured(metric: AbMetric, alpha: float, counted: Counted) -> Measurement:
    found = interval(metric, alpha, counted)
    challengers = int(counted.challenger.sum())
    arms = {"challenger": challengers, "champion": len(counted.challenger) - challengers}
    ends = (found.estimate, found.low, found.high, found.level)
    unit = UNITS[metric.kind]
    return Measurement(metric.id, *ends, found.n, unit, found.method, sampling_unit="units", detail=arms)


def interval(metric: AbMetric, alpha: float, counted: Counted) -> Interval:
    """Return the difference challenger - champion, with bounds that hold at all evaluations. Errors: `Undefined`."""
    ours = counted.challenger
    match metric.kind:
        case "share":
            values = (counted.events[metric.outcome] > 0).astype(np.float64)
            one, other = values[ours], values[~ours]

            def at(level: float) -> Interval:
                return share_difference(one, other, level)
        case "mean":
            values = counted.sums[metric.outcome]
            values = values if metric.cap is None else np.clip(values, -metric.cap, metric.cap)
            one, other = values[ours], values[~ours]

            def at(level: float) -> Interval:
                return mean_difference(one, other, level)
        case "ratio":
            top, below = counted.sums[metric.outcome], counted.sums[str(metric.denominator)]

            def at(level: float) -> Interval:
                return ratio_difference((top[ours], below[ours]), (top[~ours], below[~ours]), level)

    found = anytime.sequence(at, len(ours), alpha)
    return replace(found, n=len(ours))
