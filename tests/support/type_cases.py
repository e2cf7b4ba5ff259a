"""Cases of types: what wrote a file, the contract's type, and what a signature asks for.

Used by tests/data/test_typed.py, tests/model/test_handover.py and benchmarks/flavours.py.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array

from weighin.contract.columns import Column
from weighin.data.typed import feature_type, typed_column
from weighin.errors import NotEvaluated
from weighin.load.bodies import rows_as_json
from weighin.model.frame import handed_over
from weighin.model.handover import handed
from weighin.runner.plan import Interface

NOON = datetime(2026, 3, 1, 12, 30, 0, 250_000, tzinfo=UTC)
NAIVE = NOON.replace(tzinfo=None)
DAY = date(2026, 3, 1)
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)


def column(kind: str, **more: Any) -> Column:
    zone = {"time_zone": "UTC"} if kind == "timestamp" else {}
    return Column.model_validate({"type": kind, **zone, **more})


def cast(values: pa.Array | pa.ChunkedArray, of: Column) -> pa.ChunkedArray:
    chunked = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
    return typed_column(chunked, of, "holdout, column x")


SAME: dict[str, tuple[Column, list[Any], list[pa.Array]]] = {
    "integer": (
        column("integer"),
        [1, None, 3],
        [
            pa.array([1, None, 3], pa.int8()),
            pa.array([1, None, 3], pa.uint64()),
            pa.array([1.0, None, 3.0], pa.float32()),
            pa.array([1.0, float("nan"), 3.0]),
            pa.array([Decimal("1.00"), None, Decimal("3.00")], pa.decimal128(9, 2)),
            pa.array([1, None, 3]).dictionary_encode(),
            pa.array(pd.array([1, None, 3], "Int64")),
            pa.array(pd.array([1, None, 3], "int64[pyarrow]")),
        ],
    ),
    "float": (
        column("float"),
        [1.5, None, 3.0],
        [
            pa.array([1.5, None, 3.0], pa.float16()),
            pa.array([1.5, None, 3.0], pa.float32()),
            pa.array([Decimal("1.5"), None, Decimal("3.0")], pa.decimal128(9, 1)),
            pa.array([Decimal("1.5"), None, Decimal("3.0")], pa.decimal256(40, 1)),
            pa.array([1.5, None, 3.0]).dictionary_encode(),
            pa.array(pd.array([1.5, None, 3.0], "Float32")),
        ],
    ),
    "float of whole numbers": (
        column("float"),
        [1.0, None, 3.0],
        [pa.array([1, None, 3], pa.int32()), pa.array([1, None, 3], pa.uint8())],
    ),
    "string": (
        column("string"),
        ["a", None, "b"],
        [
            pa.array(["a", None, "b"], pa.large_string()),
            pa.array(["a", None, "b"], pa.string_view()),
            pa.array(["a", None, "b"]).dictionary_encode(),
            pa.array(pd.Categorical(["a", None, "b"])),
            pa.array(pd.array(["a", None, "b"], "string[pyarrow]")),
        ],
    ),
    "boolean": (
        column("boolean"),
        [True, None, False],
        [pa.array([True, None, False]), pa.array(pd.array([True, None, False], "boolean"))],
    ),
    "timestamp": (
        column("timestamp"),
        [NOON, None],
        [
            pa.array([NAIVE, None], pa.timestamp("ms")),
            pa.array([NAIVE, None], pa.timestamp("us")),
            pa.array([NAIVE, None], pa.timestamp("ns")),
            pa.array([NOON, None], pa.timestamp("us", "UTC")),
            pa.array([NOON, None], pa.timestamp("us", "Europe/Zurich")),
            pa.array([NOON.astimezone(timezone(timedelta(hours=-5))), None], pa.timestamp("us", "-05:00")),
        ],
    ),
    "timestamp of days": (column("timestamp"), [MIDNIGHT], [pa.array([DAY]), pa.array([DAY], pa.date64())]),
    "date": (
        column("date"),
        [DAY, None],
        [
            pa.array([DAY, None], pa.date64()),
            pa.array([MIDNIGHT.replace(tzinfo=None), None], pa.timestamp("ns")),
            pa.array([MIDNIGHT, None], pa.timestamp("us", "UTC")),
        ],
    ),
    "array": (
        column("array"),
        [[1.0, 2.0], None],
        [
            pa.array([[1, 2], None], pa.list_(pa.int32())),
            pa.array([[1, 2], None], pa.large_list(pa.float32())),
            pa.array([[1, 2], None], pa.list_(pa.float32(), 2)),
        ],
    ),
    "nothing but missing values": (column("float"), [None, None], [pa.nulls(2), pa.nulls(2, pa.int8())]),
}


VALUES: dict[str, list[Any]] = {
    "integer": [3, -4],
    "float": [0.1, 2.0],
    "string": ["a", "b"],
    "category": ["b", "a"],
    "boolean": [True, False],
    "timestamp": [NOON, NOON],
    "date": [date(2026, 3, 1), date(1999, 12, 31)],
    "array": [[0.5, 1.5], [2.0, 3.0]],
}
TYPES: dict[str, Any] = {
    "integer": DataType.integer,
    "long": DataType.long,
    "float": DataType.float,
    "double": DataType.double,
    "string": DataType.string,
    "boolean": DataType.boolean,
    "datetime": DataType.datetime,
    "binary": DataType.binary,
    "array": Array(DataType.double),
}


class Echo(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Answers what it was given, as text: type and value of each cell."""

    def predict(self, context: object, model_input: Any, params: object = None) -> list[str]:
        """Return one text for each row."""
        return [seen(model_input, row) for row in range(len(model_input))]


