"""A server of MLflow 2.22, in an environment of its own from requirements-mlflow2.txt."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from support.locked_environment import interpreter
from support.registry_server import served

VERSION = "2.22.4"


@contextlib.contextmanager
def mlflow_2(folder: Path) -> Iterator[str]:
    """The address of a server that keeps everything in a folder."""
    with served(folder, python=interpreter("requirements-mlflow2.txt")) as uri:
        yield uri
