"""A guard that lets a unit test neither open a network socket nor start a process, nor load what does so."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest

PROCESSES = frozenset(
    {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec", "os.spawn"}
)
HEAVY = frozenset({"mlflow", "great_expectations", "evidently", "pyspark", "selenium"})
"""Packages that take seconds to import, and whose use opens a store, a context, a JVM or a browser."""


class Guard:
    """Watches this process from when it is made; forbids while `test` names a unit test."""

    def __init__(self) -> None:
        self.test = ""
        self.broken: list[str] = []
        sys.addaudithook(self._event)

    def _event(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.test:
            return
        if event in PROCESSES:
            self._forbid("starts a process")
        elif event == "socket.__new__" and args[1] in (socket.AF_INET, socket.AF_INET6):
            self._forbid("opens a network socket")
        elif event == "import" and args[0] in HEAVY:
            self._forbid(f"imports {args[0]}")

    def _forbid(self, what: str) -> None:
        self.broken.append(what)
        pytest.fail(f"a unit test {what}: mark it `integration`, or do without", pytrace=True)
