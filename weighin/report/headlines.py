"""Candidate beside champion, a row for each headline metric: values, difference with interval, margin, outcome."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from weighin.record.metrics import ALONE, COMPARED
from weighin.report.numbers import bound, fixed
from weighin.report.sentences import baseline_name, ends, metric_name, unit_of
from weighin.report.view import MARKS, RANK, CheckView

QUANTILE = re.compile(r"load/(p[\d.]+)(/vs-champion)?")
WITHIN = re.compile(r"load/within-([\d.]+)-ms")
NOT_COMPARED = "not compared"


@dataclass(frozen=True)
class Headline:
    """One row. `checks` are those that it shows; `status` is that of the worst of them."""

    name: str
    candidate: str
    baseline: str
    difference: str
    allowed: str
    status: str
    word: str
    mark: str
    checks: tuple[CheckView, ...]

    @property
    def passed(self) -> bool:
        """Whether all of its checks passed."""
        return self.status == "passed"


def headlines(views: Sequence[CheckView]) -> list[Headline]:
    """Return the rows in the order of the contract.

    views  every check of a record, in that order
    """
    rows: dict[tuple[str, str], list[CheckView]] = {}
    for view in views:
        key = _row(view)
        if key is not None:
            rows.setdefault(key, []).append(view)
    # A limit on a metric alone stands in the row of its comparison with the champion.
    return [_headline(key, own) for key, own in rows.items()]


def _row(view: CheckView) -> tuple[str, str] | None:
    """Return name and baseline of the row in which a check is shown; None for none."""
    if (compared := COMPARED.fullmatch(view.check)) and compared[4] is None:
        return metric_name(compared[1]), compared[2].replace("champion", "")
    if (alone := ALONE.fullmatch(view.check)) and alone[1] != "changed":
        return metric_name(alone[1]), ""
    if quantile := QUANTILE.fullmatch(view.check):
        return f"{quantile[1]} latency", ""
    if within := WITHIN.fullmatch(view.check):
        return f"share answered within {within[1]} ms", ""
    return ("share of failed requests", "") if view.check == "load/errors" else None


def _headline(key: tuple[str, str], views: list[CheckView]) -> Headline:
    name, against = key
    compared = [v for v in views if "/vs-" in v.check]
    alone = [v for v in views if "/vs-" not in v.check]
    worst = min(views, key=lambda v: (not v.blocks, RANK[v.status]))
    candidate, baseline = _values(compared, alone)
    margins = [_margin(v) for v in compared if not _without_champion(v)]
    allowed = "; ".join([*margins, *map(_limit, alone)])
    difference = "; ".join(map(_difference, compared))
    if against:
        name = f"{name}, against the {baseline_name(against)}"
    word = worst.word if worst.blocks or worst.status == "passed" else f"{worst.word}, warns"
    return Headline(
        name, candidate, baseline, difference, allowed, worst.status, word, MARKS[worst.status], tuple(views)
    )


def _values(compared: list[CheckView], alone: list[CheckView]) -> tuple[str, str]:
    """Return candidate's and baseline's own values, with as many decimals as the most exact of their intervals has."""
    measured = [v for v in (*compared, *alone) if v.estimate]
    if not measured:
        return "", ""
    places = max(ends(v)[3] for v in measured)
    unit = unit_of((alone or compared)[0].outcome["evidence"]) if (alone or compared)[0].estimate else ""
    ours: object = None
    theirs: object = None
    for view in compared:
        detail = view.detail
        ours = detail.get("candidate", _middle(detail.get("candidate_ms")))
        theirs = next((detail[r] for r in ("champion", "anchor") if r in detail), _middle(detail.get("champion_ms")))
        unit = "ms" if "candidate_ms" in detail else unit
        places = 0 if "candidate_ms" in detail else places
    for view in alone:
        if ours is None and view.estimate:
            ours = view.outcome["evidence"]["estimate"]
    return _value(ours, places, unit), _value(theirs, places, unit)


def _middle(interval: object) -> object:
    return interval[1] if isinstance(interval, (list, tuple)) and len(interval) == 3 else None


def _value(value: object, places: int, unit: str) -> str:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    if unit == "ms" and 0 < abs(number) < 10:
        places = max(places, 1)
    return f"{fixed(number, places)} {unit}".rstrip()


def _without_champion(view: CheckView) -> bool:
    """Whether a comparison had nothing to compare with."""
    return view.method.startswith("first release")


def _difference(view: CheckView) -> str:
    """Return the difference with its interval, as it was measured."""
    if not view.estimate:
        return "not evaluated"
    if _without_champion(view):
        return NOT_COMPARED
    low, estimate, high, places = ends(view)
    if view.check.startswith("load/"):
        return f"{fixed(estimate, places)}× [{fixed(low, places)}, {fixed(high, places)}]"
    between = f"[{fixed(low, places, signed=True)}, {fixed(high, places, signed=True)}]"
    left = "left of the margin: " if "relative_margin" in view.outcome["limit"] else ""
    return f"{left}{fixed(estimate, places, signed=True)} {between}"


def _margin(view: CheckView) -> str:
    if "relative_margin" in view.outcome["limit"]:
        return view.limit
    places = ends(view)[3] if view.estimate else 0
    limit = float(view.outcome["limit"]["value"])
    if view.check.startswith("load/"):
        return f"≤ {bound(limit, places)}×"
    return f"{bound(limit, min(places, 3), signed=True)} or better"


def _limit(view: CheckView) -> str:
    unit = unit_of(view.outcome["evidence"]) if view.estimate else ""
    value = bound(float(view.outcome["limit"]["value"]), 0)
    return f"{'≥' if view.at_least else '≤'} {value} {unit}".rstrip()
