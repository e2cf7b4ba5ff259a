"""A PostgreSQL of a test's own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


def postgres_programs() -> Path:
    """Where initdb lies: Debian keeps it off PATH."""
    found = shutil.which("initdb")
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found and not known:
        raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")
    return Path(found).parent if found else known[-1].parent


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def postgres(connections: int = 100) -> Iterator[str]:
    """A server of its own on loopback, and its address. It refuses to run as root, so root hands it to `nobody`."""
    programs = postgres_programs()
    with tempfile.TemporaryDirectory(prefix="weighin-postgres-") as folder:
        user: dict[str, str] = {}
        if os.getuid() == 0:
            user = {"user": "nobody"}
            os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
        port = free_port()
        data = f"{folder}/data"
        command = [programs / "initdb", "-D", data, "-U", "weighin", "-A", "trust", "-E", "UTF8", "--locale=C"]
        subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=folder, **user)
        options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off -c max_connections={connections}"
        start = [programs / "pg_ctl", "-D", data, "-w", "-t", "60", "-l", f"{folder}/log", "-o", options, "start"]
        subprocess.run(
            start, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=90, cwd=folder, **user
        )
        try:
            yield f"postgres://weighin@127.0.0.1:{port}/postgres"
        finally:
            stop = [programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "-t", "30", "stop"]
            subprocess.run(stop, check=False, capture_output=True, timeout=60, cwd=folder, **user)
