"""How probably a fault is caught at each size: a probit curve over the logarithm of the size, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weighin.stats.distributions import _special, normal_quantile
from weighin.stats.intervals import Undefined

Floats = NDArray[np.float64]
WANTED = 0.8
LEVEL = 0.95
"""Two-sided confidence of an interval."""
LEAST = 0.5
"""A largest size that is caught less often than this says nothing of where it would be caught with `WANTED`."""
SLOPES = np.geomspace(0.3, 60.0, 90)
"""Slopes of the probit per unit of the logarithm that are tried: the steepest is a step for every purpose here."""
SIZES = 1200
"""Sizes that are tried, between a quarter of the smallest and four times the largest that was seen."""


@dataclass(frozen=True)
class Trials:
    """At one size, how many draws were made and in how many of them the fault was caught."""

    size: float
    caught: int
    draws: int


@dataclass(frozen=True)
class Curve:
    """A fitted curve, P(caught at s) = Phi(slope * log(s / size) + z), z being the normal quantile of `WANTED`.

    size       at which a fault is caught with `WANTED`; None where no size that was tried comes near it
    low, high  of that size, at `LEVEL`; `low` is 0 and `high` infinite where the draws set no bound
    """

    size: float | None
    low: float
    high: float
    slope: float

    def probability(self, size: float) -> float:
        """Return how probably a fault of this size is caught."""
        if self.size is None:
            return 0.0
        return float(_special().ndtr(self.slope * math.log(size / self.size) + normal_quantile(WANTED)))

    def quantile(self, probability: float) -> float:
        """Return the size that is caught with a probability. Errors: `Undefined` where there is no curve."""
        if self.size is None:
            raise Undefined("no size that was tried is caught")
        return self.size * math.exp((normal_quantile(probability) - normal_quantile(WANTED)) / self.slope)


def fit(trials: Sequence[Trials]) -> Curve:
    """Fit the curve by maximum likelihood over a grid; the interval is that of the profile likelihood (Wilks 1938).

    trials  draws at sizes above zero; sizes may come several times
    Where the caught and the missed sizes do not overlap the likelihood is flat between them: the estimate is then the
    upper end of the flat part, so that what is promised was seen. Where not even the largest size is mostly caught,
    there is no estimate, and `low` is what the draws still exclude.
    Errors: `Undefined` without draws or with a size that is not positive.

    >>> seen = [Trials(1, 0, 20), Trials(2, 10, 20), Trials(4, 20, 20)]
    >>> 2.0 < fit(seen).low < fit(seen).size < fit(seen).high < 4.0
    True
    """
    sizes = np.array([t.size for t in trials], dtype=np.float64)
    caught, draws = (np.array([getattr(t, n) for t in trials], dtype=np.float64) for n in ("caught", "draws"))
    if not len(sizes) or draws.sum() == 0 or not (sizes > 0).all() or not np.isfinite(sizes).all():
        raise Undefined("no draws at sizes above zero")
    tried = np.geomspace(sizes.min() / 4, sizes.max() * 4, SIZES)
    likelihood = _log_likelihood(tried, sizes, caught, draws)
    profile = likelihood.max(axis=1)
    best = profile.max()
    # Half the quantile of a chi-square with one degree of freedom, which is that of a normal variable squared.
    inside = tried[profile >= best - normal_quantile((1 + LEVEL) / 2) ** 2 / 2]
    low = 0.0 if inside[0] == tried[0] else float(inside[0])
    high = math.inf if inside[-1] == tried[-1] else float(inside[-1])
    flat = np.flatnonzero(profile >= best - 1e-3)
    place = int(flat[-1])
    slope = float(SLOPES[likelihood[place].argmax()])
    if Curve(float(tried[place]), low, high, slope).probability(float(sizes.max())) < LEAST:
        return Curve(None, low, math.inf, slope)
    if caught.sum() == draws.sum():
        # Every draw was caught: the smallest size that was tried is as far as the promise goes.
        return Curve(float(sizes.min()), 0.0, float(sizes.min()), slope)
    return Curve(float(tried[place]), low, high, slope)


def _log_likelihood(tried: Floats, sizes: Floats, caught: Floats, draws: Floats) -> Floats:
    """(sizes tried, slopes) log-likelihood of all draws."""
    distance = np.log(sizes)[None, None, :] - np.log(tried)[:, None, None]
    linear = SLOPES[None, :, None] * distance + normal_quantile(WANTED)
    log_ndtr = _special().log_ndtr
    found = (caught * log_ndtr(linear) + (draws - caught) * log_ndtr(-linear)).sum(axis=2)
    return np.asarray(found, dtype=np.float64)
