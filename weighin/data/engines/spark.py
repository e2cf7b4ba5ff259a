"""Spark: on this machine, on a cluster by its master's address, or through Spark Connect."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from weighin.contract.sources import Files, Query
from weighin.data.engines import Engine
from weighin.errors import NotEvaluated

ADDRESS = "WEIGHIN_SPARK"
"""Environment variable: local[*] (default), spark://host:7077, yarn, k8s://..., or sc://host:15002 for Connect."""
SQL_TYPES = {
    "integer": "BIGINT",
    "float": "DOUBLE",
    "string": "STRING",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP",
    "date": "DATE",
}

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
        with self.reading(f"Spark, {os.environ.get(ADDRESS, 'local[*]')}"):
            self._session = session()
            self._connection = ibis.pyspark.connect(self._session)

    def files(self, paths: str, given: Files, types: Mapping[str, str]) -> Any:
        """Parquet, CSV (a line that does not fit is an error), ORC-free: what the contract's formats allow."""
        if given.kind == "arrow":
            raise NotEvaluated("Spark reads no Arrow files", paths, "Write Parquet, or use `engine: duckdb`.")
        if not given.remote and not any(Path("/").glob(paths.lstrip("/"))):
            raise FileNotFoundError(paths)
        reader = self._session.read
        if given.kind == "csv":
            names = reader.option("header", True).csv(paths).columns
            fields = ", ".join(f"{_quoted(n)} {SQL_TYPES[types.get(n, 'string')]}" for n in names)
            frame = reader.option("header", True).option("mode", "FAILFAST").schema(fields).csv(paths)
        else:
            frame = reader.parquet(paths)
        return self._named(frame)

    def query(self, given: Query) -> Any:
        """A table of Spark's catalogue, or a SELECT over it."""
        return self._named(self._session.table(given.table) if given.table else self._session.sql(str(given.query)))

    def _named(self, frame: Any) -> Any:
        name = self.view()
        frame.createOrReplaceTempView(name)
        return self._connection.table(name)

    def sample(self, expression: Any, share: float) -> Any:
        """Spark's own sample with a fixed seed: the same rows as long as the files are split alike."""
        return self._named(self._session.sql(self._connection.compile(expression)).sample(fraction=share, seed=7))

    def failures(self) -> tuple[type[BaseException], ...]:
        """Spark's errors, and those of the bridge to it."""
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        return (PySparkException, Py4JError, RuntimeError)


@cache
def session() -> Any:
    """The process's one session: UTC, no user interface."""
    from pyspark.sql import SparkSession

    address = os.environ.get(ADDRESS, "local[*]")
    builder = SparkSession.builder.appName("weighin")
    settings = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true"}
    if address.startswith("sc://"):
        builder = builder.remote(address)
    else:
        builder = builder.master(address)
        settings["spark.ui.enabled"] = "false"
        settings["spark.sql.execution.arrow.pyspark.enabled"] = "true"
    if address.startswith("local"):
        settings |= QUIET
    for key, value in settings.items():
        builder = builder.config(key, value)
    found = builder.getOrCreate()
    if not address.startswith("sc://"):
        found.sparkContext.setLogLevel("ERROR")
    return found


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
