"""Columns of a draft: types, guessed roles, and promises with room, taken from the data."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from weighin.data.typed import FEATURE_TYPES
from weighin.init.numbers import above, below
from weighin.init.tables import Table
from weighin.model.description import Description
from weighin.stats.intervals import Floats, clopper_pearson

LEVEL = 0.99
"""One-sided confidence of the bounds that promises about shares are taken from."""
ROOM = 0.1
"""Of the span of a column's values: how far beyond them its range reaches."""
CATEGORIES = 50
"""A text with more different values gets no list of them."""
PIECES = 8
"""Stretches of time, or of rows, over which a share is followed."""
KEY = re.compile(r"(^|_)(id|key|uuid|guid|nr|number|no)$|Id$|ID$")
GROUP = re.compile(r"customer|client|user|patient|person|account|household|store|shop|device|machine|group|day$|date$")
PERSONAL = re.compile(r"(^|_)(e?mail|phone|ssn|iban|address|street|first_?name|last_?name|surname|birth\w*|dob)($|_)")
TARGET = ("target", "label", "y", "class", "outcome", "response", "truth")
WHOLE = ("integer", "long")


@dataclass(frozen=True)
class Draft:
    """A column as it will stand in the contract.

    keys  of the contract, in order
    note  the comment beside it
    out   why it cannot be listed; empty where it is
    """

    name: str
    keys: dict[str, object] = field(default_factory=dict)
    note: str = ""
    out: str = ""

    @property
    def role(self) -> str:
        """The role; that of a feature is not written."""
        return str(self.keys.get("role", "feature"))

    @property
    def type(self) -> str:
        """The contract's type."""
        return str(self.keys["type"])


@dataclass(frozen=True)
class Roles:
    """Columns that are no features: what was said, and what was guessed.

    guessed  role -> why
    groups   columns whose values repeat, by which rows may depend on each other
    """

    target: str = ""
    key: str = ""
    time: str = ""
    group: str = ""
    others: tuple[str, ...] = ()
    guessed: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()


def guess_roles(table: Table, said: Mapping[str, str], model: Description | None) -> Roles:
    """Return the role of each column.

    said   role -> column, as the user has it
    model  what is known of the model's inputs; what it is not given is no feature
    """
    columns, why = table.columns, {role: "" for role, column in said.items() if column}
    named = [i.name for i in model.inputs or () if i.name] if model else []
    rest = [c for c in columns if c not in named] if named and set(named) <= set(columns) else None
    found = {role: column for role, column in said.items() if column}

    def free(column: str) -> bool:
        return column not in found.values() and (rest is None or column in rest)

    def take(role: str, candidates: Sequence[str], reason: str) -> None:
        if role not in found and candidates:
            found[role] = candidates[0]
            why[role] = reason

    moments = [c for c in columns if table.kinds[c] in ("timestamp", "date") and free(c)]
    take("time", sorted(moments, key=lambda c: table.kinds[c] != "timestamp"), "the first column of time")
    take("target", [c for c in columns if c.lower() in TARGET and free(c)], "by its name")
    keys = [c for c in columns if free(c) and KEY.search(c) and _is_unique(table, c)]
    take("key", keys, "no value repeats, and by its name")
    if rest is not None:
        left = [c for c in rest if c not in found.values() and not KEY.search(c) and not _is_personal(c)]
        take("target", left if len(left) == 1 else [], "the one column that the model is not given")
    groups = [c for c in columns if free(c) and GROUP.search(c.lower()) and _repeats(table, c)]
    groups += [c for c in columns if free(c) and KEY.search(c) and _repeats(table, c) and c not in groups]
    others = [c for c in columns if c not in found.values() and rest is not None and c in rest]
    if rest is None:
        others = [c for c in columns if c not in found.values() and (c in moments or _is_personal(c) or c in groups)]
    return Roles(
        found.get("target", ""),
        found.get("key", ""),
        found.get("time", ""),
        found.get("group", ""),
        tuple(others),
        {role: reason for role, reason in why.items() if reason},
        tuple(c for c in groups if c != found.get("group")),
    )


def _is_personal(column: str) -> bool:
    return PERSONAL.search(column.lower()) is not None


def _is_unique(table: Table, column: str) -> bool:
    whole = table.kinds[column] in ("integer", "string") and not table.sample[column].null_count
    return bool(whole) and _different(table, column) == table.sample.num_rows


def _repeats(table: Table, column: str) -> bool:
    """Whether a column has two values or more, each for several rows."""
    return (
        table.kinds[column] in ("integer", "string", "date")
        and 2 <= _different(table, column) <= table.sample.num_rows / 2
    )


def _different(table: Table, column: str) -> int:
    return len(pc.unique(table.sample[column]))


def draft_columns(tables: Sequence[Table], roles: Roles, model: Description | None) -> list[Draft]:
    """Return every column of the first table, with what all tables keep to."""
    wanted = {i.name: i.kind for i in model.inputs or ()} if model else {}
    missing = [c for c in tables[0].columns if any(c not in t.columns for t in tables)]
    return [
        Draft(c, out="not in every table")
        if c in missing
        else _column(c, [t.sample[c] for t in tables], [t.kinds[c] for t in tables], roles, wanted.get(c, ""))
        for c in tables[0].columns
    ]


