"""Scored rows in memory: what a performance check is measured on, wherever they came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weighin.contract.checks import SliceRule
from weighin.contract.gates import SliceCheck
from weighin.data.condition import ROW, holds
from weighin.stats.contrast import Contrast, contrast
from weighin.stats.intervals import Codes, Undefined
from weighin.stats.label_plan import Pool, weights
from weighin.stats.metrics import METRICS
from weighin.stats.power import share_needed
from weighin.stats.scored import Bools, Metric, Scored

LEAST = 100
"""Rows of a slice that is judged alone, whatever its margin."""


@dataclass(frozen=True)
class Rows:
    """The labelled rows of one dataset with every role's scores.

    scored   role -> its rows; a role that is not filled is absent
    group    (n,) codes 0..G-1, or None for independent rows
    sampling_unit   what repeats independently, in words
    column   name -> (n,) values
    where    SQL condition -> (n,) whether it holds
    alpha    of the contract, by which a slice's default size is planned
    known    name -> a metric of the catalogue, or of a score of the contract; None for a team's own function
    pool     what the rows were drawn from by a label plan; None for a holdout whose every row has a label
    differ   (n,) which of such rows candidate and champion decide differently
    """

    scored: Mapping[str, Scored]
    group: Codes | None
    sampling_unit: str
    column: Callable[[str], NDArray[Any]]
    where: Callable[[str], Bools]
    alpha: float = 0.05
    known: Callable[[str], Metric | None] = METRICS.get
    pool: Pool | None = None
    differ: Bools | None = None
    _kept: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.scored["candidate"].truth)

    @property
    def units(self) -> int:
        """How many rows, or groups of rows, are independent of each other."""
        return len(self) if self.group is None else int(self.group.max(initial=-1)) + 1

    def weighted(self) -> Rows:
        """Return the same rows with a weight each, one where they had none."""
        ones = np.ones(len(self))
        scored = {r: rows if rows.weight is not None else replace(rows, weight=ones) for r, rows in self.scored.items()}
        return replace(self, scored=scored, _kept={})

    def by_plan(self, pool: Pool, differ: Bools) -> Rows:
        """Return the same rows as those that a label plan has drawn, each with the inverse of its probability.

        Without labels of each stratum there are no such weights: what needs them says so.
        """
        scored = self.scored
        if pool.design == "stratified":
            try:
                weight = weights(pool, differ)
            except Undefined:
                weight = None
            scored = {role: replace(rows, weight=weight) for role, rows in scored.items()}
        return replace(self, scored=scored, pool=pool, differ=differ, sampling_unit="labels", _kept={})

    def part(self, rule: SliceRule | None) -> Rows:
        """Return the rows of a slice; one that is too small stands for all that are, with the rows that no part lists.

        Errors: `Undefined` when there are none, `NotEvaluated` for a condition that cannot be asked.
        """
        if rule is None:
            return self
        if rule not in self._kept:
            self._kept[rule] = self._part(rule)
        found: Rows = self._kept[rule]
        return found

    def _part(self, rule: SliceRule) -> Rows:
        keep = self.mask(rule)
        if not keep.any():
            raise Undefined(f"no row is in the slice {_said(rule)}")
        return self.taken(keep)

    def taken(self, keep: Bools) -> Rows:
        """Return some of the rows, by a mask."""
        scored = {role: rows.rows(keep) for role, rows in self.scored.items()}
        return Rows(
            scored,
            recoded(self.group, keep),
            self.sampling_unit,
            lambda name: self.column(name)[keep],
            lambda query: self.where(query)[keep],
            self.alpha,
            self.known,
            self.pool,
            None if self.differ is None else self.differ[keep],
        )

    def pooled(self, rule: SliceRule | None) -> bool:
        """Whether a slice is judged together with others, because it is too small alone."""
        return rule is not None and not rule.of.query and self._small(rule)

    def least(self, of: SliceCheck) -> float:
        """Return how many rows a part needs to be judged alone.

        By default as many as let a candidate pass with 80 % that is equal to the baseline, if the difference of both
        varies as the baseline's own metric does (a correlation of a half). The candidate has no say in it: one that
        differs wildly must not be judged on fewer slices.
        """
        if of.rows_at_least is not None:
            return of.rows_at_least
        if of not in self._kept:
            self._kept[of] = self._planned(of)
        return float(self._kept[of])

    def _planned(self, of: SliceCheck) -> float:
        baseline = self.scored.get(of.against)
        metric = self.known(of.metric)
        if baseline is None or metric is None or of.better_by is not None:
            return LEAST
        try:
            found = metric.of(baseline)
        except Undefined:
            return LEAST
        margin = of.margin if of.margin is not None else (of.relative_margin or 0.0) * abs(found.estimate)
        return max(LEAST, len(self) * share_needed(margin, found.values, self.group, 1 - self.alpha))

    def mask(self, rule: SliceRule) -> Bools:
        """(n,) which rows a slice is judged on."""
        if rule.of.query is not None:
            return self.where(rule.of.query)
        if rule.part is None:
            return self._rest(rule)
        own = self._own(rule, rule.part)
        return self._rest(rule) if own.any() and self._small(rule) else own

    def _small(self, rule: SliceRule) -> bool:
        return rule.part is None or int(self._own(rule, rule.part).sum()) < self.least(rule.of)

    def _rest(self, rule: SliceRule) -> Bools:
        """Rows that no part lists, and those of parts that are too small alone."""
        rest = np.ones(len(self), dtype=bool)
        for part in (*rule.of.values, *rule.of.ranges):
            own = self._own(rule, part)
            if int(own.sum()) >= self.least(rule.of):
                rest &= ~own
        return rest

    def _own(self, rule: SliceRule, part: str | int | tuple[float, float] | None) -> Bools:
        assert rule.of.column is not None
        values = self.column(rule.of.column)
        if isinstance(part, tuple):
            numbers = values.astype(np.float64)
            return np.asarray((numbers >= part[0]) & (numbers < part[1]))
        return np.asarray(values == part)

    def contrast(self, metric: str, baseline: str | None, factor: float, level: float) -> Contrast:
        """Return a metric of the catalogue, alone or against a baseline. Errors: `Undefined`."""
        other = None if baseline is None else self.scored[baseline]
        return contrast(metric, self.scored["candidate"], other, self.group, level, factor, self.known(metric))


def recoded(group: Codes | None, keep: Bools) -> Codes | None:
    """Group codes of some of the rows, again 0..G-1."""
    return None if group is None else np.unique(group[keep], return_inverse=True)[1].astype(np.int64)


def condition(table: pa.Table, query: str) -> Bools:
    """(n,) whether an SQL condition holds for each row; unknown counts as no.

    Errors: `NotEvaluated` when it is no condition over these columns.
    """
    return holds(table.append_column(ROW, pa.array(np.arange(table.num_rows))), query, "slice")


def _said(rule: SliceRule) -> str:
    if rule.of.query is not None:
        return f"`{rule.of.query}`"
    return f"{rule.of.column} = {'other' if rule.part is None else rule.part}"
