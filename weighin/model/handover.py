"""The one table that says in which pandas type a column of the contract is handed to a model. Standard library only.

`HANDED` is read twice: when a model is looked at before it is asked (weighin/model/signature.py), and when rows are
handed to it (weighin/model/frame.py). What stands in it is what MLflow's scoring server makes of the same value in a
request, where the model has a signature.
"""

from __future__ import annotations

from collections.abc import Mapping

NONE = ""
"""In place of a signature's type: the model has no signature, or takes any type there."""

HANDED: Mapping[tuple[str, str], str] = {
    ("integer", NONE): "int64",
    ("integer", "integer"): "int32",
    ("integer", "long"): "int64",
    ("integer", "float"): "float32",
    ("integer", "double"): "float64",
    ("float", NONE): "float64",
    ("float", "float"): "float32",
    ("float", "double"): "float64",
    ("string", NONE): "object",
    ("string", "string"): "object",
    ("category", NONE): "category",
    ("boolean", NONE): "bool",
    ("boolean", "boolean"): "bool",
    ("timestamp", NONE): "datetime64[ns, UTC]",
    ("timestamp", "datetime"): "datetime64[ns]",
    ("date", NONE): "object",
    ("date", "datetime"): "datetime64[ns]",
    ("array", NONE): "object",
    ("array", "array"): "object",
}
"""(contract type, MLflow's type of the signature) -> pandas type. What is absent does not fit.

`category` is a column with `categorical: true`. Dates are `datetime.date` where there is no signature; arrays are
one-dimensional NumPy arrays of float64, or of what the signature says. A `datetime` has no zone and means UTC.
"""
MISSING: Mapping[str, str] = {"int64": "float64", "bool": "object"}
"""Pandas type -> that of a column with missing values, for a model without a signature: as pandas reads a file."""
NEVER_MISSING = ("integer", "long", "boolean")
"""Types of a signature for which MLflow's server refuses a missing value, or takes it for False."""
OF_ITEMS: Mapping[str, str] = {"double": "float64", "float": "float32", NONE: "float64"}
"""Type within an array of a signature -> NumPy's. Numbers of an array are doubles, and never whole by promise."""
NUMBERS = ("integer", "float", "boolean", "array")
"""Contract types of which a tensor can be made."""


def handed(contract: str, signature: str, *, missing: bool = False) -> str | None:
    """Return the pandas type in which a column is handed over; None where contract and signature do not fit.

    contract   type of the contract; `category` for a categorical column
    signature  MLflow's type; `NONE` where there is none

    >>> handed("integer", "double"), handed("integer", NONE, missing=True), handed("integer", "long", missing=True)
    ('float64', 'float64', None)
    """
    signature = NONE if signature == "any" else signature
    if missing and signature in NEVER_MISSING:
        return None
    found = HANDED.get((contract, signature))
    return MISSING.get(found, found) if missing and found and signature == NONE else found
