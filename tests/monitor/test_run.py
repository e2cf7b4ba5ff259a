"""Looks that act: a real registry, a real log, receivers that listen. Each test breaks one thing."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import processes
from support.loopback import Answer, Asked, listening
from support.registry_versions import NAME, SAYS, champions, restored, template
from support.watched_model import RECORD, Watched
from weighin.errors import EvidenceError, NotEvaluated, PromotionError
from weighin.monitor.history import history, last_heartbeat
from weighin.monitor.result import Run, document
from weighin.release.rollback import rollback

MINUTE = timedelta(minutes=1)
N = 100
ERRORS = {"window": {"rows": N, "rows_at_least": N}, "error_rate_at_most": 0.1}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return template(tmp_path_factory.mktemp("registry"), *(SAYS.format(value=v) for v in (0.1, 0.2, 0.3, 0.4)))


@pytest.fixture
def uri(registry: Path, tmp_path: Path) -> str:
    """Version 3 is champion, version 2 was before."""
    return restored(registry, tmp_path, "2", "3", record=RECORD)


def watching(uri: str, folder: Path, *watch: dict[str, Any], **more: Any) -> Watched:
    given = {"log": {"path": "log.sqlite"}, "watch": [*watch], **more}
    return Watched.make(uri, folder, given)


@contextlib.contextmanager
def receiving(*statuses: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address, and what was sent to it; the first are answered with these statuses."""
    got: list[dict[str, Any]] = []

    def hear(asked: Asked) -> Answer:
        got.append({"path": asked.path, **json.loads(asked.body)})
        return Answer(statuses[len(got) - 1] if len(got) <= len(statuses) else 200)

    with listening(hear) as url:
        yield url, got


def kinds(run: Run) -> list[str]:
    return [e.kind for e in run.new]


def faulty(place: Watched, action: str = "alert") -> Any:
    """The champion answers 40 % of its requests with an error; returns a moment at which three windows are full."""
    return place.answers(place.since + MINUTE, 3 * N, "3", failing=0.4)


@pytest.mark.parametrize(("failing", "state"), [(0.0, "ok"), (0.4, "alert")])
def test_a_text_task_is_watched_by_what_needs_no_number(uri: str, tmp_path: Path, failing: float, state: str) -> None:
    place = watching(
        uri,
        tmp_path,
        ERRORS,
        {**ERRORS, "error_rate_at_most": None, "latency_ms_at_most": 100},
        {"age_days_at_most": 30},
    )
    text = {
        "version": 1,
        "model": {"name": NAME, "task": "text"},
        "data": {"holdout": "holdout.parquet", "columns": {"question": {"type": "string"}}},
        "gates": {"performance": {"checks": [{"metric": "words", "at_most": 5}]}},
        "monitor": yaml.safe_load(place.contract.read_text())["monitor"],
    }
    place.contract.write_text(json.dumps(text))
    last = place.answers(place.since + MINUTE, 3 * N, "3", failing=failing)
    assert place.run(last).state == state


def test_a_calm_log_is_calm_and_is_noted_in_mlflow(uri: str, tmp_path: Path) -> None:
    place = watching(uri, tmp_path, ERRORS | {"action": "rollback"})
    last = place.answers(place.since + MINUTE, N, "3")
    run = place.run(last)
    assert (run.state, run.new, run.problems) == ("ok", (), ())
    again = place.run(last + 5 * MINUTE)
    assert again.state == "ok"
    seen = history(
        place.champions.registry, place.champions.model, place.champions.ledger.entries(), again.journal.events
    )
    (series,) = seen.series
    assert series.check == "monitor/last-100/errors"
    assert series.estimates == (0.0, 0.0)
    assert series.moments[1] - series.moments[0] == 5 * MINUTE
    assert series.highs[0] == pytest.approx(run.found.outcomes[0].evidence.high)
    heartbeat = last_heartbeat(place.champions.registry, place.champions.model)
    assert heartbeat is not None
    assert abs(heartbeat - (last + 5 * MINUTE)) <= timedelta(seconds=1)
    days = [place.run(last + timedelta(days=day)).found.moment for day in range(1, 10)]
    seen = history(
        place.champions.registry, place.champions.model, place.champions.ledger.entries(), again.journal.events
    )
    assert [s.moments for s in seen.series] == [tuple(days[-7:])]
    value = json.loads(json.dumps(document(again)))
    assert (value["state"], value["alarms"], value["version"]) == ("ok", [], "3")


