"""Shadow of a text task: what users asked is asked again, and the texts are compared."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from support.shadow_work import CONTRACT, Work
from weighin.contract import read_contract
from weighin.errors import ContractError
from weighin.load.log import Response, log_name, write_log
from weighin.load.replay import PHASE
from weighin.prediction_log.requests import Requests
from weighin.runner.plan import REQUESTS

MODEL = {"name": "m", "task": "text"}
COLUMNS = {"question": {"type": "string"}}
WATCH = [{"window": {"rows": 1000}, "error_rate_at_most": 0.1}]
DISAGREE = "shadow/disagreement"


def text_contract() -> dict[str, Any]:
    return {**copy.deepcopy(CONTRACT), "model": MODEL, "data": {"holdout": "holdout.parquet", "columns": COLUMNS}}


@dataclass
class TextWork(Work):
    """Two models that answer with the question, and what `adds` says."""

    contract: dict[str, Any] = field(default_factory=text_contract)

    @property
    def frame(self) -> pd.DataFrame:
        return pd.DataFrame({"question": [f"what is {i}?" for i in range(100)]})

    def bodies(self, rows: list[list[Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"dataframe_split": {"columns": ["question"], "data": rows}}, {"predictions": [r[0] for r in rows]}

    @property
    def shadow(self) -> dict[str, Any]:
        found: dict[str, Any] = self.contract["gates"]["shadow"]
        return found

    def replayed(self, role: str, texts: list[str | None], seconds: float = 0.01) -> None:
        """Leave what a role answered to the requests that were resolved."""
        asked = Requests.read(self.work / REQUESTS).rows_of(0, 1)
        log = [
            Response(PHASE, i, i, i + seconds, "" if text is not None else "status 500", rows, None, text and [text])
            for i, (rows, text) in enumerate(zip(asked, texts, strict=True))
        ]
        write_log(self.work / "shadow" / f"{role}-0" / log_name(role, 0), 0, log)


@pytest.fixture
def work(tmp_path: Path) -> TextWork:
    """With a log of two hundred questions, of which the longest has more letters than a value of other tasks may."""
    made = TextWork(tmp_path)
    made.log(*[[[f"what is {i}?" + "!" * (3000 if i == 7 else 0)]] for i in range(200)])
    return made


@pytest.fixture
def answered(work: TextWork) -> TextWork:
    """Both have answered all alike, without a server."""
    work.resolved()
    for role in ("candidate", "champion"):
        work.replayed(role, [f"the answer is {i}" for i in range(200)])
    return work


def red(work: TextWork) -> dict[str, str]:
    return {name: o.status.value for name, o in work.judged().items() if o.status.value != "passed"}


def test_questions_are_logged_replayed_and_compared(work: TextWork) -> None:
    work.candidate = {"adds": "."}  # type: ignore[dict-item]
    assert work.red() == {DISAGREE: "failed"}
    found = work.judged()[DISAGREE].evidence.detail
    # The log holds how long an answer was, and of this champion's none.
    assert (found["rows"], found["differ"], found["logged_by_this_champion"]) == (200, 200, 0)
    asked = Requests.read(work.work / REQUESTS)
    assert max(map(len, asked.features["question"].to_pylist())) > 3000
    assert asked.logged[0, 0] == len("what is 0?")


def test_the_same_answers_pass(answered: TextWork) -> None:
    assert red(answered) == {}


def test_other_answers_fail(answered: TextWork) -> None:
    answered.replayed("candidate", [f"the answer is {i}" + "." * (i % 2) for i in range(200)])
    found = answered.judged()[DISAGREE]
    assert (found.status.value, found.evidence.estimate) == ("failed", 0.5)
    assert "the answer" not in str(found)


def test_answers_that_share_their_words_are_the_same_where_the_contract_says_so(answered: TextWork) -> None:
    answered.shadow["token_f1_at_least"] = 0.7
    answered.replayed("candidate", [f"The answer is {i}, yes." for i in range(200)])
    assert red(answered) == {}
    answered.shadow["token_f1_at_least"] = 0.95
    assert red(answered) == {DISAGREE: "failed"}


def test_a_missing_answer_is_another_one(answered: TextWork) -> None:
    answered.shadow["token_f1_at_least"] = 0.0
    answered.replayed("candidate", [None if i % 4 == 0 else f"the answer is {i}" for i in range(200)])
    found = answered.judged()
    assert found[DISAGREE].evidence.estimate == 0.25
    assert red(answered) == {DISAGREE: "failed", "shadow/errors": "failed"}


def test_rows_that_the_champion_does_not_answer_are_left_out(answered: TextWork) -> None:
    answered.replayed("champion", [None if i % 2 else f"the answer is {i}" for i in range(200)])
    assert answered.judged()[DISAGREE].evidence.detail["rows"] == 100


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"tolerance": 0.1}, "`tolerance` goes with `disagreement_at_most` of a number"),
        ({"disagreement_at_most": None, "token_f1_at_least": 0.5}, "`token_f1_at_least` goes with"),
    ],
)
def test_limits_that_mean_nothing_are_refused(change: dict[str, Any], error: str, tmp_path: Path) -> None:
    made = TextWork(tmp_path)
    made.shadow.update(change)
    made.contract["gates"]["shadow"] = {k: v for k, v in made.shadow.items() if v is not None}
    with pytest.raises(ContractError, match=error):
        _ = made.file


def test_token_f1_is_about_texts(tmp_path: Path) -> None:
    made = Work(tmp_path)
    made.contract["gates"]["shadow"]["token_f1_at_least"] = 0.5
    with pytest.raises(ContractError, match="`token_f1_at_least` goes with"):
        _ = made.file


@pytest.mark.parametrize(
    "watch",
    [
        {"window": {"rows": 1000}, "drift_at_most": 0.1},
        {"window": {"rows": 1000}, "metric": "words", "at_most": 5},
        {"window": {"rows": 1000}, "disagreement_at_most": 0.1},
    ],
)
def test_a_monitor_of_texts_watches_what_needs_no_number(watch: dict[str, Any], tmp_path: Path) -> None:
    made = TextWork(tmp_path)
    assert read_contract(made.file.path)
    made.contract["monitor"]["watch"] = [*WATCH, watch]
    with pytest.raises(ContractError, match="monitor watches numbers and labels"):
        _ = made.file