def seen(given: Any, row: int) -> str:
    """Return the pandas type of the column `x` and the value of one row."""
    value = given["x"].iloc[row]
    kept = np.asarray(value).tolist() if isinstance(value, (list, np.ndarray)) else value
    return f"{given['x'].dtype}: {kept!r}"


def features(contract: str, values: list[Any]) -> pa.Table:
    of = (
        {"type": contract} if contract != "category" else {"type": "string", "categorical": True, "allowed": ["a", "b"]}
    )
    column = Column.model_validate({**of, **({"time_zone": "UTC"} if contract == "timestamp" else {})})
    kind = feature_type(column)
    if contract == "category":
        return pa.table({"x": pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int32()), pa.array(["a", "b"]))})
    return pa.table({"x": pa.array(values, kind)})


def model(signature: Schema | None) -> mlflow.pyfunc.PyFuncModel:
    """Return a pyfunc model with a signature, as MLflow has it after loading."""
    known = mlflow.models.Model(flavors={"python_function": {"loader_module": "mlflow.sklearn"}})
    if signature is not None:
        known.signature = ModelSignature(signature)
    return mlflow.pyfunc.PyFuncModel(model_meta=known, model_impl=_Impl())


class _Impl:
    def predict(self, model_input: Any, params: object = None) -> list[str]:
        return Echo().predict(None, model_input)


def served(of: mlflow.pyfunc.PyFuncModel, table: pa.Table) -> list[str]:
    """Return what the model answers to the request that the load step sends, through MLflow's scoring server."""
    from mlflow.pyfunc.scoring_server import invocations

    body = rows_as_json(table, Interface(), range(table.num_rows)).of(range(table.num_rows))
    answer = invocations(body.decode(), "application/json", of, of.metadata.get_input_schema())
    assert answer.status == 200, answer.response
    found: list[str] = json.loads(answer.response)["predictions"]
    return found


PAIRS = [(contract, signature) for contract in VALUES for signature in TYPES]


def count_right() -> tuple[int, int]:
    """Return how many cases there are, and in how many of them the answer is the right one."""
    found = [cast(array, of).to_pylist() == values for of, values, written in SAME.values() for array in written]
    for contract, signature in PAIRS:
        table, signed = features(contract, VALUES[contract]), model(Schema([ColSpec(TYPES[signature], "x")]))
        dtype = handed(contract, signature)
        try:
            given = handed_over(table, signed)
        except NotEvaluated:
            found.append(dtype is None)
            continue
        offline = signed.predict(given)
        found.append(str(given["x"].dtype) == dtype and offline == served(signed, table))
    return len(found), sum(found)
