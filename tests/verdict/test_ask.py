"""`weighin ask` with a server on loopback: a candidate's answers and a judge's points, from question to gate."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import stamina
from mlflow import MlflowClient

from support.empty_store import empty_store
from support.loopback import Answer, Asked, listening
from support.text_work import CONTRACT, TextWork
from weighin.cli import main
from weighin.contract import read_contract
from weighin.errors import ContractError, NotEvaluated
from weighin.model import behind_endpoint
from weighin.verdict.ask import ask_candidate, ask_judge

FEW = 40
SHORT = '      short: {pattern: "^.{1,200}$"}\n'
GOOD = "      good: {given: judged.parquet, column: points, human: people, least: 1, largest: 5, judge: {model: j, "
GOOD += "rubric: Is it right}}\n"
CHECK = "      - {metric: score.good, at_least: 4}\n"
JUDGED = CONTRACT.replace(SHORT, SHORT + GOOD).replace("      - {metric: refusal", f"{CHECK}      - {{metric: refusal")
PROMPT = "candidate: {predictions: answers.parquet, endpoint: {model: c, prompt: 'Answer: {question}'}}"
ANSWERED = CONTRACT.replace("target: reference}", f"target: reference, {PROMPT}}}")


class Server:
    """Answers by a function of the last message; remembers what it was asked."""

    def __init__(self, reply: Callable[[str], str]) -> None:
        self.reply, self.seen, self._lock = reply, [], threading.Lock()

    def __call__(self, asked: Asked) -> Answer:
        body = json.loads(asked.body)
        with self._lock:
            self.seen.append(body)
        text = self.reply(body["messages"][-1]["content"])
        content = {"choices": [{"message": {"content": text}}], "usage": {"total_tokens": 7}}
        return Answer(body=json.dumps(content).encode())


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    stamina.set_testing(True, attempts=2)
    yield
    stamina.set_testing(False)


@pytest.fixture
def work(tmp_path: Path) -> TextWork:
    return TextWork(tmp_path)


@pytest.fixture
def few(tmp_path: Path) -> TextWork:
    """With too few rows for a gate."""
    return TextWork(tmp_path, rows=FEW)


def grade(text: str) -> str:
    """A judge that compares the answer with the reference."""
    reference, answer = (re.search(rf"{name}\]\n(.*)\n\[", text) for name in ("reference", "answer"))
    assert reference
    assert answer
    return json.dumps({"points": 5 if reference[1] == answer[1] else 2})


def test_a_candidate_is_asked_for_its_answers_without_a_label(few: TextWork, monkeypatch: pytest.MonkeyPatch) -> None:
    few.contract = ANSWERED
    few.write()
    server = Server(lambda text: text.upper())
    with listening(server) as url:
        monkeypatch.setenv("WEIGHIN_CANDIDATE_URL", url)
        file = read_contract(few.folder / "model_contract.yaml")
        first, again = ask_candidate(file), ask_candidate(file)
        assert (first.rows, first.asked, again.asked) == (FEW, FEW, 0)
        other = ANSWERED.replace("Answer: {question}", "Please answer: {question}")
        (few.folder / "model_contract.yaml").write_text(other)
        assert ask_candidate(read_contract(few.folder / "model_contract.yaml")).asked == FEW
    found = pd.read_parquet(first.path).sort_values("id")
    assert found["prediction"].tolist()[:2] == ["PLEASE ANSWER: QUESTION 0", "PLEASE ANSWER: QUESTION 1"]
    assert found["tokens"].eq(7).all()
    assert found["latency_ms"].gt(0).all()
    sent = json.dumps(server.seen)
    assert not any(reference in sent for reference in few.frame["reference"])


def test_a_row_is_asked_several_times_and_each_answer_kept(few: TextWork, monkeypatch: pytest.MonkeyPatch) -> None:
    few.contract = ANSWERED.replace("target: reference,", "target: reference, repeats: 3,")
    few.write()
    number = itertools.count()
    with listening(Server(lambda text: f"{text} {next(number)}")) as url:
        monkeypatch.setenv("WEIGHIN_CANDIDATE_URL", url)
        file = read_contract(few.folder / "model_contract.yaml")
        first, again = ask_candidate(file), ask_candidate(file)
    assert (first.rows, first.asked, again.asked) == (3 * FEW, 3 * FEW, 0)
    found = pd.read_parquet(first.path)
    assert found["prediction"].nunique() == 3 * FEW
    assert found.groupby("id")["repeat"].apply(list).tolist() == [[0, 1, 2]] * FEW


def test_a_prompt_may_be_a_version_of_the_registry(few: TextWork, monkeypatch: pytest.MonkeyPatch) -> None:
    store = empty_store(few.folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    client = MlflowClient(store, store)
    for template in ("Old: {{question}}", 'Reply {"answer": ...} to {{ question }}'):
        client.register_prompt("ask", template)
    few.contract = ANSWERED.replace("'Answer: {question}'", "prompts:/ask/2")
    few.write()
    server = Server(lambda text: "x")
    with listening(server) as url:
        monkeypatch.setenv("WEIGHIN_CANDIDATE_URL", url)
        assert ask_candidate(read_contract(few.folder / "model_contract.yaml")).asked == FEW
        (few.folder / "model_contract.yaml").write_text(few.contract.replace("ask/2", "ask/9"))
        with pytest.raises(ContractError, match="no such prompt"):
            ask_candidate(read_contract(few.folder / "model_contract.yaml"))
    asked = {body["messages"][-1]["content"] for body in server.seen}
    assert 'Reply {"answer": ...} to question 0' in asked


def test_values_are_no_templates(few: TextWork, monkeypatch: pytest.MonkeyPatch) -> None:
    few.contract = ANSWERED
    few.frame["question"] = "{reference} {0.__class__} {{question}}"
    few.write()
    server = Server(lambda text: "x")
    with listening(server) as url:
        monkeypatch.setenv("WEIGHIN_CANDIDATE_URL", url)
        ask_candidate(read_contract(few.folder / "model_contract.yaml"))
    assert server.seen[0]["messages"][-1]["content"] == "Answer: {reference} {0.__class__} {{question}}"


@pytest.mark.parametrize(
    ("prompt", "said"),
    [("Answer: {reference}", "what is no feature"), ("Answer", "names no feature"), ("{question", "a brace too many")],
)
def test_a_prompt_that_cannot_be_filled_is_refused(
    prompt: str, said: str, few: TextWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    few.contract = ANSWERED.replace("Answer: {question}", prompt)
    few.write()
    monkeypatch.setenv("WEIGHIN_CANDIDATE_URL", "http://127.0.0.1:9")
    with pytest.raises(ContractError, match=said):
        ask_candidate(read_contract(few.folder / "model_contract.yaml"))


@pytest.mark.parametrize("named", ["/tmp/answers.parquet", "../answers.parquet", "link/answers.parquet"])
def test_a_contract_cannot_have_files_written_elsewhere(
    named: str, few: TextWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    (few.folder / "link").symlink_to(few.folder.parent)
    few.contract = ANSWERED.replace("predictions: answers.parquet", f"predictions: {named}")
    few.write()
    monkeypatch.setenv("WEIGHIN_CANDIDATE_URL", "http://127.0.0.1:9")
    with pytest.raises(ContractError, match="outside of the contract's folder"):
        ask_candidate(read_contract(few.folder / "model_contract.yaml"))


def test_an_endpoint_that_is_away_leaves_the_file_as_it_was(few: TextWork, monkeypatch: pytest.MonkeyPatch) -> None:
    few.contract = ANSWERED
    few.write()
    with listening(lambda _: Answer(401)) as url:
        monkeypatch.setenv("WEIGHIN_CANDIDATE_URL", url)
        with pytest.raises(NotEvaluated, match="answered 401"):
            ask_candidate(read_contract(few.folder / "model_contract.yaml"))
    assert not list(few.folder.glob("*answers.parquet*"))


def test_a_judge_gives_points_that_the_gate_reads(work: TextWork, monkeypatch: pytest.MonkeyPatch) -> None:
    work.contract = JUDGED.replace(" human: people,", "")
    work.write()
    assert work.red(write=False)["performance/score.good"] == "not_evaluated"
    server = Server(grade)
    with listening(server) as url:
        monkeypatch.setenv("WEIGHIN_JUDGE_URL", url)
        file = read_contract(work.folder / "model_contract.yaml")
        first = ask_judge(file, "good", work.folder / "work")
        assert first.malformed == 0
        assert ask_judge(file, "good", work.folder / "work").asked == 0
        assert work.red(write=False) == {}
        # One answer changes: it alone is asked again.
        work.answers["candidate"][3] = "another answer"
        work.write()
        assert work.red(write=False)["performance/score.good"] == "not_evaluated"
        assert ask_judge(file, "good", work.folder / "work").asked == 1
        assert work.red(write=False) == {}
        # Another rubric is another judge, whose points are asked anew.
        work.contract = work.contract.replace("Is it right", "Is it kind")
        work.write()
        found = work.outcomes(write=False)["performance/score.good"]
        assert "another judge, rubric or scale" in found.reason
        again = ask_judge(read_contract(file.path), "good", work.folder / "work")
        assert again.asked == again.rows > 0


def test_what_people_said_is_kept(work: TextWork, monkeypatch: pytest.MonkeyPatch) -> None:
    work.contract = JUDGED
    work.write()
    with listening(Server(grade)) as url:
        monkeypatch.setenv("WEIGHIN_JUDGE_URL", url)
        file = read_contract(work.folder / "model_contract.yaml")
        path = ask_judge(file, "good", work.folder / "work").path
        judged = pd.read_parquet(path)
        judged["people"] = judged["points"].where(judged.index % 2 == 0)
        judged.to_parquet(path, index=False)
        work.answers["candidate"][0] = "changed"
        work.write()
        assert ask_judge(file, "good", work.folder / "work").asked == 1
    assert pd.read_parquet(path)["people"].notna().sum() >= judged["people"].notna().sum() - 1
    assert work.red(write=False) == {}


class Wavering:
    """A judge that gives one point more each second time, and one less where the answer stands first."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, text: str) -> str:
        self.times += 1
        first = text.index(" answer]") < text.index(" reference]")
        return json.dumps({"points": 3 + self.times % 2 - first})


