"""Requests that `weighin serve` loses while it changes its worker.

    python benchmarks/reloads.py [--reloads N] [--rate R]

A small scikit-learn model is served. SIGHUP makes the server load it again, N times (200), one after the other, while
R requests a second (50) arrive at random times that do not depend on the answers: every second one on a connection of
its own, the others on connections that are kept. A request is lost when its whole answer with status 200 does not come
within 60 seconds. A kept connection that the server closed between two requests, or that was idle for 4 seconds, is not
used again. Last line: JSON. Exit code 1 when a request was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

NAME = "flight-delay"
ANSWER_SECONDS, RELOAD_SECONDS, IDLE_SECONDS = 60.0, 240.0, 4.0
BODY = json.dumps({"inputs": [[1.0, 2.0], [0.5, -1.0]]}).encode()
"""Without a data frame MLflow needs a quarter of the processor time, so that reloads have room beside the requests."""


def registry(folder: Path) -> str:
    """The address of a registry whose champion is a small classifier."""
    import mlflow.sklearn
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    rows = np.random.default_rng(1).normal(size=(200, 2))
    model = LogisticRegression().fit(rows, rows[:, 0] > 0)
    uri = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    mlflow.create_experiment(NAME, artifact_location=str(folder / "artifacts"))
    mlflow.set_experiment(NAME)
    with mlflow.start_run():
        mlflow.sklearn.log_model(model, name="model", registered_model_name=NAME, pip_requirements=[])
    mlflow.MlflowClient(tracking_uri=uri).set_registered_model_alias(NAME, "champion", "1")
    return uri


@dataclass
class Connection:
    """An open connection; `used` is when its last answer came."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used: float = 0.0

    @property
    def usable(self) -> bool:
        """Whether a careful client would send another request on it."""
        return time.monotonic() - self.used < IDLE_SECONDS and not self.reader.at_eof()

    async def ask(self, keep: bool) -> bool:
        """Send a request and read its answer; returns whether the server keeps the connection. Errors: `Lost`."""
        head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}"
        self.writer.write(f"{head}\r\n{'' if keep else 'Connection: close' + chr(13) + chr(10)}\r\n".encode() + BODY)
        await self.writer.drain()
        status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        body = await self.reader.readexactly(int(headers["content-length"]))
        if status.split()[1] != "200" or len(json.loads(body)["predictions"]) != 2:
            raise Lost(f"status {status.split()[1]}")
        self.used = time.monotonic()
        return headers.get("connection") != "close"

    def close(self) -> None:
        """Close it."""
        self.writer.close()


class Lost(Exception):
    """An answer that is none."""


@dataclass
class Load:
    """What was sent, and what became of it."""

    port: int
    rate: float
    requests: int = 0
    lost: collections.Counter[str] = field(default_factory=collections.Counter)
    seconds: list[float] = field(default_factory=list)
    kept: collections.deque[Connection] = field(default_factory=collections.deque)
    reused: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def send(self, done: asyncio.Event) -> None:
        """Send until `done`, then wait for the answers."""
        arrivals, due = random.Random(1), time.monotonic()  # noqa: S311 - times of arrival
        while not done.is_set():
            due += arrivals.expovariate(self.rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.requests += 1
            task = asyncio.create_task(self._one(keep=self.requests % 2 == 0, due=due))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=ANSWER_SECONDS + 5)
        for connection in self.kept:
            connection.close()

    async def _one(self, *, keep: bool, due: float) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._asked(keep)
            self.seconds.append(time.monotonic() - due)
        except (OSError, EOFError, Lost, KeyError, ValueError, TimeoutError) as error:
            kind = "kept connection" if keep else "new connection"
            self.lost[f"{kind}: {error if isinstance(error, Lost) else type(error).__name__}"] += 1

    async def _asked(self, keep: bool) -> None:
        connection = self._kept() if keep else None
        if connection is None:
            connection = Connection(*await asyncio.open_connection("127.0.0.1", self.port))
        else:
            self.reused += 1
        try:
            stays = await connection.ask(keep)
        except BaseException:
            connection.close()
            raise
        if keep and stays:
            self.kept.append(connection)
        else:
            connection.close()

    def _kept(self) -> Connection | None:
        while self.kept:
            connection = self.kept.popleft()
            if connection.usable:
                return connection
            connection.close()
        return None


async def measured(folder: Path, reloads: int, rate: float) -> dict[str, float]:
    """Serve, send and reload; returns the counts."""
    shutil.copyfile(ROOT / "model_contract.yaml", folder / "model_contract.yaml")
    command = ["-m", "weighin", "serve", "--contract", str(folder / "model_contract.yaml"), "--port", "0"]
    with (folder / "server.log").open("wb") as log:
        server = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert server.stdout is not None
        done, began, took = asyncio.Event(), time.monotonic(), []
        try:
            async with asyncio.timeout(RELOAD_SECONDS):
                first = (await server.stdout.readline()).decode()
            load = Load(int(first.split()[0].rpartition(":")[2]), rate)
            began = time.monotonic()
            sending = asyncio.create_task(load.send(done))
            try:
                await asyncio.sleep(2)
                for number in range(1, reloads + 1):
                    asked = time.monotonic()
                    server.send_signal(signal.SIGHUP)
                    async with asyncio.timeout(RELOAD_SECONDS):
                        line = (await server.stdout.readline()).decode()
                    if not line.startswith("serves version"):
                        raise RuntimeError(f"the server did not reload: {line!r}")
                    took.append(time.monotonic() - asked)
                    if number % 10 == 0:
                        print(f"{number} reloads, {load.requests} requests, lost {dict(load.lost)}", flush=True)
                await asyncio.sleep(2)
            finally:
                done.set()
                await sending
            seconds = time.monotonic() - began
        finally:
            if server.returncode is None:
                server.send_signal(signal.SIGTERM)
            async with asyncio.timeout(120):
                code = await server.wait()
    if code != 0:
        raise RuntimeError(f"the server ended with code {code}: {(folder / 'server.log').read_text()[-2000:]}")
    answered, took = sorted(load.seconds), sorted(took)
    print(f"a reload took {took[len(took) // 2]:.1f} s (median), {took[-1]:.1f} s (longest)")
    p50, p99 = (1000 * answered[int(share * len(answered))] for share in (0.5, 0.99))
    print(
        f"latency from the intended start: p50 {p50:.0f} ms, p99 {p99:.0f} ms; "
        f"{load.reused} requests came on a used connection"
    )
    print(f"lost: {dict(load.lost) or 'none'}")
    lost = load.requests - len(load.seconds)
    return {"reloads": reloads, "requests": load.requests, "lost": lost, "rate": round(load.requests / seconds, 1)}


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description="Count the requests that a reload loses.")
    parser.add_argument("--reloads", type=int, default=200)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="weighin-reloads-") as place:
        os.environ["MLFLOW_TRACKING_URI"] = registry(Path(place))
        result = asyncio.run(measured(Path(place), args.reloads, args.rate))
    print(json.dumps(result))
    return 1 if result["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
