"""`drill.json` as evidence of robustness: which faults of known size the gate blocked. It is checked like a record.

Its bounds are those of a record. The parts that a record or a document shows have their published form (docs/schema of
the drill), and the counts are those of its faults.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from weighin.canonical import digest
from weighin.errors import RecordRefused
from weighin.record.form import RECORD_BYTES, parsed
from weighin.untrusted import JsonDict
from weighin.untrusted.bounded import Unreadable, content

Count = Annotated[int, Field(ge=0)]
Answer = Literal["blocked", "inconclusive", "missed", "not_applicable", "error"]
REMEDY = "Drill again: weighin drill."


class _Stranger(BaseModel):
    """A part of a file that somebody else wrote; parts that no document shows are not looked at."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class About(_Stranger):
    """What was drilled."""

    contract: str
    subject: str
    quick: bool
    seed: int
    made: AwareDatetime


class Summary(_Stranger):
    """How many faults came to which answer. `faults` are those that the gate can meet."""

    faults: Count
    killed: Count
    inconclusive: Count
    missed: Count
    not_applicable: Count
    errors: Count
    controls: Count
    false_alarms: Count


class Curve(_Stranger):
    """The size at which a fault is blocked with 80 %, and its 95 % interval; no `high` is no bound."""

    size: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat | None


class Fault(_Stranger):
    """One fault at its stated size, and what the gate made of it."""

    name: str
    family: str
    what: str
    unit: str
    size: FiniteFloat
    answer: Answer
    by: dict[str, str]
    reason: str
    curve: Curve | None


class Control(_Stranger):
    """Draws without a fault; what blocks among them is a false alarm."""

    name: str
    what: str
    draws: Count
    blocked: Count
    inconclusive: Count
    passed: Count


class Score(_Stranger):
    """The ML Test Score: the lowest of its sections."""

    total: FiniteFloat


class Drill(_Stranger):
    """What a record or a document shows of a drill."""

    schema_: Literal["weighin/drill/v1"] = Field(alias="schema")
    about: About
    promise: str
    summary: Summary
    faults: tuple[Fault, ...]
    controls: tuple[Control, ...]
    ml_test_score: Score | None = None


def read_drill(path: Path) -> tuple[Drill, str]:
    """Return a drill, and the digest of its file.

    Errors: `RecordRefused` where there is none, or one that is damaged or does not add up.
    """
    place = str(path)
    if path.is_symlink() or not path.is_file():
        raise RecordRefused("no regular file", place, REMEDY)
    try:
        data = content(path, RECORD_BYTES)
    except Unreadable as error:
        raise RecordRefused(str(error), place, REMEDY) from error
    parsed(data, place)
    try:
        drill = Drill.model_validate_json(data)
    except ValidationError as error:
        where = "/".join(str(part) for part in error.errors()[0]["loc"] if isinstance(part, int) or part.isidentifier())
        raise RecordRefused(f"not of the form of a drill, at {where or 'the top'}", place, REMEDY) from None
    _demand_sums(drill, place)
    return drill, digest(data)


def drilled(path: Path, contract: str, created: str) -> JsonDict:
    """Return what a record says of the last drill.

    contract  digest of the contract that the record is of
    created   when the record is made, as it says it
    Errors: `RecordRefused`, also for a drill of a later time.
    """
    drill, found = read_drill(path)
    made = drill.about.made.astimezone(UTC).isoformat(timespec="seconds")
    age = age_days(made, created)
    if age < 0:
        raise RecordRefused("it is of a later time than this decision", str(path), REMEDY)
    return {
        "digest": found,
        "made": made,
        "age_days": age,
        "same_contract": drill.about.contract == contract,
        "faults": drill.summary.faults,
        "killed": drill.summary.killed,
        "score": score(drill.summary.killed, drill.summary.faults),
        "ml_test_score": None if drill.ml_test_score is None else drill.ml_test_score.total,
    }


def age_days(made: str, created: str) -> float:
    """Return days between a drill and a record, to a tenth. Errors: `ValueError` for what are no times."""
    between = datetime.fromisoformat(created) - datetime.fromisoformat(made)
    return round(between.total_seconds() / 86_400, 1)


def score(killed: int, faults: int) -> float:
    """Return the share of the faults that were blocked; 0 where none was tried."""
    return round(killed / faults, 4) if faults else 0.0


def _demand_sums(drill: Drill, place: str) -> None:
    """Errors: `RecordRefused` where the summary is not that of the faults and controls."""
    found, said = Counter(f.answer for f in drill.faults), drill.summary
    met = len(drill.faults) - found["not_applicable"] - found["error"]
    counted = (met, found["blocked"], found["inconclusive"], found["missed"], found["not_applicable"], found["error"])
    written = (said.faults, said.killed, said.inconclusive, said.missed, said.not_applicable, said.errors)
    draws, alarms = sum(c.draws for c in drill.controls), sum(c.blocked for c in drill.controls)
    if counted != written or (draws, alarms) != (said.controls, said.false_alarms):
        raise RecordRefused("its summary is not that of its faults and controls", place, REMEDY)
