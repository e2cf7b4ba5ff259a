"""People are told once for one trouble, in words that do nothing, and no secret is in them."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
from typing import Any

import pytest

from support.loopback import Answer, Asked, listening
from weighin.contract.monitor import Alert, Retrain
from weighin.github.client import TOKENS
from weighin.monitor.notify import MOMENT, RETRAIN, SIGNATURE, News, ask_to_train, tell

NEWS = News("flight-delay/3/a", "flight-delay version 3: <!channel> broke", ("drift/<b>@team: 0.4", "x"), {"n": 1})


def test_slack_gets_text_that_mentions_nobody() -> None:
    asked: list[Asked] = []
    with listening(lambda request: asked.append(request) or Answer()) as address:
        alert = Alert(to="slack", address="CHAT")
        assert tell([alert], NEWS, {"CHAT": f"{address}/hook/secret"}) == []
    message = json.loads(asked[0].body)["text"]
    assert message.startswith("*flight-delay version 3: &lt;!channel&gt; broke*\n")
    assert "<" not in message


def test_teams_gets_runs_of_text_in_which_nothing_is_markup() -> None:
    asked: list[Asked] = []
    news = News("k", "**bold** [a](http://b) <at>all</at>\n# x", ("line",), {})
    with listening(lambda request: asked.append(request) or Answer(202)) as address:
        assert tell([Alert(to="teams", address="CHAT")], news, {"CHAT": f"{address}/secret"}) == []
    (attached,) = json.loads(asked[0].body)["attachments"]
    assert attached["contentType"] == "application/vnd.microsoft.card.adaptive"
    blocks = attached["content"]["body"]
    # A TextBlock would take it for Markdown; a run of text is text.
    assert {b["type"] for b in blocks} == {"RichTextBlock"}
    runs = [run for b in blocks for run in b["inlines"]]
    assert {r["type"] for r in runs} == {"TextRun"}
    assert [r["text"] for r in runs] == ["**bold** [a](http://b) <at>all</at> # x", "line"]


@pytest.mark.parametrize(
    ("state", "action", "severity"),
    [
        ("needs_human", "trigger", "critical"),
        ("alarm", "trigger", "error"),
        ("rollback", "trigger", "error"),
        ("signal", "trigger", "warning"),
        ("recovered", "resolve", None),
        ("verified", "resolve", None),
    ],
)
def test_pagerduty_has_one_incident_for_one_trouble(state: str, action: str, severity: str | None) -> None:
    asked: list[Asked] = []
    with listening(lambda request: asked.append(request) or Answer(202)) as address:
        alert = Alert(to="pagerduty", secret="KEY", address="HOOK")
        given = {"KEY": "a-secret", "HOOK": address}
        for title in ("first", "again"):
            assert tell([alert], News("flight-delay/3/a", title, ("x",), {"state": state}), given) == []
    first, again = (json.loads(each.body) for each in asked)
    assert first["dedup_key"] == again["dedup_key"]
    assert (first["routing_key"], first["event_action"]) == ("a-secret", action)
    assert first.get("payload", {}).get("severity") == severity


def test_a_generic_webhook_is_signed_over_time_and_body() -> None:
    asked: list[Asked] = []
    with listening(lambda request: asked.append(request) or Answer()) as address:
        alert = Alert(to="webhook", address="HOOK", secret="KEY")
        assert tell([alert], NEWS, {"HOOK": address, "KEY": "a-secret"}) == []
    headers = {name.lower(): value for name, value in asked[0].headers.items()}
    over = headers[MOMENT].encode() + b"." + asked[0].body
    assert headers[SIGNATURE] == "sha256=" + hmac.new(b"a-secret", over, hashlib.sha256).hexdigest()
    assert json.loads(asked[0].body)["key"] == NEWS.key
    assert b"a-secret" not in asked[0].body


class Issues:
    """Open issues, as GitHub's documentation of these calls shows them."""

    def __init__(self) -> None:
        self.open: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []

    def answer(self, request: Asked) -> Answer:
        body = json.loads(request.body) if request.body else {}
        if request.path.endswith("/dispatches"):
            self.events.append(body)
            return Answer(204, b"null")
        if request.method == "GET":
            assert "state=open&labels=weighin-monitor" in request.path
            return Answer(200, json.dumps(self.open).encode())
        if request.method == "POST":
            url = f"https://github.com/o/r/issues/{len(self.open) + 1}"
            self.open.append({"number": len(self.open) + 1, "html_url": url, **body})
            return Answer(201, json.dumps(self.open[-1]).encode())
        found = self.open[int(request.path.rpartition("/")[2]) - 1]
        found |= body
        return Answer(200, json.dumps(found).encode())


