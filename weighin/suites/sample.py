"""From an interval to a measurement."""

from __future__ import annotations

from weighin.contract import Check
from weighin.outcome import Direction, Measurement
from weighin.stats.intervals import Interval
from weighin.untrusted import JsonObject


def sample(check: Check, found: Interval, unit: str, sampling_unit: str, detail: JsonObject) -> Measurement:
    """Return the interval as evidence for a check, with the p-value of the side that its limit forbids."""
    value = check.limit.value
    p = found.p_below(value) if check.limit.direction is Direction.AT_LEAST else found.p_above(value)
    ends = (found.estimate, found.low, found.high, found.level)
    return Measurement(
        check.id, *ends, found.n, unit, found.method, sampling_unit=sampling_unit, p_value=p, detail=detail
    )
