"""What a monitor said, for tests of its page and its metrics, written by the real code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from weighin.contract.monitor import Action, Monitor, Window
from weighin.data.profile import Profile
from weighin.monitor.evaluate import Champion, Evaluation
from weighin.monitor.history import History, Series
from weighin.monitor.journal import Event, Kind, State
from weighin.monitor.result import Run, document, state_of
from weighin.monitor.rules import Watched
from weighin.outcome import Direction, Limit, Measurement, Unmeasured, census, decide

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
MONITOR = Monitor.model_validate(
    {"log": {"path": "log"}, "watch": [{"window": {"rows": 1000}, "error_rate_at_most": 0.01}]}
)
ERRORS, AUC, DRIFT, LATENCY, AGE = (
    "monitor/last-1000/errors",
    "monitor/last-1000/roc_auc",
    "monitor/last-1-hours/drift/temp",
    "monitor/last-1000/p95-within-50-ms",
    "monitor/age",
)


def event(number: int, kind: Kind, minutes_ago: float, **values: Any) -> Event:
    created = (NOW - timedelta(minutes=minutes_ago)).isoformat(timespec="milliseconds")
    given = {"version": "3", "promotion_id": 3, "actor": "host/1"} | values
    return replace(Event(kind, **given), created=created, number=number, run_id="r")


def item(check: str, limit: Limit, then: Action = "alert", baseline: str = "") -> Watched:
    window = None if check == AGE else Window(hours=1) if "hours" in check else Window(rows=1000)
    kind = "age" if check == AGE else "errors"
    return Watched(check, kind, window, limit, then, baseline=baseline)


def measured(check: str, estimate: float, half: float, n: int = 1000) -> Measurement:
    return Measurement(check, estimate, estimate - half, estimate + half, 0.99, n, "", "Clopper-Pearson")


def run(
    evidence: Sequence[tuple[Watched, Measurement | Unmeasured]],
    events: Sequence[Event] = (),
    *,
    model: str = "flight-delay",
    version: str = "3",
    away: str = "",
    problems: Sequence[str] = (),
    new: int = 0,
) -> Run:
    """A run with these outcomes; the state follows from them."""
    champion = Champion(
        version, "sha256:" + "3" * 64, Profile(0, None, "duckdb", True, {}, {}), {}, NOW - timedelta(days=20)
    )
    outcomes = tuple(decide(e, w.limit) for w, e in evidence)
    evaluate = Evaluation(NOW, champion, outcomes, (), tuple(w for w, _ in evidence))
    journal = State(tuple(events), 3)
    state = state_of(evaluate, journal, events[len(events) - new :], away)
    written = tuple(events[len(events) - new :])
    return Run(model, MONITOR, evaluate, state, journal, written, (), tuple(problems), 1.34)


def series(check: str, version: str, values: np.ndarray, half: float, end: datetime, minutes: float = 5) -> Series:
    count = values.size
    moments = tuple(end - timedelta(minutes=minutes * (count - 1 - i)) for i in range(count))
    return Series(check, version, moments, tuple(values), tuple(values - half), tuple(values + half))


def notified(points: int = 600, later: int = 240) -> tuple[dict[str, Any], History]:
    """Version 4 broke three limits and was left for version 3, which is not quite right either."""
    rng = np.random.default_rng(7)
    back = NOW - timedelta(minutes=5 * later)
    watched = {
        ERRORS: (Limit(Direction.AT_MOST, 0.01, 0.01), 0.004, 0.003),
        AUC: (Limit(Direction.AT_LEAST, 0.72, 0.01), 0.735, 0.03),
        DRIFT: (Limit(Direction.AT_MOST, 0.2, 0.01), 0.31, 0.05),
        LATENCY: (Limit(Direction.AT_LEAST, 0.95, 0.01), 0.97, 0.01),
    }
    evidence: list[tuple[Watched, Measurement | Unmeasured]] = []
    found = []
    for check, (limit, centre, half) in watched.items():
        noise = rng.normal(0, half / 4, points)
        worse = 2 * (limit.value - centre) * np.linspace(0, 1, points) if check != DRIFT else np.zeros(points)
        found.append(series(check, "4", centre + noise + worse, half, back))
        found.append(series(check, "3", centre + rng.normal(0, half / 4, later), half, NOW - timedelta(minutes=5)))
        then: Action = "rollback" if check == ERRORS else "alert"
        baseline = "baseline 0.74 of the champion's record" if check == AUC else ""
        evidence.append((item(check, limit, then, baseline), measured(check, centre, half)))
    evidence.append((item(AGE, Limit(Direction.AT_MOST, 90)), census(AGE, 20, n=1, unit="days", method="since")))
    f1 = "monitor/last-1000/f1"
    evidence.append((item(f1, Limit(Direction.AT_LEAST, 0.85, 0.01)), Unmeasured(f1, "no label has come")))
    was = {"version": "4", "promotion_id": 2}
    events = [
        event(
            1, "alarm", 1500, checks=(ERRORS,), action="rollback", message=f"{ERRORS}: 0.021 is beyond ≤ 0.01", **was
        ),
        event(2, "notifying", 1499, in_reply_to=1, **was),
        event(3, "notified", 1499, in_reply_to=1, **was),
        event(
            4, "rollback", 1200, checks=(ERRORS,), action="rollback", in_reply_to=1, message="rolled back from 4 to 3"
        ),
        event(5, "verified", 1140, checks=(ERRORS,), in_reply_to=4, message=f"fresh traffic passes: {ERRORS} passed"),
        event(6, "alarm", 700, checks=(AUC,), message=f"{AUC}: 0.70 is beyond the limit ≥ 0.72"),
        event(7, "recovered", 400, checks=(AUC,), in_reply_to=6, message=f"{AUC}: 0.735, limit ≥ 0.72"),
        event(8, "alarm", 300, checks=(DRIFT,), message=f"{DRIFT}: 0.31 [0.26, 0.36] is beyond the limit ≤ 0.2"),
    ]
    left = ("12 rows lie more than five minutes ahead and are left out: a clock is wrong",)
    return document(run(evidence, events, problems=left)), History(tuple(found), tuple(events))
