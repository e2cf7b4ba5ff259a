"""Run once, do what is due, and leave word of it: the part of a monitor that acts.

The run reads the log; `due` says what follows from it and from the journal; here it is done, a step at a time, each of
them noted in the registry before the next. A monitor that is killed anywhere leaves a state from which the next run
goes on; of two at once the chains in the registry let one do each thing.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pyarrow as pa

from weighin.canonical import canonical, digest, write_json
from weighin.contract.monitor import Monitor, Window
from weighin.contract.reading import ContractFile
from weighin.data.profile import Profile
from weighin.errors import DeployError, EvidenceError, NotEvaluated, PromotionError, WeighinError
from weighin.model.subject import ModelVersion
from weighin.monitor import notify
from weighin.monitor.auto_rollback import go_back
from weighin.monitor.detectors import Followed, Signal, follow
from weighin.monitor.evaluate import Champion, Evaluation, Windows, evaluate
from weighin.monitor.history import Heartbeat
from weighin.monitor.journal import FACTS, Event, Journal, State
from weighin.monitor.next_action import Now, Step, due
from weighin.monitor.result import Run, document, state_of
from weighin.monitor.rules import baseline_of
from weighin.monitor.windows import LoggedWindows
from weighin.prediction_log.reader import Log
from weighin.registry.champion import ChampionRegistry, actor
from weighin.registry.ledger import Entry
from weighin.registry.mlflow import Address
from weighin.registry.profiles import stored_profile

WATCHED = "weighin.watched"
"""Tag of a version that is watched: the moment of the last run."""
STEPS = 20
"""More than a run can ever need."""
WITHOUT = "Watch no drift, or store one: `weighin profile --store models:/NAME/VERSION`."
NO_PROFILE = Profile(0, None, "none", True, {}, {})


@dataclass
class Watcher:
    """A monitor of one contract's model. It keeps nothing that another process would need."""

    file: ContractFile
    champions: ChampionRegistry
    environment: Mapping[str, str]
    _known: dict[int, Champion] = field(default_factory=dict)

    @property
    def monitor(self) -> Monitor:
        """What the contract says."""
        monitor = self.file.contract.monitor
        if monitor is None:
            raise NotEvaluated("the contract has no `monitor`", str(self.file.path), "Say what is to be watched.")
        return monitor

    def run(self, now: datetime, *, dry_run: bool = False) -> Run:
        """One run, and all that follows from it; with `dry_run` nothing does, and nothing is written.

        Errors: `RegistryError` when the registry is away, `PromotionError` when its aliases were moved by hand,
        `NotEvaluated` for a model that was never promoted, `ContractError`. What was begun is gone on with at the next
        run.
        """
        started = time.monotonic()
        head, _ = self._head(look_only=dry_run)
        champion = self._champion(head)
        windows = LoggedWindows.of(self.file.contract, Log.of(self.file), champion.version, champion.since)
        noticing = _Noticing(windows)
        found = evaluate(self.file.contract, noticing, champion, now)
        journal = Journal(self.champions.registry, self.champions.model, self.champions.ledger_name)
        before = tuple(journal.entries())
        state = State(before, head.number)
        streams, left_out = self._streams(champion, now, state)
        heartbeat = None
        if not dry_run:
            # First: MLflow lets everybody create what is not there yet, and who may not edit the model is told now.
            moment = now.astimezone(UTC).isoformat(timespec="seconds")
            self.champions.registry.tag(self.champions.model, champion.version, {WATCHED: moment})
            heartbeat = Heartbeat.of(self.champions.registry, self.champions.model, head, now)
        away_since = _away_since(noticing.problem, heartbeat, now)
        evidence = self.monitor.evidence
        long = bool(away_since) and now - datetime.fromisoformat(away_since) >= timedelta(
            minutes=evidence.every_minutes * (evidence.consecutive_windows - 1)
        )
        problems = [*windows.messages, *left_out]
        if noticing.problem:
            problems.append(f"the log cannot be read: {noticing.problem}")
        if not dry_run:
            signals = tuple(s for stream in streams for s in stream.signals)
            acting = _Acting(self, journal, found, signals, head, noticing.problem, long, now)
            state = acting.go_on(state)
            problems += acting.problems
        new = tuple(e for e in state.events if e.number not in {b.number for b in before})
        message = state_of(found, state, new, noticing.problem)
        if heartbeat is not None:
            heartbeat.beat(found, self.monitor, len(state.open), message, away_since)
        seconds = time.monotonic() - started
        return Run(self.champions.model, self.monitor, found, message, state, new, streams, tuple(problems), seconds)

    def _head(self, *, look_only: bool = False) -> tuple[Entry, str]:
        head, version = self.champions.reconcile(look_only=look_only)
        if head is None:
            raise NotEvaluated(
                "nothing was promoted yet, so nothing says how good the champion was",
                self.champions.model,
                "Run `weighin validate` and `weighin promote`; the monitor then compares with what that record holds.",
            )
        return head, version

    def _champion(self, head: Entry) -> Champion:
        """Return the champion by an entry, with what its promotion left."""
        if head.number not in self._known:
            self._known = {head.number: self._read(head)}
        return self._known[head.number]

    def _read(self, head: Entry) -> Champion:
        gated = [e for e in self.champions.ledger.entries() if e.after == head.after and e.action == "promote"]
        baseline: Mapping[str, float] = {}
        if gated:
            with tempfile.TemporaryDirectory() as scratch:
                text = self.champions.ledger.kept(gated[-1], "record.json", Path(scratch)).read_bytes()
            record = json.loads(text)
            if digest(canonical(record)) != gated[-1].record:
                raise EvidenceError(
                    "the record that is kept for the champion is not the one that it was promoted with",
                    f"{self.champions.ledger.name}, entry {gated[-1].number}",
                    "Somebody changed it. Promote the version again.",
                )
            baseline = baseline_of(record)
        profile = NO_PROFILE
        if any(w.drift_at_most is not None for w in self.monitor.watch):
            run_id = self.champions.registry.run_of(Address(self.champions.model, head.after))
            version = ModelVersion(self.champions.model, head.after, run_id, head.artifact, "")
            try:
                profile = stored_profile(self.champions, version, "champion")
            except NotEvaluated as error:
                raise NotEvaluated(error.fact, error.place, WITHOUT) from error
        since = datetime.fromisoformat(head.created).astimezone(UTC)
        return Champion(head.after, head.artifact, profile, baseline, since)

    def _streams(self, champion: Champion, now: datetime, state: State) -> tuple[tuple[Followed, ...], list[str]]:
        """Return what the streams say, and what was left out."""
        if not self.monitor.streams:
            return (), []
        log = Log.of(self.file)
        try:
            streams, faults = follow(
                self.file.contract, log, champion.version, champion.since, now, notified=state.signals
            )
        except NotEvaluated as error:
            return (), [f"no stream was followed: {error}"]
        silent = [f"{s.check}: {s.reason}" for s in streams if s.reason]
        return streams, [*faults.messages, *silent]


