"""Faults between training and serving: the candidate is given another feature than it was fitted with.

The data are sound, and so is the champion; the candidate's own preparation differs. It is asked again for each size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from weighin.drill.fault import Fault, chosen, numeric, shares
from weighin.drill.inputs import Inputs, NotApplicable

Change = Callable[[pa.Table, np.random.Generator], pa.Table]


def permuted(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Give the candidate another row's value of the feature that it follows most, in a share of the rows.

    Seen: a feature that is joined by position when the model is asked.
    """
    name = numeric(inputs)[0]

    def change(table: pa.Table, own: np.random.Generator) -> pa.Table:
        places = np.arange(table.num_rows)
        hit = np.flatnonzero(chosen(table.num_rows, size, own))
        places[hit] = own.permutation(hit)
        return _put(table, name, table[name].take(pa.array(places)))

    return _prepared(inputs, change, rng)


def swapped(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Exchange two features before the candidate answers, in a share of the rows.

    Seen: features that are handed over by position, after a column was added.
    """
    names = numeric(inputs)
    if len(names) < 2:
        raise NotApplicable("the contract has one numeric feature, which cannot be exchanged with another")

    def change(table: pa.Table, own: np.random.Generator) -> pa.Table:
        hit = pa.array(chosen(table.num_rows, size, own))
        one, other = table[names[0]], table[names[1]]
        first = pc.if_else(hit, _as(other, one.type), one)
        return _put(_put(table, names[0], first), names[1], pc.if_else(hit, _as(one, other.type), other))

    return _prepared(inputs, change, rng)


def scaled(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Multiply the feature that the candidate follows most by `size` before it answers.

    Seen: a scaler that was fitted in training and left out in the service.
    """
    name = numeric(inputs)[0]

    def change(table: pa.Table, own: np.random.Generator) -> pa.Table:
        values = pc.multiply(table[name].cast(pa.float64()), size)
        return _put(table, name, _as(values, table[name].type))

    return _prepared(inputs, change, rng)


def frozen(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Give the candidate the median of the feature that it follows most, in a share of the rows.

    Seen: a feature store that answers with a default when it is late.
    """
    name = numeric(inputs)[0]
    middle = pc.quantile(inputs.table("holdout")[name].cast(pa.float64()), 0.5)[0]

    def change(table: pa.Table, own: np.random.Generator) -> pa.Table:
        hit = pa.array(chosen(table.num_rows, size, own))
        value = pa.chunked_array([pa.array(np.full(table.num_rows, middle.as_py()))])
        return _put(table, name, pc.if_else(hit, _as(value, table[name].type), table[name]))

    return _prepared(inputs, change, rng)


def all_frozen(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Answer a share of the rows as if every numeric feature had its median.

    Seen: a lookup that fails for new customers, and whose defaults nobody notices.
    """
    names = numeric(inputs)
    table = inputs.table("holdout")
    middles = {n: pc.quantile(table[n].cast(pa.float64()), 0.5)[0].as_py() for n in names}

    def change(rows: pa.Table, own: np.random.Generator) -> pa.Table:
        hit = pa.array(chosen(rows.num_rows, size, own))
        for name in names:
            value = pa.chunked_array([pa.array(np.full(rows.num_rows, middles[name]))])
            rows = _put(rows, name, pc.if_else(hit, _as(value, rows[name].type), rows[name]))
        return rows

    return _prepared(inputs, change, rng)


def _prepared(inputs: Inputs, change: Change, rng: np.random.Generator) -> Inputs:
    if ("candidate", "holdout") not in inputs.answers:
        raise NotApplicable("the candidate was not asked")
    seed = int(rng.integers(2**32))
    return replace(inputs, prepare=lambda table: change(table, np.random.default_rng(seed)))


def _as(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return (
        pc.round(values).cast(kind)
        if pa.types.is_integer(kind) and pa.types.is_floating(values.type)
        else values.cast(kind)
    )


def _put(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


SHARE = "share of the rows"
FAULTS = (
    Fault("model-feature-permuted", "model", permuted, 1.0, shares(1.0), SHARE, drawn=True, asks=True),
    Fault("model-features-swapped", "model", swapped, 1.0, shares(1.0), SHARE, drawn=True, asks=True),
    Fault(
        "model-feature-scaled", "model", scaled, 2.0, (1.05, 1.1, 1.25, 1.5, 2.0, 4.0), "times", drawn=True, asks=True
    ),
    Fault("model-feature-frozen", "model", frozen, 1.0, shares(1.0), SHARE, drawn=True, asks=True),
    Fault("model-defaults", "model", all_frozen, 0.5, shares(0.5), SHARE, drawn=True, asks=True),
)
