"""A client of `/chat/completions`. The key goes to the one address that the environment names, and is in no message."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import stamina

from weighin.errors import NotEvaluated
from weighin.untrusted import JsonDict
from weighin.untrusted.bounded import json_value
from weighin.untrusted.redact import cause

SECONDS = 120.0
"""For one answer."""
LARGEST = 4 * 2**20
"""Bytes of one response."""
ATTEMPTS = 4
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Reply:
    """What was answered; `tokens` of prompt and answer together, where the endpoint counts them."""

    text: str
    latency_ms: float
    tokens: int | None


class Busy(Exception):
    """An answer that may be another one in a moment: too many requests, an error of the server, no connection."""


@dataclass(frozen=True)
class Endpoint:
    """An address, up to and without `/chat/completions`, and a key."""

    url: str
    key: str = field(repr=False, default="")
    seconds: float = SECONDS

    @staticmethod
    def of(prefix: str, environment: Mapping[str, str] = os.environ) -> Endpoint:
        """Return what `PREFIX_URL` and `PREFIX_KEY` name. Errors: `NotEvaluated` where there is no usable address."""
        name = f"{prefix}_URL"
        url = environment.get(name, "").rstrip("/")
        if not url:
            raise NotEvaluated(
                "no endpoint is named", name, "Set it to an OpenAI-compatible address, such as https://host/v1."
            )
        try:
            parts = urlsplit(url)
        except ValueError:
            raise NotEvaluated("not an address", name, "Set it to https://host/v1.") from None
        plain = parts.scheme == "http" and parts.hostname in LOOPBACK
        if not parts.hostname or parts.username or not (parts.scheme == "https" or plain):
            raise NotEvaluated(
                "not an address by https without a name and password in it", name, "Put the key in PREFIX_KEY."
            )
        return Endpoint(url, environment.get(f"{prefix}_KEY", ""))

    @contextlib.contextmanager
    def connected(self) -> Iterator[Callable[[JsonDict], Reply]]:
        """Yield what sends a body, several at the same time, and returns the first choice of the answer.

        Its errors: `NotEvaluated`, without a word of request or answer.
        """
        with httpx.Client(timeout=self.seconds, follow_redirects=False, trust_env=False) as client:
            yield functools.partial(self._ask, client)

    def _ask(self, client: httpx.Client, body: JsonDict) -> Reply:
        host = urlsplit(self.url).hostname or ""
        started, content = time.perf_counter(), b""
        try:
            for attempt in stamina.retry_context(
                on=Busy, attempts=ATTEMPTS, timeout=None, wait_initial=0.2, wait_max=20.0
            ):
                with attempt:
                    started = time.perf_counter()
                    content = self._content(client, body)
        except Busy as error:
            raise NotEvaluated(f"the endpoint does not answer ({error})", host, "Ask again later.") from None
        took = (time.perf_counter() - started) * 1000
        text, tokens = _reply(content, host)
        return Reply(text, took, tokens)

    def _content(self, client: httpx.Client, body: JsonDict) -> bytes:
        """Send a request once. Errors: `Busy`, `NotEvaluated`."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        host = urlsplit(self.url).hostname or ""
        deadline = time.monotonic() + self.seconds
        try:
            with client.stream("POST", f"{self.url}/chat/completions", json=body, headers=headers) as response:
                if response.status_code == 429 or response.status_code >= 500:
                    raise Busy(f"{response.status_code}")
                if response.status_code != 200:
                    said = f"the endpoint answered {response.status_code}"
                    raise NotEvaluated(said, host, "Correct the address, the key or the name of the model.")
                parts, size = [], 0
                for part in response.iter_bytes():
                    size += len(part)
                    if size > LARGEST:
                        raise NotEvaluated(f"an answer of more than {LARGEST:,} bytes", host, "Bound its length.")
                    if time.monotonic() > deadline:
                        raise Busy("it took too long")
                    parts.append(part)
                return b"".join(parts)
        except httpx.HTTPError as error:
            raise Busy(cause(error)) from None


def _reply(content: bytes, host: str) -> tuple[str, int | None]:
    """Return the text of the first choice, and the tokens. Errors: `NotEvaluated`."""
    try:
        value = json_value(content)
        text = value["choices"][0]["message"]["content"]
        usage = value.get("usage") or {}
        tokens = usage.get("total_tokens")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise NotEvaluated("an answer that is no chat completion", host, "Name an OpenAI-compatible address.") from None
    if not isinstance(text, str):
        raise NotEvaluated("an answer without text", host, "Ask a model that answers texts.")
    return text, tokens if isinstance(tokens, int) and not isinstance(tokens, bool) else None


def messages(system: str, user: str) -> Sequence[Mapping[str, str]]:
    """Return the messages of one question."""
    return [*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": user}]
