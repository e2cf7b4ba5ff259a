"""What a look said, as one JSON document: the page, the metrics and other programs read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from weighin.contract.monitor import Monitor
from weighin.monitor.detectors import Followed
from weighin.monitor.evaluate import Look
from weighin.monitor.journal import Event, State
from weighin.outcome import Status
from weighin.record.outcomes import encode_outcome

SCHEMA = "weighin/monitor/v1"
CALM, ALARM, UNDECIDED, BLIND = "calm", "alarm", "undecided", "blind"
"""Every check passed; an alarm is open or was acted on; neither; the log could not be read."""
EXIT_CODES = {CALM: 0, ALARM: 1, UNDECIDED: 6, BLIND: 7}


@dataclass(frozen=True)
class Run:
    """One look and what was done.

    state      `calm`, `alarm`, `undecided` or `blind`
    journal    the events and what they say, after it
    new        events that this run wrote
    streams    what detectors were fed, and found
    problems   in sentences: what was left out of the log, what did not arrive
    seconds    that it took
    """

    model: str
    monitor: Monitor
    found: Look
    state: str
    journal: State
    new: tuple[Event, ...]
    streams: tuple[Followed, ...]
    problems: tuple[str, ...]
    seconds: float


def document(run: Run) -> dict[str, Any]:
    """The whole run.

    estimates  as `checks`, of metrics whose labels have not come: shown, and never acted on
    checks    one for each, as in a decision record, with `window`, `then`, `baseline` and `open` (whether its alarm is)
    streams   of each, how many rows its detector was fed, why it says nothing, and how many new signals there are
    events    those that this run wrote, and `recent` the last fifty of all
    """
    found, evidence = run.found, run.monitor.evidence
    watched = {w.id: w for w in found.watched}
    checks = []
    for outcome in found.outcomes:
        item = watched[outcome.check]
        window = item.window.name if item.window else ""
        more = {"window": window, "then": item.then, "baseline": item.baseline, "open": item.id in run.journal.open}
        checks.append(encode_outcome(outcome) | more)
    return {
        "schema": SCHEMA,
        "moment": _text(found.moment),
        "model": run.model,
        "version": found.champion.version,
        "digest": found.champion.digest,
        "since": _text(found.champion.since) if found.champion.since else "",
        "state": run.state,
        "evidence": {
            "false_alarms_per_month": evidence.false_alarms_per_month,
            "every_minutes": evidence.every_minutes,
            "looks": evidence.looks,
        },
        "checks": checks,
        "alarms": sorted(run.journal.open),
        "events": [_event(e) for e in run.new],
        "recent": [_event(e) for e in run.journal.events[-50:]],
        "estimates": [encode_outcome(o) for o in found.estimates],
        "streams": [{"check": s.check, "fed": s.fed, "reason": s.reason, "new": len(s.signals)} for s in run.streams],
        "problems": list(run.problems),
        "seconds": round(run.seconds, 3),
    }


def state_of(found: Look, journal: State, new: Sequence[Event], away: str) -> str:
    """What a look and what followed say in one word; the worst."""
    if away:
        return BLIND
    if journal.open or any(e.kind in ("alarm", "signal", "rollback", "escalated") for e in new):
        return ALARM
    return CALM if all(o.status is Status.PASSED for o in found.outcomes) else UNDECIDED


def _event(event: Event) -> dict[str, Any]:
    names = ("number", "kind", "version", "then", "said", "about", "who", "created")
    return {name: getattr(event, name) for name in names} | {"checks": list(event.checks)}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
