"""The form of a record: bounds on what is parsed at all, and the published JSON Schema.

Both come before anything reads a value of a record, so that a hostile file costs little and ends in one sentence. What
a sentence quotes comes from the schema, never from the record, but for the name of an unknown key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from weighin.errors import RecordRefused

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

FILE = "decision-v1.schema.json"
"""Beside this module; docs/schema has a copy for readers, and a test compares the two."""
RECORD_BYTES = 16 * 2**20
ENVELOPE_BYTES = 24 * 2**20
"""Of a signed record: base64 adds a third."""
DEPTH = 64
VALUES = 500_000
COMMAS = 2_000_000
"""Bound on the memory that parsing takes; more than `VALUES`, since sentences have commas too."""


def parsed(data: bytes, place: str, limit: int = RECORD_BYTES) -> Any:
    """The JSON value in some bytes.

    Errors: `RecordRefused` where it is none, or too large, too deep, or of too many values.
    """
    if len(data) > limit:
        raise RecordRefused(f"larger than {limit // 2**20} MiB, which no record is", place)
    if data.count(b",") > COMMAS:
        raise RecordRefused(f"more than {VALUES:,} values, which no record has", place)
    try:
        value = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise RecordRefused("not JSON, or nested too deeply", place) from error
    _bounded(value, place)
    return value


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _bounded(value: Any, place: str) -> None:
    """Errors: `RecordRefused`. Level by level, because recursion would end where the attacker wants."""
    level, seen = [value], 0
    for _ in range(DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        seen += len(below)
        if seen > VALUES:
            raise RecordRefused(f"more than {VALUES:,} values, which no record has", place)
        if not below:
            return
        level = below
    raise RecordRefused(f"nested more than {DEPTH} deep, which no record is", place)


@cache
def schema() -> Draft202012Validator:
    """The published schema of a decision record."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads((files("weighin.record") / FILE).read_text(encoding="utf-8")))


def demand_form(record: Mapping[str, Any], place: str) -> None:
    """Errors: `RecordRefused` naming the first place at which a record has not the published form."""
    # The first is enough: a hostile record has as many as it has values.
    error = next(schema().iter_errors(record), None)
    if error is not None:
        where, what = _explained(error)
        raise RecordRefused(f"not of the published form: {where} {what}", place, "docs/verifying.md says which it is.")


def _explained(error: ValidationError) -> tuple[str, str]:
    from jsonschema.exceptions import best_match

    error = best_match([error]) or error
    where = "/".join(_inert(str(part)) for part in error.absolute_path) or "the record"
    kind, demanded = str(error.validator), error.validator_value
    if kind == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {})
        return where, f"has the unknown key `{_inert(str(next(k for k in error.instance if k not in known)))}`"
    if kind == "required" and isinstance(error.instance, dict):
        return where, f"lacks `{next(k for k in demanded if k not in error.instance)}`"
    if kind in ("const", "enum"):
        return where, f"is not {_listed(demanded if kind == 'enum' else [demanded])}"
    if kind == "type":
        return where, f"is of another type than {demanded}"
    if kind in ("anyOf", "oneOf"):
        return where, "has none of its allowed forms"
    return where, f"breaks {kind} {json.dumps(demanded)[:80]}"


def _listed(values: Iterable[Any]) -> str:
    return " or ".join(json.dumps(v) for v in values)


def _inert(name: str) -> str:
    return "".join(c for c in name if c.isprintable() and c != "`")[:40]
