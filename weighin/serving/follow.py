"""Serve the champion, and at a signal the champion of then, through one listening socket that is never closed.

The socket belongs to this process; a worker process (`weighin.serving.worker`) inherits it and loads one model. At
SIGHUP the champion is looked up anew, and a second worker loads it. When the second one accepts connections, the first
one stops accepting, answers what comes on the connections that it has, and ends; this process does not wait for that.
A model that cannot be loaded leaves the old one serving; `weighin.release.deploy` notices that after a rollback.
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

from weighin.errors import RegistryError, WeighinError
from weighin.prediction_log.tables import LogTables
from weighin.prediction_log.writer import CLOSE_SECONDS
from weighin.registry.champion import ChampionRegistry
from weighin.registry.location import REGISTRY, TRACKING
from weighin.runner.isolated import isolated
from weighin.serving.scoring import LOG, MODEL, VERSION
from weighin.serving.worker import ANSWER_SECONDS, CLOSED, GRACE_SECONDS, READY

SECRETS = (
    *("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "WEIGHIN_SIGNING_KEY"),
    *("DATABRICKS_TOKEN", "DATABRICKS_CLIENT_SECRET", "AZURE_CLIENT_SECRET"),
)
"""What the process that loads a model is not given. The address of the prediction log it needs, and has."""
LOAD_SECONDS = 120.0
LEAVE_SECONDS = GRACE_SECONDS + ANSWER_SECONDS + CLOSE_SECONDS + 16
"""After so long a worker that was told to leave is killed. A busy machine may be late with each step, hence the 16."""
LEAVING_AT_MOST = 2
"""Workers that may leave at once. Each holds a model in memory, so a further reload waits until one has ended."""
PAUSE_SECONDS = 0.05


class _Stopped(Exception):
    """This process was told to end while a model was loaded."""


@dataclass
class Worker:
    """A process that serves one version. `deadline` is set when it was told to leave."""

    process: subprocess.Popen[bytes]
    version: str
    digest: str
    folder: Path
    deadline: float | None = None

    @property
    def accepts(self) -> bool:
        """Whether a new connection may reach it."""
        return self.process.poll() is None and not (self.folder / CLOSED).exists()

    def leave(self) -> None:
        """Tell it to stop accepting, to answer what its connections ask, and to end."""
        if self.deadline is None:
            self.process.terminate()
            self.deadline = time.monotonic() + LEAVE_SECONDS

    def gone(self) -> bool:
        """Whether it has ended; one that is past its deadline is killed. Its files are removed then."""
        if self.process.poll() is None:
            if self.deadline is None or time.monotonic() < self.deadline:
                return False
            print(f"weighin: the worker of version {self.version} did not end, killed", file=sys.stderr, flush=True)
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        return True


def follow(
    champions: ChampionRegistry, host: str, port: int, pid_file: Path | None = None, log: LogTables | None = None
) -> int:
    """Serve until SIGTERM or SIGINT; returns 0, or 3 when the worker ended by itself.

    port      0 lets the system choose; the address is printed on the first line
    pid_file  gets the number of this process, to which SIGHUP is sent
    log       where predictions are logged
    Errors: `WeighinError` when the champion of the start cannot be served.
    """
    with socket.create_server((host, port), backlog=256) as listening, _written(pid_file):
        return _Supervisor(champions, listening, log).run()


class _Supervisor:
    """The worker that serves, and those that leave."""

    def __init__(self, champions: ChampionRegistry, listening: socket.socket, log: LogTables | None) -> None:
        self._titles, self._listening, self._log = champions, listening, log
        self._leaving: list[Worker] = []
        self._signals: set[int] = set()
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signals.add(number)

    @property
    def _stopping(self) -> bool:
        return not self._signals.isdisjoint((signal.SIGTERM, signal.SIGINT))

    def run(self) -> int:
        """Serve; returns the exit code."""
        try:
            worker = self._started()
        except _Stopped:
            return 0
        host, port = self._listening.getsockname()[:2]
        print(f"http://{host}:{port} serves version {worker.version} {worker.digest}", flush=True)
        try:
            while not self._stopping:
                if signal.SIGHUP in self._signals and len(self._leaving) < LEAVING_AT_MOST:
                    # Before the champion is looked up: a signal that comes after that asks for another look.
                    self._signals.discard(signal.SIGHUP)
                    worker = self._replaced(worker)
                if worker.process.poll() is not None:
                    code = worker.process.returncode
                    print(f"weighin: the worker ended with code {code}", file=sys.stderr, flush=True)
                    return 3
                self._wait()
        finally:
            # The worker closes its own copy: from then on clients are refused, and not left in a queue.
            self._listening.close()
            self._leaving.append(worker)
            for one in self._leaving:
                one.leave()
            while self._leaving:
                self._wait()
        return 0

    def _wait(self) -> None:
        """Wait a moment, in which the workers that left are buried."""
        time.sleep(PAUSE_SECONDS)
        self._leaving = [one for one in self._leaving if not one.gone()]

    def _replaced(self, old: Worker) -> Worker:
        try:
            new = self._started()
        except _Stopped:
            return old
        except WeighinError as error:
            print(f"weighin: still version {old.version}: {error}", file=sys.stderr, flush=True)
            return old
        old.leave()
        self._leaving.append(old)
        # Who reads the line below may rely on it: a new connection reaches the new version.
        while old.accepts and not self._stopping:
            self._wait()
        print(f"serves version {new.version} {new.digest}", flush=True)
        return new

    def _started(self) -> Worker:
        """Return a worker that has loaded the champion and accepts. Errors: `WeighinError`; nothing of it is then
        left.
        """
        champions = self._titles
        head, version = champions.reconcile(look_only=True)
        if not version:
            raise RegistryError(
                f"`{champions.model}` has no champion to serve", champions.registry.uri, "Promote one first."
            )
        home = Path(tempfile.mkdtemp(prefix="weighin-serve-"))
        process = None
        try:
            model = champions.registry.resolve(f"models:/{champions.model}/{version}", home / "model")
            if head is not None and model.digest != head.artifact:
                raise RegistryError(
                    f"version {version} has other files ({model.digest}) than when it became champion "
                    f"({head.artifact})",
                    champions.model,
                    "Somebody changed it: roll back, or look into the registry.",
                )
            process = subprocess.Popen(
                _program(self._listening.fileno(), home),
                pass_fds=[self._listening.fileno()],
                env=_variables(home, version, self._log),
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
            )
            deadline = time.monotonic() + LOAD_SECONDS
            while not (home / READY).exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    why = "ended" if process.poll() is not None else f"was not ready after {LOAD_SECONDS:g} s"
                    raise RegistryError(f"the server of version {version} {why}", champions.model, "Its log says more.")
                if self._stopping:
                    raise _Stopped
                self._wait()
        except BaseException:
            if process is not None:
                process.kill()
                process.wait()
            shutil.rmtree(home, ignore_errors=True)
            raise
        return Worker(process, version, model.digest, home)


def _program(descriptor: int, state: Path) -> list[str]:
    program = [sys.executable, "-P", "-m", "weighin.serving.worker"]
    return [*program, "--fd", str(descriptor), "--state", str(state)]


def _variables(
    home: Path, version: str, log: LogTables | None, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    own = {MODEL: str(home / "model"), VERSION: version}
    own |= {} if log is None else {LOG: log.to_json()}
    left_out = (*SECRETS, TRACKING, REGISTRY)
    return isolated({k: v for k, v in environment.items() if k not in left_out}) | own


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
