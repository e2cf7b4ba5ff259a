"""What earlier looks saw: one MLflow run for each reign of a champion, with a series for each check.

Name of the run: `<model> version <version>, entry <number>`, in the experiment `weighin-monitor`. Series: the check's
id, and with `/low` and `/high` its interval; `alarms`, how many are open. Tags say when the last look was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from weighin.contract.monitor import Monitor
from weighin.monitor.journal import Event
from weighin.monitor.look import Look
from weighin.outcome import Measurement
from weighin.registry.ledger import Entry
from weighin.registry.mlflow import Registry

EXPERIMENT = "weighin-monitor"
PULSE, AWAY, STATE, OF = "weighin.pulse", "weighin.away_since", "weighin.state", "weighin.model"
"""Tags of a run: the moment of the last look, since when the log cannot be read (or empty), what it said, and of
which model."""
ENDS = ("", "/low", "/high")


@dataclass(frozen=True)
class Series:
    """What looks saw of one check in one reign, the oldest first; the lists have the same length.

    moments  of the looks
    """

    check: str
    version: str
    moments: tuple[datetime, ...]
    estimates: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]


@dataclass(frozen=True)
class History:
    """The series of this reign and the last one before, and all events, the oldest first."""

    series: tuple[Series, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Pulse:
    """The MLflow run of a reign."""

    registry: Registry
    model: str
    run_id: str

    @staticmethod
    def of(registry: Registry, model: str, head: Entry) -> Pulse:
        """Errors: `RegistryError`."""
        return Pulse(registry, model, registry.run_named(EXPERIMENT, name(model, head)))

    def tags(self) -> dict[str, str]:
        """What earlier looks left. Errors: `RegistryError`."""
        return self.registry.run_tags(self.run_id)

    def beat(self, found: Look, monitor: Monitor, open_alarms: int, state: str, away_since: str) -> None:
        """Log a look. Errors: `RegistryError`."""
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
        self.registry.tag_run(self.run_id, {PULSE: moment, AWAY: away_since, STATE: state, OF: self.model})


def history(registry: Registry, model: str, entries: Sequence[Entry], events: Sequence[Event]) -> History:
    """What was logged in the last two reigns. Errors: `RegistryError`."""
    found: list[Series] = []
    for entry in entries[-2:]:
        for run in registry.runs_of(EXPERIMENT, f"tags.mlflow.runName = '{name(model, entry)}'"):
            for check in sorted(k for k in run.data.metrics if f"{k}/low" in run.data.metrics):
                found.append(_series(registry, str(run.info.run_id), check, entry.after))
    return History(tuple(found), tuple(events))


def last_pulse(registry: Registry, model: str) -> datetime | None:
    """When anybody looked last; None where nobody ever did. Errors: `RegistryError`."""
    runs = registry.runs_of(EXPERIMENT, f"tags.`{OF}` = '{model}'", newest=True)
    pulses = [run.data.tags[PULSE] for run in runs if PULSE in run.data.tags]
    return max(map(datetime.fromisoformat, pulses), default=None)


def _series(registry: Registry, run_id: str, check: str, version: str) -> Series:
    points = [dict(registry.points(run_id, check + end)) for end in ENDS]
    # An end that is infinite was not logged.
    moments = sorted(points[0])
    rows: Mapping[int, list[float]] = {i: [p.get(m, math.nan) for m in moments] for i, p in enumerate(points)}
    times = tuple(datetime.fromtimestamp(m, UTC) for m in moments)
    return Series(check, version, times, tuple(rows[0]), tuple(rows[1]), tuple(rows[2]))


def name(model: str, entry: Entry) -> str:
    """Of the run of a reign."""
    return f"{model} version {entry.after}, entry {entry.number}"
