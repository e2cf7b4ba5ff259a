"""The record of an A/B test, which is its memory as well: one JSON file of a published form.

Each evaluation writes it anew, with what the evaluations before it saw. A record is believed where it has the form, and
its outcomes and its answer are what its own numbers say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weighin.ab_test.evaluate import Answer, answer_of, sample_ratio
from weighin.canonical import digest
from weighin.errors import RecordRefused
from weighin.outcome import Status, decide
from weighin.record.form import ENVELOPE_BYTES, RECORD_BYTES, parsed
from weighin.record.outcomes import decode_evidence, decode_limit
from weighin.record.signature import STATEMENT, Signer, signed, unsealed
from weighin.stats.intervals import Undefined
from weighin.untrusted import JsonDict, JsonObject
from weighin.untrusted.bounded import Unreadable, content

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from jsonschema_rs import Validator

SCHEMA = "weighin/ab/v1"
FILE = "ab-v1.schema.json"
"""Beside this module; docs/schema has a copy for readers, and a test compares the two."""
PREDICATE = "https://weigh-in.dev/ab/v1"
"""Type of the predicate of a signed record."""
RECORD, SIGNED, PAGE = "ab.json", "ab.dsse.json", "ab.html"
REMEDY = "Take the record of the last evaluation from where it was kept, or begin a test with another name."


@cache
def schema() -> JsonDict:
    """Return the published schema of the record."""
    found: dict[str, Any] = json.loads((files("weighin.ab_test") / FILE).read_text(encoding="utf-8"))
    return found


@cache
def _validator() -> Validator:
    from jsonschema_rs import Draft202012Validator

    return Draft202012Validator(schema())


def read_record(path: Path) -> tuple[JsonDict, str]:
    """Return a record, and the digest of its file.

    Errors: `RecordRefused` where it is no regular file, has not the published form, or its numbers say otherwise.
    """
    place, data = str(path), _content(path, RECORD_BYTES)
    record: JsonDict = parsed(data, place)
    demand_form(record, place)
    demand_sense(record, place)
    return record, digest(data)


def demand_form(record: JsonObject, place: str) -> None:
    """Errors: `RecordRefused` naming the first place at which a record has not the published form."""
    error = next(iter(_validator().iter_errors(record)), None)
    if error is not None:
        where = "/".join(str(p) for p in error.instance_path if isinstance(p, int) or p.isidentifier())
        raise RecordRefused(f"not of the form {SCHEMA}, at {where or 'the top'}", place, REMEDY)


def demand_sense(record: JsonObject, place: str) -> None:
    """Decide again, from the numbers of a record. Errors: `RecordRefused` where it says something else."""
    statuses = []
    for part in ("validity", "outcomes"):
        for outcome in record[part]:
            check = str(outcome["check"])
            again = decide(decode_evidence(check, outcome["evidence"]), decode_limit(outcome["limit"])).status
            said = Status(outcome["status"])
            # Several limits: a failure that does not hold at the stricter level is inconclusive.
            several = part == "outcomes" and len(record["outcomes"]) > 1
            unconfirmed = several and again is Status.FAILED and said is Status.INCONCLUSIVE
            if part == "outcomes" and outcome["limit"]["alpha"] != record["test"]["alpha"]:
                raise RecordRefused(f"{check} was decided at another error than that of the test", place)
            if again is not said and not unconfirmed:
                raise RecordRefused(f"{check} is {again.value} by its numbers, and the record says otherwise", place)
            if part == "outcomes":
                statuses.append(said)
            elif said is not Status.PASSED and record["answer"] != Answer.NOT_EVALUATED:
                raise RecordRefused(f"{check} is broken, and the test has the answer {record['answer']}", place)
    _demand_ratio(record, place)
    if statuses and answer_of(statuses) != record["answer"]:
        raise RecordRefused(f"its outcomes make it {answer_of(statuses).value}, and it says otherwise", place)
    if not statuses and record["answer"] in (Answer.PASS, Answer.FAIL):
        raise RecordRefused("it has an answer, and no outcome", place)


def _demand_ratio(record: JsonObject, place: str) -> None:
    """Errors: `RecordRefused` where the sample ratio is not what its units say, or broken in a test with an answer."""
    said = record["sample_ratio"]
    expected = record["test"]["share"]
    try:
        again = sample_ratio(said["challengers"], said["units"], expected)
    except Undefined as error:
        raise RecordRefused("the sample ratio is of no units", place) from error
    ends = (again.share, again.low, again.high, bool(again.broken))
    if said["expected"] != expected or ends != tuple(said[k] for k in ("share", "low", "high", "broken")):
        raise RecordRefused("the sample ratio is not the one of its units", place)
    if (said["broken"] or said["broken_before"]) and record["answer"] != Answer.NOT_EVALUATED:
        raise RecordRefused("the sample ratio is broken, and the test was evaluated", place)


def read_signed(path: Path, trusted: Iterable[Ed25519PublicKey]) -> tuple[JsonDict, str]:
    """Return the record in an envelope, and the id of the trusted key that signed it.

    Errors: `RecordRefused` where signature, statement or record do not hold.
    """
    place = str(path)
    statement, by = unsealed(_content(path, ENVELOPE_BYTES), trusted, place)
    record = statement.get("predicate")
    if statement.get("predicateType") != PREDICATE or not isinstance(record, dict):
        raise RecordRefused("no statement about an A/B test", place, REMEDY)
    demand_form(record, place)
    demand_sense(record, place)
    if statement != _statement(record):
        raise RecordRefused("the statement is not that of its record", place)
    return record, by


def envelope(record: JsonObject, by: Signer) -> JsonDict:
    """Return the record under a signature: an in-toto statement about the challenger's files, in a DSSE envelope."""
    return signed(_statement(record), by)


def _statement(record: JsonObject) -> JsonDict:
    challenger = record["challenger"]
    of = str(challenger["digest"]).removeprefix("sha256:")
    subject = {"name": f"models:/{record['model']}/{challenger['version']}", "digest": {"sha256": of}}
    return {"_type": STATEMENT, "subject": [subject], "predicateType": PREDICATE, "predicate": record}


def _content(path: Path, most: int) -> bytes:
    """Return the bytes of a file. Errors: `RecordRefused` for anything but a regular file of a bounded size."""
    if path.is_symlink() or not path.is_file():
        raise RecordRefused("no regular file", str(path), REMEDY)
    try:
        return content(path, most)
    except Unreadable as error:
        raise RecordRefused(str(error), str(path), REMEDY) from error
