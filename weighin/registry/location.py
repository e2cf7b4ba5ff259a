"""Which registry is used when nobody names one."""

from __future__ import annotations

import os
from pathlib import Path

EMBEDDED = Path(".weighin/registry")


STORE = "mlflow.db"
ENDS = ("model_contract.yaml", ".git")
"""What a project's folder holds: no registry is looked for above it."""
TRACKING, REGISTRY = "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"
EXPERIMENTS = "WEIGHIN_EXPERIMENT_FOLDER"
"""Variable: the folder of a Databricks workspace for experiments of ours."""
DATABRICKS = "databricks"


def tracking_uri(root: Path | None = None) -> str:
    """Return the MLflow tracking address: `MLFLOW_TRACKING_URI`, or the embedded SQLite store of the project.

    root  the project's folder; default the nearest folder, from here upwards, that has a store, so that a sub-folder
          does not get an empty one

    The embedded store is created on first use. MLflow keeps absolute artifact paths in it, so it must not be moved.
    """
    named = os.environ.get(TRACKING, "").strip()
    if named:
        return named
    home = ((root or _project(Path.cwd())) / EMBEDDED).resolve()
    home.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{home}/{STORE}"


def registry_uri(tracking: str | None = None) -> str:
    """Return the address of the model registry: `MLFLOW_REGISTRY_URI`, or where the tracking address keeps versions.

    tracking  the tracking address; default `tracking_uri()`
    """
    named = os.environ.get(REGISTRY, "").strip()
    return named or registry_beside(tracking or tracking_uri())


def registry_beside(tracking: str) -> str:
    """Return the registry that MLflow 3 takes for a tracking address: the same, and of Databricks Unity Catalog.

    Source: `mlflow.set_registry_uri` in MLflow 3's documentation.

    >>> [registry_beside(uri) for uri in ("http://h:5000", "databricks", "databricks://profile")]
    ['http://h:5000', 'databricks-uc', 'databricks-uc://profile']
    """
    scheme, rest = tracking[: len(DATABRICKS)], tracking[len(DATABRICKS) :]
    if scheme == DATABRICKS and (not rest or rest.startswith("://")):
        return f"{DATABRICKS}-uc{rest}"
    return tracking


def tracking_beside(registry: str) -> str:
    """Return the tracking address beside a registry, as `registry_beside` the other way.

    The open source server of Unity Catalog keeps no runs: of it, that of the environment.

    >>> tracking_beside("databricks-uc://profile")
    'databricks://profile'
    """
    if registry.startswith("uc:"):
        return tracking_uri()
    return DATABRICKS + rest if (rest := registry.removeprefix(f"{DATABRICKS}-uc")) != registry else registry


def experiment_name(name: str, tracking: str) -> str:
    """Return the name of an experiment of ours: on Databricks the path of a workspace's folder, which must exist.

    Source: docs.databricks.com, "Organize training runs with MLflow experiments": names are absolute paths there.

    >>> experiment_name("weighin-ledger", "databricks://profile"), experiment_name("weighin-ledger", "http://h")
    ('/Shared/weighin-ledger', 'weighin-ledger')
    """
    if tracking.partition("://")[0] != DATABRICKS:
        return name
    folder = os.environ.get(EXPERIMENTS, "").strip().rstrip("/") or "/Shared"
    return f"{folder}/{name}"


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
    """Where a new experiment keeps its artifacts: beside an embedded SQLite file; the server's choice otherwise.

    uri  the tracking address
    """
    prefix = "sqlite:///"
    if not uri.startswith(prefix):
        return None
    return str(Path(uri[len(prefix) :]).resolve().parent / "artifacts")


def is_embedded(uri: str) -> bool:
    """Return whether the registry is a file of this machine, so that an alias in it moves nothing anywhere else."""
    return uri.startswith("sqlite:")
