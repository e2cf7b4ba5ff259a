"""A server on loopback that answers as GitHub's REST API does, page by page."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

TOKEN = "ghs_a_secret_of_these_tests"


@dataclass
class Answers:
    """What the server says: path -> JSON, or (status, JSON), or bytes. A list of dicts under one key comes in pages."""

    paths: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path with its query, and the token."""
    address: str = ""

    def answer(self, asked: str) -> tuple[int, bytes]:
        parts = urllib.parse.urlsplit(asked)
        query = dict(urllib.parse.parse_qsl(parts.query))
        said = self.paths.get(f"{parts.path}?created={query.get('created')}", self.paths.get(parts.path))
        if said is None:
            return 404, json.dumps({"message": "Not Found", "status": "404"}).encode()
        if isinstance(said, bytes):
            return 200, said
        status, value = said if isinstance(said, tuple) else (200, said)
        size, page = int(query.get("per_page", "30")), int(query.get("page", "1"))
        here = slice((page - 1) * size, page * size)
        if isinstance(value, list):
            value = value[here]
        elif isinstance(value, dict) and "total_count" in value:
            value = {k: v[here] if isinstance(v, list) else v for k, v in value.items()}
        return status, json.dumps(value).encode()


@contextmanager
def github(paths: dict[str, Any]) -> Iterator[Answers]:
    answers = Answers(dict(paths))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.asked.append((self.path, self.headers.get("Authorization", "")))
            status, body = answers.answer(self.path)
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("Location", json.loads(body)["to"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        answers.address = f"http://127.0.0.1:{listening.server_address[1]}"
        yield answers
        listening.shutdown()
        thread.join(10)


def listed(key: str, items: list[Any]) -> dict[str, Any]:
    """A page as GitHub announces it."""
    return {"total_count": len(items), key: items}
