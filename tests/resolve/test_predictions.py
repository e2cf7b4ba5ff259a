"""Predictions in place of a model: found by key, in the order of the rows, and refused where one is absent."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from weighin.canonical import file_digest
from weighin.contract import read_contract
from weighin.contract.reading import ContractFile
from weighin.errors import NotEvaluated
from weighin.model.answers import read_predictions
from weighin.model.given import copy_given, is_given
from weighin.model.subject import ModelVersion, Subject
from weighin.model.texts import read_texts
from weighin.resolve.datasets import resolve_rows
from weighin.resolve.predictions import with_predictions
from weighin.runner.artifact import changed

ROWS = 40
CONTRACT = """\
version: 1
model: {name: m, task: regression, target: y, candidate: {predictions: answers.parquet}}
data:
  holdout: holdout.parquet
  columns:
    store: {type: string, role: key}
    day: {type: date, role: key}
    x: {type: float}
    y: {type: float, role: target}
gates:
  performance: {checks: [{metric: mae, at_most: 1}]}
"""
VERSION = ModelVersion("m", "", "", "", "answers.parquet")


def keys() -> pd.DataFrame:
    days = pd.date_range("2026-01-01", periods=ROWS // 2).date
    return pd.DataFrame({"store": ["north", "south"] * (ROWS // 2), "day": np.repeat(days, 2)})


class Given:
    """A contract with rows and answers in another order. Change `answers`, then `place`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.contract = folder, CONTRACT
        x = np.arange(ROWS, dtype=np.float64)
        keys().assign(x=x, y=x).to_parquet(folder / "holdout.parquet")
        self.answers = keys().assign(prediction=x / 2).sample(frac=1, random_state=0)

    @property
    def file(self) -> ContractFile:
        (self.folder / "model_contract.yaml").write_text(self.contract)
        return read_contract(self.folder / "model_contract.yaml")

    def place(self, version: ModelVersion = VERSION) -> tuple[Subject, str]:
        """What resolving leaves: the subject, and why there are no predictions, or nothing."""
        self.answers.to_parquet(self.folder / "answers.parquet")
        file, work = self.file, self.folder / "work"
        rows = resolve_rows(file, work, False, datetime(2026, 3, 1, tzinfo=UTC))
        subject, problems = with_predictions(file, Subject(version, None, file.digest, rows, True), work, rows)
        subject.write(work / "subject.json")
        return subject, problems["candidate"]

    @property
    def features(self) -> str:
        return file_digest(self.folder / "work/features/holdout.parquet")


@pytest.fixture
def given(tmp_path: Path) -> Given:
    return Given(tmp_path)


def test_answers_come_into_the_order_of_the_rows(given: Given, tmp_path: Path) -> None:
    subject, problem = given.place()
    assert problem == ""
    folder, out = tmp_path / "work/models/candidate", tmp_path / "out/candidate"
    assert is_given(folder)
    copy_given(folder, tmp_path / "work/features", out)
    found = read_predictions(out / "holdout.arrow", ROWS, 1, given.features)
    assert found.tolist() == (np.arange(ROWS) / 2).tolist()
    assert subject.candidate.predictions == subject.candidate.digest != ""
    assert changed(tmp_path / "work", "candidate") == ""


def test_one_other_answer_is_another_digest_and_a_change_after_resolve_is_seen(given: Given, tmp_path: Path) -> None:
    before = given.place()[0].candidate.digest
    assert given.place()[0].candidate.digest == before
    given.answers.iloc[3, 2] += 1e-9
    assert given.place()[0].candidate.digest != before
    held = tmp_path / "work/models/candidate/holdout.arrow"
    held.write_bytes(held.read_bytes() + b" ")
    assert "and sha256:" in changed(tmp_path / "work", "candidate")


def test_predictions_of_a_version_keep_the_digest_of_its_files(given: Given) -> None:
    version = replace(VERSION, version="3", run_id="r", digest="sha256:files")
    found = given.place(version)[0].candidate
    assert (found.version, found.digest) == ("3", "sha256:files")
    assert found.predictions.startswith("sha256:")


def test_predictions_of_another_version_are_refused(given: Given) -> None:
    given.contract = given.contract.replace("answers.parquet}", "answers.parquet, version: '2'}")
    assert given.place(replace(VERSION, version="3"))[1] == "the predictions are of version 2, and version 3 is judged"


