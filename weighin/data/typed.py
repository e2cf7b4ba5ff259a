"""Columns in the contract's type, whatever wrote the file: the one form in which features reach a model.

| contract | Arrow type of the features | taken from |
|---|---|---|
| `integer` | int64 | integers, decimals and floats of whole numbers |
| `float` | float64 | integers, floats of any width, decimals |
| `string` | string | texts of any layout, dictionary-encoded ones |
| `string` or `integer`, `categorical: true` | dictionary over `allowed`, in its order | the same |
| `boolean` | bool | booleans |
| `timestamp` | timestamp, microseconds, UTC | time stamps of any unit and zone, dates; without a zone they are UTC |
| `date` | date32 | dates, time stamps at midnight |
| `array` | list of float64 | lists of numbers, of fixed length or not |

A column without a value has the type that its file gives it, or none: it becomes the contract's. NaN in a column of
numbers is a missing value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from weighin.errors import NotEvaluated

if TYPE_CHECKING:
    from weighin.contract.columns import Column

FEATURE_TYPES: Mapping[str, pa.DataType] = {
    "integer": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "array": pa.list_(pa.float64()),
}


def feature_type(column: Column) -> pa.DataType:
    """Return the Arrow type in which a column of the contract reaches a model."""
    kind = FEATURE_TYPES[column.type]
    return pa.dictionary(pa.int32(), kind) if column.categorical else kind


def file_type(kind: pa.DataType) -> str:
    """Return the type of a file's column in the contract's words; what a contract has no word for in Arrow's.

    >>> file_type(pa.float32()), file_type(pa.dictionary(pa.int8(), pa.large_string())), file_type(pa.time32("s"))
    ('float', 'string', 'time32[s]')
    """
    types = pa.types
    if types.is_dictionary(kind):
        return file_type(kind.value_type)
    if types.is_integer(kind):
        return "integer"
    if types.is_floating(kind):
        return "float"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "string"
    if types.is_decimal(kind):
        return "decimal"
    if types.is_date(kind):
        return "date"
    if _is_list(kind) and file_type(kind.value_type) in ("integer", "float"):
        return "array"
    plain = {types.is_boolean: "boolean", types.is_timestamp: "timestamp", types.is_null: "no value"}
    return next((name for is_kind, name in plain.items() if is_kind(kind)), str(kind)[:60])


def typed(table: pa.Table, columns: Mapping[str, Column], place: str) -> pa.Table:
    """Return the columns of the contract that a table has, in the table's order and the contract's types.

    place  what the table is called in messages
    Errors: `NotEvaluated` naming the column, the type that it holds, the contract's, and the remedy.
    """
    found = {name: typed_column(table[name], columns[name], f"{place}, column {name}") for name in table.column_names}
    return pa.table(found)


def typed_column(values: pa.ChunkedArray, column: Column, place: str) -> pa.ChunkedArray:
    """Return one column in the contract's type. Errors: as `typed`."""
    held = file_type(values.type)
    try:
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        found = _cast(values, held, column)
    except (pa.ArrowException, NotImplementedError, OverflowError):
        found = None
    if found is None or (column.length is not None and _of_other_length(found, column.length)):
        raise NotEvaluated(
            f"the file holds the type {held}{_why(values, held, column)}, the contract wants {column.type}",
            place,
            f"Write it as {column.type}, or correct `type` in the contract's data.columns.",
        )
    return _coded(found, column, place) if column.categorical else found


def _cast(values: pa.ChunkedArray, held: str, column: Column) -> pa.ChunkedArray | None:
    """Return the values in the contract's type; nothing where that would change one of them."""
    kind = FEATURE_TYPES[column.type]
    match column.type, held:
        case _, "no value":
            return values.cast(kind)
        case "integer", "integer" | "float" | "decimal":
            if pa.types.is_floating(values.type):
                values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
            return values.cast(kind)
        case "float", "integer":
            # Beyond 2**53 a double is the nearest one: models compute with doubles.
            return values.cast(kind, safe=False)
        case "float", "float" | "decimal":
            return values.cast(kind)
        case ("string", "string") | ("boolean", "boolean"):
            return values.cast(kind)
        case "timestamp", "timestamp":
            # Nanoseconds are cut to microseconds; what no number of microseconds holds is an error.
            whole = values.cast(pa.timestamp("us", values.type.tz), safe=values.type.unit != "ns")
            return whole if whole.type == kind else _in_utc(whole)
        case "timestamp", "date":
            return _in_utc(values.cast(pa.timestamp("us")))
        case "date", "date":
            return values.cast(kind)
        case "date", "timestamp":
            days = values.cast(kind)
            return days if not pc.any(pc.not_equal(days.cast(values.type), values)).as_py() else None
        case "array", "array":
            return values.cast(kind)
    return None


def _in_utc(moments: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return moments in UTC, as which those without a zone are taken."""
    return moments.cast(FEATURE_TYPES["timestamp"]) if moments.type.tz else pc.assume_timezone(moments, "UTC")


def _why(values: pa.ChunkedArray, held: str, column: Column) -> str:
    """Return what of a column of the right kind does not fit."""
    if column.type == "integer" and held in ("float", "decimal"):
        return " with numbers that are not whole"
    if column.type == "integer" and held == "integer":
        return f" ({values.type}) with numbers beyond 64 bits"
    if column.type == "date" and held == "timestamp":
        return " with moments that are not midnight"
    if column.type == "array" and held == "array":
        return f" of another length than {column.length}"
    return ""


def _of_other_length(lists: pa.ChunkedArray, length: int) -> bool:
    differ = pc.any(pc.not_equal(pc.list_value_length(lists), length)).as_py()
    return bool(differ)


def _coded(values: pa.ChunkedArray, column: Column, place: str) -> pa.ChunkedArray:
    """Return categories as positions in `allowed`, in its order, so that a code means the same in every file."""
    allowed = pa.array(column.allowed or (), FEATURE_TYPES[column.type])
    codes = pc.index_in(values, value_set=allowed, skip_nulls=True)
    strangers = codes.null_count - values.null_count
    if strangers:
        raise NotEvaluated(
            f"{strangers} of {len(values)} values are none of `allowed`, and a category has no other",
            place,
            "Add them to `allowed`, in the order in which the model was fitted.",
        )
    chunks = [pa.DictionaryArray.from_arrays(chunk.cast(pa.int32()), allowed) for chunk in codes.chunks]
    return pa.chunked_array(chunks, pa.dictionary(pa.int32(), allowed.type))


def _is_list(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))
