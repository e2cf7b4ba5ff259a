"""Models of MLflow that are asked in messages: `ChatModel` and `ResponsesAgent`. Standard library only.

A row has one text: the question of a user, or a JSON list of messages, each with `role` and `content`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

CHAT, RESPONSES = "agent/v1/chat", "agent/v1/responses"
FORMS = (CHAT, RESPONSES)
"""What MLflow notes as the task of such a model, in its MLmodel file."""
REQUESTS = {"chat": CHAT, "responses": RESPONSES}
"""How the contract calls a request of each form (`gates.load.server.request`)."""


def request(form: str, text: str) -> dict[str, Any]:
    """Return what a model of a form is asked for one row.

    >>> request(CHAT, "Why?")
    {'messages': [{'role': 'user', 'content': 'Why?'}]}
    """
    messages = _messages(text) or [{"role": "user", "content": text}]
    return {"messages" if form == CHAT else "input": messages}


def asked(given: object) -> str | None:
    """Return the row that a request of messages was made for, the inverse of `request`; nothing where none makes it.

    >>> asked({"messages": [{"role": "user", "content": "Why?"}], "stream": True})
    'Why?'
    """
    if not isinstance(given, Mapping):
        return None
    messages = given.get("messages", given.get("input"))
    if isinstance(messages, str):
        return messages
    if isinstance(messages, list):
        # An agent's client may say that a message is one.
        messages = [
            {k: v for k, v in m.items() if (k, v) != ("type", "message")} if isinstance(m, Mapping) else m
            for m in messages
        ]
    try:
        text = json.dumps(messages, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return None
    if _messages(text) is None:
        return None
    if len(messages) == 1 and messages[0]["role"] == "user" and _messages(messages[0]["content"]) is None:
        return str(messages[0]["content"])
    return text


def reply(form: str, returned: object) -> str | None:
    """Return the text of an answer; nothing where it has none.

    >>> reply(CHAT, {"choices": [{"message": {"role": "assistant", "content": "So."}}]})
    'So.'
    """
    if not isinstance(returned, Mapping):
        return None
    try:
        if form == CHAT:
            text = returned["choices"][0]["message"]["content"]
            return text if isinstance(text, str) else None
        parts = [
            part["text"]
            for item in returned["output"]
            if item.get("type") == "message"
            for part in item["content"]
            if part.get("type") == "output_text"
        ]
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    return "".join(parts) if parts and all(isinstance(p, str) for p in parts) else None


def _messages(text: str) -> list[dict[str, str]] | None:
    """Return the messages of a JSON list of them; nothing for any other text."""
    try:
        value = json.loads(text) if text.lstrip().startswith("[") else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list) or not value:
        return None
    sound = all(
        isinstance(m, dict) and set(m) == {"role", "content"} and all(isinstance(v, str) for v in m.values())
        for m in value
    )
    return value if sound else None
