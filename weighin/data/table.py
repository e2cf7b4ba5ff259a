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
    problem = path.parent.with_suffix(".problem")
    if problem.is_file():
        raise NotEvaluated(problem.read_text(encoding="utf-8", errors="replace")[:500], place)
    if path.is_symlink() or not path.is_file():
        raise NotEvaluated("the file was not left", place, "Look at the log of the step that should have left it.")
    if path.stat().st_size > most:
        raise NotEvaluated(f"larger than {most} bytes", place, "Nothing that is asked for needs more.")
    try:
        return read_table(path, most)
    except Unsound as error:
        raise NotEvaluated(f"not a sound Arrow file: {error}", place, "Run the step again.") from error
    except OSError as error:
        raise NotEvaluated("the file cannot be opened", place, "Run the step again.") from error


def group_codes(values: pa.ChunkedArray, place: str) -> tuple[NDArray[np.int64], int]:
    """Codes 0..G-1 of a grouping column, and G. Errors: `NotEvaluated` when a value is missing."""
    if values.null_count:
        raise NotEvaluated(f"{values.null_count} rows have no group", place, "Every row must belong to a group.")
    encoded = values.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), len(encoded.dictionary)
