"""Scores that a judge gave elsewhere, with and without labels by people: green as they are, red where one is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support.text_work import ROWS, TextWork

SCORE = "good: {given: judged.parquet, column: points, least: 0, largest: 1, unit: points}"
HUMAN = SCORE.replace("unit: points}", "unit: points, human: people}")
CHECKS = """\
      - {metric: score.good, at_least: 0.75}
      - {metric: score.good, against: champion, margin: 0.1}
"""


class Judged(TextWork):
    """A text task whose answers a judge has scored; change `judged`, then ask for outcomes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        lines = self.contract.replace("    checks:\n", f"    checks:\n{CHECKS}")
        self.contract = lines.replace('short: {pattern: "^.{1,200}$"}', f'short: {{pattern: "."}}\n      {SCORE}')
        parts = []
        for number, answers in enumerate(self.answers.values()):
            right = np.array([a == r for a, r in zip(answers, self.frame["reference"], strict=True)], dtype=float)
            parts.append(pd.DataFrame({"id": self.frame["id"], "answer": answers, "points": right}))
            asked = np.random.default_rng(number).choice(ROWS, 100, replace=False)
            parts[-1]["people"] = np.where(np.isin(np.arange(ROWS), asked), right, np.nan)
        self.judged = pd.concat(parts).drop_duplicates(["id", "answer"])

    def write(self) -> TextWork:
        self.judged.to_parquet(self.folder / "judged.parquet", index=False)
        return super().write()


@pytest.fixture
def work(tmp_path: Path) -> Judged:
    return Judged(tmp_path)


def test_scores_that_were_given_are_judged_as_ours(work: Judged) -> None:
    assert work.red() == {}
    found = work.outcomes()["performance/score.good"].evidence
    assert found.unit == "points"  # type: ignore[union-attr]
    work.judged.loc[work.judged["points"] == 1, "points"] = 0.7
    assert work.red()["performance/score.good"] == "failed"


def test_the_labels_of_people_correct_a_judge(work: Judged) -> None:
    work.judged["points"] = 1.0
    assert work.red() == {}
    work.contract = work.contract.replace(SCORE, HUMAN).replace("good, at_least: 0.75", "good, at_least: 0.97")
    # The judge sees no fault anywhere; people say that a tenth of the answers are wrong.
    assert work.red()["performance/score.good"] == "failed"


def test_a_judge_that_agrees_makes_the_interval_narrower(work: Judged) -> None:
    work.contract = work.contract.replace(SCORE, HUMAN)
    agrees = work.outcomes()["performance/score.good"].evidence
    work.judged["points"] = 0.5
    knows_nothing = work.outcomes()["performance/score.good"].evidence
    assert agrees.high - agrees.low < 0.8 * (knows_nothing.high - knows_nothing.low)  # type: ignore[union-attr]
    assert work.red().keys() <= {"performance/score.good", "performance/score.good/vs-champion"}


def test_few_labels_are_not_evaluated(work: Judged) -> None:
    work.contract = work.contract.replace(SCORE, HUMAN)
    labelled = work.judged.index[work.judged["people"].notna()]
    work.judged["people"] = work.judged["people"].where(work.judged.index.isin(labelled[:20]))
    found = work.outcomes()["performance/score.good"]
    assert found.status.value == "not_evaluated"
    assert "are labelled by people, at least 30 are needed" in found.reason


def of_another_answer(judged: pd.DataFrame) -> pd.DataFrame:
    return judged.assign(answer=[f"{a} " if i == 5 else a for i, a in zip(judged["id"], judged["answer"], strict=True)])


def prose(judged: pd.DataFrame) -> pd.DataFrame:
    return judged.assign(points="SECRET: a very good answer, 10/10")


def one_missing(judged: pd.DataFrame) -> pd.DataFrame:
    return judged.assign(points=judged["points"].where(judged["id"] != 7))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (of_another_answer, "1 of 300 answers have no score"),
        (one_missing, "1 of 300 answers have no score"),
        (prose, "scores that are no numbers"),
        (lambda j: j.assign(points=j["points"] * 10), "scores lie outside of their range"),
        (lambda j: j.assign(points=np.inf), "scores lie outside of their range"),
        (lambda j: pd.concat([j, j.head(3)]), "3 answers are scored twice"),
        (lambda j: j.drop(columns="answer"), "no column answer"),
        (lambda j: j.drop(columns="points"), "no column points"),
        (lambda j: j.drop(columns="id"), "no column id"),
    ],
    ids=["answer", "missing", "prose", "scale", "infinite", "twice", "no-answer", "no-column", "no-key"],
)
def test_what_a_judge_did_not_say_is_not_evaluated_and_nothing_is_shown(broken, said: str, work: Judged) -> None:
    work.judged = broken(work.judged)
    found = work.outcomes()
    both = [found[f"performance/score.good{end}"] for end in ("", "/vs-champion")]
    assert [o.status.value for o in both] == ["not_evaluated"] * 2
    assert said in both[0].reason
    assert "SECRET" not in repr(found)
    assert found["performance/token_f1"].status.value == "passed"


def test_a_file_that_is_absent_is_not_evaluated(work: Judged) -> None:
    work.contract = work.contract.replace("given: judged.parquet", "given: nowhere.parquet")
    assert work.outcomes()["performance/score.good"].status.value == "not_evaluated"
