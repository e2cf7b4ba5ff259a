"""An HTTP proxy between a client and its server that counts requests and goes wrong at the one it is told to.

What it does to a request: nothing; refuse the connection, answer 500, delay, or lose the answer; kill the client before
the request arrives or after it was carried out; stop the client at either moment until it is told to go on.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal["refuse", "500", "delay", "lose", "kill before", "kill after", "stop before", "stop after"]
Refusal = Callable[[str, str], tuple[int, bytes] | None]
"""Method and path, the query included -> status and body of an answer in the server's place, or None."""
SECONDS = 60
"""The longest that anything here waits."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong at request number `at`, counted from 1, and at the next `times - 1`; 0 is every request.

    pid      the client, for kills and stops
    seconds  of a delay
    """

    kind: Kind
    at: int = 0
    pid: int = 0
    seconds: float = 0.0
    times: int = 1

    def hits(self, number: int) -> bool:
        return not self.at or self.at <= number < self.at + self.times


class Proxy:
    """Forwards to one server; `uri` is its own address.

    refusal  what it answers itself
    """

    def __init__(self, server: str, refusal: Refusal = lambda method, path: None) -> None:
        self._target = urlsplit(server)
        self.refusal = refusal
        self._faults: tuple[Fault, ...] = ()
        self._lock = threading.Lock()
        self.requests: list[str] = []
        self.stopped, self.go_on = threading.Event(), threading.Event()
        self._http = _Server(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def plan(self, *faults: Fault) -> None:
        """Count from 1 again; from now on these go wrong."""
        with self._lock:
            self.requests, self._faults = [], faults
            self.stopped.clear()
            self.go_on.clear()

    def arrived(self, line: str) -> Fault | None:
        """Note a request; returns what is to happen to it."""
        with self._lock:
            self.requests.append(line)
            return next((f for f in self._faults if f.hits(len(self.requests))), None)

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the server's answer."""
        connection = http.client.HTTPConnection(str(self._target.hostname), self._target.port, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def stop(self, pid: int) -> None:
        """Stop the client, and wait until the test lets it go on."""
        os.kill(pid, signal.SIGSTOP)
        self.stopped.set()
        self.go_on.wait(SECONDS)

    @contextlib.contextmanager
    def running(self) -> Iterator[Proxy]:
        self._thread.start()
        try:
            yield self
        finally:
            self.go_on.set()
            self._http.shutdown()
            self._http.server_close()
            self._thread.join(SECONDS)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no news."""


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one(self) -> None:
            fault = proxy.arrived(f"{self.command} {urlsplit(self.path).path}")
            kind = fault.kind if fault else ""
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if kind == "refuse":
                return self.hang_up()
            if answered := proxy.refusal(self.command, self.path):
                return self.answer(answered[0], {"Content-Type": "application/json"}, answered[1])
            if kind == "500":
                return self.answer(500, {}, b'{"error_code": "INTERNAL_ERROR", "message": "made up"}')
            if fault and kind == "delay":
                time.sleep(min(fault.seconds, SECONDS))
            if fault and kind == "kill before":
                os.kill(fault.pid, signal.SIGKILL)
                return self.hang_up()
            if fault and kind == "stop before":
                proxy.stop(fault.pid)
            sent = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
            status, headers, content = proxy.forward(self.command, self.path, sent, body)
            if fault and kind == "kill after":
                os.kill(fault.pid, signal.SIGKILL)
            if kind in ("kill after", "lose"):
                return self.hang_up()
            if fault and kind == "stop after":
                proxy.stop(fault.pid)
            return self.answer(status, headers, content)

        def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def hang_up(self) -> None:
            """Reset the connection, as where nobody listens."""
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_one

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the test looks at `requests`."""

    return Handler
