"""What a run said, as one JSON document: the page, the metrics and other programs read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from weighin.contract.monitor import Monitor
from weighin.monitor.detectors import Followed
from weighin.monitor.evaluate import Evaluation
from weighin.monitor.journal import Event, State
from weighin.outcome import Status
from weighin.record.outcomes import encode_outcome
from weighin.untrusted import JsonDict

SCHEMA = "weighin/monitor/v1"
OK, ALERT, INCONCLUSIVE, NO_DATA = "ok", "alert", "inconclusive", "no_data"
"""Every check passed; an alarm is open or was acted on; neither; the log could not be read."""
EXIT_CODES = {OK: 0, ALERT: 1, INCONCLUSIVE: 6, NO_DATA: 7}


@dataclass(frozen=True)
class Run:
    """One run and what was done.

    state      `ok`, `alarm`, `inconclusive` or `no_data`
    journal    the events and what they say, after it
    new        events that this run wrote
    streams    what detectors were fed, and found
    problems   in sentences: what was left out of the log, what did not arrive
    seconds    that it took
    """

    model: str
    monitor: Monitor
    found: Evaluation
    state: str
    journal: State
    new: tuple[Event, ...]
    streams: tuple[Followed, ...]
    problems: tuple[str, ...]
    seconds: float


def document(run: Run) -> JsonDict:
    """Return the whole run.

    estimates  as `checks`, of metrics whose labels have not come: shown, and never acted on
    checks    one for each, as in a decision record, with `window`, `action`, `baseline` and `open` (is its alarm open)
    streams   of each, how many rows its detector was fed, why it says nothing, and how many new signals there are
    events    those that this run wrote, and `recent` the last fifty of all
    """
    found, evidence = run.found, run.monitor.evidence
    watched = {w.id: w for w in found.watched}
    checks = []
    for outcome in found.outcomes:
        item = watched[outcome.check]
        window = item.window.name if item.window else ""
        more = {"window": window, "action": item.action, "baseline": item.baseline, "open": item.id in run.journal.open}
        checks.append(encode_outcome(outcome) | more)
    return {
        "schema": SCHEMA,
        "timestamp": _text(found.moment),
        "model": run.model,
        "version": found.champion.version,
        "digest": found.champion.digest,
        "champion_since": _text(found.champion.since) if found.champion.since else "",
        "state": run.state,
        "evidence": {
            "false_alarms_per_month": evidence.false_alarms_per_month,
            "every_minutes": evidence.every_minutes,
            "consecutive_windows": evidence.consecutive_windows,
        },
        "checks": checks,
        "alarms": sorted(run.journal.open),
        "events": [_event(e) for e in run.new],
        "recent": [_event(e) for e in run.journal.events[-50:]],
        "estimates": [encode_outcome(o) for o in found.estimates],
        "streams": [
            {"check": s.check, "rows_used": s.rows_used, "reason": s.reason, "new": len(s.signals)} for s in run.streams
        ],
        "problems": list(run.problems),
        "seconds": round(run.seconds, 3),
    }


def state_of(found: Evaluation, journal: State, new: Sequence[Event], away: str) -> str:
    """Return what a run and what followed say in one word; the worst."""
    if away:
        return NO_DATA
    if journal.open or any(e.kind in ("alarm", "signal", "rollback", "needs_human") for e in new):
        return ALERT
    return OK if all(o.status is Status.PASSED for o in found.outcomes) else INCONCLUSIVE


def _event(event: Event) -> JsonDict:
    names = ("number", "kind", "version", "action", "message", "in_reply_to", "actor", "created")
    return {name: getattr(event, name) for name in names} | {"checks": list(event.checks)}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