def test_too_few_rows_are_undecided_and_nothing_is_done(uri: str, tmp_path: Path) -> None:
    place = watching(uri, tmp_path, ERRORS | {"action": "rollback"})
    last = place.answers(place.since + MINUTE, N - 1, "3", failing=1.0)
    run = place.run(last)
    assert (run.state, run.new) == ("inconclusive", ())
    assert "99 requests in the window, 100 are needed" in run.found.outcomes[0].reason


def test_a_broken_limit_is_told_once_and_its_recovery_once(uri: str, tmp_path: Path) -> None:
    with receiving() as (url, got):
        alerts = [{"to": "slack", "address": "HOOK"}]
        place = watching(uri, tmp_path, ERRORS, alerts=alerts)
        env = {"HOOK": url}
        last = faulty(place)
        assert kinds(place.run(last, env)) == ["alarm", "notifying", "notified"]
        assert kinds(place.run(last + 5 * MINUTE, env)) == []
        assert place.run(last + 6 * MINUTE, env).state == "alert"
        assert len(got) == 1
        last = place.answers(last + MINUTE, N, "3")
        assert kinds(place.run(last, env)) == ["recovered", "notifying", "notified"]
        assert place.run(last, env).state == "ok"
    assert len(got) == 2
    assert "a limit is broken" in got[0]["text"]
    assert "monitor/last-100/errors" in got[0]["text"]
    assert "limits are kept again" in got[1]["text"]
    assert place.champions.reconcile()[1] == "3"


def test_an_alert_that_did_not_arrive_is_sent_again_later(uri: str, tmp_path: Path) -> None:
    with receiving(500, 500) as (url, got):
        place = watching(uri, tmp_path, ERRORS, alerts=[{"to": "slack", "address": "HOOK"}])
        env = {"HOOK": url}
        last = faulty(place)
        first = place.run(last, env)
        assert kinds(first) == ["alarm", "notifying"]
        assert first.problems == ("the alert to slack did not arrive (HTTPError)",)
        assert kinds(place.run(last + MINUTE, env)) == []  # somebody may be at it
        assert kinds(place.run(last + 6 * MINUTE, env)) == ["notifying"]
        assert kinds(place.run(last + 10 * MINUTE, env)) == []  # it waits longer each time
        assert kinds(place.run(last + 17 * MINUTE, env)) == ["notifying", "notified"]
        assert kinds(place.run(last + 60 * MINUTE, env)) == []
    assert len(got) == 3


def test_a_rollback_is_done_told_and_verified_on_fresh_traffic(uri: str, tmp_path: Path) -> None:
    with receiving() as (url, got):
        alerts = [{"to": "webhook", "address": "HOOK", "secret": "SECRET"}]
        place = watching(uri, tmp_path, ERRORS | {"action": "rollback"}, alerts=alerts)
        env = {"HOOK": url, "SECRET": "s"}
        # Version 2 has failed when it was champion before: that is not fresh.
        place.answers(place.since - 60 * MINUTE, N, "2", failing=0.9)
        last = faulty(place)
        run = place.run(last, env)
        assert kinds(run) == ["alarm", "rollback", "notifying", "notified"]
        assert place.champions.reconcile()[1] == "2"
        assert run.state == "alert"  # of this run, though nothing is open of the champion of now
        assert kinds(place.run(last + MINUTE, env)) == []
        last = place.answers(place.since + MINUTE, N, "2")
        assert kinds(place.run(last, env)) == ["verified", "notifying", "notified"]
        assert kinds(place.run(last + MINUTE, env)) == []
    assert [g["state"] for g in got] == ["rollback", "verified"]
    assert {g["key"] for g in got} == {f"{place.champions.model}/3/3"}
    assert [e["kind"] for e in got[0]["events"]] == ["alarm", "rollback"]


def test_fresh_traffic_that_fails_too_is_for_people_and_no_second_rollback(uri: str, tmp_path: Path) -> None:
    place = watching(uri, tmp_path, ERRORS | {"action": "rollback"})
    place.run(faulty(place))
    last = place.answers(place.since + MINUTE, 3 * N, "2", failing=0.4)
    run = place.run(last)
    assert kinds(run) == ["alarm", "needs_human", "needs_human"]
    assert "there is no version to go back to" in run.new[1].message
    assert "breaks monitor/last-100/errors too: look at the data" in run.new[2].message
    assert kinds(place.run(last + MINUTE)) == []
    assert place.champions.reconcile()[1] == "2"


