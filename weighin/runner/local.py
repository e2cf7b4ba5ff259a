"""Steps as processes of the local environment: for models that you trust. Same commands as in the containers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from weighin.runner.plan import Plan
from weighin.runner.problem import last_line, note_problem

WEIGHIN = (sys.executable, "-m", "weighin")


def predict(work: Path) -> None:
    """Let every role's model predict. What goes wrong is noted for the suites, which then say `not_evaluated`."""
    plan = Plan.read(work / "plan.json")

    def predict_role(role: str) -> None:
        out = work / "predictions" / role
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        arguments = ["predict", "--model", str((work / "models" / role).resolve()), "--out", str(out.resolve())]
        arguments += ["--features", str((work / "features").resolve()), *plan.predict_arguments()]
        with _scratch() as folder:
            problem = _run(arguments, folder, plan.predict_seconds)
        note_problem(out, problem)

    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(predict_role, plan.roles))


def load(work: Path) -> None:
    """Serve the candidate, send the load, record the server's peak memory."""
    plan = Plan.read(work / "plan.json")
    out = work / "load"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if plan.load is None:
        note_problem(out, "the contract has no load gate")
        return
    port = _free_port()
    model = str((work / "models/candidate").resolve())
    with _scratch() as folder, _group([*WEIGHIN, "serve", "--model", model, "--port", str(port)], folder) as server:
        memory = PeakMemory(server.pid)
        arguments = ["load", "--work", str(work.resolve()), "--url", f"http://127.0.0.1:{port}"]
        problem = _run(arguments, folder, plan.load.most_seconds + 60)
        peak = memory.stop()
    note_problem(out, problem)
    (out / "server.json").write_text(json.dumps({"peak_memory_mb": peak}))


def judge(suite: str, contract: Path, work: Path, out: Path) -> int:
    """Run one suite in a process of its own; returns pytest's exit code."""
    arguments = ["judge", suite, "--contract", str(contract), "--work", str(work), "--out", str(out)]
    done = subprocess.run(
        [*WEIGHIN, *arguments], check=False, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    # In one piece: suites run side by side.
    sys.stderr.write(done.stdout.decode("utf-8", "replace"))
    return done.returncode


class PeakMemory:
    """Largest resident memory of a process and its children, looked at ten times a second, in MB."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            total = 0
            for process in self._family():
                with contextlib.suppress(psutil.Error):
                    total += process.memory_info().rss
            self._peak = max(self._peak, total)

    def _family(self) -> list[psutil.Process]:
        try:
            return [self._process, *self._process.children(recursive=True)]
        except psutil.Error:
            return []

    def stop(self) -> float:
        """The peak so far, in 2**20 bytes."""
        self._done.set()
        self._thread.join(timeout=2)
        return round(self._peak / 2**20, 1)


def _environment() -> dict[str, str]:
    return {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GX_ANALYTICS_ENABLED": "false"}


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextlib.contextmanager
def _group(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own, which is ended with all its children."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=_environment()
        )
    try:
        yield process
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)


def _run(arguments: list[str], folder: Path, seconds: float) -> str:
    """Run `weighin ...`; what went wrong in a sentence, or nothing."""
    started = time.monotonic()
    with _group([*WEIGHIN, *arguments], folder) as process:
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return f"`weighin {arguments[0]}` was stopped after {time.monotonic() - started:.0f} s without an end"
    if code == 0:
        return ""
    return f"`weighin {arguments[0]}` ended with code {code}: {last_line((folder / 'log').read_bytes())}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
