"""Rows with one feature permuted at a time: what a model answers to them says what it relies on.

The file of copies is one more table of features, without labels, so that the model's container can answer it. Rows,
order and permutations follow from the number of rows alone: the judge draws the same ones again and needs no key.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def sample(n: int, rows: int) -> Rows:
    """(min(n, rows),) row numbers below `n`, drawn without replacement with a fixed seed, in ascending order.

    >>> sample(3, 100).tolist()
    [0, 1, 2]
    """
    if rows >= n:
        return np.arange(n, dtype=np.int64)
    return np.sort(np.random.default_rng(0).choice(n, rows, replace=False)).astype(np.int64)


def donors(n: int, feature: int, repeat: int) -> Rows:
    """(n,) the row whose value each row is given, for one feature (its position) and one repeat.

    One random cycle through all rows, so that no row keeps its own value: the mean over rows is then without bias for
    a pair of different rows (Fisher, Rudin and Dominici 2019, eq. 3.5). Every row gives its value once.
    """
    order = np.random.default_rng([feature, repeat]).permutation(n)
    permutation_source = np.empty(n, dtype=np.int64)
    permutation_source[order] = np.roll(order, 1)
    return permutation_source


def permuted(features: pa.Table, rows: int, repeats: int) -> pa.Table:
    """Yield copies of a sample of the rows, each with the values of one column moved to other rows; the same schema.

    Layout: for each feature in order, for each repeat, the sampled rows in ascending order; (features x repeats x
    sample) rows. `sample(features.num_rows, rows)` says which rows, `donors` where their values come from.

    >>> permuted(pa.table({"a": [1, 2], "b": ["x", "y"]}), 100, 1).to_pydict()
    {'a': [2, 1, 1, 2], 'b': ['x', 'y', 'y', 'x']}
    """
    chosen = features.take(pa.array(sample(features.num_rows, rows))).combine_chunks()
    copies = [
        chosen.set_column(j, chosen.field(j), chosen.column(j).take(pa.array(donors(chosen.num_rows, j, repeat))))
        for j in range(chosen.num_columns)
        for repeat in range(repeats)
    ]
    return pa.concat_tables(copies)
