"""Spark: on this machine, on a cluster by its master's address, or through Spark Connect."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from weighin.contract.sources import Files, Query
from weighin.data.engines import BATCH, Engine, Expression, told
from weighin.data.engines.csv_dialect import Sql, must_name, partition_dialect, spark_options
from weighin.errors import NotEvaluated
from weighin.untrusted.redact import reduced

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

ADDRESS = "WEIGHIN_SPARK"
"""Environment variable: local[*] (default), spark://host:7077, yarn, k8s://..., or sc://host:15002 for Connect."""
CONNECT_PORT = 15002
"""Of Spark Connect, where the address names none."""
RETRIES = 5
"""Of a request to a Connect server that has gone away: 17 seconds in all, and not the ten minutes of Spark's own."""
SQL_TYPES = {
    "integer": "BIGINT",
    "float": "DOUBLE",
    "string": "STRING",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP",
    "date": "DATE",
}

SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    # As texts, for the contract's types: Spark would make 7 of `007`.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    # Spark knows the encodings of Java, and takes eight of them unless it is told so.
    "spark.sql.legacy.javaCharsets": "true",
    # Java interprets a method of more than 8000 bytes instead of compiling it; Spark, told so, then makes several.
    "spark.sql.codegen.hugeMethodLimit": "8000",
}
"""Settings of every session."""

QUIET = {
    # A cluster has to reach its driver; work on this machine has not to be reached by anybody.
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "16",
}
"""Settings of a session on this machine."""


