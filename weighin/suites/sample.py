"""From an interval to a measurement."""

from __future__ import annotations

from collections.abc import Sequence

from weighin.contract import Check
from weighin.outcome import Direction, Evaluations, Measurement
from weighin.stats.drift import Distance
from weighin.stats.intervals import Interval
from weighin.untrusted import JsonObject

NAMED = 3
"""Things that a sentence names."""


def named(things: Sequence[str]) -> str:
    """Return some things as a part of a sentence.

    >>> named(["a is new", "b is new", "c is new", "d is new"])
    'a is new; b is new; c is new; and 1 more'
    """
    more = [f"and {len(things) - NAMED} more"] if len(things) > NAMED else []
    return "; ".join([*things[:NAMED], *more])


def of_distance(
    check: Check,
    found: Distance | Interval,
    n: int,
    unit: str,
    method: str,
    sampling_unit: str,
    detail: JsonObject | None = None,
) -> Measurement:
    """Return a distance of two tables as evidence for a check, which limits it from above."""
    p = found.p_above(check.limit.value)
    ends = (found.estimate, found.low, found.high, found.level)
    return Measurement(check.id, *ends, n, unit, method, sampling_unit=sampling_unit, p_value=p, detail=detail or {})


def sample(
    check: Check,
    found: Interval,
    unit: str,
    sampling_unit: str,
    detail: JsonObject,
    said: str = "",
    evaluations: Evaluations = "one",
) -> Measurement:
    """Return the interval as evidence for a check, with the p-value of the side that its limit forbids.

    said         what was found, in words; see `Measurement.found`
    evaluations  for which the interval was made
    """
    value = check.limit.value
    p = found.p_below(value) if check.limit.direction is Direction.AT_LEAST else found.p_above(value)
    ends = (found.estimate, found.low, found.high, found.level)
    return Measurement(
        check.id,
        *ends,
        found.n,
        unit,
        found.method,
        sampling_unit=sampling_unit,
        p_value=p,
        detail=detail,
        found=said,
        evaluations=evaluations,
    )
