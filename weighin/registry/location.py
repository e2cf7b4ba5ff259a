"""Which registry is used when nobody names one."""

from __future__ import annotations

import os
from pathlib import Path

EMBEDDED = Path(".weighin/registry")


def tracking_uri(root: Path | None = None) -> str:
    """Return the MLflow tracking address: `MLFLOW_TRACKING_URI`, or the embedded SQLite store below `root` (default:
    here).

    The embedded store is created on first use. MLflow keeps absolute artifact paths in it, so it must not be moved.
    """
    named = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if named:
        return named
    home = ((root or Path.cwd()) / EMBEDDED).resolve()
    home.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{home}/mlflow.db"


def artifact_location(uri: str) -> str | None:
    """Where a new experiment keeps its artifacts: beside an embedded SQLite file; the server's choice otherwise."""
    prefix = "sqlite:///"
    if not uri.startswith(prefix):
        return None
    return str(Path(uri[len(prefix) :]).resolve().parent / "artifacts")


def is_embedded(uri: str) -> bool:
    """Return whether the registry is a file of this machine, so that an alias in it moves nothing anywhere else."""
    return uri.startswith("sqlite:")
