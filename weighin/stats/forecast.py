"""Metrics of forecasts, beside those of any number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from weighin.stats.intervals import Undefined
from weighin.stats.scored import Influence, Scored, average, ratio_of_sums


def smape(rows: Scored) -> Influence:
    """Symmetric mean absolute percentage error, as a share in [0, 2]; 0 for a row where both are zero.

    Source: Makridakis 1993.
    """
    scale = (np.abs(rows.truth) + np.abs(rows.score)) / 2
    return average(np.abs(rows.error) / np.where(scale > 0, scale, 1.0), rows)


def wape(rows: Scored) -> Influence:
    """Sum of the absolute errors over the sum of the absolute truths. Undefined where all truths are zero."""
    if not np.any(rows.truth):
        raise Undefined("every target is zero: an error as a share of them does not exist")
    return ratio_of_sums(np.abs(rows.error), np.abs(rows.truth), rows)


def mase(rows: Scored) -> Influence:
    """Mean absolute error over that of the (seasonal) naive forecast on the series' past, which `scale` holds.

    Source: Hyndman and Koehler 2006. Undefined where a scale is no positive number.
    """
    if rows.scale is None:
        raise TypeError("errors are scaled by what the contract names as `model.forecast.scale`")
    wrong = int((~(np.isfinite(rows.scale) & (rows.scale > 0))).sum())
    if wrong:
        raise Undefined(f"the scale of {wrong} rows is no positive number: their series never changed before")
    return average(np.abs(rows.error) / rows.scale, rows)


def pinball(quantile: float) -> Callable[[Scored], Influence]:
    """Mean pinball loss of a forecast of this quantile, in the target's unit. Source: Koenker and Bassett 1978."""

    def measure(rows: Scored) -> Influence:
        error = rows.error
        return average(np.where(error < 0, -quantile * error, (1 - quantile) * error), rows)

    return measure


def coverage(rows: Scored) -> Influence:
    """Share of the truths that lie within the forecast interval, in [0, 1]; its bounds are part of it."""
    low, high = _bounds(rows)
    return average(((rows.truth >= low) & (rows.truth <= high)).astype(np.float64), rows)


def interval_width(rows: Scored) -> Influence:
    """Mean width of the forecast interval, in the target's unit."""
    low, high = _bounds(rows)
    return average(high - low, rows)


def _bounds(rows: Scored) -> tuple[np.ndarray, np.ndarray]:
    """Errors: `Undefined` where an interval ends before it begins."""
    low, high = rows.score[:, 0], rows.score[:, 1]
    wrong = int((low > high).sum())
    if wrong:
        raise Undefined(f"{wrong} of {len(low)} intervals end before they begin")
    return low, high
