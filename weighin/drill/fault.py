"""What a fault is, and what its functions share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from weighin.drill.inputs import Inputs, NotApplicable

Family = Literal["labels", "model", "data", "serving", "process", "own", "controls"]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Fault:
    """A fault with a size.

    make    puts it into inputs, (inputs, size, random numbers) -> inputs, or for a fault of the process into a case of
            evidence; the first line of its docstring says what it is, the rest where it has been seen
    size    the size that the documentation states
    sizes   all that are tried, in ascending order
    unit    what a size counts
    drawn   whether the holdout is drawn again at each draw, since performance is what may catch it
    asks    whether models have to be asked again about the changed features
    """

    name: str
    family: Family
    make: Callable[..., Any]
    size: float
    sizes: tuple[float, ...]
    unit: str
    drawn: bool = False
    asks: bool = False

    @property
    def what(self) -> str:
        """What it is, in a sentence or two."""
        return " ".join(part for part in _paragraphs(self.make.__doc__) if not part.startswith(SEEN))

    @property
    def seen(self) -> str:
        """Where it has been seen."""
        found = [part for part in _paragraphs(self.make.__doc__) if part.startswith(SEEN)]
        return " ".join(part.removeprefix(SEEN) for part in found)


SEEN = "Seen: "
"""With which the paragraph of a fault's docstring begins that says where it has been seen."""


def _paragraphs(text: str | None) -> list[str]:
    return [" ".join(part.split()) for part in (text or "").strip().split("\n\n")] or [""]


def shares(stated: float, most: float = 1.0) -> tuple[float, ...]:
    """Return sizes from a sixteenth of the stated one to four times as much, at most `most`.

    >>> shares(0.2)
    (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
    """
    return tuple(round(stated * 2.0**p, 12) for p in range(-4, 3) if stated * 2.0**p <= most)


def chosen(n: int, share: float, rng: np.random.Generator, among: Bools | None = None) -> Bools:
    """(n,) which rows a fault hits: a share of those `among`, at least one. Errors: `NotApplicable` where none are."""
    places = np.arange(n) if among is None else np.flatnonzero(among)
    if not len(places):
        raise NotApplicable("no row is of the kind that the fault changes")
    count = min(len(places), max(1, round(share * len(places))))
    mask = np.zeros(n, dtype=bool)
    mask[rng.choice(places, count, replace=False)] = True
    return mask


def association(values: pa.ChunkedArray, answers: NDArray[np.float64]) -> float:
    """Share of the variance of answers between ten cells, or the categories, of a column; in [0, 1]."""
    codes = _cells(values)
    score = answers if answers.ndim == 1 else answers[:, 0]
    score = np.nan_to_num(score)
    counts, total = np.bincount(codes), score.var()
    means = np.bincount(codes, weights=score) / np.maximum(counts, 1)
    return float(((means - score.mean()) ** 2 * counts).sum() / len(score) / total) if total > 0 else 0.0


def _cells(values: pa.ChunkedArray) -> NDArray[np.int64]:
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        numbers = np.nan_to_num(values.cast(pa.float64()).to_numpy(zero_copy_only=False))
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, 11)[1:-1]))
        return np.asarray(np.searchsorted(edges, numbers, side="right"), dtype=np.int64)
    codes = pc.fill_null(values.combine_chunks().dictionary_encode().indices, -1)
    return np.asarray(codes.to_numpy(zero_copy_only=False), dtype=np.int64) + 1


def numeric(inputs: Inputs) -> tuple[str, ...]:
    """Return the numeric features, the one that the candidate's answers follow most first.

    Errors: `NotApplicable` where there are none.
    """
    return _ranked(inputs, ("float", "integer"), "numeric feature")


def categorical(inputs: Inputs) -> tuple[str, ...]:
    """Return the features that hold texts, in the same order. Errors: `NotApplicable` where there are none."""
    return _ranked(inputs, ("string", "boolean"), "feature with categories")


def _ranked(inputs: Inputs, types: Sequence[str], what: str) -> tuple[str, ...]:
    contract, table = inputs.file.contract, inputs.table("holdout")
    names = [n for n in contract.features if contract.data.columns[n].type in types and n in table.column_names]
    if not names:
        raise NotApplicable(f"the contract has no {what}")
    answers = _followed(inputs)
    return tuple(sorted(names, key=lambda n: (-association(table[n], answers), n)))


def _followed(inputs: Inputs) -> NDArray[np.float64]:
    """Return the candidate's answers to the holdout; where no model was asked, the labels in their place."""
    with contextlib.suppress(NotApplicable):
        return inputs.answered("candidate")
    return _cells(inputs.table("holdout")[inputs.file.contract.model.target]).astype(np.float64)


def slice_rows(inputs: Inputs) -> tuple[str, Bools]:
    """Return a part of the holdout, in words and as (n,) booleans: the smallest one that a slice of the contract lists.

    Without slices it is the most frequent value of a category, or the upper half of a number.
    """
    table, gate = inputs.table("holdout"), inputs.file.contract.gates.performance
    listed = [s for s in (gate.slices if gate else ()) if s.column and s.values and s.column in table.column_names]
    if listed:
        of = listed[0]
        values = table[str(of.column)].to_numpy(zero_copy_only=False)
        masks = {str(v): np.asarray(values == v) for v in of.values}
        there = {v: m for v, m in masks.items() if m.any()}
        if there:
            name = min(there, key=lambda v: (int(there[v].sum()), v))
            return f"a value of {of.column}", there[name]
    with_categories = [
        n for n, c in inputs.file.contract.data.columns.items() if c.type == "string" and c.role == "feature"
    ]
    for name in with_categories:
        counted = pc.value_counts(table[name].drop_null().combine_chunks())
        if len(counted):
            top = counted.field("values")[int(np.argmax(counted.field("counts").to_numpy()))].as_py()
            return f"a value of {name}", np.asarray(table[name].to_numpy(zero_copy_only=False) == top)
    name = numeric(inputs)[0]
    numbers = table[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return f"the upper half of {name}", np.asarray(numbers > np.nanmedian(numbers))
