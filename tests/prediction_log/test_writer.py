"""The writer of the prediction log never slows, fails or fills the server; what can be stored is stored."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

from support.postgres_server import postgres
from weighin.errors import NotEvaluated
from weighin.prediction_log.exchange import Exchange, Served, mlflow_features, mlflow_predictions, read
from weighin.prediction_log.reader import Log
from weighin.prediction_log.sinks import Sink, SinkError, Unstorable, sink_for
from weighin.prediction_log.tables import LogTables
from weighin.prediction_log.writer import LogWriter, State
from weighin.runner.plan import Answers

BASE = LogTables.sketch(["a", "b"])


def exchange(request: str, a: object = 1.5, *, at: float | None = None, **given: object) -> Exchange:
    own = {
        "at": time.time() if at is None else at,
        "request": request,
        "served": Served("m", "sha256:d", "3"),
        "status": 200,
        "latency_ms": 1.0,
        "request_body": b'{"dataframe_split": {"columns": ["a", "b"], "data": [[%s, 2]]}}' % str(a).encode(),
        "content_type": "application/json",
        "response_body": b'{"predictions": [[0.75, 0.25]]}',
        "whole": True,
        "features": mlflow_features,
        "predictions": mlflow_predictions,
    }
    return Exchange(**{**own, **given})  # type: ignore[arg-type]


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.02)


class Trial(Sink):
    """A place that is told how to behave."""

    def __init__(self, tables: LogTables = BASE) -> None:
        super().__init__(tables)
        self.away = False
        self.rows: list[dict[str, object]] = []
        self.refuses: set[str] = set()
        self.waits = threading.Event()
        self.waits.set()

    def write(self, table: str, rows: pa.Table) -> None:
        self.waits.wait(30)
        if self.away:
            raise SinkError("it is away: postgres://user:the-secret@host/db", "the trial")
        if self.refuses & set(rows["request"].to_pylist()):
            raise Unstorable("no such rows", "the trial")
        self.rows += rows.to_pylist()

    def retain(self, since: datetime) -> int:
        return 0

    def close(self) -> None:
        pass


@contextlib.contextmanager
def writing(sink: Sink, **given: object) -> Iterator[LogWriter]:
    writer = LogWriter(sink, **{"batch_seconds": 0.05, **given})  # type: ignore[arg-type]
    try:
        yield writer
    finally:
        writer.close(1)


def test_what_is_offered_is_stored_in_batches() -> None:
    sink = Trial()
    with writing(sink, batch_rows=10, batch_seconds=60) as writer:
        for number in range(25):
            assert writer.enqueue(exchange(f"r{number}"))
        until(lambda: writer.state.stored == 20)
    assert [r["request"] for r in sink.rows] == [f"r{n}" for n in range(25)]
    assert writer.state == State(stored=25)


def test_beyond_the_bound_requests_are_counted_and_nobody_waits() -> None:
    sink = Trial()
    sink.waits.clear()
    with writing(sink, requests_at_most=50) as writer:
        assert writer.enqueue(exchange("first"))
        until(lambda: writer.state.waiting == 0)
        time.sleep(0.1)
        began = time.perf_counter()
        taken = sum(writer.enqueue(exchange(f"r{n}")) for n in range(10_000))
        assert time.perf_counter() - began < 2
        assert taken == 50
        assert (writer.state.waiting, writer.state.dropped) == (50, 9_950)
        sink.waits.set()
        until(lambda: writer.state.stored == 51)
        assert writer.enqueue(exchange("later"))
    assert sink.rows[-1]["request"] == "later"


def test_large_requests_are_bounded_by_their_bytes() -> None:
    sink = Trial()
    sink.waits.clear()
    with writing(sink, bytes_at_most=2**20) as writer:
        assert writer.enqueue(exchange("first"))
        until(lambda: writer.state.waiting == 0)
        time.sleep(0.1)
        taken = sum(writer.enqueue(exchange(f"r{n}", request_body=bytes(100_000))) for n in range(100))
        assert taken == 10
        sink.waits.set()


def test_a_log_that_comes_back_gets_what_waited(caplog: pytest.LogCaptureFixture) -> None:
    sink = Trial()
    sink.away = True
    with writing(sink, requests_at_most=5) as writer, caplog.at_level(logging.WARNING, "weighin.log"):
        writer.enqueue(exchange("first"))
        until(lambda: writer.state.failures > 0)
        for number in range(20):
            writer.enqueue(exchange(f"r{number}"))
        sink.away = False
        until(lambda: writer.state.stored == 6)
        assert writer.state.dropped == 15
        assert writer.state.error == ""
    assert [r["request"] for r in sink.rows] == ["first", *(f"r{n}" for n in range(5))]
    said = [r.getMessage() for r in caplog.records]
    # One when it began, one at the end: not one for every request.
    assert 1 <= len(said) <= 2
    assert "predictions are answered all the same" in said[0]
    assert "the-secret" not in caplog.text


def test_rows_that_are_refused_do_not_take_others_with_them() -> None:
    sink = Trial()
    sink.refuses = {"r7", "r13"}
    with writing(sink, batch_rows=20, batch_seconds=60) as writer:
        for number in range(20):
            writer.enqueue(exchange(f"r{number}"))
        until(lambda: writer.state.refused == 2)
    assert len(sink.rows) == 18
    assert writer.state.stored == 18


def test_closing_takes_no_longer_than_it_is_told() -> None:
    sink = Trial()
    sink.away = True
    writer = LogWriter(sink, batch_rows=1)
    for number in range(30):
        writer.enqueue(exchange(f"r{number}"))
    began = time.monotonic()
    state = writer.close(1)
    assert time.monotonic() - began < 3
    assert state.dropped == 30
    assert not writer.enqueue(exchange("late"))


def test_nothing_that_was_asked_or_answered_breaks_the_writer() -> None:
    sink = Trial()
    strange = [
        {"request_body": b"\xff\x00"},
        {"request_body": b"[" * 100_000},
        {"request_body": b"[]"},
        {"request_body": b'{"dataframe_split": {"columns": ["a"], "data": [[1], [2]]}}'},
        {"response_body": b""},
        {"response_body": b'{"predictions": "words"}'},
        {"response_body": b"[" * 100_000},
        {"content_type": "application/octet-stream"},
        {"whole": False},
        {"at": 1e20},
        {"features": lambda *_: 1 / 0},
    ]
    with writing(sink, batch_seconds=0.01) as writer:
        for number, given in enumerate(strange):
            writer.enqueue(exchange(f"r{number}", **given))
        writer.enqueue(exchange("last"))
        until(lambda: bool(sink.rows) and sink.rows[-1]["request"] == "last")
    assert writer.state.unread >= len(strange) - 1


def test_older_rows_are_removed_by_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Trial()
    request_body: list[datetime] = []

    def retain(since: datetime) -> int:
        request_body.append(since)
        raise SinkError("permission denied", "the trial")

    monkeypatch.setattr(sink, "retain", retain)
    with writing(sink) as writer:
        writer._retain_at = 0
        writer.enqueue(exchange("r"))
        until(lambda: bool(request_body))
        writer.enqueue(exchange("later"))
        until(lambda: writer.state.stored == 2)
    assert abs(datetime.now(UTC) - timedelta(days=90) - request_body[0]) < timedelta(minutes=1)
    assert len(request_body) == 1


def test_a_fork_has_a_thread_of_its_own(tmp_path: Path) -> None:
    tables = replace(BASE, path=str(tmp_path / "log"))
    with writing(sink_for(tables)) as writer:
        writer.enqueue(exchange("parent"))
        until(lambda: writer.state.stored == 1)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                writer.enqueue(exchange("child"))
                writer.close(5)
                status = 0
            finally:
                os._exit(status)  # an error must not go on into a second pytest
        assert os.waitpid(child, 0)[1] == 0
    found = Log(tables).last_rows(5, datetime.now(UTC)).rows["request"].to_pylist()
    assert sorted(found) == ["child", "parent"]


# --- what a row says


def only(given: Exchange, tables: LogTables = BASE) -> dict[str, object]:
    found = read(given, tables)
    assert found.rows == 1
    return {name: values[0] for name, values in found.columns.items()}


def test_a_failed_request_has_one_row_without_features() -> None:
    row = only(exchange("r", status=500, response_body=b"oops"))
    assert (row["status"], row["f_a"], row["prediction"]) == (500, None, None)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json; charset=utf-8", b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}'),
        ("application/json", b'{"dataframe_records": [{"a": 1, "b": 2}]}'),
        ("application/json", b'{"instances": [{"a": 1, "b": 2}]}'),
        ("application/json", b'{"inputs": {"a": [1], "b": [2]}}'),
        ("text/csv", b"a,b\n1,2\n"),
    ],
)
def test_every_form_in_which_mlflow_is_asked(kind: str, body: bytes) -> None:
    row = only(exchange("r", request_body=body, content_type=kind))
    assert (row["f_a"], row["f_b"], row["prediction"]) == (1.0, 2.0, 0.25)


def test_values_of_another_type_are_missing_and_counted() -> None:
    found = read(exchange("r", a='"words"'), BASE)
    assert (found.columns["f_a"], found.columns["f_b"], found.problems_with) == ([None], [2.0], 1)


def test_several_classes_have_a_column_each() -> None:
    tables = LogTables.sketch(["a"], answers=Answers((0, 1), "probabilities"))
    row = only(exchange("r"), tables)
    assert (row["prediction_0"], row["prediction_1"]) == (0.75, 0.25)


def test_text_that_a_database_does_not_take_is_made_harmless() -> None:
    tables = LogTables.sketch(["a", "b"], kind="string")
    row = only(exchange("r", a=r'"nul \u0000, half \ud800"'), tables)
    assert row["f_a"] == "nul \ufffd, half ?"
    assert only(exchange("r", a='"' + "x" * 5000 + '"'), tables)["f_a"] is None


def test_names_that_a_database_would_cut_or_mix_up_stay_apart() -> None:
    tables = LogTables.sketch(["a", "A", "x" * 80, "x" * 81])
    assert len({c.lower() for c in tables.columns.values()}) == 4
    assert max(len(c.encode()) for c in tables.columns.values()) <= 63


# --- real places


@pytest.mark.parametrize("name", ["log", "log.sqlite"])
def test_a_folder_that_cannot_be_written_is_tried_again(tmp_path: Path, name: str) -> None:
    tables = replace(BASE, path=str(tmp_path / "place" / name))
    (tmp_path / "place").write_text("a file where a folder should be")
    with writing(sink_for(tables)) as writer:
        writer.enqueue(exchange("r"))
        until(lambda: writer.state.failures > 0)
        (tmp_path / "place").unlink()
        until(lambda: writer.state.stored == 1)


@pytest.mark.parametrize("name", ["log", "log.sqlite"])
def test_older_rows_are_removed(tmp_path: Path, name: str) -> None:
    tables = replace(BASE, path=str(tmp_path / name))
    sink, now = sink_for(tables), datetime.now(UTC)
    with writing(sink) as writer:
        for days in (200, 100, 80, 0):
            writer.enqueue(exchange(f"r{days}", at=(now - timedelta(days=days)).timestamp()))
        until(lambda: writer.state.stored == 4)
    assert sink.retain(now - timedelta(days=90)) == 2
    sink.close()
    assert Log(tables).last_rows(9, now).rows["request"].to_pylist() == ["r80", "r0"]


def test_several_servers_write_one_sqlite_file(tmp_path: Path) -> None:
    tables = replace(BASE, path=str(tmp_path / "log.sqlite"))
    writers = [LogWriter(sink_for(tables), batch_rows=7, batch_seconds=0.01) for _ in range(4)]
    for number in range(400):
        writers[number % 4].enqueue(exchange(f"r{number}"))
    states = [writer.close(20) for writer in writers]
    assert sum(s.stored for s in states) == 400
    with sqlite3.connect(tables.place) as connection:
        assert connection.execute("SELECT count(DISTINCT request) FROM weighin_predictions").fetchone() == (400,)
    connection.close()


def test_a_contract_with_a_new_feature_adds_its_column(tmp_path: Path) -> None:
    tables = replace(BASE, path=str(tmp_path / "log.sqlite"))
    wider = replace(tables, features=(*tables.features, ("c", "float")))
    for number, shape in enumerate((tables, wider)):
        with writing(sink_for(shape)) as writer:
            writer.enqueue(exchange(f"r{number}"))
            until(lambda: writer.state.stored == 1)
    assert Log(wider).last_rows(5, datetime.now(UTC)).rows["f_c"].to_pylist() == [None, None]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as address:
        yield address


@pytest.fixture
def database(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    monkeypatch.setenv("TEST_LOG", server)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO PUBLIC")
        yield connection


IN_POSTGRES = replace(BASE, path=None, connection="TEST_LOG")


def test_postgres_goes_away_and_comes_back(database: psycopg.Connection) -> None:
    with writing(sink_for(IN_POSTGRES), requests_at_most=20) as writer:
        writer.enqueue(exchange("before"))
        until(lambda: writer.state.stored == 1)
        # Nobody may come in, and who is in is thrown out.
        database.execute("CREATE DATABASE elsewhere")
        os.environ["TEST_LOG"] = os.environ["TEST_LOG"].replace("127.0.0.1:", "127.0.0.1:9")
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for number in range(60):
            writer.enqueue(exchange(f"r{number}"))
            time.sleep(0.005)
        until(lambda: writer.state.failures > 0 and writer.state.dropped > 0)
        dropped = writer.state.dropped
        os.environ["TEST_LOG"] = os.environ["TEST_LOG"].replace("127.0.0.1:9", "127.0.0.1:")
        until(lambda: writer.state.stored == 61 - dropped)
        writer.enqueue(exchange("after"))
        until(lambda: writer.state.stored == 62 - dropped)
    found = database.execute("SELECT request FROM weighin_predictions ORDER BY at").fetchall()
    assert (found[0], found[-1]) == (("before",), ("after",))
    assert len(found) == len(set(found)) == 62 - dropped
    database.execute("DROP DATABASE elsewhere")


def test_a_user_that_may_only_insert_is_enough(
    database: psycopg.Connection, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(sink_for(IN_POSTGRES)) as owner:
        owner.write(BASE.predictions, BASE.schema.empty_table())
    database.execute("DROP ROLE IF EXISTS server; CREATE ROLE server LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    database.execute("GRANT INSERT ON weighin_predictions, weighin_labels TO server")
    monkeypatch.setenv("TEST_LOG", server.replace("weighin@", "server@"))
    wider = replace(IN_POSTGRES, features=(*BASE.features, ("c", "float")))
    with writing(sink_for(wider)) as writer:
        writer.enqueue(exchange("r"))
        until(lambda: writer.state.stored == 1)
        assert "f_c" in writer.state.error
    with pytest.raises(SinkError, match="permission denied"), contextlib.closing(sink_for(wider)) as sink:
        sink.retain(datetime.now(UTC))
    assert database.execute("SELECT f_a, f_b FROM weighin_predictions").fetchall() == [(1.5, 2.0)]


def test_postgres_is_swept_and_indexed(database: psycopg.Connection) -> None:
    now = datetime.now(UTC)
    with writing(sink_for(IN_POSTGRES)) as writer:
        for days in (200, 100, 80, 0):
            writer.enqueue(exchange(f"r{days}", at=(now - timedelta(days=days)).timestamp()))
        until(lambda: writer.state.stored == 4)
    with contextlib.closing(sink_for(IN_POSTGRES)) as sink:
        assert sink.retain(now - timedelta(days=90)) == 2
    names = {row[0] for row in database.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")}
    assert names == {
        "weighin_predictions_at",
        "weighin_predictions_version_at",
        "weighin_predictions_request",
        "weighin_labels_at",
        "weighin_labels_request",
    }


def test_two_servers_that_start_at_once_make_one_table(database: psycopg.Connection) -> None:
    writers = [LogWriter(sink_for(IN_POSTGRES), batch_rows=1) for _ in range(6)]
    for number, writer in enumerate(writers):
        writer.enqueue(exchange(f"r{number}"))
    states = [writer.close(20) for writer in writers]
    assert [(s.stored, s.failures) for s in states] == [(1, 0)] * 6


def test_where_nothing_writes_is_said_before_it_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_LOG", raising=False)
    with pytest.raises(NotEvaluated, match="the environment has no TEST_LOG"):
        sink_for(IN_POSTGRES)
    monkeypatch.setenv("TEST_LOG", "mysql://user:the-secret@host/db")
    with pytest.raises(NotEvaluated, match="nothing here writes to mysql") as raised:
        sink_for(IN_POSTGRES)
    assert "the-secret" not in str(raised.value)
