"""The only place that loads a model: features in, one file of predictions per dataset out.

It runs in a process (a container, where one is used) that holds no labels, no secret and no network. The file is then
read by a judge that trusts nothing in it.
"""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weighin.data.table import read_arrow
from weighin.errors import NotEvaluated

COLUMN = "prediction"
FILE_BYTES = 512 * 2**20
"""Largest file that a predicting process may write."""

Floats = NDArray[np.float64]


def predict(model: Path, features: Path, out: Path, column: int) -> None:
    """Load the MLflow model in `model`, predict every `features/*.parquet`, write `out/<dataset>.arrow`.

    `column` is the number of the answer that is the prediction, where the model answers with several.
    Errors: `NotEvaluated` when the model does not load, raises, or gives answers of no usable shape.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    import mlflow.pyfunc
    import pandas as pd

    try:
        loaded = mlflow.pyfunc.load_model(str(model))
    except Exception as error:
        raise NotEvaluated(f"the model does not load, {_said(error)}", "", "Load it by hand.") from error
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(features.glob("*.parquet")):
        rows = pd.read_parquet(path)
        try:
            raw = loaded.predict(rows)
        except Exception as error:
            raise NotEvaluated(f"the model raised {_said(error)}", path.name, "Ask it by hand.") from error
        answers = one_column(raw, column)
        with pa.OSFile(str(out / f"{path.stem}.arrow"), "wb") as sink:
            batch = pa.record_batch([pa.array(answers)], names=[COLUMN])
            with pa.ipc.new_file(sink, batch.schema) as writer:
                writer.write_batch(batch)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def one_column(answers: object, column: int) -> Floats:
    """The predictions among a model's answers: shape (n,) from (n,) or (n, k), from an array, list or data frame.

    Errors: `NotEvaluated` when they are not numbers, or have no such column.

    >>> one_column([[0.2, 0.8], [0.6, 0.4]], 1).tolist()
    [0.8, 0.4]
    """
    try:
        values = np.asarray(getattr(answers, "to_numpy", lambda: answers)(), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise NotEvaluated(f"the answers are not numbers ({error})", "", "Return one probability per row.") from error
    if values.ndim == 2 and column < values.shape[1]:
        return values[:, column]
    if values.ndim == 1:
        return values
    raise NotEvaluated(
        f"answers of shape {values.shape} have no column {column}", "", "Correct `model.prediction.column`."
    )


def read_predictions(path: Path, rows: int) -> Floats:
    """Predictions as probabilities, shape (rows,), from a file that a stranger wrote.

    Errors: `NotEvaluated` when the file is missing, too large, of another schema or length, or holds a value that is
    no probability.
    """
    place = f"predictions/{path.parent.name}/{path.name}"
    table = read_arrow(path, place, FILE_BYTES)
    if table.column_names != [COLUMN] or table.schema.field(0).type != pa.float64():
        raise NotEvaluated(f"expected one column `{COLUMN}` of doubles, found {table.schema}", place, "Predict again.")
    if table.num_rows != rows:
        raise NotEvaluated(f"{table.num_rows} predictions for {rows} rows", place, "Answer every row once.")
    values: Floats = table[COLUMN].to_numpy().astype(np.float64)
    bad = int(np.isnan(values).sum())
    if bad:
        raise NotEvaluated(f"{bad} of {rows} predictions are NaN", place, "Answer every row with a number.")
    outside = int(((values < 0) | (values > 1)).sum())
    if outside:
        raise NotEvaluated(f"{outside} of {rows} predictions lie outside [0, 1]", place, "Return probabilities.")
    return values
