"""The JSON form of an outcome, from which it can be decided again."""

from __future__ import annotations

from typing import Any

from weighin.canonical import number, plain
from weighin.errors import EvidenceError
from weighin.outcome import Direction, Evaluations, Limit, Measurement, Outcome, Status, Unmeasured
from weighin.untrusted import JsonDict, JsonObject
from weighin.untrusted.redact import reduced


def encode_outcome(outcome: Outcome, waiver: str = "") -> JsonDict:
    """One outcome with everything that is needed to decide it again."""
    evidence = outcome.evidence
    if isinstance(evidence, Measurement):
        measured: dict[str, Any] = {
            "estimate": number(evidence.estimate),
            "low": number(evidence.low),
            "high": number(evidence.high),
            "level": evidence.level,
            "n": evidence.n,
            "unit": evidence.unit,
            "sampling_unit": evidence.sampling_unit,
            "method": evidence.method,
            "kind": evidence.kind,
            "p_value": None if evidence.p_value is None else number(evidence.p_value),
            "detail": plain(evidence.detail),
            **{name: text for name in ("found", "fault") if (text := getattr(evidence, name))},
            **_unlimited(evidence),
        }
    else:
        measured = {"unmeasured": evidence.reason, "detail": plain(evidence.detail)}
    limit = outcome.limit
    return {
        "check": outcome.check,
        "status": outcome.status.value,
        "blocks": outcome.blocks,
        "reason": outcome.reason,
        "n_required": outcome.n_required,
        "waiver": waiver,
        "limit": {
            "direction": limit.direction.value,
            "value": limit.value,
            "alpha": limit.alpha,
            "severity": limit.severity,
            "when_inconclusive": limit.when_inconclusive,
            **_relative(limit),
            **_unlimited(limit),
        },
        "evidence": measured,
    }


def _relative(limit: Limit) -> JsonDict:
    if limit.relative_margin is None:
        return {}
    return {"relative_margin": limit.relative_margin, "against": limit.against}


def _unlimited(of: Limit | Measurement) -> JsonDict:
    """Return what records of before have not: an interval, or a demand, for any number of evaluations."""
    return {} if of.evaluations == "one" else {"evaluations": of.evaluations}


def _evaluations(value: JsonObject) -> Evaluations:
    found = value.get("evaluations", "one")
    if found not in ("one", "unlimited"):
        raise ValueError("evaluations are neither one nor unlimited")
    return "unlimited" if found == "unlimited" else "one"


def decode_evidence(check: str, value: JsonObject) -> Measurement | Unmeasured:
    """Return the measurement (or the reason for none) that `encode_outcome` wrote.

    Errors: `EvidenceError` when a field is missing or of another kind.
    """
    try:
        if "unmeasured" in value:
            return Unmeasured(check, str(value["unmeasured"]), dict(value["detail"]))
        p = value["p_value"]
        if value["kind"] not in ("sample", "census"):
            raise ValueError(f"kind {value['kind']!r}")
        return Measurement(
            check,
            float(value["estimate"]),
            float(value["low"]),
            float(value["high"]),
            float(value["level"]),
            int(value["n"]),
            str(value["unit"]),
            str(value["method"]),
            value["kind"],
            str(value["sampling_unit"]),
            None if p is None else float(p),
            dict(value["detail"]),
            str(value.get("found", "")),
            str(value.get("fault", "")),
            _evaluations(value),
        )
    except (KeyError, TypeError, ValueError) as error:
        said = reduced(error)
        raise EvidenceError(f"the measurement of {check} is damaged ({said})", "", "Run the suite again.") from error


def decode_limit(value: JsonObject) -> Limit:
    """Return the limit that `encode_outcome` wrote."""
    try:
        return Limit(
            Direction(value["direction"]),
            float(value["value"]),
            float(value["alpha"]),
            value["severity"],
            value["when_inconclusive"],
            float(value["relative_margin"]) if "relative_margin" in value else None,
            str(value.get("against", "")),
            _evaluations(value),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(f"a limit is damaged ({reduced(error)})", "", "Run the suite again.") from error


def decode_outcome(value: JsonObject) -> Outcome:
    """Return the outcome as it was written; `decide` is not asked again."""
    evidence = decode_evidence(str(value["check"]), value["evidence"])
    return Outcome(
        str(value["check"]),
        Status(value["status"]),
        str(value["reason"]),
        decode_limit(value["limit"]),
        evidence,
        value["n_required"],
    )
