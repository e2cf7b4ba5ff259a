"""The ASGI application that a chat sends commands to. Without a valid signature it says nothing but 401."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import urllib.parse

from weighin.serving.identity import Message, Receive, Send
from weighin.slash_command.commands import Commands, Reply
from weighin.slash_command.signature import Refused, Verifier

PATH = "/slack/commands"
ALIVE = "/alive"
BODY_BYTES = 16 * 1024
BODY_SECONDS = 5.0
ANSWER_SECONDS = 2.5
"""Slack waits for three."""
LATE = "The registry did not answer in time, and nothing is known to have been done. Look, and try again."
_LOG = logging.getLogger(__name__)


class SlashCommandApp:
    """Answers `POST /slack/commands` of Slack, and `GET /alive`."""

    def __init__(self, commands: Commands, verifier: Verifier) -> None:
        self._commands, self._verifier = commands, verifier

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            status, body = await self._answer(scope, receive)
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Message, receive: Receive) -> tuple[int, bytes]:
        if (scope["method"], scope["path"]) == ("GET", ALIVE):
            return 200, b"{}"
        if (scope["method"], scope["path"]) != ("POST", PATH):
            return 404, b"{}"
        try:
            body = await asyncio.wait_for(_body(receive), BODY_SECONDS)
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
            self._verifier.demand(headers, body, time.time())
        except (Refused, TimeoutError) as refused:
            _LOG.warning("a command was refused: %s", refused or "its body did not come in time")
            return 401, b"{}"
        user, text = _command(body)
        until = time.monotonic() + ANSWER_SECONDS
        answering = asyncio.to_thread(self._commands.answer, user, text, time.time(), lambda: time.monotonic() < until)
        try:
            reply = await asyncio.wait_for(answering, ANSWER_SECONDS)
        except TimeoutError:
            reply = Reply(LATE)
        except Exception as error:  # noqa: BLE001 - a person waits for a sentence
            _LOG.error("a command ended in %s", type(error).__name__)
            reply = Reply("That is an error of ours, and nothing is known to have been done: see the server's log.")
        kind = "in_channel" if reply.public else "ephemeral"
        return 200, json.dumps({"response_type": kind, "text": reply.text}).encode()


async def _body(receive: Receive) -> bytes:
    """Errors: `Refused` for a body that no command has."""
    found = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused("the connection ended")
        found += message.get("body", b"")
        if len(found) > BODY_BYTES:
            raise Refused(f"a body of more than {BODY_BYTES} bytes")
        if not message.get("more_body", False):
            return bytes(found)


def _command(body: bytes) -> tuple[str, str]:
    """Return who typed a command, and what; both empty where the form does not hold each of them once.

    >>> _command(b"user_id=U1&text=rollback+7&team_id=T1")
    ('U1', 'rollback 7')
    >>> _command(b"user_id=U1&user_id=U2&text=x")
    ('', '')
    """
    try:
        form = urllib.parse.parse_qs(body.decode(), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        return "", ""
    user, text = form.get("user_id", []), form.get("text", [])
    return (user[0], text[0]) if len(user) == len(text) == 1 else ("", "")


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
