"""Task and prediction of a draft, from the target and from what the model answered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from weighin.errors import ContractError
from weighin.init.answers import answers_of, target_labels
from weighin.model.survey import survey

RANDOM = np.random.default_rng(0)
P = RANDOM.random(100)


def seen(returned: object, classes: list[object] | None = None) -> Any:
    return survey(returned, 100, classes or [])


CASES: dict[str, tuple[Any, Any, dict[str, object]]] = {
    "both probabilities": ([0, 1], seen(np.c_[1 - P, P], [0, 1]), {}),
    "the positive class first": (
        ["no", "yes"],
        seen(np.c_[P, 1 - P], ["yes", "no"]),
        {"positive": "yes", "prediction": {"kind": "probability", "column": 0}},
    ),
    "one probability": ([0, 1], seen(P), {"prediction": {"kind": "probability", "column": 0}}),
    "labels": ([0, 1], seen((P > 0.5).astype(int)), {"prediction": {"kind": "label"}}),
    "texts": (
        ["no", "yes"],
        seen(np.where(P > 0.5, "yes", "no")),
        {"positive": "yes", "prediction": {"kind": "label"}},
    ),
    "a score": ([0, 1], seen(10 * P - 5), {"prediction": {"kind": "score", "column": 0}}),
    "named columns": (
        [0, 1],
        seen({"label": (P > 0.5).astype(int), "p": P}),
        {"prediction": {"kind": "probability", "column": "p"}},
    ),
    "one and two": ([1, 2], seen(np.c_[1 - P, P], [1, 2]), {"positive": 2}),
    "three probabilities": ([2, 0, 1], seen(np.c_[P / 2, P / 2, 1 - P], [0, 1, 2]), {"classes": [0, 1, 2]}),
    "three labels": (
        ["c", "a", "b"],
        seen(np.array(["a", "b", "c", "a"] * 25)),
        {"classes": ["a", "b", "c"], "prediction": {"kind": "label"}},
    ),
    "a number": (None, seen(10 * P), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_prediction_is_what_the_model_answers(case: str) -> None:
    labels, answered, keys = CASES[case]
    found = answers_of(labels, answered, None)
    assert found.keys == keys
    assert found.task == ("regression" if labels is None else "binary" if len(labels) == 2 else "multiclass")


def test_whole_numbers_that_a_model_answers_in_between_are_a_quantity() -> None:
    assert answers_of([0, 1, 2, 3], seen(3 * P), None).task == "regression"
    assert answers_of([0, 1, 2, 3], seen(np.arange(100) % 4), None).task == "multiclass"


@pytest.mark.parametrize(
    ("labels", "answered", "said"),
    [
        (None, seen(np.array(["a", "b"] * 50)), "the target is a number, and the model answers one text for each row"),
        ([0, 1], seen(np.array(["a", "b"] * 50)), "the target has two labels, and the model answers one text"),
        ([0, 1], seen(RANDOM.normal(size=(100, 3))), "the target has two labels, and the model answers 3 columns"),
        (["a", "b", "c"], seen(P), "the target has 3 labels, and the model answers one number in"),
    ],
)
def test_answers_that_fit_no_task_are_a_diagnosis(labels: Any, answered: Any, said: str) -> None:
    with pytest.raises(ContractError) as caught:
        answers_of(labels, answered, None)
    assert said in str(caught.value)


def test_a_positive_label_that_is_none_is_refused() -> None:
    with pytest.raises(ContractError, match="not a value of the target"):
        answers_of(["no", "yes"], None, "maybe")


def test_which_label_is_positive_is_a_guess_that_is_said() -> None:
    assert answers_of(["b", "a"], None, None).notes["positive"] == "guessed: the rarer one"
    assert "positive" not in answers_of(["b", "a"], None, "a").notes


def test_labels_come_the_rarest_first_and_quantities_are_none() -> None:
    assert target_labels(pa.chunked_array([["a"] * 5 + ["b"] * 2]), "string") == ["b", "a"]
    assert target_labels(pa.chunked_array([[0.0, 1.0, 1.0]]), "float") == [0, 1]
    assert target_labels(pa.chunked_array([RANDOM.normal(size=50)]), "float") is None
    assert target_labels(pa.chunked_array([np.arange(50)]), "integer") is None


@pytest.mark.parametrize(
    ("values", "kind"), [([1, 1, 1], "integer"), ([f"v{i}" for i in range(60)], "string"), ([None, None], "integer")]
)
def test_a_target_from_which_nothing_is_learnt_is_refused(values: list[Any], kind: str) -> None:
    with pytest.raises(ContractError):
        target_labels(pa.chunked_array([pa.array(values, pa.string() if kind == "string" else pa.int64())]), kind)
