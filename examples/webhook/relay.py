"""Turns MLflow's webhook into a `repository_dispatch`: a version that is registered is validated, with nobody's help.

    WEBHOOK_SECRET=... GITHUB_TOKEN=... python relay.py --repository OWNER/REPO --port 8080

MLflow signs each delivery (`X-MLflow-Signature: v1,<base64>` over `<delivery id>.<timestamp>.<body>`, HMAC-SHA256).
What is not signed with the secret, or is older than five minutes, is refused; what came before is not sent again. Of
the rest, name and version are sent on and nothing else. The token needs `contents: write` on that one repository: use
a fine-grained one. Standard library only. It listens on loopback: put your own TLS in front of it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LARGEST = 2**16
SECONDS_AT_MOST = 300
EVENT = "validate-registered-version"
"""What `release.yml` waits for."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}")
VERSION = re.compile(r"[1-9][0-9]{0,9}")


class RefusedError(Exception):
    """A delivery that is not acted on; `code` is the answer's status."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass
class Relay:
    """What is known of deliveries so far, and where they go.

    send  what calls GitHub: the body of a `repository_dispatch`
    now   seconds since 1970
    """

    secret: bytes
    send: Callable[[dict[str, Any]], None]
    now: Callable[[], float] = time.time
    seen: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def receive(self, headers: Mapping[str, str], body: bytes) -> str:
        """Verify a delivery and send it on; returns what was done. Errors: `RefusedError`."""
        delivery = self._verified(headers, body)
        try:
            said = json.loads(body)
            if (said["entity"], said["action"]) != ("model_version", "created"):
                return "not a new version"
            name, version = str(said["data"]["name"]), str(said["data"]["version"])
        except (ValueError, KeyError, TypeError):
            raise RefusedError(400, "no event of a model registry") from None
        if not NAME.fullmatch(name) or not VERSION.fullmatch(version):
            raise RefusedError(400, "a name or a version that no registry gives")
        if name.endswith(".ledger"):
            return "an entry of the ledger, which is no model"
        with self.lock:
            if delivery in self.seen:
                return "came before"
            self.seen[delivery] = self.now()
        try:
            self.send({"event_type": EVENT, "client_payload": {"name": name, "version": version}})
        except OSError as error:
            # MLflow sends it again, under the same id.
            with self.lock:
                self.seen.pop(delivery, None)
            raise RefusedError(502, f"GitHub did not take it ({type(error).__name__})") from error
        return f"{name} version {version} is to be validated"

    def _verified(self, headers: Mapping[str, str], body: bytes) -> str:
        delivery, moment = headers.get("X-MLflow-Delivery-Id", ""), headers.get("X-MLflow-Timestamp", "")
        given = headers.get("X-MLflow-Signature", "")
        if not delivery or not re.fullmatch(r"[0-9]{1,12}", moment):
            raise RefusedError(401, "no delivery of MLflow")
        signed = hmac.new(self.secret, f"{delivery}.{moment}.".encode() + body, hashlib.sha256).digest()
        if not hmac.compare_digest(given.encode(), b"v1," + base64.b64encode(signed)):
            raise RefusedError(401, "not signed with the secret")
        now = self.now()
        if abs(now - int(moment)) > SECONDS_AT_MOST:
            raise RefusedError(401, "too old, or from the future")
        with self.lock:
            for old in [d for d, at in self.seen.items() if now - at > 2 * SECONDS_AT_MOST]:
                del self.seen[old]
        return delivery


def dispatch(repository: str, token: str, api: str) -> Callable[[dict[str, Any]], None]:
    """What makes a `repository_dispatch` (REST API, "Create a repository dispatch event")."""

    def send(value: dict[str, Any]) -> None:
        request = urllib.request.Request(  # noqa: S310 - the platform's own address
            f"{api}/repos/{repository}/dispatches",
            data=json.dumps(value).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310
            pass

    return send


def server(relay: Relay, port: int, host: str = "127.0.0.1") -> ThreadingHTTPServer:
    """A server that hands deliveries to a relay."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            """Answer one delivery."""
            length = self.headers.get("Content-Length", "")
            try:
                if not length.isdigit() or int(length) > LARGEST:
                    raise RefusedError(413, "too long, or of no stated length")
                said, code = relay.receive(self.headers, self.rfile.read(int(length))), 202
            except RefusedError as error:
                said, code = str(error), error.code
            body = (said + "\n").encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            print(f"{code} {said}", file=sys.stderr)

        def log_message(self, *_: object) -> None:
            """Nothing: what was said stands above."""

    return ThreadingHTTPServer((host, port), Handler)


def main() -> int:
    """Serve until it is stopped; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", required=True, help="OWNER/REPO")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--api", default="https://api.github.com", help="of Enterprise Server: https://HOST/api/v3")
    given = parser.parse_args()
    secret, token = os.environ.get("WEBHOOK_SECRET", ""), os.environ.get("GITHUB_TOKEN", "")
    if len(secret) < 16 or not token:
        parser.error("WEBHOOK_SECRET (16 characters or more) and GITHUB_TOKEN are needed")
    relay = Relay(secret.encode(), dispatch(given.repository, token, given.api))
    with server(relay, given.port) as running:
        running.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
