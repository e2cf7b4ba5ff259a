"""Python programs as forks of one isolated process that has imported the libraries, for tests of what programs do.

A test that starts `weighin` five times would spend most of its time on imports. `run` takes what follows `python` in a
command; the program gets a process and a session of its own, its own folder, variables and output. A test that is about
starting, about the interpreter's options or about signals starts a real process instead.

The process that is forked is started once: by pytest's main process, which tells its workers the address, or at the
first use.

This file is also the program that is forked: `python -I -B quick_python.py DESCRIPTOR`. It ends with its parent.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

SECONDS = 600.0
ADDRESS = "WEIGHIN_TESTS_QUICK_PYTHON"
"""Variable with the address of the process that pytest's main process has started."""
ALSO = (
    "weighin.release.promote",
    "weighin.release.rollback",
    "sklearn.ensemble",
    "sklearn.pipeline",
    "mlflow.sklearn",
    "mlflow.pyfunc",
)
"""What training and releases import, besides what the warm process of `weighin validate` does."""


# --- in a test


class _Server:
    """The process that is forked."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="weighin-quick-")
        self.address = f"{self.folder.name}/socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.address)
            listener.listen(16)
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-B", __file__, str(listener.fileno())],
                pass_fds=[listener.fileno()],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def stop(self) -> None:
        """End it. A program that still runs is ended with the test process that waits for it."""
        assert self.process.stdin
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=10)
        self.folder.cleanup()


_SERVERS: list[_Server] = []
_LOCK = threading.Lock()


def start() -> str:
    """Start the process that is forked, where this process has not; returns its address."""
    with _LOCK:
        if not _SERVERS:
            _SERVERS.append(_Server())
        return _SERVERS[0].address


def run(
    arguments: Sequence[str],
    cwd: Path,
    *,
    env: Mapping[str, str] | None = None,
    timeout: float = SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run `python ARGUMENTS`, where these begin with `-m MODULE`, `-c CODE` or a file; the folder is not on the path.

    Errors: `subprocess.TimeoutExpired`; the program is then ended.
    """
    address = os.environ.get(ADDRESS) or start()
    with tempfile.TemporaryDirectory(prefix="weighin-quick-") as folder, socket.socket(socket.AF_UNIX) as channel:
        printed = [Path(folder) / name for name in ("out", "err")]
        request = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(os.environ if env is None else env)}
        channel.settimeout(timeout)
        channel.connect(address)
        channel.sendall(json.dumps({**request, "printed": [str(p) for p in printed]}).encode() + b"\n")
        try:
            answer = channel.recv(64)
        except TimeoutError:
            raise subprocess.TimeoutExpired(list(arguments), timeout) from None
        texts = [p.read_text("utf-8", "replace") if p.exists() else "" for p in printed]
        if not answer:
            raise RuntimeError(f"the process that is forked ended: {texts[1][-2000:]}")
        return subprocess.CompletedProcess(list(arguments), int(answer), *texts)


def stop() -> None:
    """End the process that is forked, where there is one."""
    while _SERVERS:
        _SERVERS.pop().stop()


# --- the process that is forked


def serve(listener: socket.socket) -> None:
    """Import, then fork for every connection until the parent closes this process's standard input."""
    from weighin.cli import environment
    from weighin.cli.warm import GROUPS, bring_in

    environment()
    os.environ.setdefault("MPLBACKEND", "Agg")
    gc.disable()
    for group in GROUPS.values():
        for name in group:
            bring_in(name)
    for name in ALSO:
        bring_in(name)
    _copy_empty_stores()
    assert threading.active_count() == 1, "an import started a thread, which no fork would have"
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while 0 not in select.select([listener, 0], [], [])[0]:
        connection, _ = listener.accept()
        if not os.fork():
            listener.close()
            _hold(connection)
        connection.close()


def _copy_empty_stores() -> None:
    """Let MLflow copy an empty store where it would make one in SQLite: 80 migrations, seconds of processor time."""
    import mlflow.store.db.utils as stores
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    made = stores._initialize_tables
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/mlflow.db"
        SqlAlchemyStore(f"sqlite:///{address}", folder).engine.dispose()
        with contextlib.closing(sqlite3.connect(address)) as store:
            empty = store.serialize()

    def initialize(engine: Any) -> None:
        if engine.dialect.name != "sqlite" or not engine.url.database:
            return made(engine)
        with contextlib.closing(sqlite3.connect(":memory:")) as kept, engine.connect() as connection:
            kept.deserialize(empty)
            kept.backup(connection.connection.driver_connection)
        return None

    stores._initialize_tables = initialize


def _hold(connection: socket.socket) -> None:
    """Run one program, and send its exit code; end it where whoever asked has gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message = b""
    while not message.endswith(b"\n"):
        part = connection.recv(2**16)
        if not part:
            os._exit(1)
        message += part
    request = json.loads(message)
    pid = os.fork()
    if not pid:
        connection.close()
        _become(request)
    ended = os.pidfd_open(pid)
    if ended in select.select([connection, ended], [], [])[0]:
        connection.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
        os._exit(0)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os._exit(1)


def _become(request: dict[str, Any]) -> None:
    """Be the program: its session, folder, variables, output and arguments, then its code and its end."""
    code: Any = 1
    try:
        os.setsid()
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        _redirect(*request["printed"])
        gc.enable()
        _fork_for_the_warm_process()
        first, *rest = request["arguments"]
        sys.path[:0] = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
        try:
            if first == "-m":
                sys.argv = rest
                runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
            elif first == "-c":
                sys.argv = ["-c", *rest[1:]]
                exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - as `python -c` does
            else:
                sys.argv = [first, *rest]
                sys.path.insert(0, str(Path(first).resolve().parent))
                runpy.run_path(first, run_name="__main__")
            code = 0
        except SystemExit as end:
            code = end.code
        except BaseException:  # noqa: BLE001 - as the interpreter does
            traceback.print_exc()
        if isinstance(code, str):
            print(code, file=sys.stderr)
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _redirect(out: str, err: str) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, name in ((1, out), (2, err)):
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", buffering=1, closefd=False)


def _fork_for_the_warm_process() -> None:
    """Let `weighin validate` fork this process, which is isolated as well, in place of starting a warm one."""
    from weighin.runner import warm

    def popen(command: list[str], *, pass_fds: list[int], env: Mapping[str, str], **_: Any) -> _Fork:
        return _Fork(int(command[5]), command[6:], env)

    warm.subprocess = SimpleNamespace(  # type: ignore[attr-defined]
        Popen=popen, DEVNULL=subprocess.DEVNULL, TimeoutExpired=subprocess.TimeoutExpired
    )


class _Fork:
    """What the warm process's parent needs of it."""

    def __init__(self, descriptor: int, groups: list[str], env: Mapping[str, str]) -> None:
        self.pid = os.fork()
        if self.pid:
            return
        code = 1
        try:
            os.setsid()
            os.environ.clear()
            os.environ.update(env)
            _redirect(os.devnull, os.devnull)
            # The parent's end of the socket among them: while that is open, nobody notices that the parent is gone.
            os.closerange(3, descriptor)
            os.closerange(descriptor + 1, 2**12)
            from weighin.cli import warm

            code = warm.run(descriptor, groups)
        finally:
            os._exit(code)

    def kill(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float) -> int:
        """Its exit code. Errors: `subprocess.TimeoutExpired`."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        raise subprocess.TimeoutExpired("fork", timeout)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        serve(given)
