"""Whether the data of a test may be compared at all: faults are counted, and each kind has a fixed limit."""

from __future__ import annotations

from dataclasses import dataclass

from weighin.ab_test.units import Seen
from weighin.outcome import Direction, Limit, Outcome, Status, census, decide

FAULTS_AT_MOST = 0.01
"""Largest share of units, or rows, with a fault of one kind. It is well below what a sample ratio would show."""
LATE_AT_MOST = 0.01
"""Largest share of the outcomes of units that had been counted before these outcomes came."""


@dataclass(frozen=True)
class Before:
    """What the last evaluation had counted: units, and rows of outcomes, up to its cutoff; and what these are now."""

    units: int
    rows: int
    units_now: int
    rows_now: int


def validity(seen: Seen, before: Before | None) -> tuple[Outcome, ...]:
    """Return one outcome for each kind of fault. A test whose data break one of these limits is not evaluated."""
    faults = seen.faults
    listed = [
        _share("ab/assignment", faults.other_arm + faults.both_arms, seen.units, "units", "units in the wrong arm"),
        _share(
            "ab/without-unit", faults.without_unit, seen.requests, "requests", "requests to the challenger without unit"
        ),
        _share("ab/broken-outcomes", faults.broken, seen.outcome_rows, "rows", "outcomes without a finite value"),
        _count("ab/unreadable-files", faults.unreadable, "files that are not whole"),
    ]
    if before is not None:
        late = max(0, before.rows_now - before.rows)
        gone = max(0, before.rows - before.rows_now) + max(0, before.units - before.units_now)
        listed.append(
            _share(
                "ab/late-outcomes",
                late,
                before.rows_now,
                "rows",
                "outcomes that came after their units had been counted: raise `delay_hours` in the next test",
                LATE_AT_MOST,
            )
        )
        listed.append(_count("ab/lost-rows", gone, "units or outcomes that had been counted are gone"))
    return tuple(listed)


def broken(outcomes: tuple[Outcome, ...]) -> list[str]:
    """Return a sentence for each kind of fault that is beyond its limit, or could not be counted."""
    return [f"{o.check}: {o.reason}" for o in outcomes if o.status is not Status.PASSED]


def _share(check: str, number: int, of: int, unit: str, found: str, most: float = FAULTS_AT_MOST) -> Outcome:
    value = number / of if of else 0.0
    measured = census(
        check, value, n=max(of, 1), unit=f"share of {unit}", method="counted", sampling_unit=unit, found=found
    )
    return decide(measured, Limit(Direction.AT_MOST, most))


def _count(check: str, number: int, found: str) -> Outcome:
    measured = census(check, number, n=max(number, 1), unit="", method="counted", sampling_unit="all", found=found)
    return decide(measured, Limit(Direction.AT_MOST, 0))
