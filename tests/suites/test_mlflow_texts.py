"""MLflow's evaluation of texts, beside our outcomes: its names, our numbers, no text and no network."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer

from support.text_work import ROWS, TextWork
from weighin.contract import read_contract
from weighin.suites.evidence import Evidence
from weighin.suites.mlflow_evaluation import draw

RETRIEVAL = 'short: {retrieval: recall, at: 2}\n      other: {pattern: "^.{1,200}$"}'


@pytest.fixture
def work(tmp_path: Path) -> TextWork:
    return TextWork(tmp_path)


def drawn(work: TextWork) -> dict[str, float]:
    evidence = Evidence(read_contract(work.write().folder / "model_contract.yaml"), work.folder / "work")
    before = mlflow.get_tracking_uri()
    draw(evidence, work.folder / "out")
    assert mlflow.get_tracking_uri() == before
    left = [path for path in (work.folder / "out").rglob("*") if path.is_file()]
    assert not any(b"word1" in path.read_bytes() or b"something" in path.read_bytes() for path in left)
    found: dict[str, float] = json.loads((work.folder / "out/mlflow/metrics.json").read_text())
    return found


def test_answers_with_references_have_the_metrics_of_two_model_types(work: TextWork) -> None:
    found = drawn(work)
    right = [a == r for a, r in zip(work.answers["candidate"], work.frame["reference"], strict=True)]
    assert found["exact_match/v1"] == pytest.approx(np.mean(right))
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    pairs = zip(work.frame["reference"], work.answers["candidate"], strict=True)
    scores = [scorer.score(reference, answer) for reference, answer in pairs]
    for name in ("rouge1", "rouge2", "rougeL"):
        values = [score[name].fmeasure for score in scores]
        assert found[f"{name}/v1/mean"] == pytest.approx(np.mean(values))
        assert found[f"{name}/v1/variance"] == pytest.approx(np.var(values))
    assert {"flesch_kincaid_grade_level/v1/mean", "ari_grade_level/v1/p90"} <= set(found)


def test_without_references_there_is_what_an_answer_alone_has(work: TextWork) -> None:
    work.contract = work.contract.replace(", target: reference}", "}").replace(
        "role: target, missing_at_most: 0.1", "role: other"
    )
    for metric in (
        "exact_match, at_least: 0.7",
        "token_f1, at_least: 0.7",
        "token_f1, against: champion, margin: 0.02",
    ):
        work.contract = work.contract.replace(f"      - {{metric: {metric}}}\n", "")
    assert {name.partition("/")[0] for name in drawn(work)} == {"flesch_kincaid_grade_level", "ari_grade_level"}


def test_documents_have_the_metrics_of_a_retriever(work: TextWork) -> None:
    work.contract = work.contract.replace('short: {pattern: "^.{1,200}$"}', RETRIEVAL)
    work.frame["reference"] = '["word1", "b"]'
    for role in work.answers:
        # MLflow compares lists of names; prose names none.
        work.answers[role] = ['["word1", "c"]'] * (ROWS // 2) + ["something else"] * (ROWS // 2)
    found = drawn(work)
    assert found["precision_at_2/mean"] == pytest.approx(0.25)
    assert found["recall_at_2/mean"] == pytest.approx(0.25)
    assert 0 < found["ndcg_at_2/mean"] < 0.5
