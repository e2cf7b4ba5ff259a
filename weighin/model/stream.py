"""Streams of server-sent events: the text that they carry, and where in them its first piece ends.

The events are those of OpenAI's chat completions and responses, which MLflow's `ChatModel` and `ResponsesAgent` stream.
MLflow's `AgentServer` ends a stream with `data: [DONE]`, and says an error as `data: {"error": ...}`.
Source of the format: WHATWG HTML, 9.2 "Server-sent events".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from weighin.model.chat import CHAT, reply

DONE = b"[DONE]"
FAILED = ("error", "response.failed", "response.incomplete")
"""Types of events that say that no whole answer comes."""
_LINE = re.compile(rb"([^\r\n]*)(\r\n|\n|\r)")


def read_stream(content: bytes, form: str) -> tuple[str, str, int]:
    """Return the error (empty for none), the text, and after how many bytes its first piece was there.

    form  of `weighin.model.chat`
    A piece of nothing but white space is not the first: it would be sent by a server that has nothing to say yet.

    >>> read_stream(b'data: {"choices": [{"delta": {"content": "So."}}]}\\n\\ndata: [DONE]\\n\\n', CHAT)
    ('', 'So.', 52)
    >>> read_stream(b'{"choices": []}', CHAT)[0]
    'no events in the answer: this server does not stream'
    """
    pieces: list[str] = []
    whole: list[str] = []
    first, begun, ended = 0, False, False
    for name, data, end in _events(content):
        begun = True
        if data.strip() == DONE:
            ended = True
            break
        try:
            event = json.loads(data.decode())
        except (ValueError, RecursionError):
            return "an event of the stream is not JSON", "", 0
        if not isinstance(event, dict):
            return "an event of the stream is no object", "", 0
        if name == b"error" or event.get("error") or event.get("type") in FAILED:
            return "an error in the stream", "", 0
        try:
            (_of_chat if form == CHAT else _of_responses)(event, pieces, whole)
        except (LookupError, TypeError, AttributeError):
            return "an event of the stream has another form", "", 0
        if not first and any(text.strip() for text in (*pieces[-1:], *whole[-1:])):
            first = end
        if event.get("type") == "response.completed":
            ended = True
            break
    if not begun:
        return "no events in the answer: this server does not stream", "", 0
    if not ended:
        return "the stream broke off", "", 0
    text = "".join(pieces) or "".join(whole)
    if whole and text != "".join(whole):
        return "the pieces of the stream are not the answer at its end", "", 0
    return ("", text, first) if first else ("a stream without content", "", 0)


def _of_chat(event: dict[str, Any], pieces: list[str], _whole: list[str]) -> None:
    """Add the piece of a chunk of a chat completion; the last one may hold counts and no choice."""
    for choice in event["choices"][:1]:
        piece = choice["delta"].get("content")
        if piece is not None:
            pieces.append(_text(piece))


def _of_responses(event: dict[str, Any], pieces: list[str], whole: list[str]) -> None:
    """Add the piece of a delta, or the text of a message that is whole; other events, as of tools, carry no answer."""
    if event["type"] == "response.output_text.delta":
        pieces.append(_text(event["delta"]))
    elif event["type"] == "response.output_item.done" and event["item"].get("type") == "message":
        whole.append(_text(reply("", {"output": [event["item"]]})))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _events(content: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield name, data and end of each whole event with data. Comments, ids and times to retry are passed over."""
    name = b""
    data: list[bytes] = []
    for line in _LINE.finditer(content, 3 if content.startswith(b"\xef\xbb\xbf") else 0):
        field, _, value = line[1].partition(b":")
        value = value.removeprefix(b" ")
        if not line[1]:
            if data:
                yield name, b"\n".join(data), line.end()
            name, data = b"", []
        elif field == b"event":
            name = value
        elif field == b"data":
            data.append(value)
