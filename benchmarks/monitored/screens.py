"""Which looks could alarm at all, for a whole month at once.

`look` costs up to 0.15 s for a window, and a month has 8,640 looks. A check alarms where all of its windows fail, and
whether one could fail is told from counts: exactly for shares, where the project's own functions are asked once for
each number of rows; for drift and metrics by a condition without which no window fails, with a margin. What remains is
handed to `look` itself: every alarm that is counted is one of its own, and `compare` in alarms.py shows that none is
missed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from scipy import special

from monitored.streams import LEVELS, Month
from weighin.contract import Check
from weighin.contract.checks import ChangedRule
from weighin.data.profile import Profile
from weighin.monitor.rules import Watched
from weighin.outcome import Direction, Limit, Status, decide
from weighin.stats.intervals import clopper_pearson
from weighin.suites.sample import sample

SLACK = 0.97
"""Of the quantile that the bound on drift takes; the screen leaves nothing else out but what makes it lower."""
METRIC_SLACK = 0.85
"""Of the normal quantile: the interval takes Student's t and a skewness, both of which make it wider."""

Floats = np.ndarray
Counted = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(first, behind) -> (looks, cells) rows of each window by cell."""


def running(codes: np.ndarray, cells: int) -> Counted:
    """Counts of windows from one running sum a cell. `codes` (n,); what lies in no cell is -1."""

    def counted(first: np.ndarray, behind: np.ndarray) -> np.ndarray:
        found = np.empty((len(first), cells), dtype=np.int64)
        for cell in range(cells):
            sums = sums_of(cell)
            found[:, cell] = sums[behind] - sums[first]
        return found

    held: dict[int, np.ndarray] = {}

    def sums_of(cell: int) -> np.ndarray:
        if cell not in held:
            held[cell] = np.concatenate([[0], np.cumsum(codes == cell, dtype=np.int32)])
        return held[cell]

    return counted


def could_alarm(item: Watched, month: Month, before: Profile, looks: np.ndarray, windows: int) -> np.ndarray:
    """Those of the looks at which so many windows of a check could fail."""
    labelled = item.kind == "metric"
    counted = running(*coded(item, month, before))
    column = before.columns[item.column].counts.sum(axis=0) if item.kind == "drift" else None
    for back in range(windows):
        first, behind = month.bounds(item.window, looks, back, labelled=labelled)
        enough = behind - first >= item.window.rows_at_least
        looks, first, behind = looks[enough], first[enough], behind[enough]
        if not len(looks):
            break
        looks = looks[could_fail(item, counted(first, behind), behind - first, column)]
    return looks


def coded(item: Watched, month: Month, before: Profile) -> tuple[np.ndarray, int]:
    """Each row's cell, -1 for none, in the order in which the check's windows have them; and the number of cells."""
    if item.kind == "errors":
        return np.where(month.failed, 0, -1).astype(np.int8), 1
    if item.kind == "latency":
        return np.where(month.slow, -1, 0).astype(np.int8), 1
    if item.kind == "metric":
        return (2 * month.level + month.label)[month.order], 2 * len(LEVELS)
    cells = before.columns[item.column].cells
    values = month.temp if item.column == "temp" else LEVELS[month.level]
    return np.where(month.failed, -1, np.searchsorted(cells.edges, values, side="right")).astype(np.int8), cells.count


def could_fail(item: Watched, counts: np.ndarray, rows: np.ndarray, before: Floats | None) -> np.ndarray:
    """(looks,) whether a window with these counts could fail. `before` are the reference's, of a check on drift."""
    if item.kind in ("errors", "latency"):
        few = np.array([critical(int(n), item.kind, item.limit) for n in np.unique(rows)])
        bound = few[np.searchsorted(np.unique(rows), rows)]
        return counts[:, 0] >= bound if item.kind == "errors" else counts[:, 0] <= bound
    if item.kind == "drift":
        assert before is not None
        return drift_could_fail(before, counts.astype(float), item.limit)
    table = counts.reshape(len(counts), len(LEVELS), 2).astype(float)
    estimate, error = METRIC[item.metric](table)
    z = METRIC_SLACK * float(special.ndtri(1 - item.limit.alpha))
    if item.limit.direction is Direction.AT_LEAST:
        return estimate + z * error < item.limit.value
    return estimate - z * error > item.limit.value


