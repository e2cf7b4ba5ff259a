"""Rows that repeat an earlier row of the same table, and which of them are natural."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
LEFT_OUT = 40
"""Columns that are left out in turn to find neighbours; a table with more is searched in the first of them."""


def repeated(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str], *, natural: bool
) -> NDArray[np.bool_]:
    """(n,) whether a row repeats an earlier one, by its position.

    table    SQL for the rows, with their position, counted from 0, as `pos`
    columns  SQL for what must be equal; missing is a value like any other
    natural  leave out rows that have a neighbour: one that differs from them in a single column. Where a table has few
             values, rows have neighbours, and equal rows are natural
    Rows are compared by hashes of 64 bits: of 5 million rows two are equal by mistake once in a million tables.
    """
    whole = "xor(" * (len(columns) - 1) + _hash(columns[0], 0)
    whole += "".join(f", {_hash(c, i)})" for i, c in enumerate(columns) if i)
    total = _ordered(connection, table, whole)
    _, first, group, size = np.unique(total, return_index=True, return_inverse=True, return_counts=True)
    again = size[group] > 1
    if not again.any():
        return again
    candidates = np.flatnonzero(again)
    counted = np.ones(len(candidates), dtype=bool)
    for number, column in enumerate(columns[:LEFT_OUT] if natural else ()):
        if len(columns) == 1 or not counted.any():
            break
        rest = total ^ _ordered(connection, table, _hash(column, number))
        known, place = np.unique(rest[candidates], return_inverse=True)
        at = np.searchsorted(known, rest).clip(max=len(known) - 1)
        near = np.bincount(at[known[at] == rest], minlength=len(known))
        counted &= near[place] == size[group[candidates]]
    again[candidates[~counted]] = False
    again[first] = False
    return again


def _hash(column: str, number: int) -> str:
    """Return SQL for the hash of a value, another one in each column."""
    # Twice, since DuckDB joins two hashes by exclusive or, as `repeated` does.
    return f"hash(hash({column}, {number + 1}))"


def _ordered(connection: duckdb.DuckDBPyConnection, table: str, sql: str) -> Hashes:
    found = connection.sql(f"SELECT pos, ({sql})::UBIGINT AS value FROM {table}").fetchnumpy()  # noqa: S608 - places
    values = np.empty(len(found["pos"]), dtype=np.uint64)
    values[found["pos"]] = found["value"]
    return values
