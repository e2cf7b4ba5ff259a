"""SHAP values (Lundberg and Lee 2017), computed beside the model and read by a judge that does not trust the file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from weighin.data.table import read_arrow
from weighin.errors import NotEvaluated

Floats = NDArray[np.float64]

BACKGROUND = 50
"""Rows that stand for "the feature is not known"."""
ROWS_AT_MOST = 1_000
BYTES_AT_MOST = 64 * 2**20


def shap_values(predict: Callable[[pd.DataFrame], Floats], features: pd.DataFrame, rows: int, seed: int = 0) -> Floats:
    """(min(rows, len(features)), features) SHAP values of rows drawn from `features`; in the prediction's unit.

    predict  rows of features -> (n,) or (n, k) predictions; for several classes the mean of the absolute values
    seed     of the rows, of the background and of the orders in which features are added

    By shap's permutation explainer: one random order a row, forwards and backwards, over a background of 50 rows. The
    values of a row sum to its prediction minus the background's mean, and are exact where no more than two features
    interact. The model sees rows mixed from two rows of `features`, with their own types: text, dates and missing
    values are never turned into numbers. About `rows * (2 * features + 1) * 50` rows are predicted.
    Errors: `NotEvaluated` when shap is not installed, or where a prediction is not finite.
    """
    try:
        with _without_compiler():
            from shap.explainers import PermutationExplainer
            from shap.maskers import Independent
    except ImportError as error:
        raise NotEvaluated("shap is not installed", "shap", "Install `weighin[shap]`.") from error
    if not len(features) or not features.shape[1]:
        raise NotEvaluated("there are no rows or no features to explain", "shap", "Correct the features.")
    rng = np.random.default_rng(seed)
    # Every cell is known by the number of its row: shap mixes numbers, the model gets the cells.
    cells = np.tile(np.arange(len(features), dtype=np.float64)[:, None], (1, features.shape[1]))
    background = cells[np.sort(rng.permutation(len(features))[:BACKGROUND])]
    explained = cells[np.sort(rng.permutation(len(features))[:rows])]

    def asked(mixed: Floats) -> Floats:
        numbers = np.asarray(mixed).astype(np.int64)
        columns = {name: features[name].take(numbers[:, j]).array for j, name in enumerate(features.columns)}
        answers = np.asarray(predict(pd.DataFrame(columns)), dtype=np.float64)
        if not np.isfinite(answers).all():
            raise NotEvaluated("a prediction that is not finite", "shap", "Ask the model for mixed rows by hand.")
        return answers[:, 0] if answers.ndim == 2 and answers.shape[1] == 1 else answers

    passes = 2 * features.shape[1] + 1
    state = np.random.get_state()
    try:  # shap seeds and uses numpy's global generator
        explainer = PermutationExplainer(asked, Independent(background, max_samples=len(background)), seed=seed)
        found = explainer(explained, max_evals=passes, batch_size=passes, silent=True).values
    finally:
        np.random.set_state(state)
    values = np.asarray(found, dtype=np.float64)
    return np.abs(values).mean(axis=2) if values.ndim == 3 else values


@contextlib.contextmanager
def _without_compiler() -> Iterator[None]:
    """Let what is imported in the block be Python where it asks numba to compile it.

    numba compiles shap's loops in each process anew, which takes longer than they do as Python for 1,000 rows of 20
    features. What else a model imports is compiled.
    Errors: `ImportError`.
    """
    config: Any = import_module("numba").config
    before, config.DISABLE_JIT = config.DISABLE_JIT, 1
    try:
        yield
    finally:
        config.DISABLE_JIT = before


def write_shap(path: Path, names: Sequence[str], values: Floats) -> None:
    """Write (rows, features) values to an Arrow file with one column of doubles for each feature."""
    table = pa.table([pa.array(values[:, j]) for j in range(values.shape[1])], names=list(names))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def read_shap(path: Path, names: Sequence[str], place: str) -> Floats:
    """(rows, features) values from a file that a stranger wrote.

    Errors: `NotEvaluated` when the file is missing, too large, of another schema, without rows or with more than
    were ever asked for, or holds a value that is not finite.
    """
    table = read_arrow(path, place, BYTES_AT_MOST)
    if table.column_names != list(names) or {f.type for f in table.schema} != {pa.float64()}:
        raise NotEvaluated(f"expected {', '.join(names)} as doubles, and found others", place, "Run it again.")
    if not 0 < table.num_rows <= ROWS_AT_MOST:
        raise NotEvaluated(f"{table.num_rows} rows, expected 1 to {ROWS_AT_MOST}", place, "Run it again.")
    values = np.column_stack([column.to_numpy() for column in table.columns]).astype(np.float64)
    if not np.isfinite(values).all():
        raise NotEvaluated("SHAP values that are not finite", place, "Run it again.")
    return values
