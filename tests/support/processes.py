"""Processes that run a function of a test at the same moment.

They are forks of one process that has imported the registry's client: started anew, each would import everything for
ten seconds. What the environment says when the first is asked for is what all of them see: pass values as arguments.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext

PRELOADED = [
    "pytest",
    "pandas",
    "mlflow.artifacts",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
    "weighin.monitor.run",
    "weighin.release.rollback",
    "weighin.registry.holdout_uses",
]


def context() -> ForkServerContext:
    """Return the context in which processes, barriers and queues are made."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(PRELOADED)
    return found
