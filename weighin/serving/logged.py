"""ASGI middleware that logs predictions: for MLflow's scoring server, and with two functions for any other.

Bytes pass through as they come; nothing is read in them before the answer was sent, and then by another thread.
"""

from __future__ import annotations

import asyncio
import time
import uuid

from weighin.prediction_log.exchange import (
    Exchange,
    ReadFeatures,
    ReadPredictions,
    Served,
    mlflow_features,
    mlflow_predictions,
)
from weighin.prediction_log.tables import REQUEST, UNIT
from weighin.prediction_log.writer import LogWriter
from weighin.serving.identity import App, Message, Receive, Send

HEADER = b"x-request-id"
"""Where a client says an id of its own, and learns the one that is logged: labels name it."""
BODY_BYTES = 2**20
"""Of a larger body neither features nor predictions are logged."""


class Logged:
    """Answers to POST at one path are logged, failed ones too."""

    def __init__(
        self,
        app: App,
        writer: LogWriter,
        served: Served,
        *,
        path: str = "/invocations",
        features: ReadFeatures = mlflow_features,
        predictions: ReadPredictions = mlflow_predictions,
        body_bytes: int = BODY_BYTES,
        unit_header: str = "",
    ) -> None:
        """Log what `app` answers.

        served       model, version, digest and role that stand in every row
        features     called by the writer's thread with the request's body and content type
        predictions  called by it with the answer's body, and the numbers of an answer that count
        unit_header  the header that names a request's unit, as the log's tables say it; empty for none
        """
        self._app, self._writer, self._served = app, writer, served
        self._path, self._features, self._predictions, self._most = path, features, predictions, body_bytes
        self._unit_header = unit_header.encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._closing(send))
        elif scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == self._path:
            await self._logged(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _closing(self, send: Send) -> Send:
        """Store what waits before the server ends."""

        async def send_logged(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                await asyncio.to_thread(self._writer.close)
            await send(message)

        return send_logged

    async def _logged(self, scope: Message, receive: Receive, send: Send) -> None:
        at, began = time.time(), time.perf_counter()
        request = _request(scope)
        request_body, response_body = _Body(self._most), _Body(self._most)
        status, plain, done = 500, True, False

        async def receive_logged() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                request_body.add(message.get("body", b""))
            return message

        async def send_logged(message: Message) -> None:
            nonlocal request, status, plain, done
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", []))
                own = next((value for name, value in headers if name.lower() == HEADER), None)
                if own is None:
                    message = {**message, "headers": [*headers, (HEADER, request.encode())]}
                elif REQUEST.fullmatch(own.decode("latin-1")):
                    request = own.decode("latin-1")
                plain = not any(name.lower() == b"content-encoding" for name, _ in headers)
                await send(message)
            elif message["type"] == "http.response.body":
                response_body.add(message.get("body", b""))
                await send(message)
                if not message.get("more_body", False) and not done:
                    done = True
                    enqueue()
            else:
                await send(message)

        def enqueue() -> None:
            took, bodies = 1000 * (time.perf_counter() - began), (request_body, response_body)
            self._writer.enqueue(self._exchange(scope, at, request, status, took, bodies, plain=plain))

        try:
            await self._app(scope, receive_logged, send_logged)
        finally:
            if not done:
                # It raised, was cut off, or never answered.
                status = status if status >= 400 else 500
                enqueue()

    def _exchange(
        self,
        scope: Message,
        at: float,
        request: str,
        status: int,
        latency_ms: float,
        bodies: tuple[_Body, _Body],
        *,
        plain: bool,
    ) -> Exchange:
        """Return what is logged of a request and its answer. `plain`: the answer's body has no encoding."""
        headers = scope.get("headers", [])
        encoded = any(name == b"content-encoding" for name, _ in headers)
        kind = next((value for name, value in headers if name == b"content-type"), b"")
        asked, answer = bodies
        return Exchange(
            at=at,
            request=request,
            served=self._served,
            status=status,
            latency_ms=latency_ms,
            request_body=asked.whole(),
            content_type=kind.decode("latin-1"),
            response_body=answer.whole(),
            whole=plain and not encoded and not asked.over and not answer.over,
            features=self._features,
            predictions=self._predictions,
            unit=_unit(scope, self._unit_header),
        )


class _Body:
    """What passed, up to a bound."""

    def __init__(self, most: int) -> None:
        self._most, self._size, self._parts = most, 0, list[bytes]()
        self.over = False

    def add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._most:
            self.over = True
            self._parts.clear()
        elif part:
            self._parts.append(bytes(part))

    def whole(self) -> bytes:
        return b"".join(self._parts)


def _request(scope: Message) -> str:
    """Return the client's own id, where it has the form of one."""
    given = next((value for name, value in scope.get("headers", []) if name == HEADER), b"").decode("latin-1")
    return given if REQUEST.fullmatch(given) else uuid.uuid4().hex


def _unit(scope: Message, header: bytes) -> str | None:
    """Return the pseudonym that a request names, once and in the form of one; else None, and its text is nowhere."""
    given = [value.decode("latin-1") for name, value in scope.get("headers", []) if header and name == header]
    return given[0] if len(given) == 1 and UNIT.fullmatch(given[0]) else None
