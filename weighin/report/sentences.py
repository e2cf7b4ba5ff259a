"""What a check found, as a sentence: the numbers of the record with sensible digits, the limit, and the words for both.

Nothing here decides: whether a check passed is read from the record.
"""

from __future__ import annotations

import re

from weighin.outcome import amount
from weighin.record.metrics import ALONE, COMPARED
from weighin.report.numbers import bound, decimals, fixed, percent
from weighin.report.view import CheckView
from weighin.untrusted import JsonObject

NAMES = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "f1": "F1",
    "f1_macro": "macro F1",
    "f1_weighted": "weighted F1",
    "brier": "Brier score",
    "mae": "mean absolute error",
    "rmse": "RMSE",
    "r2": "R²",
    "mape": "MAPE",
}
ROWS = {
    "missing": "lack a value",
    "range": "lie outside the range",
    "allowed": "hold a value that is not allowed",
    "pattern": "do not match the pattern",
    "unique": "repeat a value",
    "order": "are out of order",
    "time_zone": "are in another time zone",
    "reference": "refer to nothing in the other table",
    "compare": "break the comparison",
    "unique_together": "repeat a combination",
    "copies": "repeat another row",
    "training_rows": "stand in the training data",
    "training_overlap": "of the training data are not before the holdout",
}
"""What rows do that break a rule of the data, by the kind of the rule in the check's id."""
NAMED_RULES = ("compare", "unique_together", "own")
"""Rules of the data whose second part is no column."""
SHIFTS = {"missing": "missing values", "mean": "the mean", "new-category-share": "new categories"}
TABLES = ("table", "drifted", "joint")
BROKEN = {"exists": "the column is missing", "type": "the column is of another type"}


def baseline_name(role: str) -> str:
    """Return a baseline in words."""
    return {"naive": "naive forecast", "seasonal_naive": "seasonal naive forecast"}.get(role, role)


def metric_name(metric: str) -> str:
    """Return a metric in words.

    >>> metric_name("log_loss"), metric_name("custom.cost_per_flight")
    ('log loss', 'cost per flight')
    """
    return NAMES.get(metric) or metric.removeprefix("custom.").removeprefix("score.").replace("_", " ")


def sentence(view: CheckView) -> str:
    """Return what a check found, and what was allowed. It says by itself which thing it is about."""
    if view.status == "not_evaluated":
        return view.reason
    if view.found and view.status == "failed":
        return f"{label(view.check)}: {view.found} ({numbers(view)}; {_limit(view)})"
    said = _measured(view)
    return f"{said}: {needed(view)}" if view.status == "inconclusive" else said


def label(check: str) -> str:
    """Return what a check is about, in words where there are some, and its id otherwise.

    >>> label("drift/temp/missing"), label("data_quality/current/dest/pattern"), label("load/p95")
    ('missing values of `temp`', '`dest` in current', 'p95 latency')
    """
    match check.split("/"):
        case ["data_quality", dataset, "reference" | "fresh" | "future", column]:
            return f"`{column}` in {dataset}"
        case ["data_quality", dataset, column, _, *_] if column not in NAMED_RULES:
            return f"`{column}` in {dataset}"
        case ["data_quality", dataset, *rule]:
            return f"`{'/'.join(rule)}` in {dataset}"
        case ["drift", column, kind] if kind in SHIFTS:
            return f"{SHIFTS[kind]} of `{column}`"
        case ["drift", column] if column not in TABLES:
            return f"drift of `{column}`"
        case ["load", "errors"]:
            return "failed requests"
        case ["custom", *_]:
            return f"`{check.rpartition('::')[2]}`"
    if quantile := re.fullmatch(r"load/(p[\d.]+)", check):
        return f"{quantile[1]} latency"
    if within := re.fullmatch(r"load/(peak/)?within-([\d.]+)-ms", check):
        return f"answers within {within[2]} ms{' at the peak' if within[1] else ''}"
    alone = ALONE.fullmatch(check)
    return metric_name(alone[1]) if alone and alone[1] != "changed" else f"`{check}`"


def needed(view: CheckView) -> str:
    """Return how much more evidence would settle what is inconclusive, as the outcome says it."""
    if "; failed alone" in view.reason:
        return "failed alone" + view.reason.rpartition("; failed alone")[2]
    return view.reason.rpartition(": ")[2]


