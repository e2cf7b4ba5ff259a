"""Which registry is used when nobody names one."""

from __future__ import annotations

import os
from pathlib import Path

EMBEDDED = Path(".weighin/registry")


STORE = "mlflow.db"
ENDS = ("model_contract.yaml", ".git")
"""What a project's folder holds: no registry is looked for above it."""


def tracking_uri(root: Path | None = None) -> str:
    """Return the MLflow tracking address: `MLFLOW_TRACKING_URI`, or the embedded SQLite store of the project.

    root  the project's folder; default the nearest folder, from here upwards, that has a store, so that a sub-folder
          does not get an empty one

    The embedded store is created on first use. MLflow keeps absolute artifact paths in it, so it must not be moved.
    """
    named = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if named:
        return named
    home = ((root or _project(Path.cwd())) / EMBEDDED).resolve()
    home.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{home}/{STORE}"


def _project(here: Path) -> Path:
    for folder in (here, *here.parents):
        store = folder / EMBEDDED / STORE
        # Above this folder others may write: a registry that somebody else put there is not the project's.
        if store.is_file() and store.stat().st_uid == os.getuid():
            return folder
        if any((folder / name).exists() for name in ENDS):
            break
    return here


def artifact_location(uri: str) -> str | None:
    """Where a new experiment keeps its artifacts: beside an embedded SQLite file; the server's choice otherwise."""
    prefix = "sqlite:///"
    if not uri.startswith(prefix):
        return None
    return str(Path(uri[len(prefix) :]).resolve().parent / "artifacts")


def is_embedded(uri: str) -> bool:
    """Return whether the registry is a file of this machine, so that an alias in it moves nothing anywhere else."""
    return uri.startswith("sqlite:")
