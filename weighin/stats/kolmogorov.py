"""Kolmogorov-Smirnov distance from counts in fine cells."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from weighin.stats.drift import Distance
from weighin.stats.intervals import Floats, Undefined
from weighin.stats.shares import Counts, Shares


def single_valued(inner: Floats) -> NDArray[np.bool_]:
    """(cells,) whether a cell between the inner edges of `drift.edges` holds one value and no other.

    >>> single_valued(np.array([0.0, 5e-324, 0.5])).tolist()
    [False, True, False, False]
    """
    inner = np.asarray(inner, dtype=np.float64)
    single = np.zeros(len(inner) + 1, dtype=bool)
    single[1:-1] = inner[1:] == np.nextafter(inner[:-1], np.inf)
    return single


def kolmogorov_smirnov(
    reference: Counts,
    current: Counts,
    level: float,
    reference_groups: bool = False,
    current_groups: bool = False,
    single: NDArray[np.bool_] | None = None,
) -> Distance:
    """Largest difference of two distribution functions, from counts in ordered cells.

    reference, current  (cells,) counts; or (groups, cells) with `..._groups`. Missing values are left out
    level               one-sided confidence of each bound
    single              (cells,) cells in which only one value can lie, from `single_valued`; by default none

    Between 0 and 1. The largest difference may lie inside a cell (a, b]: there it is at most the larger of F(b) - G(a)
    and G(b) - F(a), so the upper bound exceeds what is seen at the edges by about a cell's share; about 100 quantiles
    of the reference make that 0.01. The true place of the largest difference is one fixed point, so the upper bound is
    the largest of the pointwise bounds. The lower bound takes off a band over all points (Massart 1990, with the rows
    of both tables joined as nm / (n + m)); for groups with the rows that the point of largest variance is worth.
    Errors: `Undefined` for an empty table, fewer than two cells, or too few groups.

    >>> k = kolmogorov_smirnov(np.array([500.0, 500.0]), np.array([300.0, 700.0]), 0.95)
    >>> round(k.statistic, 3)
    0.2
    """
    reference, current = np.atleast_2d(reference), np.atleast_2d(current)
    cells = reference.shape[1]
    if cells < 2 or current.shape[1] != cells:
        raise Undefined(f"{cells} cells against {current.shape[1]}, at least 2 in common are needed")
    one, other = Shares.of(reference, reference_groups), Shares.of(current, current_groups)
    inside = np.ones(cells, dtype=bool) if single is None else ~np.asarray(single, dtype=bool)
    f, g = _function(one), _function(other)
    at_edges = np.abs(f - g)
    statistic = float(at_edges.max())
    errors = _error(one), _error(other)
    variance = errors[0] + errors[1]
    rows = _worth(one, errors[0]), _worth(other, errors[1])
    joined = rows[0] * rows[1] / (rows[0] + rows[1])

    def lower(at: float) -> float:
        error = float(special.ndtr(-_reach(at, one, other)))
        return max(0.0, statistic - math.sqrt(math.log(2 / error) / (2 * joined)))

    def upper(at: float) -> float:
        reach = _reach(at, one, other)
        bounds = [at_edges + reach * np.sqrt(variance)]
        if inside.any():
            bounds.append(((f[1:] - g[:-1]) + reach * np.sqrt(errors[0][1:] + errors[1][:-1]))[inside])
            bounds.append(((g[1:] - f[:-1]) + reach * np.sqrt(errors[1][1:] + errors[0][:-1]))[inside])
        return min(1.0, float(np.concatenate(bounds).max()))

    return Distance(statistic, lower(level), upper(level), level, other.units, cells, other.effect(), statistic, lower)


def _function(shares: Shares) -> Floats:
    """(cells + 1,) distribution function at the edges, from 0 to 1."""
    return np.concatenate([[0.0], np.cumsum(shares.share)])


def _error(shares: Shares) -> Floats:
    """(cells + 1,) variance of the distribution function at the edges, not below that of independent rows."""
    f = _function(shares)
    plain: Floats = np.maximum(0.0, f * (1 - f)) / shares.rows
    if shares.residual is None:
        return plain
    groups = len(shares.residual)
    between = groups / (groups - 1) * np.square(np.cumsum(shares.residual, axis=1)).sum(axis=0)
    plain[1:] = np.maximum(plain[1:], between)
    return plain


def _worth(shares: Shares, variance: Floats) -> float:
    """Independent rows that would have this largest variance at the middle of a distribution."""
    if shares.residual is None:
        return shares.rows
    return min(shares.rows, 1 / (4 * float(variance.max()))) if variance.any() else shares.rows


def _reach(level: float, one: Shares, other: Shares) -> float:
    """Return the normal quantile, or Student's t with the degrees of freedom of the table with fewest groups."""
    groups = [s.units for s in (one, other) if s.residual is not None]
    return float(special.stdtrit(min(groups) - 1, level)) if groups else float(special.ndtri(level))
