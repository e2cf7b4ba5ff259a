"""What a contract demands of each answer."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from weighin.scores import demands


def test_texts_are_held_in_any_case() -> None:
    answers = ["See [1] and STRASSE", "see straße", "nothing"]
    assert demands.contains(answers, ["[1]", "strasse"], every=False).tolist() == [1, 1, 0]
    assert demands.contains(answers, ["[1]", "strasse"], every=True).tolist() == [1, 0, 0]


def test_a_pattern_takes_time_in_proportion_to_the_text() -> None:
    started = time.monotonic()
    assert demands.matches(["a" * 100_000 + "b", "aa"], "(a+)+$").tolist() == [0, 1]
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1"])
def test_a_pattern_that_re2_does_not_read_is_an_error(pattern: str) -> None:
    with pytest.raises(ValueError, match="RE2"):
        demands.matches(["a"], pattern)


def test_a_schema_allows_and_refuses() -> None:
    schema = {"type": "object", "required": ["total"], "properties": {"total": {"type": "number", "minimum": 0}}}
    answers = ['{"total": 3}', '{"total": -1}', '{"total": "3"}', "3", "no json", '{"total": NaN}']
    assert demands.json_schema(answers, schema).tolist() == [1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "schema", [{"type": "thing"}, {"$ref": "https://example.org/other.json"}, {"$ref": "file:///a"}]
)
def test_what_is_no_schema_by_itself_is_an_error(schema: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no JSON Schema by itself"):
        demands.json_schema(["{}"], schema)


def test_retrieval_is_counted_at_k() -> None:
    answer, reference = ['["d", "a", "x", "b"]'], ['["a", "b", "c"]']

    def at(kind: str, k: int) -> float:
        return float(demands.retrieval(answer, reference, kind, k)[0])

    assert [at("precision", 2), at("precision", 10), at("recall", 4), at("reciprocal_rank", 4)] == [
        0.5,
        0.2,
        2 / 3,
        0.5,
    ]
    assert at("reciprocal_rank", 1) == 0


def test_ndcg_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        documents, relevant = random.permutation(20).tolist(), random.permutation(20)[: random.integers(1, 9)].tolist()
        truth = np.isin(documents, relevant).astype(float)
        theirs = ndcg_score([truth], [np.arange(20, 0, -1)], k=7)
        ours = demands.retrieval([json.dumps(documents)], [json.dumps(relevant)], "ndcg", 7)
        assert ours.tolist() == pytest.approx([theirs])


def test_a_document_that_is_named_twice_counts_once() -> None:
    assert demands.retrieval(['["a", "a", "a"]'], ['["a", "b"]'], "recall", 3).tolist() == [0.5]
    assert demands.retrieval(['["a", "a", "a"]'], ['["a", "b"]'], "ndcg", 3).tolist() == pytest.approx(
        [0.6131], abs=1e-4
    )


@pytest.mark.parametrize("answer", ["a, b", '{"a": 1}', "[[1]]", "[true]", "[1.5]", ""])
def test_an_answer_that_is_no_list_of_names_scores_nothing(answer: str) -> None:
    assert demands.retrieval([answer], ['["a"]'], "recall", 3).tolist() == [0]


@pytest.mark.parametrize("reference", ["a", "[]", "", "{}"])
def test_a_reference_that_is_no_list_of_names_is_an_error(reference: str) -> None:
    with pytest.raises(ValueError, match="a reference is no JSON list of names"):
        demands.retrieval(['["a"]'], [reference], "recall", 3)
