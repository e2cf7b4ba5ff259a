"""A metric of more independent rows than memory holds: they are read a part at a time, at most three times.

Exact, as from rows in memory: what is a function of a confusion table, and what is the mean of numbers that rows have
by themselves. The area under the ROC curve comes from scores in cells, with a bound of its error that widens the
interval.
The formulas are those of weighin/stats/metrics.py and contrast.py; here stands only how they are fed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from weighin.stats.contrast import Contrast, joint_table, must_vary, resampled
from weighin.stats.intervals import (
    ROUNDING,
    Codes,
    Floats,
    Interval,
    Powers,
    PValue,
    Undefined,
    clopper_pearson,
    from_powers,
)
from weighin.stats.metrics import METRICS, area, table_value
from weighin.stats.paired import tango
from weighin.stats.scored import MIN_RARER, Metric, Scored

EDGES = 2**16
"""Scores of a sample that cut the cells: an edge is a cell of its own, and so is what lies between two."""
SAMPLE = 2**20
"""Rows of that sample."""


@dataclass(frozen=True)
class Pair:
    """The same rows, scored by the candidate and, where there is one, by what it is compared with."""

    candidate: Scored
    other: Scored | None = None


Parts = Callable[[], Iterator[Pair]]
"""Read the rows again, a part at a time, always in the same parts: binary or of numbers, without weights."""


def is_streamed(metric: str, task: str) -> bool:
    """Whether a metric can be had of rows that are not kept.

    >>> [is_streamed(m, "binary") for m in ("accuracy", "roc_auc", "average_precision")]
    [True, True, False]
    """
    of = METRICS.get(metric)
    if of is None or task not in ("binary", "regression") or task not in of.tasks:
        return False
    return of.row is not None or of.kind in ("share", "table") or metric == "roc_auc"


def streamed(metric: str, parts: Parts, rows: int, level: float, factor: float = 1.0) -> tuple[Contrast, float]:
    """Return what `contrast` does for independent rows of equal weight, and by how much it may be off on either side.

    rows  how many there are in all parts: by it the sample is drawn that cuts the cells
    The interval is wider by the second number; it is zero for all but the area under the ROC curve, and `influence` is
    empty.
    Errors: `Undefined`, as for `contrast`.
    """
    of = METRICS[metric]
    if of.kind in ("share", "table"):
        return _of_table(metric, parts, level, factor), 0.0
    values, off = (_of_cells(parts, rows), True) if metric == "roc_auc" else (_of_rows(of, parts), False)
    total = values.estimate - factor * values.other if values.other is not None else values.estimate
    scale = abs(values.estimate) + abs(factor * (values.other or 0.0))
    if not math.isfinite(scale):
        raise Undefined(f"{metric} is not a finite number: no interval exists")
    # As in `contrast`: of the same predictions in other digits the difference is none, and rows that are all alike
    # differ by what sums of doubles leave.
    total = total if abs(total) > ROUNDING * scale else 0.0
    powers, largest = _powers(values, parts, factor)
    if largest * values.count <= ROUNDING * scale:
        # No row says otherwise: so it is read again only where that matters.
        same = factor == 1 and all(p.other is not None and p.candidate.same_as(p.other, of.uses) for p in parts())
        must_vary(metric, of, total, "rows", alone=values.other is None, same=same)
        powers = Powers(values.count, 0.0, 0.0, 0.0)
    bound = values.bound + abs(factor) * values.other_bound if off else 0.0
    interval = _widened(from_powers(total, powers, level, "influence values"), bound)
    return Contrast(interval, values.estimate, values.other, np.empty(0)), bound


@dataclass(frozen=True)
class _Values:
    """Estimates over all rows, and how each row's influence on them is found when it is read again."""

    count: int
    estimate: float
    influence: Callable[[Scored], Floats]
    other: float | None = None
    other_influence: Callable[[Scored], Floats] | None = None
    bound: float = 0.0
    other_bound: float = 0.0


