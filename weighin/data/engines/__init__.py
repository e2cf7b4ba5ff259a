"""What runs a query: DuckDB in this process, a Spark cluster, or a database. One module for each."""

from __future__ import annotations

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

from weighin.contract.sources import Files, Query
from weighin.errors import NotEvaluated, without_password

BATCH = 100_000
"""Rows that are held at once while a table is copied."""


class Engine(ABC):
    """A place where Ibis expressions run. Sessions use UTC, so that a time stamp means the same moment everywhere."""

    name: ClassVar[str]
    reads_once: ClassVar[bool] = True
    """Whether a table's columns are counted in one query: where a scan costs more than what is counted in it."""
    _views = count()

    def view(self) -> str:
        """A name for a temporary view that no other has."""
        return f"weighin_{next(self._views)}"

    @abstractmethod
    def files(self, paths: str, given: Files, types: Mapping[str, str]) -> Any:
        """Files as an Ibis table. `types`: column -> type name, for formats that do not say themselves."""

    @abstractmethod
    def query(self, given: Query) -> Any:
        """A table or query of a database as an Ibis table."""

    @abstractmethod
    def sample(self, expression: Any, share: float) -> Any:
        """About a share of the rows, drawn at random, the same ones at every call on the same data."""

    def batches(self, expression: Any) -> Iterator[Any]:
        """The rows of a query, a part at a time."""
        yield from expression.to_pyarrow_batches(chunk_size=BATCH)

    def close(self) -> None:  # noqa: B027 - not every engine holds something
        """Let go of what is held; nothing can be asked afterwards."""

    @abstractmethod
    def failures(self) -> tuple[type[BaseException], ...]:
        """What this engine raises when a query or a source is at fault."""

    @contextlib.contextmanager
    def reading(self, place: str) -> Iterator[None]:
        """Translate what goes wrong into `NotEvaluated`: the first line of it, without secrets and without values."""
        import pyarrow as pa
        from ibis.common.exceptions import IbisError

        try:
            yield
        except NotEvaluated:
            raise
        except FileNotFoundError as error:
            raise NotEvaluated("there is no such file", place, "Correct the path in the contract's `data`.") from error
        except (*self.failures(), IbisError, pa.ArrowException, OSError, OverflowError, UnicodeError) as error:
            raise NotEvaluated(
                f"{self.name} cannot read it: {told(error)}", place, "Look at the data there."
            ) from error


_VALUE = re.compile(r"(string|value|text|input|field|number)(\W+)('[^']*'|\"[^\"]*\")", re.IGNORECASE)


_BRIDGE = "An error occurred while calling "
"""How the bridge to Java begins; what happened stands in the next line."""


def told(error: BaseException) -> str:
    """The first line of an engine's message. Engines quote the value that they stumbled over; a report must not.

    >>> told(ValueError('Could not convert string "Jane Doe" to INT64\\nmore'))
    'Could not convert string … to INT64'
    """
    lines = [line.strip(" \t:") for line in str(error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(_BRIDGE)] or lines
    return without_password(_VALUE.sub(r"\1\2…", lines[0] if lines else type(error).__name__))[:300]


def engine_for(given: Files | Query, engine: str) -> Engine:
    """The engine that reads a source; `engine` is the contract's choice for files and for tables without address."""
    if isinstance(given, Query) and given.connection is not None:
        from weighin.data.engines.database import Database

        return Database(given.connection)
    if engine == "spark":
        from weighin.data.engines.spark import Spark

        return Spark()
    from weighin.data.engines.duckdb import DuckDB

    return DuckDB()


def located(given: Files, folder: Path) -> str:
    """The path or address of files; relative ones start at the contract's folder."""
    return given.path if given.remote else str(folder / given.path)
