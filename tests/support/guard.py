"""A guard of what a test may start: a unit test nothing, and a test without a mark of `SYSTEM` only Python programs."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

PROCESSES = frozenset(
    {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec", "os.spawn"}
)
HEAVY = frozenset({"mlflow", "great_expectations", "evidently", "pyspark", "selenium"})
"""Packages that take seconds to import, and whose use opens a store, a context, a JVM or a browser."""
PROGRAMS = frozenset(
    {
        *("java", "spark-submit", "spark-class", "chromium", "chromedriver", "kubectl", "act", "node", "npm"),
        *("prometheus", "promtool", "prometheus-pushgateway"),
    }
)


class Guard:
    """Watches this process from when it is made on.

    unit         whether a unit test runs
    python_only  whether a test runs that `make test` has to be able to run with nothing but Python
    broken       what the test did that it may not, in sentences
    """

    def __init__(self) -> None:
        self.unit = self.python_only = False
        self.broken: list[str] = []
        sys.addaudithook(self._event)

    def _event(self, event: str, args: tuple[Any, ...]) -> None:
        if self.unit:
            if event in PROCESSES:
                self._forbid("a unit test starts a process: mark it `integration`, or do without")
            elif event == "socket.__new__" and args[1] in (socket.AF_INET, socket.AF_INET6):
                self._forbid("a unit test opens a network socket: mark it `integration`, or do without")
            elif event == "import" and args[0] in HEAVY:
                self._forbid(f"a unit test imports {args[0]}: mark it `integration`, or do without")
        if self.python_only and event == "subprocess.Popen" and (name := Path(str(args[0])).name) in PROGRAMS:
            self._forbid(f"a test starts {name}, which is no Python package: give it a mark (tests/support/needs.py)")

    def _forbid(self, sentence: str) -> None:
        self.broken.append(sentence)
        pytest.fail(sentence, pytrace=True)
