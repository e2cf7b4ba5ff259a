"""Whether a monitor that runs on and on does its work: what Kubernetes asks before it sends nobody, or starts anew."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LATE = 3
"""So many runs may be missed before it does not do its work."""


class Health:
    """When runs began and succeeded. `/alive`: one began of late; `/ready`: one succeeded of late."""

    def __init__(self, every: timedelta) -> None:
        self._late = every * LATE
        self._begun = datetime.now(UTC)
        self._succeeded: datetime | None = None

    def begin(self) -> datetime:
        """Note that a run begins; returns the moment."""
        self._begun = datetime.now(UTC)
        return self._begun

    def succeeded(self) -> None:
        """Note that it succeeded."""
        self._succeeded = datetime.now(UTC)

    def answer(self, path: str) -> tuple[int, str]:
        """HTTP status and text of a path."""
        now = datetime.now(UTC)
        if path == "/alive":
            late = now - self._begun > self._late
            return (503 if late else 200), f"the last run began at {self._begun.isoformat(timespec='seconds')}"
        if path == "/ready":
            if self._succeeded is None:
                return 503, "no run has succeeded yet"
            late = now - self._succeeded > self._late
            return (503 if late else 200), f"the last run was at {self._succeeded.isoformat(timespec='seconds')}"
        return 404, "/alive and /ready"

    @contextlib.contextmanager
    def answering(self, port: int | None) -> Iterator[int]:
        """Answer on all addresses of the machine within the block; gives the port. Without a port nobody is asked."""
        if port is None:
            yield 0
            return
        health = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                status, text = health.answer(self.path)
                body = f"{text}\n".encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Probes come every few seconds."""

        server = ThreadingHTTPServer(("", port), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            server.server_close()
