"""The only place that loads a model: features in, one file of predictions per dataset out.

It runs in a process (a container, where one is used) that holds no labels, no secret and no network. The file is then
read by a judge that trusts nothing in it.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weighin.data.table import read_arrow
from weighin.errors import NotEvaluated
from weighin.record.encode import file_digest

COLUMN = "prediction"
FEATURES = b"weighin.features"
"""Metadata of a file of predictions: digest of the features that they answer, row by row."""
FILE_BYTES = 512 * 2**20
"""Largest file that a predicting process may write."""

Floats = NDArray[np.float64]


def predict(model: Path, features: Path, out: Path, columns: tuple[int, ...], shap_rows: int = 0) -> None:
    """Load the MLflow model in `model`, predict every `features/*.parquet`, write `out/<dataset>.arrow`.

    columns    numbers of the answer that are the prediction, where the model answers with several
    shap_rows  rows of the holdout for which SHAP values are left in `out/shap.arrow`; 0 for none
    Errors: `NotEvaluated` when the model does not load, raises, or gives answers of no usable shape.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    import mlflow.pyfunc
    import pandas as pd

    try:
        loaded = mlflow.pyfunc.load_model(str(model))
    except Exception as error:
        raise NotEvaluated(f"the model does not load, {_said(error)}", "", "Load it by hand.") from error

    def ask(rows: pd.DataFrame, place: str) -> Floats:
        try:
            raw = loaded.predict(rows)
        except Exception as error:
            raise NotEvaluated(f"the model raised {_said(error)}", place, "Ask it by hand.") from error
        return answers_in(raw, columns)

    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(features.glob("*.parquet")):
        answers = ask(pd.read_parquet(path), path.name)
        batch = pa.record_batch(list(np.ascontiguousarray(answers.T)), names=prediction_columns(columns))
        schema = batch.schema.with_metadata({FEATURES: file_digest(path).encode()})
        with pa.OSFile(str(out / f"{path.stem}.arrow"), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))
    if shap_rows:
        from weighin.explain import shap_values, write_shap

        rows = pd.read_parquet(features / "holdout.parquet")
        try:
            values = shap_values(lambda frame: ask(frame, "shap"), rows, shap_rows)
        except NotEvaluated as error:
            # For information only: what the suites judge has been left already, and the report says that this was not.
            print(f"no SHAP values: {error}", file=sys.stderr)
            return
        write_shap(out / "shap.arrow", tuple(rows.columns), values)


def prediction_columns(columns: tuple[int, ...]) -> list[str]:
    """Names of the columns in a file of predictions: one, or one for each class."""
    return [COLUMN] if len(columns) == 1 else [f"{COLUMN}_{i}" for i in range(len(columns))]


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def answers_in(answers: object, columns: tuple[int, ...]) -> Floats:
    """The predictions among a model's answers: shape (n, columns) from (n,) or (n, k): an array, list or data frame.

    Errors: `NotEvaluated` when they are not numbers, or have no such columns.

    >>> answers_in([[0.2, 0.8], [0.6, 0.4]], (1,)).tolist()
    [[0.8], [0.4]]
    """
    try:
        values = np.asarray(getattr(answers, "to_numpy", lambda: answers)(), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise NotEvaluated(f"the answers are not numbers ({error})", "", "Return one number per row.") from error
    if values.ndim == 2 and (max(columns) < values.shape[1] or values.shape[1] == len(columns) == 1):
        return values[:, list(columns)] if values.shape[1] > 1 else values
    if values.ndim == 1 and len(columns) == 1:
        return values[:, None]
    raise NotEvaluated(
        f"answers of shape {values.shape} have no column {max(columns)}", "", "Correct `model.prediction`."
    )


def read_predictions(path: Path, rows: int, columns: tuple[int, ...], features: str) -> Floats:
    """Predictions from a file that a stranger wrote: shape (rows,), or (rows, k) for several columns.

    features  digest of the features that they must answer: predictions of other rows, or of these in another order,
              carry another one
    Errors: `NotEvaluated` when the file is missing, too large, of another schema or length, or holds a value that is
    not finite.
    """
    place = f"predictions/{path.parent.name}/{path.name}"
    table = read_arrow(path, place, FILE_BYTES)
    names = prediction_columns(columns)
    if table.column_names != names or {f.type for f in table.schema} != {pa.float64()}:
        raise NotEvaluated(f"expected {', '.join(names)} as doubles, found {table.schema}", place, "Predict again.")
    answered = (table.schema.metadata or {}).get(FEATURES, b"").decode("ascii", "replace")
    if features and answered != features:
        raise NotEvaluated(
            "these predictions answer other rows, or the same in another order", place, "Predict again, after resolve."
        )
    if table.num_rows != rows:
        raise NotEvaluated(f"{table.num_rows} predictions for {rows} rows", place, "Answer every row once.")
    values = np.column_stack([table[name].to_numpy().astype(np.float64) for name in names])
    for bad, what in ((np.isnan(values), "NaN"), (np.isinf(values), "infinite")):
        if bad.any():
            count = int(bad.any(axis=1).sum())
            raise NotEvaluated(f"{count} of {rows} predictions are {what}", place, "Answer every row with a number.")
    return values[:, 0] if len(names) == 1 else values


def must_be_probabilities(values: Floats, place: str) -> Floats:
    """The values, if each lies in [0, 1], and those of several classes sum to one. Errors: `NotEvaluated`."""
    outside = int(((values < 0) | (values > 1)).reshape(len(values), -1).any(axis=1).sum())
    if outside:
        raise NotEvaluated(f"{outside} of {len(values)} predictions lie outside [0, 1]", place, "Return probabilities.")
    if values.ndim == 2:
        off = int((np.abs(values.sum(axis=1) - 1) > 1e-3).sum())
        if off:
            raise NotEvaluated(
                f"the probabilities of {off} of {len(values)} rows do not sum to one", place, "Return all classes."
            )
    return values
