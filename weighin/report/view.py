"""What both reports show of a check: plain words for numbers. All of it is text: a record may come from a stranger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weighin.outcome import amount
from weighin.record.outcomes import decode_limit
from weighin.untrusted import JsonObject

WORDS = {
    "passed": "passed",
    "failed": "failed",
    "inconclusive": "inconclusive",
    "not_evaluated": "not evaluated",
}
MARKS = {"passed": "✅", "failed": "❌", "inconclusive": "❔", "not_evaluated": "⛔"}
SIGNS = {"passed": "✓", "failed": "✗", "inconclusive": "?", "not_evaluated": "–"}
"""The same where letters of the text's own font are needed: not every machine has coloured ones."""
RANK = {"failed": 0, "not_evaluated": 1, "inconclusive": 2, "passed": 3}


@dataclass(frozen=True)
class CheckView:
    """One check in words. `numbers` is (low, estimate, high, limit) where all are numbers that can be drawn."""

    check: str
    status: str
    word: str
    blocks: bool
    warns: bool
    estimate: str
    interval: str
    limit: str
    n: str
    method: str
    reason: str
    waiver: str
    at_least: bool
    numbers: tuple[float, float, float, float] | None
    detail: Mapping[str, Any]
    no_licence: str
    found: str
    """What a failure found, in words."""
    outcome: JsonObject
    """The outcome as it stands in the record."""


def check_view(outcome: JsonObject) -> CheckView:
    """Return the view of one encoded outcome of a record."""
    evidence, limit = outcome["evidence"], outcome["limit"]
    status, blocks = str(outcome["status"]), bool(outcome["blocks"])
    at_least = limit["direction"] == "at_least"
    bound = f"{'≥' if at_least else '≤'} {_short(limit['value'])}"
    if "relative_margin" in limit and limit["value"] == 0:
        bound = str(decode_limit(limit))
    measured = "unmeasured" not in evidence
    estimate = interval = n = method = ""
    numbers = None
    if measured:
        estimate = amount(_short(evidence["estimate"]), str(evidence["unit"]))
        sample = evidence["kind"] == "sample"
        interval = f"{_short(evidence['low'])} to {_short(evidence['high'])}" if sample else "exact"
        n = f"{evidence['n']:,} {evidence['sampling_unit']}"
        method = str(evidence["method"])
        values = [evidence[k] for k in ("low", "estimate", "high")] + [limit["value"]]
        if all(isinstance(v, (int, float)) for v in values):
            numbers = (float(values[0]), float(values[1]), float(values[2]), float(values[3]))
    return CheckView(
        str(outcome["check"]),
        status,
        WORDS.get(status, status),
        blocks,
        status != "passed" and not blocks,
        estimate,
        interval,
        bound,
        n,
        method,
        str(outcome["reason"]),
        str(outcome.get("waiver") or ""),
        at_least,
        numbers,
        evidence["detail"],
        _no_licence(status, evidence["detail"]),
        str(evidence.get("fault") or evidence.get("found") or "") if status == "failed" else "",
        outcome,
    )


def _no_licence(status: str, detail: JsonObject) -> str:
    """Return the smallest margin that these data would have let pass, with the warning that goes with it."""
    margin = detail.get("smallest_margin")
    if status not in ("failed", "inconclusive") or not isinstance(margin, (int, float)):
        return ""
    return f"A margin of {margin:.4g} would have passed. That is not a licence: a changed margin is a new evaluation."


def causes(views: Sequence[CheckView]) -> list[tuple[CheckView, ...]]:
    """Return checks in their order, those that one cause kept from being evaluated together, at the first of them."""
    found: dict[tuple[str, ...], list[CheckView]] = {}
    for v in views:
        alone = v.status != "not_evaluated"
        found.setdefault((v.reason, *((v.check,) if alone else ())), []).append(v)
    return [tuple(one) for one in found.values()]


LETTERS = 100
"""Of a name."""


def shortened(name: str) -> str:
    """Return a name that fits in a table, also where it holds a long category. What tells names apart stands at both
    ends.
    """
    plain = " ".join(name.split())
    return plain if len(plain) <= LETTERS else f"{plain[: LETTERS - 31]}…{plain[-30:]}"


def together(names: Sequence[str], most: int = 3) -> str:
    """Return the checks of one cause in words.

    >>> together(["a"]), together(["a", "b", "c", "d", "e"])
    ('a', '5 checks (a, b, c and 2 more)')
    """
    if len(names) == 1:
        return names[0]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} checks ({', '.join(names[:most])}{more})"


def in_order(outcomes: Iterable[JsonObject]) -> list[CheckView]:
    """Return what blocks first, then warnings, then what passed; within each the order of the contract."""
    views = [check_view(o) for o in outcomes]
    return sorted(views, key=lambda v: (not v.blocks, not v.warns, RANK.get(v.status, 0)))


def all_views(record: JsonObject) -> list[CheckView]:
    """Every check of a record, in the same order."""
    return in_order([o for suite in record["suites"] for o in suite["outcomes"]])


def spans(sentence: str) -> list[tuple[str, bool]]:
    """Return the parts of a sentence, and of each whether it stands between backticks.

    >>> spans("file `a` of `b")
    [('file ', False), ('a', True), (' of `b', False)]
    """
    parts = sentence.split("`")
    if len(parts) % 2 == 0:
        parts[-2:] = ["`".join(parts[-2:])]
    return [(part, place % 2 == 1) for place, part in enumerate(parts) if part]


def seconds(value: float) -> str:
    """Return a duration for people."""
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"


def cell(value: object) -> str:
    """Return a value of a table as text: a pair is an interval, nothing is a dash."""
    if isinstance(value, (list, tuple)):
        return " to ".join(cell(v) for v in value) if any(v is not None for v in value) else "–"
    return "–" if value is None else _short(value)


def _short(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e12:
        return f"{int(value):,}"
    return f"{value:.4g}"
