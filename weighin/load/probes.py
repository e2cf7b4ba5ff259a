"""Requests that are sent one by one when the load is over: the input example, and malformed ones."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from weighin.load.answer import response
from weighin.load.bodies import bodies, rows_as_json
from weighin.load.client import Client
from weighin.load.send import client_for
from weighin.model.chat import REQUESTS, request
from weighin.runner.plan import Answers, Interface, LoadPlan
from weighin.untrusted import JsonDict, JsonValue
from weighin.untrusted.bounded import json_value
from weighin.untrusted.redact import reduced

EXAMPLE = "input_example.json"
EXAMPLE_BYTES = 2**20
NO_COLUMN = "weighin_no_such_column"


def probe(url: str, features: Path, plan: LoadPlan, meant: Answers) -> dict[str, list[JsonDict]]:
    """Return what became of each request: its name, what was answered in words, and whether that is as it should be.

    A malformed request is to get a 4xx and to leave the server healthy; after all of them a right request is to be
    answered rightly. `unavailable` says why there is no input example to be sent.
    """
    return asyncio.run(_probe(client_for(url, plan), features, plan, meant))


async def _probe(client: Client, features: Path, plan: LoadPlan, meant: Answers) -> dict[str, list[JsonDict]]:
    interface, seconds = plan.interface, plan.timeout_seconds
    ask, health = client.head("POST", interface.path), client.head("GET", interface.health)
    one = pq.read_table(features).slice(0, 1)

    async def answered(body: bytes, rows: int) -> str:
        answer = await client.ask(ask, body, seconds)
        return response("", 0.0, 0.0, 0.0, answer, tuple(range(rows)), interface, meant).error

    try:
        example = await _example(features.with_name(EXAMPLE), interface, answered)
        malformed = []
        for name, body in _malformed(one, interface).items():
            said = (await client.ask(ask, body, seconds)).error or "answered as if it were right"
            # Once more: a server may close a connection after an error, and what is sent on it meanwhile is lost.
            alive = (await client.ask(health, b"", seconds)).error and (await client.ask(health, b"", seconds)).error
            kept = said.startswith("status 4") and not alive
            malformed.append({"name": name, "said": f"{said}, then {alive}" if alive else said, "kept": kept})
        said = await answered(rows_as_json(one, interface, [0]).of([0]), 1)
        malformed.append({"name": "a right request after these", "said": said or "answered", "kept": not said})
    finally:
        await client.close()
    return {"input_example": example, "malformed": malformed}


def _malformed(one: pa.Table, interface: Interface) -> dict[str, bytes]:
    """Bodies that no server may answer with predictions."""
    found = {"broken JSON": b'{"dataframe_split": ', "an empty object": b"{}"}
    if interface.form in REQUESTS:
        return {**found, "a number for messages": _messages(interface, 1)}
    found["no known column"] = rows_as_json(pa.table({NO_COLUMN: [1]}), interface, [0]).of([0])
    numbers = [i for i, f in enumerate(one.schema) if pa.types.is_integer(f.type) or pa.types.is_floating(f.type)]
    if numbers:
        text = one.set_column(numbers[0], one.column_names[numbers[0]], [["weighin"]])
        found["text for a number"] = rows_as_json(text, interface, [0]).of([0])
    return found


def _messages(interface: Interface, messages: JsonValue) -> bytes:
    """Return a request of these messages, in the form of the interface."""
    (key,) = request(REQUESTS[interface.form], "")
    return json.dumps({key: messages, "stream": interface.stream}).encode()


async def _example(path: Path, interface: Interface, answered: Any) -> list[JsonDict]:
    """Return the example that is logged with the model, in the form that the server takes."""
    import pandas as pd

    name = "input example"
    if not path.is_file():
        return [{"name": name, "unavailable": "no input example is logged with the model"}]
    try:
        if path.stat().st_size > EXAMPLE_BYTES:
            raise ValueError(f"larger than {EXAMPLE_BYTES} bytes")
        known = json_value(path.read_bytes())
        if interface.form in REQUESTS:
            body, rows = _messages(interface, known[next(iter(request(REQUESTS[interface.form], "")))]), 1
        else:
            table = known["dataframe_split"]
            frame = pd.DataFrame(table["data"], columns=table["columns"])
            body, rows = bodies(frame, interface).of(range(len(frame))), len(frame)
        if interface.form == "dataframe_split":
            body = path.read_bytes()
    except (ValueError, KeyError, TypeError) as error:
        return [{"name": name, "unavailable": f"the logged input example is no table ({reduced(error)})"}]
    said = await answered(body, rows)
    return [{"name": name, "said": said or "answered", "kept": not said}]
