"""Drift: how far current data, labels and predictions have moved from the reference."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from weighin.contract import Check
from weighin.contract.checks import DriftRule
from weighin.data.table import Counter
from weighin.errors import NotEvaluated
from weighin.outcome import Measurement, Unmeasured
from weighin.predict import COLUMN
from weighin.stats.drift import Counts, edges, psi
from weighin.suites.evidence import Evidence

CATEGORIES = 30
"""Categories of a column that are counted on their own; the rest are one bin."""


def measure(check: Check, evidence: Evidence) -> Measurement | Unmeasured:
    """PSI of one column between the reference and the current dataset. Errors: `NotEvaluated`, `Undefined`."""
    if not isinstance(check.rule, DriftRule):
        raise TypeError(f"{check.id} is no drift check")
    column = check.rule.column
    if column == COLUMN and column not in evidence.contract.data.columns:
        reference, current = evidence.prediction_counter("reference"), evidence.prediction_counter("current")
    else:
        reference, current = evidence.counter("reference"), evidence.counter("current")
    grouped = evidence.contract.group is not None
    before, after, labels = _tables(reference, current, column, check.rule.bins)
    found = psi(before, after, 1 - check.limit.alpha, grouped, grouped)
    known = evidence.contract.data.columns.get(column)
    detail: dict[str, Any] = {"bins": found.bins, "design_effect": round(found.design_effect, 3)}
    if not (known and known.sensitive):
        detail |= {"labels": labels, "reference": _shares(before), "current": _shares(after)}
    return Measurement(
        check.id,
        found.estimate,
        found.low,
        found.high,
        found.level,
        found.units,
        "PSI",
        "debiased PSI, noncentral chi-square, design effect by group"
        if grouped
        else "debiased PSI, noncentral chi-square",
        n_unit=evidence.contract.sampling_unit,
        p_violation=found.p_above(check.limit.value),
        detail=detail,
    )


def _tables(reference: Counter, current: Counter, column: str, bins: int) -> tuple[Counts, Counts, list[str]]:
    """Counts of both tables in bins that the reference fixes, with a name for each bin."""
    if reference.is_numeric(column) != current.is_numeric(column):
        raise NotEvaluated(f"column {column} is a number in one table and text in the other", "drift", "Correct it.")
    if reference.is_numeric(column):
        inner = edges(reference.quantiles(column, np.linspace(0, 1, bins + 1)[1:-1].tolist()))
        names = [f"{edge:.6g}" for edge in inner]
        labels = [f"< {names[0]}", *(f"{a} to {b}" for a, b in pairwise(names)), f"≥ {names[-1]}"] if names else ["any"]
        return reference.bin_counts(column, inner), current.bin_counts(column, inner), [*labels, "missing"]
    categories = reference.most_frequent(column, CATEGORIES)
    before, after = reference.category_counts(column, categories), current.category_counts(column, categories)
    return before, after, [*categories, "other", "missing"]


def _shares(table: Counts) -> list[float]:
    return [round(float(v), 6) for v in np.atleast_2d(table).sum(axis=0) / table.sum()]
