"""Label plans as people use them: which rows to label, and what the labels that are there say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from weighin.canonical import write_json
from weighin.contract import Contract, checks
from weighin.contract.checks import Check, FairnessRule, MetricRule
from weighin.contract.gates import LabelPlan
from weighin.contract.reading import ContractFile
from weighin.data.typed import feature_type
from weighin.errors import ContractError, NotEvaluated
from weighin.outcome import Measurement, Outcome, Unmeasured, decide
from weighin.record.outcomes import encode_outcome
from weighin.resolve.models import resolve
from weighin.runner import docker, local
from weighin.runner.warm import warm
from weighin.stats.intervals import Undefined
from weighin.stats.label_plan import Pool
from weighin.suites import measured
from weighin.suites.evidence import Evidence
from weighin.suites.label_plan import Facts, Labelled, Plan, facts_of, labels_at, pool_of
from weighin.suites.label_plan import labelled as labelled_by_plan
from weighin.suites.performance import measure_rows
from weighin.untrusted import JsonDict

SCHEMA = "weighin/label-status/v1"
BATCH = 100
"""Labels that come in together, unless a person says otherwise."""
POINTS = 60
"""Numbers of labels of which a page shows the interval, at most."""
Format = Literal["csv", "parquet"]


@dataclass(frozen=True)
class Subjects:
    """Which models are compared, and where they are loaded: as for `weighin validate`."""

    candidate: str | None = None
    champion: str | None = None
    runner: Literal["local", "docker"] = "local"
    image: str = "weighin:local"
    work: Path = Path(".weighin/work")


@dataclass(frozen=True)
class Planned:
    """A plan that was written.

    rows      the file with the rows to label
    expected  labels that settle the comparison where both models are equal, about
    """

    path: Path
    rows: Path
    plan: Plan
    expected: int


def make_plan(
    file: ContractFile, models: Subjects, *, labels: int | None = None, batch: int = BATCH, form: Format = "csv"
) -> Planned:
    """Let both models predict the holdout, and write which of its rows to label, in which order.

    labels  rows that are listed; default twice as many as settle a comparison of equal models
    batch   rows that are labelled together
    A plan of the same table and decisions has the same order as before, and is made longer or shorter.
    Errors: `ContractError`, `NotEvaluated`, `RegistryError`; nothing is written then.
    """
    wanted = planned_by(file)
    if batch < 1 or (labels is not None and labels < 1):
        option = "--batch" if batch < 1 else "--labels"
        raise ContractError("a number of rows below one", option, "Give a whole number above zero.")
    evidence = predicted(file, models)
    facts = facts_of(evidence)
    pool, expected = pool_of(file.contract, facts)
    path = file.folder / wanted.plan
    plan = Plan(pool, facts.digests, 0, batch)
    drawn = plan.order(facts)
    if not len(drawn):
        raise NotEvaluated(
            "candidate and champion decide every row the same, so that no label can tell them apart",
            "data.holdout",
            "Take more rows, or another candidate.",
        )
    listed = min(len(drawn), labels or 2 * expected)
    plan = Plan(plan.pool, plan.digests, listed, batch)
    rows = path.with_suffix(f".{form}")
    _must_hold_no_labels(file.contract, rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_rows(rows, plan, facts, drawn[:listed], file.contract)
    write_json(path, plan.to_json())
    return Planned(path, rows, plan, expected)


def planned_by(file: ContractFile) -> LabelPlan:
    """Return what a contract says of its label plan. Errors: `ContractError`."""
    if file.contract.labels is None:
        raise ContractError(
            "the contract has no label plan",
            str(file.path),
            "Write `labels: {plan: labels/plan.json, given: labels/labels.csv}` below gates.performance.",
        )
    return file.contract.labels


def predicted(file: ContractFile, models: Subjects) -> Evidence:
    """Let the models predict, as a validation does. What is there of the same files and rows is used again."""
    if models.runner == "docker":
        resolve(file, models.work, models.candidate, models.champion)
        docker.predict(models.image, models.work)
        docker.predict(models.image, models.work, endpoint=True)
    else:
        with warm(("models",), {**local.PATIENT, **local.variables()}) as forks:
            resolve(file, models.work, models.candidate, models.champion)
            local.predict(models.work, forks)
    return Evidence(file, models.work)


def _must_hold_no_labels(contract: Contract, rows: Path) -> None:
    """Errors: `ContractError` where the file with the rows holds labels, which writing it anew would lose."""
    if not rows.is_file():
        return
    given = LabelPlan.model_validate({"plan": "plan.json", "given": rows.name})
    try:
        held = len(labels_at(contract, given, rows.parent))
    except NotEvaluated as error:
        raise ContractError("it is there, and is no file of a plan", rows.name, "Move it away.") from error
    if held:
        said = f"it holds {held:,} labels, which a new plan would overwrite"
        raise ContractError(said, rows.name, "Move it to the file that `labels.given` names, and run this again.")


def _write_rows(path: Path, plan: Plan, facts: Facts, drawn: Any, contract: Contract) -> None:
    """Write the rows to label: the number of the draw, key columns, and an empty column for the label."""
    draws = np.arange(len(drawn))
    batches = draws // plan.batch
    # Of a row the probability to be labelled when its batch is.
    by_batch = [plan.pool.inclusion(min(len(drawn), (int(b) + 1) * plan.batch)) for b in range(int(batches[-1]) + 1)]
    differ = facts.differ[drawn]
    either = np.array(by_batch)[batches]
    target = contract.data.columns[contract.model.target]
    table = pa.table(
        {
            "draw": pa.array(draws + 1),
            "batch": pa.array(batches + 1),
            **{name: facts.keys[name].take(pa.array(drawn)) for name in facts.keys.column_names},
            "stratum": pa.array(_strata(plan.pool, differ)),
            "inclusion_probability": pa.array(np.where(differ, either[:, 0], either[:, 1])),
            contract.model.target: pa.nulls(len(drawn), feature_type(target)),
        }
    )
    part = path.with_name(path.name + ".part")
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table, part)
    else:
        pq.write_table(table, part)
    part.replace(path)


def _strata(pool: Pool, differ: Any) -> list[str]:
    if pool.design == "random":
        return ["all"] * len(differ)
    return ["decided differently" if d else "decided the same" for d in differ]


@dataclass(frozen=True)
class Status:
    """What the labels say now; `value` is what labels.json and labels.html are made of."""

    value: JsonDict

    @property
    def lines(self) -> list[str]:
        """Return it for a terminal."""
        value = self.value
        found = [
            f"{value['labels']:,} of {value['listed']:,} listed rows are labelled, in the order of the plan"
            + (f"; {value['waiting']:,} later labels wait for draw {value['labels'] + 1:,}" if value["waiting"] else "")
        ]
        found += [f"{c['check']}: {c['status']}: {c['reason']}" for c in value["checks"]]
        return [*found, f"left to do: {value['left']}"]


def label_status(file: ContractFile, models: Subjects) -> Status:
    """Return how many labels are in, what the gate says of them, and what is left to do.

    Errors: `ContractError`, `NotEvaluated` where plan, table, models and labels do not fit; nothing is changed.
    """
    planned_by(file)
    evidence = predicted(file, models)
    labels = labelled_by_plan(evidence)
    every = [
        c for c in checks(file.contract, "performance") if isinstance(c.rule, MetricRule | FairnessRule) and not _own(c)
    ]
    shown = [_check(c, evidence, labels) for c in every]
    pool = labels.plan.pool
    value: JsonDict = {
        "schema": SCHEMA,
        "model": file.contract.model.name,
        "candidate": str(evidence.subject.candidate),
        "champion": str(evidence.subject.champion or "none"),
        "contract": file.digest,
        "design": pool.design,
        "rows": pool.rows,
        "rows_decided_differently": pool.differ,
        "listed": labels.plan.listed,
        "batch": labels.plan.batch,
        "labels": len(labels),
        "waiting": labels.waiting,
        "alpha": file.contract.alpha,
        "checks": shown,
    }
    value["left"] = _left(value)
    return Status(value)


def _own(check: Check) -> bool:
    """Whether code of the repository measures a check, which only a validation runs."""
    return isinstance(check.rule, MetricRule) and check.rule.custom


def _check(check: Check, evidence: Evidence, labels: Labelled) -> JsonDict:
    """Return what a check says now, and what it said after fewer labels."""
    outcome = decide(measured(check, evidence), check.limit)
    found = encode_outcome(outcome)
    found["series"] = _series(check, evidence, labels) if isinstance(outcome.evidence, Measurement) else []
    found["expected"] = _expected(outcome, labels)
    return found


def _series(check: Check, evidence: Evidence, labels: Labelled) -> list[list[float | None]]:
    """Return [labels, estimate, low, high] after each batch, at most `POINTS` of them."""
    gate = evidence.contract.gates.performance
    assert gate is not None
    rows, found = evidence.rows("holdout"), []
    draw = np.argsort(labels.rows)
    step = max(labels.plan.batch, math.ceil(len(labels) / POINTS))
    for n in [*range(step, len(labels), step), len(labels)]:
        part = rows.taken(draw < n)
        assert part.differ is not None
        try:
            made = measure_rows(check, part.by_plan(labels.plan.pool, part.differ), gate, evidence.file.folder)
        except (Undefined, NotEvaluated):
            continue
        if not isinstance(made, Unmeasured):
            found.append([n, *(v if math.isfinite(v) else None for v in (made.estimate, made.low, made.high))])
    return found


def _expected(outcome: Outcome, labels: Labelled) -> int | None:
    """Return about how many labels in all would settle an inconclusive check, if the estimate is right."""
    if outcome.n_required is None or not isinstance(outcome.evidence, Measurement):
        return None
    return math.ceil(outcome.n_required * len(labels) / outcome.evidence.n)


def _left(value: JsonDict) -> str:
    """Return in a sentence what is left to do."""
    open_checks = [c for c in value["checks"] if c["status"] == "inconclusive" and c["blocks"]]
    unmeasured = [c for c in value["checks"] if c["status"] == "not_evaluated" and c["blocks"]]
    first, listed, rows = value["labels"] + 1, value["listed"], value["rows"]
    drawable = value["rows_decided_differently"] if value["design"] == "disagreement" else rows
    if any(c["status"] == "failed" and c["blocks"] for c in value["checks"]):
        return (
            "a check has failed alone: run `weighin validate`, which confirms it by Holm's correction over all checks "
            "before it counts"
        )
    if not open_checks and not unmeasured:
        return "nothing, every check that blocks has passed: run `weighin validate`"
    if not open_checks and value["labels"]:
        several = "a check that blocks" if len(unmeasured) == 1 else f"{len(unmeasured)} checks that block"
        return f"{several} could not be evaluated: read why there"
    wanted = [c["expected"] for c in open_checks]
    if value["labels"] >= drawable:
        return "no row is left to label, and the checks are not settled: take a larger holdout"
    many = max((w for w in wanted if w is not None), default=None)
    if many is not None and many > drawable:
        return f"about {many:,} labels would settle it, and only {drawable:,} rows can be drawn: take a larger holdout"
    more = f"about {max(1, many - value['labels']):,} more labels" if many is not None else "more labels"
    if value["labels"] >= listed:
        return f"{more}: run `weighin labels plan --labels {min(drawable, max(many or 0, 2 * listed))}` to list them"
    return f"{more}, from draw {first:,} of the plan on"
