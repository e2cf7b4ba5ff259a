"""What a model relies on: permutation importance (Breiman 2001, Machine Learning 45) with intervals.

The importance of a feature is how much the loss grows when the feature's value is another row's, everything else
staying as it is; its reliance is how far the prediction moves. Both are means over pairs of rows, U-statistics of
order two (Fisher, Rudin and Dominici 2019, JMLR 20, "model reliance"). A correlated feature that is permuted alone
makes rows that never occur: the numbers are about the model, not about the world.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from weighin.stats.intervals import MIN_GROUPS, Codes, Floats, Interval, Undefined, from_influence

DRAWS = 2_000
"""Bootstrap draws of a rank correlation: the Monte Carlo error of a 5 % quantile's level is then 0.5 %."""
MIN_FEATURES = 3
"""Two features have two orders: their rank correlation is a coin."""


def per_row(change: Floats, donor: NDArray[np.int64], share: Floats) -> Floats:
    """(n,) values whose plain mean is the mean of `change`, and whose variation is that of its error.

    change  (repeats, n) what permuting did to each row: its loss then minus its loss as it is, or the absolute change
            of its prediction
    donor   (repeats, n) the row whose value each row was given
    share   (n,) weights that sum to one

    A row enters twice, as one that is given a value and as one whose value is given away (Hoeffding 1948): its value
    is what it suffered and what it caused, each as a deviation, added to the mean. The first part alone, which is what
    a table of losses by row shows, makes intervals too narrow, and the more so the more repeats there are: simulated,
    17 % of bounds wrong where 5 % are promised. These are on the wide side instead, since chance in the pairing is
    counted for both rows: by 40 % at one repeat, 20 % at two, 3 % at ten.
    """
    repeats, n = change.shape
    weighted = change * share
    total = float(weighted.sum()) / repeats
    suffered = weighted.mean(axis=0) - share * total
    caused = np.bincount(donor.ravel(), weights=weighted.ravel(), minlength=n) / repeats - total / n
    return np.asarray(total + n * (suffered + caused))


def importance(values: Floats, group: Codes | None, level: float) -> Interval:
    """Permutation importance of one feature: the mean increase of the loss, in the loss's unit, any sign.

    values  (n,) from `per_row`
    group   (n,) codes 0..G-1 of rows that depend on each other, or None
    level   one-sided confidence of each bound

    A feature that is never used has the importance zero and the interval [0, 0]. An importance below zero is noise,
    or a model that is better off without the feature.
    Errors: `Undefined` with too few units, or where a value is not finite.

    >>> importance(np.zeros(50), None, 0.95).high
    0.0
    """
    estimate = float(values.mean())
    return from_influence(estimate, (values - estimate) / len(values), group, level)


def reliance(values: Floats, group: Codes | None, level: float) -> Interval:
    """Mean absolute change of the prediction when a feature is permuted, in the prediction's unit, 0 or more.

    Arguments and errors as in `importance`.
    """
    found = importance(values, group, level)
    return replace(found, low=max(0.0, found.low))


def share(increase: Floats, feature: int, group: Codes | None, level: float) -> Interval:
    """Return the importance of one feature as a share of the sum of all; the shares of all features sum to one.

    increase  (features, n) from `per_row`, one row for each feature
    feature   which of them

    By the delta method: the influence on a ratio a/b is (a_i - a/b b_i) / b. A share lies outside [0, 1] where an
    importance is below zero.
    Errors: `Undefined` where the sum is not clearly above zero at `level`: nothing matters, so nothing has a share.

    >>> share(np.array([np.arange(20.0), np.arange(20.0)]), 0, None, 0.95).estimate
    0.5
    """
    all_of_it = increase.sum(axis=0)
    total = importance(all_of_it, group, level)
    if total.low <= 0:
        raise Undefined(
            f"the model loses nothing when features are permuted: the importances sum to {total.estimate:.4g}, "
            f"at least {total.low:.4g}, so none of them has a share"
        )
    estimate = float(increase[feature].mean()) / total.estimate
    influence = (increase[feature] - estimate * all_of_it) / (total.estimate * len(all_of_it))
    return from_influence(estimate, influence, group, level)


