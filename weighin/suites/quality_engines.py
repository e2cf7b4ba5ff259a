"""Great Expectations on pandas while the data fit in memory, on Spark beyond: the same columns, the same counts.

On pandas every expectation is given its own columns and no other. Great Expectations copies the whole frame for nearly
every count, and that is where its time and its memory go.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import psutil
import pyarrow as pa

from weighin.contract.quality import DataQuality
from weighin.data.engines.spark import QUIET
from weighin.errors import NotEvaluated
from weighin.suites.quality_columns import NOTHING, QualityColumns
from weighin.untrusted.redact import reduced

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult
    from pyspark.sql import SparkSession

FACTOR = 8
"""Memory that Great Expectations takes on pandas, in sizes of the frame that it is given; 5 on 5 million flights."""
SHARE = 0.5
"""Of the free memory, what pandas may take."""
LARGE = 16 * 2**20
"""Bytes of a frame beyond which it pays to have it collected at once."""
FORMAT = {"result_format": "BASIC", "partial_unexpected_count": 0}
WITHOUT_SPARK = (
    "Run `pip install weighin[spark]` and install Java 17 (docs/reference/gates/data-quality.md: for the image), "
    "or raise gates.data_quality.pandas_mb_at_most where memory is left."
)
Configuration = dict[str, Any]


@dataclass(frozen=True)
class Engine:
    """Which engine counts, and why, in numbers of 2**20 bytes."""

    name: Literal["pandas", "spark"]
    needed_mb: float
    at_most_mb: float
    chosen_by: Literal["size", "contract"]

    @property
    def reason(self) -> str:
        """The choice in words."""
        if self.chosen_by == "contract":
            return f"the contract says {self.name}"
        sign = "≤" if self.name == "pandas" else ">"
        return f"pandas would need {self.needed_mb:,.0f} MB {sign} {self.at_most_mb:,.0f} MB"


def choose(gate: DataQuality, frame_mb: float) -> Engine:
    """Return the engine for a frame of so many 2**20 bytes."""
    needed = FACTOR * frame_mb
    at_most = gate.pandas_mb_at_most or SHARE * _free_mb()
    if gate.engine != "auto":
        return Engine(gate.engine, needed, at_most, "contract")
    return Engine("pandas" if needed <= at_most else "spark", needed, at_most, "size")


def _free_mb() -> float:
    """Memory that this process may still take: the machine's, or less where a container has a limit."""
    free = float(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):  # another kernel, or no limit ("max")
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())
        free = min(free, limit - int((group / "memory.current").read_text()))
    return free / 2**20


def columns_of(configuration: Configuration) -> list[str]:
    """Return the columns that an expectation names."""
    kwargs = configuration["kwargs"]
    found = [kwargs[k] for k in ("column", "column_A", "column_B") if isinstance(kwargs.get(k), str)]
    return found + [c for k in ("column_list", "column_set") for c in kwargs.get(k) or () if isinstance(c, str)]


