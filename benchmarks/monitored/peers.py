"""What others do at each look: a plain Kolmogorov-Smirnov rule."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import stats

from monitored.streams import BEFORE, LOOKS, Month

WINDOW = 1000
P = 0.05
CHUNK = 512


@cache
def critical(reference: int, window: int) -> float:
    """The statistic above which `scipy.stats.ks_2samp` gives a p-value below 0.05; its asymptotic form for many rows."""
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