def _powers(rows: _Values, parts: Parts, factor: float) -> tuple[Powers, float]:
    """Return what an interval needs of the influence of every row, and the largest of them."""
    sums, largest = [], 0.0
    for part in parts():
        values = rows.influence(part.candidate)
        if part.other is not None and rows.other_influence is not None:
            values = values - factor * rows.other_influence(part.other)
        sums.append(Powers.of(values))
        largest = max(largest, float(np.abs(values).max(initial=0.0)))
    second, third, fourth = (_total([getattr(s, n) for s in sums]) for n in ("second", "third", "fourth"))
    return Powers(sum(s.units for s in sums), second, third, fourth), largest


def _total(sums: list[float]) -> float:
    """Return the sum; NaN where there is none, because it is beyond all numbers or of both infinities."""
    try:
        return math.fsum(sums)
    except (OverflowError, ValueError):
        return math.nan


def _of_rows(of: Metric, parts: Parts) -> _Values:
    """Return a metric that is the mean of what rows have by themselves."""
    assert of.row is not None
    value, classes, sums, others = of.row, np.zeros(2, dtype=np.int64), [], []
    count = 0
    for part in parts():
        truth = part.candidate.truth
        count += len(truth)
        if truth.dtype == np.bool_:
            classes += np.bincount(truth, minlength=2)
        sums.append(float(value(part.candidate).sum()))
        if part.other is not None:
            others.append(float(value(part.other).sum()))
    if count < MIN_RARER:
        raise Undefined(f"{count} rows, at least {MIN_RARER} are needed")
    if classes.any():
        _enough(classes)
    means = [_total(s) / count if s else None for s in (sums, others)]
    assert means[0] is not None

    def influence(mean: float) -> Callable[[Scored], Floats]:
        return lambda part: (value(part) - mean) / count

    other = None if means[1] is None else influence(means[1])
    return _Values(count, means[0], influence(means[0]), means[1], other)


def _enough(classes: NDArray[np.int64]) -> None:
    """Errors: `Undefined` where there are too few rows of the rarer class."""
    rarer, n = int(classes.min()), int(classes.sum())
    if not rarer:
        raise Undefined(f"all {n} labels are equal")
    if rarer < MIN_RARER:
        raise Undefined(f"{rarer} rows of the rarer class, at least {MIN_RARER} are needed")


def _of_table(metric: str, parts: Parts, level: float, factor: float) -> Contrast:
    """Return a function of a confusion table, or of the joint one of two models: all of it is counts."""
    table: NDArray[np.int64] | None = None
    for part in parts():
        decided = (part.candidate.decision,) if part.other is None else (part.other.decision, part.candidate.decision)
        found = joint_table(2, part.candidate.truth, *decided)
        table = found if table is None else table + found
    if table is None:
        raise Undefined("no rows")
    tables = [table] if table.ndim == 2 else [table.sum(axis=1), table.sum(axis=2)]
    _enough(table.reshape(2, -1).sum(axis=1))
    for one in tables:
        decided_so = one.sum(axis=0)
        # As the metrics themselves demand of what they divide by.
        least = decided_so[1] if metric in ("precision", "f1") else decided_so.min() if metric[:3] == "f1_" else None
        if least is not None and least < MIN_RARER:
            raise Undefined(f"{least} rows predicted as one class, at least {MIN_RARER} are needed")
    ours, *theirs = (float(table_value(metric, t[None].astype(np.float64))[0]) for t in tables)
    other = theirs[0] if theirs else None
    return Contrast(_counted(metric, table, level, factor), ours, other, np.empty(0))


def _counted(metric: str, table: NDArray[np.int64], level: float, factor: float) -> Interval:
    base = {"accuracy": table, "recall": table[1], "precision": table[..., 1]}.get(metric)
    if base is not None:
        if table.ndim == 2:
            hits = int(table[0, 0] + table[1, 1]) if metric == "accuracy" else int(table[1, 1])
            return clopper_pearson(hits, int(base.sum()), level)
        if metric != "precision" and factor == 1:
            # label by theirs by ours
            gained, lost = int(table[1, 0, 1]), int(table[1, 1, 0])
            if metric == "accuracy":
                gained, lost = gained + int(table[0, 1, 0]), lost + int(table[0, 0, 1])
            return tango(gained, lost, int(base.sum()), level)
    return resampled(metric, table, level, factor)


