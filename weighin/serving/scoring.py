"""MLflow's own scoring application with the model's identity in each answer.

WEIGHIN_SERVE_MODEL=DIR uvicorn --factory weighin.serving.scoring:app
"""

from __future__ import annotations

import os
from pathlib import Path

from weighin.serving.identity import App, Identity
from weighin.subject import artifact_digest

MODEL = "WEIGHIN_SERVE_MODEL"
"""Environment variable: the folder of the model's files."""
VERSION = "WEIGHIN_SERVE_VERSION"
"""Environment variable: its version in the registry, where it has one."""
READY = "WEIGHIN_SERVE_READY"
"""Environment variable: a file that is made when the model has been loaded."""


def app() -> App:
    """The application. Errors: `RuntimeError` where the files changed while they were loaded."""
    from mlflow.pyfunc.scoring_server import init, load_model_with_mlflow_config

    folder = Path(os.environ[MODEL])
    digest = artifact_digest(folder)
    application: App = init(load_model_with_mlflow_config(str(folder)))
    if artifact_digest(folder) != digest:
        raise RuntimeError(f"the files in {folder} changed while they were loaded")
    served = Identity(application, digest, os.environ.get(VERSION, ""))
    if os.environ.get(READY):
        Path(os.environ[READY]).touch()
    return served
