"""Start the thing that is shipped: MLflow's own scoring server, on loopback, with one worker."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def serve(model: Path, port: int) -> None:
    """Replace this process by `mlflow models serve`; does not return.

    MLflow finds its server program on PATH, so the folder of this interpreter comes first in it.
    """
    folder = str(Path(sys.executable).parent)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
    program = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local"]
    os.execv(sys.executable, [*program, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"])  # noqa: S606 - a fixed program, no shell wanted
