"""Small servers whose behaviour is known exactly, each in a process of its own; for tests and benchmarks.

    python tests/support/load_servers.py NAME CORE SECONDS

prints its port and serves on loopback until it is ended; CORE, the only one that it may use, may be empty. GET is the
health; every POST asks for predictions of rows in MLflow's `dataframe_split` and is answered with the first feature of
each row. When an answer is due depends on the number of the request, counted from the first POST on, and on the moment
of its arrival: `Due` says when, and `latency` says the same for a list of arrivals, which is the truth that a load
generator must find. How late the server itself wrote its answers, by its own clock, is told by GET /late, as a list by
the number of the request.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import random
import runpy
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

FAST = 0.005
EVERY, FROZEN = 5.0, 1.0
"""Frozen for the last second of every five, counted from the first request on."""
SLOW = 0.2
MEAN = 0.010
PRECISE_LOOP = Path(__file__).resolve().parents[2] / "weighin/load/precise_loop.py"


@functools.cache
def drawn() -> np.ndarray:
    """Service times of the exponential server, in order of arrival. The other servers do without NumPy."""
    import numpy as np

    return np.random.default_rng(11).exponential(MEAN, 2**18)


def thawed(moment: float) -> float:
    """The first moment from this one on at which a frozen server works."""
    into = moment % EVERY
    return moment if into < EVERY - FROZEN else moment - into + EVERY


def worked(moment: float, seconds: float) -> float:
    """When work that begins at a moment is done, if it stands still while the server is frozen."""
    moment = thawed(moment)
    left = EVERY - FROZEN - moment % EVERY
    return moment + seconds if seconds < left else moment + FROZEN + seconds


class Due:
    """When the answers of a server are due: `due(moment)` for one arrival after the other, in seconds since the first.

    service  seconds of work for one request, where requests are served one at a time
    """

    def __init__(self, name: str, service: float = FAST) -> None:
        self.name, self.service = name, service
        self.number, self.free = -1, 0.0

    def __call__(self, moment: float) -> float:
        self.number += 1
        match self.name:
            case "exponential":
                return moment + float(drawn()[self.number % len(drawn())])
            case "frozen":
                return thawed(moment) + FAST
            case "serial":
                self.free = worked(max(moment, self.free), self.service)
                return self.free
            case "slow":
                return moment + (SLOW if self.number % 100 == 50 else FAST)
            case "failing" if self.number % 25 == 12:
                return float("inf")
        return moment + FAST


def latency(name: str, arrivals: np.ndarray, service: float = FAST) -> np.ndarray:
    """The truth: seconds from arrival to answer of arrivals (n,) in order; infinite for an answer that never comes."""
    import numpy as np

    due = Due(name, service)
    return np.array([due(moment - arrivals[0]) for moment in arrivals]) - (arrivals - arrivals[0])


class Server:
    """What all connections of one process share."""

    def __init__(self, name: str, service: float) -> None:
        self.name, self.due = name, Due(name, service)
        self.loop = asyncio.get_running_loop()
        self.first: float | None = None
        self.late: list[float] = []

    def asked(self, transport: asyncio.Transport, body: bytes) -> None:
        """Take one POST."""
        now = self.loop.time()
        self.first = now if self.first is None else self.first
        due = self.due(now - self.first)
        self.late.append(0.0)
        if due == float("inf"):
            reset(transport) if self.due.number % 50 == 12 else transport.close()
            return
        if self.name == "dies" and self.due.number == 20:
            sys.exit()
        act = ODD.get(self.name)
        if act is not None:
            act(transport, body)
            return
        self.loop.call_at(self.first + due, self.write, transport, self.due.number, due, http(answered(body)))

    def write(self, transport: asyncio.Transport, number: int, due: float, answer: bytes) -> None:
        """Write an answer, and note by how much it is late."""
        assert self.first is not None
        self.late[number] = self.loop.time() - self.first - due
        transport.write(answer)


def answered(body: bytes) -> bytes:
    """The first feature of every row that is asked for, as MLflow puts it."""
    return json.dumps({"predictions": [row[0] for row in json.loads(body)["dataframe_split"]["data"]]}).encode()


NOISE = random.Random(5)  # noqa: S311 - no secret


def noisy(answer: bytes) -> bytes:
    """The answer with some bytes that are others."""
    found = bytearray(answer)
    for _ in range(NOISE.choice((1, 3, 30))):
        found[NOISE.randrange(len(found))] = NOISE.randrange(256)
    return bytes(found)


def chunked(transport: asyncio.Transport, content: bytes) -> None:
    """Answer in chunks of seven bytes, each in a packet of its own."""
    transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for i in range(0, len(content), 7):
        part = content[i : i + 7]
        transport.write(b"%x\r\n%s\r\n" % (len(part), part))
    transport.write(b"0\r\n\r\n")


def http(content: bytes, status: str = "200 OK", kind: str = "application/json", length: int | None = None) -> bytes:
    """An answer of HTTP/1.1."""
    length = len(content) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode() + content


def reset(transport: asyncio.Transport) -> None:
    """Close a connection with a reset."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def close_after(content: bytes) -> Callable[[asyncio.Transport, bytes], None]:
    """Write, and close."""

    def act(transport: asyncio.Transport, body: bytes) -> None:
        transport.write(content)
        transport.close()

    return act


