"""What Prometheus is told is what the run said, and telling it never stops a run."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.loopback import Answer, Asked, listening
from support.monitor_pages import AGE, AUC, DRIFT, ERRORS, NOW, event, item, measured, notified, run
from weighin.monitor.prometheus import exposition, push, write_textfile
from weighin.monitor.result import document
from weighin.outcome import Direction, Limit, Measurement, Unmeasured

AT_MOST = Limit(Direction.AT_MOST, 0.01, 0.01)
OK = document(run([(item(ERRORS, AT_MOST), measured(ERRORS, 0.004, 0.001))]))
TEXT = exposition(OK)


def samples(text: str) -> dict[tuple[str, ...], float]:
    """(name, label values but model and version ...) -> value, as Prometheus' own parser reads it."""
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            rest = {k: v for k, v in sample.labels.items() if k not in ("model", "version")}
            key = (sample.name.removeprefix("weighin_monitor_"), *rest.values())
            assert key not in found
            found[key] = sample.value
    return found


def test_each_metric_is_what_the_look_said() -> None:
    value, _ = notified()
    found = samples(exposition(value))
    assert found["last_run_timestamp_seconds",] == NOW.timestamp()
    assert found["last_run_duration_seconds",] == 1.34
    assert {k[1]: v for k, v in found.items() if k[0] == "state"} == {
        "ok": 0,
        "alert": 1,
        "inconclusive": 0,
        "no_data": 0,
    }
    ends = [found[f"check_{name}", ERRORS] for name in ("estimate", "low", "high", "limit")]
    assert ends == pytest.approx([0.004, 0.001, 0.007, 0.01])
    statuses = {k[2] for k, v in found.items() if k[:2] == ("check_status", AUC) and v == 1}
    assert statuses == {"inconclusive"}
    assert {k[1] for k, v in found.items() if k[0] == "alarm_open" and v == 1} == {DRIFT}
    assert found["alarm_open", AGE] == 0
    assert found["events_total",] == 8
    assert found["last_event_timestamp_seconds", "rollback"] == NOW.timestamp() - 1200 * 60
    assert found["last_event_timestamp_seconds", "alarm"] == NOW.timestamp() - 300 * 60
    assert 'version="4"' in exposition(value)


def test_what_was_not_measured_has_no_value_and_an_open_end_is_infinite() -> None:
    unbounded = Measurement(AUC, 0.7, -math.inf, math.inf, 0.99, 10, "", "m")
    nan = Measurement(DRIFT, math.nan, math.nan, math.nan, 0.99, 10, "", "m")
    evidence = [
        (item(ERRORS, AT_MOST), Unmeasured(ERRORS, "12 rows")),
        (item(AUC, AT_MOST), unbounded),
        (item(DRIFT, AT_MOST), nan),
    ]
    found = samples(exposition(document(run(evidence))))
    assert ("check_estimate", ERRORS) not in found
    assert found["check_status", ERRORS, "not_evaluated"] == 1
    assert (found["check_low", AUC], found["check_high", AUC]) == (-math.inf, math.inf)
    assert math.isnan(found["check_estimate", DRIFT])
    assert found["check_status", DRIFT, "not_evaluated"] == 1


def test_an_alarm_about_the_log_is_open_although_it_is_no_check() -> None:
    events = [event(1, "alarm", 30, checks=("monitor/log",), message="away")]
    value = document(run([(item(ERRORS, AT_MOST), Unmeasured(ERRORS, "away"))], events, away="refused"))
    found = samples(exposition(value))
    assert found["alarm_open", "monitor/log"] == 1
    assert found["alarm_open", ERRORS] == 0
    assert found["state", "no_data"] == 1


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", 'x"} 1\nweighin_monitor_alarm_open 1', "ä→😀"])
def test_names_of_strangers_stay_in_their_labels(name: str) -> None:
    check = f"monitor/last-1000/drift/{name}"
    evidence = [(item(check, AT_MOST), measured(check, 0.004, 0.001))]
    text = exposition(document(run(evidence, model=name, version=name)))
    plain = samples(TEXT)
    assert len(samples(text)) == len(plain)
    assert samples(text)["check_estimate", check] == 0.004
    families = list(text_string_to_metric_families(text))
    assert {s.labels.get("model") for f in families for s in f.samples} == {name}


