"""Power: how likely a candidate that is as good as the champion passes, from the predictions of the last validation."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from weighin.contract import Check, Contract, checks
from weighin.contract.checks import FairnessRule, MetricRule
from weighin.contract.reading import ContractFile
from weighin.errors import EvidenceError, NotEvaluated
from weighin.outcome import Direction
from weighin.stats.intervals import Undefined
from weighin.stats.power import Planned, Power, power
from weighin.stats.rates import influence_of_difference
from weighin.suites.anytime import level_of
from weighin.suites.evidence import Evidence
from weighin.suites.rows import Rows


def say_power(file: ContractFile, work: Path) -> None:
    """Print, per check that blocks and overall, how likely a candidate as good as the champion passes the gate."""
    if file.contract.gates.performance is None:
        return
    try:
        evidence = Evidence(file, work)
        rows = evidence.rows("holdout")
        if "champion" not in rows.scored:
            raise NotEvaluated("there is no champion yet", str(work))
    except (EvidenceError, NotEvaluated, Undefined) as error:
        print(f"power: not known yet ({error}). `weighin validate` leaves the predictions that it is computed from.")
        return
    planned, unknown = plans(file.contract, rows)
    units = len(rows) if rows.group is None else int(rows.group.max()) + 1
    print(
        f"power: if a candidate were exactly as good as {evidence.subject.champion}, and as different from it as "
        f"{evidence.subject.candidate}, on {len(rows):,} rows, {units:,} {rows.sampling_unit}:"
    )
    if planned:
        single, together = power(planned, rows.group)
        for one in single:
            print(_line(one, rows.sampling_unit))
        print(
            _line(
                Power(f"{len(single)} checks together", together.probability, together.n_required), rows.sampling_unit
            )
        )
    for name, why in unknown:
        print(f"  {name:58} unknown: {why}")


def plans(contract: Contract, rows: Rows) -> tuple[list[Planned], list[tuple[str, str]]]:
    """Return what power is computed from, of each blocking check on scored rows, and the checks of which it is not
    known, with the reason.
    """
    planned, unknown = [], []
    for check in checks(contract, "performance"):
        known = isinstance(check.rule, MetricRule) and rows.known(check.rule.metric) is not None
        if not known and not isinstance(check.rule, FairnessRule):
            continue
        if check.limit.severity == "warn" or check.limit.when_inconclusive == "warn":
            continue
        if rows.pool is not None:
            unknown.append((check.id, "labels come in by a plan: `weighin labels status` says how many are expected"))
            continue
        try:
            found = _planned(check, rows)
            if not (math.isfinite(found.distance) and np.isfinite(found.influence).all()):
                raise Undefined("the metric, or the part of a row in it, is not a finite number")
            planned.append(found)
        except (Undefined, KeyError) as error:
            unknown.append((check.id, str(error)))
    return planned, unknown


def gate_power(contract: Contract, rows: Rows) -> Power | None:
    """Return how likely a candidate that is as good as the champion passes all blocking checks; None where unknown."""
    planned, unknown = plans(contract, rows)
    return power(planned, rows.group)[1] if planned and not unknown else None


def _planned(check: Check, rows: Rows) -> Planned:
    rule, sign = check.rule, 1 if check.limit.direction is Direction.AT_LEAST else -1
    if isinstance(rule, FairnessRule):
        one, other = (np.asarray(rows.column(rule.column) == v) for v in (rule.one, rule.other))
        truth, influence = influence_of_difference(rule.rate, rows.scored["champion"], one, other)
        return Planned(check.id, sign * (truth - check.limit.value), sign * influence, _level(check, rows))
    assert isinstance(rule, MetricRule)
    if rule.slice is None:
        return _of_metric(check, rule, rows)
    inner, influence = _of_metric(check, rule, rows.part(rule.slice)), np.zeros(len(rows))
    influence[rows.mask(rule.slice)] = inner.influence
    return replace(inner, influence=influence)


def _of_metric(check: Check, rule: MetricRule, rows: Rows) -> Planned:
    level = _level(check, rows)
    metric = rows.known(rule.metric)
    assert metric is not None
    champion = metric.of(rows.scored["champion"])
    truth = champion.estimate if rule.against is None else (1 - rule.factor) * champion.estimate
    # Equal to the champion: its own value, or no difference; the noise is that of the difference that was seen.
    baseline = None if rule.against is None else metric.of(rows.scored[rule.against])
    if rule.against != "champion" and baseline is not None:
        truth = champion.estimate - rule.factor * baseline.estimate
    found = champion if baseline is None else metric.of(rows.scored["candidate"]).minus(baseline, rule.factor)
    distance = truth - check.limit.value
    sign = 1 if check.limit.direction is Direction.AT_LEAST else -1
    return Planned(check.id, sign * distance, sign * found.values, level)


def _level(check: Check, rows: Rows) -> float:
    return level_of(check, rows.units, grouped=rows.group is not None)


def _line(one: Power, unit: str) -> str:
    needed = "no amount of data gives 80 %" if one.n_required is None else f"{one.n_required:,} {unit} give 80 %"
    return f"  {one.check:58} {math.floor(100 * one.probability):3d} %   {needed}"
