"""What others do at each run: a plain Kolmogorov-Smirnov rule."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import special, stats

from monitored.screens import running
from monitored.streams import BEFORE, LOOKS, Month

WINDOW = 1000
P = 0.05
CHUNK = 512


@cache
def critical(reference: int, window: int) -> float:
    """The statistic above which `scipy.stats.ks_2samp` gives p below 0.05, by its asymptotic form for many rows."""
    assert max(reference, window) > 10_000
    rows = round(reference * window / (reference + window))
    return float(stats.kstwo.isf(P, rows))


def ks_statistics(values: np.ndarray, reference: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """(looks,) largest difference of two distribution functions: of the reference, and of the rows before each end.

    values, reference  (n,) without missing values
    behind             (looks,) where the windows end
    """
    ordered = np.sort(reference)
    # The same order as the values', with ties: where each lies in the reference, from below and from above.
    _, place = np.unique(values, return_inverse=True)
    code = place.astype(np.int32)
    kinds = np.unique(values)
    below = np.searchsorted(ordered, kinds, side="left") / len(ordered)
    upto = np.searchsorted(ordered, kinds, side="right") / len(ordered)
    windows = sliding_window_view(code, WINDOW)
    steps = np.arange(WINDOW + 1) / WINDOW
    found = np.empty(len(behind))
    for start in range(0, len(behind), CHUNK):
        rows = np.sort(windows[behind[start : start + CHUNK] - WINDOW], axis=1)
        over = (steps[1:] - upto[rows]).max(axis=1)
        under = (below[rows] - steps[:-1]).max(axis=1)
        found[start : start + CHUNK] = np.maximum(over, under)
    return found


def ks_alarms(month: Month, reference: np.ndarray) -> np.ndarray:
    """(looks,) whether the plain rule alarms: p below 0.05 on the last 1,000 rows of the feature."""
    behind = month.rows[np.arange(LOOKS) + BEFORE + 1]
    return ks_statistics(month.temp, reference, behind) > critical(len(reference), WINDOW)


class Peers:
    """What the plain rule and Evidently say of one column of the year, from counts of its different values.

    Evidently's default for more than a thousand reference rows: Wasserstein distance over the reference's standard
    deviation for numbers, Jensen-Shannon distance for categories, each at 0.1. `agrees` asks Evidently itself.
    """

    def __init__(self, values: np.ndarray, reference: np.ndarray) -> None:
        self._values, self._reference = values, reference
        self.number = values.dtype.kind in "if"
        there = self._there(np.concatenate([values, reference]))
        self._kinds = np.unique(there.astype(float) if self.number else there.astype(str))
        known = self._there(reference)
        self._counts = np.bincount(self._code(known), minlength=len(self._kinds)).astype(float)
        self._counted = running(np.where(self._missing(values), -1, self._code(values)), len(self._kinds))
        self._deviation = max(float(np.std(known.astype(float))), 0.001) if self.number else 0.0

    def _missing(self, values: np.ndarray) -> np.ndarray:
        return np.isnan(values.astype(float)) if self.number else np.zeros(len(values), dtype=bool)

    def _there(self, values: np.ndarray) -> np.ndarray:
        return values[~self._missing(values)]

    def _code(self, values: np.ndarray) -> np.ndarray:
        return np.minimum(
            np.searchsorted(self._kinds, values.astype(float) if self.number else values.astype(str)),
            len(self._kinds) - 1,
        )

    def alarms(self, behind: np.ndarray) -> dict[str, np.ndarray]:
        """Who -> (looks,) whether the 1,000 rows before each end alarm; the plain rule has no answer for categories."""
        found = [self._chunk(behind[i : i + CHUNK]) for i in range(0, len(behind), CHUNK)]
        return {actor: np.concatenate([f[actor] for f in found]) for actor in found[0]}

    def _chunk(self, behind: np.ndarray) -> dict[str, np.ndarray]:
        counts = self._counted(behind - WINDOW, behind)
        rows, known = counts.sum(axis=1), self._counts.sum()
        if not self.number:
            p, q = self._counts / known, counts / rows[:, None]
            middle = (p + q) / 2
            parts = special.rel_entr(p[None, :], middle) + special.rel_entr(q, middle)
            return {"evidently": np.sqrt(parts.sum(axis=1) / 2) >= 0.1}
        apart = np.abs(np.cumsum(counts, axis=1) / rows[:, None] - np.cumsum(self._counts) / known)
        bound = np.array([critical(int(known), int(n)) for n in rows])
        distance = (apart[:, :-1] * np.diff(self._kinds)).sum(axis=1)
        return {"ks": apart.max(axis=1) > bound, "evidently": distance / self._deviation >= 0.1}

    def agrees(self, behind: np.ndarray) -> int:
        """At how many of these ends Evidently itself, or scipy, says something else."""
        import pandas as pd
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import ValueDrift

        kind = {"numerical_columns" if self.number else "categorical_columns": ["x"]}
        known = Dataset.from_pandas(pd.DataFrame({"x": self._reference}), data_definition=DataDefinition(**kind))
        ours, others = self.alarms(behind), 0
        for i, end in enumerate(behind):
            rows = self._values[end - WINDOW : end]
            now = Dataset.from_pandas(pd.DataFrame({"x": rows}), data_definition=DataDefinition(**kind))
            notified = Report([ValueDrift(column="x")]).run(now, known).dict()["metrics"][0]
            others += bool(float(notified["value"]) >= 0.1) != bool(ours["evidently"][i])
            if self.number:
                p = stats.ks_2samp(self._there(self._reference), self._there(rows)).pvalue
                others += bool(p < P) != bool(ours["ks"][i])
        return others
