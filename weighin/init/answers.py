"""Task and prediction of a draft, from the target's values and from what the model answered."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from weighin.errors import ContractError
from weighin.init.columns import CATEGORIES
from weighin.model.survey import Answered, Label, Survey

POSITIVE = ("yes", "true", "1", "positive", "pos", "y", "t", "late", "churn", "churned", "default", "fraud", "bad")
CLASSES = 20
"""Whole numbers of more different values are taken for a quantity."""


@dataclass(frozen=True)
class Answers:
    """What the contract says below `model`.

    keys   `positive`, `classes` and `prediction`, where they are needed
    notes  key -> the comment beside it
    """

    task: str
    kind: str
    keys: dict[str, object]
    notes: dict[str, str]


def target_labels(values: pa.ChunkedArray, kind: str) -> list[Label] | None:
    """Return the target's different values in order, the rarest first; None where they are a quantity.

    kind  type of the column, as the contract calls it
    Errors: `ContractError` where nothing can be learnt from them.
    """
    known = values.drop_null()
    counts = sorted(
        ((v["values"].as_py(), v["counts"].as_py()) for v in pc.value_counts(known)), key=lambda item: item[1]
    )
    if len(counts) < 2:
        raise ContractError(
            "the target has not two different values", "--target", "Name the column that holds the truth."
        )
    found = [value for value, _ in counts]
    if kind == "string" and len(found) > CATEGORIES:
        raise ContractError(
            f"the target is a text of {len(found):,} different values", "--target", "Name the column of the labels."
        )
    if kind in ("string", "boolean"):
        return found
    if kind not in ("integer", "float"):
        raise ContractError(
            f"the target is a {kind}, which holds no labels and no numbers", "--target", "Name another."
        )
    if any(v != round(v) for v in found) or len(found) > CLASSES:
        return None
    return [int(v) for v in found]


def answers_of(labels: list[Label] | None, seen: Survey | None, positive: Label | None) -> Answers:
    """Return task and prediction.

    labels    of the target, the rarest first; None for a quantity
    seen      what the model answered; None without a model
    positive  as the user has it
    Errors: `ContractError` with a diagnosis where the answers fit no task.
    """
    if seen is not None and labels is not None and len(labels) > 2 and _is_number(seen, labels):
        labels = None
    if labels is None:
        return _regression(seen)
    return _binary(labels, seen, positive) if len(labels) == 2 else _multiclass(labels, seen)


def _is_number(seen: Survey, labels: list[Label]) -> bool:
    """Whether a model answers single numbers that are none of the labels."""
    only = seen.columns[0]
    return len(seen.columns) == 1 and not only.text and not only.whole and all(type(v) is int for v in labels)


def _regression(seen: Survey | None) -> Answers:
    if seen is None or len(seen.columns) == 1:
        if seen is not None and seen.columns[0].text:
            raise _unfit(seen, "the target is a number")
        return Answers("regression", "value", {}, {})
    numbers = [c for c in seen.columns if not c.text]
    if len(numbers) == 1 and numbers[0].name:
        said = {"kind": "value", "column": numbers[0].name}
        return Answers("regression", "value", {"prediction": said}, {"prediction": "the one column of numbers"})
    raise _unfit(seen, "the target is a number")


def _binary(labels: list[Label], seen: Survey | None, given: Label | None) -> Answers:
    keys: dict[str, object] = {}
    notes: dict[str, str] = {}
    usual = set(labels) == {0, 1}
    named = [v for v in labels if (isinstance(v, str) and v.lower() in POSITIVE) or v is True]
    positive = given if given is not None else named[0] if len(named) == 1 else None
    if given is not None and given not in labels:
        raise ContractError("not a value of the target", "--positive", "Name one of its two values.")
    if positive is None:
        positive = max(labels) if all(type(v) is int for v in labels) else labels[0]
        notes["positive"] = "guessed: the larger one" if type(positive) is int else "guessed: the rarer one"
    if not usual or positive != 1:
        keys["positive"] = positive
        if given is None:
            notes.setdefault("positive", "guessed by its name")
    if seen is None:
        return Answers("binary", "probability", keys, notes)
    column: object
    width = len(seen.columns)
    if width == 2 and seen.one and all(c.unit for c in seen.columns):
        order = [i for i, c in enumerate(seen.classes) if c == positive]
        column = order[0] if order else 1
        keys |= {"prediction": {"kind": "probability", "column": column}} if column != 1 else {}
        notes["prediction"] = "the model answers the probabilities of both labels"
        return Answers("binary", "probability", keys, notes)
    picked = _picked(seen, labels)
    if picked is None:
        raise _unfit(seen, "the target has two labels")
    column = seen.columns.index(picked) if not picked.name or width == 1 else picked.name
    if _is_label(picked, labels):
        keys["prediction"] = {"kind": "label"} if width == 1 else {"kind": "label", "column": column}
        notes["prediction"] = "the model answers labels: log it with predict_proba for AUC, log loss and a threshold"
        return Answers("binary", "label", keys, notes)
    kind = "probability" if picked.unit else "score"
    keys["prediction"] = {"kind": kind, "column": column}
    notes["prediction"] = f"the model answers {'a number in [0, 1]' if picked.unit else 'numbers outside of [0, 1]'}"
    return Answers("binary", kind, keys, notes)


def _picked(seen: Survey, labels: list[Label]) -> Answered | None:
    """Return the one column of the answers that can be meant: probabilities before labels before any number."""
    if len(seen.columns) == 1:
        return seen.columns[0] if not seen.columns[0].text or _is_label(seen.columns[0], labels) else None
    named = [c for c in seen.columns if c.name]
    units = [c for c in named if c.unit and not c.whole]
    if len(units) != 1:
        units = [c for c in named if _is_label(c, labels)]
    return units[0] if len(units) == 1 else None


def _is_label(column: Answered, labels: list[Label]) -> bool:
    known = {str(v) if isinstance(v, str) else int(v) for v in labels}
    answered = {v if isinstance(v, str) else int(v) for v in column.labels}
    return bool(answered) and answered <= known


def _multiclass(labels: list[Label], seen: Survey | None) -> Answers:
    classes: list[Label] = sorted(labels, key=lambda v: (str(type(v)), v))
    notes = {"classes": "guessed: in alphabetical order; the order of the model's probabilities counts"}
    if seen is not None and set(seen.classes) == set(labels):
        classes, notes = list(seen.classes), {"classes": "in the model's own order"}
    keys: dict[str, object] = {"classes": classes}
    if seen is None or (len(seen.columns) == len(classes) and seen.one):
        return Answers("multiclass", "probabilities", keys, notes)
    picked = next((c for c in seen.columns if _is_label(c, labels)), None)
    if picked is None:
        raise _unfit(seen, f"the target has {len(labels)} labels")
    keys["prediction"] = {"kind": "label", **({"column": picked.name} if len(seen.columns) > 1 else {})}
    notes["prediction"] = "the model answers labels: log it with predict_proba for AUC and log loss"
    return Answers("multiclass", "label", keys, notes)


def _unfit(seen: Survey, what: str) -> ContractError:
    return ContractError(
        f"{what}, and the model answers {seen.said}",
        "--model",
        "Log it so that it answers the target, or its probability.",
    )
