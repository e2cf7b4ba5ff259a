"""The only place that loads a model: features in, one file of predictions per dataset out.

It runs in a process (a container, where one is used) that holds no labels, no secret and no network, perhaps in an
environment of the model's own. The file is then read by a judge that trusts nothing in it.
"""

from __future__ import annotations

import contextlib
import re
import resource
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from weighin.canonical import file_digest
from weighin.errors import NotEvaluated
from weighin.model.answers import (
    FILE_BYTES,
    Floats,
    answers_in,
    order_of_classes,
    precision_of,
    write_predictions,
)
from weighin.model.chat import FORMS, reply, request
from weighin.model.frame import LoadedModel, data_frame, handed_over
from weighin.model.given import copy_given, is_behind_endpoint, is_given
from weighin.model.survey import survey
from weighin.model.texts import must_be_texts, texts_in, write_texts
from weighin.runner.plan import Answers
from weighin.untrusted.redact import cause, listed, reduced


def predict(model: Path, features: Path, out: Path, answers: Answers, shap_rows: int = 0) -> None:
    """Load the MLflow model in `model`, predict every `features/*.parquet`, write `out/<dataset>.arrow`.

    Predictions that were given in place of a model are copied; an endpoint is asked over the network.

    answers    what of the model's answer is its prediction
    shap_rows  rows of the holdout for which SHAP values are left in `out/shap.arrow`; 0 for none
    Errors: `NotEvaluated` when the model does not load, raises, or gives answers of no usable shape.
    """
    if is_given(model):
        copy_given(model, features, out)
        return
    if is_behind_endpoint(model):
        from weighin.model.behind_endpoint import predict_behind_endpoint

        predict_behind_endpoint(model, features, out, answers.repeats)
        return
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    loaded = _loaded(model)
    order_of_classes(classes_of(loaded), answers)
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(features.glob("*.parquet")):
        if answers.kind == "text":
            write_texts(out / f"{path.stem}.arrow", _texts(loaded, path, answers), file_digest(path))
            continue
        found, precision = _asked(loaded, pq.read_table(path), answers, path.name)
        write_predictions(out / f"{path.stem}.arrow", found, file_digest(path), precision)
    if shap_rows:
        _explain(loaded, pq.read_table(features / "holdout.parquet"), answers, shap_rows, out)


def look_at(model: Path, features: Path, out: Path) -> None:
    """Load a model, ask it the rows of `features/holdout.parquet`, and leave what its answers look like in `out`.

    Errors: `NotEvaluated` when the model does not load, raises, or does not answer every row.
    """
    loaded = _loaded(model)
    rows = pq.read_table(features / "holdout.parquet")
    form = _chat_form(loaded)
    raw = _chatted(loaded, form, rows, "holdout.parquet") if form else _answer(loaded, rows, "holdout.parquet")
    found = survey(raw, rows.num_rows, classes_of(loaded))
    out.mkdir(parents=True, exist_ok=True)
    found.write(out)


def _loaded(model: Path) -> LoadedModel:
    """Return a model as pyfunc loads it. Errors: `NotEvaluated`."""
    import mlflow.pyfunc

    # An agent of MLflow writes what it is told and what it answers to a tracking store, here a new one in this folder.
    # Old MLflow in an environment of the model's own knows no traces.
    with contextlib.suppress(ImportError):
        import_module("mlflow.tracing").disable()
    try:
        # Its warnings compare the model's requirements with every installed package, and nobody reads them here.
        return mlflow.pyfunc.load_model(str(model), suppress_warnings=True)
    except Exception as error:
        said = _missing(error) or _untrusted(error) or reduced(error)
        raise NotEvaluated(f"the model does not load, {said}", "", "Load it by hand.") from error


def _asked(loaded: LoadedModel, rows: pa.Table, answers: Answers, place: str) -> tuple[Floats, str]:
    """Return what a loaded model answers to a table of features, and in which precision. Errors: `NotEvaluated`."""
    raw = _answer(loaded, rows, place)
    found = answers_in(raw, answers)
    if len(found) != rows.num_rows:
        raise NotEvaluated(f"{len(found)} answers for {rows.num_rows} rows", place, "Answer every row once, in order.")
    return found, precision_of(raw)


