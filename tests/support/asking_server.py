"""A server of the V2 protocol, in threads of the test, that can ask who is there, load late, or speak no HTTP/1.1.

It answers with the first feature of each row. `heads` are the headers of every request that it got.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SETTINGS = b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00\x03\x00\x00\x00\x64" * 3
"""With which a server of HTTP/2 begins."""


class AskingServer(ThreadingHTTPServer):
    """`wanted` headers must come with every request; `late` are the seconds that each of its workers loads first.

    drops  whether it drops what comes next on a connection on which it has refused a request
    """

    daemon_threads = True

    def __init__(self, wanted: Mapping[str, str], late: tuple[float, ...], *, drops: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.wanted, self.late, self.drops = wanted, list(late), drops
        self.heads: list[dict[str, str]] = []
        self.bodies: list[Any] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: AskingServer
    refused = False

    def answer(self, status: int, value: Any = None) -> None:
        if self.refused and self.server.drops:
            self.close_connection = True
            return
        self.refused = status == 400
        content = b"" if value is None else json.dumps(value).encode()
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def known(self) -> bool:
        with self.server.lock:
            self.server.heads.append(dict(self.headers.items()))
        return all(self.headers.get(name) == value for name, value in self.server.wanted.items())

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.answer(200 if self.known() else 401)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.known():
            return self.answer(401)
        with self.server.lock:
            pause = self.server.late.pop() if self.server.late else 0.0
        time.sleep(pause)
        try:
            asked = json.loads(body)
            tensor = asked["inputs"][0]
            data = [float(v) for v in tensor["data"]]
            rows = data[:: max(1, len(data) // tensor["shape"][0])]
            if tensor["name"] not in ("row", "input__0") or any(t["shape"] != tensor["shape"] for t in asked["inputs"]):
                raise ValueError("other tensors")
        except (ValueError, KeyError, TypeError, IndexError):
            return self.answer(400)
        with self.server.lock:
            self.server.bodies.append(asked)
        output = {"name": "predict", "shape": [len(rows), 1], "datatype": "FP64", "data": rows}
        return self.answer(200, {"model_name": "m", "outputs": [output]})

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def asking_server(
    wanted: Mapping[str, str] | None = None, late: tuple[float, ...] = (), *, drops: bool = False
) -> Iterator[AskingServer]:
    """A running server."""
    server = AskingServer(wanted or {}, late, drops=drops)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextlib.contextmanager
def grpc_port() -> Iterator[str]:
    """The address of a port that answers every connection as HTTP/2 does, and then closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError, OSError):
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(SETTINGS)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            thread.join(10)
