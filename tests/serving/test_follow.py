"""The process that changes workers: it waits for none that leaves, keeps few of them, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[1] / "support/tiny_follower.py"
SECONDS = 60.0


class Follower:
    """A process of tiny_follower.py; its workers' folders are in `folder`."""

    def __init__(self, folder: Path, worker: str, grace: float = 20, leave: float = 40) -> None:
        self.folder = folder
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), worker, str(grace), str(leave)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "TMPDIR": str(folder)},
            )
        self._open: list[socket.socket] = []
        self.address: tuple[str, int] = ("127.0.0.1", 0)

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def start(self) -> str:
        """The first line, once it serves."""
        line = self.line()
        self.address = ("127.0.0.1", int(line.split()[0].rpartition(":")[2]))
        return line

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def connection(self) -> socket.socket:
        made = socket.create_connection(self.address, timeout=SECONDS)
        self._open.append(made)
        return made

    def ask(self, connection: socket.socket) -> tuple[str, bool]:
        """The number of the process that answers, and whether it keeps the connection."""
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        text = b""
        while b"\r\n\r\n" not in text or text.endswith(b"\r\n\r\n"):
            part = connection.recv(4096)
            assert part, "no answer"
            text += part
        return text.rpartition(b"\r\n")[2].decode(), b"connection: close" not in text.lower()

    def folders(self) -> int:
        return len(list(self.folder.glob("weighin-serve-*")))

    def end(self, code: int = 0) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(SECONDS) == code
        assert self.folders() == 0

    def clean(self) -> None:
        for one in self._open:
            one.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def follower(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Follower]:
    found = Follower(tmp_path, *getattr(request, "param", ("draining",)))
    yield found
    found.clean()


def within(seconds: float, condition) -> bool:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_reload_does_not_wait_for_the_connections_of_the_old_worker(follower: Follower) -> None:
    assert "serves version 1 sha256:tiny" in follower.start()
    kept, fresh = follower.connection(), follower.connection()
    first, stays = follower.ask(kept)
    assert stays
    follower.reload()
    assert follower.line() == "serves version 2 sha256:tiny\n"
    # The line is there, so a new connection reaches the new worker; both of the old one are still answered by it.
    new = follower.connection()
    second, stays = follower.ask(new)
    assert stays
    assert second != first
    assert follower.ask(kept) == (first, False)
    assert follower.ask(fresh) == (first, False)
    assert within(SECONDS, lambda: follower.folders() == 1), "the old worker's files are left"
    new.close()  # idle it would keep its worker for five seconds
    follower.end()


def test_a_further_reload_waits_until_one_worker_has_left(follower: Follower) -> None:
    follower.start()
    silent = []
    for version in (2, 3):
        silent.append(follower.connection())
        time.sleep(0.5)  # until the worker of now has accepted it
        follower.reload()
        assert follower.line().startswith(f"serves version {version} ")
    follower.reload()
    assert not within(1.5, lambda: follower.folders() > 3), "a third worker leaves"
    silent[0].close()
    assert follower.line().startswith("serves version 4 ")
    silent[1].close()
    follower.end()


@pytest.mark.parametrize("follower", [("deaf", 1, 0.4)], indirect=True)
def test_a_worker_that_does_not_leave_is_killed(follower: Follower) -> None:
    assert "serves version 1" in follower.start()
    follower.reload()
    assert "serves version 2" in follower.line()
    follower.end()
    assert follower.log.read_text().count("did not end, killed") == 2


@pytest.mark.parametrize("follower", [("slow", 1, 1)], indirect=True)
def test_it_ends_at_once_while_a_worker_loads(follower: Follower) -> None:
    assert within(SECONDS, lambda: follower.folders() == 1)
    began = time.monotonic()
    follower.end()
    assert time.monotonic() - began < 30, "LOAD_SECONDS are 120"


def test_a_worker_that_dies_ends_it_with_code_3(follower: Follower) -> None:
    follower.start()
    worker, _ = follower.ask(follower.connection())
    os.kill(int(worker), signal.SIGKILL)
    assert follower.process.wait(SECONDS) == 3
    assert follower.folders() == 0
    assert "the worker ended with code -9" in follower.log.read_text()


def test_the_end_of_all_serving_answers_what_is_connected_and_refuses_the_rest(follower: Follower) -> None:
    follower.start()
    fresh = follower.connection()
    time.sleep(0.5)
    follower.process.send_signal(signal.SIGTERM)
    assert within(SECONDS, lambda: refused(follower.address))
    worker, stays = follower.ask(fresh)
    assert (worker.isdigit(), stays) == (True, False)
    assert follower.process.wait(SECONDS) == 0
    assert follower.folders() == 0


def refused(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=SECONDS).close()
    except ConnectionRefusedError:
        return True
    return False
