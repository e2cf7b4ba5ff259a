"""Start the thing that is shipped: MLflow's own scoring server, on loopback, with one worker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from weighin.errors import NotEvaluated
from weighin.runner.isolated import isolated

HAS_MLFLOW = "import importlib.util, sys; sys.exit(importlib.util.find_spec('mlflow') is None)"
APPLICATION = "mlflow.pyfunc.scoring_server.app:app"
"""What `mlflow models serve` lets uvicorn run, and the variable in which the application finds its model.

Source: MLflow 3.17, `mlflow.pyfunc.scoring_server.get_cmd`; a test compares the two.
"""
STREAMING = "weighin.serving.scoring:app"
"""The application of `weighin serve`, for streams: MLflow's own has none."""
MODEL = "__pyfunc_model_path__"
HOST = "127.0.0.1"


def serve(model: Path, port: int, python: Path | None = None, *, stream: bool = False) -> None:
    """Serve a model until this process is ended; does not return.

    python  interpreter of another environment, one made of the model's own requirements; default this one
    stream  whether to answer `"stream": true` with server-sent events, by the application of `weighin serve`

    In this environment it runs the server that `mlflow models serve` would start, and saves the import of MLflow for
    its command line. In another one it replaces this process by `mlflow models serve`: the version of MLflow there
    is not known.
    Errors: `NotEvaluated` where that environment lacks MLflow, or is to stream.
    """
    if python and stream:
        raise NotEvaluated(
            "a model with packages of its own is served by MLflow's scoring server, which does not stream",
            "gates.load.server",
            "Name a `command` or an `image` that streams, or write `model: {environment: judge}`.",
        )
    environment = isolated(os.environ)
    # Modules of the model would leave bytecode among its files.
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    folder = str((python or Path(sys.executable)).parent)
    environment["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
    if python:
        _replace(model, port, str(python), environment)
    if stream:
        from weighin.serving.scoring import MODEL as SERVED

        environment[SERVED] = str(model.absolute())
    else:
        environment[MODEL] = model.absolute().as_uri()
    os.environ.clear()
    os.environ.update(environment)
    sys.dont_write_bytecode = True
    import mlflow.tracing
    import uvicorn

    # An agent's traces hold what it was asked, and MLflow would make a database for them in the current folder.
    mlflow.tracing.disable()
    uvicorn.run(STREAMING if stream else APPLICATION, host=HOST, port=port, workers=1, factory=stream)
    raise SystemExit(3)


def _replace(model: Path, port: int, interpreter: str, environment: dict[str, str]) -> None:
    """Become `mlflow models serve` of another interpreter, which finds its server program on PATH."""
    if subprocess.run([interpreter, "-c", HAS_MLFLOW], check=False, timeout=60).returncode:
        # Said here, in our own words: what the server prints is not shown, since it may print the rows it is asked.
        raise NotEvaluated(
            "the model does not load, no module mlflow is installed", interpreter, "Add mlflow to its requirements."
        )
    program = [interpreter, "-P", "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local"]
    os.execve(interpreter, [*program, "--host", HOST, "--port", str(port), "--workers", "1"], environment)  # noqa: S606 - a fixed program, no shell wanted
