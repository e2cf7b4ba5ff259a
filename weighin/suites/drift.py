"""Drift: how far current data, labels and predictions have moved from the reference. Profiles in, measurements out."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from weighin.contract import Check
from weighin.contract.checks import DriftRule, TargetRule, TextDriftRule, checks
from weighin.data.profile import ColumnProfile, Profile
from weighin.errors import NotEvaluated
from weighin.model.answers import COLUMN
from weighin.outcome import Measurement, Status, Unmeasured, census, decide
from weighin.stats.drift import Distance, jensen_shannon, psi, total_variation
from weighin.stats.intervals import Interval, Undefined, clopper_pearson
from weighin.stats.kolmogorov import kolmogorov_smirnov, single_valued
from weighin.stats.shares import Counts, Shares
from weighin.stats.shift import mean_shift, share_shift
from weighin.suites import joint_drift, target_drift, text_drift
from weighin.suites.evidence import Evidence
from weighin.suites.sample import named, of_distance
from weighin.untrusted import JsonDict

WORDS = {
    "psi": ("PSI", "debiased PSI"),
    "jensen_shannon": ("JS distance", "debiased Jensen-Shannon distance, base 2"),
    "total_variation": ("TV", "debiased total variation"),
    "kolmogorov_smirnov": ("KS distance", "Kolmogorov-Smirnov distance on 100 quantile cells"),
    "missing": ("share", "absolute difference of the share of missing values"),
    "mean": ("SD", "absolute difference of the means, in standard deviations of the reference"),
    "new-category-share": ("share", "share of rows with a category that the reference does not have"),
}


def measure(check: Check, evidence: Evidence) -> Measurement | Unmeasured:
    """One drift check between the reference's profile and the current one. Errors: `NotEvaluated`, `Undefined`."""
    rule = check.rule
    if isinstance(rule, TargetRule):
        return target_drift.measure(check, evidence)
    if isinstance(rule, TextDriftRule):
        return text_drift.measure(check, rule, evidence)
    if not isinstance(rule, DriftRule):
        raise TypeError(f"{check.id} is no drift check")
    if rule.kind == "drifted":
        return _drifted(check, evidence)
    if rule.kind == "joint":
        return joint_drift.measure(check, evidence)
    if rule.kind == "table":
        return _table(check, evidence.profile("reference"), evidence.profile("current"))
    return _measured(check, rule, evidence, 1 - check.limit.alpha)


def stored_with_model(evidence: Evidence) -> Profile:
    """Return the reference's profile as it is stored with a model version: with the predictions of that model.

    Errors: `NotEvaluated`.
    """
    profile = evidence.profile("reference")
    gate = evidence.contract.gates.drift
    if gate is None or not gate.predictions or COLUMN in profile.columns:
        return profile
    return replace(profile, columns={**profile.columns, **evidence.prediction_profile("reference").columns})


def _measured(check: Check, rule: DriftRule, evidence: Evidence, level: float) -> Measurement:
    column = rule.column
    before, after = _profiles(evidence, column)
    known = evidence.contract.data.columns.get(column)
    if column == COLUMN and known is None:
        # What is predicted are values of the target.
        known = evidence.contract.data.columns.get(evidence.contract.model.target)
    hidden = known is not None and known.sensitive
    return compared(replace(check, rule=rule), before, after, level, evidence.contract.sampling_unit, hidden=hidden)


def compared(check: Check, before: Profile, after: Profile, level: float, unit: str, *, hidden: bool) -> Measurement:
    """Return what one drift check measures between two profiles.

    unit    of sampling, in words
    hidden  leave out everything that names a value
    Errors: `NotEvaluated` where a profile lacks the column, `Undefined` where nothing can be compared.
    """
    rule = check.rule
    assert isinstance(rule, DriftRule)
    was, now = _columns(before, after, rule.column)
    found, detail = _found(rule, was, now, level, (before.groups is not None, after.groups is not None))
    name = rule.measure if rule.kind == "distance" else rule.kind
    if name == "kolmogorov_smirnov" and was.cells.kind == "category":
        name = "total_variation"
    measured_in, method = WORDS[name]
    if rule.kind == "distance" and not hidden:
        detail |= _histogram(was, now)
    if not before.exact:
        method += ", cells from a sample of the reference"
    return of_distance(check, found, after.groups or after.rows, measured_in, method, unit, detail)


def share_of_reference(column: str, before: Profile, after: Profile) -> float:
    """Return which share of a distance's error is the reference's, as a variance, averaged over bins.

    1 where a table holds too little to tell.
    """
    if column not in before.columns or column not in after.columns:
        return 1.0
    tables = ((before.columns[column].counts, before.groups), (after.columns[column].counts, after.groups))
    try:
        one, other = (Shares.of(_counts(counts, bool(groups)), bool(groups)) for counts, groups in tables)
    except Undefined:
        return 1.0
    held = one.share > 0
    mine, theirs = (float((s.variance[held] / one.share[held]).sum()) for s in (one, other))
    return mine / (mine + theirs) if mine + theirs > 0 else 1.0


def _profiles(evidence: Evidence, column: str) -> tuple[Profile, Profile]:
    """Of the reference and of current data, or of the predictions on both. Errors: `NotEvaluated`."""
    if column == COLUMN and column not in evidence.contract.data.columns:
        return evidence.prediction_profile("reference"), evidence.prediction_profile("current")
    return evidence.profile("reference"), evidence.profile("current")


