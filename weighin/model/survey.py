"""What the answers of a model look like: labels, probabilities or numbers. `check-model` and `init` ask for it.

The process that asks the model writes `survey.json`, which holds no answer: only shapes, and the labels that the
model itself lists or answers, where they are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from weighin.canonical import read_json, write_json
from weighin.errors import EvidenceError
from weighin.model.answers import answer_columns

SCHEMA = "weighin/survey/v1"
FILE = "survey.json"
LABELS = 50
"""Largest number of different answers that are taken for labels."""
Label = str | int | bool


@dataclass(frozen=True)
class Answered:
    """One column of the answers.

    name      as the model calls it; empty where it has none
    text      whether it holds text
    whole     whether all of it are whole numbers
    unit      whether all of it lies in [0, 1]
    labels    the different answers, where they are text or whole numbers and at most `LABELS`
    """

    name: str
    text: bool
    whole: bool
    unit: bool
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True)
class Survey:
    """The answers to some rows.

    rows     how many were asked
    columns  the columns of the answers, in their order
    one      whether the columns of a row sum to one
    classes  the classes that the model lists, in the order of its numbers; empty where it lists none
    """

    rows: int
    columns: tuple[Answered, ...]
    one: bool
    classes: tuple[Label, ...] = ()

    def write(self, folder: Path) -> None:
        """Write `survey.json`."""
        write_json(folder / FILE, {"schema": SCHEMA, **asdict(self)})

    @staticmethod
    def read(folder: Path) -> Survey:
        """Read `survey.json`, which the model's process wrote. Errors: `EvidenceError`."""
        value = read_json(folder / FILE, SCHEMA)
        try:
            columns = tuple(Answered(**{**c, "labels": tuple(c["labels"])}) for c in value["columns"])
            found = Survey(int(value["rows"]), columns, bool(value["one"]), tuple(value["classes"]))
        except (KeyError, TypeError, ValueError) as error:
            raise EvidenceError(
                "not what a survey of a model's answers leaves", FILE, "Ask the model again."
            ) from error
        if len(found.classes) > LABELS or any(len(c.labels) > LABELS or len(c.name) > LABELS for c in columns):
            raise EvidenceError("longer than a survey of a model's answers", FILE, "Ask the model again.")
        return found

    @property
    def said(self) -> str:
        """The answers in words, without a value of them."""
        width = len(self.columns)
        if width > 1 and all(c.unit and not c.text for c in self.columns) and self.one:
            return f"probabilities of {width} classes for each row"
        if width > 1:
            names = ", ".join(c.name or "without a name" for c in self.columns[:6])
            return f"{width} columns for each row ({names})"
        only = self.columns[0]
        if only.text:
            return "one text for each row: labels"
        if only.whole and len(only.labels) == 2:
            return "one of two whole numbers for each row: labels"
        if only.unit and not only.whole:
            return "one number in [0, 1] for each row: a probability, or a value"
        return "one whole number for each row" if only.whole else "one number for each row"


def survey(returned: object, rows: int, classes: Sequence[object]) -> Survey:
    """Describe what a model returned for so many rows. Errors: `NotEvaluated` where it is no table of as many rows.

    >>> survey([[0.2, 0.8], [0.6, 0.4]], 2, ["no", "yes"]).said
    'probabilities of 2 classes for each row'
    """
    columns = answer_columns(returned, rows)
    numbers = [_numbers(values) for values in columns.values()]
    known = [n for n in numbers if n is not None]
    one = len(known) == len(numbers) and bool((np.abs(sum(known) - 1) < 1e-3).all()) if known else False
    listed = tuple(c for c in map(_label, classes) if c is not None)
    described = tuple(_described(name, values, n) for (name, values), n in zip(columns.items(), numbers, strict=True))
    return Survey(rows, described, one, listed if len(listed) == len(classes) <= LABELS else ())


def _described(name: str, values: NDArray[np.generic], numbers: NDArray[np.float64] | None) -> Answered:
    text = numbers is None
    whole = numbers is not None and bool(np.isfinite(numbers).all() and (numbers == np.round(numbers)).all())
    unit = numbers is not None and bool(((numbers >= 0) & (numbers <= 1)).all())
    different = dict.fromkeys(values.tolist()) if text or whole else {}
    labels = [_label(v) for v in different] if len(different) <= LABELS else []
    shown = name if name.isprintable() and len(name) <= LABELS and not name.isdecimal() else ""
    return Answered(shown, text, whole, unit, tuple(v for v in labels if v is not None))


def _numbers(values: NDArray[np.generic]) -> NDArray[np.float64] | None:
    """Return values as numbers; None where one of them is text or missing as an object."""
    if values.dtype.kind in "US" or (values.dtype == object and any(isinstance(v, str) for v in values)):
        return None
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        return None


def _label(value: object) -> Label | None:
    """Return a label as a contract writes it; None for what cannot stand in one."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, (bool, int)):
        return value
    return value if isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable() else None