def test_a_textfile_is_whole_at_every_moment(tmp_path: Path) -> None:
    place = tmp_path / "collector/weighin.prom"
    texts = {"a" * 400_000, "b" * 400_000}
    assert write_textfile(place, "a" * 400_000) == ""
    assert place.stat().st_mode & 0o777 == 0o644
    read: set[str] = set()
    stop = threading.Event()

    def reading() -> None:
        while not stop.is_set():
            read.add(place.read_text())

    reader = threading.Thread(target=reading)
    reader.start()
    try:
        for _ in range(30):
            for text in texts:
                assert write_textfile(place, text) == ""
    finally:
        stop.set()
        reader.join(10)
    assert read
    assert read <= texts
    assert os.listdir(place.parent) == ["weighin.prom"]


def test_a_textfile_that_cannot_be_written_is_said_and_the_old_one_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "the metrics were not written" in write_textfile(tmp_path / "file/weighin.prom", TEXT)
    folder = tmp_path / "weighin.prom"
    folder.mkdir()
    assert "the metrics were not written" in write_textfile(folder, TEXT)
    assert sorted(os.listdir(tmp_path)) == ["file", "weighin.prom"]


def test_a_push_replaces_the_metrics_of_its_job_and_signs_in_where_the_address_says() -> None:
    asked: list[Asked] = []
    with listening(lambda request: asked.append(request) or Answer(202)) as address:  # type: ignore[func-returns-value]
        assert push(address.replace("://", "://me:a%40b@") + "/prefix/", OK, "weighin/flight-delay") == ""
    assert (asked[0].method, asked[0].path) == ("PUT", "/prefix/metrics/job@base64/d2VpZ2hpbi9mbGlnaHQtZGVsYXk=")
    assert asked[0].headers["Authorization"] == "Basic bWU6YUBi"
    assert asked[0].body.decode() == TEXT


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host", "its address is not http://host or https://host"),
        ("gateway:9091", "its address is not http://host or https://host"),
        ("http://127.0.0.1:x", "nonnumeric port"),
        ("http://u:secret@127.0.0.1:1/", "ConnectionRefusedError"),
        ("", "its address is not"),
    ],
)
def test_an_address_that_does_not_work_is_said_without_its_password(url: str, message: str) -> None:
    answer = push(url, OK, "job")
    assert message in answer
    assert "secret" not in answer


def test_what_a_gateway_refuses_is_said() -> None:
    with listening(lambda _: Answer(400, b"pushed metrics are\x1b[31m inconsistent")) as address:
        message = push(address, OK, "job")
    assert "it answered 400: pushed metrics are [31m inconsistent" in message


def test_a_push_does_not_follow_to_another_place() -> None:
    with listening(lambda _: Answer(307, headers={"Location": "http://127.0.0.1:1/"})) as address:
        assert "it answered 307" in push(address, OK, "job")


@pytest.mark.parametrize("drip", [b"", b"H"])
def test_a_gateway_that_never_ends_its_answer_has_a_time_and_no_more(drip: bytes) -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)

        def slow() -> None:
            with server.accept()[0] as connection:
                while not stop.wait(0.05):
                    if drip:
                        connection.sendall(drip)

        thread = threading.Thread(target=slow)
        thread.start()
        started = time.monotonic()
        try:
            message = push(f"http://127.0.0.1:{server.getsockname()[1]}", OK, "job", 0.5)
        finally:
            took = time.monotonic() - started
            stop.set()
            thread.join(10)
    assert "0.5 s" in message or "TimeoutError" in message
    assert took < 3