def _columns(before: Profile, after: Profile, column: str) -> tuple[ColumnProfile, ColumnProfile]:
    """Return the column's part of both. Errors: `NotEvaluated` with which of the two lacks it, and why."""
    for name, profile in (("reference", before), ("current", after)):
        if column in profile.columns:
            continue
        kind = profile.table.get(column)
        if kind is None:
            raise NotEvaluated(f"no column {column}", f"data.{name}", "Correct the data or the contract.")
        was = before.table.get(column, "something else")
        if kind != was:
            said = f"column {column}: it holds {kind} here and {was} in the reference"
            raise NotEvaluated(said, f"data.{name}", "Give both one flat type.")
        if kind == "other":
            said = f"column {column}: lists or structures cannot be counted"
            raise NotEvaluated(said, f"data.{name}", "Give it a flat type.")
        said = f"column {column} was not counted in the profile that is stored with the model"
        raise NotEvaluated(said, f"data.{name}", "`weighin profile --store` makes one by this contract.")
    return before.columns[column], after.columns[column]


def _found(
    rule: DriftRule, before: ColumnProfile, after: ColumnProfile, level: float, grouped: tuple[bool, bool]
) -> tuple[Distance | Interval, JsonDict]:
    match rule.kind:
        case "missing":
            return share_shift(
                _counts(before.missing, grouped[0]), _counts(after.missing, grouped[1]), level, *grouped
            ), {}
        case "mean":
            if before.moments is None or after.moments is None:
                raise Undefined("text has no mean")
            if before.moments.infinite or after.moments.infinite:
                raise Undefined(f"{before.moments.infinite + after.moments.infinite} values are infinite")
            was, now = _counts(before.moments.by_group, grouped[0]), _counts(after.moments.by_group, grouped[1])
            return mean_shift(was, now, level, *grouped), {}
        case "new-category-share":
            return _unseen(before, after, level, grouped[1]), {}
    counts = _counts(before.counts, grouped[0]), _counts(after.counts, grouped[1])
    if rule.measure == "kolmogorov_smirnov" and before.cells.kind == "number":
        single = single_valued(np.array(before.cells.edges))
        found = kolmogorov_smirnov(counts[0][..., :-1], counts[1][..., :-1], level, *grouped, single=single)
    else:
        distance = {"psi": psi, "jensen_shannon": jensen_shannon}.get(rule.measure, total_variation)
        found = distance(*counts, level, *grouped)
    return found, {"bins": found.bins, "design_effect": round(found.design_effect, 3)}


def _unseen(before: ColumnProfile, after: ColumnProfile, level: float, grouped: bool) -> Distance | Interval:
    """Share of current rows whose category is none of the reference's, missing values apart."""
    if before.cells.kind == "number":
        raise Undefined("numbers have no categories")
    if not before.complete:
        raise Undefined(f"the reference has {before.distinct:,} categories, too many for a list of them")
    strange = after.counts[:, before.cells.own + 1]
    rows = after.counts.sum(axis=1)
    if not grouped:
        return clopper_pearson(int(strange.sum()), int(rows.sum()), level)
    # Against a reference without any: its share is zero by definition, whatever was drawn.
    certain = np.array([1e15, 0.0])
    return share_shift(certain, np.column_stack([rows, strange]).astype(float), level, False, True)


def _table(check: Check, reference: Profile, current: Profile) -> Measurement:
    """Columns of the reference that are missing or of another type now, and new ones."""
    before, after = reference.table, current.table
    changed = [f"{n} is missing" for n in before if n not in after]
    changed += [f"{n} is new" for n in after if n not in before]
    both = [n for n in before if n in after and before[n] != after[n]]
    changed += [f"{n}: {before[n]} in the reference, {after[n]} now" for n in both]
    count, found = len(changed), named(changed)
    method = "names and types"
    return census(check.id, count, n=len(before), unit="columns", method=method, sampling_unit="columns", found=found)


def _drifted(check: Check, evidence: Evidence) -> Measurement | Unmeasured:
    """Share of columns beyond their limit: from those that failed to those that did not pass.

    Each column is measured at alpha divided by their number, so that the bounds hold for all at once (Bonferroni).
    """
    listed = [
        c for c in checks(evidence.contract, "drift") if isinstance(c.rule, DriftRule) and c.rule.kind == "distance"
    ]
    alpha = check.limit.alpha / len(listed)
    beyond = failed = passed = 0
    for one in listed:
        assert isinstance(one.rule, DriftRule)
        found = _measured(one, one.rule, evidence, 1 - alpha)
        status = decide(found, one.limit).status
        failed += status is Status.FAILED
        passed += status is Status.PASSED
        beyond += decide(census(one.id, found.estimate, n=1, unit="", method=""), one.limit).status is Status.FAILED
    n = len(listed)
    return Measurement(
        check.id,
        beyond / n,
        failed / n,
        1 - passed / n,
        1 - check.limit.alpha,
        n,
        "share",
        f"columns beyond their limit, each at {1 - alpha:.4g}",
        sampling_unit="columns",
    )


def _counts(table: Any, grouped: bool) -> Counts:
    """By group, or in all."""
    values: Counts = np.asarray(table, dtype=np.float64)
    return values if grouped else values.sum(axis=0)


def _histogram(before: ColumnProfile, after: ColumnProfile) -> JsonDict:
    """Shares of both tables by cell, with a name for each, for the report."""
    cells = before.cells
    if cells.kind == "number":
        names = [f"{edge:.6g}" for edge in cells.edges]
        labels = [f"< {names[0]}", *(f"{a} to {b}" for a, b in pairwise(names)), f"≥ {names[-1]}"] if names else ["any"]
    else:
        labels = [*cells.categories[: cells.own], "other", "new"]
    shares = {name: _shares(of.counts) for name, of in (("reference", before), ("current", after))}
    return {"labels": [*labels, "missing"], **shares}


def _shares(counts: Any) -> list[float]:
    return [round(float(v), 6) for v in counts.sum(axis=0) / counts.sum()]
