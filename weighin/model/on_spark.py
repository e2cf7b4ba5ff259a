"""Ask a model on a Spark cluster: features in, the same files of predictions out as one process leaves.

`mlflow.pyfunc.spark_udf` brings the model to the executors, and there into an environment of its own where the model is
asked in one. The executors get features with their row numbers, and leave answers with the same numbers, as Parquet in
a folder that they and this machine reach. This process sorts the answers by row, loads no model, and has let go of
every variable of its environment that Spark does not need: MLflow and Spark hand some of them on to the executors.

Spark and MLflow hand rows over in types of their own. So some rows of every dataset are also asked in one process, as
`weighin.model.predict` does it, and answers that differ are no answers.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from weighin.canonical import file_digest
from weighin.data.engines.spark import address, session
from weighin.errors import NotEvaluated
from weighin.model import in_environment
from weighin.model.answers import Floats, answers_in, read_precision, read_predictions, rounding, write_predictions
from weighin.model.frame import contract_type
from weighin.model.given import is_behind_endpoint, is_given
from weighin.model.handover import NONE, OF_ITEMS, handed
from weighin.model.predict import predict
from weighin.runner import prepare
from weighin.runner.plan import Answers
from weighin.untrusted.redact import listed, reduced

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PLACE = "WEIGHIN_SPARK_FOLDER"
"""Environment variable: a folder, or an address of Hadoop's (s3a://bucket/folder), that this machine and every executor
reach; default: the work folder, wherever it lies."""
FOR_SPARK = ("PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "JAVA_HOME", "WEIGHIN_SPARK", "WEIGHIN_LOGS", PLACE)
FAMILIES = ("SPARK_", "PYSPARK_", "HADOOP_", "YARN_", "LC_", "PYTHON", "UV_", "PIP_", "SSL_", "OMP_")
"""Variables that this step keeps, and beginnings of their names. What else the environment holds is nobody's here."""
SECRETS = ("TOKEN", "SECRET", "PASSWORD", "CREDENTIAL", "_KEY")
ASKED_TWICE = 1_000
"""Rows of a dataset that are also asked in one process, evenly spread."""
ROWS_OF_A_TASK = 100_000
ALONE_SECONDS = 60
"""How long a standalone cluster may be without a single executor."""
ROW, ANSWER = "row", "answer"
SPARK_TYPES = {
    ("integer", "integer"): "INT",
    ("integer", "float"): "FLOAT",
    ("integer", "double"): "DOUBLE",
    ("float", "float"): "FLOAT",
    ("date", "datetime"): "TIMESTAMP",
    ("array", "float"): "ARRAY<FLOAT>",
}
"""(contract type, type of the signature, of an array that of its items) -> type in which Spark hands a column over; any
other pair that fits is handed over as it is."""
Frame: TypeAlias = Any
"""A data frame of Spark's, classic or of Connect: they have no common type that mypy reads."""


def predict_on_spark(
    model: Path, features: Path, out: Path, answers: Answers, shap_rows: int = 0, python: Path | None = None
) -> None:
    """Predict every `features/*.parquet` on the cluster that WEIGHIN_SPARK names, and write `out/<dataset>.arrow`.

    python  interpreter of an environment of the model's own; the executors then make the same one, by MLflow and uv
    Predictions that were given in place of a model, and endpoints, are taken as without a cluster.
    Errors: `NotEvaluated` when the cluster is away or goes away, when its executors lack what the model needs, when it
    raises, and when its answers are not one for each row or not those of one process.
    """
    if is_given(model) or is_behind_endpoint(model):
        predict(model, features, out, answers, shap_rows)
        return
    let_go(os.environ)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        once = _in_one_process(model, features, Path(scratch), answers, shap_rows, python)
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(once / "shap.arrow", out / "shap.arrow")
        if address().startswith("local"):
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        if python is not None:
            _find_uv(os.environ)
        spark = session()
        with _watched(spark), _translated():
            ask = _asking(spark, model, answers, own=python is not None)
            for path in sorted(features.glob("*.parquet")):
                found = _answered(spark, ask, model, path, out.parent, answers)
                sample = Path(scratch) / "features" / path.name
                precision = _must_be_the_same(found, once / f"{path.stem}.arrow", sample, answers)
                write_predictions(out / f"{path.stem}.arrow", found, file_digest(path), precision)


