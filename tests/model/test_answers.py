"""What a model's answers mean: by number or name, probabilities or labels, and what is refused in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse

from weighin.contract.models import Model
from weighin.errors import NotEvaluated
from weighin.model.answers import (
    PRECISION,
    answers_in,
    as_probabilities,
    must_not_be_labels,
    order_of_classes,
    precision_of,
    read_precision,
    same_label,
)
from weighin.model.labels import truth_of
from weighin.runner.plan import Answers
from weighin.runner.problem import NOTHING, last_line

TWO = np.array([[0.2, 0.8], [0.6, 0.4]])
P = Answers((1,))
NAMED = Answers(("p",))
LABEL = Answers((0,), "label", positive="yes")
THREE = ("low", "mid", "high")
CLASSES = Answers((0, 1, 2), "probabilities", THREE)


class Tensor:
    """As PyTorch's: it leaves the graph and the device before it is an array."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.values, dtype=dtype)


@pytest.mark.parametrize(
    ("returned", "meant", "expected"),
    [
        (TWO, P, [0.8, 0.4]),
        (TWO.tolist(), P, [0.8, 0.4]),
        (pd.DataFrame(TWO), P, [0.8, 0.4]),
        (sparse.csr_matrix(TWO), P, [0.8, 0.4]),
        (Tensor(TWO.astype("float32")), P, [np.float32(0.8), np.float32(0.4)]),
        (TWO[:, 1], P, [0.8, 0.4]),
        (TWO[:, [1]], P, [0.8, 0.4]),
        (pd.Series([0.8, 0.4]), P, [0.8, 0.4]),
        (pd.DataFrame({"label": ["a", "b"], "p": [0.8, 0.4]}), NAMED, [0.8, 0.4]),
        (pd.DataFrame({"label": ["a", "b"], "p": [0.8, 0.4]}), P, [0.8, 0.4]),
        ([{"label": "a", "p": 0.8}, {"label": "b", "p": 0.4}], NAMED, [0.8, 0.4]),
        ([{"label": "a", "p": 0.8}, {"label": "b", "p": 0.4}], P, [0.8, 0.4]),
        ({"label": np.array(["a", "b"]), "p": TWO}, NAMED, [0.8, 0.4]),
        ({"p": TWO.tolist()}, NAMED, [0.8, 0.4]),
        (["yes", "no"], LABEL, [1.0, 0.0]),
        (np.array([["yes"], ["no"]]), LABEL, [1.0, 0.0]),
        (pd.Series(["yes", "no"], dtype="category"), LABEL, [1.0, 0.0]),
        (pd.DataFrame({"score": [1.0, 2.0], "l": ["yes", "no"]}), Answers(("l",), "label", positive="yes"), [1.0, 0.0]),
        ([1, -1], Answers((0,), "label", positive=1), [1.0, 0.0]),
        ([1, 0], Answers((0,), "label"), [1.0, 0.0]),
        ([[True], [False]], Answers((0,), "label"), [1.0, 0.0]),
        ([True, False], Answers((0,), "label", positive=True), [1.0, 0.0]),
        ([1.0, 0.0], Answers((0,), "label", positive=True), [1.0, 0.0]),
        (["high", "low"], Answers((0,), "label", THREE), [2.0, 0.0]),
        ([3, -250.5], Answers((0,), "score"), [3.0, -250.5]),
    ],
)
def test_the_prediction_is_found_in_whatever_a_library_returns(returned: Any, meant: Answers, expected: Any) -> None:
    found = answers_in(returned, meant)
    assert found.shape == (2, 1)
    assert found[:, 0].tolist() == expected


