"""Rows as a model is handed them: from the features, in the contract's types, to what its signature asks for.

It runs where the model is loaded, perhaps in an environment of the model's own: NumPy, pandas and Arrow are all that it
needs beside the table in weighin/model/handover.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from weighin.errors import NotEvaluated
from weighin.model.handover import NONE, OF_ITEMS, handed
from weighin.untrusted.redact import listed

if TYPE_CHECKING:
    import pandas as pd

Given: TypeAlias = Any
"""What a model takes: a data frame, an array, or arrays by name. Libraries of models have no common type for it."""
LoadedModel: TypeAlias = Any
"""A loaded pyfunc model, of whatever version of MLflow its environment has."""
CONTRACT_TYPES = {
    "int64": "integer",
    "double": "float",
    "string": "string",
    "bool": "boolean",
    "date32[day]": "date",
    "list<element: double>": "array",
    "list<item: double>": "array",
}
"""Arrow's types of the features (weighin/data/typed.py) -> types of the contract."""


def handed_over(table: pa.Table, model: LoadedModel) -> Given:
    """Return the rows of a table of features as a loaded pyfunc model takes them.

    Errors: `NotEvaluated` naming the columns that do not fit the signature.
    """
    known = getattr(model, "metadata", None)
    try:
        schema = known.get_input_schema() if known is not None else None
    except Exception:  # noqa: BLE001 - the signature of a stranger; without one the table says it all
        schema = None
    if schema is not None and schema.is_tensor_spec():
        return _tensors(table, schema)
    texts = table.num_columns and "lightgbm" in (getattr(known, "flavors", None) or {})
    inputs = list(schema.inputs) if schema is not None else []
    if schema is not None and not schema.has_input_names() and len(inputs) == table.num_columns:
        wanted = dict(zip(table.column_names, map(_wanted, inputs), strict=True))
    else:
        wanted = {i.name: _wanted(i) for i in inputs if i.name}
    return data_frame(table, wanted, text_is_category=bool(texts) and not wanted)


def data_frame(
    table: pa.Table, wanted: dict[str, tuple[str, str]] | None = None, *, text_is_category: bool = False
) -> pd.DataFrame:
    """Return a table of features as a data frame.

    wanted            column -> MLflow's type, and the type within an array
    text_is_category  for LightGBM without a signature, which takes categories and no text, and knows its own
    Errors: `NotEvaluated` as for `handed_over`.
    """
    import pandas as pd

    refused: dict[tuple[str, str], list[str]] = {}
    found = {}
    for name in table.column_names:
        values, (kind, items) = table[name], (wanted or {}).get(name, (NONE, NONE))
        contract = contract_type(values.type)
        if text_is_category and contract == "string":
            values, contract = values.dictionary_encode(), "category"
        dtype = handed(contract, kind, missing=bool(values.null_count))
        if dtype is None or (contract == "array" and items not in OF_ITEMS):
            refused.setdefault((contract + (" with missing values" * bool(values.null_count)), kind), []).append(name)
        else:
            found[name] = _series(values, contract, dtype, OF_ITEMS.get(items, "float64"), name)
    for (contract, kind), names in refused.items():
        raise NotEvaluated(
            f"the columns {listed(names)} hold {contract}, and the model's signature wants {kind}",
            "",
            "Correct `type` in data.columns, or log the model with an example of that type.",
        )
    return pd.DataFrame(found, copy=False)


def contract_type(kind: pa.DataType) -> str:
    """Return the contract's type of a column of features."""
    if pa.types.is_dictionary(kind):
        return "category"
    return "timestamp" if pa.types.is_timestamp(kind) else CONTRACT_TYPES.get(str(kind), str(kind)[:40])


def _wanted(given: Any) -> tuple[str, str]:
    """Return an input's type in MLflow's words, and the type within an array."""
    kind = given.type
    if type(kind).__name__ == "AnyType":
        return NONE, NONE
    if type(kind).__name__ == "Array":
        return "array", getattr(kind.dtype, "name", "object")
    return getattr(kind, "name", "object"), NONE


def _series(values: pa.ChunkedArray, contract: str, dtype: str, items: str, name: str) -> Any:
    """Return one column in a pandas type."""
    import pandas as pd

    if contract == "array":
        rows = [None if row is None else np.asarray(row, dtype=items) for row in values.to_pylist()]
        listed_rows = np.empty(len(rows), dtype=object)
        listed_rows[:] = rows if rows else []
        return pd.Series(listed_rows)
    if contract == "category":
        return values.combine_chunks().to_pandas() if values.num_chunks != 1 else values.chunk(0).to_pandas()
    if contract == "timestamp":
        moments = values.cast(pa.timestamp("us")).to_numpy()
        series = pd.Series(moments).astype("datetime64[ns]")
        return series if dtype == "datetime64[ns]" else series.dt.tz_localize("UTC")
    if contract == "date" and dtype != "object":
        return pd.Series(values.cast(pa.timestamp("s")).to_numpy()).astype("datetime64[ns]")
    if dtype == "object":
        column = np.empty(len(values), dtype=object)
        column[:] = values.to_pylist()
        return pd.Series(column)
    numbers = values.to_numpy()
    if dtype == "int32" and len(numbers) and not (np.abs(numbers) <= np.iinfo(np.int32).max).all():
        raise NotEvaluated(
            f"the columns {listed([name])} hold numbers beyond 32 bits, and the model's signature wants integer",
            "",
            "Log the model with an example of 64 bits (long).",
        )
    return pd.Series(numbers.astype(dtype, copy=False))


def _tensors(table: pa.Table, schema: Any) -> Given:
    """Return the rows as one array, or as arrays by the names of the signature."""
    inputs = list(schema.inputs)
    if inputs[0].name is None:
        return _array(table, inputs[0])
    absent = [str(i.name) for i in inputs if i.name not in table.column_names]
    if absent:
        raise NotEvaluated(f"the model's signature wants the tensors {listed(absent)}, which the features lack")
    return {i.name: _array(table.select([i.name]), i) for i in inputs}


def _array(table: pa.Table, spec: Any) -> Any:
    """Return columns side by side, or the lists of one, in the type and shape of a tensor."""
    strange = [
        n for n in table.column_names if contract_type(table[n].type) not in ("integer", "float", "boolean", "array")
    ]
    if strange:
        raise NotEvaluated(f"the columns {listed(strange)} hold no numbers, and the model's signature wants a tensor")
    gaps = [n for n in table.column_names if table[n].null_count]
    if gaps and np.dtype(spec.type).kind != "f":
        raise NotEvaluated(f"the columns {listed(gaps)} have missing values, and the model's signature wants a tensor")
    if table.num_columns == 1 and contract_type(table[0].type) == "array":
        found = np.array(table[0].to_pylist(), dtype=spec.type)
    else:
        found = np.column_stack([table[n].to_numpy().astype(spec.type) for n in table.column_names])
    return found.reshape(-1) if len(spec.shape) == 1 else found
