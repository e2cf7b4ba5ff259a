"""The warm process: it imports once what the steps of `weighin validate` share, and runs each as a fork of itself.

    python -I -B -m weighin.cli.warm DESCRIPTOR GROUP ...

It is asked and answers over a socket that nobody but its parent holds, and ends when the parent closes it. It reads no
file of a repository, loads no model and judges nothing: its forks do. A fork gets the modules, and nothing that another
fork has read.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from weighin.cli import environment, main
from weighin.errors import WeighinError
from weighin.runner import forked
from weighin.untrusted import JsonDict

MESSAGE_BYTES = 2**20
GROUPS = {
    "judge": (
        *("pytest", "pandas", "pyarrow.dataset", "weighin.cli.steps"),
        *("weighin.resolve.models", "weighin.verdict.judge"),
        *("weighin.suites.plugin", "weighin.report.html"),
    ),
    "models": (
        *("weighin.model.predict:prepare", "weighin.data.engines.duckdb", "ibis.backends.duckdb"),
        *("mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store"),
    ),
    "data_quality": ("weighin.suites.data_quality", "great_expectations"),
    "performance": ("weighin.suites.performance", "weighin.suites.mlflow_evaluation", "matplotlib.pyplot", "PIL.Image"),
    "drift": (
        *("weighin.suites.drift", "weighin.suites.evidently_report", "evidently", "evidently.metrics"),
        "evidently.legacy.calculations.stattests.registry",
    ),
    "explainability": ("weighin.suites.explainability",),
    "load": ("weighin.suites.load",),
    "shadow": ("weighin.suites.shadow",),
    "sealed": ("weighin.suites.sealed",),
}
"""What is imported for a step or a suite; after a colon a function that imports it."""


class WarmProcess:
    """The forks that run, and the requests that wait for an import."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.running: dict[int, int] = {}
        self.waiting: list[dict[str, Any]] = []
        self.done: set[str] = set()
        self.all_done = False

    def serve(self, seconds: float | None) -> bool:
        """Take the requests that are there, or come within so many seconds; False when the parent is gone."""
        while select.select([self.channel], [], [], seconds)[0]:
            message = self.channel.recv(MESSAGE_BYTES)
            if not message:
                return False
            self.waiting.append(json.loads(message))
            seconds = 0
        for request in [r for r in self.waiting if self.all_done or r["needs"] in self.done]:
            self.waiting.remove(request)
            self.begin(request)
        return True

    def begin(self, request: JsonDict) -> None:
        """Fork for a request, and say the number of the process; 0 where it cannot be begun."""
        try:
            log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError:
            self.say({"id": request["id"], "pid": 0})
            return
        # A fork that ends at once is reported after its number.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        try:
            pid = forked.fork(lambda: self._step(request, blocked), log, session=True)
            self.running[pid] = request["id"]
            self.say({"id": request["id"], "pid": pid})
        finally:
            os.close(log)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _step(self, request: JsonDict, mask: set[Any]) -> int:
        """Return what a fork does: one command of `weighin`."""
        self.channel.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.chdir(request["cwd"])

        def leave(error: WeighinError) -> None:
            parts = {"fact": error.fact, "place": error.place, "remedy": error.remedy}
            Path(f"{request['log']}.error").write_text(json.dumps(parts))

        sys.argv = ["weighin", *request["arguments"]]
        return main(request["arguments"], leave)

    def reap(self, *_: object) -> None:
        """Report the forks that have ended."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                if pid in self.running:
                    self.say({"id": self.running.pop(pid), "code": os.waitstatus_to_exitcode(status)})

    def say(self, value: JsonDict) -> None:
        """Tell the parent; where it is gone, its end is noticed elsewhere."""
        with contextlib.suppress(OSError):
            self.channel.send(json.dumps(value).encode())

    def end(self) -> None:
        """End what still runs."""
        for pid in list(self.running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def bring_in(name: str) -> None:
    """Import a module, or call the function of a module that imports more."""
    module, _, function = name.partition(":")
    found = import_module(module)
    if function:
        getattr(found, function)()


def warm_up(process: WarmProcess, groups: list[str], take: Callable[[str], None] = bring_in) -> bool:
    """Import group after group; between two of them, begin what only needs what is there. False to end."""
    gc.disable()  # A collection during imports finds nothing and costs a quarter of their time.
    for group in groups:
        for name in GROUPS[group]:
            take(name)
        if threading.active_count() > 1:
            # Something that was imported started a thread: a fork would lose it, and may wait for it for ever.
            return False
        gc.freeze()
        process.done.add(group)
        if not process.serve(0):
            return False
    process.all_done = True
    process.say({"idle": True})
    return process.serve(0)


def run(descriptor: int, groups: list[str]) -> int:
    """Import, then fork for every request until the parent closes the socket."""
    environment()
    os.environ.setdefault("MPLBACKEND", "Agg")
    forked.MAY_FORK = True
    with socket.socket(fileno=descriptor) as channel:
        os.set_inheritable(channel.fileno(), False)
        process = WarmProcess(channel)
        signal.signal(signal.SIGCHLD, process.reap)
        try:
            if warm_up(process, groups):
                while process.serve(None):
                    pass
        finally:
            process.end()
    return 0


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]), sys.argv[2:]))
