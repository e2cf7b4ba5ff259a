"""The form of a record: bounds on what is parsed at all, and the published JSON Schema.

Both come before anything reads a value of a record, so that a hostile file costs little and ends in one sentence. What
a sentence quotes comes from the schema, never from the record, but for the name of an unknown key.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable
from functools import cache, reduce
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

from weighin.errors import RecordRefused
from weighin.untrusted import JsonDict, JsonObject, JsonValue

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

FILE = "decision-v1.schema.json"
"""Beside this module; docs/schema has a copy for readers, and a test compares the two."""
RECORD_BYTES = 16 * 2**20
ENVELOPE_BYTES = 24 * 2**20
"""Of a signed record: base64 adds a third."""
DEPTH = 64
VALUES = 500_000
COMMAS = 2_000_000
"""Bound on the memory that parsing takes; more than `VALUES`, since sentences have commas too."""


def parsed(data: bytes, place: str, limit: int = RECORD_BYTES) -> JsonValue:
    """Return the JSON value in some bytes.

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
def schema() -> JsonDict:
    """Return the published schema of a decision record."""
    found: dict[str, Any] = json.loads((files("weighin.record") / FILE).read_text(encoding="utf-8"))
    return found


@cache
def validator() -> Validator:
    """Return what compares a record with that schema."""
    from jsonschema_rs import Draft202012Validator

    return Draft202012Validator(schema())


def demand_form(record: JsonObject, place: str) -> None:
    """Errors: `RecordRefused` naming the first place at which a record has not the published form."""
    try:
        # The first is enough: a hostile record has as many as it has values.
        error = next(iter(validator().iter_errors(record)), None)
    except UnicodeEncodeError:
        # Half a pair of surrogates. The cause holds the text, which nobody is to be shown.
        raise RecordRefused("not of the published form: it holds text that is not Unicode", place) from None
    if error is not None:
        where, what = _explained(error)
        raise RecordRefused(
            f"not of the published form: {where} {what}", place, "docs/how-to/verifying.md says which it is."
        )


def _explained(error: ValidationError) -> tuple[str, str]:
    """Where, and what the schema demands there."""
    from jsonschema_rs import ValidationErrorKind as Kind

    where = "/".join(_inert(str(part)) for part in error.instance_path) or "the record"
    match error.kind:
        case Kind.AdditionalProperties(unexpected):
            return where, f"has the unknown key `{_inert(min(unexpected))}`"
        case Kind.Required(key):
            return where, f"lacks `{key}`"
        case Kind.Constant(value):
            return where, f"is not {_listed([value])}"
        case Kind.Enum(values):
            return where, f"is not {_listed(values)}"
        case Kind.Type(types):
            return where, f"is of another type than {' or '.join(types)}"
        case Kind.AnyOf() | Kind.OneOfNotValid() | Kind.OneOfMultipleValid():
            return where, "has none of its allowed forms"
    demanded = reduce(operator.getitem, error.schema_path, cast(Any, schema()))
    return where, f"breaks {error.kind.name} {json.dumps(demanded)[:80]}"


def _listed(values: Iterable[Any]) -> str:
    return " or ".join(json.dumps(v) for v in values)


def _inert(name: str) -> str:
    return "".join(c for c in name if c.isprintable() and c != "`")[:40]
