"""The process that serves one model on a listening socket that it inherits.

python -P -m weighin.serving.worker --fd N --state DIR

At its end uvicorn closes every connection that has no request in progress. The next request of such a connection may be
on its way already: then a client that connected, or kept its connection, gets a reset instead of an answer. This server
stops accepting, answers what comes on its open connections, and closes each of them with an answer.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import uvicorn

from weighin.serving.identity import App, Message, Receive, Send

GRACE_SECONDS = 10.0
"""Time in which an open connection may send its last request. It is longer than uvicorn keeps an idle one: 5 s."""
ANSWER_SECONDS = 60
"""Time that requests have for their answer when the grace period has ended: MLflow's own limit for a request."""
READY, CLOSED = "ready", "closed"
"""Files of the state folder: the worker accepts connections; it accepts no more of them."""
ACCEPTED_AT_ONCE = 64
QUEUE = 1024
"""Connections that are taken from the queue of the listening socket before the worker leaves it, at most."""
RETRY_SECONDS = 0.5


class ClosingAnswers:
    """ASGI middleware: while `draining` is set, every answer that begins says `Connection: close`."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.draining = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""

        async def send_closing(message: Message) -> None:
            if self.draining and message["type"] == "http.response.start":
                others = [(n, v) for n, v in message.get("headers", []) if n.lower() != b"connection"]
                message = {**message, "headers": [*others, (b"connection", b"close")]}
            await send(message)

        await self._app(scope, receive, send_closing)


class DrainingServer(uvicorn.Server):
    """uvicorn, with an accept loop of its own and a shutdown that leaves no accepted connection without an answer.

    listening  the socket; other processes may accept on it as well
    answers    the outermost part of the application in `config`
    state      folder in which the files READY and CLOSED are made
    grace      seconds for the last request of each open connection
    """

    def __init__(
        self,
        config: uvicorn.Config,
        listening: socket.socket,
        answers: ClosingAnswers,
        state: Path,
        grace: float = GRACE_SECONDS,
    ) -> None:
        super().__init__(config)
        self._listening, self._answers, self._state, self._grace = listening, answers, state, grace
        self._opening: set[asyncio.Task[None]] = set()
        self._parent = os.getppid()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then accept connections."""
        await super().startup(sockets=[])
        self._listening.setblocking(False)
        self._accept_again()
        (self._state / READY).touch()

    async def on_tick(self, counter: int) -> bool:
        """Whether to end. A worker whose parent was killed ends too: it would keep the port taken."""
        return await super().on_tick(counter) or os.getppid() != self._parent

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, wait until the open connections have had their last answer, and end the application."""
        self._answers.draining = True
        asyncio.get_running_loop().remove_reader(self._listening.fileno())
        # At the end of all serving nobody else takes what is in the queue.
        self._accept(QUEUE)
        self._listening.close()
        if self._opening:
            await asyncio.wait(self._opening)
        (self._state / CLOSED).touch()
        deadline = asyncio.get_running_loop().time() + self._grace
        state = self.server_state
        while (state.connections or state.tasks) and not self.force_exit:
            if asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(0.05)
        await super().shutdown(sockets=[])

    def _accept_again(self) -> None:
        if self._listening.fileno() >= 0 and not self._answers.draining:
            asyncio.get_running_loop().add_reader(self._listening.fileno(), self._accept)

    def _accept(self, at_most: int = ACCEPTED_AT_ONCE) -> None:
        """Take connections from the queue. asyncio's own server forgets those that it took just before it is closed."""
        loop = asyncio.get_running_loop()
        for _ in range(at_most):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                # No file descriptor is left, for example: the queue keeps the connection meanwhile.
                print(f"weighin: no connection can be accepted: {error.strerror}", file=sys.stderr, flush=True)
                if not self._answers.draining:
                    loop.remove_reader(self._listening.fileno())
                    loop.call_later(RETRY_SECONDS, self._accept_again)
                return
            task = loop.create_task(self._open(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        try:
            connection.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        except OSError:
            connection.close()  # the client is gone already

    def _protocol(self) -> asyncio.Protocol:
        protocol_class = cast("type", self.config.http_protocol_class)
        made = protocol_class(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        return cast("asyncio.Protocol", made)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; returns 0, or 3 where the application did not start."""
    parser = argparse.ArgumentParser(description="Serve one model on an inherited listening socket.")
    parser.add_argument("--fd", type=int, required=True, help="number of the listening socket")
    parser.add_argument("--state", type=Path, required=True, help=f"folder for the files {READY} and {CLOSED}")
    args = parser.parse_args(arguments)
    listening = socket.socket(fileno=args.fd)
    # Only here: it imports MLflow, which tests of the server do not need.
    from weighin.serving.scoring import app

    answers = ClosingAnswers(app())
    config = uvicorn.Config(answers, log_level="warning", timeout_graceful_shutdown=ANSWER_SECONDS)
    server = DrainingServer(config, listening, answers, args.state)
    server.run()
    return 0 if server.started else 3


if __name__ == "__main__":
    sys.exit(main())
