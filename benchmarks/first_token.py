"""How far the measured time to the first token lies from the truth.

    python benchmarks/first_token.py [--quick]

A server in a process of its own streams twelve pieces: the first 100 ms after the request, the last 220 ms later. Its
own lateness is part of what is measured, and so is what else the machine does: the tails of the first token are those
of the whole answer. The last line is one JSON object; exit code 1 when a median is off by more than 5 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from weighin.load import generate, read_log
from weighin.load.precise_loop import precise_loop
from weighin.runner.plan import Answers, Interface, LoadPlan, Phase

FIRST, EVERY, PIECES = 0.1, 0.02, 12
OFF_MS = 5.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class _Server(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET"):
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return
        loop = asyncio.get_running_loop()
        self.transport.write(HEAD)
        for number in range(PIECES):
            piece = b'data: {"choices": [{"delta": {"content": "word "}}]}\n\n'
            last = b"data: [DONE]\n\n" if number == PIECES - 1 else b""
            end = b"0\r\n\r\n" if last else b""
            loop.call_later(FIRST + EVERY * number, self.transport.write, _chunk(piece + last) + end)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().create_future()


def main() -> int:
    """Measure and compare; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="ten seconds in place of sixty")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        with asyncio.Runner(loop_factory=precise_loop) as runner:
            runner.run(_serve())
    seconds, found = 10 if given.quick else 60, {}
    for rate in (10, 100):
        phases = (Phase("warm_up", rate, 1), Phase("load", rate, seconds))
        interface = Interface(form="chat", stream=True)
        plan = LoadPlan(phases, "poisson", (1,), 5, 1, 500, 10, interface, 1000, 0.5, 50)
        program = [sys.executable, __file__, "--serve"]
        with tempfile.TemporaryDirectory() as name, subprocess.Popen(program, stdout=subprocess.PIPE) as process:
            folder = Path(name)
            pq.write_table(pa.table({"question": ["why?"]}), folder / "features.parquet")
            try:
                assert process.stdout is not None
                url = f"http://127.0.0.1:{int(process.stdout.readline())}"
                generate(url, folder / "features.parquet", plan, Answers((0,), "text"), folder)
            finally:
                process.kill()
            log = read_log([folder / "responses-candidate-0.arrow"])
        first, whole = (
            (v[log.ok] - truth) * 1000 for v, truth in ((log.first, FIRST), (log.latency, FIRST + EVERY * 11))
        )
        found[str(rate)] = {
            "requests": len(log.ok),
            "failed": int((~log.ok).sum()),
            "first_off_ms": {q: round(float(np.quantile(first, q)), 2) for q in (0.5, 0.95, 0.99)},
            "whole_off_ms": {q: round(float(np.quantile(whole, q)), 2) for q in (0.5, 0.95, 0.99)},
        }
        print(rate, found[str(rate)])
    worst = max(abs(each["first_off_ms"][0.5]) for each in found.values())
    print(json.dumps({"rates": found, "worst_median_off_ms": worst, "limit_ms": OFF_MS}))
    return int(worst > OFF_MS or any(each["failed"] for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