def test_keys_are_compared_as_the_contract_types_them(given: Given) -> None:
    given.answers["day"] = pd.to_datetime(given.answers["day"])
    given.answers["store"] = given.answers["store"].astype("category")
    assert given.place()[1] == ""


def test_the_answer_is_the_only_column_or_the_one_that_is_named(given: Given) -> None:
    given.answers = given.answers.assign(other=0.0)
    assert given.place()[1] == ""
    given.answers = given.answers.rename(columns={"prediction": "p"}).drop(columns="other")
    assert given.place()[1] == ""
    given.answers = given.answers.assign(q=0.0)
    given.contract = given.contract.replace("target: y,", "target: y, prediction: {column: p},")
    assert given.place()[1] == ""


def test_texts_are_given_as_well(given: Given, tmp_path: Path) -> None:
    given.contract = given.contract.replace("task: regression, target: y", "task: text").replace(
        "{metric: mae, at_most: 1}", "{metric: words, at_most: 9}"
    )
    given.contract = given.contract.replace("role: target", "role: other")
    given.answers["prediction"] = [f"text {i}" for i in given.answers.index]
    assert given.place()[1] == ""
    found = read_texts(tmp_path / "work/models/candidate/holdout.arrow", ROWS, given.features)
    assert found.tolist() == [f"text {i}" for i in range(ROWS)]


def test_a_row_that_is_asked_several_times_has_as_many_answers(given: Given, tmp_path: Path) -> None:
    given.contract = given.contract.replace("task: regression, target: y", "task: text, repeats: 2").replace(
        "{metric: mae, at_most: 1}", "{metric: words, at_most: 9}"
    )
    given.contract = given.contract.replace("role: target", "role: other")
    given.answers["prediction"] = [f"text {i}" for i in given.answers.index]
    assert f"{ROWS} of {ROWS} rows of the holdout have fewer than 2 predictions" in given.place()[1]
    once = given.answers
    given.answers = pd.concat([once, once.assign(prediction=once["prediction"] + " again")])
    assert given.place()[1] == ""
    found = read_texts(tmp_path / "work/models/candidate/holdout.arrow", 2 * ROWS, given.features)
    assert found.tolist()[:4] == ["text 0", "text 0 again", "text 1", "text 1 again"]
    given.answers = pd.concat([given.answers, once.head(1)])
    assert "1 keys occur more than 2 times" in given.place()[1]


def without_one(answers: pd.DataFrame) -> pd.DataFrame:
    return answers.iloc[1:]


def twice(answers: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([answers, answers.head(2)])


def no_key(answers: pd.DataFrame) -> pd.DataFrame:
    return answers.assign(store=[None, *answers["store"][1:]])


def text(answers: pd.DataFrame) -> pd.DataFrame:
    return answers.assign(prediction="SECRET")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (without_one, "1 of 40 rows of the holdout have no prediction"),
        (twice, "2 keys occur more than once"),
        (no_key, "a key is missing"),
        (text, "the answers are not numbers, text among them"),
        (lambda a: a.drop(columns="day"), "no column day"),
        (lambda a: a.drop(columns="prediction"), "no column beside the keys"),
        (lambda a: a.head(0), "there are no rows"),
        (
            lambda a: a.rename(columns={"prediction": "p"}).assign(q=0.0),
            "2 columns beside the keys, and none is called",
        ),
    ],
    ids=["absent", "twice", "no-key", "text", "no-key-column", "no-answer-column", "empty", "several"],
)
def test_what_does_not_answer_every_row_once_is_refused(broken, said: str, given: Given, tmp_path: Path) -> None:
    given.answers = broken(given.answers)
    problem = given.place()[1]
    assert said in problem
    assert "SECRET" not in problem
    with pytest.raises(NotEvaluated, match="no predictions were given for holdout"):
        copy_given(tmp_path / "work/models/candidate", tmp_path / "work/features", tmp_path / "out")


def test_a_file_that_is_absent_is_said(given: Given) -> None:
    given.contract = given.contract.replace("answers.parquet", "nowhere.parquet")
    assert "nowhere.parquet" in given.place()[1]


def test_a_model_with_the_mark_is_a_model(tmp_path: Path) -> None:
    for name in ("MLmodel", "weighin-predictions.json"):
        (tmp_path / name).write_text(json.dumps({}))
    assert not is_given(tmp_path)
