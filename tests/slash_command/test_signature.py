"""A request counts once, if the chat signed it a moment ago."""

from __future__ import annotations

import pytest

from support import slack
from weighin.slash_command import signature
from weighin.slash_command.signature import Refused, Verifier

NOW = 1_700_000_000.0
BODY = b"user_id=U0001&text=status"


def headers(body: bytes = BODY, at: float = NOW, key: str = "a-secret") -> dict[str, str]:
    return slack.headers(body, at, key)


def test_the_example_of_slack_s_documentation_is_accepted() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url="
        b"https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    sign = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    given = {"x-slack-signature": sign, "x-slack-request-timestamp": "1531420618"}
    Verifier("8f742231b10e8888abcd99yyyzzz85a5").demand(given, body, 1531420618.0)


def test_once_and_never_again() -> None:
    verifier = Verifier("a-secret")
    verifier.demand(headers(), BODY, NOW)
    for later in (0, 200, 299):
        with pytest.raises(Refused, match="replayed"):
            verifier.demand(headers(), BODY, NOW + later)
    verifier.demand(headers(at=NOW + 1), BODY, NOW + 1)


@pytest.mark.parametrize(
    ("given", "body", "now", "why"),
    [
        ({}, BODY, NOW, "unsigned"),
        ({**headers(), "x-slack-signature": ""}, BODY, NOW, "unsigned"),
        ({**headers(), "x-slack-signature": "v0=\u00e9"}, BODY, NOW, "unsigned"),
        ({**headers(), "x-slack-request-timestamp": "1e9"}, BODY, NOW, "unsigned"),
        ({**headers(), "x-slack-request-timestamp": "-1"}, BODY, NOW, "unsigned"),
        ({**headers(), "x-slack-request-timestamp": str(int(NOW) + 1)}, BODY, NOW, "another secret"),
        (headers(key="other"), BODY, NOW, "another secret"),
        (headers(), BODY.replace(b"status", b"rollback+x"), NOW, "another secret"),
        (headers(), BODY, NOW + 301, "stale"),
        (headers(), BODY, NOW - 301, "stale"),
        (headers(), BODY, NOW + 10_000, "stale"),
    ],
)
def test_anything_else_is_refused(given: dict[str, str], body: bytes, now: float, why: str) -> None:
    verifier = Verifier("a-secret")
    with pytest.raises(Refused, match=why):
        verifier.demand(given, body, now)
    # What was refused is not remembered: nobody fills the memory without the secret.
    verifier.demand(headers(), BODY, NOW)


def test_a_flood_is_refused_and_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature, "SEEN_AT_MOST", 3)
    verifier = Verifier("a-secret")
    for n in range(3):
        verifier.demand(headers(at=NOW + n), BODY, NOW + n)
    with pytest.raises(Refused, match="too many"):
        verifier.demand(headers(at=NOW + 9), BODY, NOW + 9)
    with pytest.raises(Refused, match="replayed"):
        verifier.demand(headers(), BODY, NOW + 9)
    verifier.demand(headers(at=NOW + 700), BODY, NOW + 700)


@pytest.mark.parametrize("secret", ["", "  \n"])
def test_an_empty_secret_is_none(secret: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        Verifier(secret)