def _column(name: str, parts: list[pa.ChunkedArray], kinds: list[str], roles: Roles, wanted: str) -> Draft:
    if all(p.null_count == len(p) for p in parts):
        return Draft(name, out="every value is missing")
    held = set(kinds) - {"no value"}
    if len(held) > 1 and not held <= {"integer", "float", "decimal"}:
        return Draft(name, out=f"of type {' and '.join(sorted(held))}")
    kind = "integer" if held == {"integer"} else "float" if held <= {"integer", "float", "decimal"} else held.pop()
    if kind not in FEATURE_TYPES:
        return Draft(name, out=f"a contract has no type for {kind}")
    if kind == "float" and wanted in WHOLE and all(_is_whole(p) for p in parts):
        kind = "integer"
    keys: dict[str, object] = {"type": kind}
    role = next((r for r in ("target", "key", "time", "group") if getattr(roles, r) == name), "")
    role = role or ("other" if name in roles.others else "")
    keys |= {"role": role} if role else {}
    keys |= {"time_zone": "UTC"} if kind == "timestamp" else {}
    notes = [f"guessed: {roles.guessed[role]}"] if role in roles.guessed else []
    if role == "key" and roles.key == name and all(pc.count_distinct(p).as_py() == len(p) for p in parts):
        keys["unique"] = True
    if _is_personal(name):
        keys["sensitive"] = True
        notes.append("guessed by its name: no value of it is shown")
    draft = Draft(name, {**keys, **_length(parts, kind)})
    if role in ("", "target", "other"):
        kept, said = _promises(parts, kind, target=role == "target", hidden="sensitive" in keys)
        draft = replace(draft, keys={**draft.keys, **kept})
        notes += said
    share = _missing(parts)
    if share:
        draft = replace(draft, keys={**draft.keys, "missing_at_most": share})
    return replace(draft, note="; ".join(notes))


def _is_whole(values: pa.ChunkedArray) -> bool:
    numbers = _finite(values)
    return bool(len(numbers) and (numbers == np.round(numbers)).all())


def _finite(values: pa.ChunkedArray) -> Floats:
    numbers: Floats = values.cast(pa.float64()).drop_null().to_numpy()
    return np.asarray(numbers[np.isfinite(numbers)])


def _length(parts: list[pa.ChunkedArray], kind: str) -> dict[str, object]:
    """Return the length of the lists of an array, where all have one."""
    if kind != "array":
        return {}
    lengths = {n for p in parts for n in pc.unique(pc.list_value_length(p)).to_pylist() if n is not None}
    return {"length": int(lengths.pop())} if len(lengths) == 1 else {}


def _promises(
    parts: list[pa.ChunkedArray], kind: str, *, target: bool, hidden: bool
) -> tuple[dict[str, object], list[str]]:
    """Return range or allowed values, and what is to be said of them; of a column whose values are hidden nothing."""
    if hidden:
        return {}, []
    rows = sum(len(p) - p.null_count for p in parts)
    beyond = above(clopper_pearson(0, rows, LEVEL).high, 1)
    if kind in ("integer", "float"):
        numbers = np.concatenate([_finite(p) for p in parts])
        if not len(numbers):
            return {}, ["no finite value"]
        different = np.unique(numbers)
        if len(different) <= 2 and (different == np.round(different)).all():
            return {"allowed": [int(v) for v in different]}, []
        if target and kind == "integer" and len(different) <= CATEGORIES:
            return {"allowed": [int(v) for v in different]}, []
        low, high = _range(float(numbers.min()), float(numbers.max()), whole=kind == "integer")
        return {"minimum": low, "maximum": high, "outside_at_most": beyond}, []
    if kind == "string":
        counts = pc.value_counts(pa.chunked_array([c for p in parts for c in p.cast(pa.string()).chunks]).drop_null())
        found = sorted((str(v["values"]), int(v["counts"].as_py())) for v in counts)
        if len(found) > CATEGORIES or len(found) > rows / 10:
            return {}, [f"{len(found):,} different values: which are allowed?"]
        if target:
            return {"allowed": [v for v, _ in found]}, []
        # What was seen once says how often something unseen comes (Good 1953, Biometrika 40).
        single = sum(n == 1 for _, n in found)
        return {
            "allowed": [v for v, _ in found],
            "outside_at_most": above(clopper_pearson(single, rows, LEVEL).high, 1),
        }, []
    return {}, []


def _range(low: float, high: float, *, whole: bool) -> tuple[float, float]:
    """Return a range with room on both sides; what was never negative stays so."""
    room = ROOM * (high - low) or max(1.0, ROOM * abs(high))
    digits = math.floor(math.log10(room))
    first, last = below(low - room, digits), -below(-high - room, digits)
    if low >= 0:
        first = max(0.0, first)
    if high <= 0:
        last = min(0.0, last)
    return (math.floor(first), math.ceil(last)) if whole else (first, last)


def _missing(parts: list[pa.ChunkedArray]) -> float:
    """Return the share of values that may be missing: with room over the worst stretch; 0 where none is missing."""
    absent = [np.asarray(pc.is_null(p, nan_is_null=True)) for p in parts]
    total, rows = int(sum(a.sum() for a in absent)), sum(len(a) for a in absent)
    if not total:
        return 0.0
    worst = max(float(a.mean()) for a in _pieces(absent))
    return min(1.0, above(max(clopper_pearson(total, rows, LEVEL).high, worst) * (1 + ROOM), 2))


def _pieces(absent: list[np.ndarray]) -> Iterator[np.ndarray]:
    for one in absent:
        yield one
        if len(one) >= 100 * PIECES:
            yield from np.array_split(one, PIECES)
