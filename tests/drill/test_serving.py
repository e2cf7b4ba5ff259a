"""The proxy before the real server: what passes, and what goes wrong on the way."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from weighin.drill.inputs import NotApplicable
from weighin.drill.serving import behind
from weighin.runner.plan import Answers, Interface, LoadPlan, Phase, Plan, Session

SERVER = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.say(200, {})
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            rows = json.loads(body)["rows"]
        except ValueError:
            return self.say(400, {})
        self.say(200, {"predictions": [r / 10 for r in rows]})
    def say(self, status, value):
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
    def log_message(self, *args):
        pass

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
LOAD = LoadPlan((Phase("load", 1, 1),), "poisson", (1,), 3, 1, 1500, 90, Interface(), 300, 0.9, 50)
PLAN = Plan(("load",), ("candidate",), Answers(), 10, 100, replace(LOAD, sessions=(Session("candidate", 0, ()),)))


@contextlib.contextmanager
def proxied(kind: str, size: float, model: str = "") -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = ["--port", str(port), "--kind", kind, "--size", str(size), "--model", model]
    command = [sys.executable, "-m", "weighin.drill.proxy", *own, "--", sys.executable, "-c", SERVER, "{inner}"]
    process = subprocess.Popen(command)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if sent(url, "GET")[0] == 200:
                    break
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def ask(url: str, rows: list[int]) -> list[float]:
    found: list[float] = json.loads(sent(url, "POST", json.dumps({"rows": rows}).encode())[1])["predictions"]
    return found


def status(url: str, body: bytes) -> int:
    return sent(url, "POST", body)[0]


def sent(url: str, method: str, body: bytes = b"") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, "/invocations" if body else "/ping", body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_without_a_fault_answers_and_refusals_pass_as_they_are() -> None:
    with proxied("none", 1.0) as url:
        assert ask(url, [1, 4]) == [0.1, 0.4]
        assert status(url, b"{broken") == 400


def test_wrong_answers_have_the_right_form_and_a_champion_is_left_alone() -> None:
    with proxied("wrong", 1.0) as url:
        assert ask(url, [1, 4]) == [0.9, 0.6]
    with proxied("wrong", 1.0, "/work/models/champion") as url:
        assert ask(url, [1, 4]) == [0.1, 0.4]


def test_a_cached_answer_is_that_to_an_earlier_request_of_as_many_rows() -> None:
    with proxied("cached", 1.0) as url:
        assert ask(url, [1, 4]) == [0.1, 0.4]
        assert ask(url, [2]) == [0.2]
        assert ask(url, [7, 8]) == [0.1, 0.4]


def test_errors_and_a_model_that_is_loaded_at_the_first_request() -> None:
    with proxied("errors", 1.0) as url:
        assert status(url, b'{"rows": [1]}') == 500
    with proxied("late-load", 1.0) as url:
        started = time.monotonic()
        assert ask(url, [1]) == [0.1]
        first = time.monotonic()
        ask(url, [2])
        assert first - started > 0.9
        assert time.monotonic() - first < 0.9


def test_the_plan_starts_the_real_server_behind_the_proxy() -> None:
    load = behind(PLAN, "slow", 0.3).load
    assert load is not None
    proxy, _, real = " ".join(load.command).partition(" -- ")
    assert "weighin.drill.proxy --port {port} --model {model} --kind slow --size 0.3" in proxy
    assert real.endswith("weighin step serve --model {model} --port {inner}")
    own = behind(replace(PLAN, load=replace(LOAD, command=("serve", "{port}"))), "slow", 0.3).load
    assert own is not None
    assert own.command[-2:] == ("serve", "{inner}")


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (None, "no load gate"),
        (replace(LOAD, url="http://x"), "elsewhere"),
        (replace(LOAD, image="x"), "elsewhere"),
        (replace(LOAD, interface=Interface(form="chat", stream=True)), "passes answers on as a whole"),
    ],
)
def test_where_no_proxy_can_stand_the_fault_is_not_applicable(load: LoadPlan | None, said: str) -> None:
    with pytest.raises(NotApplicable, match=said):
        behind(replace(PLAN, load=load), "slow", 0.3)


def test_numbers_are_not_changed_in_texts() -> None:
    texts = replace(PLAN, load=LOAD, answers=Answers((0,), "text"))
    assert behind(texts, "errors", 0.3).load is not None
    with pytest.raises(NotApplicable, match="answers texts"):
        behind(texts, "wrong", 0.3)
