"""Every rule of the data quality gate, once: checks and Great Expectations suite are made from this list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from weighin.contract.columns import Column
from weighin.contract.models import Contract
from weighin.contract.quality import Comparison, Copies, Fresh, OnlineValues, Reference, TrainingRows
from weighin.contract.sources import Feast
from weighin.outcome import Direction, Limit

Kind = Literal[
    "rows",
    "rows_at_most",
    "exists",
    "type",
    "missing",
    "range",
    "allowed",
    "pattern",
    "unique",
    "time_zone",
    "order",
    "unique_together",
    "compare",
    "reference",
    "fresh",
    "future",
    "training",
    "training_overlap",
    "copies",
    "online",
    "own",
]
Of = Column | Comparison | Reference | Fresh | TrainingRows | Copies | OnlineValues | None


GATE = ("gates", "data_quality")


@dataclass(frozen=True)
class QualityRule:
    """One rule, whatever the dataset.

    key       what follows the dataset in the id of a check, and names the expectation
    columns   what it is about; for a hand-written suite nothing
    of        the part of the contract that holds its particulars
    limit     as the contract has it, without waivers
    datasets  where it must hold; nothing means everywhere
    path      keys and numbers that lead to it in the contract's YAML
    when      an SQL condition: only rows that meet it are judged
    """

    key: str
    kind: Kind
    columns: tuple[str, ...]
    limit: Limit
    of: Of = None
    datasets: tuple[str, ...] = ()
    path: tuple[str | int, ...] = ()
    when: str = ""

    def sensitive(self, contract: Contract) -> bool:
        """Whether it is about a column of which nothing may be shown."""
        known = contract.data.columns
        hidden = [n for n, c in known.items() if c.sensitive]
        return any(n in self.columns or n.lower() in self.when.lower() for n in hidden)


@dataclass(frozen=True)
class ColumnRule:
    """A rule in one dataset."""

    dataset: str
    rule: QualityRule


def quality_rules(contract: Contract) -> list[QualityRule]:
    """Return the rules of a contract's data quality gate, hand-written suites last."""
    gate = contract.gates.data_quality
    if gate is None:
        return []
    zero = Limit(Direction.AT_MOST, 0.0, contract.alpha)
    least = Limit(Direction.AT_LEAST, float(gate.rows_at_least), contract.alpha)
    found = [QualityRule("rows", "rows", (), least, path=(*GATE, "rows_at_least"))]
    if gate.rows_at_most is not None:
        most = replace(zero, value=float(gate.rows_at_most))
        found.append(QualityRule("rows_at_most", "rows_at_most", (), most, path=(*GATE, "rows_at_most")))
    for name, column in contract.data.columns.items():
        found += column_rules(name, column, zero)
        found += _conditional(name, column, zero)
    found += _composite(contract, zero)
    for number, own in enumerate(gate.own_expectations):
        found.append(QualityRule(f"own/{own}", "own", (), zero, path=(*GATE, "own_expectations", number)))
    return found


def column_rules(name: str, column: Column, zero: Limit) -> list[QualityRule]:
    """Return what a column demands of all its values. `zero` is the limit of what may not occur."""
    path = ("data", "columns", name)
    return [
        QualityRule(
            f"{name}/{kind}",
            kind,
            (name,),
            replace(zero, value=share, severity=column.severity),
            column,
            path=path,
        )
        for kind, share in _column(column)
    ]


def _conditional(name: str, column: Column, zero: Limit) -> Iterator[QualityRule]:
    """Return the rules of a column that hold where a condition does."""
    for number, rule in enumerate(column.rules):
        of = column.under(rule)
        for kind, share in _column(of):
            if kind in ("exists", "type", "time_zone") or (kind == "missing" and rule.missing_at_most is None):
                continue
            limit = replace(zero, value=share, severity=rule.severity)
            path = ("data", "columns", name, "rules", number)
            key = f"{name}/{kind}/{rule.name}"
            yield QualityRule(key, kind, (name,), limit, of, path=path, when=rule.when)


