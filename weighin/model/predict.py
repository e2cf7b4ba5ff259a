"""The only place that loads a model: features in, one file of predictions per dataset out.

It runs in a process (a container, where one is used) that holds no labels, no secret and no network. The file is then
read by a judge that trusts nothing in it.
"""

from __future__ import annotations

import contextlib
import re
import resource
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weighin.canonical import file_digest
from weighin.data.table import read_arrow
from weighin.errors import NotEvaluated
from weighin.untrusted.redact import cause, listed, reduced

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.pyfunc import PyFuncModel

COLUMN = "prediction"
FEATURES = b"weighin.features"
"""Metadata of a file of predictions: digest of the features that they answer, row by row."""
TYPE_NAMES = {
    "int32": "integer",
    "int64": "long",
    "float32": "float",
    "float64": "double",
    "object": "string",
    "string": "string",
    "str": "string",
    "bool": "boolean",
    "datetime64[ns]": "datetime",
}
"""pandas' types by MLflow's names."""
WIDENED = {"long": ("integer",), "double": ("float", "integer", "long"), "float": ("integer",)}
"""What MLflow takes for another type."""
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
        # Its warnings compare the model's requirements with every installed package, and nobody reads them here.
        loaded = mlflow.pyfunc.load_model(str(model), suppress_warnings=True)
    except Exception as error:
        said = _missing(error) or reduced(error)
        raise NotEvaluated(f"the model does not load, {said}", "", "Load it by hand.") from error

    def ask(rows: pd.DataFrame, place: str) -> Floats:
        try:
            raw = loaded.predict(rows)
        except Exception as error:
            said = reduced(error, rows.columns)
            raise NotEvaluated(
                unlike_signature(loaded, rows) or f"the model raised {said}", place, "Ask it by hand."
            ) from error
        return answers_in(raw, columns)

    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(features.glob("*.parquet")):
        answers = ask(pd.read_parquet(path), path.name)
        batch = pa.record_batch(list(np.ascontiguousarray(answers.T)), names=prediction_columns(columns))
        schema = batch.schema.with_metadata({FEATURES: file_digest(path).encode()})
        with pa.OSFile(str(out / f"{path.stem}.arrow"), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))
    if shap_rows:
        from weighin.model.shap import shap_values, write_shap

        rows = pd.read_parquet(features / "holdout.parquet")
        try:
            values = shap_values(lambda frame: ask(frame, "shap"), rows, shap_rows)
        except NotEvaluated as error:
            # For information only: what the suites judge has been left already, and the report says that this was not.
            print(f"no SHAP values: {error}", file=sys.stderr)
            return
        write_shap(out / "shap.arrow", tuple(rows.columns), values)


def prepare() -> None:
    """Import what loading a model takes, for processes that are forked afterwards. It loads none."""
    for name in ("pandas", "mlflow.pyfunc", "sklearn.pipeline", "sklearn.ensemble", "mlflow.sklearn", "skops.io"):
        # What is absent is missed, and said, where a model needs it.
        with contextlib.suppress(ImportError):
            import_module(name)


def prediction_columns(columns: tuple[int, ...]) -> list[str]:
    """Names of the columns in a file of predictions: one, or one for each class."""
    return [COLUMN] if len(columns) == 1 else [f"{COLUMN}_{i}" for i in range(len(columns))]


def _missing(error: BaseException) -> str:
    """Return the module that a model needs and that is not there, if that is why it does not load."""
    if isinstance(error, ModuleNotFoundError) and re.fullmatch(r"[A-Za-z_][\w.]{0,59}", error.name or "", re.ASCII):
        return f"no module {error.name} is installed"
    return ""


def unlike_signature(model: PyFuncModel, rows: pd.DataFrame) -> str:
    """In what rows that a model refused differ from its signature; empty where they do not, or it has none.

    It is found by comparing the two, and not in what MLflow says, which quotes the rows.
    """
    try:
        schema = model.metadata.get_input_schema()
        wanted = {i.name: (i.type.name, i.required) for i in schema.inputs}
    except Exception:  # noqa: BLE001 - the signature of a stranger; without one there is nothing to compare
        return ""
    absent = [str(n) for n, (_, required) in wanted.items() if required and n not in rows.columns]
    if absent:
        return f"the model's signature wants the columns {listed(absent)}, which the features lack"
    found: dict[tuple[str, str], list[str]] = {}
    for name, (kind, _) in wanted.items():
        held = _type_name(rows[name].dtype) if name in rows.columns else kind
        if held != kind and held not in WIDENED.get(kind, ()) and kind in TYPE_NAMES.values():
            found.setdefault((held, kind), []).append(str(name))
    for (held, kind), names in found.items():
        return f"the columns {listed(names)} hold {held}, and the model's signature wants {kind}"
    return ""


def _type_name(dtype: Any) -> str:
    name = str(dtype)
    return TYPE_NAMES.get(name) or ("datetime" if name.startswith("datetime64") else "another type")


def answers_in(answers: object, columns: tuple[int, ...]) -> Floats:
    """Return the predictions among a model's answers: shape (n, columns) from (n,) or (n, k): an array, list or data
    frame.

    Errors: `NotEvaluated` when they are not numbers, or have no such columns.

    >>> answers_in([[0.2, 0.8], [0.6, 0.4]], (1,)).tolist()
    [[0.8], [0.4]]
    """
    try:
        values = np.asarray(getattr(answers, "to_numpy", lambda: answers)(), dtype=np.float64)
    except (TypeError, ValueError) as error:
        said = cause(error)
        raise NotEvaluated(f"the answers are not numbers ({said})", "", "Return one number per row.") from error
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
        raise NotEvaluated(f"the columns are not {', '.join(names)} as doubles", place, "Predict again.")
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
    """Return the values, if each lies in [0, 1], and those of several classes sum to one. Errors: `NotEvaluated`."""
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
