"""Open-loop load: every request has its moment, whatever became of the ones before it.

Latency counts from the intended start, so that a server which stalls is charged for everything that queued up
meanwhile (what is left out otherwise is called coordinated omission, after Tene). The generator judges nothing: it
leaves one row per request in `responses.arrow`, and says how late it was itself.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weighin.data.table import read_arrow
from weighin.errors import NotEvaluated
from weighin.predict import answers_in
from weighin.runner.plan import LoadPlan

Floats = NDArray[np.float64]
ANSWER_BYTES = 2**20
"""Larger answers are errors: nothing that this asks for needs more."""
LOG_BYTES = 512 * 2**20

SCHEMA = pa.schema(
    [
        ("intended", pa.float64()),
        ("sent", pa.float64()),
        ("done", pa.float64()),
        ("warm_up", pa.bool_()),
        ("error", pa.string()),
        ("rows", pa.list_(pa.int64())),
        ("answers", pa.list_(pa.float64())),
    ]
)


@dataclass(frozen=True)
class Response:
    """One request: three moments in seconds since the start, an empty `error` for an answer of the right form.

    answers  row by row; a row of several classes gives as many numbers
    """

    intended: float
    sent: float
    done: float
    warm_up: bool
    error: str
    rows: list[int]
    answers: list[float] | None


def generate(url: str, features: Path, plan: LoadPlan, columns: tuple[int, ...], out: Path, seed: int = 0) -> None:
    """Ask `url` (MLflow's /invocations) at `plan.rate` for warm-up and run, and write `out/responses.arrow`.

    Rows are drawn from the Parquet file `features`; arrivals are Poisson, which is how independent users arrive.
    Errors: `NotEvaluated` when the server does not get healthy in `plan.start_seconds`.
    """
    import pandas as pd

    rows = pd.read_parquet(features)
    rng = np.random.default_rng(seed)
    total = plan.warm_up_seconds + plan.seconds
    moments = np.cumsum(rng.exponential(1 / plan.rate, size=int(plan.rate * total * 1.5) + 20))
    requests = []
    for moment in moments[moments < total]:
        drawn = np.sort(rng.choice(len(rows), size=min(plan.batch_rows, len(rows)), replace=False))
        body = json.dumps(
            {"dataframe_split": json.loads(rows.iloc[drawn].to_json(orient="split", index=False, double_precision=15))}
        )
        requests.append((float(moment), drawn.tolist(), body.encode()))
    responses = asyncio.run(_run(url, requests, plan, columns))
    out.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([r.__dict__ for r in responses], schema=SCHEMA)
    with pa.OSFile(str(out / "responses.arrow"), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_table(table)


async def _run(
    url: str, requests: list[tuple[float, list[int], bytes]], plan: LoadPlan, columns: tuple[int, ...]
) -> list[Response]:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=plan.timeout_seconds)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        await _healthy(session, url, plan.start_seconds)
        start = time.perf_counter()

        async def ask(intended: float, rows: list[int], body: bytes) -> Response:
            sent = time.perf_counter() - start
            error, answers = await _ask(session, url, body, len(rows), columns)
            done = time.perf_counter() - start
            return Response(intended, sent, done, intended < plan.warm_up_seconds, error, rows, answers)

        tasks = []
        for intended, rows, body in requests:
            await asyncio.sleep(max(0.0, intended - (time.perf_counter() - start)))
            tasks.append(asyncio.create_task(ask(intended, rows, body)))
        return list(await asyncio.gather(*tasks))


async def _ask(
    session: Any, url: str, body: bytes, rows: int, columns: tuple[int, ...]
) -> tuple[str, list[float] | None]:
    """The error (empty for none) and the answers of one request. A failure is a result here, not an exception."""
    import aiohttp

    headers = {"Content-Type": "application/json"}
    try:
        async with session.post(f"{url}/invocations", data=body, headers=headers) as response:
            content = await response.content.read(ANSWER_BYTES + 1)
            while not response.content.at_eof() and len(content) <= ANSWER_BYTES:
                content += await response.content.read(ANSWER_BYTES + 1 - len(content))
            if response.status != 200:
                return f"status {response.status}", None
    except TimeoutError:
        return "no answer in time", None
    except (aiohttp.ClientError, OSError) as error:
        return f"connection failed: {type(error).__name__}", None
    if len(content) > ANSWER_BYTES:
        return f"more than {ANSWER_BYTES} bytes", None
    try:
        answers = answers_in(json.loads(content)["predictions"], columns)
    except (ValueError, KeyError, TypeError, NotEvaluated):
        return "not the JSON that a scoring server answers", None
    if len(answers) != rows:
        return f"{len(answers)} answers for {rows} rows", None
    return "", answers.ravel().tolist()


async def _healthy(session: Any, url: str, seconds: float) -> None:
    import aiohttp

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            async with session.get(f"{url}/ping") as response:
                if response.status == 200:
                    return
        except (aiohttp.ClientError, OSError, TimeoutError):
            pass
        await asyncio.sleep(0.2)
    raise NotEvaluated(
        f"the server did not get healthy in {seconds:g} s", f"{url}/ping", "Serve the model by hand and read its log."
    )


@dataclass(frozen=True)
class LoadLog:
    """What the generator saw, after the warm-up. Arrays have shape (requests,); times in seconds."""

    intended: Floats
    latency: Floats
    lateness: Floats
    ok: NDArray[np.bool_]
    errors: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    answers: tuple[tuple[float, ...] | None, ...]

    @property
    def block(self) -> NDArray[np.int64]:
        """The second in which each request was due, as codes 0..B-1."""
        return np.unique(np.floor(self.intended).astype(np.int64), return_inverse=True)[1].astype(np.int64)


def read_log(path: Path) -> LoadLog:
    """Read `responses.arrow`. Errors: `NotEvaluated` when it is missing, damaged or holds no counted request."""
    place = f"load/{path.name}"
    table = read_arrow(path, place, LOG_BYTES)
    if table.schema != SCHEMA:
        raise NotEvaluated("not the columns of a load log", place, "Run the load step again.")
    counted = [r for r in table.to_pylist() if not r["warm_up"]]
    if not counted:
        raise NotEvaluated("zero requests were sent after the warm-up", place, "Raise `rate` or `seconds`.")
    intended, sent, done = (np.array([r[k] for r in counted], dtype=np.float64) for k in ("intended", "sent", "done"))
    errors = tuple(r["error"] for r in counted)
    return LoadLog(
        intended,
        done - intended,
        sent - intended,
        np.array([not e for e in errors]),
        errors,
        tuple(tuple(r["rows"]) for r in counted),
        tuple(None if r["answers"] is None else tuple(r["answers"]) for r in counted),
    )
