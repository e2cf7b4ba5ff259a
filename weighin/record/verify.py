"""Verification: does a record say what its own measurements say? Nothing but the record and the trust root is needed.

The record must have the published form. Every outcome is decided again from the stored measurement and limit, by the
same `decide` and `confirm_failures` as when it was made. Everything that follows from the outcomes, or from other parts
of the record, is derived again. The error names what differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from weighin.canonical import canonical, digest
from weighin.errors import EvidenceError, RecordRefused
from weighin.outcome import Status, confirm_failures, decide
from weighin.record.attestation import Attestation
from weighin.record.decision import (
    CUSTOM,
    SCHEMA,
    Decision,
    SuiteVerdict,
    concluded,
    derived_policy_inputs,
    image_proven,
    risk_sentence,
    verdict_part,
)
from weighin.record.drilled import age_days, score
from weighin.record.form import ENVELOPE_BYTES, demand_form, parsed
from weighin.record.outcomes import decode_evidence, decode_limit, encode_outcome
from weighin.record.provenance import Provenance
from weighin.record.signature import Witness, opened
from weighin.untrusted import JsonObject


@dataclass(frozen=True)
class Verified:
    """A record that holds.

    signed_by    the id of the trusted key, or empty for a record without a signature
    attested_by  the workflow that attested it, or empty where no attestation was asked for
    witness      its place in the ledger, where it was signed by a promotion
    """

    record: Mapping[str, Any]
    digest: str
    signed_by: str
    attested_by: str = ""
    witness: Witness | None = None


def verify(
    path: Path,
    trusted: Iterable[Ed25519PublicKey] = (),
    expected: str = "",
    attestation: Attestation | None = None,
) -> Verified:
    """Verify `record.json` or a signed `record.dsse.json`.

    trusted      public keys, one of which must have signed; without any, only an unsigned record is looked at
    expected     the record's digest, `sha256:<hex>`, where it is known from elsewhere: it stands in for a signature
    attestation  the platform's, which must hold as well, and be about this record
    Errors: `RecordRefused` with the first thing that does not hold; `ContractError` for an unreadable trusted root.
    """
    place = str(path)
    if path.is_symlink() or not path.is_file():
        raise RecordRefused("no record", place, "Give record.json, or record.dsse.json for a signed one.")
    if path.stat().st_size > ENVELOPE_BYTES:
        raise RecordRefused(f"larger than {ENVELOPE_BYTES // 2**20} MiB, which no record is", place)
    data, keys = path.read_bytes(), tuple(trusted)
    by, witness = "", None
    record = parsed(data, place, ENVELOPE_BYTES)
    if isinstance(record, dict) and "payloadType" in record:
        inside = opened(data, keys, place)
        record, by, witness = inside.record, inside.by, inside.witness
    elif keys:
        raise RecordRefused("not signed", place, "Give record.dsse.json.")
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise RecordRefused(f"not of schema {SCHEMA}", place, "Use the version of weighin that wrote it.")
    demand_form(record, place)
    whole = _bytes(record, place)
    if not by and whole != data:
        raise RecordRefused("its bytes are not the canonical form of what they say", place)
    found = digest(whole)
    if expected and found != expected:
        raise RecordRefused(f"its digest is {found}, expected {expected}", place)
    try:
        _decide_again(record, place)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, EvidenceError) as error:
        if isinstance(error, RecordRefused):
            raise
        raise RecordRefused(f"damaged ({type(error).__name__})", place) from error
    if attestation is None:
        return Verified(record, found, by, witness=witness)
    attestation.attests_record(record, found)
    return Verified(record, found, by, attestation.by.workflow, witness)


def _bytes(record: JsonObject, place: str) -> bytes:
    try:
        return canonical(record)
    except (ValueError, TypeError) as error:
        raise RecordRefused(f"no canonical form ({type(error).__name__})", place) from error


def _decide_again(record: JsonObject, place: str) -> None:
    """Errors: `RecordRefused` naming the first check, suite or field that its own numbers contradict."""
    alpha = float(record["contract"]["alpha"])
    stored = [o for s in record["suites"] for o in s["outcomes"]]
    names = [o["check"] for o in stored]
    if len(set(names)) < len(names):
        raise RecordRefused("two outcomes for one check", place)
    again = [decide(decode_evidence(o["check"], o["evidence"]), decode_limit(o["limit"])) for o in stored]
    confirmed = {o.check: o for o in confirm_failures(again, alpha)}
    for outcome in stored:
        if encode_outcome(confirmed[outcome["check"]], outcome["waiver"]) != outcome:
            raise RecordRefused(f"{outcome['check']}: its numbers do not say what it says", place)
    suites = tuple(
        SuiteVerdict.of(
            s["suite"], tuple(confirmed[o["check"]] for o in s["outcomes"]), tuple(s["problems"]), s["seconds"]
        )
        for s in record["suites"]
    )
    if len({s.suite for s in suites}) < len(suites):
        raise RecordRefused("two parts for one suite", place)
    for suite, said in zip(suites, record["suites"], strict=True):
        if suite.status.value != said["status"]:
            raise RecordRefused(f"suite {suite.suite}: its outcomes do not say {said['status']}", place)
    decision: Decision = concluded(suites, tuple(record["verdict"]["problems"]))
    if verdict_part(decision) != record["verdict"]:
        raise RecordRefused("the verdict is not that of its suites", place)
    first, sealed = record["champion"] is None, record["sealed"] is not None
    # Records of the first release do not speak of provenance; whoever asks them for it is told nothing.
    proven = _image_proven(record, place) if "provenance" in record else None
    facts = derived_policy_inputs(decision, first_release=first, sealed=sealed, image_provenance=proven)
    if record["first_release"] != first or facts != record["policy_inputs"]:
        raise RecordRefused("its facts are not those of its outcomes", place)
    _risk_again(record, decision, place)
    if "drill" in record:
        _drill_again(record["drill"], record["run"]["created"], place)


def _drill_again(drill: JsonObject, created: str, place: str) -> None:
    """Errors: `RecordRefused` where age and score of the drill are not those of its time and counts."""
    # By its form an age is not negative and a score at most 1.
    derived = (age_days(drill["made"], created), score(drill["killed"], drill["faults"]))
    if derived != (drill["age_days"], drill["score"]):
        raise RecordRefused("age and score of its drill are not those of its time and counts", place)


def _risk_again(record: JsonObject, decision: Decision, place: str) -> None:
    """Errors: `RecordRefused` where the sentence about the risk is not that of the record, or does not hold for it."""
    sealed = record["sealed"]
    if record["risk"] != risk_sentence(record["contract"], sealed):
        raise RecordRefused("its sentence about the risk is not that of its contract and look", place)
    if sealed is not None and sealed["use"] > sealed["holdout_uses"]:
        raise RecordRefused("it says of more uses of the sealed holdout than there are", place)
    if decision.status is not Status.PASSED:
        return
    for outcome in decision.outcomes:
        # Tests of a team's own count with the error that they were written with.
        weak = outcome.limit.alpha > record["contract"]["alpha"] and outcome.limit.severity == "block"
        if weak and not outcome.check.startswith(CUSTOM):
            raise RecordRefused(f"{outcome.check}: a weaker level than its sentence about the risk promises", place)


def _image_proven(record: JsonObject, place: str) -> bool:
    provenance = record["provenance"]
    proven = image_proven(provenance, record["image"])
    if provenance is not None and (not proven or asdict(Provenance.of(provenance, place)) != provenance):
        raise RecordRefused("its provenance is not that of the image that judged", place)
    return proven
