"""Texts in the log: what was asked, and how long the answer was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from weighin.model.chat import CHAT, RESPONSES, asked, request
from weighin.prediction_log.exchange import Exchange, Read, Served, mlflow_features, mlflow_predictions, read
from weighin.prediction_log.tables import LogTables
from weighin.runner.plan import Answers

TABLES = LogTables.sketch(["question"], "string", answers=Answers((0,), "text"), label="")
TALK = json.dumps([{"role": "system", "content": "be brief"}, {"role": "user", "content": "why?"}])
CHUNK = b'data: {"choices": [{"delta": {"content": "so"}}]}\n\n'
DELTA = b'data: {"type": "response.output_text.delta", "delta": "so"}\n\n'
MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "so"}]}


def logged(asked_for: Any, answered: Any, tables: LogTables = TABLES) -> Read:
    bodies = [v if isinstance(v, bytes) else json.dumps(v).encode() for v in (asked_for, answered)]
    about = (0.0, "r", Served("m", "d"), 200, 1.0, bodies[0], "application/json", bodies[1], True)
    return read(Exchange(*about, mlflow_features, mlflow_predictions), tables)


@pytest.mark.parametrize(
    "answered",
    [
        {"predictions": ["so"]},
        {"choices": [{"message": {"content": "so"}}]},
        {"output": [MESSAGE]},
        CHUNK + b"data: [DONE]\n\n",
        DELTA + b"data: [DONE]\n\n",
    ],
    ids=["predictions", "chat", "responses", "chat streamed", "responses streamed"],
)
@pytest.mark.parametrize(
    "asked_for",
    [
        {"dataframe_split": {"columns": ["question"], "data": [["why?"]]}},
        {"messages": [{"role": "user", "content": "why?"}], "stream": True},
        {"input": [{"type": "message", "role": "user", "content": "why?"}]},
        {"input": "why?"},
    ],
)
def test_what_was_asked_is_logged_and_how_long_the_answer_was(asked_for: Any, answered: Any) -> None:
    found = logged(asked_for, answered)
    assert (found.unread, found.rows) == ("", 1)
    assert (found.columns["f_question"], found.columns["prediction"]) == (["why?"], [2.0])
    assert "so" not in [v for values in found.columns.values() for v in values]


@pytest.mark.parametrize("text", ["why?", TALK, "[not json", json.dumps([{"role": "user", "content": TALK}]), ""])
def test_a_row_is_found_again_in_the_request_that_it_made(text: str) -> None:
    for form in (CHAT, RESPONSES):
        made = request(form, text)
        assert request(form, str(asked(made))) == made


@pytest.mark.parametrize(
    "asked_for",
    [
        {"messages": [{"role": "user", "content": [{"type": "input_text", "text": "why?"}]}]},
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]},
        {"messages": []},
        {"messages": 1},
        {"other": 1},
    ],
)
def test_what_no_row_would_ask_is_not_logged_as_one(asked_for: Any) -> None:
    found = logged(asked_for, {"choices": [{"message": {"content": "so"}}]})
    assert found.columns["f_question"] == [None]
    assert found.unread.startswith("no features in a request")


@pytest.mark.parametrize(
    "answered",
    [{"predictions": [1]}, {"choices": []}, {}, [], b"<html>", CHUNK, b"data: {\n\n", {"choices": [{"message": 1}]}],
)
def test_what_is_no_text_is_no_prediction(answered: Any) -> None:
    found = logged({"input": "why?"}, answered)
    assert found.columns["prediction"] == [None]
    assert found.unread.startswith("no predictions in an answer")


def test_a_conversation_is_no_row_of_a_model_that_answers_numbers() -> None:
    numbers = LogTables.sketch(["question"], "string", answers=Answers((0,)))
    assert logged({"input": "why?"}, {"predictions": [0.5]}, numbers).columns["f_question"] == [None]


def test_a_long_question_is_kept_for_a_text_task_alone() -> None:
    split = {"dataframe_split": {"columns": ["question"], "data": [["a" * 1001]]}}
    assert logged(split, {"predictions": ["so"]}).columns["f_question"] == ["a" * 1001]
    numbers = LogTables.sketch(["question"], "string", answers=Answers((0,)))
    assert logged(split, {"predictions": [0.5]}, numbers).columns["f_question"] == [None]