def test_an_issue_is_kept_up_to_date_and_not_repeated() -> None:
    github = Issues()
    with listening(github.answer) as address:
        environment = {"GITHUB_API_URL": address, TOKENS[0]: "a-secret"}
        alerts = [Alert(to="github", repository="o/r")]
        assert tell(alerts, NEWS, environment) == []
        again = News(NEWS.key, NEWS.title, ("worse",), {})
        assert tell(alerts, again, environment) == []
        assert tell(alerts, News("another", "t", ("y",), {}), environment) == []
    assert [i["labels"] for i in github.open] == [["weighin-monitor"]] * 2
    assert "- worse" in github.open[0]["body"]
    assert "0.4" not in github.open[0]["body"]


def test_what_does_not_arrive_is_said_without_addresses_and_stops_nothing() -> None:
    alerts = [
        Alert(to="slack", address="CHAT"),
        Alert(to="slack", address="UNSET"),
        Alert(to="slack", address="PLAIN"),
        Alert(to="webhook", address="CHAT", secret="KEY"),
        Alert(to="github", repository="o/r"),
    ]
    environment = {
        "CHAT": "http://127.0.0.1:9/hook/a-secret", "PLAIN": "http://example.org/a-secret", "KEY": "a-secret",
        "GITHUB_API_URL": "http://127.0.0.1:9", TOKENS[0]: "a-secret",
    }  # fmt: skip
    message = tell(alerts, NEWS, environment)
    assert [s.partition(" (")[0] for s in message] == [
        f"the alert to {to} did not arrive" for to in ("slack", "slack", "slack", "webhook", "github")
    ]
    assert "UNSET is not set" in message[1]
    assert "not https" in message[2]
    assert "a-secret" not in "".join(message)


def test_a_training_is_asked_for_with_what_it_should_know() -> None:
    github = Issues()
    with listening(github.answer) as address:
        environment = {"GITHUB_API_URL": address, TOKENS[0]: "a-secret"}
        assert ask_to_train(Retrain(repository="o/r"), {"model": "m", "version": "3"}, environment) == ""
    assert github.events == [{"event_type": RETRAIN, "client_payload": {"model": "m", "version": "3"}}]
    gone = {"GITHUB_API_URL": "http://127.0.0.1:9", TOKENS[0]: "a-secret"}
    assert "did not arrive" in ask_to_train(Retrain(repository="o/r"), {}, gone)


@pytest.mark.parametrize(
    "given",
    [
        {"to": "slack"},
        {"to": "slack", "address": "A", "secret": "B"},
        {"to": "webhook", "address": "A"},
        {"to": "github", "address": "A"},
        {"to": "slack", "address": "https://hooks.example.org/secret"},
    ],
)
def test_an_alert_is_complete_and_holds_no_secret(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"needs|pattern"):
        Alert.model_validate(given)


def test_what_answers_in_no_language_of_ours_stops_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"220 mail.example.org ESMTP\r\n")

        thread = threading.Thread(target=speak, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        failed = tell([Alert(to="slack", address="CHAT")], NEWS, {"CHAT": address})
        thread.join(10)
    assert failed == ["the alert to slack did not arrive (BadStatusLine)"]
