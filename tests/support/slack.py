"""Requests as Slack signs them."""

from __future__ import annotations

import hashlib
import hmac


def headers(body: bytes, at: float, secret: str) -> dict[str, str]:
    """Sign as Slack's documentation says."""
    over = f"v0:{int(at)}:".encode() + body
    sign = "v0=" + hmac.new(secret.encode(), over, hashlib.sha256).hexdigest()
    return {"x-slack-signature": sign, "x-slack-request-timestamp": str(int(at))}
