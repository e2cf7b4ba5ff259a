"""Bootstrap for metrics that we know nothing about."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from weighin.stats.distributions import t_cdf, t_quantile, t_sf
from weighin.stats.intervals import MIN_GROUPS, ROUNDING, Codes, Interval, Undefined
from weighin.stats.scored import Scored

DRAWS = 1_000

Value = Callable[[Scored], float]


def bootstrap(
    value: Value, candidate: Scored, other: Scored | None, group: Codes | None, level: float, factor: float = 1.0
) -> Interval:
    """Interval of `value(candidate) - factor * value(other)` by resampling rows, or whole groups, of both together.

    Efron 1979. Each bound is the outer one of the percentile bound and of Student's t around the estimate with the
    bootstrap's standard error. O(`DRAWS` * n): the caller bounds n. The seed is fixed. The same predictions differ by
    zero, which is certain.
    Errors: `Undefined` with fewer than `MIN_GROUPS` units, where the metric is not finite for a resampled set, or where
    it, or the difference to other predictions, is the same for all of them but for rounding.
    """
    members = None if group is None else _members(group)
    units = len(candidate.truth) if members is None else len(members)
    if units < MIN_GROUPS:
        raise Undefined(f"{units} independent units, at least {MIN_GROUPS} are needed")

    def measured(rows: np.ndarray) -> tuple[float, float]:
        return value(candidate.rows(rows)), 0.0 if other is None else factor * value(other.rows(rows))

    one, theirs = measured(np.arange(len(candidate.truth)))
    estimate = one - theirs
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        picked = rng.integers(0, units, units)
        drawn.append(measured(picked if members is None else np.concatenate([members[i] for i in picked])))
    values = np.array([a - b for a, b in drawn])
    if not math.isfinite(estimate) or not np.isfinite(values).all():
        raise Undefined("the metric is not a finite number for these rows, or for a resampled set of them")
    if np.abs(values - estimate).max() <= ROUNDING * (abs(one) + abs(theirs)):
        if other is None or factor != 1 or not candidate.same_as(other, "value"):
            what = "the metric" if other is None else "the difference of the metric"
            raise Undefined(f"{what} is the same for every resampled set: no interval exists")
        estimate, values = 0.0, np.zeros(DRAWS)
    error = float(values.std(ddof=1)) * math.sqrt(units / (units - 1))
    half = t_quantile(level, units - 1) * error
    low, high = (float(v) for v in np.quantile(values, [1 - level, level]))

    def by_draws(limit: float, upper: bool) -> float:
        beyond = int((values <= limit).sum() if upper else (values >= limit).sum())
        return (beyond + 1) / (DRAWS + 1)

    def by_t(limit: float, upper: bool) -> float:
        t = (estimate - limit) / error
        return float(t_sf(t, units - 1) if upper else t_cdf(t, units - 1))

    bounds = min(low, estimate - half), max(high, estimate + half)
    tests = (by_draws, by_t) if error > 0 else (by_draws,)
    return Interval(estimate, *bounds, level, units, error, f"bootstrap, {DRAWS:,} draws", tests)


def _members(group: Codes) -> list[np.ndarray]:
    order = np.argsort(group, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
