"""A client of an OpenAI-compatible endpoint: what it sends, what it takes, and that its key stands in no message."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import stamina

from support.loopback import Answer, Asked, listening
from weighin.chat.endpoint import LARGEST, Endpoint, Reply
from weighin.errors import NotEvaluated

BODY = {"model": "m", "messages": [{"role": "user", "content": "SECRET question"}]}


def completion(text: object, usage: object = None) -> bytes:
    return json.dumps({"choices": [{"message": {"content": text}}], "usage": usage}).encode()


@pytest.fixture(autouse=True)
def quick() -> None:
    stamina.set_testing(True, attempts=3)
    yield
    stamina.set_testing(False)


def once(endpoint: Endpoint) -> Reply:
    with endpoint.connected() as ask:
        return ask(BODY)


def asked(answer: Callable[[Asked], Answer], key: str = "sk-SECRET", seconds: float = 5) -> str:
    """What one question comes to."""
    with listening(answer) as url:
        return once(Endpoint(f"{url}/v1", key, seconds)).text


def refused(answer: Callable[[Asked], Answer], seconds: float = 5) -> str:
    with pytest.raises(NotEvaluated) as error:
        asked(answer, seconds=seconds)
    said = str(error.value) + repr(error.value.__cause__)
    assert "SECRET" not in said
    return said


def test_a_question_is_sent_with_the_key_and_its_answer_is_read() -> None:
    seen: list[Asked] = []

    def answer(request: Asked) -> Answer:
        seen.append(request)
        return Answer(body=completion("Paris", {"total_tokens": 12}))

    with listening(answer) as url:
        reply = once(Endpoint(f"{url}/v1", "sk-1"))
    assert (reply.text, reply.tokens) == ("Paris", 12)
    assert reply.latency_ms > 0
    assert seen[0].path == "/v1/chat/completions"
    assert seen[0].headers["Authorization"] == "Bearer sk-1"
    assert json.loads(seen[0].body) == BODY


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_endpoint_is_asked_again(status: int) -> None:
    left = [status, status, 200]
    assert asked(lambda _: Answer(left.pop(0), completion("late"))) == "late"
    assert f"does not answer ({status})" in refused(lambda _: Answer(status, b"SECRET"))


@pytest.mark.parametrize("status", [301, 400, 401, 404])
def test_what_will_not_change_is_asked_once_and_no_redirect_is_followed(status: int) -> None:
    count = []

    def answer(request: Asked) -> Answer:
        count.append(request)
        return Answer(status, b"SECRET", {"Location": "/elsewhere"})

    assert f"the endpoint answered {status}" in refused(answer)
    assert len(count) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"SECRET prose", "no chat completion"),
        (b"[]", "no chat completion"),
        (b'{"choices": []}', "no chat completion"),
        (completion(None), "an answer without text"),
        (completion(["SECRET"]), "an answer without text"),
        (b'{"choices": ' + b"[" * 200_000, "no chat completion"),
        (b" " * (LARGEST + 1), "an answer of more than"),
    ],
    ids=["prose", "list", "none", "null", "parts", "deep", "large"],
)
def test_what_is_no_answer_is_said(body: bytes, said: str) -> None:
    assert said in refused(lambda _: Answer(body=body))


def test_tokens_that_are_no_number_are_none() -> None:
    with listening(lambda _: Answer(body=completion("a", {"total_tokens": "many"}))) as url:
        assert once(Endpoint(url)).tokens is None


def test_an_endpoint_that_is_away_is_said() -> None:
    with listening(lambda _: Answer()) as url:
        pass
    with pytest.raises(NotEvaluated, match="does not answer"):
        once(Endpoint(url))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://example.org/v1",
        "ftp://127.0.0.1",
        "https://user:SECRET@example.org",
        "file:///etc/passwd",
        "https://[::1",
    ],
)
def test_only_https_and_loopback_are_addresses(url: str) -> None:
    with pytest.raises(NotEvaluated) as error:
        Endpoint.of("WEIGHIN_JUDGE", {"WEIGHIN_JUDGE_URL": url})
    assert "SECRET" not in str(error.value)


def test_address_and_key_come_from_the_environment() -> None:
    found = Endpoint.of("WEIGHIN_JUDGE", {"WEIGHIN_JUDGE_URL": "https://host/v1/", "WEIGHIN_JUDGE_KEY": "sk-SECRET"})
    assert (found.url, found.key) == ("https://host/v1", "sk-SECRET")
    assert "SECRET" not in repr(found)