def _of_cells(parts: Parts, rows: int) -> _Values:
    """Return the area under the ROC curve of scores in cells. Within a cell between two edges a positive may lie above
    or below a negative, and they count half: half of such pairs is the most by which the area is off.
    """
    edges = _edges(parts, rows)
    counts = [np.zeros((2, 2 * len(e) + 1), dtype=np.int64) for e in edges]
    for part in parts():
        for scores, cuts, count in zip(_scores(part), edges, counts, strict=True):
            code = cell_of(scores.score, cuts) + count.shape[1] * scores.truth
            count += np.bincount(code, minlength=count.size).reshape(count.shape)
    found = [_area(count, cuts) for count, cuts in zip(counts, edges, strict=True)]
    total = int(counts[0].sum())
    first, second = found[0], found[1] if len(found) > 1 else None
    if second is None:
        return _Values(total, first[0], first[1], bound=first[2])
    return _Values(total, first[0], first[1], second[0], second[1], first[2], second[2])


def _scores(part: Pair) -> list[Scored]:
    return [part.candidate] if part.other is None else [part.candidate, part.other]


def cell_of(score: Floats, edges: Floats) -> Codes:
    """(n,) the cell of each score: 2i+1 for the edge i itself, 2i for what lies below it and above the one before.

    >>> cell_of(np.array([0.1, 0.2, 0.3, 0.9]), np.array([0.2, 0.5])).tolist()
    [0, 1, 2, 4]
    """
    below = np.searchsorted(edges, score)
    return np.asarray(2 * below + (edges[np.minimum(below, len(edges) - 1)] == score), dtype=np.int64)


def _edges(parts: Parts, rows: int) -> list[Floats]:
    """Return scores that cut cells of about as many rows each, for each model: of a sample, drawn with a fixed seed.

    A score that many rows share is among them, and ties in its cell are ties.
    """
    rng, drawn = np.random.default_rng(7), []
    for part in parts():
        chosen = rng.random(len(part.candidate.truth)) < SAMPLE / max(1, rows)
        drawn.append([scores.score[chosen] for scores in _scores(part)])
    found = []
    for role in zip(*drawn, strict=True):
        values = np.sort(np.concatenate(role))
        if not len(values):
            raise Undefined("no rows")
        found.append(np.unique(values[np.linspace(0, len(values) - 1, EDGES).astype(np.int64)]))
    return found


def _area(count: NDArray[np.int64], edges: Floats) -> tuple[float, Callable[[Scored], Floats], float]:
    """Return the area, each row's influence on it, and by how much the area may be off.

    count  (2, cells) rows of each label in each cell
    """
    sizes = count.sum(axis=1)
    _enough(sizes)
    used = count.reshape(-1) > 0
    label, cell = np.divmod(np.arange(count.size), count.shape[1])
    if len(np.unique(cell[used])) == 1:
        raise Undefined(f"all {int(sizes.sum())} scores lie in one cell: a model that ranks nothing")
    weight = count.reshape(-1)[used].astype(np.float64)
    cells = Scored(label[used] == 1, cell[used].astype(np.float64), weight)
    found = area(cells.truth, cells.score, cells)
    influence = np.zeros(count.size)
    influence[used] = found.values / weight  # of each of so many equal rows

    def of(part: Scored) -> Floats:
        return np.asarray(influence[cell_of(part.score, edges) + count.shape[1] * part.truth])

    within = float((count[0, ::2] / sizes[0] * (count[1, ::2] / sizes[1])).sum()) / 2
    return found.estimate, of, within


def _widened(found: Interval, bound: float) -> Interval:
    """Return an interval of an estimate that may be off by `bound`: both bounds and both tests give way by as much."""
    if not bound:
        return found

    def given_way(test: PValue) -> PValue:
        return lambda limit, upper: test(limit + bound if upper else limit - bound, upper)

    tests = tuple(given_way(test) for test in found.tests)
    method = f"{found.method}, of scores in cells: {bound:.1g} wider"
    return replace(found, low=found.low - bound, high=found.high + bound, method=method, tests=tests)
