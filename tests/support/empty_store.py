"""An empty MLflow store in SQLite, as a copy: MLflow takes seconds of processor time to make one."""

from __future__ import annotations

import functools
import sqlite3
import tempfile
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import Engine

NAME = "mlflow.db"


@event.listens_for(Engine, "connect")
def _without_waiting_for_the_disk(connection: object, _: object) -> None:
    """Let SQLite hand what it writes to the system and go on: tests kill processes, and never the machine."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


def empty_store(folder: Path) -> str:
    """Put an empty store into a folder; returns its address. A store that is there already stays as it is."""
    path = folder / NAME
    if not path.exists():
        path.write_bytes(_content())
    return f"sqlite:///{path}"


@functools.cache
def _content() -> bytes:
    """Make one store with MLflow itself; returns the bytes of its file."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        SqlAlchemyStore(f"sqlite:///{path}", f"{folder}/artifacts").engine.dispose()
        return path.read_bytes()
