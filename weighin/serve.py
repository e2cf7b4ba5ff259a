"""Start the thing that is shipped: MLflow's own scoring server, on loopback, with one worker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from weighin.errors import NotEvaluated
from weighin.runner.isolated import isolated

HAS_MLFLOW = "import importlib.util, sys; sys.exit(importlib.util.find_spec('mlflow') is None)"


def serve(model: Path, port: int, python: Path | None = None) -> None:
    """Replace this process by `mlflow models serve`; does not return.

    python  interpreter of another environment, one made of the model's own requirements; default this one

    MLflow finds its server program on PATH, so the folder of the interpreter comes first in it.
    Errors: `NotEvaluated` where that environment lacks MLflow.
    """
    interpreter = str(python or sys.executable)
    if python and subprocess.run([interpreter, "-c", HAS_MLFLOW], check=False, timeout=60).returncode:
        # Said here, in our own words: what the server prints is not shown, since it may print the rows it is asked.
        raise NotEvaluated(
            "the model does not load, no module mlflow is installed", interpreter, "Add mlflow to its requirements."
        )
    folder = str(Path(interpreter).parent)
    environment = isolated(os.environ)
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # or modules of the model leave theirs among its files
    environment["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
    program = [interpreter, "-P", "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local"]
    os.execve(interpreter, [*program, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"], environment)  # noqa: S606 - a fixed program, no shell wanted