def _find_uv(environment: Any) -> None:
    """Let MLflow find uv, and uv the package index, as where an environment is built without a cluster."""
    environment |= prepare.environment(dict(environment))
    # MLflow's own caches of packages are those of the machine; it makes the environment in a folder of its own.
    environment["PATH"] = f"{Path(prepare.found_uv()).parent}{os.pathsep}{environment['PATH']}"


def let_go(environment: Any) -> None:
    """Remove every variable that Spark does not need, and those that look like a secret.

    >>> some = {"PATH": "/bin", "SPARK_HOME": "/spark", "OPENAI_API_KEY": "x", "MLFLOW_TRACKING_URI": "x"}
    >>> let_go(some); some
    {'PATH': '/bin', 'SPARK_HOME': '/spark'}
    """
    for name in list(environment):
        known = name in FOR_SPARK or name.startswith(FAMILIES)
        if not known or any(word in name for word in SECRETS) or "@" in environment[name]:
            del environment[name]


def spread(rows: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the numbers of the rows that are asked twice: at most `ASKED_TWICE`, the first and the last among them.

    >>> spread(3).tolist(), len(spread(10**8)), spread(10**8)[-1]
    ([0, 1, 2], 1000, np.int64(99999999))
    """
    return np.unique(np.linspace(0, rows - 1, min(rows, ASKED_TWICE)).astype(np.int64))


def _in_one_process(
    model: Path, features: Path, scratch: Path, answers: Answers, shap_rows: int, python: Path | None
) -> Path:
    """Return the folder of what the model answers to some rows of each dataset in a process, as without a cluster.

    It has said on standard error what is wrong, where it did not end well. Errors: `NotEvaluated`.
    """
    for path in sorted(features.glob("*.parquet")):
        sample = scratch / "features" / path.name
        sample.parent.mkdir(exist_ok=True)
        pq.write_table(rows_of(path, spread(pq.read_metadata(path).num_rows)), sample)
    out = scratch / "once"
    given = {"model": model, "features": scratch / "features", "out": out, "shap": shap_rows}
    command = [str(python or sys.executable), "-I", "-B", in_environment.__file__, "--answers", answers.to_json()]
    command += [part for name, value in given.items() for part in (f"--{name}", str(value))]
    ran = subprocess.run(command, check=False)
    if ran.returncode:
        raise SystemExit(ran.returncode)
    return out


def rows_of(path: Path, numbers: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Table:
    """Return some rows of a Parquet file, a row group in memory at a time. numbers: in order."""
    with pq.ParquetFile(path) as file:
        parts, start = [], 0
        for i in range(file.num_row_groups):
            rows = file.metadata.row_group(i).num_rows
            inside = numbers[(numbers >= start) & (numbers < start + rows)] - start
            if len(inside):
                parts.append(file.read_row_group(i).take(pa.array(inside)))
            start += rows
    return pa.concat_tables(parts)


def _asking(spark: SparkSession, model: Path, answers: Answers, *, own: bool) -> Any:
    """Return a function of Spark's that asks the model. The executors get it as files; it is not loaded here."""
    import mlflow
    import mlflow.pyfunc

    # The function hands the tracking server's address on; a model that lies in a folder needs none.
    mlflow.set_tracking_uri(f"file://{tempfile.gettempdir()}/no-tracking-server")
    kind = result_type(answers)
    return mlflow.pyfunc.spark_udf(spark, str(model.resolve()), kind, env_manager="uv" if own else "local")


def result_type(answers: Answers) -> str:
    """Return the type of one row's answer in Spark's words.

    >>> result_type(Answers((1,))), result_type(Answers(("p",))), result_type(Answers((0,), "label"))
    ('array<double>', 'struct<`p`: double>', 'array<string>')
    """
    item = "string" if answers.kind == "label" else "double"
    named = [str(c) for c in answers.columns if isinstance(c, str)]
    if not named:
        return f"array<{item}>"
    return f"struct<{', '.join(f'{_quoted(c)}: {item}' for c in named)}>"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _answered(spark: SparkSession, ask: Any, model: Path, path: Path, folder: Path, answers: Answers) -> Floats:
    """Return the answers to a file of features, shape (rows, width), in its order. Errors: `NotEvaluated`."""
    from pyspark.sql import functions as f

    rows = pq.read_metadata(path).num_rows
    casts = handed_by_spark(pq.read_schema(path), model)
    with _exchange(spark, path, folder) as (features, written, left):
        frame: Frame = spark.read.parquet(features)
        given = f.struct(*(f.expr(cast).alias(name) for name, cast in casts.items()))
        # By the row's own number, so that a task that is run again has the same rows.
        asked = frame.select(f.col("_metadata.row_index").alias(ROW), given.alias("given"))
        asked = asked.repartition(max(2, -(-rows // ROWS_OF_A_TASK)), ROW)
        asked.select(ROW, ask("given").alias(ANSWER)).write.parquet(written)
        return in_order(left(), rows, answers, path.name)


def handed_by_spark(schema: pa.Schema, model: Path) -> dict[str, str]:
    """Return column -> the SQL expression by which it is handed over as the model's signature wants it.

    Errors: `NotEvaluated` for what only one process hands over: tensors, and categories.
    """
    from mlflow.models import Model

    signature = Model.load(str(model)).get_input_schema()
    if signature is not None and signature.is_tensor_spec():
        raise NotEvaluated("a model whose signature wants tensors is not asked on Spark", "", REMEDY)
    inputs = list(signature.inputs) if signature is not None else []
    if signature is not None and not signature.has_input_names() and len(inputs) == len(schema):
        wanted = dict(zip(schema.names, inputs, strict=True))
    else:
        wanted = {i.name: i for i in inputs if i.name}
    found = {}
    for field in schema:
        contract, kind, items = contract_type(field.type), NONE, NONE
        if field.name in wanted:
            of = wanted[field.name].type
            kind = "array" if type(of).__name__ == "Array" else getattr(of, "name", NONE)
            items = getattr(getattr(of, "dtype", None), "name", NONE) if kind == "array" else NONE
        unfit = handed(contract, kind) is None or (contract == "array" and items not in OF_ITEMS)
        if unfit or contract == "category" or (contract == "timestamp" and not kind):
            raise NotEvaluated(f"the columns {listed([field.name])} cannot be handed over on Spark", "", REMEDY)
        cast = SPARK_TYPES.get((contract, items if contract == "array" else kind))
        found[field.name] = f"CAST({_quoted(field.name)} AS {cast})" if cast else _quoted(field.name)
    return found


REMEDY = "Write `predict_on: process`."


@contextlib.contextmanager
def _exchange(spark: SparkSession, path: Path, folder: Path) -> Iterator[tuple[str, str, Any]]:
    """Yield the address of a dataset's features, that of its answers, and a function that returns the folder in which
    the answers then lie on this machine. What is left there is removed with the block.

    folder  of this machine, below the work folder
    """
    place = os.environ.get(PLACE, "")
    away = bool(urlsplit(place).scheme)
    shared = folder if away else Path(place or folder)
    with tempfile.TemporaryDirectory(prefix="weighin-", dir=shared, ignore_cleanup_errors=True) as made:
        here = Path(made).resolve()
        left = here / "answers"
        if not away:
            features = Path(shutil.copyfile(path, here / path.name)) if place else path.resolve()
            yield features.as_uri(), left.as_uri(), lambda: left
            return
        if address().startswith("sc://"):
            raise NotEvaluated(f"{PLACE} is an address, and Spark Connect takes a folder", "", f"Correct {PLACE}.")
        # The cluster's own file system, with its own credentials: this process has none.
        jvm: Any = spark.sparkContext._jvm
        at, base = jvm.org.apache.hadoop.fs.Path, f"{place.rstrip('/')}/{here.name}"
        files = at(base).getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())

        def fetched() -> Path:
            files.copyToLocalFile(False, at(f"{base}/answers"), at(str(left)), True)
            return left

        try:
            files.copyFromLocalFile(False, True, at(str(path.resolve())), at(f"{base}/{path.name}"))
            yield f"{base}/{path.name}", f"{base}/answers", fetched
        finally:
            files.delete(at(base), True)


def in_order(folder: Path, rows: int, answers: Answers, place: str) -> Floats:
    """Return the answers of a folder of Parquet files, (rows, width), each at its row.

    Errors: `NotEvaluated` where a row has no answer or several, or where they are not what is promised.
    """
    files = sorted(folder.glob("*.parquet"))
    found = np.full((rows, answers.width), np.nan)
    asked = np.zeros(rows, dtype=np.uint8)
    count = 0
    for batch in ds.dataset(files, format="parquet").to_batches(columns=[ROW, ANSWER]) if files else ():
        numbers = batch.column(ROW).to_numpy(zero_copy_only=False)
        if not len(numbers):
            continue
        if batch.column(ROW).null_count or numbers.min() < 0 or numbers.max() >= rows:
            raise NotEvaluated("answers to rows that were not asked", place, "Look at the cluster's log.")
        found[numbers] = answers_in(_returned(batch.column(ANSWER), answers), answers)
        asked[numbers] = 1
        count += len(numbers)
    if count != rows or not asked.all():
        raise NotEvaluated(f"{count} answers for {rows} rows", place, "Answer every row once, in order.")
    return found


def _returned(values: pa.Array, answers: Answers) -> object:
    """Return a batch of answers as a model would have returned them: an array, or arrays by name."""
    if values.null_count:
        raise NotEvaluated(f"{len(values) - values.null_count} answers for {len(values)} rows")
    if pa.types.is_struct(values.type):
        fields = zip(values.type, values.flatten(), strict=True)
        return {field.name: _labels(v, answers) for field, v in fields}
    flat = values.flatten()
    if len(flat) % len(values) or (np.diff(values.offsets.to_numpy()) != len(flat) // len(values)).any():
        raise NotEvaluated("the rows of the answers have not the same columns", "", "Return a table.")
    return _labels(flat, answers).reshape(len(values), -1)


def _labels(values: pa.Array, answers: Answers) -> np.ndarray[Any, Any]:
    """Return numbers as they are, and labels, which Spark has made texts of, as the contract writes them."""
    if answers.kind != "label":
        return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
    named = answers.classes or (answers.positive,)
    if any(isinstance(label, str) for label in named):
        return np.asarray(values.to_pylist(), dtype=object)
    words = {"True": 1.0, "False": 0.0, "None": np.nan}
    try:
        return np.array([words[v] if v in words else float(v) for v in values.to_pylist()])
    except (TypeError, ValueError) as error:
        raise NotEvaluated("the answers hold labels that are no numbers", "", "Correct `model.classes`.") from error


def _must_be_the_same(found: Floats, once: Path, sample: Path, answers: Answers) -> str:
    """Return the precision in which a model answered, by what it answered in one process.

    found   (rows, width) of the cluster
    once    the file of its answers to the rows of `sample`
    Errors: `NotEvaluated` where answers of the cluster are further away than rounding explains.
    """
    rows = spread(len(found))
    # What is not finite is the judge's to refuse, in one process as on a cluster.
    wanted = read_predictions(once, len(rows), answers.width, file_digest(sample)).reshape(len(rows), -1)
    precision = read_precision(once)
    off = ~(np.abs(found[rows] - wanted) <= rounding(precision) * np.maximum(1.0, np.abs(wanted)))
    if off.any():
        raise NotEvaluated(
            f"{int(off.any(axis=1).sum())} of {len(rows)} rows have another answer on Spark than in one process",
            once.name,
            REMEDY,
        )
    return str(precision.dtype)


@contextlib.contextmanager
def _watched(spark: SparkSession) -> Iterator[None]:
    """Cancel what runs when a standalone cluster has had no executor for `ALONE_SECONDS`: Spark would wait for ever."""
    if not address().startswith("spark://"):
        yield
        return
    ended = threading.Event()
    known: Any = spark.sparkContext._jsc

    def watch() -> None:
        alone = 0
        while not ended.wait(1):
            # The driver is one of them.
            alone = alone + 1 if known.sc().getExecutorMemoryStatus().size() <= 1 else 0
            if alone >= ALONE_SECONDS:
                spark.sparkContext.cancelAllJobs()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join(10)


_ABSENT = re.compile(r"ModuleNotFoundError: No module named '([A-Za-z_][\w.]{0,59})'", re.ASCII)
SAID: Mapping[str, str] = {
    "PYTHON_VERSION_MISMATCH": "the executors run another version of Python",
    "model server failed to launch": "the model's own environment does not run on the executors",
    "cancelled": f"the cluster had no executor for {ALONE_SECONDS} s",
    "PATH_NOT_FOUND": "the executors do not see the features",
    "FileNotFoundException": "the executors do not see the features",
}
"""Words of Spark's and MLflow's -> what they mean."""


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Say what Spark and MLflow raise without a word of what a model, a row or an address holds."""
    try:
        yield
    except NotEvaluated:
        raise
    except Exception as error:
        text = str(error)
        absent = _ABSENT.search(text)
        said = f"the executors have no module {absent[1]}" if absent else ""
        said = said or next((meant for words, meant in SAID.items() if words in text), "")
        said = said or f"the cluster did not answer, {reduced(error)}"
        remedy = f"Look at the cluster; PYSPARK_PYTHON names its Python, {PLACE} a folder that it sees."
        raise NotEvaluated(said, "", remedy) from error
