"""The table of types, run: what a model is handed offline is what a server hands it, for every pair of types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import Array

from support.type_cases import PAIRS, TYPES, VALUES, features, model, seen, served
from weighin.errors import NotEvaluated
from weighin.model.frame import data_frame, handed_over
from weighin.model.handover import HANDED, MISSING, NONE, handed

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("contract", "signature"), PAIRS)
def test_what_is_handed_over_is_what_a_server_hands_over(contract: str, signature: str) -> None:
    table = features(contract, VALUES[contract])
    signed = model(Schema([ColSpec(TYPES[signature], "x")]))
    dtype = handed(contract, signature)
    if dtype is None:
        with pytest.raises(
            NotEvaluated, match=rf'the columns \["x"\] hold {contract}, and the model.s signature wants'
        ):
            handed_over(table, signed)
        return
    given = handed_over(table, signed)
    assert str(given["x"].dtype) == dtype
    offline = signed.predict(given)
    assert offline == [seen(given, row) for row in range(len(given))], "MLflow changed what it was handed"
    assert served(signed, table) == offline


@pytest.mark.parametrize("contract", VALUES)
def test_without_a_signature_pandas_own_type_is_handed_over(contract: str) -> None:
    given = handed_over(features(contract, VALUES[contract]), model(None))
    assert str(given["x"].dtype) == HANDED[contract, NONE]
    values = [v.tolist() if isinstance(v, np.ndarray) else v for v in given["x"].tolist()]
    assert values == VALUES[contract]


@pytest.mark.parametrize("contract", ["float", "string", "timestamp", "date"])
def test_a_missing_value_is_missing_offline_and_served(contract: str) -> None:
    table = features(contract, [VALUES[contract][0], None])
    signature = {"float": "double", "string": "string"}.get(contract, "datetime")
    signed = model(Schema([ColSpec(TYPES[signature], "x", required=False)]))
    assert served(signed, table) == signed.predict(handed_over(table, signed))
    assert handed_over(table, signed)["x"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("contract", "signature"), [("integer", "long"), ("integer", "integer"), ("boolean", "boolean")]
)
def test_a_missing_value_that_no_server_can_be_sent_is_refused(contract: str, signature: str) -> None:
    table = features(contract, [VALUES[contract][0], None])
    signed = model(Schema([ColSpec(TYPES[signature], "x")]))
    with pytest.raises(NotEvaluated, match=f"hold {contract} with missing values, and the model.s signature wants"):
        handed_over(table, signed)
    # The reason for it: the server refuses a whole number that is missing, and takes a boolean for False.
    if signature == "boolean":
        assert served(signed, table)[1] == "bool: np.False_"
    else:
        with pytest.raises(Exception, match=r"not compatible with model signature|Failed to convert"):
            served(signed, table)
    unsigned = handed_over(table, model(None))["x"]
    assert str(unsigned.dtype) == MISSING[HANDED[contract, NONE]]
    assert unsigned.isna().tolist() == [False, True]


def test_a_number_that_does_not_fit_32_bits_is_not_wrapped() -> None:
    with pytest.raises(NotEvaluated, match="numbers beyond 32 bits"):
        handed_over(features("integer", [2**31, 1]), model(Schema([ColSpec(DataType.integer, "x")])))


def test_lists_become_arrays_of_the_type_within() -> None:
    signed = model(Schema([ColSpec(Array(DataType.float), "x")]))
    given = handed_over(features("array", VALUES["array"]), signed)
    assert [v.dtype for v in given["x"]] == [np.float32, np.float32]
    assert signed.predict(given) == ["object: [0.5, 1.5]", "object: [2.0, 3.0]"]
    with pytest.raises(NotEvaluated, match="wants array"):
        handed_over(features("array", VALUES["array"]), model(Schema([ColSpec(Array(DataType.string), "x")])))


def test_columns_become_a_tensor() -> None:
    table = pa.table({"a": [1.0, 2.0], "b": [3, 4], "c": [True, False]})
    unnamed = model(Schema([TensorSpec(np.dtype("float32"), (-1, 3))]))
    found = handed_over(table, unnamed)
    assert found.dtype == np.float32
    assert found.tolist() == [[1.0, 3.0, 1.0], [2.0, 4.0, 0.0]]
    lists = handed_over(features("array", VALUES["array"]), model(Schema([TensorSpec(np.dtype("float64"), (-1, 2))])))
    assert lists.tolist() == VALUES["array"]
    named = model(Schema([TensorSpec(np.dtype("float64"), (-1,), "a"), TensorSpec(np.dtype("int64"), (-1, 1), "b")]))
    both = handed_over(table, named)
    assert both["a"].shape == (2,)
    assert both["b"].shape == (2, 1)
    gaps = pa.table({"a": [1, None]})
    with pytest.raises(NotEvaluated, match="missing values"):
        handed_over(gaps, model(Schema([TensorSpec(np.dtype("int64"), (-1, 1))])))
    with pytest.raises(NotEvaluated, match="hold no numbers, and the model's signature wants a tensor"):
        handed_over(pa.table({"a": ["x"]}), unnamed)


def test_lightgbm_without_a_signature_is_handed_categories_for_text() -> None:
    loaded = model(None)
    loaded.metadata.flavors["lightgbm"] = {}
    given = handed_over(pa.table({"t": ["b", "a", None], "n": [1.0, 2.0, 3.0]}), loaded)
    assert isinstance(given["t"].dtype, pd.CategoricalDtype)
    assert str(given["n"].dtype) == "float64"


def test_the_documentation_has_the_table_as_it_is() -> None:
    from weighin.model.handover import NEVER_MISSING

    text = (ROOT / "docs/reference/models.md").read_text()
    for (contract, signature), dtype in HANDED.items():
        assert f"| `{contract}` | {f'`{signature}`' if signature else 'none'} | `{dtype}` |" in text
    assert all(f"`{name}`" in text for name in NEVER_MISSING)


def test_a_frame_has_the_columns_of_the_table_in_its_order() -> None:
    assert list(data_frame(pa.table({"b": [1], "a": [2]})).columns) == ["b", "a"]
