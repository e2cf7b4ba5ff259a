"""What a server takes, looked at while it is asked. Standard library only."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Record = dict[str, Any]
"""What the runner knows of one start: started_at (seconds since 1970), samples, peak_memory_mb, unbuilt."""
Sample = dict[str, float]
"""at (seconds since 1970), memory_mb (2**20 bytes that the server itself holds), cpu_seconds (since it started)."""
EVERY_SECONDS = 1.0


def write_record(folder: Path, record: Record) -> None:
    """Write `<folder>.server.json`, beside the folder that the generator could write to."""
    folder.with_name(f"{folder.name}.server.json").write_text(json.dumps(record))


@contextlib.contextmanager
def sampled(look: Callable[[], Sample | None], every: float = EVERY_SECONDS) -> Iterator[list[Sample]]:
    """Look now and again within the block, and once more at its end. A look that sees nothing is left out."""
    found: list[Sample] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(every):
            one()

    def one() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError):
            seen = look()
            if seen is not None:
                found.append(seen)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join(timeout=10)
        one()


def peak(samples: list[Sample]) -> float | None:
    """Return the largest memory that was seen, in MB."""
    return round(max(s["memory_mb"] for s in samples), 1) if samples else None


def engine_sample(name: str) -> Sample | None:
    """Return a container's memory (without the page cache) and processor time, asked of the engine, not in the
    container.
    """
    connection = _engine()
    if connection is None:
        return None
    with contextlib.closing(connection):
        connection.request("GET", f"/containers/{name}/stats?stream=false&one-shot=true", headers={"Host": "engine"})
        answer = connection.getresponse()
        stats = json.loads(answer.read())
        if answer.status != 200:
            return None
    details = stats["memory_stats"].get("stats", {})
    memory = details.get("anon", details.get("total_rss"))
    used = stats["cpu_stats"]["cpu_usage"]["total_usage"]
    if memory is None or not used:
        return None
    return {"at": time.time(), "memory_mb": memory / 2**20, "cpu_seconds": used / 1e9}


@functools.cache
def _address() -> str:
    """Where the Docker client finds its engine."""
    found = subprocess.run(
        ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"],
        capture_output=True,
        timeout=20,
        check=False,
    )
    return found.stdout.decode().strip()


def _engine() -> http.client.HTTPConnection | None:
    parts = urlsplit(_address())
    if parts.scheme == "unix":
        return _Socket(parts.path)
    if parts.scheme == "tcp" and parts.hostname:
        return http.client.HTTPConnection(parts.hostname, parts.port or 2375, timeout=10)
    return None


class _Socket(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
