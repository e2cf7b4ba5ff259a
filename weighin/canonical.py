"""Canonical bytes of JSON values (RFC 8785: one value, one sequence of bytes), files of them, and digests."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weighin.errors import EvidenceError
from weighin.untrusted import JsonDict, JsonValue
from weighin.untrusted.bounded import json_value


def canonical(value: JsonValue) -> bytes:
    """Return the RFC 8785 bytes of a JSON value. Numbers that JSON does not have are written as strings by `number`.

    Half of a pair of surrogates, which has no bytes in UTF-8, becomes its escape: a text of a stranger must not undo
    the evidence that it stands in.

    >>> canonical({"said": "\\ud800"})
    b'{"said":"\\\\\\\\ud800"}'
    """
    import rfc8785  # not at the top: an environment of a model's own, where digests are taken, has no such package

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


def write_json(path: Path, value: JsonValue) -> None:
    """Write canonical bytes, through a neighbour file, so that a crash leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(canonical(value))
    part.replace(path)


def read_json(path: Path, schema: str, limit: int = 64 * 2**20) -> JsonDict:
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
    """Return a float as JSON: `NaN` and the infinities as strings."""
    return value if math.isfinite(value) else str(value)


def plain(value: JsonValue) -> JsonValue:
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
