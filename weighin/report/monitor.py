"""`monitor.html`: what a run said, and what runs before it saw. One file; nothing in it runs or loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup

from weighin.monitor.history import History, Series
from weighin.report.html import template
from weighin.report.series import MARKS, Line, Mark, over_time
from weighin.report.view import RANK, CheckView, check_view
from weighin.untrusted import JsonDict, JsonObject

ESTIMATE = "/estimate"
EVENTS = 100
"""Rows of the table of events."""
KINDS = {
    "alarm": "alarm",
    "signal": "a mean has changed",
    "recovered": "recovered",
    "rollback": "rolled back",
    "verified": "verified",
    "needs_human": "people have to decide",
    "retrain_requesting": "a training is being requested",
    "retrain_requested": "a training was requested",
    "notifying": "people are being notified",
    "notified": "people were notified",
}
ACTIONS = {
    "nothing": "nothing is done",
    "alert": "people are told",
    "retrain": "a training is asked for",
    "rollback": "the version before becomes champion again",
}


@dataclass(frozen=True)
class Card:
    """One check: what it says now in words, and over time."""

    view: CheckView
    window: str
    action: str
    baseline: str
    open: bool
    chart: Markup

    @property
    def order(self) -> tuple[bool, int]:
        """What is open first, then what failed."""
        return not self.open, RANK.get(self.view.status, 0)


def page(document: JsonObject, history: History) -> str:
    """Return the page of a run.

    document  as `weighin.monitor.result.document` makes it
    history   what earlier runs saw; it may be empty
    """
    events = _events(document, history)
    cards = sorted((_card(c, document, history, events) for c in document["checks"]), key=lambda c: c.order)
    every = document["evidence"]["every_minutes"]
    moment = datetime.fromisoformat(document["timestamp"])
    return template("monitor.html.j2").render(
        title=f"{document['model']} version {document['version']}: {document['state']}",
        document=document,
        state=document["state"],
        sentence=_sentence(document, cards),
        moment=_minute(document["timestamp"]),
        due=_minute((moment + timedelta(minutes=every)).isoformat()),
        since=_minute(document["champion_since"]),
        open=_open(document, events, cards),
        waiting=_waiting(document, events),
        cards=cards,
        expected={e["check"].removesuffix(ESTIMATE): check_view(e) for e in document["estimates"]},
        versions=_versions(document, history),
        level=_level(document["checks"]),
        marks=[(MARKS[k], k, KINDS[k]) for k in MARKS],
        events=[{**e, "word": KINDS.get(e["kind"], e["kind"]), "at": _minute(e["created"])} for e in events[:EVENTS]],
        older=max(0, len(events) - EVENTS),
        actions=ACTIONS,
    )


def _sentence(document: JsonObject, cards: Sequence[Card]) -> str:
    """Return the state, for somebody who has half a minute."""
    count = f"{len(cards)} {'check' if len(cards) == 1 else 'checks'}"
    match document["state"]:
        case "ok":
            return "The check keeps its limit." if len(cards) == 1 else f"All {count} keep their limits."
        case "alert":
            if not document["alarms"]:
                return " ".join(_sentences(document["events"]))
            first, *others = document["alarms"]
            return f"The alarm of {first} is open" + (f", and {len(others)} more." if others else ".")
        case "no_data":
            return "The log cannot be read: nothing is known of what the champion answers now."
    words = {
        "failed": "fail, and are no alarm yet",
        "inconclusive": "are inconclusive",
        "not_evaluated": "could not be evaluated",
    }
    single = {"failed": "fails, and is no alarm yet", "inconclusive": "is inconclusive"}
    parts = []
    for status, several in words.items():
        number = sum(c.view.status == status for c in cards)
        if number:
            parts.append(f"{number} {single.get(status, several) if number == 1 else several}")
    return f"No alarm, and no all-clear: of {count} {', '.join(parts) or 'none was made'}."


def _sentences(events: Sequence[JsonObject]) -> list[str]:
    """Return what was done at this run that leaves no alarm open."""
    message = {"rollback": "Rolled back", "needs_human": "People have to decide", "signal": "A mean has changed"}
    return [f"{message[e['kind']]}: {e['message']}." for e in events if e["kind"] in message]


def _card(check: JsonObject, document: JsonObject, history: History, events: Sequence[JsonObject]) -> Card:
    view = check_view(check)
    now = datetime.fromisoformat(document["timestamp"]).timestamp()
    lines = [_line(s) for s in history.series if s.check == view.check]
    if "unmeasured" not in check["evidence"]:
        values = [float(check["evidence"][k]) for k in ("estimate", "low", "high")]
        # The run of now may be in the history already.
        if not lines or lines[-1].version != document["version"]:
            lines.append(Line.of(document["version"], [now], *([v] for v in values)))
        elif lines[-1].moments.size == 0 or lines[-1].moments[-1] < int(now):
            lines[-1] = _longer(lines[-1], now, values)
    marks = [
        Mark(e["kind"], datetime.fromisoformat(e["created"]).timestamp(), _message(e))
        for e in reversed(events)
        if e["created"] and (view.check in e["checks"] or e["kind"] == "rollback")
    ]
    chart = over_time(
        f"{view.check}: {view.estimate or view.reason}, limit {view.limit}",
        lines,
        marks,
        float(check["limit"]["value"]),
        at_least=view.at_least,
        version=str(document["version"]),
        now=now,
        every=60 * float(document["evidence"]["every_minutes"]),
    )
    return Card(
        view, _window(str(check["window"])), str(check["action"]), str(check["baseline"]), bool(check["open"]), chart
    )


def _line(series: Series) -> Line:
    moments = [m.timestamp() for m in series.moments]
    return Line.of(series.version, moments, series.estimates, series.lows, series.highs)


def _longer(line: Line, now: float, values: Sequence[float]) -> Line:
    old = (line.estimate, line.low, line.high)
    return Line.of(line.version, [*line.moments, now], *([*o, v] for o, v in zip(old, values, strict=True)))


def _events(document: JsonObject, history: History) -> list[JsonObject]:
    """All that are known, the newest first."""
    found: dict[int, Mapping[str, Any]] = {e.number: asdict(e) for e in history.events}
    found |= {int(e["number"]): e for e in (*document["recent"], *document["events"])}
    return [found[number] for number in sorted(found, reverse=True)]


def _open(document: JsonObject, events: Sequence[JsonObject], cards: Sequence[Card]) -> list[JsonDict]:
    """Open alarms with their event, and what the check says now."""
    now = {c.view.check: c.view for c in cards}
    rows = []
    for check in document["alarms"]:
        event = next((e for e in events if e["kind"] == "alarm" and check in e["checks"]), None)
        rows.append(
            {
                "check": check,
                "view": now.get(check),
                "since": _minute(event["created"]) if event else "",
                "action": str(event["action"]) if event else "",
                "message": str(event["message"]) if event else "",
            }
        )
    return rows


def _waiting(document: JsonObject, events: Sequence[JsonObject]) -> str:
    """Return a rollback that fresh traffic has not verified yet, in words; empty where there is none."""
    for event in events:
        if event["version"] != document["version"] or event["kind"] in ("verified", "needs_human"):
            return ""
        if event["kind"] == "rollback":
            return f"Rolled back to version {event['version']} at {_minute(event['created'])}: waits for fresh traffic."
    return ""


def _window(name: str) -> str:
    """`last-1000` and `last-0.5-hours` in words."""
    _, _, size = name.partition("last-")
    if size == "1-hours":
        return "of the last hour"
    if size.endswith("-hours"):
        return f"of the last {size.removesuffix('-hours')} hours"
    return f"of the last {int(size):,}" if size.isdecimal() else name


def _versions(document: JsonObject, history: History) -> tuple[str, str]:
    """Return the version of now, and the one that was watched before it, if there was one."""
    before = [s.version for s in history.series if s.version != document["version"]]
    return str(document["version"]), before[-1] if before else ""


def _level(checks: Sequence[JsonObject]) -> str:
    """One-sided level of the intervals."""
    levels = {c["evidence"]["level"] for c in checks if c["evidence"].get("kind") == "sample"}
    return f"{min(levels):.2%}" if levels else ""


def _message(event: JsonObject) -> str:
    return f"{KINDS.get(event['kind'], event['kind'])}, {_minute(event['created'])}: {event['message']}"[:400]


def _minute(moment: str) -> str:
    """For people; empty stays empty."""
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else ""