def numbers(view: CheckView, unit: str | None = None) -> str:
    """Return the estimate with its interval and unit.

    unit  in place of the measurement's own
    """
    evidence = view.outcome["evidence"]
    if evidence["kind"] == "census":
        return view.estimate
    low, estimate, high, places = ends(view)
    said = f"{fixed(estimate, places)} ({fixed(low, places)} to {fixed(high, places)})"
    return amount(said, str(evidence["unit"]) if unit is None else unit)


def ends(view: CheckView) -> tuple[float, float, float, int]:
    """Return low, estimate, high, and decimals for all of them."""
    evidence, limit = view.outcome["evidence"], float(view.outcome["limit"]["value"])
    low, estimate, high = (float(evidence[k]) for k in ("low", "estimate", "high"))
    return low, estimate, high, decimals(low, estimate, high, limit)


def _measured(view: CheckView) -> str:
    evidence = view.outcome["evidence"]
    if (compared := COMPARED.fullmatch(view.check)) and evidence["kind"] == "sample":
        return _comparison(view, *compared.groups())
    if view.check.startswith("data_quality/") and evidence["kind"] == "census":
        return f"{label(view.check)}: {_rows(view)}"
    counted = f", {view.n}" if evidence["kind"] == "sample" else ""
    unit = unit_of(evidence) if ALONE.fullmatch(view.check) else str(evidence["unit"])
    return f"{label(view.check)}: {numbers(view, unit)}{counted}; {_limit(view)}"


def _limit(view: CheckView) -> str:
    limit = float(view.outcome["limit"]["value"])
    if "relative_margin" in view.outcome["limit"] and limit == 0:
        return f"{view.limit} is allowed"
    value = bound(limit, 0)
    if limit == 0 and not view.at_least:
        return "none is allowed" if view.outcome["evidence"]["kind"] == "census" else "at most 0 is allowed"
    return f"at least {value} is demanded" if view.at_least else f"at most {value} is allowed"


def _comparison(view: CheckView, metric: str, against: str, kind: str | None, part: str | None) -> str:
    """Return a difference in words: `recall is 0.071 lower than the champion's (0.058 to 0.084, 76 days); ...`."""
    low, estimate, high, places = ends(view)
    where = f" where {part}" if part else ""
    if kind == "/relative":
        left = f"{fixed(estimate, places, signed=True)} ({fixed(low, places)} to {fixed(high, places)}, {view.n})"
        return f"{metric_name(metric)}{where} may be {view.limit}; of that margin {left} is left"
    word = "lower" if estimate < 0 else "higher"
    reach = sorted((-low, -high) if estimate < 0 else (low, high))
    between = f"{fixed(reach[0], places)} to {fixed(reach[1], places)}"
    said = f"{metric_name(metric)}{where} is {fixed(abs(estimate), places)} {word} than the {baseline_name(against)}'s"
    return f"{said} ({between}, {view.n}); {_margin(view, places)}"


def _margin(view: CheckView, places: int) -> str:
    limit, at_least = float(view.outcome["limit"]["value"]), view.at_least
    side = "lower" if limit < 0 else "higher"
    if limit == 0:
        return f"it may not be {'lower' if at_least else 'higher'}"
    demanded = (limit > 0) == at_least
    return f"{bound(abs(limit), places)} {side} is {'demanded' if demanded else 'allowed'}"


def _rows(view: CheckView) -> str:
    """Return what rows do that break a rule: `285 of 12,345 rows (2.3 %) lack a value; 1 % is allowed`."""
    evidence, limit = view.outcome["evidence"], float(view.outcome["limit"]["value"])
    parts = view.check.split("/")[2:]
    kind = next((part for part in (*parts[1:2], *parts[:1]) if part in ROWS or part in BROKEN), "")
    if kind in BROKEN:
        return BROKEN[kind]
    if evidence["unit"] != "share":
        return f"{numbers(view)}; {_limit(view)}"
    breaking = evidence["detail"].get("rows_breaking")
    share = percent(float(evidence["estimate"]))
    many = f"{breaking:,} of {evidence['n']:,} rows ({share})" if isinstance(breaking, int) else f"{share} of the rows"
    return f"{many} {ROWS.get(kind, 'break the rule')}; {'none is' if limit == 0 else f'{percent(limit)} is'} allowed"


def unit_of(evidence: JsonObject) -> str:
    """Return the unit of a value beside a metric's name; empty where the name says it."""
    unit = str(evidence["unit"])
    return "" if unit in ("AUC", "AP", "F1", "Brier", "nats", "share") or unit.startswith("share of ") else unit
