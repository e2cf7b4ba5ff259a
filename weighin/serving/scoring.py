"""MLflow's own scoring application with the model's identity in each answer, and a log of what it answers.

WEIGHIN_SERVE_MODEL=DIR uvicorn --factory weighin.serving.scoring:app
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weighin.errors import WeighinError
from weighin.model.subject import artifact_digest
from weighin.serving.identity import App, Identity
from weighin.serving.streamed import Streamed, streams
from weighin.untrusted.redact import cause

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

MODEL = "WEIGHIN_SERVE_MODEL"
"""Environment variable: the folder of the model's files."""
VERSION = "WEIGHIN_SERVE_VERSION"
"""Environment variable: its version in the registry, where it has one."""
LOG = "WEIGHIN_SERVE_LOG"
"""Environment variable: the tables of the prediction log (`LogTables.to_json`); without it nothing is logged."""
ROLE = "WEIGHIN_SERVE_ROLE"
"""Environment variable: champion (default), shadow or canary, as it stands in the log."""


def app() -> App:
    """Return the application. Errors: `RuntimeError` where the files changed while they were loaded."""
    import mlflow.tracing
    from mlflow.environment_variables import MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT
    from mlflow.pyfunc.scoring_server import init, load_model_with_mlflow_config

    folder = Path(os.environ[MODEL])
    # A model that brings modules of its own would have their bytecode written among its files.
    sys.dont_write_bytecode = True
    digest = artifact_digest(folder)
    # An agent's traces hold what it was asked. Without a tracking server MLflow writes them into the current folder.
    mlflow.tracing.disable()
    model = reported(load_model_with_mlflow_config(str(folder)))
    application: App = init(model)
    if streams(model):
        application = Streamed(application, model, MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT.get())
    if artifact_digest(folder) != digest:
        raise RuntimeError(f"the files in {folder} changed while they were loaded")
    version = os.environ.get(VERSION, "")
    return _logged(Identity(application, digest, version), digest, version)


def reported(model: PyFuncModel) -> PyFuncModel:
    """Let a pyfunc model's own errors be answered with 500; returns the model.

    MLflow's scoring server answers 400 both where a request does not fit the signature and where the model raises. What
    does not fit is refused before the model's own function is called, so every error of that function is the model's:
    also an `MlflowException`, which a model raises that asks another one, or that wants its errors to be the client's.
    The answer says the type of the error, and nothing of the data that its text may hold.
    """
    from mlflow.exceptions import INTERNAL_ERROR, MlflowException

    class ModelFailed(MlflowException):  # type: ignore[misc]
        """An error whose message stays as it is: the scoring server would put the request's data before it."""

        def __setattr__(self, name: str, value: object) -> None:
            if name != "message" or "message" not in self.__dict__:
                super().__setattr__(name, value)

    # What `predict` and `predict_stream` call once the request fits; no public names lead there.
    own, streaming = model._predict_fn, getattr(model, "_predict_stream_fn", None)

    @wraps(own)
    def predict(*given: Any, **named: Any) -> Any:
        try:
            return own(*given, **named)
        except Exception as error:  # noqa: BLE001 - whatever a model raises
            raise ModelFailed(f"the model failed ({cause(error)})", error_code=INTERNAL_ERROR) from None

    model._predict_fn = predict
    if streaming is not None:

        @wraps(streaming)
        def predict_stream(*given: Any, **named: Any) -> Iterator[Any]:
            try:
                yield from streaming(*given, **named)
            except Exception as error:  # noqa: BLE001 - the same
                raise ModelFailed(f"the model failed ({cause(error)})", error_code=INTERNAL_ERROR) from None

        model._predict_stream_fn = predict_stream
    return model


def _logged(application: App, digest: str, version: str) -> App:
    """Return the same with a log, where one is wanted. One that cannot be written is no reason not to answer."""
    if not os.environ.get(LOG):
        return application
    # Not above: without a log nothing of it is imported at each start of a worker.
    from weighin.prediction_log.exchange import Served
    from weighin.prediction_log.sinks import sink_for
    from weighin.prediction_log.tables import LogTables
    from weighin.prediction_log.writer import LogWriter
    from weighin.serving.logged import Logged

    try:
        tables = LogTables.from_json(os.environ[LOG])
        writer = LogWriter(sink_for(tables))
    except (WeighinError, ValueError, TypeError, KeyError) as error:
        print(f"weighin: predictions are not logged: {error}", file=sys.stderr, flush=True)
        return application
    served = Served(tables.model, digest, version, os.environ.get(ROLE) or "champion")
    return Logged(application, writer, served, unit_header=tables.unit_header)
