"""Processes that are forked from one that has loaded everything and opened nothing, so that a trial costs little."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 120


class Child:
    """A process that will call a function, once it is told to start."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, log: Path | None = None) -> None:
        go_read, self._go = os.pipe()
        self._answer, answer = os.pipe()
        self.status: int | None = None
        self.pid = os.fork()
        if self.pid:
            os.close(go_read)
            os.close(answer)
            return
        os.close(self._go)
        os.close(self._answer)
        code = 1
        try:
            said = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(said, 1)
            os.dup2(said, 2)
            ready, _, _ = select.select([go_read], [], [], SECONDS)
            if ready and os.read(go_read, 1):
                try:
                    value: tuple[bool, Any] = True, function(*arguments)
                except Exception as error:  # noqa: BLE001 - raised again by whoever asks for the result
                    # The causes stay here: not all of them can be pickled.
                    error.__cause__ = error.__context__ = None
                    error.add_note("".join(traceback.format_exception(error)))
                    value = False, error
                with open(answer, "wb", closefd=False) as file:
                    pickle.dump(value, file)
                code = 0
        finally:
            os._exit(code)

    def start(self) -> Child:
        os.write(self._go, b"g")
        os.close(self._go)
        return self

    def result(self, seconds: float = SECONDS) -> Any:
        """What the function returned, or raised. Errors: `ChildProcessError` for a process that was killed."""
        data, until = b"", time.monotonic() + seconds
        try:
            while True:
                ready, _, _ = select.select([self._answer], [], [], max(0.0, until - time.monotonic()))
                if not ready:
                    os.kill(self.pid, signal.SIGKILL)
                    raise TimeoutError(f"nothing after {seconds:g} s")
                part = os.read(self._answer, 65536)
                if not part:
                    break
                data += part
        finally:
            os.close(self._answer)
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if not data:
            raise ChildProcessError(f"ended with {self.status}")
        good, value = pickle.loads(data)  # noqa: S301 - from ourselves
        if good:
            return value
        raise value

    def was_killed(self, seconds: float = SECONDS) -> bool:
        """Whether SIGKILL ended it before it had an answer. Raises what it raised."""
        with contextlib.suppress(ChildProcessError):
            self.result(seconds)
        return self.status == -signal.SIGKILL


def in_child(function: Callable[..., Any], *arguments: Any, seconds: float = SECONDS) -> Any:
    """Call it in a process of its own."""
    return Child(function, *arguments).start().result(seconds)
