"""A language model behind an endpoint in place of a model: it is put the features, and nothing else decides."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stamina

from support.loopback import Answer, Asked, listening
from weighin.canonical import file_digest
from weighin.errors import ContractError, NotEvaluated
from weighin.model.behind_endpoint import Told
from weighin.model.given import BEHIND_ENDPOINT, is_behind_endpoint
from weighin.model.predict import predict
from weighin.model.texts import LARGEST, read_texts
from weighin.runner.plan import Answers

TOLD = Told("m", "Say {question}", "Be brief.", 0.5, 64)
MEANT = Answers((0,), "text")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    for part in ("model", "features"):
        (tmp_path / part).mkdir()
    pq.write_table(pa.table({"question": ["SECRET a", "SECRET b"]}), tmp_path / "features/holdout.parquet")
    TOLD.write(tmp_path / "model")
    return tmp_path


def completion(text: object) -> Answer:
    return Answer(body=json.dumps({"choices": [{"message": {"content": text}}]}).encode())


def answers(work: Path, monkeypatch: pytest.MonkeyPatch, text: object = "so", repeats: int = 1) -> list[dict[str, str]]:
    """Predict with a server that answers with one text; what it was sent."""
    seen: list[Asked] = []

    def reply(asked: Asked) -> Answer:
        seen.append(asked)
        return completion(text)

    with listening(reply) as url, stamina.set_testing(True, attempts=2):
        monkeypatch.setenv("WEIGHIN_CANDIDATE_URL", url)
        predict(work / "model", work / "features", work / "out", Answers((0,), "text", repeats=repeats))
    return [json.loads(asked.body) for asked in seen]


def test_every_row_is_put_and_its_answer_left(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_behind_endpoint(work / "model")
    seen = answers(work, monkeypatch, repeats=3)
    assert sorted(body["messages"][1]["content"] for body in seen) == ["Say SECRET a"] * 3 + ["Say SECRET b"] * 3
    assert {(b["model"], b["temperature"], b["max_tokens"]) for b in seen} == {("m", 0.5, 64)}
    features = file_digest(work / "features/holdout.parquet")
    assert read_texts(work / "out/holdout.arrow", 6, features).tolist() == ["so"] * 6


@pytest.mark.parametrize("text", [None, 7, "x" * (LARGEST + 1)], ids=["nothing", "number", "long"])
def test_what_is_no_answer_ends_it(text: object, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotEvaluated) as error:
        answers(work, monkeypatch, text)
    assert "SECRET" not in str(error.value)
    assert not (work / "out/holdout.arrow").exists()


def test_without_an_address_nobody_is_asked(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEIGHIN_CANDIDATE_URL", raising=False)
    with pytest.raises(NotEvaluated, match="WEIGHIN_CANDIDATE_URL: no endpoint is named"):
        predict(work / "model", work / "features", work / "out", MEANT)


def test_an_address_in_the_folder_is_not_followed(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = json.loads((work / "model" / BEHIND_ENDPOINT).read_text())
    (work / "model" / BEHIND_ENDPOINT).write_text(json.dumps({**told, "url": "http://127.0.0.1:1"}))
    with pytest.raises(NotEvaluated, match="not what `weighin step resolve` writes"):
        answers(work, monkeypatch)


@pytest.mark.parametrize(
    ("template", "said"),
    [("Say {label}", "what is no feature"), ("Say", "names no feature"), ("{question", "a brace too many")],
)
def test_a_prompt_names_features_and_nothing_else(template: str, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        Told("m", template, "", 0.0, 9).named(("question",))
