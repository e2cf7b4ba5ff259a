"""The keys of rows that break a rule, in a file of its own: only where the contract asks for it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from weighin.contract import Contract
from weighin.contract.quality import Comparison
from weighin.contract.rules import QualityRule, quality_rules
from weighin.runner.collect import FAILING_KEYS
from weighin.suites.expectations import added_column
from weighin.suites.quality_columns import QualityColumns, rule_column, translated


def keys_of(contract: Contract) -> tuple[str, ...]:
    """Return the columns with `role: key` that are not sensitive."""
    return tuple(n for n, c in contract.data.columns.items() if c.role == "key" and not c.sensitive)


def write_failing_keys(contract: Contract, view: QualityColumns, dataset: str, most: int, out: Path) -> None:
    """Write `failing_keys/<dataset>.csv`: for each rule the keys of up to `most` rows that break it, in file order.

    Rules about sensitive columns are left out, since a key would tell whose value it is. Errors: `NotEvaluated`.
    """
    keys = [k for k in keys_of(contract) if k in view.own]
    path = out / FAILING_KEYS / f"{dataset}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["rule", *keys])
        for rule in quality_rules(contract) if keys else ():
            if not rule.sensitive(contract) and (not rule.datasets or dataset in rule.datasets):
                writer.writerows((rule.key, *row) for row in _failing(contract, view, rule, keys, most))


def _failing(
    contract: Contract, view: QualityColumns, rule: QualityRule, keys: list[str], most: int
) -> Iterator[tuple[object, ...]]:
    added = added_column(rule, contract)
    if rule.kind in ("fresh", "time_zone") or added in view.problems or not set(rule.columns) <= set(view.own):
        return
    holds = view.columns[added] if added else _own(view, rule)
    if holds is None:
        return
    listed = ", ".join(view.columns[k] for k in keys)
    source = view.source([added] if added else [])
    with translated(f"the keys of {rule.key}"):
        # A subquery, since a rule may compare rows with each other, and those that keep it must not be left out before.
        rows = f"SELECT pos, {listed}, ({holds}) AS holds FROM {source}"  # noqa: S608 - places and literals
        found = view.connection.sql(f"SELECT * FROM ({rows}) WHERE NOT holds ORDER BY pos LIMIT {most}")  # noqa: S608
        yield from (row[1:-1] for row in found.fetchall())


def _own(view: QualityColumns, rule: QualityRule) -> str | None:
    """Return SQL for a rule that Great Expectations counts on the data's own columns, if rows can break it."""
    columns = [view.columns[c] for c in rule.columns]
    match rule.kind:
        case "missing":
            return f"({columns[0]}) IS NOT NULL"
        case "unique_together":
            return f"count(*) OVER (PARTITION BY {', '.join(columns)}) = 1"
        case "compare":
            assert isinstance(rule.of, Comparison)
            sign = {">=": ">=", ">": ">", "==": "="}[rule.of.sign]
            return f"({columns[0]}) {sign} ({columns[1]})"
        case "range" | "allowed" | "pattern" | "unique":
            return rule_column(rule, columns[0])
        case _:
            return None
