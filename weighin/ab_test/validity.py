"""Whether the data of a test may be compared at all: faults are counted, and each kind has a fixed limit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from weighin.ab_test.units import Seen
from weighin.outcome import Direction, Limit, Outcome, Status, census, decide
from weighin.untrusted import JsonObject

FAULTS_AT_MOST = 0.01
"""Largest share of units, or rows, with a fault of one kind. It is well below what a sample ratio would show."""
LATE_AT_MOST = 0.01
"""Largest share of the outcomes of units that had been counted before these outcomes came."""


@dataclass(frozen=True)
class Changed:
    """What changed of units after they had been counted, in all evaluations together: it is not forgotten.

    late  name of an outcome -> rows that came after their units had been counted
    lost  units, and rows of outcomes, that had been counted and are gone
    rows  name of an outcome -> rows of those units now
    """

    late: Mapping[str, int]
    lost: int
    rows: Mapping[str, int]


def changed(seen: Seen, previous: JsonObject | None) -> Changed | None:
    """Compare what the last evaluation had counted with what these units are made of now. None at the first one.

    previous  its record
    """
    if previous is None:
        return None
    last = previous["evaluations"][-1]
    units, rows = seen.counted_until(datetime.fromisoformat(last["cutoff"]))
    before = {name: int(last["rows"].get(name, 0)) for name in rows}
    late = {n: int(previous["late"].get(n, 0)) + max(0, now - before[n]) for n, now in rows.items()}
    lost = int(previous["lost"]) + max(0, int(last["units"]) - units)
    lost += sum(max(0, before[n] - now) for n, now in rows.items())
    return Changed(late, lost, rows)


def validity(seen: Seen, changes: Changed | None) -> tuple[Outcome, ...]:
    """Return one outcome for each kind of fault. A test whose data break one of these limits is not evaluated."""
    faults = seen.faults
    listed = [
        _share("ab/assignment", faults.other_arm + faults.both_arms, seen.units, "units", "units in the wrong arm"),
        _share(
            "ab/without-unit", faults.without_unit, seen.requests, "requests", "requests to the challenger without unit"
        ),
        _share("ab/broken-outcomes", *_worst(seen.sound.values()), "rows", "outcomes without a finite value"),
        _count("ab/unreadable-files", faults.unreadable, "files that are not whole"),
    ]
    if changes is not None:
        listed.append(
            _share(
                "ab/late-outcomes",
                *_worst((late, changes.rows[name]) for name, late in changes.late.items()),
                "rows",
                "outcomes that came after their units had been counted: raise `delay_hours` in the next test",
                LATE_AT_MOST,
            )
        )
        listed.append(_count("ab/lost-rows", changes.lost, "units or outcomes that had been counted are gone"))
    return tuple(listed)


def broken(outcomes: tuple[Outcome, ...]) -> list[str]:
    """Return a sentence for each kind of fault that is beyond its limit, or could not be counted."""
    return [f"{o.check}: {o.reason}" for o in outcomes if o.status is not Status.PASSED]


def _worst(shares: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Return the largest of shares, each a number and of how many: an outcome of few rows is not lost among others."""
    return max(shares, key=lambda one: one[0] / max(one[1], 1), default=(0, 0))


def _share(check: str, number: int, of: int, unit: str, found: str, most: float = FAULTS_AT_MOST) -> Outcome:
    value = number / max(of, 1)
    measured = census(
        check, value, n=max(of, 1), unit=f"share of {unit}", method="counted", sampling_unit=unit, found=found
    )
    return decide(measured, Limit(Direction.AT_MOST, most))


def _count(check: str, number: int, found: str) -> Outcome:
    measured = census(check, number, n=max(number, 1), unit="", method="counted", sampling_unit="all", found=found)
    return decide(measured, Limit(Direction.AT_MOST, 0))
