"""Models that are asked in messages, logged and loaded by MLflow: a row is a question, or a conversation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from weighin.contract import Contract
from weighin.errors import NotEvaluated
from weighin.model.chat import CHAT, FORMS, RESPONSES, reply, request
from weighin.model.description import describe
from weighin.model.predict import _loaded, _texts, look_at
from weighin.model.survey import Survey
from weighin.resolve.examine import examine
from weighin.runner.plan import Answers

CHAT_MODEL = """
import mlflow
from mlflow.types.llm import ChatChoice, ChatCompletionResponse, ChatMessage

class Echo(mlflow.pyfunc.ChatModel):
    def predict(self, context, messages, params=None):
        if messages[-1].content == "fail":
            raise RuntimeError("SECRET")
        said = f"{len(messages)}: {messages[-1].content}"
        return ChatCompletionResponse(choices=[ChatChoice(message=ChatMessage(role="assistant", content=said))])

mlflow.models.set_model(Echo())
"""
AGENT = """
import mlflow
from mlflow.types.responses import ResponsesAgentResponse

class Echo(mlflow.pyfunc.ResponsesAgent):
    def predict(self, request):
        said = f"{len(request.input)}: {request.input[-1].content}"
        if request.input[-1].content == "fail":
            raise RuntimeError("SECRET")
        return ResponsesAgentResponse(output=[self.create_text_output_item(said, "1")])

mlflow.models.set_model(Echo())
"""
TALK = json.dumps([{"role": "user", "content": "hello"}, {"role": "user", "content": "why?"}])
MEANT = Answers((0,), "text")


@pytest.fixture(scope="module", params=[CHAT_MODEL, AGENT], ids=["chat", "responses"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "code.py").write_text(request.param)
    mlflow.pyfunc.save_model(folder / "model", python_model=str(folder / "code.py"), pip_requirements=["mlflow"])
    return folder / "model"


def asked(model: Path, folder: Path, *texts: str) -> list[str]:
    path = folder / "holdout.parquet"
    pq.write_table(pa.table({"question": list(texts)}), path)
    return _texts(_loaded(model), path, MEANT)


def test_questions_and_conversations_are_answered(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert asked(model, tmp_path, "why?", TALK, "[not json", "[1]") == ["1: why?", "2: why?", "1: [not json", "1: [1]"]
    assert [path.name for path in tmp_path.iterdir()] == ["holdout.parquet"]  # no store with traces


def test_a_row_is_asked_as_often_as_is_meant(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "holdout.parquet"
    pq.write_table(pa.table({"question": ["a", "b"]}), path)
    assert _texts(_loaded(model), path, replace(MEANT, repeats=2)) == ["1: a", "1: a", "1: b", "1: b"]


def test_what_it_raises_is_reduced(model: Path, tmp_path: Path) -> None:
    with pytest.raises(NotEvaluated, match="the model raised") as error:
        asked(model, tmp_path, "fail")
    assert "SECRET" not in str(error.value)


def test_it_is_looked_at_as_well(model: Path, tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    pq.write_table(pa.table({"question": ["a", "b"]}), tmp_path / "features/holdout.parquet")
    look_at(model, tmp_path / "features", tmp_path / "out")
    assert "text" in Survey.read(tmp_path / "out").said


def contract(**columns: str) -> Contract:
    listed = {name: {"type": kind} for name, kind in columns.items()}
    gates = {"performance": {"checks": [{"metric": "words", "at_most": 9}]}}
    model = {"name": "m", "task": "text"}
    return Contract.model_validate(
        {"version": 1, "model": model, "data": {"holdout": "h.parquet", "columns": listed}, "gates": gates}
    )


def test_it_is_known_by_its_file_and_wants_one_text(model: Path, tmp_path: Path) -> None:
    (tmp_path / "candidate").symlink_to(model)
    assert describe(model).task in FORMS
    assert examine(contract(question="string"), tmp_path, ["candidate"], {})["candidate"].refused == ""
    for columns in ({"question": "string", "x": "float"}, {"question": "float"}):
        refused = examine(contract(**columns), tmp_path, ["candidate"], {})["candidate"].refused
        assert "a chat model is asked one text for each row" in refused


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "returned",
    [
        None,
        "text",
        {},
        {"choices": []},
        {"choices": [{"message": {"content": None}}]},
        {"output": []},
        {"output": "x"},
        {"output": [{"type": "message", "content": [{"type": "output_text", "text": 3}]}]},
    ],
)
def test_an_answer_without_text_is_none(form: str, returned: Any) -> None:
    assert reply(form, returned) is None


def test_each_form_has_its_request() -> None:
    assert request(CHAT, TALK)["messages"] == request(RESPONSES, TALK)["input"] == json.loads(TALK)
    system = json.dumps([{"role": "system", "content": "x", "name": "y"}])
    assert request(CHAT, system)["messages"] == [{"role": "user", "content": system}]