def test_no_fresh_traffic_within_the_time_is_for_people(uri: str, tmp_path: Path) -> None:
    place = watching(uri, tmp_path, ERRORS | {"action": "rollback"}, evidence={"verify_minutes": 30})
    run = place.run(faulty(place))
    done = run.new[-1].moment
    assert kinds(place.run(done + 29 * MINUTE)) == []
    late = place.run(done + 31 * MINUTE)
    assert kinds(late) == ["needs_human"]
    assert "did not pass within 30 minutes" in late.new[0].message
    assert kinds(place.run(done + 60 * MINUTE)) == []


def test_a_training_is_asked_for_once_and_told_on_what_data(uri: str, tmp_path: Path) -> None:
    with receiving() as (url, asked):
        place = watching(uri, tmp_path, ERRORS | {"action": "retrain"}, retrain={"repository": "a/b"})
        env = {"GITHUB_API_URL": url, "WEIGHIN_GITHUB_TOKEN": "t", "GITHUB_TOKEN": "t"}
        last = faulty(place)
        assert kinds(place.run(last, env)) == ["alarm", "retrain_requesting", "retrain_requested"]
        assert kinds(place.run(last + 20 * MINUTE, env)) == []
    (one,) = asked
    assert one["path"] == "/repos/a/b/dispatches"
    assert one["event_type"] == "weighin-retrain"
    assert one["client_payload"]["data"]["windows"] == ["last-100"]
    assert one["client_payload"]["data"]["since"] < one["client_payload"]["data"]["until"]
    assert one["client_payload"]["checks"] == ["monitor/last-100/errors"]


def test_a_change_on_the_stream_is_told_once_and_trains_once(uri: str, tmp_path: Path) -> None:
    with receiving() as (url, got):
        streams = [{"detector": "page_hinkley", "of": "prediction", "threshold": 5, "action": "retrain"}]
        alerts = [{"to": "slack", "address": "HOOK"}]
        place = watching(uri, tmp_path, ERRORS, streams=streams, alerts=alerts, retrain={"repository": "a/b"})
        env = {"GITHUB_API_URL": url, "WEIGHIN_GITHUB_TOKEN": "t", "GITHUB_TOKEN": "t", "HOOK": url}
        last = place.answers(place.since + MINUTE, 300, "3")
        assert kinds(place.run(last, env)) == []
        last = place.answers(last + MINUTE, 300, "3", prediction=0.9)
        run = place.run(last, env)
        assert kinds(run) == ["signal", "retrain_requesting", "retrain_requested", "notifying", "notified"]
        assert run.state == "alert"
        assert "the mean of `prediction` went from 0.3 to 0.9" in run.new[0].message
        assert kinds(place.run(last + 5 * MINUTE, env)) == []
        assert place.run(last + 6 * MINUTE, env).state == "ok"
        # Back, and up again: one event for what one run finds.
        last = place.answers(last + 7 * MINUTE, 300, "3")
        last = place.answers(last + MINUTE, 300, "3", prediction=0.9)
        run = place.run(last, env)
        assert kinds(run) == ["signal", "retrain_requesting", "retrain_requested", "notifying", "notified"]
        assert "from 0.3 to 0.9" in run.new[0].message
        assert run.new[0].message.endswith("; the last of 2 changes")
        assert kinds(place.run(last, env)) == []
    assert [g["path"] for g in got] == ["/repos/a/b/dispatches", "/"] * 2
    assert got[0]["client_payload"]["checks"] == ["monitor/stream/page_hinkley/prediction"]


def test_what_is_watched_for_nothing_is_noted_and_not_told(uri: str, tmp_path: Path) -> None:
    place = watching(uri, tmp_path, ERRORS | {"action": "nothing"}, alerts=[{"to": "slack", "address": "HOOK"}])
    assert kinds(place.run(faulty(place), {})) == ["alarm"]


