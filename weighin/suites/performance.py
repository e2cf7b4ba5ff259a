"""Performance: the candidate against limits, and against champion and anchor on the same rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from weighin.contract import Check
from weighin.contract.checks import ChangedRule, EmptyRule, FairnessRule, MetricRule, RecordedRule
from weighin.contract.gates import Performance
from weighin.contract.parts import CUSTOM_METRIC
from weighin.errors import NotEvaluated
from weighin.outcome import Direction, Measurement, Unmeasured, census
from weighin.stats.intervals import Floats, Interval, PerfectScore, Undefined
from weighin.stats.metrics import METRICS
from weighin.stats.rates import difference
from weighin.stats.scored import Metric, Scored
from weighin.suites.anytime import (
    by_influence,
    by_plan,
    demanded,
    demanded_of,
    is_by_plan,
    level_of,
    must_be_carried,
    must_be_measurable,
    sides_must_be_measurable,
)
from weighin.suites.as_recorded import measure_recorded
from weighin.suites.at_scale import answered_differently, contrast_of_all, is_large, on_sample, sampled
from weighin.suites.custom import measure_custom
from weighin.suites.evidence import Evidence, kept
from weighin.suites.rows import Rows
from weighin.suites.sample import sample

FIRST_RELEASE = "first release: compared with nothing"


def measure(check: Check, evidence: Evidence) -> Measurement | Unmeasured:
    """Measure one performance check on the holdout. Errors: `NotEvaluated`, `Undefined`."""
    if isinstance(check.rule, ChangedRule):
        return _changed(check, evidence)
    if isinstance(check.rule, RecordedRule):
        if evidence.planned("holdout"):
            said = "a record says what a metric was of rows that all had labels, and these come in by a plan"
            raise NotEvaluated(said, check.id, "Leave `champion_as_recorded` out.")
        if evidence.subject.champion is None:
            return census(check.id, 0, n=1, unit=METRICS[check.rule.metric].unit, method=FIRST_RELEASE)
        if is_large(evidence, "holdout"):
            raise NotEvaluated(
                "a record says what a metric was on all rows, and of so many only a sample is measured again",
                check.id,
                "Write `severity: warn` there.",
            )
        return measure_recorded(check, check.rule.metric, evidence)
    gate = evidence.contract.gates.performance
    if gate is None:
        raise TypeError(f"{check.id} is no performance check")
    if evidence.planned("holdout"):
        found = measure_rows(check, evidence.rows("holdout"), gate, evidence.file.folder)
        return replace(found, detail={**found.detail, **evidence.label_plan().digests})
    if not is_large(evidence, "holdout"):
        return measure_rows(check, evidence.rows("holdout"), gate, evidence.file.folder)
    if isinstance(check.rule, MetricRule) and (measured := _of_all(check, check.rule, evidence, gate)) is not None:
        return measured
    read = _read(evidence)
    return on_sample(measure_rows(check, read.rows("holdout"), gate, evidence.file.folder), read, "holdout")


@kept
def _read(evidence: Evidence) -> Evidence:
    """Return the sample of a large holdout, which every check is measured on that needs rows in memory."""
    return sampled(evidence)


def _of_all(check: Check, rule: MetricRule, evidence: Evidence, gate: Performance) -> Measurement | Unmeasured | None:
    """Measure a metric on all rows of a large holdout, read in parts; None where a sample must do."""
    known, unit = gate.catalogued(rule.metric), evidence.contract.sampling_unit
    rows = int(evidence.subject.data["holdout"]["rows"])
    try:
        found = contrast_of_all(rule, evidence, level_of(check, rows, grouped=False))
    except PerfectScore:
        return _perfect(check, known, rows, unit, 1 - check.limit.alpha)
    if found is None:
        return None
    contrast, bound = found
    contrast = replace(contrast, interval=demanded_of(check, rows, lambda _: contrast.interval, grouped=False))
    detail: dict[str, Any] = {"rows": rows, "candidate": contrast.candidate, "off_by_at_most": bound}
    if contrast.other is not None:
        detail[rule.against or ""] = contrast.other
        if rule.factor == 1:
            detail["smallest_margin"] = _smallest_margin(check, contrast.interval)
    return sample(
        check, contrast.interval, known.unit if known else "", unit, detail, evaluations=check.limit.evaluations
    )


def _smallest_margin(check: Check, interval: Interval) -> float:
    """Return the least margin that would have passed, rounded outwards."""
    worst = -interval.low if check.limit.direction is Direction.AT_LEAST else interval.high
    return math.ceil(max(0.0, worst) * 1e6) / 1e6


def measure_rows(check: Check, rows: Rows, gate: Performance, folder: Path) -> Measurement | Unmeasured:
    """Measure one check on scored rows, wherever they came from: the production path and its simulations call this.

    folder  where the functions of custom metrics are
    Errors: `NotEvaluated`, `Undefined`.
    """
    match check.rule:
        case EmptyRule():
            return _empty(check, rows)
        case MetricRule():
            return _metric(check, check.rule, rows, gate, folder)
        case FairnessRule():
            return _fairness(check, check.rule, rows)
        case _:
            raise TypeError(f"{check.id} is no performance check")


def _changed(check: Check, evidence: Evidence) -> Measurement:
    """How many holdout rows the candidate answers differently: zero means the same model again."""
    large = is_large(evidence, "holdout")
    rows = evidence.size("holdout") if large else len(evidence.predictions("candidate", "holdout"))
    method = "rows answered differently from the champion"
    if evidence.subject.champion is None:
        return census(check.id, rows, n=rows, unit="rows", method=FIRST_RELEASE)
    if evidence.subject.candidate.digest == evidence.subject.champion.digest:
        said = "candidate and champion are the same files"
        return census(check.id, 0, n=rows, unit="rows", method=method, found=said)
    if large:
        count = answered_differently(evidence, "holdout")
    else:
        differ = evidence.predictions("candidate", "holdout") != evidence.predictions("champion", "holdout")
        count = int(differ.reshape(rows, -1).any(axis=1).sum())
    said = "" if count else "the candidate answers every row as the champion does"
    return census(check.id, count, n=rows, unit="rows", method=method, found=said)


def _empty(check: Check, rows: Rows) -> Measurement:
    """Return the share of answers that hold nothing but white space."""
    answers = rows.scored["candidate"].score
    empty = sum(not str(a).strip() for a in answers)
    said = f"{empty:,} of {len(rows):,} answers are empty" if empty else ""
    return census(check.id, empty / len(rows), n=len(rows), unit="share", method="counted", found=said)


def _metric(check: Check, rule: MetricRule, rows: Rows, gate: Performance, folder: Path) -> Measurement | Unmeasured:
    known = gate.catalogued(rule.metric)
    custom = gate.custom[rule.metric.removeprefix(CUSTOM_METRIC)] if known is None else None
    unit = custom.unit if known is None and custom is not None else "" if known is None else known.unit
    if rule.against and rule.against not in rows.scored:
        if rule.against != "champion":
            raise NotEvaluated(f"the baseline {rule.against} is not here", check.id, "Validate again.")
        # Allowed by the contract, or the subject would not have been resolved; recorded as what it is.
        return census(check.id, check.limit.value, n=1, unit=unit, method=FIRST_RELEASE)
    part = rows.part(rule.slice)
    detail: dict[str, Any] = {"rows": len(part)}
    if rows.pooled(rule.slice):
        detail["pooled"] = "too small alone: judged with the other small parts and the rows that no part lists"
    if is_by_plan(rule, rows):
        interval = by_plan(check, rule, part)
        detail |= _of_plan(rows) | ({} if rule.against else {"candidate": interval.estimate})
    else:
        must_be_measurable(check, part)

        def at(level: float) -> Interval:
            """Return the interval at a level, and leave the estimates in `detail`."""
            if custom is not None:
                made, detail["candidate"], influences = measure_custom(
                    custom, folder, part, rule.against, rule.factor, level
                )
                must_be_carried(rule, part, influences)
                return made
            measured = by_influence(check, rule, known, part)
            found = measured.contrast(rule.metric, rule.against, rule.factor, level)
            must_be_carried(rule, part, lambda scored: _influences(rule, known, scored))
            detail["candidate"] = found.candidate
            if found.other is not None:
                detail[rule.against or ""] = found.other
            return found.interval

        try:
            interval = demanded(check, part, at)
        except PerfectScore as error:
            if part.pool is not None:
                # The first labels of a good model are all right by chance, and a plan is looked at after each.
                raise Undefined(f"{rule.metric} is perfect on all of {len(part):,} labels so far") from error
            return _perfect(check, known, len(part), part.sampling_unit, 1 - check.limit.alpha)
    if part.scored["candidate"].truth.dtype == np.bool_:
        detail["positives"] = int(part.scored["candidate"].truth.sum())
        if rows.pool is None and rule.against and rule.slice is None and known is not None and known.uses == "decision":
            # Whether a model decides otherwise as a whole, or only about other rows: a reader of a failure asks that.
            detail["positive_share"] = {role: _positive_share(part, role) for role in ("candidate", rule.against)}
    if rule.against and rule.factor == 1:
        detail["smallest_margin"] = _smallest_margin(check, interval)
    counted = part.sampling_unit
    if is_by_plan(rule, rows) and rule.against and rows.pool is not None and rows.pool.design == "stratified":
        counted = "labels of rows decided differently"
    return sample(check, interval, unit, counted, detail, evaluations=check.limit.evaluations)


def _influences(rule: MetricRule, known: Metric | None, scored: Mapping[str, Scored]) -> Floats:
    """Return (n,) influence values of a metric of the catalogue, or of what it is compared by."""
    assert known is not None
    found = known.of(scored["candidate"])
    return found.values if rule.against is None else found.minus(known.of(scored[rule.against]), rule.factor).values


def _of_plan(rows: Rows) -> dict[str, Any]:
    """Return what a reader wants to know of a label plan."""
    assert rows.pool is not None
    assert rows.differ is not None
    pool = rows.pool
    return {
        "design": pool.design,
        "rows_of_the_holdout": pool.rows,
        "rows_decided_differently": pool.differ,
        "labelled_rows": len(rows),
        "labelled_rows_decided_differently": int(rows.differ.sum()),
    }


def _positive_share(part: Rows, role: str) -> float:
    """Return the weighted share of rows that a model decides positive."""
    scored = part.scored[role]
    return round(float((scored.share * scored.decision).sum()), 6)


def _perfect(check: Check, metric: Metric | None, n: int, sampling_unit: str, level: float) -> Measurement:
    """Return a perfect score, which says that the truth has leaked sooner than that the model is perfect."""
    assert metric is not None
    best = 0.0 if metric.lower_is_better else 1.0
    fault = f"a perfect score on all of {n:,} rows: leak? Look for a feature that knows the target"
    method = "no variation between rows"
    return Measurement(
        check.id,
        best,
        best,
        best,
        level,
        n,
        metric.unit,
        method,
        sampling_unit=sampling_unit,
        fault=fault,
        evaluations=check.limit.evaluations,
    )


def _fairness(check: Check, rule: FairnessRule, rows: Rows) -> Measurement | Unmeasured:
    values = rows.column(rule.column)
    one, other = (np.asarray(values == v) for v in (rule.one, rule.other))
    sides_must_be_measurable(check, rule, rows, (one, other))
    scored = rows.scored["candidate"]
    found = demanded(check, rows, lambda level: difference(rule.rate, scored, one, other, rows.group, level))
    return sample(check, found, "difference", rows.sampling_unit, {}, evaluations=check.limit.evaluations)