def _column(column: Column) -> Iterator[tuple[Kind, float]]:
    """Which rules a column has, each with the share of rows that may break it."""
    yield "exists", 0.0
    yield "type", 0.0
    yield "missing", column.missing_at_most
    if column.minimum is not None or column.maximum is not None:
        yield "range", column.outside_at_most
    if column.allowed is not None:
        yield "allowed", column.outside_at_most
    if column.pattern is not None:
        yield "pattern", column.outside_at_most
    if column.unique:
        yield "unique", 0.0
    if column.time_zone is not None:
        yield "time_zone", 0.0
    if column.order is not None:
        yield "order", 0.0


def _composite(contract: Contract, zero: Limit) -> Iterator[QualityRule]:
    gate = contract.gates.data_quality
    assert gate is not None
    for number, item in enumerate(gate.together):
        limit = replace(zero, value=item.share_at_most, severity=item.severity)
        key, path = f"unique_together/{'+'.join(item.columns)}", (*GATE, "together", number)
        yield QualityRule(key, "unique_together", item.columns, limit, path=path)
    for number, pair in enumerate(gate.compare):
        limit = replace(zero, value=pair.share_at_most, severity=pair.severity)
        key = f"compare/{pair.column}{pair.sign}{pair.other}"
        path = (*GATE, "compare", number)
        yield QualityRule(key, "compare", (pair.column, pair.other), limit, pair, path=path)
    for number, of in enumerate(gate.references):
        limit = replace(zero, value=of.share_at_most, severity=of.severity)
        path = (*GATE, "references", number)
        yield QualityRule(f"reference/{of.column}", "reference", (of.column,), limit, of, path=path)
    for number, fresh in enumerate(gate.fresh):
        path, column = (*GATE, "fresh", number), (fresh.column,)
        limit = replace(zero, value=fresh.hours_at_most, severity=fresh.severity)
        yield QualityRule(f"fresh/{fresh.column}", "fresh", column, limit, fresh, fresh.datasets, path)
        if fresh.future == "refuse":
            limit = replace(zero, severity=fresh.severity)
            yield QualityRule(f"future/{fresh.column}", "future", column, limit, fresh, fresh.datasets, path)
    copies = gate.copies or (Copies() if _has_floats(contract) else None)
    if copies is not None:
        by = compared_by(contract, copies.by)
        limit = replace(zero, value=copies.share_at_most, severity=copies.severity)
        yield QualityRule("copies", "copies", by, limit, copies, path=(*GATE, "copies"))
    if gate.online is not None:
        limit = replace(zero, value=gate.online.differ_at_most, severity=gate.online.severity)
        fetched = tuple(d for d in contract.data.named if isinstance(contract.data.source(d), Feast))
        yield QualityRule("online", "online", (), limit, gate.online, fetched, (*GATE, "online"))
    if contract.data.training is not None:
        rows = gate.training_rows
        limit = replace(zero, value=rows.share_at_most, severity=rows.severity)
        by, at = compared_by(contract, rows.by), (*GATE, "training_rows")
        yield QualityRule("training_rows", "training", by, limit, rows, ("holdout",), at)
        time = contract.data.time_column
        if time is not None and rows.overlap_at_most < 1:
            limit = replace(limit, value=rows.overlap_at_most)
            yield QualityRule("training_overlap", "training_overlap", (time,), limit, rows, ("holdout",), at)


def compared_by(contract: Contract, by: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns in which rows must differ: those that a rule names, or all that are no key and no time.

    Nor the target, where labels are in a file of their own.
    """
    apart = ("key", "time", *(["target"] if contract.labels is not None else []))
    return by or tuple(n for n, c in contract.data.columns.items() if c.role not in apart)


def _has_floats(contract: Contract) -> bool:
    """Whether a feature or the target is a float: such a table seldom holds equal rows by nature."""
    return any(c.type == "float" and c.role in ("feature", "target") for c in contract.data.columns.values())
