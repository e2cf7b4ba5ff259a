"""Answers that are texts, and streams of them: read, or it is said what is wrong and nothing is shown."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighin.errors import NotEvaluated
from weighin.load.answer import read_texts, response
from weighin.load.bodies import rows_as_json
from weighin.load.client import Answer
from weighin.model.chat import CHAT, RESPONSES
from weighin.model.stream import read_stream
from weighin.runner.plan import Answers, Interface

TEXT = Answers((0,), "text")
DONE = b"data: [DONE]\n\n"
SECRET = "Wilhelmine"


def event(**value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(content: object) -> bytes:
    return event(choices=[{"delta": {"content": content}}])


def delta(text: object) -> bytes:
    return event(type="response.output_text.delta", delta=text)


def item(text: object) -> bytes:
    said = [{"type": "output_text", "text": text}]
    return event(type="response.output_item.done", item={"type": "message", "content": said})


COMPLETED = event(type="response.completed", response={})
TOOL = event(type="response.output_item.done", item={"type": "function_call", "name": "f"})
ROLE = event(choices=[{"delta": {"role": "assistant"}}])
COUNTS = event(choices=[], usage={"total_tokens": 9})


@pytest.mark.parametrize(
    ("form", "before", "rest", "text"),
    [
        (CHAT, chunk("So."), DONE, "So."),
        (CHAT, ROLE + chunk(" ") + chunk("a"), chunk("b") + COUNTS + DONE, " ab"),
        (CHAT, b": ping\r\n\r\nid: 1\r\n" + chunk("a").replace(b"\n", b"\r\n"), DONE, "a"),
        (CHAT, b'\xef\xbb\xbfdata: {"choices":\rdata: [{"delta": {"content": "a"}}]}\r\r', DONE, "a"),
        (RESPONSES, TOOL + delta("a"), delta("b") + item("ab") + DONE, "ab"),
        (RESPONSES, item("whole"), COMPLETED, "whole"),
    ],
    ids=["one", "white space is not the first", "comments and CRLF", "an event of two lines", "pieces", "no pieces"],
)
def test_a_stream_is_its_text_and_where_its_first_piece_ends(form: str, before: bytes, rest: bytes, text: str) -> None:
    assert read_stream(before + rest, form) == ("", text, len(before))


@pytest.mark.parametrize(
    ("form", "content", "error"),
    [
        (CHAT, b"", "no events in the answer: this server does not stream"),
        (CHAT, b'{"choices": []}', "no events in the answer: this server does not stream"),
        (CHAT, chunk("a"), "the stream broke off"),
        (CHAT, chunk("a") + DONE[:-1], "the stream broke off"),
        (CHAT, chunk("a") + event(error=SECRET) + DONE, "an error in the stream"),
        (CHAT, chunk("a") + b"event: error\n" + event(message=SECRET) + DONE, "an error in the stream"),
        (RESPONSES, delta("a") + event(type="response.failed") + DONE, "an error in the stream"),
        (RESPONSES, delta("a") + event(type="response.incomplete"), "an error in the stream"),
        (CHAT, DONE, "a stream without content"),
        (CHAT, chunk(" \n") + chunk(None) + DONE, "a stream without content"),
        (CHAT, chunk(3) + DONE, "an event of the stream has another form"),
        (CHAT, event(choices=[{"message": {"content": "a"}}]) + DONE, "an event of the stream has another form"),
        (CHAT, event(choices={"a": 1}) + DONE, "an event of the stream has another form"),
        (RESPONSES, delta(None) + DONE, "an event of the stream has another form"),
        (RESPONSES, item(3) + DONE, "an event of the stream has another form"),
        (RESPONSES, event(delta="a") + DONE, "an event of the stream has another form"),
        (RESPONSES, delta("x") + item("ab") + DONE, "the pieces of the stream are not the answer at its end"),
        (CHAT, b"data: [1]\n\n" + DONE, "an event of the stream is no object"),
        (CHAT, b"data: {\n\n" + DONE, "an event of the stream is not JSON"),
        (CHAT, b"data: " + b"[" * 100_000 + b"\n\n" + DONE, "an event of the stream is not JSON"),
        (CHAT, chunk("a").replace(b'"a"', b'"\xff"') + DONE, "an event of the stream is not JSON"),
    ],
)
def test_what_is_wrong_with_a_stream_is_said(form: str, content: bytes, error: str) -> None:
    assert read_stream(content, form) == (error, "", 0)


@given(
    st.lists(st.sampled_from([chunk("a"), delta("a"), item("a"), DONE, b"\n", b"data: 1", b"\xff", b"\r"]), max_size=8)
)
def test_whatever_is_streamed_nothing_is_raised(parts: list[bytes]) -> None:
    for form in (CHAT, RESPONSES):
        error, text, first = read_stream(b"".join(parts), form)
        assert bool(error) != bool(text)
        assert (first > 0) == bool(text)


def said(content: object, form: str = "chat", *, rows: int = 1, may_be_empty: bool = False) -> str:
    answer = Answer("", content if isinstance(content, bytes) else json.dumps(content).encode(), 0.0)
    return read_texts(answer, rows, Interface(form=form, may_be_empty=may_be_empty), TEXT)[0]


def message(content: object) -> object:
    return {"choices": [{"message": {"content": content}}]}


def test_texts_are_read_where_each_form_has_them() -> None:
    answers = {"chat": message("a"), "dataframe_split": {"predictions": ["a"]}, "instances": {"predictions": [["a"]]}}
    answers["responses"] = {"output": [{"type": "message", "content": [{"type": "output_text", "text": "a"}]}]}
    for form, value in answers.items():
        found = read_texts(Answer("", json.dumps(value).encode(), 0.0), 1, Interface(form=form), TEXT)
        assert found[:2] == ("", ['["a"]' if form == "instances" else "a"])


@pytest.mark.parametrize(
    ("content", "form", "error"),
    [
        (message(3), "chat", "1 of 1 answers are no text"),
        (message(""), "chat", "an empty answer"),
        (message(" \n"), "chat", "an empty answer"),
        (message("a" * 200_001), "chat", "1 of 1 answers have more than 200,000 bytes"),
        (message("\ud800"), "chat", "an answer holds what UTF-8 cannot hold"),
        (b"{", "chat", "broken JSON"),
        (b"<html>", "chat", "HTML instead of JSON"),
        ({"predictions": ["a", "b"]}, "dataframe_split", "2 answers for 1 rows"),
        ({"predictions": "a"}, "dataframe_split", "the answers are no list of texts"),
        ({"predictions": [1.5]}, "dataframe_split", "1 of 1 answers are no text"),
        ({"answers": ["a"]}, "dataframe_split", "no /predictions in the answer"),
    ],
)
def test_what_is_no_answer_is_a_failed_request(content: object, form: str, error: str) -> None:
    assert said(content, form) == error


def test_a_contract_may_allow_empty_answers() -> None:
    assert said(message(" "), may_be_empty=True) == ""


def test_no_error_shows_what_was_answered() -> None:
    for content in (message({SECRET: SECRET}), message(SECRET + "\ud800"), {"choices": SECRET}, {SECRET: SECRET}):
        for form in ("chat", "dataframe_split"):
            error = said(content, form)
            assert error
            assert SECRET not in error


def test_the_first_token_is_there_when_its_event_has_arrived() -> None:
    content = chunk("a") + chunk("b") + DONE
    size = len(chunk("a"))
    answer = Answer("", content, 109.0, [(3, 101.0), (size - 1, 102.0), (size, 103.0), (len(content), 109.0)])
    found = response("load", 1.0, 1.0, 100.0, answer, (4,), Interface(form="chat", stream=True), TEXT)
    assert (found.error, found.texts, found.first, found.done) == ("", ["ab"], 3.0, 9.0)
    whole = Answer("", json.dumps(message("ab")).encode(), 109.0, [(9, 103.0), (99, 109.0)])
    assert response("load", 1.0, 1.0, 100.0, whole, (4,), Interface(form="chat"), TEXT).first == 9.0


@pytest.mark.parametrize(("form", "key"), [("chat", "messages"), ("responses", "input")])
def test_a_conversation_is_a_request(form: str, key: str) -> None:
    table = pa.table({"question": ["why?", '[{"role": "system", "content": "x"}]', None]})
    made = rows_as_json(table, Interface(form=form), range(3))
    assert json.loads(made.of([0])) == {key: [{"role": "user", "content": "why?"}]}
    assert json.loads(made.of([1])) == {key: [{"role": "system", "content": "x"}]}
    assert json.loads(made.of([2])) == {key: [{"role": "user", "content": ""}]}
    streamed = rows_as_json(table, Interface(form=form, stream=True), range(3))
    assert json.loads(streamed.of([0]))["stream"] is True
    with pytest.raises(NotEvaluated, match="one conversation is asked at a time"):
        made.of([0, 1])