class Spark(Engine):
    """One job for a table, not one for a column."""

    name = "Spark"

    def __init__(self) -> None:
        try:
            import ibis
            import pyspark  # noqa: F401
        except ImportError as error:
            raise NotEvaluated("pyspark is not installed", "data.engine", "pip install 'weighin[spark]'.") from error
        try:
            self._session = session()
            self._connection = ibis.pyspark.connect(self._session)
        except self.failures() as error:
            remedy = f"It needs Java 17, and {ADDRESS} the address of a cluster that is there."
            raise NotEvaluated(f"Spark does not start: {told(error)}", shown(address()), remedy) from error

    def files(self, paths: str, given: Files, types: Mapping[str, str]) -> Expression:
        """Parquet, CSV (a line that does not fit is an error), ORC-free: what the contract's formats allow."""
        if given.kind == "arrow":
            raise NotEvaluated("Spark reads no Arrow files", paths, "Write Parquet, or use `engine: duckdb`.")
        if not given.remote and not any(Path("/").glob(paths.lstrip("/"))):
            raise FileNotFoundError(paths)
        reader = self._session.read
        if given.kind == "csv":
            return self._named(self._csv(paths, given, types))
        frame = reader.parquet(paths)
        files = frame.inputFiles()
        if not any("=" in file for file in files):
            # No folder is a column, and to look into a file for its own would be another job.
            return self._named(frame)
        in_files = set(reader.parquet(*files[:1]).columns)
        texts, dialect = [c for c in frame.columns if c not in in_files], partition_dialect(paths)
        typed = {c: SQL.typed(_quoted(c), c, types.get(c, "string"), dialect) for c in texts}
        return self._named(frame.selectExpr(*(f"{typed.get(c, _quoted(c))} AS {_quoted(c)}" for c in frame.columns)))

    def _csv(self, paths: str, given: Files, types: Mapping[str, str]) -> Any:
        """Return CSV files in the contract's types: Spark splits them into texts first."""
        reader = self._session.read.options(**spark_options(given))
        first = reader.option("header", False).csv(paths).first()
        names = must_name([_header(first)], given, types, paths)
        schema = ", ".join(f"{_quoted(n)} STRING" for n in names)
        frame, partition = reader.option("header", True).schema(schema).csv(paths), partition_dialect(paths)
        columns = [
            f"{SQL.typed(_quoted(c), c, types.get(c, 'string'), given if c in names else partition)} AS {_quoted(c)}"
            for c in frame.columns
        ]
        return frame.selectExpr(*columns)

    def query(self, given: Query) -> Expression:
        """Return a table of Spark's catalogue, or a SELECT over it."""
        return self._named(self._session.table(given.table) if given.table else self._session.sql(str(given.query)))

    def _named(self, frame: Any) -> Any:
        name = self.view()
        frame.createOrReplaceTempView(name)
        return self._connection.table(name)

    def sample(self, expression: Expression, share: float) -> Expression:
        """Spark's own sample with a fixed seed: the same rows as long as the files are split alike."""
        return self._named(self._session.sql(self._connection.compile(expression)).sample(fraction=share, seed=7))

    def batches(self, expression: Expression) -> Iterator[pa.RecordBatch]:
        """Yield a partition at a time, in order: all that Ibis and Spark's own Arrow know is everything at once."""
        import pyarrow as pa

        frame = self._session.sql(self._connection.compile(expression))
        # A moment reaches Python in the time zone of the machine, without saying so; its microseconds do not.
        moments = {name for name, kind in frame.dtypes if kind == "timestamp"}
        schema = pa.schema(
            pa.field(f.name, pa.timestamp("us", tz="UTC")) if f.name in moments else f
            for f in expression.schema().to_pyarrow()
        )
        frame = frame.selectExpr(*(f"unix_micros({_quoted(n)})" if n in moments else _quoted(n) for n in schema.names))
        rows = frame.toLocalIterator()
        while part := list(islice(rows, BATCH)):
            columns = zip(*part, strict=True)
            arrays = [
                pa.array(values, pa.int64()).cast(f.type) if f.name in moments else pa.array(values, f.type)
                for f, values in zip(schema, columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def failures(self) -> tuple[type[BaseException], ...]:
        """Spark's errors, and those of the bridge to it."""
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        return (PySparkException, Py4JError, RuntimeError)


def address() -> str:
    """Where Spark is."""
    return os.environ.get(ADDRESS, "local[*]")


def shown(master: str) -> str:
    """Return an address without its parameters: Connect's may hold a token."""
    return master.partition("/;")[0]


@cache
def session() -> SparkSession:
    """Return the process's one session: UTC, no user interface."""
    from pyspark.sql import SparkSession

    master = address()
    remote = master.startswith("sc://")
    if remote or master.startswith("spark://"):
        _must_answer(master)
    builder = SparkSession.builder.appName("weighin")
    settings = dict(SETTINGS)
    if remote:
        builder = builder.remote(master)
    else:
        builder = builder.master(master)
        settings["spark.ui.enabled"] = settings["spark.ui.showConsoleProgress"] = "false"
        settings["spark.sql.execution.arrow.pyspark.enabled"] = "true"
    if master.startswith("local"):
        settings |= QUIET
    for key, value in settings.items():
        builder = builder.config(key, value)
    found = builder.getOrCreate()
    if remote:
        from pyspark.sql.connect.client.retries import DefaultPolicy

        found.client.set_retry_policies([DefaultPolicy(max_retries=RETRIES)])
    else:
        found.sparkContext.setLogLevel("ERROR")
    return found


def _must_answer(master: str) -> None:
    """Spark tries for one minute (a master) or for ten (Connect) where nobody listens. Errors: `NotEvaluated`."""
    problem = ""
    for place in master.partition("://")[2].partition("/")[0].split(","):
        try:
            found = urlsplit(f"//{place}")
            socket.create_connection((found.hostname or "", found.port or CONNECT_PORT), timeout=10).close()
            return
        except (OSError, ValueError) as error:
            problem = reduced(error)
    raise NotEvaluated(f"no Spark answers there ({problem})", shown(master), f"Start it, or correct {ADDRESS}.")


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _header(first: Sequence[str | None] | None) -> list[str]:
    """Return the names in the first line; a mark of the byte order is no part of the first."""
    names = [str(name or "") for name in first or ()]
    return [names[0].removeprefix("\ufeff"), *names[1:]] if names else []


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def _matches(text: str, pattern: str) -> str:
    """Java's `$` also stands before a last end of line."""
    return f"({text} RLIKE concat('^(', {pattern}, ')$') AND NOT contains({text}, '\\n'))"


SQL = Sql(SQL_TYPES, _literal, "raise_error", _matches, lossy=True)
