"""Drift of free text: quiet where nothing has moved, red where one thing has, and silent about words."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support.evidence_files import SOUND
from weighin.canonical import file_digest
from weighin.contract import checks, read_contract
from weighin.errors import ContractError
from weighin.model.subject import ModelVersion, Subject
from weighin.outcome import Outcome, decide
from weighin.suites import measured
from weighin.suites.evidence import Evidence

CONTRACT = """\
version: 1
model: {name: m, task: text}
data:
  reference: reference.parquet
  current: current.parquet
  holdout: reference.parquet
  columns:
    talk: {type: integer, role: group}
    question: {type: string}
gates:
  drift:
    predictions: false
    target: false
    table_as_reference: false
    texts:
      question: {length_at_most: 0.25, words_at_most: 0.15, unknown_words_at_most: 0.05}
"""
AUC = ("unknown_words_at_most: 0.05}", "unknown_words_at_most: 0.05, auc_at_most: 0.65}")
ROWS = 1_000
CHECKS = {f"drift/question/{kind}" for kind in ("length", "words", "unknown-words")}
SPELT = [f"word{i}" for i in range(400)]


def texts(seed: int, words: list[str] = SPELT, longer: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    weights = 1 / np.arange(1, len(words) + 1)
    sizes = random.integers(4, 20, ROWS) + longer
    drawn = iter(random.choice(words, sizes.sum(), p=weights / weights.sum()).tolist())
    return [" ".join(itertools.islice(drawn, n)) for n in sizes.tolist()]


class Work:
    def __init__(self, folder: Path) -> None:
        self.folder, self.contract = folder, CONTRACT
        self.texts = {"reference": texts(0), "current": texts(1)}

    def outcomes(self) -> dict[str, Outcome]:
        (self.folder / "model_contract.yaml").write_text(self.contract)
        data = {}
        for name, listed in self.texts.items():
            path = self.folder / f"{name}.parquet"
            pd.DataFrame({"talk": np.arange(ROWS) // 10, "question": listed}).to_parquet(path, index=False)
            data[name] = {"sha256": file_digest(path), "rows": ROWS, "problem": ""}
        file = read_contract(self.folder / "model_contract.yaml")
        version = ModelVersion("m", "1", "r", "sha256:c", "x")
        subject = Subject(version, None, file.digest, data, ephemeral_registry=True, models=SOUND)
        subject.write(self.folder / "work/subject.json")
        evidence = Evidence(file, self.folder / "work")
        return {c.id: decide(measured(c, evidence), c.limit) for c in checks(file.contract, "drift")}

    def red(self) -> dict[str, str]:
        return {n: o.status.value for n, o in self.outcomes().items() if o.status.value != "passed"}


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


@pytest.mark.parametrize("group", ["", "group: talk\n"], ids=["rows", "talks"])
@pytest.mark.parametrize("measure", ["psi", "jensen_shannon", "total_variation", "kolmogorov_smirnov"])
def test_texts_of_one_source_pass(measure: str, group: str, work: Work) -> None:
    work.contract = CONTRACT.replace("  drift:\n", f"  drift:\n    measure: {measure}\n").replace(
        "gates:", f"{group}gates:"
    )
    found = work.outcomes()
    assert set(found) == CHECKS
    assert {o.status.value for o in found.values()} == {"passed"}


def test_longer_texts_are_seen(work: Work) -> None:
    work.texts["current"] = texts(1, longer=8)
    assert work.red()["drift/question/length"] == "failed"


def test_a_classifier_tells_them_apart_or_not(work: Work) -> None:
    work.contract = CONTRACT.replace(*AUC)
    assert work.red() == {}
    work.texts["current"] = texts(1, [*SPELT[200:], *SPELT[:200]])
    assert work.red()["drift/question/auc"] == "failed"


def test_other_words_are_seen(work: Work) -> None:
    work.texts["current"] = texts(1, [*SPELT[200:], *SPELT[:200]])
    red = work.red()
    assert red["drift/question/words"] == "failed"
    assert "drift/question/unknown-words" not in red


@pytest.mark.parametrize("group", ["", "group: talk\n"], ids=["rows", "talks"])
def test_another_language_is_seen(group: str, work: Work) -> None:
    work.contract = CONTRACT.replace("words_at_most: 0.15", "language_at_most: 0.1").replace("gates:", f"{group}gates:")
    spoken = np.array(["Where has my parcel gone, number %d?", "Wann kommt mein Koffer endlich zu mir, Nummer %d?"])
    of = np.random.default_rng(0)
    for name in work.texts:
        drawn = spoken[(of.random(ROWS) < 0.3).astype(int)]
        work.texts[name] = [text % i for i, text in enumerate(drawn)]
    assert "drift/question/language" not in work.red()
    work.texts["current"] = [str(spoken[1]) % i for i in range(ROWS)]
    found = work.outcomes()["drift/question/language"]
    assert found.status.value == "failed"
    assert found.evidence.estimate == pytest.approx(0.7, abs=0.05)  # type: ignore[union-attr]
    # A language that the reference does not have is one that is not among its own.
    work.texts["current"] = [f"Où est donc passé mon colis, numéro {i} ?" for i in range(ROWS)]
    assert work.red()["drift/question/language"] == "failed"
    assert "colis" not in repr(work.outcomes())


def test_words_that_the_reference_does_not_have_are_seen(work: Work) -> None:
    work.texts["current"] = texts(1, [f"SECRET{i}" if i % 4 == 0 else w for i, w in enumerate(SPELT)])
    found = work.outcomes()
    assert found["drift/question/unknown-words"].status.value == "failed"
    assert "SECRET" not in repr(found).upper()


def test_texts_are_no_categories_and_a_missing_text_is_an_empty_one(work: Work) -> None:
    assert "drift/question" not in work.outcomes()
    work.texts["current"] = ["" if i % 3 == 0 else t for i, t in enumerate(work.texts["current"])]
    assert work.red()["drift/question/length"] == "failed"
    work.texts["current"] = [None if i % 3 == 0 else t for i, t in enumerate(texts(1))]  # type: ignore[misc]
    assert work.red()["drift/question/length"] == "failed"


def test_few_talks_are_not_evaluated(work: Work) -> None:
    work.contract = CONTRACT.replace("gates:", "group: talk\ngates:").replace("rows_at_most", "")
    work.texts = {name: [*listed[:60], *[""] * (ROWS - 60)] for name, listed in work.texts.items()}
    assert work.red()["drift/question/words"] == "not_evaluated"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "{length_at_most: 0.25, words_at_most: 0.15, unknown_words_at_most: 0.05}",
            "{}",
            "at least one",
        ),
        ("      question: {length", "      nowhere: {length", "gates.drift.texts names `nowhere`"),
        ("      question: {length", "      talk: {length", "which is no feature of type string"),
        ("  reference: reference.parquet", "  reference: {profile: champion}", "needs the rows of data.reference"),
    ],
)
def test_what_cannot_be_meant_is_refused(old: str, new: str, says: str, work: Work) -> None:
    assert old in CONTRACT
    (work.folder / "model_contract.yaml").write_text(CONTRACT.replace(old, new))
    with pytest.raises(ContractError) as refused:
        read_contract(work.folder / "model_contract.yaml")
    assert says in str(refused.value)
