"""MLflow's own scoring application with the model's identity in each answer, and a log of what it answers.

WEIGHIN_SERVE_MODEL=DIR uvicorn --factory weighin.serving.scoring:app
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from weighin.errors import WeighinError
from weighin.model.subject import artifact_digest
from weighin.prediction_log.exchange import Served
from weighin.prediction_log.sinks import sink_for
from weighin.prediction_log.tables import LogTables
from weighin.prediction_log.writer import LogWriter
from weighin.serving.identity import App, Identity
from weighin.serving.logged import Logged

MODEL = "WEIGHIN_SERVE_MODEL"
"""Environment variable: the folder of the model's files."""
VERSION = "WEIGHIN_SERVE_VERSION"
"""Environment variable: its version in the registry, where it has one."""
LOG = "WEIGHIN_SERVE_LOG"
"""Environment variable: the tables of the prediction log (`LogTables.to_json`); without it nothing is logged."""
ROLE = "WEIGHIN_SERVE_ROLE"
"""Environment variable: champion (default), shadow or canary, as it stands in the log."""


def app() -> App:
    """The application. Errors: `RuntimeError` where the files changed while they were loaded."""
    from mlflow.pyfunc.scoring_server import init, load_model_with_mlflow_config

    folder = Path(os.environ[MODEL])
    # A model that brings modules of its own would have their bytecode written among its files.
    sys.dont_write_bytecode = True
    digest = artifact_digest(folder)
    application: App = init(load_model_with_mlflow_config(str(folder)))
    if artifact_digest(folder) != digest:
        raise RuntimeError(f"the files in {folder} changed while they were loaded")
    version = os.environ.get(VERSION, "")
    return _logged(Identity(application, digest, version), digest, version)


def _logged(application: App, digest: str, version: str) -> App:
    """The same with a log, where one is wanted. One that cannot be written is no reason not to answer."""
    if not os.environ.get(LOG):
        return application
    try:
        tables = LogTables.from_json(os.environ[LOG])
        writer = LogWriter(sink_for(tables))
    except (WeighinError, ValueError, TypeError, KeyError) as error:
        print(f"weighin: predictions are not logged: {error}", file=sys.stderr, flush=True)
        return application
    return Logged(application, writer, Served(tables.model, digest, version, os.environ.get(ROLE) or "champion"))
