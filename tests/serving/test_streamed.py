"""Models of MLflow that stream, asked as the load gate asks: by our server, by MLflow's two, and by hostile ones."""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.genai import agent_server
from mlflow.genai.agent_server import server as registered
from mlflow.pyfunc.scoring_server import init

from support.load_plans import PLAN
from support.load_servers import running
from support.load_work import resolved
from support.served_app import served
from weighin.load import LoadLog, generate, read_log
from weighin.runner import local
from weighin.runner.plan import Answers, Interface, LoadPlan, Phase, Plan, Session
from weighin.runner.sessions import server_command
from weighin.serving import scoring
from weighin.serving.mlflow_server import serve
from weighin.serving.streamed import Streamed

CHAT_MODEL = """
import time

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.types.llm import ChatChoice, ChatChoiceDelta, ChatChunkChoice, ChatCompletionChunk, ChatCompletionResponse
from mlflow.types.llm import ChatMessage


class Echo(mlflow.pyfunc.ChatModel):
    def pieces(self, asked):
        if asked == "fails at once":
            raise RuntimeError("SECRET")
        if asked == "is late":
            time.sleep(0.3)
        yield "said: "
        if asked == "takes long":
            time.sleep(0.3)
        if asked == "fails within":
            raise MlflowException("SECRET")
        yield asked if asked != "says much" else 300_000 * "x"

    def predict(self, context, messages, params=None):
        said = "".join(self.pieces(messages[-1].content))
        return ChatCompletionResponse(choices=[ChatChoice(message=ChatMessage(role="assistant", content=said))])

    def predict_stream(self, context, messages, params=None):
        if messages[-1].content == "says nothing":
            return
        for piece in self.pieces(messages[-1].content):
            yield ChatCompletionChunk(choices=[ChatChunkChoice(delta=ChatChoiceDelta(role="assistant", content=piece))])


mlflow.models.set_model(Echo())
"""
AGENT = """
import mlflow
from mlflow.types.responses import ResponsesAgentResponse, ResponsesAgentStreamEvent


class Echo(mlflow.pyfunc.ResponsesAgent):
    def predict(self, request):
        done = [e.item for e in self.predict_stream(request) if e.type == "response.output_item.done"]
        return ResponsesAgentResponse(output=done)

    def predict_stream(self, request):
        asked = request.input[-1].content
        if asked == "fails at once":
            raise RuntimeError("SECRET")
        yield ResponsesAgentStreamEvent(**self.create_text_delta("said: ", "1"))
        if asked == "fails within":
            raise RuntimeError("SECRET")
        yield ResponsesAgentStreamEvent(**self.create_text_delta(asked, "1"))
        item = self.create_text_output_item("said: " + asked, "1")
        yield ResponsesAgentStreamEvent(type="response.output_item.done", item=item)


mlflow.models.set_model(Echo())
"""
CODE = {"chat": CHAT_MODEL, "responses": AGENT}
TEXT = Answers((0,), "text")
FIVE = Phase("load", 20, 0.25)
"""Requests, for what is answered alike each time."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    for form, code in CODE.items():
        (folder / f"{form}.py").write_text(code)
        mlflow.pyfunc.save_model(folder / form, python_model=str(folder / f"{form}.py"), pip_requirements=["mlflow"])
    return {form: folder / form for form in CODE}


@pytest.fixture(scope="module")
def ours(models: dict[str, Path]) -> Iterator[dict[str, str]]:
    """The application of `weighin serve`, of both models."""
    with pytest.MonkeyPatch.context() as patch:
        applications = {}
        for form, model in models.items():
            patch.setenv(scoring.MODEL, str(model))
            applications[form] = scoring.app()
    with served(applications["chat"]) as chat, served(applications["responses"]) as responses:
        yield {"chat": chat, "responses": responses}


def asked(
    url: str,
    folder: Path,
    question: str = "hello",
    *,
    stream: bool = True,
    form: str = "chat",
    health: str = "/ping",
    phase: Phase = FIVE,
) -> LoadLog:
    """What the generator sees of a server that is asked one question again and again."""
    pq.write_table(pa.table({"question": [question]}), folder / "features.parquet")
    interface = Interface(form=form, stream=stream, health=health)
    plan = replace(PLAN, phases=(phase,), batch_rows=(1,), interface=interface)
    generate(url, folder / "features.parquet", plan, TEXT, folder / "load")
    return read_log([folder / "load/responses-candidate-0.arrow"])


@pytest.mark.parametrize("form", CODE)
@pytest.mark.parametrize("stream", [True, False])
def test_a_model_streams_what_it_answers_as_a_whole(
    ours: dict[str, str], tmp_path: Path, form: str, *, stream: bool
) -> None:
    log = asked(ours[form], tmp_path, stream=stream, form=form)
    assert set(log.errors) == {""}
    assert set(log.texts) == {("said: hello",)}
    assert np.all(log.first <= log.latency)


def test_the_first_token_is_there_before_the_whole(ours: dict[str, str], tmp_path: Path) -> None:
    phase = Phase("load", 10, 0.5)
    log = asked(ours["chat"], tmp_path, "takes long", phase=phase)
    assert np.all(log.latency > 0.3)
    assert np.median(log.first) < 0.2
    late = asked(ours["chat"], tmp_path, "is late", phase=phase)
    assert set(late.errors) == {""}
    assert np.all(late.first > 0.3)


@pytest.mark.parametrize(
    ("form", "question", "error"),
    [
        ("chat", "fails at once", "status 500"),
        ("chat", "fails within", "an error in the stream"),
        ("chat", "says nothing", "a stream without content"),
        ("chat", "says much", "1 of 1 answers have more than 200,000 bytes"),
        ("responses", "fails at once", "status 500"),
        ("responses", "fails within", "an error in the stream"),
    ],
)
def test_a_stream_that_fails_is_a_failed_request(
    ours: dict[str, str], tmp_path: Path, form: str, question: str, error: str
) -> None:
    log = asked(ours[form], tmp_path, question, form=form)
    assert set(log.errors) == {error}
    assert set(log.texts) == {None}
    assert np.isnan(log.first).all()


def posted(url: str, body: bytes, path: str = "/invocations") -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type") or "", answer.read()
    finally:
        connection.close()


def question(text: Any, **more: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": text}], **more}).encode()


def test_the_form_of_a_stream_is_that_of_mlflows_agent_server(ours: dict[str, str]) -> None:
    status, kind, content = posted(ours["chat"], question("fails within", stream=True))
    events = content.decode().split("\n\n")
    assert (status, kind.partition(";")[0]) == (200, "text/event-stream")
    assert json.loads(events[0].removeprefix("data: "))["choices"][0]["delta"]["content"] == "said: "
    assert list(json.loads(events[1].removeprefix("data: "))) == ["error"]
    assert events[2:] == ["data: [DONE]", ""]
    assert b"SECRET" not in content


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (question("a", stream=False), 200),
        (question("a", stream="yes"), 500),
        (b'{"stream": true', 400),
        (b'{"stream": true}', 400),
        (b'{"messages": 1, "stream": true}', 400),
        (b'["stream"]', 400),
        (question("fails at once", stream=True), 500),
    ],
)
def test_what_asks_for_no_stream_is_answered_as_ever(ours: dict[str, str], body: bytes, status: int) -> None:
    found, kind, content = posted(ours["chat"], body)
    assert (found, kind.partition(";")[0]) == (status, "application/json")
    assert b"SECRET" not in content
    json.loads(content)


def test_a_client_that_leaves_ends_the_stream(ours: dict[str, str], tmp_path: Path) -> None:
    for _ in range(3):
        connection = http.client.HTTPConnection(ours["chat"].removeprefix("http://"), timeout=20)
        connection.request("POST", "/invocations", question("takes long", stream=True))
        connection.getresponse().read(10)
        connection.close()
    assert set(asked(ours["chat"], tmp_path).errors) == {""}


@pytest.mark.parametrize(("asked_for", "status"), [("is late", 504), ("takes long", 200)])
def test_a_model_that_takes_too_long_is_cut_off(models: dict[str, Path], asked_for: str, status: int) -> None:
    model = mlflow.pyfunc.load_model(str(models["chat"]))
    with served(Streamed(init(model), model, 0.15)) as url:
        found, _, content = posted(url, question(asked_for, stream=True))
    assert found == status
    assert b'{"error": "the request took too long"}' in content
    assert content.endswith(b"data: [DONE]\n\n") == (status == 200)


def test_mlflows_scoring_server_answers_as_a_whole_and_that_is_said(models: dict[str, Path], tmp_path: Path) -> None:
    with served(init(mlflow.pyfunc.load_model(str(models["chat"])))) as url:
        assert set(asked(url, tmp_path).errors) == {"no events in the answer: this server does not stream"}
        whole = asked(url, tmp_path, stream=False)
    assert set(whole.errors) == {""}
    assert set(whole.texts) == {("said: hello",)}


def test_mlflows_agent_server_is_measured_alike(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = mlflow.pyfunc.load_model(str(models["responses"])).get_raw_model()
    functions: dict[str, Callable[..., Any]] = {"_invoke": agent.predict, "_stream": agent.predict_stream}
    for name, function in functions.items():
        monkeypatch.setattr(registered, f"{name}_function", function)
    with served(agent_server.AgentServer("ResponsesAgent").app) as url:
        for stream in (True, False):
            log = asked(url, tmp_path, form="responses", stream=stream, health="/health")
            assert set(log.errors) == {""}
            assert set(log.texts) == {("said: hello",)}
        broken = asked(url, tmp_path, "fails within", form="responses", health="/health")
    assert set(broken.errors) == {"an error in the stream"}


HOSTILE = {
    "drips": "no answer in time",
    "stream breaks off": "connection closed within the answer",
    "stream ends early": "the stream broke off",
    "stream of 10 MB": "more than 4194304 bytes",
    "HTML": "no events in the answer: this server does not stream",
}


@pytest.mark.parametrize("server", HOSTILE)
def test_a_hostile_stream_is_bounded(server: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"question": ["hello"]}), tmp_path / "features.parquet")
    plan = replace(
        PLAN, phases=(Phase("load", 16, 0.25),), batch_rows=(1,), interface=Interface(form="chat", stream=True)
    )
    plan = replace(plan, timeout_seconds=0.5 if server == "drips" else 5)
    with running(server) as url:
        generate(url, tmp_path / "features.parquet", plan, TEXT, tmp_path / "load")
    log = read_log([tmp_path / "load/responses-candidate-0.arrow"])
    assert set(log.errors) == {HOSTILE[server]}
    assert np.isnan(log.first).all()


def test_the_load_step_serves_what_streams_where_the_contract_asks_for_it() -> None:
    session = Session("candidate", 0, ())
    streamed: LoadPlan = replace(PLAN, interface=Interface(form="chat", stream=True))
    assert server_command(streamed, session, "/model", 1, ["weighin"], "")[-1] == "--stream"
    assert "--stream" not in server_command(PLAN, session, "/model", 1, ["weighin"], "")


def test_the_load_step_streams_and_probes_what_it_serves(models: dict[str, Path], tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(models["chat"], work / "models/candidate")
    resolved(work)
    (work / "features").mkdir()
    pq.write_table(pa.table({"question": ["hello", "why?"]}), work / "features/holdout.parquet")
    shutil.copyfile(models["chat"] / "serving_input_example.json", work / "features/input_example.json")
    interface = Interface(form="chat", stream=True)
    session = Session("candidate", 0, (Phase("load", 10, 1),), probes=True)
    plan = replace(PLAN, phases=(), batch_rows=(1,), interface=interface, sessions=(session,), start_seconds=60)
    plan = replace(plan, server_memory_mb=2000, lateness_ms=1000, timeout_seconds=10)
    Plan(("load",), ("candidate",), TEXT, 60, 1000, plan).write(work / "plan.json")
    local.load(work)
    log = read_log([work / "load/candidate-0/responses-candidate-0.arrow"])
    assert set(log.errors) == {""}
    assert {(rows, texts) for rows, texts in zip(log.rows, log.texts, strict=True)} == {
        ((0,), ("said: hello",)),
        ((1,), ("said: why?",)),
    }
    assert np.all(log.first <= log.latency)
    facts = json.loads((work / "load/candidate-0/session.json").read_text())
    assert facts["predictions"] == len(log.ok)
    probed = [*facts["probes"]["malformed"], *facts["probes"]["input_example"]]
    assert {p["name"]: p["kept"] for p in probed} == dict.fromkeys(
        ("broken JSON", "an empty object", "a number for messages", "a right request after these", "input example"),
        True,
    )
    assert not list(work.rglob("mlflow.db"))


def test_a_model_with_packages_of_its_own_is_not_streamed(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="served by MLflow's scoring server, which does not stream"):
        serve(tmp_path, 1, tmp_path / "python", stream=True)
