"""Whether a request came from the chat, now, and for the first time.

Source: Slack's documentation, "Verifying requests from Slack": `v0=` and the HMAC-SHA256 of `v0:<timestamp>:<body>`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from collections.abc import Mapping

STALE = 300
"""Seconds by which a request's timestamp may differ from the clock here; Slack's own advice."""
SIGNATURE, TIMESTAMP = "x-slack-signature", "x-slack-request-timestamp"
SEEN_AT_MOST = 10_000
"""Requests with a valid signature that are remembered; with more within `STALE` seconds, all others are refused."""
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class Refused(Exception):
    """A request that is not to be answered. Its text says why, for the server's log; the client learns nothing."""


class Verifier:
    """Compares signatures with a secret, and remembers those that it has seen."""

    def __init__(self, secret: str) -> None:
        """Errors: `ValueError` for an empty secret, with which anybody could sign."""
        if not secret.strip():
            raise ValueError("the secret is empty")
        self._secret = secret.strip().encode()
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def demand(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Accept a request once.

        headers  names in lower case
        now      Unix time
        Errors: `Refused` for a request that is unsigned, signed with another secret, stale, or seen before.
        """
        signature, timestamp = headers.get(SIGNATURE, ""), headers.get(TIMESTAMP, "")
        if not _SIGNATURE.fullmatch(signature) or not _TIMESTAMP.fullmatch(timestamp):
            raise Refused("unsigned")
        over = b"v0:" + timestamp.encode() + b":" + body
        expected = "v0=" + hmac.new(self._secret, over, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, signature):
            raise Refused("signed with another secret, or changed on its way")
        if abs(now - int(timestamp)) > STALE:
            raise Refused("stale")
        with self._lock:
            # Whatever is older than this is refused as stale.
            self._seen = {s: at for s, at in self._seen.items() if now - at <= 2 * STALE}
            if signature in self._seen:
                raise Refused("replayed")
            if len(self._seen) >= SEEN_AT_MOST:
                raise Refused("too many requests to remember")
            self._seen[signature] = now