@cache
def critical(n: int, kind: str, limit: Limit) -> int:
    """The fewest failures, or the most quick answers, of n with which the window fails; by the project's functions."""

    def fails(count: int) -> bool:
        found = clopper_pearson(count, n, 1 - limit.alpha)
        measured = sample(Check("x", "monitor", limit, ChangedRule()), found, "share", "rows", {})
        return decide(measured, limit).status is Status.FAILED

    # The bounds rise with the count, so that those that fail lie at one end.
    low, high = -1, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        if fails(middle) == (kind == "errors"):
            high = middle
        else:
            low = middle
    return high if kind == "errors" else low


def drift_could_fail(before: Floats, counts: Floats, limit: Limit) -> np.ndarray:
    """(looks,) whether the lower bound of the population stability index could lie above the limit.

    The bound of `weighin.stats.drift.psi` for independent rows, without what rare bins may take off it.
    """
    n, rows = counts.sum(axis=1, keepdims=True), before.sum()
    held = (before + counts) > 0
    share, was = counts / np.maximum(n, 1), before / rows
    q = np.where(share == 0, np.minimum(0.5 / np.maximum(n, 1), was), share)
    p = np.where(was == 0, np.minimum(0.5 / rows, share), was)
    q, p = q / q.sum(axis=1, keepdims=True), p / p.sum(axis=1, keepdims=True)
    q, p = np.where(held, q, 1.0), np.where(held, p, 1.0)
    statistic = ((q - p) * np.log(q / p)).sum(axis=1)
    variance, third = 0.0, 0.0
    bias, bent = 0.0, 0.0
    for own, of, other, size in ((share, q, p, n[:, 0]), (was, p, q, np.full(len(n), rows))):
        weights = np.log(of / other) + 1 - other / of
        centred = np.where(held, weights - (own * weights).sum(axis=1, keepdims=True), 0.0)
        variance = variance + (own * centred**2).sum(axis=1) / size
        third = third + (own * centred**3).sum(axis=1) / size**2
        by = np.where(held, (1 / of + other / of**2) / 2, 0.0)
        each = own * (1 - own) / size[:, None]
        bent = bent + (by * each).sum(axis=1)
        bias = bias + (np.minimum(by, 1 / of) * each).sum(axis=1)
    bins = held.sum(axis=1)
    scale = np.maximum(bias / np.maximum(bins - 1, 1), 1 / rows + 1 / np.maximum(n[:, 0], 1))
    positive = np.maximum(statistic, 1e-300)
    scale = np.maximum(scale, np.where(statistic > 0, variance / (4 * positive), 0.0))
    z = float(special.ndtri(1 - limit.alpha))
    skewness = np.where(variance > 0, third / np.maximum(variance, 1e-300) ** 1.5, 0.0)
    reach = z + np.maximum(0.0, -skewness / 3 * (2 * z * z + 1))
    degrees = np.maximum(np.maximum(bias, bent) / scale, 1e-3)
    below = special.chndtr(statistic / scale, degrees, limit.value / scale)
    return (bins >= 2) & (below > special.ndtr(SLACK * reach))


def auc(table: Floats) -> tuple[Floats, Floats]:
    """(looks,) area under the ROC curve and DeLong's standard error, from counts by level and label."""
    negative, positive = table[..., 0], table[..., 1]
    m, n = positive.sum(axis=1, keepdims=True), negative.sum(axis=1, keepdims=True)
    m, n = np.maximum(m, 1), np.maximum(n, 1)
    beaten = (np.cumsum(negative, axis=1) - negative / 2) / n
    beating = 1 - (np.cumsum(positive, axis=1) - positive / 2) / m
    area = (positive * beaten).sum(axis=1, keepdims=True) / m
    variance = (positive * (beaten - area) ** 2).sum(axis=1) / m[:, 0] ** 2
    variance = variance + (negative * (beating - area) ** 2).sum(axis=1) / n[:, 0] ** 2
    return area[:, 0], np.sqrt(variance)


def log_loss(table: Floats) -> tuple[Floats, Floats]:
    """(looks,) mean and standard error, likewise."""
    loss = -np.log(np.column_stack([1 - LEVELS, LEVELS]))
    n = np.maximum(table.sum(axis=(1, 2)), 1)
    mean = (table * loss).sum(axis=(1, 2)) / n
    return mean, np.sqrt(np.maximum(0.0, (table * loss**2).sum(axis=(1, 2)) / n - mean**2) / n)


METRIC: dict[str, Callable[[Floats], tuple[Floats, Floats]]] = {"roc_auc": auc, "log_loss": log_loss}
