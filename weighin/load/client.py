"""HTTP/1.1 for a load generator: the moment of an answer is taken where its last byte is read.

A general client resumes the one who asked after everything else that arrived meanwhile was parsed. When a server thaws
and answers hundreds of requests at once, that is tens of milliseconds later, and would be charged to the server
(docs/decisions/2026-11-25-load-generator.md).
"""

from __future__ import annotations

import asyncio
import errno
import re
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httptools

from weighin.errors import NotEvaluated

ANSWER_BYTES = 2**20
"""Larger answers are errors: nothing that this asks for needs more."""
STREAM_BYTES = 2**22
"""The same for a stream, which has some 250 bytes around each piece of a text."""
HEADER_BYTES = 2**16
LATE = "no answer in time"
GRPC = "HTTP/2 in the answer, as of gRPC"
SETTINGS = re.compile(rb"\x00..\x04.\x00{4}", re.DOTALL)
"""A frame of settings on stream 0, with which an HTTP/2 server begins (RFC 9113, 3.4 and 6.5)."""
IDLE_SECONDS = 1.0
"""Connections that were idle for longer are not used again: servers close them, gunicorn after 2 s, and a request on
its way to a closed connection would be charged to the server."""


@dataclass(frozen=True)
class Answer:
    """What came back. `error` is empty for a status of 200; `done` is a moment of `time.perf_counter`.

    arrived  (bytes of the content, the moment at which so many were there), increasing
    """

    error: str
    content: bytes
    done: float
    arrived: Sequence[tuple[int, float]] = ()

    def moment_of(self, size: int) -> float:
        """Return the moment at which so many bytes of the content were there; `done` where they never were."""
        return next((moment for there, moment in self.arrived if there >= size), self.done)


class Client:
    """Connections to one server, as many as there are unanswered requests; the last one used is used first."""

    def __init__(self, url: str, headers: tuple[str, ...] = (), answer_bytes: int = ANSWER_BYTES) -> None:
        """Take lines that stand in the head of every request; no message shows them.

        answer_bytes  of which an answer has at most so many
        Errors: `NotEvaluated` when `url` is no http(s) address.
        """
        self._headers, self._most = headers, answer_bytes
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise NotEvaluated(f"not an address ({error})", url, "Write http://HOST:PORT.") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise NotEvaluated("not an address of a server", url, "Write http://HOST:PORT.")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._name, self._host = parts.hostname, parts.hostname
        self._port = port or (443 if self._tls else 80)
        self._netloc, self._prefix = parts.netloc.rpartition("@")[2], parts.path.rstrip("/")
        self._idle: list[_Connection] = []

    def head(self, method: str, path: str) -> bytes:
        """Return the head of a request, but for the length of its body."""
        lines = (f"{method} {self._prefix}{path} HTTP/1.1", f"Host: {self._netloc}", "Accept: */*", *self._headers)
        return "\r\n".join([*lines, "Content-Type: application/json", "Content-Length: "]).encode()

    async def ask(self, head: bytes, body: bytes, seconds: float) -> Answer:
        """Ask, for at most so many seconds. A failure is an answer here, not an exception."""
        connection = self._unused()
        try:
            async with asyncio.timeout(seconds):
                if connection is None:
                    connection = await self._connect()
                return await connection.ask(b"%s%d\r\n\r\n%s" % (head, len(body), body))
        except TimeoutError:
            return Answer(LATE, b"", time.perf_counter())
        except OSError as error:
            return Answer(_failure(error), b"", time.perf_counter())
        finally:
            if connection is not None and connection.release():
                self._idle.append(connection)

    async def close(self) -> None:
        """Close what is open and not in use."""
        for connection in self._idle:
            connection.transport.abort()
        await asyncio.sleep(0)

    def _unused(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and time.perf_counter() - connection.moment < IDLE_SECONDS:
                return connection
            connection.transport.abort()
        return None

    async def _connect(self) -> _Connection:
        name = self._name if self._tls else None
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(self._most), self._host, self._port, ssl=self._tls, server_hostname=name
        )
        # A name is looked up once: not every request is to wait for that.
        self._host = connection.transport.get_extra_info("peername")[0]
        return connection


class _Connection(asyncio.Protocol):
    """One request at a time. `moment` is when something was last read."""

    transport: asyncio.Transport

    def __init__(self, answer_bytes: int) -> None:
        self._most = answer_bytes
        self.closed = False
        self.moment = 0.0
        self._asked: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._content = bytearray()
        self._arrived: list[tuple[int, float]] = []
        self._received = 0
        self._sized = self._begun = False

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """Write a request; what is returned gets the answer."""
        self._asked = asyncio.get_running_loop().create_future()
        self._content.clear()
        self._arrived = []
        self._received, self._sized, self._begun = 0, False, False
        if self.closed:
            self.connection_lost(None)
        else:
            self.transport.write(request)
        return self._asked

    def release(self) -> bool:
        """Whether the connection can be used again; it is closed otherwise, and when its answer was not waited for."""
        if self._asked is None or not self._asked.done() or self._asked.cancelled():
            self._abort()
        return not self.closed

    def _end(self, error: str) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(Answer(error, bytes(self._content), self.moment, self._arrived))

    def _abort(self) -> None:
        self.closed = True
        self.transport.abort()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.moment = time.perf_counter()
        self._received += len(data)
        if self._asked is None or self._asked.done():
            # Nobody asked for this.
            self._abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._end(GRPC if SETTINGS.match(data) else "no HTTP in the answer")
            self._abort()
        if self._received > self._most + HEADER_BYTES or len(self._content) > self._most:
            self._end(f"more than {self._most} bytes")
            self._abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        self.moment = time.perf_counter()
        if error is not None:
            self._end(_failure(error))
        elif self._begun and not self._sized:
            # The end of the connection is the end of such an answer.
            self._end(self._status())
        else:
            self._end(f"connection closed {'within the' if self._received else 'without an'} answer")

    # The parser's side

    def on_header(self, name: bytes, value: bytes) -> None:
        self._sized = self._sized or name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        self._begun = self._parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        self._content += body
        if self._arrived and self._arrived[-1][1] == self.moment:
            self._arrived.pop()
        self._arrived.append((len(self._content), self.moment))

    def on_message_complete(self) -> None:
        # What comes before, such as 100 Continue, is not the answer.
        if self._begun:
            self._end(self._status())
            if not self._parser.should_keep_alive():
                self._abort()

    def _status(self) -> str:
        status = self._parser.get_status_code()
        return "" if status == 200 else f"status {status}"


def _failure(error: Exception) -> str:
    match getattr(error, "errno", None):
        case errno.EMFILE | errno.ENFILE | errno.EADDRNOTAVAIL:
            return "no socket left for the request: too many are unanswered"
        case errno.ECONNREFUSED:
            return "connection refused"
        case errno.ECONNRESET:
            return "connection reset"
    return f"connection failed: {type(error).__name__}"