def count(
    engine: Engine,
    gate: DataQuality,
    view: QualityColumns,
    suites: Mapping[str, list[Configuration]],
    whole: Sequence[str],
) -> dict[str, list[ExpectationValidationResult]]:
    """Return what Great Expectations found: for each suite its results, in the order of the expectations.

    whole  suites that are given every column of the data, since nobody knows what they read
    Errors: `NotEvaluated`.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.execution_engine import pandas_execution_engine

    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    # It would write the whole context as YAML into memory at every source: a quarter of the suite's time.
    context._save_project_config = lambda: None
    if engine.name == "spark":
        return _on_spark(context, gate, view, suites)
    # It hashes every frame below this size, which costs more than the counting, for a marker that nobody reads.
    pandas_execution_engine.HASH_THRESHOLD = 0
    found: dict[str, list[Any]] = {}
    # Great Expectations builds the name of a type without its storage, and compares both.
    with pd.option_context("mode.string_storage", "pyarrow"):
        for name, configurations in suites.items():
            results: list[Any] = [None] * len(configurations)
            for columns, places in _parts(configurations, view, name in whole).items():
                part = _suite(gx, name, [configurations[i] for i in places])
                # A source keeps every frame that it was ever given, so each part has one of its own, and leaves cycles
                # that hold the frame until they are collected.
                source = context.data_sources.add_pandas("part")
                batches = source.add_dataframe_asset("data").add_batch_definition_whole_dataframe("all")
                frame = _frame(view, columns)
                large = frame.memory_usage().sum() > LARGE
                batch = batches.get_batch({"dataframe": frame})
                _sort_in(batch.validate(part, result_format=FORMAT).results, configurations, places, results)
                context.data_sources.delete("part")
                del source, batches, batch, frame
                if large:
                    gc.collect()
            found[name] = results
    return found


def _parts(configurations: list[Configuration], view: QualityColumns, whole: bool) -> dict[tuple[str, ...], list[int]]:
    """Columns -> places of the expectations that need just these."""
    data = [n for n in view.columns if n in view.own]
    parts: dict[tuple[str, ...], list[int]] = {}
    for place, configuration in enumerate(configurations):
        named = data if whole else [c for c in columns_of(configuration) if c in view.columns]
        parts.setdefault(tuple(named) or (NOTHING,), []).append(place)
    return parts


def widest(suites: Mapping[str, list[Configuration]], view: QualityColumns, whole: Sequence[str]) -> float:
    """Return the largest frame that pandas would be given, in 2**20 bytes."""
    parts = {p for name, found in suites.items() for p in _parts(found, view, name in whole)}
    return max((view.megabytes(p) for p in parts), default=0.0)


def _frame(view: QualityColumns, columns: Sequence[str]) -> pd.DataFrame:
    table = view.arrow(columns)
    return pd.DataFrame({name: _series(table[name]) for name in columns}, copy=False)


def _series(values: pa.ChunkedArray) -> pd.Series[Any]:
    """Return a column in a type that keeps what is missing apart: a whole number must not become a float for a gap."""
    mapped = {pa.string(): pd.StringDtype()}
    if values.null_count:
        mapped |= {pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype(), pa.bool_(): pd.BooleanDtype()}
    series = values.to_pandas(types_mapper=mapped.get, date_as_object=False)
    return series.astype("datetime64[s]") if pa.types.is_date(values.type) else series


def _suite(gx: Any, name: str, configurations: list[Configuration]) -> Any:
    try:
        return gx.ExpectationSuite(name=name, expectations=[dict(c) for c in configurations])
    except (gx.exceptions.GreatExpectationsError, ValueError, TypeError, KeyError, AttributeError) as error:
        said = reduced(error)
        raise NotEvaluated(f"the suite `{name}` cannot be read: {said}", name, "Correct the suite.") from error


def _sort_in(found: Sequence[Any], configurations: list[Configuration], places: list[int], results: list[Any]) -> None:
    """Results come in an order of their own, the crashed ones first; an id says whose they are."""
    by_id = {configurations[i]["id"]: i for i in places}
    for result in found:
        results[by_id[result.expectation_config.id]] = result


def _on_spark(
    context: Any, gate: DataQuality, view: QualityColumns, suites: Mapping[str, list[Configuration]]
) -> dict[str, list[Any]]:
    import great_expectations as gx

    aliases = {name: f"c{i}" for i, name in enumerate(view.columns)}
    path = view.scratch / "columns.parquet"
    view.write(path, list(aliases), list(aliases.values()))
    found: dict[str, list[Any]] = {}
    with spark_session(gate, view.scratch) as spark:
        # Not persisted: Spark would hold the whole table in a heap that is far smaller.
        source = context.data_sources.add_spark("weighin", persist=False).add_dataframe_asset("data")
        batches = source.add_batch_definition_whole_dataframe("all")
        batch = batches.get_batch({"dataframe": spark.read.parquet(str(path))})
        for name, configurations in suites.items():
            results: list[Any] = [None] * len(configurations)
            renamed = [_renamed(c, aliases) for c in configurations]
            validated = batch.validate(_suite(gx, name, renamed), result_format=FORMAT)
            _sort_in(validated.results, configurations, list(range(len(configurations))), results)
            found[name] = results
    return found


def _renamed(configuration: Configuration, aliases: Mapping[str, str]) -> Configuration:
    """Spark folds the case of names and reads dots and backticks in them, so it gets names without either."""
    kwargs = dict(configuration["kwargs"])
    for key in ("column", "column_A", "column_B"):
        if key in kwargs:
            kwargs[key] = aliases.get(kwargs[key], kwargs[key])
    for key in ("column_list", "column_set"):
        if key in kwargs:
            kwargs[key] = [aliases.get(c, c) for c in kwargs[key] or ()]
    return {**configuration, "kwargs": kwargs}


@contextlib.contextmanager
def spark_session(gate: DataQuality, scratch: Path) -> Iterator[SparkSession]:
    """Yield a session that listens on loopback only; one that is there already is used, and left to whoever started
    it.

    Errors: `NotEvaluated` where Spark or Java is missing, or does not start.
    """
    place = "gates.data_quality.engine"
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise NotEvaluated("the data need Spark, which is not installed", place, WITHOUT_SPARK) from error
    there = SparkSession.getActiveSession()
    if there is not None:
        yield there
        return
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise NotEvaluated("the data need Spark, and Spark needs Java, which is not installed", place, WITHOUT_SPARK)
    settings = {
        **QUIET,
        "spark.driver.memory": f"{gate.spark_memory_mb}m",
        "spark.local.dir": str(scratch / "spark"),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
    }
    builder = SparkSession.builder.master("local[*]").appName("weighin")
    for key, value in settings.items():
        builder = builder.config(key, value)
    try:
        session = builder.getOrCreate()
    except PySparkException as error:
        fact = f"Spark does not start ({reduced(error)})"
        raise NotEvaluated(fact, place, "It needs Java 17.") from error
    try:
        session.sparkContext.setLogLevel("ERROR")
        yield session
    finally:
        session.stop()
