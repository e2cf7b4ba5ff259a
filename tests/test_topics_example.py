"""The text example, from Python's own help to a release: two retrieval models, and their answers in a file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from support import quick_python, small_project
from support.loopback import Answer, Asked, listening

EXAMPLE = small_project.ROOT / "examples/topics"


@pytest.fixture(scope="module")
def topics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with data and two registered models, validated once."""
    folder = tmp_path_factory.mktemp("example") / "topics"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("data", ".weighin", "reports", "__pycache__"))
    done = quick_python.run(["build.py"], folder)
    assert done.returncode == 0, done.stderr[-3000:]
    done = small_project.weighin(folder, "validate")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def record(folder: Path, out: str = "reports") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / out / "record.json").read_text())
    return found


def outcomes(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {o["check"]: o for s in found["suites"] for o in s["outcomes"]}


def test_the_challenger_finds_more_passages(topics: Path) -> None:
    found = record(topics)
    assert found["verdict"]["status"] == "passed"
    every = outcomes(found)
    assert every["performance/exact_match/vs-champion"]["evidence"]["estimate"] > 0.05
    assert every["performance/exact_match"]["evidence"]["sampling_unit"] == "groups by source"
    assert every["performance/score.grammar"]["evidence"]["method"] == "no unit differs: exact bound of none"
    page = (topics / "reports/report.html").read_text()
    assert "rougeL" in page
    words = pd.read_parquet(topics / "data/holdout.parquet")["passage"].str.split().str[:6].str.join(" ")
    assert not any(beginning in page for beginning in words)


def test_the_other_way_round_it_fails(topics: Path) -> None:
    swapped = ("--candidate", "models:/topics/1", "--champion", "models:/topics/2")
    done = small_project.weighin(topics, "validate", *swapped, "--out", "swapped", "--work", "swapped/work")
    assert done.returncode == 1, done.stderr[-3000:]
    every = outcomes(record(topics, "swapped"))
    assert every["performance/exact_match/vs-champion"]["status"] == "failed"
    assert every["performance/rougeL/vs-champion"]["status"] == "failed"


@pytest.mark.exhaustive
def test_answers_in_a_file_are_judged_and_their_version_is_promoted(topics: Path, tmp_path: Path) -> None:
    folder = tmp_path / "topics"
    shutil.copytree(topics, folder, ignore=shutil.ignore_patterns("reports", "swapped"))
    ids = pd.read_parquet(folder / "data/holdout.parquet")["id"]
    with pa.ipc.open_file(str(topics / ".weighin/work/predictions/candidate/holdout.arrow")) as reader:
        answers = pd.DataFrame({"id": ids, "prediction": reader.read_all()["prediction"].to_pylist()})
    answers.sample(frac=1, random_state=1).to_parquet(folder / "answers.parquet", index=False)
    contract = folder / "model_contract.yaml"
    text = contract.read_text()
    given = "  target: passage\n  candidate: {predictions: answers.parquet, version: '2'}\n"
    contract.write_text(text.replace("  target: passage\n", given))
    done = small_project.weighin(folder, "validate")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Predictions, not the model, were judged: those that were given for the" in done.stderr
    found, before = record(folder), record(topics)
    assert found["candidate"]["predictions"] != found["candidate"]["digest"] == before["candidate"]["digest"]
    same = "performance/exact_match/vs-champion"
    assert outcomes(found)[same]["evidence"] == outcomes(before)[same]["evidence"]
    verified = small_project.weighin(folder, "verify", "reports/record.json")
    assert verified.returncode == 0, verified.stderr
    promoted = small_project.weighin(folder, "promote")
    assert promoted.returncode == 0, promoted.stderr
    assert "version 2" in promoted.stdout

    # What was answered is evidence: another answer after the judgement is another file than the record's.
    answers.loc[0, "prediction"] = "something else"
    answers.to_parquet(folder / "answers.parquet", index=False)
    refused = small_project.weighin(folder, "validate", "--champion", "models:/topics/1")
    assert refused.returncode == 0
    assert record(folder)["candidate"]["predictions"] != found["candidate"]["predictions"]


def test_a_language_model_is_asked_where_the_model_would_be(
    topics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "topics"
    shutil.copytree(topics, folder, ignore=shutil.ignore_patterns("reports", "swapped"))
    table = pd.read_parquet(folder / "data/holdout.parquet")
    known, seen, away = dict(zip(table["question"], table["passage"], strict=True)), [], False

    def reply(asked: Asked) -> Answer:
        if away:
            return Answer(status=404)
        body = json.loads(asked.body)
        seen.append((asked.headers["Authorization"], body["messages"][-1]["content"]))
        text = known[seen[-1][1].removeprefix("Find: ")]
        return Answer(body=json.dumps({"choices": [{"message": {"content": text}}]}).encode())

    contract = folder / "model_contract.yaml"
    given = "  target: passage\n  candidate: {endpoint: {model: m, prompt: 'Find: {question}'}}\n"
    contract.write_text(contract.read_text().replace("  target: passage\n", given))
    monkeypatch.setenv("WEIGHIN_CANDIDATE_KEY", "sk-SECRET")
    with listening(reply) as url:
        monkeypatch.setenv("WEIGHIN_CANDIDATE_URL", url)
        done = small_project.weighin(folder, "validate")
        assert done.returncode == 0, done.stderr[-3000:]
        found = record(folder)
        left = [p for p in folder.rglob("*") if p.is_file() and p.suffix in (".json", ".html", ".xml", ".md")]
        leaking = [p for p in left if b"sk-SECRET" in p.read_bytes()]
        # The model has gone: nothing is left of the answers of before.
        away = True
        gone = small_project.weighin(folder, "validate")
    assert outcomes(found)["performance/exact_match"]["evidence"]["estimate"] == 1
    assert found["candidate"]["predictions"].startswith("sha256:")
    assert {key for key, _ in seen} == {"Bearer sk-SECRET"}
    assert len(seen) == len(table)
    assert left
    assert leaking == []
    assert gone.returncode != 0
    assert outcomes(record(folder))["performance/exact_match"]["status"] == "not_evaluated"


def test_answers_of_a_row_that_is_absent_block(topics: Path, tmp_path: Path) -> None:
    folder = tmp_path / "topics"
    shutil.copytree(topics, folder, ignore=shutil.ignore_patterns("reports", "swapped"))
    ids = pd.read_parquet(folder / "data/holdout.parquet")["id"]
    pd.DataFrame({"id": ids[1:], "prediction": "SECRET"}).to_csv(folder / "answers.csv", index=False)
    contract = folder / "model_contract.yaml"
    given = "  target: passage\n  candidate: {predictions: answers.csv}\n"
    contract.write_text(contract.read_text().replace("  target: passage\n", given))
    done = small_project.weighin(folder, "validate")
    assert done.returncode != 0
    every = outcomes(record(folder))
    assert every["performance/exact_match"]["status"] == "not_evaluated"
    assert f"1 of {len(ids)} rows of the holdout have no prediction" in json.dumps(every)
    assert "SECRET" not in json.dumps(record(folder)) + done.stdout + done.stderr


@pytest.mark.exhaustive
def test_a_model_of_texts_is_looked_at_and_documented(topics: Path) -> None:
    looked = small_project.weighin(topics, "check-model")
    assert looked.returncode == 0, looked.stderr
    assert "they are read as text" in looked.stdout
    assert small_project.weighin(topics, "validate").returncode == 0
    documented = small_project.weighin(topics, "document")
    assert documented.returncode == 0, documented.stderr
    assert "a text" in (topics / "reports/documents/validation-report.md").read_text()


def test_a_drill_of_texts_changes_references_and_leaves_answers_alone(topics: Path) -> None:
    done = small_project.weighin(topics, "drill", "--quick", "--family", "labels", "--family", "model")
    assert done.returncode == 0, done.stderr
    found = {f["name"]: f for f in json.loads((topics / "reports/drill/drill.json").read_text())["faults"]}
    assert {f["answer"] for f in found.values()} <= {"blocked", "inconclusive", "missed", "not_applicable"}
    assert found["labels-flipped"]["answer"] != "not_applicable"
    assert {f["answer"] for n, f in found.items() if n.startswith("model-")} == {"not_applicable"}
