"""What runs a query: DuckDB in this process, a Spark cluster, or a database. One module for each."""

from __future__ import annotations

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from weighin.contract.sources import Files, Query
from weighin.data.engines.csv_dialect import MARK, SENTENCES
from weighin.errors import NotEvaluated, without_password
from weighin.untrusted.redact import reduced

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 100_000
"""Rows that are held at once while a table is copied."""


Expression: TypeAlias = Any
"""An expression of Ibis, or a table of it. Ibis brings no types that mypy reads."""


class Engine(ABC):
    """A place where Ibis expressions run. Sessions use UTC, so that a time stamp means the same moment everywhere."""

    name: ClassVar[str]
    tallies: ClassVar[bool] = False
    """Whether it has `tally` and `histogram`."""
    _views = count()
    names: tuple[str, ...] = ()
    """Columns that the contract names, which a message may name as well."""

    def view(self) -> str:
        """Return a name for a temporary view that no other has."""
        return f"weighin_{next(self._views)}"

    @abstractmethod
    def files(self, paths: str, given: Files, types: Mapping[str, str]) -> Expression:
        """Files as an Ibis table. `types`: column -> type name, for formats that do not say themselves."""

    @abstractmethod
    def query(self, given: Query) -> Expression:
        """Return a table or query of a database as an Ibis table."""

    @abstractmethod
    def sample(self, expression: Expression, share: float) -> Expression:
        """About a share of the rows, drawn at random, the same ones at every call on the same data."""

    def tally(self, rows: Expression, most: int) -> list[tuple[pa.Table, int]] | None:
        """Count equal values of every column but `key`, by `key` where there is one.

        Returns, for each column, (key,) value, n, and about how many different values there are; nothing where all
        columns together have more than `most` pairs of a key and a value.
        """
        raise NotImplementedError

    def histogram(self, value: Expression, ends: list[float]) -> Expression:
        """Return an aggregate: pairs of an end and how many doubles lie up to it, above the end before; or nothing."""
        raise NotImplementedError

    def batches(self, expression: Expression) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query, a part at a time."""
        yield from expression.to_pyarrow_batches(chunk_size=BATCH)

    def close(self) -> None:  # noqa: B027 - not every engine holds something
        """Let go of what is held; nothing can be asked afterwards."""

    @abstractmethod
    def failures(self) -> tuple[type[BaseException], ...]:
        """Return what this engine raises when a query or a source is at fault."""

    @contextlib.contextmanager
    def reading(self, place: str) -> Iterator[None]:
        """Translate what goes wrong into `NotEvaluated`, without secrets and without values."""
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
                f"{self.name} cannot read it: {told(error, self.names)}", place, "Look at the data there."
            ) from error


_SAFE = ("IOException", "CatalogException", "BinderException", "ParserException", "HTTPException", "TableNotFound")
"""What DuckDB and Ibis say of files and queries before they have read a row."""
_SAFE_STATES = ("08", "28", "3D", "42", "53", "57", "58")
"""Classes of SQLSTATE (PostgreSQL 15, appendix A) that are about connections, rights, names and room, and not about
data, as 22 and 23 are."""
_FIELDS = re.compile(r"CSV parse error: (?:Row #(\d{1,18}): )?Expected (\d{1,9}) columns, got (\d{1,9})")
_ENCODING = re.compile(r"invalid UTF-?8|codec can't decode", re.IGNORECASE)
_LINE = re.compile(r"[A-Za-z ]+ Error: CSV Error on Line: (\d{1,18})\b")
_STORE = re.compile(r"AWS Error [A-Z_]{3,40}|Could ?n[o']t connect|Could ?n[o']t resolve host|Timeout was reached")
"""Fixed words of an object store's client, which are about the connection and never about a row."""
_BRIDGE = "An error occurred while calling "
"""How the bridge to Java begins; what happened stands in the next line."""


def told(error: BaseException, columns: Iterable[str] = ()) -> str:
    """Return what an engine says: its first line where that is about a file or a query, else a type and a code.

    Engines quote the rows that they stumble over, each in its own way; a report must not.

    >>> told(ValueError('Could not convert string "Jane Doe" to INT64'))[:16]
    'ValueError, code'
    """
    if cause := _of_csv(str(error), columns):
        return cause
    if _is_safe(error):
        lines = [line.strip(" \t:") for line in str(error).splitlines() if line.strip()]
        lines = [line for line in lines if not line.startswith(_BRIDGE)] or lines
        return without_password(lines[0] if lines else type(error).__name__)[:300]
    line = _LINE.match(str(error))
    said = f"{f'line {line.group(1)}: ' if line else ''}{reduced(error, columns)}"
    store = dict.fromkeys(_STORE.findall(str(error)[:2_000])) if isinstance(error, OSError) else {}
    return f"{said} ({', '.join(store)})" if store else said


def _of_csv(message: str, columns: Iterable[str]) -> str:
    """Return what is wrong with a CSV file, or nothing: one of our own sentences about a column of the contract."""
    said = [f"column {c}: {sentence}" for c in columns for sentence in SENTENCES] if MARK in message else []
    if ours := next((text for text in said if MARK + text in message), ""):
        return ours
    if fields := _FIELDS.search(message):
        row, expected, got = fields.groups()
        return f"CSV row {row or '?'} has {got} fields, and the first line {expected}; check `separator` and `quote`"
    if "MALFORMED_CSV_RECORD" in message:
        return "a CSV row has another number of fields than the first line; check `separator` and `quote`"
    return "its text is not in the `encoding` that is given (default utf-8)" if _ENCODING.search(message) else ""


def _is_safe(error: BaseException) -> bool:
    """Whether an error was raised before any row was looked at."""
    name, module = type(error).__name__, type(error).__module__.partition(".")[0]
    if module in ("duckdb", "_duckdb", "ibis"):
        return name in _SAFE
    if module == "psycopg":
        state = getattr(error, "sqlstate", None)
        return name == "OperationalError" if state is None else str(state)[:2] in _SAFE_STATES
    if module == "sqlite3":
        return name in ("OperationalError", "DatabaseError")
    return module == "pyspark" and name == "AnalysisException"


def engine_for(given: Files | Query, engine: str) -> Engine:
    """Return the engine that reads a source; `engine` is the contract's choice for files and for tables without
    address.
    """
    if isinstance(given, Query) and given.connection is not None:
        from weighin.data.engines.database import Database

        return Database(given.connection)
    if engine == "spark":
        from weighin.data.engines.spark import Spark

        return Spark()
    from weighin.data.engines.duckdb import DuckDB

    return DuckDB()


def located(given: Files, folder: Path) -> str:
    """Return the path or address of files; relative ones start at the contract's folder."""
    return given.path if given.remote else str(folder / given.path)
