"""GitHub's REST API. Standard library only.

The token stays in this process: it goes to the one address that was named, never along with a redirect, and stands in
no message.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weighin.untrusted import JsonObject, JsonValue

TOKENS = ("WEIGHIN_GITHUB_TOKEN", "GITHUB_TOKEN")
"""Variables that may hold a token; the first that is set counts."""
PUBLIC = "https://api.github.com"
SECONDS = 30
LARGEST = 16 * 2**20
PAGE = 100
PAGES = 50
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Unanswered(Exception):
    """A question that the platform did not answer.

    status   of HTTP; 0 where there was no answer, or none that can be read
    message  what the platform said, which is its text and not ours; empty where it said nothing
    """

    def __init__(self, path: str, status: int, message: str = "", why: str = "") -> None:
        self.path, self.status, self.message = path, status, message
        super().__init__(f"GitHub {f'answered {status}' if status else 'did not answer'} for {path}{why}")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Python would send the token along to wherever a redirect points."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """None: the answer is an error with its status."""


@dataclass(frozen=True)
class GitHub:
    """The API at one address, asked with one token (or none)."""

    address: str
    token: str = field(default="", repr=False)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> GitHub:
        """As the environment of a workflow run says. Errors: `ValueError` for an address to which no token may go."""
        address = (environment.get("GITHUB_API_URL") or PUBLIC).rstrip("/")
        parts = urllib.parse.urlsplit(address)
        local = parts.scheme == "http" and parts.hostname in _LOOPBACK
        if parts.username or parts.query or not parts.hostname or not (parts.scheme == "https" or local):
            raise ValueError("GITHUB_API_URL is no https address without user and query: a token would leak")
        token = next((environment[name] for name in TOKENS if environment.get(name)), "").strip()
        if not token.isprintable() or not token.isascii():
            raise ValueError(f"{' or '.join(TOKENS)} holds characters that no token has")
        return cls(address, token)

    def get(self, path: str, **query: str | int) -> JsonValue:
        """Return the JSON of an answer. Errors: `Unanswered`.

        path  below the address, each part quoted by the caller
        """
        return self._ask("GET", path + (f"?{urllib.parse.urlencode(query)}" if query else ""), None)

    def send(self, method: str, path: str, body: JsonObject) -> JsonValue:
        """Write something; returns the JSON of the answer. Errors: `Unanswered`."""
        return self._ask(method, path, json.dumps(body).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        url = f"{self.address}{path}"
        path = path.partition("?")[0]
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - `of` has looked at the address
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=SECONDS) as answer:
                data = answer.read(LARGEST + 1)
            if len(data) > LARGEST:
                raise ValueError("too long")
            return json.loads(data) if data else None
        except urllib.error.HTTPError as error:
            with error:
                raise Unanswered(path, error.code, _message(error)) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Unanswered(path, 0, why=f" ({type(error).__name__})") from None

    def listed(self, path: str, key: str, **query: str | int) -> list[JsonValue]:
        """All items of a list that comes in pages. Errors: `Unanswered`, also where fewer came than were announced.

        key  under which a page holds its items, beside `total_count`; empty for a page that is the list itself
        """
        found: list[Any] = []
        for number in range(1, PAGES + 1):
            page = self.get(path, **query, per_page=PAGE, page=number)
            items = page if not key else page.get(key) if isinstance(page, dict) else None
            if not isinstance(items, list):
                raise Unanswered(path, 0, why=f" (no list of {key or 'items'})")
            found += items
            total = page.get("total_count") if key else None
            if len(items) < PAGE or len(found) == total:
                if key and total != len(found):
                    raise Unanswered(path, 0, why=f" (it announced {total!r} {key} and listed {len(found)})")
                return found
        raise Unanswered(path, 0, why=f" (more than {PAGES} pages)")


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(LARGEST))["message"])
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
        return ""


def quoted(part: str) -> str:
    """One part of a path: a branch or an environment may hold slashes."""
    return urllib.parse.quote(part, safe="")
