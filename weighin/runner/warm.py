"""The side of `weighin validate` that asks the warm process for forks. Standard library only.

The warm process (weighin/cli/warm.py) imports once what the steps share. Each step is then a fork of it: a process of
its own, with a session, a log and an end of its own. Where there is no warm process, or it ends, a step is started as
an ordinary process instead, which gives the same evidence later.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

MESSAGE_BYTES = 2**20
START_SECONDS = 120.0
"""The longest that is waited for a fork, or for the imports to end."""


class Process(Protocol):
    """What a fork and a `subprocess.Popen` have in common."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; nothing while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, once there is one. Errors: `subprocess.TimeoutExpired`."""


class Forked:
    """A fork of the warm process."""

    def __init__(self) -> None:
        self.pid = 0
        self.code: int | None = None
        self.begun, self.ended = threading.Event(), threading.Event()

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; nothing while it runs."""
        return self.code if self.ended.is_set() else None

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, once there is one. Errors: `subprocess.TimeoutExpired`."""
        if not self.ended.wait(timeout):
            raise subprocess.TimeoutExpired("fork", timeout or 0.0)
        assert self.code is not None
        return self.code


class Warm:
    """A warm process that imports, or has imported."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        self._process, self._channel = process, channel
        self._forks: list[Forked] = []
        self._lock = threading.Lock()
        self._idle, self._gone = threading.Event(), threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def fork(self, arguments: Sequence[str], needs: str, cwd: Path, log: Path) -> Forked | None:
        """Run `weighin ARGUMENTS` in a fork; nothing where the warm process cannot do that.

        needs  the last group of imports that the fork is to find done
        log    file that takes what it prints; an error that it ends with is beside it, see `error_of`
        """
        fork = Forked()
        with self._lock:
            number = len(self._forks)
            self._forks.append(fork)
        asked = {"id": number, "arguments": list(arguments), "needs": needs, "cwd": str(cwd), "log": str(log)}
        try:
            self._channel.send(json.dumps(asked).encode())
        except OSError:
            return None
        while not fork.begun.wait(0.1):
            if self._gone.is_set():
                return fork if fork.begun.is_set() else None
        return fork if fork.pid else None

    def rest(self) -> None:
        """Wait until it imports nothing any more: what is measured afterwards has the machine to itself."""
        for _ in range(int(START_SECONDS * 10)):
            if self._gone.is_set() or self._idle.wait(0.1):
                return

    def end(self) -> None:
        """End it, and what it forked."""
        for fork in self._forks:
            if fork.pid and not fork.ended.is_set():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(fork.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        self._process.kill()
        self._process.wait(timeout=5)
        self._channel.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, IndexError, TypeError):
            while message := self._channel.recv(MESSAGE_BYTES):
                said: dict[str, Any] = json.loads(message)
                if "idle" in said:
                    self._idle.set()
                    continue
                fork = self._forks[said["id"]]
                if "pid" in said:
                    fork.pid = int(said["pid"])
                    fork.begun.set()
                else:
                    fork.code = int(said["code"])
                    fork.ended.set()
        self._gone.set()
        for fork in self._forks:
            # Of what became of it nothing is known: that is no end that counts as good.
            fork.code = -1 if fork.code is None else fork.code
            fork.ended.set()


@contextlib.contextmanager
def warm(groups: Sequence[str], environment: Mapping[str, str]) -> Iterator[Warm | None]:
    """Yield a warm process for the block; nothing where forks are not safe.

    groups  what is imported, in this order: names of `weighin.cli.warm.GROUPS`
    """
    if sys.platform != "linux":
        # macOS has a fork, and its system libraries do not survive it.
        yield None
        return
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # -I: nothing of the current folder, of variables or of the user's own packages; -B: -I ignores the variable for it.
    command = [sys.executable, "-I", "-B", "-m", "weighin.cli.warm", str(its.fileno()), *groups]
    with its:
        process = subprocess.Popen(
            command,
            pass_fds=[its.fileno()],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    held = Warm(process, ours)
    try:
        yield held
    finally:
        held.end()


def error_of(log: Path) -> dict[str, str] | None:
    """Return the error with which a fork ended: `fact`, `place` and `remedy`; nothing where it left none."""
    try:
        found = json.loads(Path(f"{os.fspath(log)}.error").read_bytes())
        return {key: str(found[key]) for key in ("fact", "place", "remedy")}
    except (OSError, ValueError, KeyError, TypeError):
        return None