def _texts(loaded: LoadedModel, path: Path, answers: Answers) -> list[str]:
    """Return the texts that a loaded model answers to a file of features. Errors: `NotEvaluated`."""
    rows, form = pq.read_table(path), _chat_form(loaded)
    rows = rows.take(pa.array(np.repeat(np.arange(rows.num_rows), answers.repeats)))
    if form:
        return _chatted(loaded, form, rows, path.name)
    found = texts_in(_answer(loaded, rows, path.name), answers)
    if len(found) != rows.num_rows:
        said = f"{len(found)} answers for {rows.num_rows} rows"
        raise NotEvaluated(said, path.name, "Answer every row once, in order.")
    return found


def _chat_form(loaded: LoadedModel) -> str:
    """Return the form in which a model is asked in messages; empty for any other."""
    try:
        task = loaded.metadata.metadata["task"]
    except Exception:  # noqa: BLE001 - what a stranger's model has, or has not
        return ""
    return task if task in FORMS else ""


def _chatted(loaded: LoadedModel, form: str, rows: pa.Table, place: str) -> list[str]:
    """Return what a model answers that is asked one conversation after the other. Errors: `NotEvaluated`."""
    try:
        found = [reply(form, loaded.predict(request(form, text or ""))) for text in rows.column(0).to_pylist()]
    except Exception as error:
        said = reduced(error, rows.column_names)
        raise NotEvaluated(f"the model raised {said}", place, "Ask it by hand.") from error
    return must_be_texts(found, place)


def _answer(loaded: LoadedModel, rows: pa.Table, place: str) -> Any:
    """Return what a loaded model returns for a table of features. Errors: `NotEvaluated`."""
    try:
        given = handed_over(rows, loaded)
    except (ArithmeticError, ValueError, TypeError) as error:
        # A moment that nanoseconds cannot hold, lists of different lengths for a tensor.
        names = listed(rows.column_names)
        raise NotEvaluated(
            f"the columns {names} cannot be handed over as the model's signature wants them, {cause(error)}", place
        ) from error
    try:
        return loaded.predict(given)
    except Exception as error:
        said = reduced(error, rows.column_names)
        raise NotEvaluated(f"the model raised {said}", place, "Ask it by hand.") from error


def _explain(loaded: Any, rows: pa.Table, answers: Answers, shap_rows: int, out: Path) -> None:
    """Leave SHAP values. They are for information: what the suites judge has been left already."""
    from weighin.model.shap import shap_values, write_shap

    def ask(frame: Any) -> Floats:
        # The frame is made of cells of the features, so that their schema still holds.
        table = pa.Table.from_pandas(frame, rows.schema, preserve_index=False)
        return _asked(loaded, table, answers, "shap")[0]

    try:
        values = shap_values(ask, data_frame(rows), shap_rows)
    except NotEvaluated as error:
        print(f"no SHAP values: {error}", file=sys.stderr)
        return
    write_shap(out / "shap.arrow", tuple(rows.column_names), values)


def classes_of(loaded: LoadedModel) -> list[object]:
    """Return the classes of a loaded model in the order of its numbers, where it says so."""
    try:
        known = loaded.get_raw_model().classes_
        return [c.item() if hasattr(c, "item") else c for c in known]
    except Exception:  # noqa: BLE001 - what a stranger's model has, or has not
        return []


def prepare() -> None:
    """Import what loading a model takes, for processes that are forked afterwards. It loads none."""
    for name in ("pandas", "mlflow.pyfunc", "sklearn.pipeline", "sklearn.ensemble", "mlflow.sklearn", "skops.io"):
        # What is absent is missed, and said, where a model needs it.
        with contextlib.suppress(ImportError):
            import_module(name)


def _untrusted(error: BaseException) -> str:
    """Return the types for which skops does not load a model, if that is why."""
    if "ntrusted types" not in str(error):
        return ""
    found = re.findall(r"'([A-Za-z_][\w.]{0,99})'", str(error))
    shown = ", ".join(dict.fromkeys(found[:3])) or "none that it names"
    return f"it holds types that skops does not trust: {shown}. Log it with skops_trusted_types=[...] of these"


def _missing(error: BaseException) -> str:
    """Return the module that a model needs and that is not there, if that is why it does not load.

    MLflow wraps what the code of a model raises.
    """
    raised: BaseException | None = error
    for _ in range(10):
        if isinstance(raised, ModuleNotFoundError):
            name = raised.name or ""
            return f"no module {name} is installed" if re.fullmatch(r"[A-Za-z_][\w.]{0,59}", name, re.ASCII) else ""
        raised = raised and (raised.__cause__ or raised.__context__)
    return ""
