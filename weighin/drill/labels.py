"""Faults of labels: what the holdout calls true is not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weighin.drill.fault import Bools, Fault, chosen, shares, slice_rows
from weighin.drill.inputs import Inputs, NotApplicable

Codes = NDArray[np.int64]


def flipped(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Change a share of the labels at random; a number becomes that of another row.

    Seen: about 3 % of the labels of ten well-known test sets are wrong (Northcutt, Athalye and Mueller 2021).
    """
    return _other_label(inputs, chosen(_rows(inputs), size, rng), rng)


def one_class(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Give a share of the rarest class's rows the label of another class.

    Seen: clicks and defaults that come late are stored as if they had not come (Chapelle 2014, delayed feedback).
    """
    if inputs.file.contract.model.numeric:
        raise NotApplicable("a number has no classes")
    codes, values = _codes(inputs)
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    return _other_label(inputs, chosen(len(codes), size, rng, codes == int(counts.argmin())), rng)


def one_slice(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Change a share of the labels in one part of the rows only.

    Seen: one site of a hospital codes a diagnosis otherwise than the rest (Zech et al. 2018).
    """
    return _other_label(inputs, chosen(_rows(inputs), size, rng, slice_rows(inputs)[1]), rng)


def definition(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Widen the definition of the rarest class: it grows by `size` times its rows, the likeliest first.

    A number becomes larger by `size` standard deviations.

    Seen: "late" changes from 15 to 10 minutes, "churned" from 30 to 60 days, while the column keeps its name.
    """
    table, target = inputs.table("holdout"), inputs.file.contract.model.target
    if inputs.file.contract.model.numeric:
        numbers = table[target].cast(pa.float64()).to_numpy(zero_copy_only=False)
        return inputs.with_column("holdout", target, pa.array(numbers + size * np.nanstd(numbers)))
    codes, values = _codes(inputs)
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    small, large = int(counts.argmin()), int(counts.argmax())
    answers = inputs.answers.get(("champion", "holdout"), inputs.answered("candidate"))
    score = answers if answers.ndim == 1 else answers[:, min(small, answers.shape[1] - 1)]
    if small == 0 and answers.ndim == 1:
        score = -score
    others = np.flatnonzero(codes == large)
    count = min(len(others), max(1, round(size * counts[small])))
    near = others[np.argsort(-score[others] + 1e-9 * rng.random(len(others)))[:count]]
    codes[near] = small
    return _with_codes(inputs, codes, values)


def another_row(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Move the labels of a share of the rows, at the end, by one row.

    Seen: a join by position after one row was dropped, an index that was reset in one of two tables.
    """
    table, target = inputs.table("holdout"), inputs.file.contract.model.target
    rows = table.num_rows
    start = min(rows - 1, round((1 - size) * rows))
    order = np.arange(rows)
    order[start:] = np.roll(order[start:], 1)
    return inputs.with_column("holdout", target, table[target].take(pa.array(order)).combine_chunks())


def _rows(inputs: Inputs) -> int:
    return int(inputs.table("holdout").num_rows)


def _codes(inputs: Inputs) -> tuple[Codes, pa.Array]:
    """(n,) codes of the labels, -1 where there is none, and the labels."""
    encoded = inputs.table("holdout")[inputs.file.contract.model.target].combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    if len(encoded.dictionary) < 2:
        raise NotApplicable("the holdout has fewer than two labels")
    return np.array(codes), encoded.dictionary


def _with_codes(inputs: Inputs, codes: Codes, values: pa.Array) -> Inputs:
    target = inputs.file.contract.model.target
    labels = values.take(pa.array(codes, mask=codes < 0))
    return inputs.with_column("holdout", target, labels)


def _other_label(inputs: Inputs, mask: Bools, rng: np.random.Generator) -> Inputs:
    """Return a copy in which the rows of a mask have another label."""
    if inputs.file.contract.model.numeric:
        target = inputs.file.contract.model.target
        places = np.arange(len(mask))
        places[mask] = rng.permutation(len(mask))[: int(mask.sum())]
        return inputs.with_column(
            "holdout", target, inputs.table("holdout")[target].take(pa.array(places)).combine_chunks()
        )
    codes, values = _codes(inputs)
    mask &= codes >= 0
    codes[mask] = (codes[mask] + rng.integers(1, len(values), int(mask.sum()))) % len(values)
    return _with_codes(inputs, codes, values)


FAULTS = (
    Fault("labels-flipped", "labels", flipped, 0.2, shares(0.2), "share of the labels", drawn=True),
    Fault("labels-one-class", "labels", one_class, 0.5, shares(0.5), "share of the rarest class", drawn=True),
    Fault("labels-one-slice", "labels", one_slice, 0.5, shares(0.5), "share of the part's labels", drawn=True),
    Fault("labels-definition", "labels", definition, 0.5, shares(0.5, 2), "of the size of the class", drawn=True),
    Fault("labels-another-row", "labels", another_row, 0.5, shares(0.5), "share of the rows", drawn=True),
)