def rank_agreement(candidate: Floats, champion: Floats, group: Codes | None, level: float) -> Interval:
    """Spearman correlation (1904) of two models' importances, in [-1, 1]: 1 where features rank the same in both.

    candidate, champion  (features, n) from `per_row`: the same rows, features and permutations

    Rows, or whole groups, are resampled for both models together (Efron 1979; fixed seed). A resampled correlation is
    on average lower than the one it was drawn from, since noise breaks an order more often than it makes one; each
    bound is the outer one of the percentile bound and of its reflection at the estimate, within [-1, 1].
    Features that matter little in both models have ranks by chance, and pull it down. Where importances differ by less
    than their noise, the same rows favour the same features in both models, and the lower bound is above the truth too
    often: simulated at 0.95 with four of five features within 0.03, in 17 % of samples of 1,000 rows and 4 % of 2,000.
    Errors: `Undefined` with fewer than three features or `MIN_GROUPS` units, where all importances of a model are
    equal, or where that happens in a resampled set.
    """
    features = len(candidate)
    if features < MIN_FEATURES:
        raise Undefined(f"{features} features, at least {MIN_FEATURES} are needed for a rank agreement")
    # (features, units) sums; a mean over rows ranks like its sum.
    ours, theirs = _by_unit(candidate, group), _by_unit(champion, group)
    units = ours.shape[1]
    if units < MIN_GROUPS:
        raise Undefined(f"{units} independent units, at least {MIN_GROUPS} are needed")
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        raise Undefined("an importance is not finite")
    estimate = float(_spearman(ours.sum(axis=1)[None], theirs.sum(axis=1)[None])[0])
    if not math.isfinite(estimate):
        raise Undefined("all importances of a model are equal: they have no order")
    values = _resampled(ours, theirs)
    if not np.isfinite(values).all():
        raise Undefined("all importances of a model are equal in a resampled set of rows: too few rows carry them")
    reflected = 2 * estimate - values
    bounds = np.quantile(np.vstack([values, reflected]), [1 - level, level], axis=1)
    low = max(-1.0, min(estimate, float(bounds[0].min())))
    high = min(1.0, max(estimate, float(bounds[1].max())))

    def by_draws(limit: float, upper: bool) -> float:
        return _beyond(values, limit, upper)

    def by_reflection(limit: float, upper: bool) -> float:
        return _beyond(reflected, limit, upper)

    method = f"Spearman, bootstrap of {'rows' if group is None else 'groups'}, {DRAWS:,} draws"
    return Interval(estimate, low, high, level, units, float(values.std()), method, (by_draws, by_reflection))


def _beyond(values: Floats, limit: float, upper: bool) -> float:
    return (int((values <= limit).sum() if upper else (values >= limit).sum()) + 1) / (DRAWS + 1)


def _by_unit(values: Floats, group: Codes | None) -> Floats:
    if group is None:
        return values
    return np.array([np.bincount(group, weights=row) for row in values])


def _resampled(ours: Floats, theirs: Floats) -> Floats:
    """(DRAWS,) rank correlations of resampled units."""
    units = ours.shape[1]
    rng = np.random.default_rng(0)
    block = max(1, 4_000_000 // units)
    found = []
    for start in range(0, DRAWS, block):
        times = rng.multinomial(units, np.full(units, 1 / units), size=min(block, DRAWS - start)).astype(np.float64)
        found.append(_spearman(times @ ours.T, times @ theirs.T))
    return np.concatenate(found)


def _spearman(one: Floats, other: Floats) -> Floats:
    """(draws,) rank correlation of each pair of rows, ties by midranks; NaN where a row is constant."""
    from scipy.stats import rankdata  # it takes a second, and most processes need no ranks

    a, b = (rankdata(v, axis=1) - (v.shape[1] + 1) / 2 for v in (one, other))
    with np.errstate(invalid="ignore"):
        found = (a * b).sum(axis=1) / np.sqrt(np.square(a).sum(axis=1) * np.square(b).sum(axis=1))
    return np.asarray(found)
