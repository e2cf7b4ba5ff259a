"""The contract's column rules as a Great Expectations suite, byte for byte the same at every generation."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from weighin.contract import Contract
from weighin.contract.models import Column
from weighin.errors import ContractError

SUITE = "contract"
FOLDER = "great_expectations"
ZONE_COLUMN = "{} (time zone)"
"""A column that the data quality suite adds for a time stamp: a frame has one zone, a rule needs values."""

# Great Expectations compares the names of pandas types; nullable integers come from columns with missing values.
TYPES = {
    "integer": ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "Int64Dtype"],
    "float": ["float32", "float64"],
    "string": ["str"],
    "boolean": ["bool"],
    # Great Expectations cannot name a dtype with a zone: it is given UTC without one, and the zone as a column.
    "timestamp": ["datetime64[s]", "datetime64[ms]", "datetime64[us]", "datetime64[ns]"],
    "date": ["date"],
}


def suite_json(contract: Contract) -> bytes:
    """The file `expectations/contract.json`: ids derive from what an expectation says, so that nothing moves."""
    rows = contract.gates.data_quality.rows_at_least if contract.gates.data_quality else 1
    listed = [_expectation("rows", "expect_table_row_count_to_be_between", {"min_value": rows})]
    for name, column in contract.data.columns.items():
        listed += [_expectation(f"{name}/{rule}", kind, kwargs) for rule, kind, kwargs in _rules(name, column)]
    value = {
        "expectations": listed,
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"weighin:{contract.model.name}:{SUITE}")),
        "meta": {"great_expectations_version": "1.24.1", "generated": "by `weighin expectations`, from the contract"},
        "name": SUITE,
        "notes": None,
    }
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def write_suite(contract: Contract, folder: Path, *, check: bool) -> bool:
    """Write the suite below `folder`, or with `check` only say whether it is as the contract wants it."""
    path = folder / FOLDER / "expectations" / f"{SUITE}.json"
    wanted = suite_json(contract)
    same = path.is_file() and path.read_bytes() == wanted
    if check and not same:
        raise ContractError("not what the contract says", str(path), "Run `weighin expectations` and commit the file.")
    if not same:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wanted)
    return same


def _expectation(rule: str, kind: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"weighin:{rule}:{json.dumps(kwargs, sort_keys=True)}")
    return {"id": str(name), "kwargs": kwargs, "meta": {"rule": rule}, "severity": "critical", "type": kind}


def _rules(name: str, column: Column) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Rule, expectation and its arguments; the rules are those that `contract.checks` lists for a column."""
    at = {"column": name}
    mostly = {"mostly": 1 - column.outside_at_most}
    yield "exists", "expect_column_to_exist", at
    yield "type", "expect_column_values_to_be_in_type_list", {**at, "type_list": TYPES[column.type]}
    yield "missing", "expect_column_values_to_not_be_null", {**at, "mostly": 1 - column.missing_at_most}
    if column.minimum is not None or column.maximum is not None:
        between = {k: v for k, v in (("min_value", column.minimum), ("max_value", column.maximum)) if v is not None}
        yield "range", "expect_column_values_to_be_between", {**at, **mostly, **between}
    if column.allowed is not None:
        yield "allowed", "expect_column_values_to_be_in_set", {**at, **mostly, "value_set": list(column.allowed)}
    if column.unique:
        yield "unique", "expect_column_values_to_be_unique", at
    if column.time_zone is not None:
        zone = {"column": ZONE_COLUMN.format(name), "value_set": [column.time_zone]}
        yield "time_zone", "expect_column_values_to_be_in_set", zone
