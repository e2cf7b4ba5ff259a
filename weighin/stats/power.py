"""How often a candidate that is exactly as good as its champion would pass, on this much data and on more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from weighin.stats.distributions import normal_cdf, normal_quantile, t_quantile
from weighin.stats.intervals import Codes, Floats

DRAWS = 20_000
WANTED = 0.8
FOREVER = 1e6
"""Times the data at which we stop looking: what needs more than this is said to be out of reach."""


@dataclass(frozen=True)
class Planned:
    """One check, for planning.

    distance   how far the true value lies on the allowed side of the limit; negative beyond it
    influence  (n,) influence values of the estimate
    level      one-sided confidence that the check demands
    """

    check: str
    distance: float
    influence: Floats
    level: float


@dataclass(frozen=True)
class Power:
    """Probability of a pass, and the units at which it reaches 80 %; None where no amount of data is enough."""

    check: str
    probability: float
    n_required: int | None


def power(planned: list[Planned], group: Codes | None) -> tuple[list[Power], Power]:
    """Power of each check, and of all together.

    group  (n,) codes of rows that depend on each other, or None
    The estimates are taken as jointly normal with the covariance of the group sums (checks on the same rows succeed
    and fail together); the bounds as Student's t. Result: one `Power` a check, and one for passing all of them.
    """
    sums = [p.influence if group is None else np.bincount(group, weights=p.influence) for p in planned]
    units = len(sums[0])
    errors = np.array([_error(s) for s in sums])
    quantiles = np.array([t_quantile(p.level, units - 1) for p in planned])
    distances = np.array([p.distance for p in planned])
    single = []
    for p, error, quantile in zip(planned, errors, quantiles, strict=True):
        if error == 0:
            single.append(Power(p.check, float(p.distance >= 0), units if p.distance >= 0 else None))
            continue
        reach = normal_cdf(p.distance / error - quantile)
        single.append(Power(p.check, reach, _units(units, _times(p.distance, error, quantile))))
    matrix = np.array(sums) / np.where(errors > 0, errors, 1.0)[:, None]
    rng = np.random.default_rng(0)
    # Drawn from the covariance of the estimates, and not from signs of each unit, which took a minute and gigabytes.
    values, vectors = np.linalg.eigh(matrix @ matrix.T * units / (units - 1))
    draws = rng.standard_normal((DRAWS, len(planned))) * np.sqrt(values.clip(0)) @ vectors.T
    varies = errors > 0

    def together(times: float) -> float:
        allowed = distances[varies] / errors[varies] * math.sqrt(times) - quantiles[varies]
        passes = bool((distances[~varies] >= 0).all())
        return float((draws[:, varies] >= -allowed).all(axis=1).mean()) if passes else 0.0

    needed = None
    if together(FOREVER) >= WANTED:
        # Where nothing varies, nothing says that fewer units would do.
        log = -6.0 if varies.any() else 0.0
        if together(10**log) < WANTED:
            log = optimize.brentq(lambda v: together(10**v) - WANTED + 1e-9, -6, 6, xtol=1e-3)
        needed = _units(units, 10**log)
    return single, Power("all of them", together(1.0), needed)


def _units(units: int, times: float) -> int | None:
    return math.ceil(units * times) if times <= FOREVER else None


def share_needed(distance: float, influence: Floats, group: Codes | None, level: float) -> float:
    """Return how many times the data a check needs to pass 80 % of candidates whose true value has this distance."""
    sums = influence if group is None else np.bincount(group, weights=influence)
    return _times(distance, _error(sums), t_quantile(level, len(sums) - 1)) if len(sums) > 1 else math.inf


def _error(sums: NDArray[Any]) -> float:
    return math.sqrt(len(sums) / (len(sums) - 1) * float(np.square(sums).sum()))


def _times(distance: float, error: float, quantile: float) -> float:
    return ((quantile + normal_quantile(WANTED)) * error / distance) ** 2 if distance > 0 else math.inf
