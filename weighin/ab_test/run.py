"""One evaluation of a test, from the contract and the log to the record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from weighin import __version__
from weighin.ab_test.evaluate import Answer, Decision, Ratio, evaluate, sample_ratio
from weighin.ab_test.record import SCHEMA
from weighin.ab_test.units import Seen, in_utc, read_units
from weighin.ab_test.validity import Changed, broken, changed, validity
from weighin.canonical import canonical, digest, number
from weighin.contract.ab_test import AbTest
from weighin.contract.reading import ContractFile
from weighin.errors import ContractError
from weighin.outcome import Measurement, Outcome
from weighin.prediction_log.reader import Log
from weighin.record.outcomes import encode_outcome
from weighin.untrusted import JsonDict, JsonObject

EVALUATIONS = 1000
"""That a record keeps: the last one of each day and answer, and of more than these the newest."""


def spec_of(file: ContractFile) -> AbTest:
    """Return the test of a contract. Errors: `ContractError` where it has none."""
    spec = file.contract.monitor.ab_test if file.contract.monitor else None
    if spec is None:
        raise ContractError("the contract has no `monitor.ab_test`", str(file.path), "Say what is compared.")
    return spec


def run(
    file: ContractFile, version: str, since: datetime, now: datetime, previous: tuple[JsonObject, str] | None
) -> JsonDict:
    """Read log and outcomes, and return the record of an evaluation.

    version   of the challenger, and `since` when it began to answer
    previous  the record of the last evaluation with the digest of its file; None at the first one
    Errors: `ContractError` where the record is of another test, or of this one as it was planned otherwise;
    `NotEvaluated` where log or outcomes are away or cannot be compared at all.
    """
    if previous is not None:
        _must_be_same(_plan(file, version, since), previous[0], str(file.path))
    return record_of(
        file, read_units(spec_of(file), Log.of(file), file.folder, version, since, now), since, now, previous
    )


def record_of(
    file: ContractFile, seen: Seen, since: datetime, now: datetime, previous: tuple[JsonObject, str] | None
) -> JsonDict:
    """Return the record of what was seen of a test: whether it may be compared, and what is decided."""
    spec, contract = spec_of(file), file.contract
    plan = _plan(file, seen.challenger[0], since)
    changes = changed(seen, previous[0] if previous else None)
    valid = validity(seen, changes)
    ratio = sample_ratio(seen.challengers, seen.units, spec.share)
    before = bool(previous and (previous[0]["sample_ratio"]["broken"] or previous[0]["sample_ratio"]["broken_before"]))
    # An interval that excluded the share once may hold it again later; the sequence missed all the same.
    ratio_said = ratio.broken or ("it was broken at an evaluation before: begin a test anew" if before else "")
    void = [*([f"ab/sample-ratio: {ratio_said}"] if ratio_said else []), *broken(valid)]
    decision = evaluate(spec, contract.alpha, seen.counted)
    if void:
        decision = Decision(Answer.NOT_EVALUATED, f"the arms must not be compared: {'; '.join(void)}", ())
    counted = int(seen.counted.challenger.sum())
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "weighin": __version__,
        "created": in_utc(now),
        **plan,
        "contract": file.digest,
        "cutoff": seen.cutoff.astimezone(UTC).isoformat(timespec="microseconds"),
        "champion": dict(zip(("version", "digest"), seen.champion, strict=True)),
        "challenger": dict(zip(("version", "digest"), seen.challenger, strict=True)),
        "answer": decision.answer.value,
        "reason": decision.reason,
        "units": {
            "seen": seen.units,
            "champion": len(seen.counted.challenger) - counted,
            "challenger": counted,
        },
        "sample_ratio": {**_ratio(ratio), "broken_before": before},
        "validity": [encode_outcome(o) for o in valid],
        "outcomes": [encode_outcome(o) for o in decision.outcomes],
        "rows": seen.rows,
        "late": dict(changes.late) if changes else dict.fromkeys(spec.names, 0),
        "lost": changes.lost if changes else 0,
        "newest": {name: in_utc(at) for name, at in seen.newest.items()},
        "problems": [*seen.faults.messages, *_late(changes)],
        "previous": previous[1] if previous else "",
    }
    earlier = previous[0]["evaluations"] if previous else []
    record["evaluations"] = _joined(earlier, _evaluation(record, decision.outcomes, seen))
    record["decided"] = _decided(previous, record)
    return record


def _plan(file: ContractFile, version: str, since: datetime) -> JsonDict:
    """Return what is fixed before a test."""
    spec, alpha, model = spec_of(file), file.contract.alpha, file.contract.model.name
    test = {**spec.model_dump(mode="json"), "alpha": alpha}
    return {
        "model": model,
        "test": {
            "name": spec.name,
            "digest": digest(canonical({**test, "model": model, "version": version, "since": in_utc(since)})),
            "alpha": alpha,
            "share": spec.share,
            "outcome_days": spec.outcome_days,
            "delay_hours": spec.delay_hours,
            "units_at_least": spec.units_at_least,
        },
        "since": in_utc(since),
    }


def _must_be_same(plan: JsonObject, previous: JsonObject, place: str) -> None:
    """Errors: `ContractError` where the plan was another one at the evaluation before."""
    if previous["model"] != plan["model"] or previous["test"]["name"] != plan["test"]["name"]:
        raise ContractError(
            "the record of the last evaluation is of another test", place, "Name another folder for this one: --out."
        )
    if previous["test"]["digest"] != plan["test"]["digest"]:
        raise ContractError(
            "the test is not the one that was begun: a limit, the share, the challenger or its begin was changed",
            place,
            "Change it back. A changed test is a new one: give it another `name`, a later --since and another --out.",
        )


def _late(changes: Changed | None) -> list[str]:
    late = sum(changes.late.values()) if changes else 0
    if not late:
        return []
    return [f"{late:,} outcomes came after their units had been counted without them, and count now"]


def _ratio(ratio: Ratio) -> JsonDict:
    return {
        "challengers": ratio.challengers,
        "units": ratio.units,
        "share": ratio.share,
        "low": ratio.low,
        "high": ratio.high,
        "expected": ratio.expected,
        "broken": bool(ratio.broken),
    }


def _evaluation(record: JsonObject, outcomes: Sequence[Outcome], seen: Seen) -> JsonDict:
    checks = {
        o.check: [number(o.evidence.estimate), number(o.evidence.low), number(o.evidence.high)]
        for o in outcomes
        if isinstance(o.evidence, Measurement)
    }
    ratio = record["sample_ratio"]
    return {
        "at": record["created"],
        "cutoff": record["cutoff"],
        "answer": record["answer"],
        "units": len(seen.counted.challenger),
        "rows": seen.rows,
        "share": [ratio["share"], ratio["low"], ratio["high"]],
        "checks": checks,
    }


def _joined(earlier: Sequence[JsonObject], last: JsonObject) -> list[JsonObject]:
    """Return all evaluations, of one day and one answer the last one."""
    kept = list(earlier)
    if kept and (kept[-1]["at"][:10], kept[-1]["answer"]) == (last["at"][:10], last["answer"]):
        kept.pop()
    return [*kept, last][-EVALUATIONS:]


def _decided(previous: tuple[JsonObject, str] | None, record: JsonObject) -> JsonObject | None:
    """Return the first evaluation that passed or failed."""
    if previous is not None and previous[0]["decided"] is not None:
        first: JsonObject = previous[0]["decided"]
        return first
    if record["answer"] in (Answer.PASS, Answer.FAIL):
        return {"at": record["created"], "answer": record["answer"]}
    return None
