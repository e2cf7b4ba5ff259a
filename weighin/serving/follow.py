"""Serve the champion, and at a signal the champion of then, through one listening socket that is never closed.

The socket belongs to this process; a worker process inherits it and loads one model. At SIGHUP the champion is looked
up anew, a second worker loads it, and when it is ready the first one answers what it has begun and ends. A model that
cannot be loaded leaves the old one serving, and the proof of a rollback (`weighin.deploy`) then says so.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from weighin.data.prediction_log import LogTables
from weighin.errors import RegistryError, WeighinError
from weighin.registry.champion import Titles
from weighin.runner.isolated import isolated
from weighin.serving.scoring import LOG, MODEL, READY, VERSION

SECRETS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "WEIGHIN_SIGNING_KEY")
"""What the process that loads a model is not given. The address of the prediction log it needs, and has."""
LOAD_SECONDS = 120.0
GRACE_SECONDS = 10


@dataclass
class Worker:
    """A process that serves one version."""

    process: subprocess.Popen[bytes]
    version: str
    digest: str
    folder: Path

    def end(self) -> None:
        """Let it answer what it has begun, and no more."""
        self.process.terminate()
        try:
            self.process.wait(GRACE_SECONDS + 5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def follow(titles: Titles, host: str, port: int, pid_file: Path | None = None, log: LogTables | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns 0, or 3 when the worker ended by itself.

    port      0 lets the system choose; the address is printed on the first line
    pid_file  gets the number of this process, to which SIGHUP is sent
    log       where predictions are logged
    Errors: `WeighinError` when the champion of the start cannot be served.
    """
    asked: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)
    with socket.create_server((host, port), backlog=256) as listening, _written(pid_file):
        worker = _started(titles, listening, log)
        print(f"http://{host}:{listening.getsockname()[1]} serves version {worker.version} {worker.digest}", flush=True)
        try:
            while not {signal.SIGTERM, signal.SIGINT} & set(asked):
                if signal.SIGHUP in asked:
                    asked.clear()
                    worker = _replaced(titles, listening, worker, log)
                if worker.process.poll() is not None:
                    print(
                        f"weighin: the worker ended with code {worker.process.returncode}", file=sys.stderr, flush=True
                    )
                    return 3
                time.sleep(0.05)
        finally:
            worker.end()
    return 0


def _replaced(titles: Titles, listening: socket.socket, old: Worker, log: LogTables | None) -> Worker:
    try:
        new = _started(titles, listening, log)
    except WeighinError as error:
        print(f"weighin: still version {old.version}: {error}", file=sys.stderr, flush=True)
        return old
    old.end()
    print(f"serves version {new.version} {new.digest}", flush=True)
    return new


def _started(titles: Titles, listening: socket.socket, log: LogTables | None) -> Worker:
    """A worker that has loaded the champion. Errors: `WeighinError`; nothing of it is then left."""
    head, version = titles.settle(look_only=True)
    if not version:
        raise RegistryError(f"`{titles.model}` has no champion to serve", titles.registry.uri, "Promote one first.")
    home = Path(tempfile.mkdtemp(prefix="weighin-serve-"))
    process = None
    try:
        model = titles.registry.resolve(f"models:/{titles.model}/{version}", home / "model")
        if head is not None and model.digest != head.artifact:
            raise RegistryError(
                f"version {version} has other files ({model.digest}) than when it became champion ({head.artifact})",
                titles.model,
                "Somebody changed it: roll back, or look into the registry.",
            )
        process = subprocess.Popen(
            [*_uvicorn(listening.fileno())],
            pass_fds=[listening.fileno()],
            env=_variables(home, version, log),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )
        deadline = time.monotonic() + LOAD_SECONDS
        while not (home / "ready").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                why = "ended" if process.poll() is not None else f"was not ready after {LOAD_SECONDS:g} s"
                raise RegistryError(f"the server of version {version} {why}", titles.model, "Its log says more.")
            time.sleep(0.05)
    except BaseException:
        if process is not None:
            process.kill()
            process.wait()
        shutil.rmtree(home, ignore_errors=True)
        raise
    return Worker(process, version, model.digest, home)


def _uvicorn(descriptor: int) -> list[str]:
    options = ["--fd", str(descriptor), "--log-level", "warning", "--timeout-graceful-shutdown", str(GRACE_SECONDS)]
    # Its own default for the folder of the app is the current one, which it puts before everything else.
    program = [sys.executable, "-P", "-m", "uvicorn", "--app-dir", os.devnull]
    return [*program, "--factory", "weighin.serving.scoring:app", *options]


def _variables(
    home: Path, version: str, log: LogTables | None, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    own = {MODEL: str(home / "model"), VERSION: version, READY: str(home / "ready")}
    own |= {} if log is None else {LOG: log.to_json()}
    return isolated({k: v for k, v in environment.items() if k not in SECRETS and k != "MLFLOW_TRACKING_URI"}) | own


@contextlib.contextmanager
def _written(pid_file: Path | None) -> Iterator[None]:
    if pid_file is None:
        yield
        return
    pid_file.write_text(str(os.getpid()))
    try:
        yield
    finally:
        pid_file.unlink(missing_ok=True)
