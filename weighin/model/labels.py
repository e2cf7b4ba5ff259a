"""Labels of the data as what metrics take: booleans, codes or numbers, by the contract's own labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weighin.contract.models import Model
from weighin.data.typed import file_type
from weighin.errors import NotEvaluated
from weighin.model.answers import Floats, as_probabilities, same_label
from weighin.stats.scored import Scored
from weighin.untrusted import JsonValue

Truth = NDArray[Any]
"""Booleans, codes or numbers; texts of a text task."""


def truth_of(labels: pa.ChunkedArray, model: Model, place: str) -> Truth:
    """Return labels, none of them missing, as the task has them: shape (rows,).

    Booleans (is it the positive class?), places in `model.classes`, or numbers.
    Errors: `NotEvaluated` with how many are no labels of this task, and no label of the data.
    """
    if model.task == "text":
        if file_type(labels.type) != "string":
            raise NotEvaluated("references that are no texts", place, "Correct the target.")
        return np.asarray(labels.cast(pa.string()).to_numpy(zero_copy_only=False), dtype=object)
    if model.numeric:
        try:
            numbers: Floats = np.asarray(labels.to_numpy(), dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise NotEvaluated("labels that are not numbers", place, "Correct the target.") from error
        if not np.isfinite(numbers).all():
            raise NotEvaluated("labels that are not finite", place, "Leave out rows without a label.")
        return np.asarray(numbers)
    encoded = labels.combine_chunks().dictionary_encode()
    different = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy().astype(np.int64)
    if model.task == "binary":
        return np.asarray(np.array(_positive(different, model, place), dtype=np.bool_)[codes])
    of = [next((i for i, c in enumerate(model.classes) if same_label(d, c)), -1) for d in different]
    found: NDArray[np.int64] = np.array(of, dtype=np.int64)[codes]
    if (found < 0).any():
        raise NotEvaluated(f"{int((found < 0).sum())} labels are none of `model.classes`", place, "List every class.")
    return found


def _positive(different: Sequence[JsonValue], model: Model, place: str) -> list[bool]:
    """Return which of the different labels is the positive one."""
    if model.positive is None:
        if not all(same_label(d, 0) or same_label(d, 1) for d in different):
            raise NotEvaluated(
                "labels other than 0 and 1", place, "Name the positive one: `model.positive`, or correct the target."
            )
        return [same_label(d, 1) for d in different]
    positive = [same_label(d, model.positive) for d in different]
    if positive.count(False) > 1:
        raise NotEvaluated(
            f"{len(different)} different labels, and a binary task has two", place, "Correct the target, or the task."
        )
    return positive


def scored(truth: Truth, answered: Floats, weight: Floats | None, model: Model, threshold: float) -> Scored:
    """Return labels with what a model answered, as metrics take them: labels as probabilities of 0 and 1."""
    if model.prediction.kind == "label":
        answered, threshold = as_probabilities(answered, len(model.classes)), 0.5
    return Scored(truth, answered, weight, threshold)
