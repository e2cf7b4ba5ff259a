"""`weighin slack` as a process: a signed command over HTTP, a real registry, and the dispatched workflow."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support import registry_versions, slack
from support.empty_store import empty_store
from support.loopback import Answer, Asked, listening
from support.registry_versions import NAME
from support.served_app import served
from support.watched_model import Watched
from weighin.cli import main
from weighin.slash_command import app

SECRET = "a-secret"
ANN = "U00000ANN"
SLASH = {"allowed": [ANN], "repository": "team/model"}
MONITOR = {
    "log": {"path": "log"},
    "watch": [{"error_rate_at_most": 0.1, "window": {"rows": 1000}}],
    "slash_command": SLASH,
}


@dataclass
class Chat:
    """A server, and what GitHub was sent."""

    address: str
    asked: list[Asked] = field(default_factory=list)

    def post(self, body: bytes, headers: dict[str, str], path: str = "/slack/commands") -> tuple[int, dict[str, str]]:
        request = urllib.request.Request(self.address + path, body, headers, method="POST")  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def say(self, text: str, user: str = ANN) -> dict[str, str]:
        body = urllib.parse.urlencode({"user_id": user, "command": "/weighin", "text": text}).encode()
        status, answer = self.post(body, slack.headers(body, time.time(), SECRET))
        assert status == 200
        return answer


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    folder = tmp_path_factory.mktemp("chat")
    uri = empty_store(folder)
    os.environ["MLFLOW_TRACKING_URI"] = uri
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    client.create_registered_model(NAME)
    for number in (1, 2, 3):
        model = folder / f"model-{number}"
        model.mkdir()
        (model / "MLmodel").write_text(f"version: {number}")
        client.create_model_version(NAME, str(model))
    client.set_registered_model_alias(NAME, "champion", "1")
    for version in ("2", "3"):
        registry_versions.promoted(uri, version, folder, NAME)
    contract = Watched.make(uri, folder, MONITOR).contract
    found = Chat("")
    with listening(lambda request: found.asked.append(request) or Answer(204)) as github:
        own = {"WEIGHIN_SLACK_SIGNING_SECRET": SECRET, "WEIGHIN_GITHUB_TOKEN": "token", "GITHUB_API_URL": github}
        command = [sys.executable, "-m", "weighin", "slack", "--contract", str(contract), "--port", "0"]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env={**os.environ, **own}, text=True)
        try:
            assert server.stdout is not None
            found.address = server.stdout.readline().strip()
            yield found
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=30)
        # What is logged of refused requests holds nothing of them.
        said = (folder / "log").read_text()
        assert "refused: replayed" in said
        assert "OWNED" not in said
        assert SECRET not in said


def test_a_rollback_goes_from_the_chat_to_the_workflow(chat: Chat) -> None:
    assert "version 3 is champion" in chat.say("status")["text"]
    assert chat.say("history")["response_type"] == "ephemeral"
    planned = chat.say("rollback errors doubled")
    code = re.search(r"`confirm (\w+)`", planned["text"])
    assert code, planned
    assert chat.asked == []
    done = chat.say(f"confirm {code[1]}")
    assert done["response_type"] == "in_channel"
    (sent,) = chat.asked
    assert sent.path == "/repos/team/model/actions/workflows/rollback.yml/dispatches"
    inputs = {"version": "2", "from": "3", "owner": f"Slack {ANN}", "reason": "errors doubled"}
    assert json.loads(sent.body)["inputs"] == inputs
    assert sent.headers["Authorization"] == "Bearer token"
    chat.asked.clear()


def test_what_is_unsigned_stale_or_replayed_learns_nothing(chat: Chat) -> None:
    body = urllib.parse.urlencode({"user_id": ANN, "text": "rollback OWNED"}).encode()
    now = time.time()
    assert chat.post(body, {}) == (401, {})
    assert chat.post(body, slack.headers(body, now, "another")) == (401, {})
    assert chat.post(body, slack.headers(body, now - 400, SECRET)) == (401, {})
    assert chat.post(body + b"x", slack.headers(body, now, SECRET)) == (401, {})
    signed = slack.headers(body, now, SECRET)
    assert chat.post(body, signed)[0] == 200
    assert chat.post(body, signed) == (401, {})
    large = b"user_id=" + b"x" * 20_000
    assert chat.post(large, slack.headers(large, now, SECRET)) == (401, {})
    assert chat.asked == []


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"user_id=U00000ANN", f"user_id={ANN}&user_id={ANN}&text=status".encode()]
)
def test_a_form_that_names_nobody_is_a_stranger(chat: Chat, body: bytes) -> None:
    status, answer = chat.post(body, slack.headers(body, time.time() + 1, SECRET))
    assert status == 200
    assert "You are not among those" in answer["text"]


def test_there_is_nothing_else(chat: Chat) -> None:
    body = b"user_id=U"
    assert chat.post(body, slack.headers(body, time.time() + 2, SECRET), "/slack/other")[0] == 404
    with urllib.request.urlopen(f"{chat.address}/alive", timeout=20) as answer:  # noqa: S310 - loopback
        assert answer.read() == b"{}"


def test_a_client_that_sends_no_body_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    # In this process, and after less than the five seconds of a real one.
    monkeypatch.setattr(app, "BODY_SECONDS", 0.3)
    # Without a body nobody's signature is looked at, and no command is given.
    nobody: Any = None
    with (
        served(app.SlashCommandApp(nobody, nobody)) as address,
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=20) as connection,
    ):
        connection.sendall(b"POST /slack/commands HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nuser")
        assert connection.recv(1000).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(
    ("monitor", "environment", "says"),
    [
        ({"slash_command": None}, {}, "no `monitor.slash_command`"),
        ({}, {}, "WEIGHIN_SLACK_SIGNING_SECRET"),
        ({}, {"WEIGHIN_SLACK_SIGNING_SECRET": SECRET}, "WEIGHIN_GITHUB_TOKEN"),
    ],
)
def test_without_what_it_needs_it_does_not_start(
    monitor: dict[str, object],
    environment: dict[str, str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("WEIGHIN_SLACK_SIGNING_SECRET", "WEIGHIN_GITHUB_TOKEN", "GITHUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    given = {k: v for k, v in {**MONITOR, **monitor}.items() if v is not None}
    contract = Watched.make("sqlite:///x", tmp_path, given).contract
    assert main(["slack", "--contract", str(contract), "--port", "0"]) == 4
    assert says in capsys.readouterr().err
