"""Values to JSON and back. What is written is canonical (RFC 8785): one value, one sequence of bytes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rfc8785

from weighin.bounded import json_value
from weighin.errors import EvidenceError
from weighin.outcome import Direction, Limit, Measurement, Outcome, Status, Unmeasured
from weighin.redact import reduced


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of a JSON value. Numbers that JSON does not have are written as strings by `number`.

    Half of a pair of surrogates, which has no bytes in UTF-8, becomes its escape: a text of a stranger must not undo
    the evidence that it stands in.

    >>> canonical({"said": "\\ud800"})
    b'{"said":"\\\\\\\\ud800"}'
    """
    try:
        return bytes(rfc8785.dumps(value))
    except rfc8785.CanonicalizationError:
        return bytes(rfc8785.dumps(_encodable(value)))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_encodable(k): _encodable(v) for k, v in value.items()}
    return [_encodable(v) for v in value] if isinstance(value, (list, tuple)) else value


def write_json(path: Path, value: Any) -> None:
    """Write canonical bytes, through a neighbour file, so that a crash leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(canonical(value))
    part.replace(path)


def read_json(path: Path, schema: str, limit: int = 64 * 2**20) -> dict[str, Any]:
    """Read a JSON object of ours. Errors: `EvidenceError` for anything but a regular file of the named schema."""
    if path.is_symlink() or not path.is_file():
        raise EvidenceError("the file is missing", str(path), "Look at the log of the step that should have left it.")
    if path.stat().st_size > limit:
        raise EvidenceError(f"larger than {limit} bytes", str(path), "It is not one that weighin wrote.")
    try:
        value = json_value(path.read_bytes())
    except ValueError as error:
        raise EvidenceError("not JSON, or nested too deeply", str(path), "Run the step again.") from error
    if not isinstance(value, dict) or value.get("schema") != schema:
        raise EvidenceError(f"not of schema {schema}", str(path), "Use the version of weighin that wrote it.")
    return value


def digest(data: bytes) -> str:
    """`sha256:<hex>` of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def file_digest(path: Path) -> str:
    """`sha256:<hex>` of a file, in constant memory."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def number(value: float) -> float | str:
    """A float as JSON: `NaN` and the infinities as strings."""
    return value if math.isfinite(value) else str(value)


def encode_outcome(outcome: Outcome, waiver: str = "") -> dict[str, Any]:
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
            "n_unit": evidence.n_unit,
            "method": evidence.method,
            "kind": evidence.kind,
            "p_violation": None if evidence.p_violation is None else number(evidence.p_violation),
            "detail": plain(evidence.detail),
        }
    else:
        measured = {"unmeasured": evidence.reason, "detail": plain(evidence.detail)}
    limit = outcome.limit
    return {
        "check": outcome.check,
        "status": outcome.status.value,
        "blocks": outcome.blocks,
        "reason": outcome.reason,
        "needed": outcome.needed,
        "waiver": waiver,
        "limit": {
            "direction": limit.direction.value,
            "value": limit.value,
            "alpha": limit.alpha,
            "severity": limit.severity,
            "when_inconclusive": limit.when_inconclusive,
        },
        "evidence": measured,
    }


def decode_evidence(check: str, value: Mapping[str, Any]) -> Measurement | Unmeasured:
    """The measurement (or the reason for none) that `encode_outcome` wrote.

    Errors: `EvidenceError` when a field is missing or of another kind.
    """
    try:
        if "unmeasured" in value:
            return Unmeasured(check, str(value["unmeasured"]), dict(value["detail"]))
        p = value["p_violation"]
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
            str(value["n_unit"]),
            None if p is None else float(p),
            dict(value["detail"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        said = reduced(error)
        raise EvidenceError(f"the measurement of {check} is damaged ({said})", "", "Run the suite again.") from error


def decode_limit(value: Mapping[str, Any]) -> Limit:
    """The limit that `encode_outcome` wrote."""
    try:
        return Limit(
            Direction(value["direction"]),
            float(value["value"]),
            float(value["alpha"]),
            value["severity"],
            value["when_inconclusive"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(f"a limit is damaged ({reduced(error)})", "", "Run the suite again.") from error


def decode_outcome(value: Mapping[str, Any]) -> Outcome:
    """The outcome as it was written; `decide` is not asked again."""
    evidence = decode_evidence(str(value["check"]), value["evidence"])
    return Outcome(
        str(value["check"]),
        Status(value["status"]),
        str(value["reason"]),
        decode_limit(value["limit"]),
        evidence,
        value["needed"],
    )


def plain(value: Any) -> Any:
    """Nested plain values for JSON: numpy scalars and arrays, tuples and other mappings made ordinary."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return number(value)
    if isinstance(value, int) and abs(value) > 2**53:
        return str(value)
    return value
