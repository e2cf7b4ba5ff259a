"""The contract's data rules as a Great Expectations suite, byte for byte the same at every generation."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weighin.contract import Contract
from weighin.contract.columns import Column
from weighin.contract.quality import Comparison
from weighin.contract.rules import Kind, QualityRule, quality_rules
from weighin.errors import ContractError
from weighin.untrusted import JsonDict

SUITE = "contract"
FOLDER = "great_expectations"

# The types in which `quality_columns` hands a column over: what pandas calls them, then what Spark does.
TYPES = {
    "integer": ["int64", "uint64", "Int64Dtype", "UInt64Dtype", "LongType"],
    "float": ["float64", "DoubleType"],
    "string": ["StringDtype", "StringType"],
    "boolean": ["bool", "BooleanDtype", "BooleanType"],
    "timestamp": ["datetime64[us]", "TimestampNTZType"],
    # Objects of Python would take a hundred times as long; no time stamp is handed over in whole seconds.
    "date": ["datetime64[s]", "DateType"],
    "array": ["int8", "Int8Dtype", "ByteType"],
}

# Columns that `quality_columns` adds: what Great Expectations has no rule for, or none that both engines read alike,
# stands there as true where the rule holds, and is counted like any other column.
ADDED: Mapping[Kind, str] = {
    "time_zone": "{} (time zone)",
    "order": "{} (in order)",
    "reference": "{} (found in the other table)",
    "fresh": "{} (age in hours)",
    "future": "{} (not in the future)",
    "training": "(not in the training data)",
    "copies": "(no copy of an earlier row)",
}
# The same for a sensitive column, whose allowed values must not stand in a suite that Data Docs print.
HIDDEN: Mapping[Kind, str] = {
    "range": "{} (in range)",
    "allowed": "{} (allowed)",
    "pattern": "{} (as the pattern has it)",
}


NOT_EXPECTED = ("own", "training_overlap", "online")
"""Rules that the contract's suite does not hold: hand-written suites, and what counts the rows of another table."""


def added_column(rule: QualityRule, contract: Contract) -> str | None:
    """Return the column that is added for a rule, or None where Great Expectations reads the data's own."""
    if rule.when:
        return f"{rule.columns[0]} ({rule.key.removeprefix(rule.columns[0])[1:]})"
    name = ADDED.get(rule.kind) or (HIDDEN.get(rule.kind) if rule.sensitive(contract) else None)
    return name.format(rule.columns[0]) if name else None


def suite_json(contract: Contract) -> bytes:
    """Return the file `expectations/contract.json`: ids derive from what an expectation says, so that nothing moves.

    Errors: `ContractError` when a column is called like one that would be added.
    """
    listed = []
    for rule in quality_rules(contract):
        if rule.kind not in NOT_EXPECTED:
            added = added_column(rule, contract)
            if added in contract.data.columns:
                remedy = "Rename it; weighin adds a column of this name for a rule."
                raise ContractError(f"a column is called `{added}`", "data.columns", remedy)
            listed.append(_expectation(rule, added))
    value = {
        "expectations": listed,
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"weighin:{contract.model.name}:{SUITE}")),
        "meta": {"great_expectations_version": "1.24.1", "generated": "by `weighin contract sync`, from the contract"},
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
        raise ContractError("not what the contract says", str(path), "Run `weighin contract sync` and commit the file.")
    if not same:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wanted)
    return same


def _expectation(rule: QualityRule, added: str | None) -> JsonDict:
    kind, kwargs = _added(rule, added) if added else _own(rule)
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"weighin:{rule.key}:{json.dumps(kwargs, sort_keys=True)}")
    meta: dict[str, Any] = {"rule": rule.key}
    if rule.datasets:
        meta["datasets"] = list(rule.datasets)
    severity = "critical" if rule.limit.severity == "block" else "warning"
    return {"id": str(name), "kwargs": kwargs, "meta": meta, "severity": severity, "type": kind}


def _added(rule: QualityRule, column: str) -> tuple[str, JsonDict]:
    """Return the expectation and arguments of a rule with its own column. No date stands there: `as_of` may move."""
    match rule.kind:
        case "fresh":
            return "expect_column_min_to_be_between", {"column": column, "max_value": rule.limit.value}
        case "time_zone":
            assert isinstance(rule.of, Column)
            values: list[Any] = [rule.of.time_zone]
        case _:
            values = [True]
    return "expect_column_values_to_be_in_set", {"column": column, "value_set": values, **_mostly(rule)}


def _mostly(rule: QualityRule) -> dict[str, float]:
    return {"mostly": 1 - rule.limit.value}


def _own(rule: QualityRule) -> tuple[str, JsonDict]:
    """Return the expectation and arguments for a rule about the data's own columns."""
    if rule.kind in ("rows", "rows_at_most"):
        bound = "min_value" if rule.kind == "rows" else "max_value"
        return "expect_table_row_count_to_be_between", {bound: int(rule.limit.value)}
    if rule.kind == "unique_together":
        listed = {"column_list": list(rule.columns), "ignore_row_if": "never"}
        return "expect_compound_columns_to_be_unique", {**listed, **_mostly(rule)}
    if rule.kind == "compare":
        return _compared(rule)
    at, column = {"column": rule.columns[0]}, rule.of
    assert isinstance(column, Column)
    match rule.kind:
        case "exists":
            return "expect_column_to_exist", dict(at)
        case "type":
            return "expect_column_values_to_be_in_type_list", {**at, "type_list": TYPES[column.type]}
        case "missing":
            return "expect_column_values_to_not_be_null", {**at, **_mostly(rule)}
        case "range":
            bounds = {"min_value": column.minimum, "max_value": column.maximum}
            given = {k: v for k, v in bounds.items() if v is not None}
            return "expect_column_values_to_be_between", {**at, **_mostly(rule), **given}
        case "allowed":
            allowed = list(column.allowed or ())
            return "expect_column_values_to_be_in_set", {**at, **_mostly(rule), "value_set": allowed}
        case "pattern":
            # Whole values, in words that Python and Java share: neither knows the other's sign for the very end.
            regex = rf"\A(?s:{column.pattern})(?![\s\S])"
            return "expect_column_values_to_match_regex", {**at, **_mostly(rule), "regex": regex}
        case "unique":
            return "expect_column_values_to_be_unique", dict(at)
        case _:
            raise AssertionError(f"{rule.kind} has no expectation")


def _compared(rule: QualityRule) -> tuple[str, JsonDict]:
    pair = rule.of
    assert isinstance(pair, Comparison)
    both = {"column_A": pair.column, "column_B": pair.other, "ignore_row_if": "either_value_is_missing"}
    if pair.equal_to is not None:
        return "expect_column_pair_values_to_be_equal", {**both, **_mostly(rule)}
    kwargs = {**both, "or_equal": pair.at_least is not None, **_mostly(rule)}
    return "expect_column_pair_values_a_to_be_greater_than_b", kwargs