def test_a_log_that_is_away_is_no_alarm_of_a_check_and_people_are_told_when_it_stays_away(
    uri: str, tmp_path: Path
) -> None:
    place = watching(uri, tmp_path, ERRORS | {"action": "rollback"})
    last = faulty(place)
    log = tmp_path / "log.sqlite"
    log.rename(tmp_path / "aside")
    log.write_bytes(b"this is no database" * 100)
    first = place.run(last)
    assert (first.state, kinds(first)) == ("no_data", [])
    assert first.problems[0].startswith("the log cannot be read: ")
    assert kinds(place.run(last + 5 * MINUTE)) == []
    third = place.run(last + 10 * MINUTE)
    assert kinds(third) == ["alarm"]
    assert third.new[0].checks == ("monitor/log",)
    assert kinds(place.run(last + 15 * MINUTE)) == []
    (tmp_path / "aside").rename(log)
    back = place.run(last + 20 * MINUTE)
    assert kinds(back) == ["alarm", "rollback"]  # the champion of now has no open alarm of the log
    assert back.state == "alert"


def _one(uri: str, contract: str, moment: Any, hook: str, barrier: Any) -> list[str]:
    os.environ["HOOK"] = hook
    place = Watched(uri, Path(contract))
    watcher = place.watcher()
    barrier.wait(60)
    return kinds(watcher.run(moment))


