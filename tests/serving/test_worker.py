"""A worker that is told to end answers every connection that it accepted; plain uvicorn, asked the same, does not."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from weighin.serving.identity import Message, Receive, Send
from weighin.serving.worker import CLOSED, READY, ClosingAnswers, DrainingServer

PROGRAM = Path(__file__).resolve().parents[1] / "support/draining_server.py"
SECONDS = 60.0


class Served:
    """A server of `draining_server.py` on a socket of this process."""

    def __init__(self, folder: Path, kind: str, loop: str, grace: float) -> None:
        self.state = folder
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), kind, loop, str(self.listening.fileno()), str(folder), str(grace)],
            pass_fds=[self.listening.fileno()],
            stderr=self.log,
        )
        self._connections: list[socket.socket] = []
        # It accepts. A connection that is left open would keep it for the five seconds that uvicorn gives an idle one.
        first = self.connection()
        self.ask(first)
        first.close()

    def connection(self) -> socket.socket:
        """A connection of a client."""
        made = socket.create_connection(self.listening.getsockname(), timeout=SECONDS)
        self._connections.append(made)
        return made

    def ask(self, connection: socket.socket, path: str = "/") -> str:
        """Send a request; returns the answer with its headers, in small letters."""
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return answer(connection)

    def terminate(self) -> None:
        """Tell it to end, and wait until it has noticed."""
        self.process.send_signal(signal.SIGTERM)
        until(lambda: (self.state / CLOSED).exists())

    def end(self) -> None:
        for one in (self.listening, self.log, *self._connections):
            one.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(SECONDS)


def answer(connection: socket.socket) -> str:
    """One answer with its headers, in small letters; nothing where the connection ended before."""
    text = b""
    while b"\r\n\r\n" not in text:
        part = connection.recv(4096)
        if not part:
            return text.decode().lower()
        text += part
    length = int(text.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(text.partition(b"\r\n\r\n")[2]) < length:
        part = connection.recv(4096)
        if not part:
            raise ConnectionResetError("half an answer")
        text += part
    return text.decode().lower()


def until(condition) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(params=["asyncio", "uvloop"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    found = Served(tmp_path, "ours", request.param, 20.0)
    yield found
    found.end()


def test_a_connection_accepted_before_the_end_is_answered_when_its_request_comes_after(server: Served) -> None:
    fresh = [server.connection() for _ in range(20)]
    server.terminate()
    time.sleep(0.5)
    for connection in fresh:
        assert answer_of(server, connection) == "close"
        assert connection.recv(1) == b""
    assert server.process.wait(SECONDS) == -signal.SIGTERM
    assert (server.state / "application-ended").exists()


def answer_of(server: Served, connection: socket.socket) -> str:
    """What the answer to a request says about its connection."""
    text = server.ask(connection)
    assert text.startswith("http/1.1 200"), text
    assert text.endswith(str(server.process.pid))
    return "close" if "\r\nconnection: close\r\n" in text else "kept"


def test_a_kept_connection_has_its_next_answer_and_is_closed_with_it(server: Served) -> None:
    kept = server.connection()
    assert answer_of(server, kept) == "kept"
    server.terminate()
    time.sleep(0.5)
    assert answer_of(server, kept) == "close"
    assert kept.recv(1) == b""
    assert server.process.wait(SECONDS) == -signal.SIGTERM


def test_an_answer_that_is_being_made_says_that_the_connection_ends(server: Served) -> None:
    connection = server.connection()
    connection.sendall(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.3)
    server.terminate()
    assert "\r\nconnection: close\r\n" in answer(connection)


def test_a_request_of_which_half_had_come_is_answered(server: Served) -> None:
    connection = server.connection()
    connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
    time.sleep(0.3)
    server.terminate()
    connection.sendall(b"cd")
    assert answer(connection).endswith(str(server.process.pid))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_waits_in_the_queue_when_the_worker_leaves_it_is_answered(tmp_path: Path, loop: str) -> None:
    async def application(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    answers = ClosingAnswers(application)
    config = uvicorn.Config(answers, loop=loop, lifespan="off", log_level="warning", timeout_graceful_shutdown=1)

    async def leave() -> list[str]:
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        # The loop does not run meanwhile: the kernel alone has accepted these.
        waiting = [socket.create_connection(address, timeout=SECONDS) for _ in range(10)]
        leaving = asyncio.create_task(server.shutdown())
        # Longer than what uvicorn's own shutdown waits for.
        await asyncio.sleep(1.6)
        assert not leaving.done(), "the process would end now"
        texts = [await asyncio.to_thread(request_body, connection) for connection in waiting]
        await leaving
        return texts

    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        address = listening.getsockname()
        server = DrainingServer(config, listening, answers, tmp_path)
        config.load()
        factory = config.get_loop_factory()
        assert factory is not None
        with asyncio.Runner(loop_factory=factory) as runner:
            texts = runner.run(leave())
    assert [text.partition("\r\n")[0] for text in texts] == ["http/1.1 200 ok"] * 10
    assert all("\r\nconnection: close\r\n" in text for text in texts)


def request_body(connection: socket.socket) -> str:
    """The answer to a request; the connection is closed."""
    with connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        return answer(connection)


def test_a_connection_that_comes_later_belongs_to_the_next_worker(server: Served, tmp_path: Path) -> None:
    kept = server.connection()
    server.terminate()
    late = server.connection()  # in the queue of the socket, which this process holds open
    late.settimeout(0.5)
    with pytest.raises(TimeoutError):
        server.ask(late)
    assert answer_of(server, kept) == "close"
    assert server.process.wait(SECONDS) == -signal.SIGTERM
    assert (server.state / "log").read_text() == "", "it still watches the socket"


def test_an_idle_connection_keeps_a_leaving_server_no_longer_than_the_grace_period(tmp_path: Path) -> None:
    server = Served(tmp_path, "ours", "asyncio", 1.0)
    try:
        silent = server.connection()
        server.terminate()
        began = time.monotonic()
        assert silent.recv(1) == b""
        assert 0.5 < time.monotonic() - began < 30
        assert server.process.wait(SECONDS) == -signal.SIGTERM
    finally:
        server.end()


def test_an_answer_that_never_comes_does_not_keep_it_either(tmp_path: Path) -> None:
    server = Served(tmp_path, "ours", "asyncio", 0.5)
    try:
        connection = server.connection()
        connection.sendall(b"GET /900 HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.3)
        server.terminate()
        assert server.process.wait(SECONDS) == -signal.SIGTERM
    finally:
        server.end()


def test_a_worker_starts_without_the_contract_also_where_it_logs() -> None:
    code = "import sys, weighin.serving.worker, weighin.serving.scoring, weighin.serving.logged as _; "
    code += "print([m for m in sys.modules if m.startswith('weighin.contract')])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert ran.stdout == "[]\n"


def test_a_worker_whose_parent_was_killed_ends(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [sys.executable, str(PROGRAM), "ours", "asyncio", str(listening.fileno()), str(tmp_path), "5"]
        code = "import subprocess, sys, time; worker = subprocess.Popen(sys.argv[1:], close_fds=False); "
        code += "print(worker.pid, flush=True); time.sleep(900)"
        os.set_inheritable(listening.fileno(), True)
        parent = subprocess.Popen(
            [sys.executable, "-c", code, *command], pass_fds=[listening.fileno()], stdout=subprocess.PIPE, text=True
        )
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        until(lambda: (tmp_path / READY).exists())
        parent.kill()
        parent.wait(SECONDS)
        parent.stdout.close()
        until(lambda: (tmp_path / "application-ended").exists())
        until(lambda: not running(worker))


def running(process: int) -> bool:
    """Whether a process runs: a zombie that nobody has waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("used", [False, True], ids=["fresh connection", "kept connection"])
def test_plain_uvicorn_closes_such_a_connection_unanswered(tmp_path: Path, used: bool) -> None:
    """Where this fails, uvicorn has changed, and our server may be more than is needed."""
    server = Served(tmp_path, "plain", "asyncio", 0)
    try:
        connection = server.connection()
        if used:
            assert answer_of(server, connection) == "kept"
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        assert connection.recv(1) == b""
    finally:
        server.end()