def test_a_judge_is_asked_again_and_in_the_other_order(
    work: TextWork, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work.contract = JUDGED.replace(" human: people,", "").replace("Is it right}", "Is it right, asks: 2, swap: true}")
    work.write()
    monkeypatch.setattr(behind_endpoint, "TOGETHER", 1)
    server = Server(Wavering())
    with listening(server) as url:
        monkeypatch.setenv("WEIGHIN_JUDGE_URL", url)
        command = ["ask", "judge", "good", "--contract", str(work.folder / "model_contract.yaml")]
        assert main([*command, "--work", str(work.folder / "work")]) == 0
        printed = capsys.readouterr().out
        assert main([*command, "--work", str(work.folder / "work")]) == 0
        # What was asked before keeps its noise.
        assert capsys.readouterr().out.partition("\n")[2] == printed.partition("\n")[2]
    judged = pd.read_parquet(work.folder / "judged.parquet")
    assert len(server.seen) == 4 * len(judged)
    assert judged["points"].eq(3).all()
    assert judged["repeat_difference"].eq(1).all()
    assert judged["order_difference"].eq(-1).all()
    assert judged["repeat_sd"].to_numpy() == pytest.approx(0.5**0.5)
    assert "asked the same again, points differ by 1 on average, standard deviation 0.707" in printed
    assert "points differ by 1 on average, standard deviation 0; they are -1 higher" in printed
    assert work.red(write=False)["performance/score.good"] == "failed"


def test_one_reply_that_is_no_points_leaves_none(few: TextWork, monkeypatch: pytest.MonkeyPatch) -> None:
    few.contract = JUDGED.replace(" human: people,", "").replace("Is it right}", "Is it right, swap: true}")
    few.write()
    swapped = re.compile(r" answer\].* reference\]", re.DOTALL)
    with listening(Server(lambda text: "five" if swapped.search(text) else '{"points": 5}')) as url:
        monkeypatch.setenv("WEIGHIN_JUDGE_URL", url)
        found = ask_judge(read_contract(few.folder / "model_contract.yaml"), "good", few.folder / "work")
    assert found.malformed == found.asked > 0
    assert found.noise == ()
    assert few.red(write=False)["performance/score.good"] == "not_evaluated"


def test_a_judge_that_answers_prose_leaves_no_points(
    few: TextWork, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few.contract = JUDGED.replace(" human: people,", "")
    few.write()
    with listening(Server(lambda text: "SECRET: five points!")) as url:
        monkeypatch.setenv("WEIGHIN_JUDGE_URL", url)
        monkeypatch.setenv("WEIGHIN_JUDGE_KEY", "sk-SECRET")
        command = ["ask", "judge", "good", "--contract", str(few.folder / "model_contract.yaml")]
        assert main([*command, "--work", str(few.folder / "work")]) == 1
    printed = "".join(capsys.readouterr())
    assert "replies were no points on the scale" in printed
    assert "SECRET" not in printed
    assert few.red(write=False)["performance/score.good"] == "not_evaluated"


@pytest.mark.parametrize("arguments", [["judge"], ["candidate", "good"], ["judge", "short"], ["candidate"]])
def test_what_cannot_be_asked_is_one_sentence(
    arguments: list[str], few: TextWork, capsys: pytest.CaptureFixture[str]
) -> None:
    few.contract = JUDGED
    few.write()
    assert main(["ask", *arguments, "--contract", str(few.folder / "model_contract.yaml")]) != 0
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
