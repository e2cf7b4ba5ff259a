"""A server before the real one, which puts a fault between the two: `python -m weighin.drill.proxy ... -- COMMAND`.

The runner of a validation starts it in place of the server and measures both, so no model and no server has to change.
It listens on loopback only, starts COMMAND with `{inner}` replaced by a free port, and ends with it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from weighin.load.client import Answer, Client

HOST = "127.0.0.1"
SLOW_SECONDS = 1.0
"""What a slow request takes longer."""
STALL_EVERY = 4.0
"""Seconds from the beginning of one stall to the next."""
HELD_MB = 3_000
"""The most memory that is held: the fault is to be measured, and not to take the machine down."""
PATIENCE = 120.0
SEED = 7
KINDS = ("none", "slow", "stall", "wrong", "cached", "errors", "memory", "late-load")
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Proxy:
    """Passes requests on; `kind` and `size` say what goes wrong on the way.

    slow       a share of the requests takes `SLOW_SECONDS` longer
    stall      everything stands still for so many seconds, again and again
    wrong      a share of the answers has other numbers
    cached     a share of the requests gets the last answer of as many rows
    errors     a share of the requests is answered with 500
    memory     each request leaves so many MB behind
    late-load  the first prediction takes so many seconds, and all wait for it
    """

    def __init__(self, kind: str, size: float, inner: int) -> None:
        self.kind, self.size = kind, size
        self.client = Client(f"http://{HOST}:{inner}")
        self.random = random.Random(SEED)  # noqa: S311 - which requests are hit, no secret
        self.held: list[bytearray] = []
        self.last: dict[int, bytes] = {}
        self.lock = asyncio.Lock()
        self.loaded = False
        self.began: float | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        status, content = await self.answer(scope["method"], scope["path"], body)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body of an answer. Only predictions are hit: health is what it is."""
        if method != "POST":
            return _passed_on(await self._asked(method, path, body))
        await self._delay()
        hit = self.random.random() < self.size
        if self.kind == "errors" and hit:
            return 500, b"{}"
        if self.kind == "memory" and len(self.held) * self.size < HELD_MB:
            # Written to, since memory that nobody touches is not held.
            self.held.append(bytearray(b"x" * round(self.size * 2**20)))
        status, content = _passed_on(await self._asked(method, path, body))
        return status, self._changed(content, hit) if status == 200 else content

    async def _delay(self) -> None:
        now = time.monotonic()
        self.began = self.began if self.began is not None else now
        if self.kind == "slow" and self.random.random() < self.size:
            await asyncio.sleep(SLOW_SECONDS)
        elif self.kind == "stall":
            since = (now - self.began) % STALL_EVERY
            if since < self.size:
                await asyncio.sleep(self.size - since)
        elif self.kind == "late-load" and not self.loaded:
            async with self.lock:
                if not self.loaded:
                    await asyncio.sleep(self.size)
                    self.loaded = True

    def _changed(self, content: bytes, hit: bool) -> bytes:
        if self.kind not in ("wrong", "cached"):
            return content
        try:
            value = json.loads(content)
        except ValueError:
            return content
        rows = len(_numbers(value))
        known = self.last.get(rows)
        self.last[rows] = content
        if not hit:
            return content
        if self.kind == "cached":
            return known or content
        return json.dumps(_shaken(value)).encode()

    async def _asked(self, method: str, path: str, body: bytes) -> Answer:
        return await self.client.ask(self.client.head(method, path), body, PATIENCE)


def _passed_on(answer: Answer) -> tuple[int, bytes]:
    """Return the real server's answer, or the status that stands in its error."""
    if not answer.error:
        return 200, answer.content
    status = re.match(r"status (\d{3})", answer.error)
    return (int(status[1]), answer.content or b"{}") if status else (503, b"{}")


def _numbers(value: object) -> list[float]:
    """Return the numbers of an answer, in order."""
    if isinstance(value, dict):
        return [n for part in value.values() for n in _numbers(part)]
    if isinstance(value, list):
        return [n for part in value for n in _numbers(part)]
    return [float(value)] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def _shaken(value: object) -> object:
    """Return an answer whose probabilities are turned around, and whose other numbers are one larger."""
    if isinstance(value, dict):
        return {key: _shaken(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_shaken(part) for part in value]
    if isinstance(value, float) and 0 <= value <= 1:
        return 1 - value
    return value + 1 if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def main(argv: Sequence[str]) -> int:
    """Serve until the real server ends."""
    own, _, rest = (list(part) for part in _split(argv))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--size", type=float, required=True)
    parser.add_argument("--model", default="", help="a fault hits the candidate alone")
    args = parser.parse_args(own)
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        inner = int(probe.getsockname()[1])
    import uvicorn

    process = subprocess.Popen([part.replace("{inner}", str(inner)) for part in rest])
    kind = args.kind if not args.model or args.model.rstrip("/").endswith("candidate") else "none"
    try:
        proxy = Proxy(kind, args.size, inner)
        server = uvicorn.Server(uvicorn.Config(proxy, HOST, args.port, log_level="error", access_log=False))
        asyncio.run(_serve(server, process))
    finally:
        process.kill()
        process.wait(timeout=10)
    return process.returncode or 0


async def _serve(server: Any, process: subprocess.Popen[bytes]) -> None:
    """Serve, and stop when the real server is gone."""
    serving = asyncio.create_task(server.serve())
    while not serving.done():
        if process.poll() is not None:
            server.should_exit = True
        await asyncio.sleep(0.1)
    await serving


def _split(argv: Sequence[str]) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    place = list(argv).index("--")
    return argv[:place], argv[place : place + 1], argv[place + 1 :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
