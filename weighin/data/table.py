"""Rows as Arrow tables: whole columns where a rank or a score needs them, and files that another step left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from weighin.data.arrow import Unsound, read_table
from weighin.data.names import must_differ
from weighin.errors import NotEvaluated
from weighin.untrusted.redact import reduced

PART = 1_000_000
"""Rows that are in memory at once where not all are wanted."""


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Return some columns of a Parquet file, in file order.

    Errors: `NotEvaluated` when the file is missing or unreadable, lacks a column, or has no rows.
    """
    try:
        schema = pq.read_schema(path)
        must_differ((n for n in schema.names if n in columns), columns, str(path))
        absent = [c for c in columns if c not in schema.names]
        if absent:
            have = ", ".join(schema.names[:20])
            raise NotEvaluated(f"no column {', '.join(absent)}", str(path), f"The file has: {have}.")
        table = pq.read_table(path, columns=list(columns), use_threads=True)
    except FileNotFoundError as error:
        raise NotEvaluated("the file is missing", str(path), "Correct the path in the contract's `data`.") from error
    except (pa.ArrowException, OSError) as error:
        if path.suffix.lower() in (".csv", ".tsv", ".txt"):
            raise NotEvaluated("only Parquet is read here", str(path), "Write this table as Parquet.") from error
        raise NotEvaluated(f"not a readable Parquet file ({reduced(error)})", str(path), "Write it again.") from error
    if not table.num_rows:
        raise NotEvaluated("the file has no rows", str(path), "Nothing can be measured on an empty table.")
    return table


def read_arrow(path: Path, place: str, most: int) -> pa.Table:
    """Return an Arrow file that a step left, perhaps under a model's hands: nothing about it is trusted.

    most  largest size in bytes
    Errors: `NotEvaluated` with what went wrong in that step, or with what is wrong with the file.
    """
    must_be_left(path, place)
    if path.stat().st_size > most:
        raise NotEvaluated(f"larger than {most} bytes", place, "Nothing that is asked for needs more.")
    try:
        return read_table(path, most)
    except Unsound as error:
        raise NotEvaluated(f"not a sound Arrow file: {error}", place, "Run the step again.") from error
    except OSError as error:
        raise NotEvaluated("the file cannot be opened", place, "Run the step again.") from error


def must_be_left(path: Path, place: str) -> None:
    """Errors: `NotEvaluated` with what went wrong in the step that should have left a file, where it is not there."""
    problem = path.parent.with_suffix(".problem")
    if problem.is_file():
        raise NotEvaluated(problem.read_text(encoding="utf-8", errors="replace")[:500], place)
    if path.is_symlink() or not path.is_file():
        raise NotEvaluated("the file was not left", place, "Look at the log of the step that should have left it.")


def read_rows(path: Path, columns: Sequence[str], rows: NDArray[np.int64]) -> pa.Table:
    """Return some columns of some rows of a Parquet file, a part of it in memory at a time. rows: in order."""
    found, start = [], 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(PART, columns=list(columns)):
            first, last = np.searchsorted(rows, (start, start + batch.num_rows))
            found.append(pa.Table.from_batches([batch]).take(pa.array(rows[first:last] - start)))
            start += batch.num_rows
    return pa.concat_tables(found).select(list(columns))


def drawn(path: Path, of: int, most: int, seed: int, group: str | None) -> NDArray[np.int64]:
    """Return the numbers of about `most` of `of` rows of a Parquet file, in order; of a group all rows or none.

    The same seed draws the same rows. The file is read where there are groups, a part at a time.
    """
    if group is None:
        rng, firsts = np.random.default_rng(seed), range(0, of, PART)
        return np.concatenate([n + np.flatnonzero(rng.random(min(PART, of - n)) < most / of) for n in firsts])
    from pandas.util import hash_array

    found, start, key = [], 0, f"{seed % 10**16:016d}"
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(PART, columns=[group]):
            texts = batch.column(0).cast(pa.string()).to_numpy(zero_copy_only=False).astype(object)
            texts[texts == None] = ""  # noqa: E711 - each element
            hashed = hash_array(texts, hash_key=key).astype(np.float64) / 2.0**64
            found.append(start + np.flatnonzero(hashed < most / of))
            start += batch.num_rows
    return np.concatenate(found)


def group_codes(values: pa.ChunkedArray, place: str) -> tuple[NDArray[np.int64], int]:
    """Codes 0..G-1 of a grouping column, and G. Errors: `NotEvaluated` when a value is missing."""
    if values.null_count:
        raise NotEvaluated(f"{values.null_count} rows have no group", place, "Every row must belong to a group.")
    encoded = values.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), len(encoded.dictionary)