def test_probabilities_of_several_classes() -> None:
    rows = [[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]
    assert answers_in(rows, CLASSES).tolist() == rows
    table = pd.DataFrame(rows, columns=list(THREE))
    assert answers_in(table, CLASSES).tolist() == rows
    # Names say more than the order.
    assert answers_in(table[["high", "low", "mid"]], CLASSES).tolist() == rows
    assert answers_in(table[["high", "low", "mid"]].to_dict("records"), CLASSES).tolist() == rows


def test_a_label_that_is_missing_is_no_class() -> None:
    assert np.isnan(answers_in(["yes", None, "no"], LABEL)[1, 0])
    assert np.isnan(answers_in([1.0, float("nan")], Answers((0,), "label", positive=1))[1, 0])


@pytest.mark.parametrize(
    ("returned", "meant", "said"),
    [
        (["Jane", "Doe"], P, "the answers are not numbers, text among them (ValueError, code "),
        (TWO, Answers((2,)), "answers of shape (2, 2) have no column 2"),
        (pd.DataFrame({"a": [1.0]}), NAMED, 'the answers have no column ["p"]'),
        (pd.DataFrame({"a": [1.0], "b": [2.0]}), Answers((7,)), "the answers have 2 columns, and none of number 7"),
        (
            {"a": TWO, "b": [1.0, 2.0]},
            Answers((0,), "value"),
            "column 0 of the answers holds no single value for a row",
        ),
        (np.ones((2, 2, 2)), P, "answers of shape (2, 2, 2) have no column 1"),
        ([{"a": 1}, {"b": 2}], P, "the rows of the answers have not the same columns"),
        ([0.1, 0.2], CLASSES, "one number per row, and not one for each of 3 classes"),
        ([[1.0], [1.0, 2.0]], P, "the answers are no table (ValueError, code "),
        (["yes", "no", "Jane"], LABEL, "the answers hold 3 different labels, and a binary task has two"),
        (["low", "Jane"], Answers((0,), "label", THREE), "1 different labels that are none of `model.classes`"),
        (TWO, Answers(("l",), "label", positive=1), "the answers are no single label for a row"),
    ],
)
def test_what_is_not_what_was_promised_is_said_without_a_value(returned: Any, meant: Answers, said: str) -> None:
    with pytest.raises(NotEvaluated) as caught:
        answers_in(returned, meant)
    assert said in caught.value.fact
    assert "Jane" not in str(caught.value)
    # The step's log is a stranger's as well: only sentences that are known are taken from it.
    names = [str(c) for c in (*meant.columns, *meant.classes)]
    assert last_line(f"weighin: {caught.value}\n".encode(), names) != NOTHING, caught.value.fact


def test_the_order_of_classes_is_the_model_s_or_is_refused() -> None:
    order_of_classes(list(THREE), CLASSES)
    order_of_classes([0, 1, 2], CLASSES)  # codes say nothing of labels
    order_of_classes([], CLASSES)
    with pytest.raises(
        NotEvaluated, match=r'in the order \["high", "low", "mid"\].*Write `classes: \[high, low, mid\]`'
    ):
        order_of_classes(["high", "low", "mid"], CLASSES)
    with pytest.raises(NotEvaluated, match="the model has 2 classes, and the contract 3"):
        order_of_classes(["low", "mid"], CLASSES)
    with pytest.raises(NotEvaluated, match="not all classes of the model"):
        order_of_classes(["low", "mid", "Jane"], CLASSES)


def test_the_probability_that_is_read_is_that_of_the_positive_label() -> None:
    order_of_classes(["no", "yes"], Answers((1,), positive="yes"))
    order_of_classes(["yes", "no"], Answers((1,)))
    with pytest.raises(NotEvaluated, match=r'probability of \["yes"\] is number 0 of an answer, .* reads number 1'):
        order_of_classes(["yes", "zero"], Answers((1,), positive="yes"))


def test_answers_of_zeros_and_ones_are_labels() -> None:
    with pytest.raises(NotEvaluated, match=r"answers labels, and not probabilities.*predict_proba.*kind: label"):
        must_not_be_labels(np.array([0.0, 1.0, 1.0]), "predictions/candidate/holdout.arrow")
    with pytest.raises(NotEvaluated, match="answers labels"):
        must_not_be_labels(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]), "x")
    assert must_not_be_labels(np.array([0.0, 1.0, 0.999]), "x").tolist() == [0.0, 1.0, 0.999]


def test_the_precision_is_that_of_the_answer() -> None:
    assert precision_of(TWO.astype("float32")) == "float32"
    assert precision_of(Tensor(TWO.astype("float32"))) == "float32"
    assert precision_of(pd.DataFrame({"l": ["a", "b"], "p": TWO[:, 0].astype("float32")})) == "float32"
    assert precision_of([0.5, 1]) == "float64"
    assert precision_of(["a"]) == "float64"


@pytest.mark.parametrize(("said", "eps"), [("float32", 2**-23), ("float16", 2**-52), ("x", 2**-52), ("", 2**-52)])
def test_what_a_model_says_of_its_precision_widens_a_tolerance_no_further(
    said: str, eps: float, tmp_path: Path
) -> None:
    schema = pa.schema([("prediction", pa.float64())], {PRECISION: said.encode()} if said else None)
    with pa.OSFile(str(tmp_path / "holdout.arrow"), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.table([[0.5]], schema=schema))
    assert float(read_precision(tmp_path / "holdout.arrow").eps) == eps


def test_labels_are_compared_as_what_they_are() -> None:
    assert same_label(np.float64(1.0), True)
    assert not same_label("1", 1)
    assert not same_label(1, "1")
    assert not same_label(None, "yes")


def test_codes_as_probabilities() -> None:
    assert as_probabilities(np.array([2.0, 0.0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert as_probabilities(np.array([1.0, 0.0]), 0).tolist() == [1.0, 0.0]


def labels(values: list[Any], **of: Any) -> list[Any]:
    model = Model.model_validate({"name": "m", "target": "y", **of})
    return truth_of(pa.chunked_array([pa.array(values)]), model, "holdout, column y").tolist()  # type: ignore[no-any-return]


def test_labels_of_the_data() -> None:
    assert labels([0, 1, 1], task="binary") == [False, True, True]
    assert labels([True, False], task="binary") == [True, False]
    assert labels([0.0, 1.0], task="binary") == [False, True]
    assert labels(["yes", "no"], task="binary", positive="yes") == [True, False]
    assert labels([-1, 1], task="binary", positive=1) == [False, True]
    assert labels([1, 2], task="binary", positive=2) == [False, True]
    assert labels(["mid", "low"], task="multiclass", classes=list(THREE)) == [1, 0]
    assert labels([1, 2], task="regression") == [1.0, 2.0]


@pytest.mark.parametrize(
    ("values", "of", "said"),
    [
        ([-1, 1], {"task": "binary"}, "labels other than 0 and 1.*model.positive"),
        (["Jane", "Doe"], {"task": "binary"}, "labels other than 0 and 1"),
        (["yes", "no", "Jane"], {"task": "binary", "positive": "yes"}, "3 different labels, and a binary task has two"),
        (["low", "Jane"], {"task": "multiclass", "classes": list(THREE)}, "1 labels are none of `model.classes`"),
        (["Jane"], {"task": "regression"}, "labels that are not numbers"),
        ([float("inf")], {"task": "regression"}, "labels that are not finite"),
    ],
)
def test_labels_that_are_none_are_counted_and_not_shown(values: list[Any], of: dict[str, Any], said: str) -> None:
    with pytest.raises(NotEvaluated, match=said) as caught:
        labels(values, **of)
    assert "Jane" not in str(caught.value)
