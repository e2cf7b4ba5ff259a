"""Which model a server serves: two headers in each of its answers, for any ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

DIGEST = "weighin-model-digest"
VERSION = "weighin-model-version"


class Identity:
    """ASGI middleware: every answer names the digest of the model's files, and its version.

    digest   `artifact_digest` of the files that were loaded, not of those that should have been
    version  of the registry; empty where there is none
    """

    def __init__(self, app: App, digest: str, version: str = "") -> None:
        self._app = app
        self._headers = [(DIGEST.encode(), digest.encode("ascii")), (VERSION.encode(), version.encode("ascii"))]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back with the headers."""

        async def send_logged(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in self._headers}
                others = [(n, v) for n, v in message.get("headers", []) if n.lower() not in own]
                message = {**message, "headers": [*others, *self._headers]}
            await send(message)

        await self._app(scope, receive, send_logged)