def say(content: bytes, status: str = "200 OK", kind: str = "application/json") -> Callable[..., None]:
    """Answer with this, whatever was asked."""
    return lambda transport, body: transport.write(http(content, status, kind))


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_EVENT = b'data: {"choices": [{"delta": {"content": "%s"}}]}\n\n' % (200 * b"x")
PIECE = b"%x\r\n%s\r\n" % (len(_EVENT), _EVENT)


def drip(transport: asyncio.Transport, number: int = 0) -> None:
    """Stream a piece every 20 ms, for ever."""
    transport.write(PIECE if number else STREAM + PIECE)
    if not transport.is_closing():
        asyncio.get_running_loop().call_later(0.02, drip, transport, number + 1)


ODD: dict[str, Callable[[asyncio.Transport, bytes], None]] = {
    "hangs": lambda transport, body: None,
    "resets": lambda transport, body: reset(transport),
    "closes": close_after(b""),
    "breaks off": close_after(http(b'{"predictions": [0.5', length=100)),
    "half JSON": say(b'{"predictions": [0.5'),
    "HTML": say(b"<!DOCTYPE html><title>Bad gateway</title>", kind="text/html"),
    "10 MB": say(b'{"predictions": [' + b"0.5, " * 2_000_000 + b"1]}"),
    "endless": close_after(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"[" * 4_000_000),
    "other rows": say(b'{"predictions": [0.5]}'),
    "words": say(b'{"predictions": ["yes", "no"]}'),
    "other key": say(b'{"scores": [0.5, 0.5]}'),
    "deep": say(b"[" * 100_000),
    "error": say(b'{"message": "x"}', status="500 Internal Server Error"),
    "redirects": say(b"", status="302 Found\r\nLocation: /elsewhere"),
    "no HTTP": close_after(b"\x00\x01\x02 what?\r\n\r\n"),
    "mirror": lambda transport, body: transport.write(http(body)),
    "noise": lambda transport, body: close_after(noisy(http(answered(body))))(transport, body),
    "chunked": lambda transport, body: chunked(transport, answered(body)),
    "until closed": lambda transport, body: close_after(b"HTTP/1.1 200 OK\r\n\r\n" + answered(body))(transport, body),
    "drips": lambda transport, body: drip(transport),
    "stream breaks off": close_after(STREAM + PIECE),
    "stream ends early": close_after(STREAM + PIECE + b"0\r\n\r\n"),
    "stream of 10 MB": close_after(STREAM + 50_000 * PIECE),
    "continues": lambda transport, body: transport.write(b"HTTP/1.1 100 Continue\r\n\r\n" + http(answered(body))),
}
"""Servers that do something else than answer after a while."""


class Connection(asyncio.Protocol):
    """Just enough of HTTP/1.1."""

    def __init__(self, server: Server) -> None:
        self.server, self.buffer = server, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, rest = self.buffer.partition(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"), 0
            )
            if len(rest) < length:
                return
            body, self.buffer = rest[:length], rest[length:]
            if head.startswith(b"POST"):
                self.server.asked(self.transport, body)
            elif head.startswith(b"GET /late "):
                self.transport.write(http(json.dumps(self.server.late).encode()))
            elif self.server.name == "sick":
                self.transport.write(http(b"", status="503 Service Unavailable"))
            elif self.server.name != "silent":
                self.transport.write(http(b"\n"))


@contextmanager
def running(name: str, core: int | None = None, service: float = FAST) -> Iterator[str]:
    """The address of a server of this name, in a process of its own, which is ended afterwards.

    core  the only core that it may use
    """
    command = [sys.executable, __file__, name, "" if core is None else str(core), str(service)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


async def serve(name: str, service: float) -> None:
    """Serve until the process is ended."""
    server = Server(name, service)
    listening = await server.loop.create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=4096)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    # By its path: the package that it is in would import what no server here needs.
    precise_loop = runpy.run_path(str(PRECISE_LOOP))["precise_loop"]
    if sys.argv[2]:
        os.sched_setaffinity(0, {int(sys.argv[2])})
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        runner.run(serve(sys.argv[1], float(sys.argv[3])))
