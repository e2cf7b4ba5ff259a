"""The next action of a monitor: one thing is changed in each test, and the action is another one or none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from weighin.contract.monitor import Action, Monitor
from weighin.data.profile import Profile
from weighin.monitor.alarm import Alarm
from weighin.monitor.detectors import Position, Signal
from weighin.monitor.evaluate import Champion, Evaluation
from weighin.monitor.journal import Event, Kind, State, place
from weighin.monitor.next_action import ATTEMPTS, LOG, RETRY, Now, Step, due
from weighin.monitor.rules import Watched
from weighin.outcome import Direction, Limit, Outcome, Status, Unmeasured
from weighin.registry.ledger import Entry

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
LIMIT = Limit(Direction.AT_MOST, 0.2)
MONITOR = Monitor.model_validate(
    {
        "log": {"path": "log"},
        "watch": [{"no_traffic_minutes_at_most": 30}],
        "alerts": [{"to": "github", "repository": "example/model"}],
        "retrain": {"repository": "example/model"},
    }
)
HEAD = Entry("promote", "2", "3", "sha256:a", "sha256:r", "", "owner", "", False, "host/1", "", "", number=7)
"""The entry that made version 3 champion."""
BACK = replace(HEAD, action="rollback", before="3", after="2", owner="weighin monitor", reason="drift broke its limit")
BACK = replace(BACK, number=8)


def outcome(check: str, status: Status = Status.FAILED) -> Outcome:
    return Outcome(check, status, f"{check} is {status.value}", LIMIT, Unmeasured(check, ""))


def seen(*outcomes: Outcome, alarms: tuple[str, ...] = (), action: dict[str, Action] | None = None) -> Evaluation:
    """An evaluation with these outcomes; `alarms` failed in all windows; `action` is what the contract demands."""
    champion = Champion("3", "sha256:a", Profile(0, None, "none", True, {}, {}), {})
    listed = tuple(Watched(c, "drift", None, LIMIT, action) for c, action in (action or {}).items())
    return Evaluation(NOW, champion, outcomes, tuple(Alarm(c, (outcome(c),)) for c in alarms), listed)


def event(number: int, kind: Kind, *checks: str, minutes: float = 60, **more: Any) -> Event:
    """An event of the present champion that was written `minutes` ago."""
    created = (NOW - timedelta(minutes=minutes)).isoformat()
    return Event(
        kind, **{"version": "3", "promotion_id": 7, "checks": checks, "number": number, "created": created} | more
    )


def now(found: Evaluation | None = None, *events: Event, **more: Any) -> Now:
    """Nothing is wrong unless the arguments say so."""
    head = more.pop("head", HEAD)
    facts = {"evaluated": head.number} | more
    return Now(NOW, facts.pop("monitor", MONITOR), head, State(events, head.number), found or seen(), **facts)


def notified(number: int, in_reply_to: int) -> Event:
    """The event that people were notified of all events up to `about`."""
    return event(number, "notified", in_reply_to=in_reply_to)


def step(given: Now) -> Step:
    found = due(given)
    assert found is not None
    return found


def test_nothing_is_due_where_nothing_was_found() -> None:
    assert due(now()) is None
    assert due(now(seen(outcome("a"), outcome("b", Status.PASSED)))) is None


# --- alarms


def test_an_alarm_is_noted_once() -> None:
    found = step(now(seen(alarms=("a",))))
    assert (found.do, found.event.kind, found.event.version, found.event.promotion_id) == ("note", "alarm", "3", 7)
    assert (found.event.checks, found.event.action, found.event.message) == (("a",), "alert", "a: a is failed")
    assert found.events == ()
    assert due(now(seen(alarms=("a",)), event(1, "alarm", "a"), notified(2, 1))) is None


def test_alarms_with_the_same_action_are_one_event_in_the_order_of_their_names() -> None:
    found = step(now(seen(alarms=("b", "a"))))
    assert (found.event.checks, found.event.message) == (("a", "b"), "a: a is failed; b: b is failed")


def test_an_alarm_that_is_open_is_not_part_of_a_new_one() -> None:
    assert step(now(seen(alarms=("b", "a")), event(1, "alarm", "a"))).event.checks == ("b",)


def test_an_alarm_of_the_champion_before_does_not_count_as_open() -> None:
    assert step(now(seen(alarms=("a",)), event(1, "alarm", "a", promotion_id=6))).event.checks == ("a",)


@pytest.mark.parametrize(
    ("actions", "first"),
    [
        (("nothing", "alert", "retrain", "rollback"), "rollback"),
        (("nothing", "alert", "retrain"), "retrain"),
        (("nothing", "alert"), "alert"),
        (("nothing",), "nothing"),
    ],
)
def test_the_alarm_with_the_gravest_action_comes_first(actions: tuple[Action, ...], first: Action) -> None:
    action: dict[str, Action] = {f"check-{action}": action for action in actions}
    found = step(now(seen(alarms=tuple(action), action=action)))
    assert (found.event.checks, found.event.action) == ((f"check-{first}",), first)


def test_what_was_seen_of_another_champion_raises_no_alarm() -> None:
    assert due(now(seen(alarms=("a",)), evaluated=6)) is None


def test_a_log_that_cannot_be_read_for_long_is_an_alarm() -> None:
    found = step(now(problem="no such folder", away=True))
    assert (found.event.kind, found.event.checks, found.event.action) == ("alarm", (LOG,), "alert")
    assert found.event.message == "monitor/log: the log cannot be read: no such folder"
    assert due(now(problem="no such folder", away=False)) is None
    opened = (event(1, "alarm", LOG), notified(2, 1))
    assert due(now(None, *opened, problem="no such folder", away=True)) is None


# --- rollback


def test_an_alarm_that_demands_a_rollback_is_answered_by_one() -> None:
    alarm = event(1, "alarm", "a", "b", action="rollback")
    assert step(now(seen(alarms=("b",)), alarm)) == Step("go back", alarm)


@pytest.mark.parametrize("action", ["alert", "retrain", "nothing"])
def test_another_alarm_is_not_answered_by_a_rollback(action: Action) -> None:
    found = due(now(seen(alarms=("a",)), event(1, "alarm", "a", action=action)))
    assert found is None or found.do != "go back"


def test_an_alarm_that_this_evaluation_does_not_confirm_rolls_nothing_back() -> None:
    alarm = event(1, "alarm", "a", action="rollback")
    assert due(now(seen(outcome("a")), alarm, notified(2, 1))) is None
    assert due(now(seen(alarms=("c",)), alarm, event(2, "alarm", "c"), notified(3, 2))) is None


def test_the_alarm_that_is_confirmed_is_answered_also_after_one_that_is_not() -> None:
    alarms = (event(1, "alarm", "a", action="rollback"), event(2, "alarm", "b", action="rollback"))
    assert step(now(seen(alarms=("b",)), *alarms)).event.number == 2


def test_what_was_seen_of_another_champion_rolls_nothing_back() -> None:
    assert due(now(seen(alarms=("a",)), event(1, "alarm", "a", action="rollback"), notified(2, 1), evaluated=6)) is None


def test_an_alarm_that_people_have_to_decide_on_rolls_nothing_back() -> None:
    events = (event(1, "alarm", "a", action="rollback"), event(2, "needs_human", "a", in_reply_to=1), notified(3, 2))
    assert due(now(seen(alarms=("a",)), *events)) is None


# --- a rollback that the ledger shows


def test_a_rollback_in_the_ledger_is_noted_with_the_alarm_that_it_answers() -> None:
    alarms = (
        event(0, "alarm", "older", action="rollback"),
        event(1, "alarm", "old", action="rollback"),
        event(2, "alarm", "a", "b", action="rollback"),
        event(3, "alarm", "c", action="alert"),
        event(4, "alarm", "d", action="rollback", version="1"),
        event(5, "recovered", "e", action="rollback"),
    )
    found = step(now(None, *alarms, head=BACK))
    assert (found.do, found.event.kind, found.event.version, found.event.promotion_id) == ("note", "rollback", "2", 8)
    assert (found.event.checks, found.event.in_reply_to, found.event.action) == (("a", "b"), 2, "rollback")
    assert found.event.message == "rolled back from version 3 to version 2: drift broke its limit"


def test_a_rollback_without_an_alarm_in_the_journal_is_noted_too() -> None:
    found = step(now(head=BACK))
    assert (found.event.kind, found.event.checks, found.event.in_reply_to) == ("rollback", (), 0)


@pytest.mark.parametrize(
    ("served", "ending"),
    [
        ("", ": drift broke its limit"),
        ("no: timeout", ": drift broke its limit. The servers do not follow (no: timeout)"),
        ("2026-11-27T12:00:00+00:00", ": drift broke its limit. The servers proved that they serve it"),
    ],
)
def test_the_note_of_a_rollback_says_what_the_servers_proved(served: str, ending: str) -> None:
    found = step(now(head=replace(BACK, served=served)))
    assert found.event.message == f"rolled back from version 3 to version 2{ending}"


@pytest.mark.parametrize(
    "head", [replace(BACK, owner="a person"), replace(BACK, action="promote")], ids=["actor", "what"]
)
def test_a_change_that_the_monitor_did_not_make_is_no_rollback_of_its_own(head: Entry) -> None:
    assert due(now(head=head)) is None


def test_a_rollback_that_is_noted_is_not_noted_again() -> None:
    noted = event(1, "rollback", "a", version="2", promotion_id=8, minutes=5)
    assert due(now(None, noted, notified(2, 1), head=BACK)) is None
    assert step(now(None, replace(noted, promotion_id=6), notified(2, 1), head=BACK)).event.kind == "rollback"


# --- signals of streams


def signal(check: str = "stream/a", row: int = 0, **more: Any) -> Signal:
    values = {"began": NOW, "before": 0.1, "after": 0.3, "action": "retrain", "text": f"the mean changed at {row}"}
    return Signal(check, Position(NOW, "request", row), **values | more)


def test_a_signal_is_noted_at_its_place() -> None:
    found = step(now(signals=(signal(row=4),)))
    assert (found.do, found.event.kind, found.event.version, found.event.promotion_id) == ("note", "signal", "3", 7)
    assert (found.event.checks, found.event.action) == (("stream/a",), "retrain")
    assert found.event.message == "the mean changed at 4"
    assert found.event.place == place(Position(NOW, "request", 4))


def test_of_several_signals_of_a_stream_the_last_is_noted_with_their_number() -> None:
    found = step(now(signals=(signal(row=1), signal(row=2), signal("stream/b", row=9), signal(row=3))))
    assert found.event.message == "the mean changed at 3; the last of 3 changes"
    assert found.event.place == place(Position(NOW, "request", 3))
    assert step(now(signals=(signal(row=1), signal(row=2)))).event.message.endswith("; the last of 2 changes")


def test_a_signal_that_is_noted_leaves_the_next_stream() -> None:
    noted = event(1, "signal", "stream/a", place=place(Position(NOW, "request", 1)))
    both = (signal(row=1), signal("stream/b", row=2))
    assert step(now(None, noted, signals=both)).event.checks == ("stream/b",)
    assert step(now(None, replace(noted, promotion_id=6), signals=both)).event.checks == ("stream/a",)
    assert due(now(None, replace(noted, action="alert"), notified(2, 1), signals=both[:1])) is None


def test_a_signal_of_another_champion_is_not_noted() -> None:
    assert due(now(signals=(signal(),), evaluated=6)) is None


# --- after a rollback


def rolled(*checks: str, minutes: float = 5) -> tuple[Event, ...]:
    """The rollback is noted and people were notified of it."""
    noted = event(
        4, "rollback", *checks, version="2", promotion_id=8, minutes=minutes, in_reply_to=3, action="rollback"
    )
    return noted, notified(5, 4)


def after(found: Evaluation | None = None, minutes: float = 5, **more: Any) -> Now:
    return now(found, *rolled("a", "b", minutes=minutes), head=more.pop("head", BACK), **more)


PASSED = (outcome("a", Status.PASSED), outcome("b", Status.PASSED))


def test_fresh_traffic_that_passes_verifies_a_rollback() -> None:
    found = step(after(seen(*PASSED, outcome("c"))))
    assert (found.do, found.event.kind, found.event.version, found.event.promotion_id) == ("note", "verified", "2", 8)
    assert (found.event.checks, found.event.in_reply_to, found.event.action) == (("a", "b"), 4, "alert")
    assert found.event.message == "fresh traffic passes: a passed; b passed"


@pytest.mark.parametrize("status", [Status.FAILED, Status.INCONCLUSIVE, Status.NOT_EVALUATED])
def test_one_check_that_does_not_pass_verifies_nothing(status: Status) -> None:
    assert due(after(seen(PASSED[0], outcome("b", status)))) is None


def test_a_check_that_was_not_measured_verifies_nothing() -> None:
    assert due(after(seen(PASSED[0]))) is None
    assert due(after(seen())) is None


def test_a_rollback_without_checks_is_not_verified_by_nothing() -> None:
    assert due(now(seen(*PASSED), *rolled(), head=BACK)) is None


def test_what_was_seen_of_another_champion_verifies_nothing() -> None:
    assert due(after(seen(*PASSED), evaluated=7)) is None


def test_the_same_alarm_after_a_rollback_is_left_to_people() -> None:
    events = (*rolled("a", "b"), event(6, "alarm", "a", "b", "c", version="2", promotion_id=8), notified(7, 6))
    found = step(now(seen(alarms=("c", "b", "a")), *events, head=BACK))
    assert (found.do, found.event.kind, found.event.version, found.event.promotion_id) == (
        "note",
        "needs_human",
        "2",
        8,
    )
    assert (found.event.checks, found.event.in_reply_to, found.event.action) == (("a", "b"), 4, "rollback")
    assert found.event.message == "the version before breaks a, b too: look at the data. People have to decide."


def test_another_alarm_after_a_rollback_is_not_left_to_people() -> None:
    events = (*rolled("a", "b"), event(6, "alarm", "c", version="2", promotion_id=8), notified(7, 6))
    assert due(now(seen(alarms=("c",)), *events, head=BACK)) is None


def test_servers_that_do_not_follow_are_left_to_people_at_once() -> None:
    found = step(after(seen(*PASSED), head=replace(BACK, served="no: timeout")))
    assert (found.event.kind, found.event.checks, found.event.in_reply_to) == ("needs_human", ("a", "b"), 4)
    assert found.event.message == "the servers do not follow. People have to decide."
    assert step(after(seen(*PASSED), evaluated=7, head=replace(BACK, served="no"))).event.kind == "needs_human"
    assert step(after(seen(*PASSED), head=replace(BACK, served="2026-11-27"))).event.kind == "verified"


def test_traffic_that_says_nothing_for_too_long_is_left_to_people() -> None:
    found = step(after(seen(PASSED[0], outcome("b", Status.INCONCLUSIVE)), minutes=60.01))
    assert (found.event.kind, found.event.checks, found.event.in_reply_to) == ("needs_human", ("a", "b"), 4)
    assert found.event.message == (
        "fresh traffic did not pass within 60 minutes: a passed; b inconclusive. People have to decide."
    )
    assert due(after(seen(PASSED[0]), minutes=60)) is None
    silent = step(after(seen(), minutes=61))
    assert silent.event.message.endswith("within 60 minutes: nothing was measured. People have to decide.")


@pytest.mark.parametrize("kind", ["verified", "needs_human"])
def test_a_rollback_is_settled_once(kind: Kind) -> None:
    settled = event(6, kind, "a", "b", version="2", promotion_id=8, in_reply_to=4)
    assert due(now(seen(*PASSED), *rolled("a", "b"), settled, notified(7, 6), head=BACK)) is None


# --- recovery


def test_an_open_alarm_whose_check_passes_has_recovered() -> None:
    found = step(now(seen(outcome("a", Status.PASSED)), event(1, "alarm", "a", action="retrain")))
    assert (found.do, found.event.kind, found.event.version, found.event.promotion_id) == ("note", "recovered", "3", 7)
    assert (found.event.checks, found.event.in_reply_to, found.event.action) == (("a",), 1, "retrain")
    assert found.event.message == "a: a is passed"


@pytest.mark.parametrize("status", [Status.FAILED, Status.INCONCLUSIVE, Status.NOT_EVALUATED])
def test_an_open_alarm_stays_open_while_its_check_does_not_pass(status: Status) -> None:
    assert due(now(seen(outcome("a", status)), event(1, "alarm", "a"), notified(2, 1))) is None


def test_alarms_recover_one_after_the_other_and_each_with_its_own_checks() -> None:
    passed = tuple(outcome(c, Status.PASSED) for c in "abc")
    alarms = (event(2, "alarm", "b", "d", "c"), event(3, "alarm", "a"))
    found = step(now(seen(*passed), *alarms))
    assert (found.event.in_reply_to, found.event.checks) == (2, ("b", "c"))
    assert found.event.message == "b: b is passed; c: c is passed"
    again = step(now(seen(*passed), *alarms, event(4, "recovered", "b", "c", in_reply_to=2)))
    assert (again.event.in_reply_to, again.event.checks) == (3, ("a",))
    assert step(now(seen(passed[0]), *alarms)).event.in_reply_to == 3


def test_a_check_that_was_never_alarmed_does_not_recover() -> None:
    assert due(now(seen(outcome("b", Status.PASSED)), event(1, "alarm", "a"), notified(2, 1))) is None


def test_what_was_seen_of_another_champion_recovers_nothing() -> None:
    assert due(now(seen(outcome("a", Status.PASSED)), event(1, "alarm", "a"), notified(2, 1), evaluated=6)) is None


def test_the_alarm_of_a_log_recovers_when_the_log_can_be_read() -> None:
    alarm = (event(1, "alarm", LOG), notified(2, 1))
    found = step(now(None, *alarm))
    assert (found.event.kind, found.event.checks) == ("recovered", (LOG,))
    assert found.event.message == "monitor/log: the log can be read"
    assert due(now(None, *alarm, problem="no such folder")) is None


# --- training


RETRAIN = (event(1, "alarm", "a", action="retrain"), notified(2, 1))


def test_a_training_is_requested_for_an_alarm_that_demands_one() -> None:
    found = step(now(None, *RETRAIN))
    assert (found.do, found.event.kind, found.event.version, found.event.promotion_id) == (
        "ask",
        "retrain_requesting",
        "3",
        7,
    )
    assert (found.event.checks, found.event.in_reply_to, found.event.action) == (("a",), 1, "retrain")
    assert found.events == (RETRAIN[0],)


def test_a_training_is_requested_for_a_signal_that_demands_one() -> None:
    found = step(now(None, event(1, "signal", "stream/a", action="retrain"), notified(2, 1)))
    assert (found.do, found.event.checks, found.event.in_reply_to) == ("ask", ("stream/a",), 1)


@pytest.mark.parametrize("action", ["alert", "nothing"])
def test_no_training_is_requested_for_another_alarm(action: Action) -> None:
    assert due(now(None, event(1, "alarm", "a", action=action), notified(2, 1))) is None


def test_no_training_is_requested_where_the_contract_names_no_repository() -> None:
    assert due(now(None, *RETRAIN, monitor=MONITOR.model_copy(update={"retrain": None}))) is None


def test_a_training_is_requested_once_for_an_alarm() -> None:
    assert due(now(None, *RETRAIN, event(3, "retrain_requested", "a", in_reply_to=1))) is None
    others = (
        event(3, "retrain_requested", "b", in_reply_to=9),
        event(4, "alarm", "b", action="retrain"),
        notified(5, 4),
    )
    assert step(now(None, *RETRAIN, *others)).event.in_reply_to == 1
    done = event(6, "retrain_requested", "a", in_reply_to=1)
    assert step(now(None, *RETRAIN, *others, done)).event.in_reply_to == 4


def test_a_request_that_somebody_else_makes_at_this_time_leaves_the_next_alarm() -> None:
    other = (event(3, "alarm", "b", action="retrain"), notified(4, 3))
    assert (
        step(
            now(None, *RETRAIN, *other, event(5, "retrain_requesting", "a", in_reply_to=1, minutes=1))
        ).event.in_reply_to
        == 3
    )


# --- notification


def test_people_are_notified_of_all_that_they_were_not_notified_of() -> None:
    facts = (event(3, "alarm", "b"), event(4, "recovered", "b", in_reply_to=3))
    found = step(now(None, event(1, "alarm", "a"), notified(2, 1), *facts))
    assert (found.do, found.event.kind, found.event.version, found.event.promotion_id) == ("tell", "notifying", "3", 7)
    assert (found.event.in_reply_to, found.event.checks, found.events) == (4, (), facts)


def test_nobody_is_notified_twice_or_of_what_demands_nothing_or_without_an_address() -> None:
    alarm = event(1, "alarm", "a")
    assert due(now(None, alarm, notified(2, 1))) is None
    assert due(now(None, replace(alarm, action="nothing"))) is None
    assert due(now(None, alarm, monitor=MONITOR.model_copy(update={"alerts": ()}))) is None


def test_the_most_urgent_action_comes_first() -> None:
    """Each step is done in turn; the next evaluation of the rules action finds the following one."""
    found = seen(outcome("ok", Status.PASSED), alarms=("a",), action={"a": "rollback"})
    ok = event(1, "alarm", "ok", action="retrain")
    facts: dict[str, Any] = {"signals": (signal(),)}
    alarm = event(2, "alarm", "a", action="rollback")
    went = event(3, "needs_human", "a", in_reply_to=2)
    noted = event(4, "signal", "stream/a", place=place(signal().position))
    recovered = event(5, "recovered", "ok", in_reply_to=1)
    asked = event(6, "retrain_requested", "stream/a", in_reply_to=4)
    events: list[Event] = [ok]
    done = []
    for following in (alarm, went, noted, recovered, None):
        each = step(now(found, *events, **facts))
        done.append((each.do, each.event.kind))
        events += [following] if following else []
    noted = replace(noted, action="retrain")
    done.append((step(now(found, ok, alarm, went, noted, recovered)).do, ""))
    done.append((step(now(found, ok, alarm, went, noted, recovered, asked)).do, ""))
    assert done == [
        ("note", "alarm"),
        ("go back", "alarm"),
        ("note", "signal"),
        ("note", "recovered"),
        ("tell", "notifying"),
        ("ask", ""),
        ("tell", ""),
    ]


# --- who began and did not end


@pytest.mark.parametrize(
    ("began", "ended"),
    [("retrain_requesting", RETRAIN), ("notifying", (event(1, "alarm", "a"),))],
    ids=["a training", "a notification"],
)
@pytest.mark.parametrize("times", [1, 2, 3, ATTEMPTS - 1])
def test_what_was_begun_and_not_ended_is_begun_again_after_a_time_that_doubles(
    began: Kind, ended: tuple[Event, ...], times: int
) -> None:
    wait = {1: 5.0, 2: 10.0, 3: 20.0, 7: 320.0}[times]

    def tried(minutes: float) -> Step | None:
        begun = (event(10 + i, began, "a", in_reply_to=1, minutes=10_000) for i in range(times - 1))
        return due(now(None, *ended, *begun, event(30, began, "a", in_reply_to=1, minutes=minutes)))

    assert tried(wait - 0.01) is None
    again = tried(wait)
    assert again is not None
    assert again.event.kind == began


@pytest.mark.parametrize("began", ["retrain_requesting", "notifying"])
def test_what_failed_eight_times_is_given_up(began: Kind) -> None:
    ended = RETRAIN if began == "retrain_requesting" else (event(1, "alarm", "a"),)
    begun = tuple(event(10 + i, began, "a", in_reply_to=1, minutes=10_000_000) for i in range(8))
    assert step(now(None, *ended, *begun[:7])).event.kind == began
    assert due(now(None, *ended, *begun)) is None


def test_attempts_for_another_event_do_not_count() -> None:
    assert (timedelta(minutes=5), 8) == (RETRY, ATTEMPTS)
    assert step(now(None, *RETRAIN, event(3, "retrain_requesting", "b", in_reply_to=9, minutes=0))).do == "ask"
    assert step(now(None, *RETRAIN, event(3, "notifying", in_reply_to=1, minutes=0))).do == "ask"
