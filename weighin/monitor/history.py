"""What earlier runs saw: MLflow runs, one for each day of one promotion, with a series for each check.

Name of the run: `<model> version <version>, entry <number>, <day>`, in the experiment `weighin-monitor`. Series: the
check's id, and with `/low` and `/high` its interval; `alarms`, how many are open. Tags say when the last run was.
A day's run holds some hundred points of a series: what a page shows is read without reading all that there ever was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from weighin.contract.monitor import Monitor
from weighin.monitor.evaluate import Evaluation
from weighin.monitor.journal import Event
from weighin.outcome import Measurement
from weighin.registry.ledger import Entry
from weighin.registry.mlflow import Registry

EXPERIMENT = "weighin-monitor"
HEARTBEAT, AWAY, STATE = "weighin.heartbeat", "weighin.away_since", "weighin.state"
"""Tags of a run: the moment of the last run, since when the log cannot be read (or empty), and what it said."""
OF, ENTRY = "weighin.model", "weighin.entry"
"""Tags of a run: of which model, and by which entry of the ledger its version was champion."""
DAYS = 7
"""That are read for a page; of the promotion before the last one."""
ENDS = ("", "/low", "/high")


@dataclass(frozen=True)
class Series:
    """What runs saw of one check under one promotion, the oldest first; the lists have the same length.

    moments  of the runs
    """

    check: str
    version: str
    moments: tuple[datetime, ...]
    estimates: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]


@dataclass(frozen=True)
class History:
    """The series of this promotion and of the one before, and all events, the oldest first."""

    series: tuple[Series, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Heartbeat:
    """The MLflow run of a day of a promotion.

    away_since  as the last run, of whichever day, left it
    """

    registry: Registry
    model: str
    entry: Entry
    run_id: str
    away_since: str

    @staticmethod
    def of(registry: Registry, model: str, head: Entry, now: datetime) -> Heartbeat:
        """Errors: `RegistryError`."""
        before = registry.runs_of(EXPERIMENT, {OF: model}, newest=True)
        day = now.astimezone(UTC).date().isoformat()
        run_id = registry.run_named(EXPERIMENT, f"{model} version {head.after}, entry {head.number}, {day}")
        return Heartbeat(registry, model, head, run_id, before[0].data.tags.get(AWAY, "") if before else "")

    def beat(self, found: Evaluation, monitor: Monitor, open_alarms: int, state: str, away_since: str) -> None:
        """Log a run. Errors: `RegistryError`."""
        metrics: dict[str, float] = {"alarms": float(open_alarms)}
        for outcome in found.outcomes:
            if isinstance(outcome.evidence, Measurement):
                values = (outcome.evidence.estimate, outcome.evidence.low, outcome.evidence.high)
                metrics |= {outcome.check + end: v for end, v in zip(ENDS, values, strict=True) if math.isfinite(v)}
        seconds = found.moment.timestamp()
        since = found.champion.since or found.moment
        step = int((found.moment - since).total_seconds() // (60 * monitor.evidence.every_minutes))
        self.registry.log_points(self.run_id, metrics, seconds, max(0, step))
        moment = found.moment.astimezone(UTC).isoformat(timespec="seconds")
        tags = {HEARTBEAT: moment, AWAY: away_since, STATE: state, OF: self.model, ENTRY: str(self.entry.number)}
        self.registry.tag_run(self.run_id, tags)


def history(registry: Registry, model: str, entries: Sequence[Entry], events: Sequence[Event]) -> History:
    """Return what was logged in the last days of this promotion, and the last day of the one before.

    Errors: `RegistryError`.
    """
    found: list[Series] = []
    for entry, days in zip(entries[-2:], (1, DAYS)[-len(entries[-2:]) :], strict=True):
        runs = registry.runs_of(EXPERIMENT, {OF: model, ENTRY: str(entry.number)}, newest=True)[:days]
        checks = sorted({k for run in runs for k in run.data.metrics if f"{k}/low" in run.data.metrics})
        found += [_series(registry, [str(run.info.run_id) for run in runs], c, entry.after) for c in checks]
    return History(tuple(found), tuple(events))


def last_heartbeat(registry: Registry, model: str) -> datetime | None:
    """When anybody looked last; None where nobody ever did. Errors: `RegistryError`."""
    runs = registry.runs_of(EXPERIMENT, {OF: model}, newest=True)
    heartbeats = [run.data.tags[HEARTBEAT] for run in runs if HEARTBEAT in run.data.tags]
    return max(map(datetime.fromisoformat, heartbeats), default=None)


def last_state(registry: Registry, model: str) -> str:
    """Return what the last run said, and when, in a sentence; empty where there was none. Errors: `RegistryError`."""
    runs = [r.data.tags for r in registry.runs_of(EXPERIMENT, {OF: model}, newest=True) if HEARTBEAT in r.data.tags]
    last = max(runs, key=lambda tags: datetime.fromisoformat(tags[HEARTBEAT]), default=None)
    return f"The monitor said {last.get(STATE, 'nothing')} at {last[HEARTBEAT]}." if last else ""


def _series(registry: Registry, run_ids: Sequence[str], check: str, version: str) -> Series:
    points: list[dict[float, float]] = []
    for end in ENDS:
        points.append({m: v for run_id in run_ids for m, v in registry.points(run_id, check + end)})
    # An end that is infinite was not logged.
    moments = sorted(points[0])
    lists = [tuple(p.get(m, math.nan) for m in moments) for p in points]
    times = tuple(datetime.fromtimestamp(m, UTC) for m in moments)
    return Series(check, version, times, lists[0], lists[1], lists[2])
