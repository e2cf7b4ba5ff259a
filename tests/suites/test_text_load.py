"""A served text task: green as it is, and red where one thing is wrong with what was answered, or when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from support.text_work import CONTRACT, TextWork
from weighin.contract import Contract
from weighin.contract.stricter import compare

LOAD = """\
  load:
    rate: 10
    seconds: 20
    within: {latency_ms: 100, share_at_least: 0.9}
    first_token: [{quantile: 0.9, latency_ms_at_most: 30}]
    against_champion: {quantile: 0.5, ratio_at_most: 1.5, first_token_ratio_at_most: 1.5}
    error_rate_at_most: 0.05
    memory_mb_at_most: 1000
    refuses_malformed: false
    input_example: false
    server: {request: chat, stream: true}
"""
FIRST, SLOWER = "load/first-token/p90", "load/first-token/p50/vs-champion"


@pytest.fixture
def work(tmp_path: Path) -> TextWork:
    return Made(tmp_path)


class Made(TextWork):
    """With a load gate, and what candidate and champion answered."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.contract = CONTRACT.replace("  performance:", f"{LOAD}  performance:")
        for role in ("candidate", "champion"):
            self.served(role)


def red(work: TextWork) -> dict[str, str]:
    return {n: s for n, s in work.red(suite="load").items() if n != "load/peak-memory"}


def test_a_server_that_answers_as_predicted_and_soon_passes(work: TextWork) -> None:
    assert red(work) == {}
    assert {FIRST, SLOWER, "load/wrong-answers"} <= set(work.outcomes(suite="load"))


def test_one_other_letter_is_a_wrong_answer_and_is_not_shown(work: TextWork) -> None:
    work.logs["candidate"][17]["texts"] = [work.answers["candidate"][17] + " "]
    outcome = work.outcomes(suite="load")["load/wrong-answers"]
    assert (outcome.status.value, outcome.evidence.estimate) == ("failed", 1.0)
    assert outcome.reason.startswith("1 of 400 answers differ from the offline ones (1 answer,")
    assert red(work) == {"load/wrong-answers": "failed"}


def test_a_model_that_samples_may_answer_otherwise_where_the_contract_says_so(work: TextWork) -> None:
    work.contract = work.contract.replace("    rate: 10\n", "    rate: 10\n    answers_may_differ: true\n")
    for response in work.logs["candidate"]:
        response["texts"] = ["another"]
    assert red(work) == {}
    assert "load/wrong-answers" not in work.outcomes(suite="load")


def test_a_late_first_token_is_late_though_the_whole_is_in_time(work: TextWork) -> None:
    work.served(first=0.049)
    assert red(work) == {FIRST: "failed", SLOWER: "failed"}


def test_a_slow_whole_is_no_late_first_token(work: TextWork) -> None:
    work.served(seconds=0.2)
    work.served("champion", seconds=0.2)
    assert red(work) == {"load/within-100-ms": "failed"}


def test_a_first_token_as_late_as_the_champions_is_judged_by_itself(work: TextWork) -> None:
    work.served(first=0.049)
    work.served("champion", first=0.049)
    assert red(work) == {FIRST: "failed"}


def test_a_failed_request_has_no_first_token(work: TextWork) -> None:
    for response in work.logs["candidate"][::5]:
        response.update(error="an error in the stream", texts=None)
    assert red(work) == {FIRST: "not_evaluated", "load/errors": "failed", "load/within-100-ms": "failed"}
    assert "had no right answer, so the quantile is no time" in work.outcomes(suite="load")[FIRST].reason


def test_without_a_first_token_its_time_is_not_evaluated(work: TextWork) -> None:
    for response in work.logs["candidate"]:
        del response["first"]
    assert red(work) == {FIRST: "not_evaluated", SLOWER: "not_evaluated"}


def test_no_answer_at_all_passes_nothing(work: TextWork) -> None:
    for response in work.logs["candidate"]:
        response.update(error="no answer in time", texts=None)
    found = red(work)
    assert found["load/wrong-answers"] == "not_evaluated"
    assert set(found) == {n for n in work.outcomes(suite="load") if n != "load/peak-memory"}


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"server": {"request": "chat"}}, "`first_token` needs `server: {stream: true}`"),
        ({"server": {"stream": True}, "first_token": []}, "`stream` needs `request: chat` or `request: responses`"),
        ({"server": {"request": "chat", "stream": True, "predictions": "/a"}}, "leave out `predictions`"),
        ({"batch_rows": 2}, "is one conversation: `batch_rows: 1`"),
        ({"tolerance": 0.1}, "a text task answers texts: write `answers_may_differ` instead"),
        ({"first_token": [{"quantile": 0.999, "latency_ms_at_most": 30}]}, "`first_token, 0.999` can never pass"),
        ({"timeout_seconds": 0.11, "first_token": [{"quantile": 0.5, "latency_ms_at_most": 110}]}, "must be longer"),
        ({"profile": "full", "clean_environment": True}, "which does not stream"),
    ],
)
def test_a_contract_that_cannot_be_measured_is_refused(changed: dict[str, Any], error: str) -> None:
    raw = yaml.safe_load(CONTRACT.replace("  performance:", f"{LOAD}  performance:"))
    Contract.model_validate(raw)
    raw["gates"]["load"].update(changed)
    with pytest.raises(ValueError, match=error.replace("{", r"\{").replace("(", r"\(")):
        Contract.model_validate(raw)


@pytest.mark.parametrize("key", ["answers_may_differ", "server"])
def test_what_is_about_texts_is_refused_elsewhere(key: str) -> None:
    raw = yaml.safe_load(CONTRACT.replace("  performance:", f"{LOAD}  performance:"))
    raw["model"].update(task="regression")
    raw["data"]["columns"]["reference"]["type"] = "float"
    raw["gates"]["performance"] = {"checks": [{"metric": "mae", "at_most": 1}]}
    load = raw["gates"]["load"]
    del load["first_token"], load["server"], load["against_champion"]
    Contract.model_validate(raw)
    load[key] = {"answers_may_differ": True, "server": {"request": "chat"}}[key]
    with pytest.raises(ValueError, match="is about texts: write `task: text`"):
        Contract.model_validate(raw)


def test_a_relaxed_first_token_is_a_relaxed_limit_and_another_model_that_samples_a_removed_one() -> None:
    raw = yaml.safe_load(CONTRACT.replace("  performance:", f"{LOAD}  performance:"))
    base = Contract.model_validate(raw)
    raw["gates"]["load"] |= {"first_token": [{"quantile": 0.9, "latency_ms_at_most": 60}], "answers_may_differ": True}
    found = compare(Contract.model_validate(raw), base)
    assert {c.check: c.how for c in found.limits} == {FIRST: "relaxed", "load/wrong-answers": "removed"}
    assert found.measured == ()


def test_two_features_are_no_conversation() -> None:
    raw = yaml.safe_load(CONTRACT.replace("  performance:", f"{LOAD}  performance:"))
    raw["data"]["columns"]["other"] = {"type": "string"}
    with pytest.raises(ValueError, match="`request: chat` asks one feature of type string"):
        Contract.model_validate(raw)
