"""The middleware passes on what it sees, byte for byte, and the client never notices that it logs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from weighin.prediction_log.exchange import Exchange, Served
from weighin.prediction_log.reader import Log
from weighin.prediction_log.sinks import sink_for
from weighin.prediction_log.tables import LogTables
from weighin.prediction_log.writer import LogWriter
from weighin.runner.plan import Answers
from weighin.serving import scoring
from weighin.serving.logged import HEADER, Logged

SERVED = Served("m", "sha256:d", "3")
BODY = b'{"dataframe_split": {"columns": ["a"], "data": [[1]]}}'
ANSWER = b'{"predictions": [0.5]}'


class Offered(LogWriter):
    """Keeps what it is offered."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.closed = False

    def enqueue(self, exchange: Exchange) -> bool:
        self.exchanges.append(exchange)
        return True

    def close(self, seconds: float = 4) -> Any:
        self.closed = True


def request_body(
    app: Any, *parts: bytes, headers: tuple[tuple[bytes, bytes], ...] = (), path: str = "/invocations"
) -> list[dict[str, Any]]:
    """What the application sends."""
    waiting = [
        {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}
        for number, part in enumerate(parts)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [(b"content-type", b"application/json"), *headers],
    }
    asyncio.run(app(scope, receive, send))
    return sent


def answering(
    *parts: bytes, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = (), fails: int | None = None
) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for number, part in enumerate(parts):
            if number == fails:
                raise RuntimeError("the model broke")
            await send({"type": "http.response.body", "body": part, "more_body": number < len(parts) - 1})

    return app


def test_an_exchange_is_offered_after_the_answer() -> None:
    writer = Offered()
    sent = request_body(Logged(answering(ANSWER[:5], ANSWER[5:]), writer, SERVED), BODY[:7], BODY[7:])
    assert b"".join(m.get("body", b"") for m in sent) == ANSWER
    (found,) = writer.exchanges
    assert (found.request_body, found.response_body, found.whole, found.status) == (BODY, ANSWER, True, 200)
    assert found.latency_ms > 0
    assert dict(sent[0]["headers"])[HEADER] == found.request.encode()
    assert len(found.request) == 32


@pytest.mark.parametrize(
    ("given", "kept"),
    [(b"order-77:a.B", True), (b"x" * 129, False), (b"a b", False), (b"jane@example.org", False), (b"", False)],
)
def test_a_request_keeps_its_own_id_where_that_is_one(given: bytes, *, kept: bool) -> None:
    writer = Offered()
    request_body(Logged(answering(ANSWER), writer, SERVED), BODY, headers=((b"x-request-id", given),))
    assert (writer.exchanges[0].request == given.decode()) == kept


UNIT = b"x-weighin-unit"


@pytest.mark.parametrize(
    ("headers", "unit"),
    [
        (((UNIT, b"u-7:a.B"),), "u-7:a.B"),
        (((UNIT, b"x" * 128),), "x" * 128),
        ((), None),
        (((UNIT, b""),), None),
        (((UNIT, b"x" * 129),), None),
        (((UNIT, b"jane@example.org"),), None),
        (((UNIT, b"Jane Doe"),), None),
        (((UNIT, b"J\xc3\xb6rg"),), None),
        (((UNIT, b"u1"), (UNIT, b"u2")), None),
        (((b"x-other-unit", b"u1"),), None),
    ],
)
def test_a_request_names_its_unit_where_that_is_a_pseudonym(headers: Any, unit: str | None) -> None:
    writer = Offered()
    request_body(Logged(answering(ANSWER), writer, SERVED, unit_header="x-weighin-unit"), BODY, headers=headers)
    assert writer.exchanges[0].unit == unit


def test_without_an_experiment_no_unit_is_kept() -> None:
    writer = Offered()
    request_body(Logged(answering(ANSWER), writer, SERVED), BODY, headers=((UNIT, b"u1"), (b"", b"u2")))
    assert writer.exchanges[0].unit is None


def test_the_applications_own_id_is_taken() -> None:
    writer = Offered()
    sent = request_body(Logged(answering(ANSWER, headers=((b"X-Request-Id", b"own-1"),)), writer, SERVED), BODY)
    assert (writer.exchanges[0].request, sent[0]["headers"]) == ("own-1", [(b"X-Request-Id", b"own-1")])


def test_large_bodies_pass_and_are_not_kept() -> None:
    writer = Offered()
    large = [bytes(1000)] * 50
    sent = request_body(Logged(answering(*large), writer, SERVED, body_bytes=10_000), *large)
    assert sum(len(m.get("body", b"")) for m in sent) == 50_000
    (found,) = writer.exchanges
    assert (found.whole, found.request_body, found.response_body) == (False, b"", b"")


