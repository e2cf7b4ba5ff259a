"""`ab.html`: what an evaluation of an A/B test said, and what those before it saw. Nothing in it runs or loads."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup

from weighin.report.causes import capital
from weighin.report.html import template
from weighin.report.series import Line, over_time
from weighin.report.view import CheckView, check_view
from weighin.untrusted import JsonObject

DAY = 86_400.0
WORDS = {"pass": "pass", "fail": "fail", "inconclusive": "inconclusive", "not_evaluated": "not evaluated"}
CLASS = {"pass": "passed", "fail": "failed", "inconclusive": "inconclusive", "not_evaluated": "not_evaluated"}
SENTENCES = {
    "pass": "The challenger keeps every limit.",
    "fail": "The challenger breaks a limit.",
    "inconclusive": "The test goes on: nothing is decided yet.",
    "not_evaluated": "The arms must not be compared, or a number has no interval: nothing follows from this test now.",
}


@dataclass(frozen=True)
class Card:
    """One limit: what it says now, and over time. `left` says what would settle it."""

    view: CheckView
    chart: Markup
    left: str


def page(record: JsonObject) -> str:
    """Return the page of an evaluation."""
    answer = str(record["answer"])
    units, test = record["units"], record["test"]
    counted = units["champion"] + units["challenger"]
    return template("ab.html.j2").render(
        title=f"{test['name']}: {WORDS[answer]}",
        record=record,
        word=WORDS[answer],
        status=CLASS[answer],
        sentence=SENTENCES[answer],
        created=_minute(record["created"]),
        since=_minute(record["since"]),
        cutoff=_minute(record["cutoff"]),
        decided={**record["decided"], "at": _minute(record["decided"]["at"])} if record["decided"] else None,
        counted=counted,
        left=_left(record, counted),
        cards=[_card(o, record) for o in record["outcomes"]],
        ratio=_ratio_chart(record),
        ratio_status="failed" if record["sample_ratio"]["broken"] else "passed",
        ratio_word="broken" if record["sample_ratio"]["broken"] else "as planned",
        faults=[check_view(o) for o in record["validity"]],
        newest=[(name, f"{record['rows'][name]:,}", _minute(at)) for name, at in sorted(record["newest"].items())],
    )


def _card(outcome: JsonObject, record: JsonObject) -> Card:
    view = check_view(outcome)
    moments, values = _series(record["evaluations"], lambda e: e["checks"].get(view.check))
    title = f"{view.check}: {view.estimate or view.reason}, limit {view.limit}"
    chart = _chart(title, moments, values, float(outcome["limit"]["value"]), record, at_least=view.at_least)
    required = outcome["n_required"]
    left = ""
    if outcome["status"] == "inconclusive" and required:
        left = _until(int(required), record)
    return Card(view, chart, left)


def _ratio_chart(record: JsonObject) -> Markup:
    ratio = record["sample_ratio"]
    moments, values = _series(record["evaluations"], lambda e: e["share"])
    title = f"share of the units in the challenger's arm: {ratio['share']:.4f}, due {ratio['expected']:g}"
    return _chart(title, moments, values, float(ratio["expected"]), record, at_least=None)


def _series(
    evaluations: Sequence[JsonObject], of: Callable[[JsonObject], Sequence[float] | None]
) -> tuple[list[float], list[list[float]]]:
    """Return moments and (estimate, low, high) of the evaluations that have a number."""
    found = [(e["at"], of(e)) for e in evaluations]
    known = [(datetime.fromisoformat(at).timestamp(), [float(v) for v in values]) for at, values in found if values]
    return [at for at, _ in known], [values for _, values in known]


def _chart(
    title: str,
    moments: Sequence[float],
    values: Sequence[Sequence[float]],
    limit: float,
    record: JsonObject,
    *,
    at_least: bool | None,
) -> Markup:
    version = str(record["challenger"]["version"])
    line = Line.of(version, moments, *([v[i] for v in values] for i in range(3)))
    now = datetime.fromisoformat(record["created"]).timestamp()
    return over_time(title, [line], (), limit, at_least=at_least, version=version, now=now, every=DAY)


def _left(record: JsonObject, counted: int) -> list[str]:
    """Return what is left to do, in sentences."""
    units, test, answer = record["units"], record["test"], record["answer"]
    if answer == "pass":
        return ["Promote the challenger: `weighin promote`, with the record of its validation."]
    if answer == "fail":
        return ["Send every unit to the champion again. A changed challenger is a new test, with another name."]
    if answer == "not_evaluated":
        reasons = [f"{capital(reason)}." for reason in str(record["reason"]).split("; ")]
        before = "What was decided before was decided on the same units: look at the fault before you act on it."
        return [*reasons, before if record["decided"] else "Nothing is decided by this evaluation."]
    waiting = units["seen"] - counted
    found = []
    if counted < test["units_at_least"]:
        found.append(f"The first decision takes {_until(test['units_at_least'], record)}.")
    if waiting:
        found.append(
            f"{waiting:,} units wait: a unit counts {test['outcome_days']:g} days and {test['delay_hours']:g} hours "
            "after its first request, when every outcome has been seen since."
        )
    found.append("Evaluate again whenever you like: every day, or every hour. It costs no certainty.")
    return found


def _until(required: int, record: JsonObject) -> str:
    """Return a number of units in words, with the days until then at the rate of units so far."""
    units = record["units"]
    counted = units["champion"] + units["challenger"]
    days = (datetime.fromisoformat(record["created"]) - datetime.fromisoformat(record["since"])).total_seconds() / DAY
    rate = units["seen"] / days if days > 0 else 0.0
    more = max(0, required - counted)
    at_rate = f", {math.ceil(more / rate):,} days at the rate so far" if rate > 0 and more else ""
    return f"about {required:,} units in all{at_rate}"


def _minute(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
