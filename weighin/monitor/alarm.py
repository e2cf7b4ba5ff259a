"""How sure a window has to be: false alarms per month instead of false alarms per run.

Runs overlap and are many, so nothing is assumed of how they depend on each other: the expected number of false alarms
is at most the sum over the runs of their probabilities (linearity of expectation). An alarm at a run needs
`consecutive_windows` windows to fail that lie side by side, without a row in common. Each fails with probability at
most alpha while the limit is kept. If the rows of one window say nothing of those of another, the run alarms falsely
with at most alpha ** consecutive_windows. With

    alpha = (false alarms per month * minutes between runs / minutes of a month / checks) ** (1 / consecutive_windows)

the expected number of false alarms of all checks in 30 days of runs is at most what the contract states. One window
needs no assumption about windows, and intervals that are right very far out; three windows need alpha near 1 %, where
the methods have been measured.

A limit on drift is one on the distance from the population that the version's profile was drawn from. What a profile is
off its population it is off in every window, so that windows do not fail independently of each other. `shared_alpha`
says at which error of its own each window is measured instead, so that all of them fail together as seldom as above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from weighin.contract.monitor import Evidence
from weighin.outcome import Outcome, Status

MINUTES = 30 * 24 * 60
"""Of a month."""


def window_alpha(evidence: Evidence, checks: int) -> float:
    """Return the one-sided error of each check in each window; never above 0.05.

    checks  how many can raise an alarm

    >>> round(window_alpha(Evidence(false_alarms_per_month=0.5, every_minutes=5, consecutive_windows=3), 20), 4)
    0.0142
    >>> round(window_alpha(Evidence(false_alarms_per_month=0.5, every_minutes=5, consecutive_windows=1), 20) * 1e6, 2)
    2.89
    """
    if checks < 1:
        raise ValueError("without checks there is nothing to be sure of")
    share = evidence.false_alarms_per_month * evidence.every_minutes / MINUTES / checks
    return min(0.05, float(share ** (1 / evidence.consecutive_windows)))


def shared_alpha(alpha: float, windows: int, shared: float) -> float:
    """Return the error of one window with which `windows` of them fail together with `alpha` ** `windows` at most.

    shared  share of a window's error, as a variance, that is the same in all windows: that of the reference

    For errors that are normal: with r standard errors of the reference, a window fails with the probability that what
    is its own lies beyond the bound less r. The product of those, averaged over r, is what is kept.

    >>> round(shared_alpha(0.0142, 3, 0.0), 4), round(shared_alpha(0.0142, 1, 0.5), 4)
    (0.0142, 0.0142)
    >>> round(shared_alpha(0.0142, 3, 0.05), 4), round(shared_alpha(0.0142, 3, 1 / 3), 5)
    (0.0103, 0.00147)
    """
    if windows == 1 or shared <= 0:
        return alpha
    # Upwards in steps of a hundredth: the stricter of two neighbours, and few different ones.
    return _shared_alpha(alpha, windows, min(1.0, math.ceil(100 * shared) / 100))


@lru_cache(maxsize=1024)
def _shared_alpha(alpha: float, windows: int, shared: float) -> float:
    from scipy import special

    at = np.linspace(-9, 9, 1801)
    weight = np.exp(-np.square(at) / 2)
    weight /= weight.sum()

    def together(bound: float) -> float:
        if shared >= 1:
            return float(special.ndtr(-bound))
        fails = special.ndtr((math.sqrt(shared) * at - bound) / math.sqrt(1 - shared))
        return float(weight @ fails**windows)

    low, high = 0.0, 9.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if together(middle) > alpha**windows else (low, middle)
    return min(alpha, float(special.ndtr(-high)))


@dataclass(frozen=True)
class Alarm:
    """A limit that was broken in every one of the windows, the newest first."""

    check: str
    windows: tuple[Outcome, ...]

    @property
    def newest(self) -> Outcome:
        """What the newest window said."""
        return self.windows[0]


def alarm(windows: Sequence[Outcome], evidence: Evidence) -> Alarm | None:
    """Whether windows, the newest first, are an alarm. Nothing but `failed` counts: to be unsure is no alarm."""
    row = tuple(windows[: evidence.consecutive_windows])
    if len(row) < evidence.consecutive_windows or any(o.status is not Status.FAILED for o in row):
        return None
    return Alarm(row[0].check, row)
