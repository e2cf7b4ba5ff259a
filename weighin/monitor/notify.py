"""Tell people: Slack, Teams, PagerDuty, a signed webhook, an issue that is kept up to date; and ask for a training.

Whatever goes wrong here is returned in words, and stops nothing: a rollback does not wait for a chat.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weighin.contract.monitor import Alert, Retrain
from weighin.github.client import GitHub, Unanswered, quoted
from weighin.github.escape import text
from weighin.untrusted import JsonDict, JsonObject

SECONDS = 15
SIGNATURE, MOMENT = "weighin-signature", "weighin-timestamp"
"""Headers of a signed webhook: `sha256=<hex>` of the HMAC over `<timestamp>.<body>`, and the timestamp in seconds."""
LABEL = "weighin-monitor"
PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
SEVERITIES = {"needs_human": "critical", "rollback": "error", "alarm": "error", "signal": "warning"}
"""Kind of an event -> PagerDuty's severity; what is no trouble resolves the incident."""
RETRAIN = "weighin-retrain"


@dataclass(frozen=True)
class News:
    """What people are told.

    key     the same for the same trouble of the same version: an issue is found again by it
    title, lines  for people; the lines are plain text
    values  for programs
    before  lines of the same trouble that people were told earlier: an issue keeps them
    """

    key: str
    title: str
    lines: tuple[str, ...]
    values: Mapping[str, Any]
    before: tuple[str, ...] = ()


def tell(alerts: Sequence[Alert], news: News, environment: Mapping[str, str]) -> list[str]:
    """Send to all; returns what did not arrive, in words without an address or a secret."""
    failed = []
    for alert in alerts:
        try:
            match alert.to:
                case "slack":
                    body = json.dumps({"text": "\n".join([f"*{_slack(news.title)}*", *map(_slack, news.lines)])})
                    _post(_named(alert.address, environment), body.encode(), {})
                case "teams":
                    _post(_named(alert.address, environment), json.dumps(_card(news)).encode(), {})
                case "pagerduty":
                    address = _named(alert.address, environment) if alert.address else PAGERDUTY
                    event = _page(news, _named(alert.secret, environment))
                    _post(address, json.dumps(event).encode(), {})
                case "webhook":
                    _signed(alert, news, environment)
                case "github":
                    issue(GitHub.of(environment), str(alert.repository), news)
        except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException, Unanswered) as error:
            # Not the error's own text: it may hold the address, which is a secret of its own.
            message = str(error) if isinstance(error, Unanswered | LookupError) else type(error).__name__
            failed.append(f"the alert to {alert.to} did not arrive ({message})")
    return failed


def _named(variable: str | None, environment: Mapping[str, str]) -> str:
    value = environment.get(variable or "", "").strip()
    if not value:
        raise LookupError(f"{variable} is not set")
    return value


def _signed(alert: Alert, news: News, environment: Mapping[str, str]) -> None:
    body = json.dumps({"schema": "weighin/alert/v1", "key": news.key, "title": news.title, **news.values}).encode()
    moment = str(int(time.time()))
    secret = _named(alert.secret, environment).encode()
    sign = hmac.new(secret, moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    _post(_named(alert.address, environment), body, {SIGNATURE: f"sha256={sign}", MOMENT: moment})


def _post(address: str, body: bytes, headers: Mapping[str, str]) -> None:
    parts = urllib.parse.urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise LookupError("the address is not https")
    request = urllib.request.Request(  # noqa: S310 - https, or this machine
        address, body, {"Content-Type": "application/json", **headers}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
        answer.read(2**16)


def _slack(line: str) -> str:
    """Slack's own rules: these three are markup, and a mention begins with one of them."""
    return _plain(line).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _card(news: News) -> JsonDict:
    """Return a message to a Teams workflow: runs of text, in which nothing is markup or a mention.

    Source: Microsoft's documentation of Adaptive Cards, `RichTextBlock` and `TextRun` (version 1.2).
    """
    lines = [(news.title, "Bolder"), *((line, "Default") for line in news.lines)]
    blocks = [
        {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": _plain(line), "weight": weight}]}
        for line, weight in lines
    ]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": blocks,
    }
    attached = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attached]}


def _page(news: News, key: str) -> JsonDict:
    """Return an event that opens an incident, keeps it up to date, or resolves it.

    Source: PagerDuty's documentation of the Events API v2.
    """
    severity = SEVERITIES.get(str(news.values.get("state")))
    event = {
        "routing_key": key,
        "event_action": "trigger" if severity else "resolve",
        "dedup_key": hashlib.sha256(news.key.encode()).hexdigest(),
    }
    if severity is None:
        return event
    said = {"lines": [_plain(line) for line in news.lines], **news.values}
    payload = {"summary": _plain(news.title), "source": "weighin monitor", "severity": severity, "custom_details": said}
    return {**event, "payload": payload}


def _plain(line: str) -> str:
    return "".join(c if c.isprintable() else " " for c in line)[:600]


def issue(github: GitHub, repository: str, news: News) -> str:
    """Open an issue, or rewrite and comment the open one about the same trouble; returns its address."""
    place, marker = f"/repos/{repository}/issues", f"<!-- weighin {hashlib.sha256(news.key.encode()).hexdigest()} -->"
    body = "\n".join([marker, "", *(f"- {text(line, 600)}" for line in (*news.before, *news.lines))])
    for one in github.listed(place, "", state="open", labels=LABEL):
        if str(one.get("body", "")).startswith(marker):
            return str(github.send("PATCH", f"{place}/{int(one['number'])}", {"body": body})["html_url"])
    message = {"title": " ".join(news.title.split())[:200], "body": body, "labels": [LABEL]}
    return str(github.send("POST", place, message)["html_url"])


def ask_to_train(to: Retrain, values: JsonObject, environment: Mapping[str, str]) -> str:
    """Dispatch `weighin-retrain`; returns why it did not arrive, or nothing."""
    owner, _, name = to.repository.partition("/")
    path = f"/repos/{quoted(owner)}/{quoted(name)}/dispatches"
    try:
        GitHub.of(environment).send("POST", path, {"event_type": RETRAIN, "client_payload": dict(values)})
    except (Unanswered, ValueError) as error:
        return f"the request to train did not arrive ({error})"
    return ""
