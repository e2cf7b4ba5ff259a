"""Every check that a contract demands, as a flat list with stable ids. Suites and verdict read the same list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from weighin.contract.models import AbsoluteCheck, Column, Contract, SliceCheck
from weighin.outcome import Direction, Limit, Severity

LOWER_IS_BETTER = frozenset({"log_loss"})


@dataclass(frozen=True)
class ColumnRule:
    """A rule about one column (or, without a column, the rows) of one dataset; `own`: the suite that `column` names."""

    dataset: str
    column: str | None
    rule: Literal["exists", "type", "missing", "range", "allowed", "unique", "time_zone", "rows", "own"]


@dataclass(frozen=True)
class MetricRule:
    """A metric of the candidate, or its difference to the champion (candidate minus champion), on some rows."""

    metric: str
    against: Literal["champion"] | None = None
    slice: tuple[str, str | int] | None = None


@dataclass(frozen=True)
class ChangedRule:
    """How many holdout rows the candidate answers differently from the champion: none means nothing changed."""


@dataclass(frozen=True)
class DriftRule:
    """Distance of one column (or `prediction`) between reference and current."""

    column: str
    bins: int


@dataclass(frozen=True)
class LoadRule:
    """One property of the served model."""

    kind: Literal["within", "errors", "wrong_answers", "memory"]


Rule = ColumnRule | MetricRule | ChangedRule | DriftRule | LoadRule


@dataclass(frozen=True)
class Check:
    """One thing that must hold. `expired` is a sentence where a waiver for it has run out."""

    id: str
    suite: str
    limit: Limit
    rule: Rule
    waiver: str = ""
    expired: str = ""


def checks(contract: Contract, suite: str | None = None, now: datetime | None = None) -> list[Check]:
    """All checks of a contract, or those of one suite, waivers applied.

    `now` is the moment at which waivers are judged where the contract fixes none (`as_of`).
    """
    gates = contract.gates
    parts = {
        "data_quality": _data_quality(contract) if gates.data_quality else (),
        "performance": _performance(contract) if gates.performance else (),
        "drift": _drift(contract) if gates.drift else (),
        "load": _load(contract) if gates.load else (),
    }
    moment = contract.as_of or now or datetime.now(UTC)
    wanted = [suite] if suite else list(parts)
    return [_waived(check, contract, moment) for name in wanted for check in parts[name]]


def _waived(check: Check, contract: Contract, moment: datetime) -> Check:
    for waiver in contract.waivers:
        if waiver.check != check.id:
            continue
        text = f"waiver of {waiver.owner} until {waiver.expires}: {waiver.reason}"
        if moment.astimezone(UTC).date() > waiver.expires:
            return replace(check, expired=f"the {text} has expired; renew it or meet the limit {check.limit}")
        return replace(check, limit=replace(check.limit, value=waiver.limit), waiver=text)
    return check


def _data_quality(contract: Contract) -> Iterator[Check]:
    gate = contract.gates.data_quality
    assert gate is not None
    zero = Limit(Direction.AT_MOST, 0.0, contract.alpha)
    for dataset in gate.datasets:
        rows = Limit(Direction.AT_LEAST, float(gate.rows_at_least), contract.alpha)
        yield Check(f"data_quality/{dataset}/rows", "data_quality", rows, ColumnRule(dataset, None, "rows"))
        for name, column in contract.data.columns.items():
            for rule, share in _rules(column):
                yield Check(
                    f"data_quality/{dataset}/{name}/{rule}",
                    "data_quality",
                    replace(zero, value=share),
                    ColumnRule(dataset, name, rule),  # type: ignore[arg-type]
                )
        for own in gate.own_expectations:
            yield Check(f"data_quality/{dataset}/own/{own}", "data_quality", zero, ColumnRule(dataset, own, "own"))


def _rules(column: Column) -> Iterator[tuple[str, float]]:
    """Which rules a column has, each with the share of rows that may break it."""
    yield "exists", 0.0
    yield "type", 0.0
    yield "missing", column.missing_at_most
    if column.minimum is not None or column.maximum is not None:
        yield "range", column.outside_at_most
    if column.allowed is not None:
        yield "allowed", column.outside_at_most
    if column.unique:
        yield "unique", 0.0
    if column.time_zone is not None:
        yield "time_zone", 0.0


def _performance(contract: Contract) -> Iterator[Check]:
    gate = contract.gates.performance
    assert gate is not None
    one = Limit(Direction.AT_LEAST, 1.0, contract.alpha)
    yield Check("performance/changed", "performance", one, ChangedRule())
    for item in gate.checks:
        if isinstance(item, AbsoluteCheck):
            direction = Direction.AT_LEAST if item.at_least is not None else Direction.AT_MOST
            value = item.at_least if item.at_least is not None else item.at_most
            assert value is not None
            limit = Limit(direction, value, contract.alpha, item.severity, item.when_inconclusive)
            yield Check(f"performance/{item.metric}", "performance", limit, MetricRule(item.metric))
        else:
            limit = _margin(item.metric, item.margin, contract.alpha, item.severity, item.when_inconclusive)
            rule = MetricRule(item.metric, "champion")
            yield Check(f"performance/{item.metric}/vs-champion", "performance", limit, rule)
    for part in gate.slices:
        yield from _slices(part, contract)


def _slices(part: SliceCheck, contract: Contract) -> Iterator[Check]:
    limit = _margin(part.metric, part.margin, contract.alpha, part.severity, part.when_inconclusive)
    for value in part.values:
        rule = MetricRule(part.metric, "champion", (part.column, value))
        yield Check(f"performance/{part.metric}/vs-champion/{part.column}={value}", "performance", limit, rule)


def _margin(metric: str, margin: float, alpha: float, severity: Severity, when_inconclusive: Severity) -> Limit:
    if metric in LOWER_IS_BETTER:
        return Limit(Direction.AT_MOST, margin, alpha, severity, when_inconclusive)
    return Limit(Direction.AT_LEAST, -margin, alpha, severity, when_inconclusive)


def _drift(contract: Contract) -> Iterator[Check]:
    gate = contract.gates.drift
    assert gate is not None
    names = list(contract.features)
    names += [contract.model.target] if gate.target else []
    names += ["prediction"] if gate.predictions else []
    for name in names:
        own = gate.columns.get(name)
        limit = (
            Limit(Direction.AT_MOST, own.at_most, contract.alpha, own.severity, own.when_inconclusive)
            if own
            else Limit(Direction.AT_MOST, gate.at_most, contract.alpha)
        )
        bins = own.bins if own and own.bins else gate.bins
        yield Check(f"drift/{name}", "drift", limit, DriftRule(name, bins))


def _load(contract: Contract) -> Iterator[Check]:
    gate = contract.gates.load
    assert gate is not None
    within = gate.within
    alpha = contract.alpha
    share = Limit(Direction.AT_LEAST, within.share_at_least, alpha, within.severity, within.when_inconclusive)
    yield Check(f"load/within-{within.milliseconds:g}-ms", "load", share, LoadRule("within"))
    yield Check("load/errors", "load", Limit(Direction.AT_MOST, gate.errors_at_most, alpha), LoadRule("errors"))
    yield Check("load/wrong-answers", "load", Limit(Direction.AT_MOST, 0.0, alpha), LoadRule("wrong_answers"))
    memory = Limit(Direction.AT_MOST, float(gate.memory_mb_at_most), alpha)
    yield Check("load/peak-memory", "load", memory, LoadRule("memory"))