def _away_since(problem: str, heartbeat: Heartbeat | None, now: datetime) -> str:
    """Since when the log cannot be read, as far as runs know; empty where it can."""
    if not problem:
        return ""
    return (heartbeat.away_since if heartbeat else "") or now.astimezone(UTC).isoformat(timespec="seconds")


@dataclass
class _Acting:
    """One run's way through what is due."""

    watcher: Watcher
    journal: Journal
    found: Evaluation
    signals: tuple[Signal, ...]
    head: Entry
    problem: str
    away: bool
    moment: datetime
    problems: list[str] = field(default_factory=list)

    def go_on(self, state: State) -> State:
        """Take steps until none is due; returns the state then."""
        evaluated = self.head.number
        for _ in range(STEPS):
            now = Now(
                self.moment,
                self.watcher.monitor,
                self.head,
                state,
                self.found,
                evaluated,
                self.signals,
                self.problem,
                self.away,
            )
            step = due(now)
            if step is None:
                return state
            self._take(step, state)
            # Whatever came of it, here or in another monitor, stands in the registry.
            self.head, _ = self.watcher._head()
            state = State(tuple(self.journal.entries()), self.head.number)
        raise NotEvaluated(f"{STEPS} steps did not come to an end", self.journal.name, "This is a fault of weighin.")

    def _take(self, step: Step, state: State) -> None:
        match step.do:
            case "note":
                self._write(step.event, state)
            case "go back":
                self._go_back(step.event, state)
            case "ask":
                if self._write(step.event, state):
                    self._ended("retrain_requested", step.event, self._ask(step.events[0]))
            case "tell":
                if self._write(step.event, state):
                    self._ended("notified", step.event, "; ".join(self._tell(step.events, state)))

    def _write(self, event: Event, state: State) -> bool:
        with tempfile.TemporaryDirectory() as scratch:
            if event.kind in FACTS:
                seen = Run(self.watcher.champions.model, self.watcher.monitor, self.found, "", state, (), (), (), 0.0)
                write_json(Path(scratch) / "evaluation.json", document(seen))
            return self.journal.add(event, state.events, actor(self.watcher.environment), self.moment, Path(scratch))

    def _ended(self, kind: Literal["retrain_requested", "notified"], begun: Event, failed: str) -> None:
        """Note how it ended, after whatever another monitor wrote meanwhile; a failure is tried again later."""
        if failed:
            self.problems.append(failed)
            return
        for _ in range(STEPS):
            event = replace(begun, kind=kind)
            state = State(tuple(self.journal.entries()), begun.promotion_id)
            if state.last([event.kind], begun.in_reply_to)[1] or self._write(event, state):
                return

    def _go_back(self, alarm: Event, state: State) -> None:
        contract = self.watcher.file.contract
        try:
            go_back(self.watcher.champions, self.found, alarm.checks, contract.deploy)
        except DeployError as error:
            # The registry has moved, and the entry says that the servers have not.
            self.problems.append(str(error))
        except PromotionError as error:
            head, champion = self.watcher._head()
            if champion != self.found.champion.version:
                return  # somebody else moved it first
            message = f"no rollback: {error.fact}. People have to decide."
            event = Event("needs_human", champion, head.number, alarm.checks, "rollback", message, alarm.number)
            self._write(event, state)

    def _ask(self, alarm: Event) -> str:
        monitor = self.watcher.monitor
        assert monitor.retrain is not None
        windows = sorted({w.window.name for w in self.found.watched if w.id in alarm.checks and w.window})
        values = {
            "model": self.watcher.champions.model,
            "version": alarm.version,
            "digest": self.found.champion.digest,
            "checks": list(alarm.checks),
            "data": {
                "log": monitor.log.path or monitor.log.connection,
                "windows": windows,
                "since": self.head.created,
                "until": self.moment.astimezone(UTC).isoformat(timespec="seconds"),
            },
            "alarm": alarm.number,
        }
        return notify.ask_to_train(monitor.retrain, values, self.watcher.environment)

    def _tell(self, facts: Sequence[Event], state: State) -> list[str]:
        """One message for what hangs together: an alarm, the rollback because of it, and what came of that."""
        failed = []
        for root in dict.fromkeys(state.root(e) for e in facts):
            news = [e for e in facts if state.root(e) == root]
            before = [e for e in state.events if e.kind in FACTS and state.root(e) == root and e not in news]
            failed += notify.tell(self.watcher.monitor.alerts, self._news(root, news, before), self.watcher.environment)
        return failed

    def _news(self, root: Event, news: Sequence[Event], before: Sequence[Event]) -> notify.News:
        model = self.watcher.champions.model
        gravest = min(news, key=lambda e: list(_TITLES).index(e.kind))
        events = [
            {n: getattr(e, n) for n in ("number", "kind", "version", "checks", "action", "message")} for e in news
        ]
        return notify.News(
            key=f"{model}/{root.version}/{root.promotion_id}",
            title=f"{model} version {gravest.version}: {_TITLES[gravest.kind]}",
            lines=tuple(map(_line, news)),
            values={"model": model, "version": gravest.version, "state": gravest.kind, "events": events},
            before=tuple(map(_line, before)),
        )


def _line(event: Event) -> str:
    action = f" Action: {event.action}." if event.kind == "alarm" else ""
    return f"{event.created} {event.kind}, version {event.version}: {event.message}{action}"


_TITLES = {
    "needs_human": "people have to decide",
    "rollback": "rolled back to it",
    "alarm": "a limit is broken",
    "signal": "a mean has changed",
    "verified": "fresh traffic passes",
    "recovered": "limits are kept again",
}


class _Noticing:
    """Windows, and the first reason why they could not be read."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self.problem = ""

    def window(self, window: Window, now: datetime, back: int, *, labelled: bool) -> pa.Table:
        """As the windows say it."""
        with self._noticing():
            return self._windows.window(window, now, back, labelled=labelled)

    def last(self, now: datetime) -> datetime | None:
        """As the windows say it."""
        with self._noticing():
            return self._windows.last(now)

    @contextlib.contextmanager
    def _noticing(self) -> Iterator[None]:
        try:
            yield
        except WeighinError as error:
            self.problem = self.problem or str(error)
            raise
