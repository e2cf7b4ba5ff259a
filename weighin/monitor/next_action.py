"""What is to be done next: what a run found and what the journal says in, one step out. Nothing here does anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from weighin.contract.monitor import Action, Monitor
from weighin.monitor.auto_rollback import OWNER
from weighin.monitor.detectors import Signal
from weighin.monitor.evaluate import Evaluation
from weighin.monitor.journal import Event, State, place
from weighin.outcome import Outcome, Status
from weighin.registry.ledger import Entry

LOG = "monitor/log"
"""The check without a window of rows: whether the log can be read."""
RETRY = timedelta(minutes=5)
"""Until somebody else takes over what a monitor began and did not end; doubled each time that it fails."""
ATTEMPTS = 8
ORDER: tuple[Action, ...] = ("rollback", "retrain", "alert", "nothing")


@dataclass(frozen=True)
class Step:
    """One step.

    do     `note`: write the event, no more; `go back`: roll back because of the event, which is an alarm; `ask` and
           `tell`: write the event, do it, write its end
    events  what people are notified of, or what the training is for
    """

    do: Literal["note", "go back", "ask", "tell"]
    event: Event
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Now:
    """All that a decision needs.

    head   the ledger's last entry
    signals  changes of streams that the run found
    found  what was seen of the champion of `looked` (the number of its entry)
    problem  why the log cannot be read; empty where it can
    away   whether it could not be read for as long as an alarm needs
    """

    moment: datetime
    monitor: Monitor
    head: Entry
    state: State
    found: Evaluation
    evaluated: int
    signals: tuple[Signal, ...] = ()
    problem: str = ""
    away: bool = False

    @property
    def same(self) -> bool:
        """Whether the run was at the champion of now."""
        return self.evaluated == self.head.number

    def event(self, kind: Literal["alarm", "recovered", "rollback", "verified", "needs_human"], message: str) -> Event:
        """One of the champion of now."""
        return Event(kind, self.head.after, self.head.number, message=message)


def due(now: Now) -> Step | None:
    """Return the next step, the most urgent first; None when there is nothing to do."""
    for find in RULES:
        step = find(now)
        if step is not None:
            return step
    return None


def _rolled_back(now: Now) -> Step | None:
    """Return a rollback of ours that is in the ledger, and in no event yet: also when whoever did it was killed
    since.
    """
    head = now.head
    if head.action != "rollback" or head.owner != OWNER or now.state.of_now("rollback"):
        return None
    alarms = [e for e in now.state.events if e.kind == "alarm" and e.action == "rollback" and e.version == head.before]
    message = f"rolled back from version {head.before} to version {head.after}: {head.reason}"
    if head.served.startswith("no"):
        message += f". The servers do not follow ({head.served})"
    elif head.served:
        message += ". The servers proved that they serve it"
    event = replace(now.event("rollback", message), action="rollback")
    if alarms:
        event = replace(event, checks=alarms[-1].checks, in_reply_to=alarms[-1].number)
    return Step("note", event)


def _alarmed(now: Now) -> Step | None:
    """Alarms that are not open yet, those with the gravest consequence first."""
    if not now.same:
        return None
    then = {w.id: w.action for w in now.found.watched}
    new = {a.check: a.newest.reason for a in now.found.alarms if a.check not in now.state.open}
    if now.away and LOG not in now.state.open:
        new[LOG] = f"the log cannot be read: {now.problem}"
    for action in ORDER:
        checks = sorted(c for c in new if then.get(c, "alert") == action)
        if checks:
            message = "; ".join(f"{c}: {new[c]}" for c in checks)
            return Step("note", replace(now.event("alarm", message), checks=tuple(checks), action=action))
    return None


def _signalled(now: Now) -> Step | None:
    """Return the last of the signals of a stream: those before it are told with it, and it says from where on to look
    next.
    """
    if not now.same:
        return None
    noted = {e.place for e in now.state.of_now("signal")}
    for last in {s.check: s for s in now.signals}.values():
        if place(last.position) not in noted:
            number = sum(s.check == last.check for s in now.signals)
            message = last.text + (f"; the last of {number} changes" if number > 1 else "")
            event = Event("signal", now.head.after, now.head.number, (last.check,), last.action, message)
            return Step("note", replace(event, place=place(last.position)))
    return None


def _go_back(now: Now) -> Step | None:
    """Alarms that ask for a rollback. Only what this run saw as well: not an alarm of yesterday's."""
    if not now.same:
        return None
    seen = {a.check for a in now.found.alarms}
    for alarm in now.state.unanswered("rollback", "needs_human"):
        if seen.intersection(alarm.checks):
            return Step("go back", alarm)
    return None