@pytest.mark.parametrize("fails", [0, 1])
def test_an_application_that_breaks_is_logged_as_failed(fails: int) -> None:
    writer = Offered()
    with pytest.raises(RuntimeError, match="the model broke"):
        request_body(Logged(answering(b"a", b"b", fails=fails), writer, SERVED), BODY)
    assert [e.status for e in writer.exchanges] == [500]


def test_what_is_compressed_is_not_read() -> None:
    writer = Offered()
    request_body(Logged(answering(b"...", headers=((b"content-encoding", b"gzip"),)), writer, SERVED), BODY)
    assert not writer.exchanges[0].whole


def test_other_paths_are_left_alone() -> None:
    writer = Offered()
    sent = request_body(Logged(answering(ANSWER), writer, SERVED), BODY, path="/ping")
    assert (writer.exchanges, sent[0]["headers"]) == ([], [])


def test_a_server_that_ends_stores_what_waits() -> None:
    writer = Offered()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})
        assert not writer.closed
        await send({"type": "lifespan.shutdown.complete"})

    async def nothing(*_: Any) -> Any:
        return {}

    asyncio.run(Logged(app, writer, SERVED)({"type": "lifespan"}, nothing, nothing))
    assert writer.closed


@pytest.fixture
def tables(tmp_path: Path) -> LogTables:
    return replace(
        LogTables.sketch(["age", "city"], answers=Answers((0,))),
        path=str(tmp_path / "log"),
        features=(("age", "float"), ("city", "string")),
    )


@pytest.mark.parametrize("header", ["x-weighin-unit", ""])
def test_the_unit_stands_in_every_row_of_a_log_with_a_test(tables: LogTables, header: str) -> None:
    tables = replace(tables, unit_header=header)
    writer = LogWriter(sink_for(tables), batch_seconds=0.05)
    body = b'{"dataframe_split": {"columns": ["age"], "data": [[1], [2]]}}'
    answer = b'{"predictions": [[0.5, 0.5], [0.4, 0.6]]}'
    app = Logged(answering(answer), writer, SERVED, unit_header=tables.unit_header)
    request_body(app, body, headers=((UNIT, b"u1"), (b"x-request-id", b"r1")))
    writer.close()
    rows = Log(tables).last_rows(9, datetime.now(UTC)).rows
    assert rows["request"].to_pylist() == ["r1", "r1"]
    assert (rows["unit"].to_pylist() if header else "unit" in rows.column_names) == (["u1", "u1"] if header else False)


def test_our_own_server_reads_the_header_that_the_log_names(tables: LogTables, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = replace(tables, unit_header="x-user")
    monkeypatch.setenv("WEIGHIN_SERVE_LOG", tables.to_json())
    monkeypatch.setenv("WEIGHIN_SERVE_ROLE", "canary")
    app = scoring._logged(answering(b'{"predictions": [[0.5, 0.5]]}'), "sha256:d", "8")
    request_body(app, BODY, headers=((b"x-user", b"u1"),))
    assert isinstance(app, Logged)
    app._writer.close()
    (row,) = Log(tables).last_rows(9, datetime.now(UTC), role="canary").rows.to_pylist()
    assert (row["unit"], row["version"], row["role"]) == ("u1", "8", "canary")


def test_any_server_logs_with_two_functions(tables: LogTables) -> None:
    """As docs/reference/prediction-log.md shows it."""
    writer = LogWriter(sink_for(tables))

    def features(body: bytes, content_type: str) -> dict[str, list[Any]]:
        people = json.loads(body)["people"]
        return {"age": [p["age"] for p in people], "city": [p["city"] for p in people]}

    def predictions(body: bytes, answers: Answers) -> list[list[float]]:
        return [[score] for score in json.loads(body)["scores"]]

    app = answering(b'{"scores": [0.25, 0.75]}')
    app = Logged(app, writer, SERVED, path="/score", features=features, predictions=predictions)
    request_body(app, b'{"people": [{"age": 30, "city": "Ulm"}, {"age": 41.5, "city": null}]}', path="/score")
    writer.close()
    rows = Log(tables).last_rows(9, datetime.now(UTC)).rows.to_pylist()
    assert [(r["row"], r["f_age"], r["f_city"], r["prediction"]) for r in rows] == [
        (0, 30.0, "Ulm", 0.25),
        (1, 41.5, None, 0.75),
    ]
