"""An empty MLflow store in SQLite, as a copy: MLflow takes seconds of processor time to make one."""

from __future__ import annotations

import functools
import itertools
import sqlite3
import tempfile
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import Engine

NAME = "mlflow.db"
CHANGES = itertools.count(2**24, 2**12)
"""Numbers of changes that no store of a test has come to."""


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


def put_back(kept: Path, path: Path) -> None:
    """Let a store be what a copy of it was, in the same file: this process keeps that open.

    SQLite knows by the number of changes, at byte 24 and again at byte 92, whether what it holds in memory is what is
    in the file. Another number for each time, then: a test may have changed the file as often in another way.
    """
    content = bytearray(kept.read_bytes())
    content[24:28] = content[92:96] = next(CHANGES).to_bytes(4, "big")
    path.write_bytes(content)


@functools.cache
def _content() -> bytes:
    """Make one store with MLflow itself; returns the bytes of its file."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        SqlAlchemyStore(f"sqlite:///{path}", f"{folder}/artifacts").engine.dispose()
        return path.read_bytes()
