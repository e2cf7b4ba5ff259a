"""A program for tests: `follow` over a registry in memory whose versions are 1, 2, 3 ..., with tiny workers.

python tiny_follower.py WORKER GRACE LEAVE_SECONDS, where WORKER is `draining` (draining_server.py), `deaf` (it ignores
SIGTERM) or `slow` (it is never ready).
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from weighin.serving import follow as module

SERVER = Path(__file__).with_name("draining_server.py")
DEAF = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1], "ready").touch()
time.sleep(900)
"""


class Registry:
    """It has whatever version is asked for."""

    uri = "memory"

    def resolve(self, _uri: str, folder: Path) -> Any:
        folder.mkdir(parents=True)
        return SimpleNamespace(digest="sha256:tiny")


class Champion:
    """The next version is champion whenever somebody looks."""

    model, registry = "tiny", Registry()
    looks = 0

    def reconcile(self, *, look_only: bool) -> tuple[None, str]:
        assert look_only
        self.looks += 1
        return None, str(self.looks)


def program(descriptor: int, state: Path) -> list[str]:
    worker, grace = sys.argv[1:3]
    if worker == "draining":
        return [sys.executable, str(SERVER), "ours", "asyncio", str(descriptor), str(state), grace]
    return [sys.executable, "-c", DEAF if worker == "deaf" else "import time; time.sleep(900)", str(state)]


if __name__ == "__main__":
    module._program = program
    module.LEAVE_SECONDS = float(sys.argv[3])
    sys.exit(module.follow(Champion(), "127.0.0.1", 0))  # type: ignore[arg-type]
