"""ASGI middleware that streams: a request with `"stream": true` is answered by a model's `predict_stream`.

MLflow's scoring server answers such a request as a whole. The events are those of MLflow's `AgentServer`: each chunk as
`data: {...}`, an error as `data: {"error": ...}`, and `data: [DONE]` at the end.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from weighin.model.chat import FORMS
from weighin.serving.identity import App, Message, Receive, Send

PATH = "/invocations"
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # An nginx before this server would hold the pieces back.
    (b"x-accel-buffering", b"no"),
]
END = object()
DONE = b"data: [DONE]\n\n"
LATE = {"error": "the request took too long"}


def streams(model: Any) -> bool:
    """Whether a loaded model of MLflow's is asked in messages, and can stream."""
    task = (model.metadata.metadata or {}).get("task")
    return task in FORMS and getattr(model, "_predict_stream_fn", None) is not None


class Streamed:
    """Streams what asks for it; any other request reaches `app` as it came."""

    def __init__(self, app: App, model: Any, seconds: float) -> None:
        """Ask a loaded model of MLflow's, for at most so many seconds a request."""
        self._app, self._model, self._seconds = app, model, seconds

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        given = _asks_for_a_stream(bytes(body))
        if given is None:
            await self._app(scope, _again(bytes(body), receive), send)
            return
        gone = asyncio.ensure_future(receive())
        try:
            await self._stream(given, gone, send)
        finally:
            gone.cancel()

    async def _stream(self, given: dict[str, Any], gone: asyncio.Future[Message], send: Send) -> None:
        from mlflow.exceptions import MlflowException

        steps = _Steps(self._model.predict_stream(given))
        begun = False
        last: dict[str, Any] = {}
        try:
            async with asyncio.timeout(self._seconds):
                while (chunk := await steps.next()) is not END and not gone.done():
                    event = b"data: %s\n\n" % json.dumps(chunk).encode()
                    if not begun:
                        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
                        begun = True
                    await send({"type": "http.response.body", "body": event, "more_body": True})
        except TimeoutError:
            status, last = 504, LATE
        except MlflowException as error:
            status, last = error.get_http_status_code(), {"error": error.message}
            if not begun:
                await _whole(send, status, error.serialize_as_json())
                return
        except (TypeError, ValueError):
            status, last = 500, {"error": "the model streams what is not JSON"}
        else:
            status = 200
        finally:
            await steps.close()
        if last and not begun:
            await _whole(send, status, json.dumps(last))
            return
        if not begun:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        said = b"data: %s\n\n" % json.dumps(last).encode() if last else b""
        await send({"type": "http.response.body", "body": said + DONE})


class _Steps:
    """The chunks of a model, one after the other, each from a thread, and all in one context.

    MLflow sets a context variable at the first chunk and sets it back at the last, which another context refuses.
    """

    def __init__(self, chunks: Iterator[Any]) -> None:
        self._chunks, self._context = chunks, contextvars.copy_context()

    async def next(self) -> Any:
        """Return the next chunk, or `END`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, lambda: self._context.run(next, self._chunks, END))

    async def close(self) -> None:
        """End the model's generator, unless a thread that nobody waits for is still in it."""
        close = getattr(self._chunks, "close", None)
        if close is not None:
            with suppress(RuntimeError, ValueError):
                await asyncio.get_running_loop().run_in_executor(None, self._context.run, close)


def _asks_for_a_stream(body: bytes) -> dict[str, Any] | None:
    """Return what is asked; nothing where no stream is, or the server is to say what is wrong with it."""
    if b'"stream"' not in body:
        return None
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return given if isinstance(given, dict) and given.get("stream") is True else None


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read already, and then what comes."""
    first = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Message:
        return first.pop() if first else await receive()

    return received


async def _whole(send: Send, status: int, content: str) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content.encode()})