def _verified(now: Now) -> Step | None:
    """After a rollback: fresh traffic passes what had failed, or fails it too, or says nothing for too long."""
    rollback = now.state.unverified
    if rollback is None:
        return None
    if now.head.served.startswith("no"):
        return _escalated(now, rollback, "the servers do not follow")
    if not now.same:
        return None
    outcomes = {o.check: o for o in now.found.outcomes}
    watched = [outcomes[c] for c in rollback.checks if c in outcomes]
    if watched and len(watched) == len(rollback.checks) and all(o.status is Status.PASSED for o in watched):
        event = now.event("verified", f"fresh traffic passes: {_shortly(watched)}")
        return Step("note", replace(event, checks=rollback.checks, in_reply_to=rollback.number))
    again = sorted({a.check for a in now.found.alarms}.intersection(rollback.checks))
    if again:
        return _escalated(now, rollback, f"the version before breaks {', '.join(again)} too: look at the data")
    if now.moment - rollback.moment > timedelta(minutes=now.monitor.evidence.verify_minutes):
        minutes = now.monitor.evidence.verify_minutes
        return _escalated(now, rollback, f"fresh traffic did not pass within {minutes:g} minutes: {_shortly(watched)}")
    return None


def _escalated(now: Now, cause: Event, why: str) -> Step:
    event = now.event("needs_human", f"{why}. People have to decide.")
    return Step("note", replace(event, checks=cause.checks, in_reply_to=cause.number, action="rollback"))


def _shortly(outcomes: list[Outcome]) -> str:
    return "; ".join(f"{o.check} {o.status.value}" for o in outcomes) or "nothing was measured"


def _recovered(now: Now) -> Step | None:
    """Open alarms whose whole interval lies on the allowed side again: to be unsure leaves them open."""
    if not now.same:
        return None
    fine = {o.check: o.reason for o in now.found.outcomes if o.status is Status.PASSED}
    if not now.problem:
        fine[LOG] = "the log can be read"
    for alarm in sorted(set(now.state.open.values()), key=lambda e: e.number):
        checks = tuple(c for c, of in now.state.open.items() if of == alarm and c in fine)
        if checks:
            message = "; ".join(f"{c}: {fine[c]}" for c in checks)
            event = replace(
                now.event("recovered", message), checks=checks, in_reply_to=alarm.number, action=alarm.action
            )
            return Step("note", event)
    return None


def _train(now: Now) -> Step | None:
    """Ask for a training: once for an alarm, again where whoever began to ask did not end."""
    if now.monitor.retrain is None:
        return None
    for alarm in now.state.unanswered("retrain", "retrain_requested"):
        if _free(now, "retrain_requesting", alarm.number):
            event = Event(
                "retrain_requesting",
                alarm.version,
                alarm.promotion_id,
                alarm.checks,
                "retrain",
                in_reply_to=alarm.number,
            )
            return Step("ask", event, (alarm,))
    return None


def _tell(now: Now) -> Step | None:
    """Tell people all that they were not told yet."""
    facts = now.state.untold
    if not facts or not now.monitor.alerts or not _free(now, "notifying", facts[-1].number):
        return None
    event = Event("notifying", now.head.after, now.head.number, in_reply_to=facts[-1].number)
    return Step("tell", event, tuple(facts))


def _free(now: Now, kind: Literal["retrain_requesting", "notifying"], in_reply_to: int) -> bool:
    """Whether nobody is at it: nobody began, or what was begun did not succeed and its time is over."""
    times, last = now.state.last([kind], in_reply_to)
    if last is None:
        return True
    return times < ATTEMPTS and now.moment - last.moment >= RETRY * 2 ** (times - 1)


RULES: tuple[Callable[[Now], Step | None], ...] = (
    _rolled_back,
    _alarmed,
    _go_back,
    _signalled,
    _verified,
    _recovered,
    _train,
    _tell,
)
