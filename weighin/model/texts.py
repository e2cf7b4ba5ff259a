"""Answers that are texts: as a model returns them, and in the file that is left of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weighin.data.table import read_arrow
from weighin.errors import NotEvaluated
from weighin.model.answers import COLUMN, FEATURES, FILE_BYTES, columns_by_name, must_answer
from weighin.runner.plan import Answers
from weighin.untrusted.redact import listed

Texts = NDArray[np.object_]
"""(n,) texts."""
LARGEST = 200_000
"""Bytes of one answer in UTF-8; nobody reads more, and scores take time in proportion."""


def texts_in(returned: object, answers: Answers) -> list[str]:
    """Return the texts among what a model returned: one for each row, lists and objects as JSON.

    returned  texts in a list, array, series or data frame, or tables with a column of them
    Errors: `NotEvaluated` where an answer is none, is too long, or is no text that UTF-8 can hold; no answer is shown.

    >>> texts_in([{"answer": "yes"}, {"answer": ["a", "b"]}], Answers(("answer",), "text"))
    ['yes', '["a", "b"]']
    """
    columns = columns_by_name(returned)
    if columns is not None:
        returned = _column(columns, answers)
    if isinstance(returned, str | bytes) or not isinstance(returned, Iterable):
        raise NotEvaluated("the answers are no list of texts", "", "Return one text for each row.")
    return must_be_texts([_text(value) for value in returned], "")


def _column(found: Mapping[str, object], answers: Answers) -> object:
    """Return the column that is meant. Errors: `NotEvaluated`."""
    meant = answers.columns[0]
    if isinstance(meant, str):
        if meant not in found:
            said = f"the answers have no column {listed([meant])}"
            raise NotEvaluated(said, "", "Correct `model.prediction.column`.")
        return found[meant]
    if meant >= len(found):
        raise NotEvaluated(
            f"the answers have {len(found)} columns, and none of number {meant}",
            "",
            "Correct `model.prediction.column`, a number counted from 0 or a name.",
        )
    return list(found.values())[meant]


def _text(value: object) -> str | None:
    """Return an answer as text; nothing for what is none."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple | dict):
        try:
            return json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError):
            return None
    return value if isinstance(value, str) else None


def must_be_texts(found: list[str | None], place: str) -> list[str]:
    """Return answers, if each is a text that UTF-8 can hold in `LARGEST` bytes. Errors: `NotEvaluated`."""
    texts = [t for t in found if t is not None]
    if len(texts) < len(found):
        said = f"{len(found) - len(texts):,} of {len(found):,} answers are no text"
        raise NotEvaluated(said, place, "Return one text for each row.")
    try:
        long = sum(len(t.encode()) > LARGEST for t in texts)
    except UnicodeEncodeError:
        # Without the error: it holds the text.
        raise NotEvaluated("an answer holds what UTF-8 cannot hold", place, "Return Unicode text.") from None
    if long:
        said = f"{long:,} of {len(texts):,} answers have more than {LARGEST:,} bytes"
        raise NotEvaluated(said, place, "Bound the length of an answer.")
    return texts


def write_texts(path: Path, texts: list[str], features: str) -> None:
    """Write answers to the file of a dataset.

    features  digest of the features that they answer
    """
    schema = pa.schema([(COLUMN, pa.string())], {FEATURES: features.encode()})
    batch = pa.record_batch([pa.array(texts, pa.string())], schema=schema)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(batch)


def read_texts(path: Path, rows: int, features: str) -> Texts:
    """Return answers from a file that a stranger wrote, shape (rows,).

    features  digest of the features that they must answer
    Errors: `NotEvaluated` when the file is missing, too large, of another schema or length, or holds what is no text.
    """
    place = f"predictions/{path.parent.name}/{path.name}"
    table = read_arrow(path, place, FILE_BYTES)
    if table.column_names != [COLUMN] or table.schema.field(0).type != pa.string():
        raise NotEvaluated(f"the columns are not {COLUMN} as text", place, "Predict again.")
    must_answer(table, rows, features, place)
    found: Texts = np.empty(rows, dtype=object)
    found[:] = must_be_texts(table[COLUMN].to_pylist(), place)
    return found