@pytest.mark.exhaustive
def test_of_monitors_at_once_one_does_each_thing(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as (url, got):
        monkeypatch.setenv("HOOK", url)
        alerts = [{"to": "slack", "address": "HOOK"}]
        place = watching(uri, tmp_path, ERRORS | {"action": "rollback"}, alerts=alerts)
        last = faulty(place)
        context = processes.context()
        with context.Manager() as manager, context.Pool(3) as pool:
            barrier = manager.Barrier(3)
            arguments = [(uri, str(place.contract), last, url, barrier)] * 3
            pool.starmap_async(_one, arguments).get(timeout=180)
    assert [e.kind for e in place.journal()] == ["alarm", "rollback", "notifying", "notified"]
    assert [e.action for e in place.champions.ledger.entries()] == ["adopt", "promote", "promote", "rollback"]
    assert len(got) == 1


@pytest.mark.parametrize("step", ["_write", "_go_back", "_tell"])
@pytest.mark.exhaustive
def test_who_is_killed_leaves_what_the_next_look_goes_on_with(
    step: str, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from weighin.monitor import run as module

    with receiving() as (url, got):
        place = watching(uri, tmp_path, ERRORS | {"action": "rollback"}, alerts=[{"to": "slack", "address": "HOOK"}])
        last = faulty(place)
        whole = getattr(module._Acting, step)

        def killed(*given: Any) -> None:
            whole(*given)
            raise KeyboardInterrupt

        with monkeypatch.context() as m:
            m.setattr(module._Acting, step, killed)
            with pytest.raises(KeyboardInterrupt):
                place.run(last, {"HOOK": url})
        place.run(last + MINUTE, {"HOOK": url})
        place.run(last + 10 * MINUTE, {"HOOK": url})
    noted = [e.kind for e in place.journal()]
    assert [k for k in noted if k in ("alarm", "rollback", "notified")] == ["alarm", "rollback", "notified"]
    assert place.champions.reconcile()[1] == "2"
    assert len(got) == (2 if step == "_tell" else 1)  # twice is better than never


def test_aliases_that_somebody_moved_by_hand_are_not_moved_back(uri: str, tmp_path: Path) -> None:
    place = watching(uri, tmp_path, ERRORS | {"action": "rollback"})
    last = faulty(place)
    place.champions.registry.move_alias(place.champions.model, "champion", "4")
    with pytest.raises(PromotionError, match="somebody moved it by hand"):
        place.run(last)
    assert place.journal() == []


def test_a_champion_by_an_earlier_rollback_by_hand_is_not_left(uri: str, tmp_path: Path) -> None:
    rollback(champions(uri), "2", owner="a", reason="b")
    place = watching(uri, tmp_path, ERRORS | {"action": "rollback"})
    last = place.answers(place.since + MINUTE, 3 * N, "2", failing=0.4)
    run = place.run(last)
    assert kinds(run) == ["alarm", "needs_human"]
    assert "People have to decide" in run.new[1].message


def test_a_record_that_is_not_the_one_of_the_promotion_is_no_baseline(uri: str, tmp_path: Path, registry: Path) -> None:
    place = watching(uri, tmp_path, {**ERRORS, "error_rate_at_most": 0.1})
    place.answers(place.since + MINUTE, N, "3")
    entry = place.champions.ledger.head()
    assert entry is not None
    kept = place.champions.ledger.kept(entry, "record.json", tmp_path)
    assert kept.is_file()
    for path in registry.rglob(f"*{entry.run_id}*/artifacts/record.json"):
        path.write_text(path.read_text().replace("0.75", "0.05"))
    with pytest.raises(EvidenceError, match="not the one that it was promoted with"):
        place.run(place.since + 5 * MINUTE)


def test_a_model_that_was_never_promoted_is_not_watched(registry: Path, tmp_path: Path) -> None:
    place = watching(restored(registry, tmp_path), tmp_path, ERRORS)
    with pytest.raises(NotEvaluated, match="nothing was promoted yet"):
        place.run(datetime.now(UTC))


def test_a_dry_run_leaves_nothing(uri: str, tmp_path: Path) -> None:
    place = watching(uri, tmp_path, ERRORS | {"action": "rollback"})
    last = faulty(place)
    run = place.watcher().run(last, dry_run=True)
    assert len(run.found.alarms) == 1
    assert place.journal() == []
    assert last_heartbeat(place.champions.registry, place.champions.model) is None
    assert place.champions.reconcile()[1] == "3"


def test_what_is_wrong_in_the_log_is_left_out_and_said(uri: str, tmp_path: Path) -> None:
    watch = [ERRORS | {"action": "rollback"}, {"window": ERRORS["window"], "metric": "accuracy", "at_least": 0.2}]
    place = Watched.make(uri, tmp_path, {"log": {"path": "log"}, "watch": watch})
    first = place.since + MINUTE
    last = place.answers(first, N, "3")
    place.answers(first, N, "3")  # each batch twice: the answer to the first was lost
    place.answers(last + 60 * MINUTE, 5, "3", failing=1.0)  # a server whose clock is an hour ahead
    tables = place.tables
    days = sorted((tmp_path / "log" / tables.predictions).glob("day=*"))
    whole = next(days[0].glob("*.parquet")).read_bytes()
    (days[0] / "copied-by-half.parquet").write_bytes(whole[: len(whole) // 2])
    rows = [(f"3-{first.timestamp():.0f}-{i}", 0) for i in range(N)]
    place.labels(last, [*rows, *((request, 1) for request, _ in rows[:7])])
    run = place.run(last)
    errors, accuracy = run.found.outcomes
    assert (errors.status.value, errors.evidence.n) == ("passed", N)
    # Seven labels contradict each other, so fewer than a window needs are left.
    assert accuracy.status.value == "not_evaluated"
    assert run.new == ()
    message = "\n".join(run.problems)
    assert f"{N} rows stand in the log twice" in message
    assert "7 rows have labels that contradict each other" in message
    assert "5 rows lie in the future" in message
    assert "1 files are not whole" in message


def test_a_log_that_can_be_read_again_has_recovered_though_nothing_can_be_measured(uri: str, tmp_path: Path) -> None:
    place = watching(uri, tmp_path, ERRORS)
    now = place.since + MINUTE
    assert [kinds(place.run(now + 5 * i * MINUTE)) for i in range(4)] == [[], [], ["alarm"], []]
    place.answers(now, 3, "3")
    run = place.run(now + 20 * MINUTE)
    assert (run.state, kinds(run)) == ("inconclusive", ["recovered"])
    assert run.new[0].checks == ("monitor/log",)


def test_a_log_that_falls_silent_is_an_alarm_of_one_look(uri: str, tmp_path: Path) -> None:
    place = watching(uri, tmp_path, {"no_traffic_minutes_at_most": 10})
    last = place.answers(place.since, 3, "3")
    place.answers(last + 9 * MINUTE, 3, "2")  # of another version, which is not the champion's word
    calm = place.run(last + 10 * MINUTE)
    assert (calm.state, calm.found.outcomes[0].evidence.estimate) == ("ok", 10.0)
    assert kinds(place.run(last + 11 * MINUTE)) == ["alarm"]
    assert kinds(place.run(place.answers(last + 12 * MINUTE, 1, "3"))) == ["recovered"]


def test_a_champion_that_was_never_asked_is_silent_since_it_became_it(uri: str, tmp_path: Path) -> None:
    place = watching(uri, tmp_path, {"no_traffic_minutes_at_most": 10})
    place.answers(place.since - 60 * MINUTE, 3, "3")
    assert kinds(place.run(place.since + 9 * MINUTE)) == []
    assert kinds(place.run(place.since + 11 * MINUTE)) == ["alarm"]
