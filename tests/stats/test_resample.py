"""The bootstrap: what it draws, which of two bounds it takes, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from weighin.stats.intervals import Interval, Undefined
from weighin.stats.resample import DRAWS, bootstrap
from weighin.stats.scored import Scored

N = 40


def number(n: int = N) -> Scored:
    """Rows whose truth is their number."""
    return Scored(np.arange(n, dtype=np.float64), np.zeros(n))


def skewed(seed: int, n: int = N) -> tuple[Scored, Scored]:
    truth = np.zeros(n)
    random = np.random.default_rng(seed)
    return Scored(truth, np.exp(random.normal(size=n))), Scored(truth, np.exp(random.normal(size=n)) + 0.5)


def mean(rows: Scored) -> float:
    return float(rows.score.mean())


def drawn(group: NDArray[np.int64] | None, n: int = N) -> list[NDArray[np.int64]]:
    """The rows of each resampled set, after those of all rows."""
    seen = []

    def value(rows: Scored) -> float:
        seen.append(rows.truth.astype(np.int64))
        return float(rows.truth.mean())

    bootstrap(value, number(n), None, group, 0.95)
    assert len(seen) == DRAWS + 1
    assert seen[0].tolist() == list(range(n))
    return seen[1:]


def test_each_row_is_drawn_as_often_as_any_other() -> None:
    sets = drawn(None)
    assert {len(rows) for rows in sets} == {N}
    counts = np.bincount(np.concatenate(sets), minlength=N)
    assert stats.chisquare(counts).pvalue > 1e-4
    # Drawn again with the same seed: a decision can be made again.
    assert all(np.array_equal(a, b) for a, b in zip(sets, drawn(None), strict=True))


def test_groups_are_drawn_whole_and_their_rows_stay_in_order() -> None:
    n = 600
    group = np.random.default_rng(1).permutation(np.arange(n) % 12 * (np.arange(n) % 7 > 0))
    size = np.bincount(group)
    counts = np.zeros(12)
    for rows in drawn(group, n):
        start, taken = 0, 0
        while start < len(rows):
            code = group[rows[start]]
            assert rows[start : start + size[code]].tolist() == np.flatnonzero(group == code).tolist()
            start, taken = start + size[code], taken + 1
            counts[code] += 1
        assert taken == 12
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("factor", [None, 0.9])
@pytest.mark.parametrize("level", [0.9, 0.975])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_bound_is_the_outer_one_of_two(seed: int, level: float, factor: float | None) -> None:
    one, two = skewed(seed)
    asked: list[float] = []

    def value(rows: Scored) -> float:
        asked.append(mean(rows))
        return asked[-1]

    found = (
        bootstrap(value, one, two, None, level) if factor is None else bootstrap(value, one, two, None, level, factor)
    )
    factor = 1.0 if factor is None else factor
    both = np.array(asked).reshape(-1, 2)
    estimate, *values = both[:, 0] - factor * both[:, 1]
    assert found.estimate == pytest.approx(mean(one) - factor * mean(two))
    # Drawn sets vary less than samples do, by the root of (units - 1) / units.
    error = np.std(values, ddof=1) * (N / (N - 1)) ** 0.5
    half = stats.t.ppf(level, N - 1) * error
    low, high = np.quantile(values, [1 - level, level])
    assert found.standard_error == pytest.approx(error)
    assert (found.low, found.high) == pytest.approx((min(low, estimate - half), max(high, estimate + half)))
    assert (found.level, found.n, found.method) == (level, N, "bootstrap, 1,000 draws")


def p_values(found: Interval, limit: float, upper: bool) -> tuple[float, float]:
    by_draws, by_t = found.tests
    assert (found.p_above if upper else found.p_below)(limit) == max(by_draws(limit, upper), by_t(limit, upper))
    return by_draws(limit, upper), by_t(limit, upper)


def test_a_p_value_is_the_larger_one_of_two() -> None:
    one, _ = skewed(3)
    values = []

    def value(rows: Scored) -> float:
        values.append(mean(rows))
        return values[-1]

    found = bootstrap(value, one, None, None, 0.95)
    draws = np.array(values[1:])
    # A limit on a draw itself counts it, on either side.
    for limit in (0.0, float(np.sort(draws)[100]), found.estimate, float(np.sort(draws)[960]), 9.0):
        t = (found.estimate - limit) / found.standard_error
        for upper, beyond, tail in ((True, draws <= limit, stats.t.sf), (False, draws >= limit, stats.t.cdf)):
            expected = (beyond.sum() + 1) / (DRAWS + 1), tail(t, N - 1)
            assert p_values(found, limit, upper) == pytest.approx(expected)


def test_ten_units_are_enough() -> None:
    ten = np.random.default_rng(4).normal(size=10)
    assert bootstrap(mean, Scored(np.zeros(10), ten), None, None, 0.95).n == 10
    grouped = Scored(np.zeros(30), np.repeat(ten, 3))
    assert bootstrap(mean, grouped, None, np.arange(30) // 3, 0.95).n == 10
    said = r"^9 independent units, at least 10 are needed$"
    with pytest.raises(Undefined, match=said):
        bootstrap(mean, Scored(np.zeros(9), ten[:9]), None, None, 0.95)
    with pytest.raises(Undefined, match=said):
        bootstrap(mean, grouped, None, np.arange(30) % 9, 0.95)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["all rows", "a drawn set"])
def test_a_number_that_is_not_finite_once_is_no_number(bad: float, where: str) -> None:
    calls = [0]

    def value(rows: Scored) -> float:
        calls[0] += 1
        return bad if calls[0] == (1 if where == "all rows" else 500) else mean(rows)

    said = r"^the metric is not a finite number for these rows, or for a resampled set of them$"
    with pytest.raises(Undefined, match=said):
        bootstrap(value, skewed(5)[0], None, None, 0.95)


@pytest.mark.parametrize("same", [0.0, 0.5, 0.1])
def test_a_metric_that_does_not_vary_has_no_interval(same: float) -> None:
    # 0.1 in each row is something else in the last digit of a mean, depending on which rows it is a mean of.
    truth = np.random.default_rng(6).normal(size=N)
    rows = Scored(truth, truth + same)
    with pytest.raises(Undefined, match=r"^the metric is the same for every resampled set: no interval exists$"):
        bootstrap(lambda r: float(r.error.mean()), rows, None, None, 0.95)


def test_a_difference_that_does_not_vary_is_zero_or_has_no_interval() -> None:
    one, _ = skewed(7)
    other = Scored(one.truth, one.score + 0.1)
    with pytest.raises(
        Undefined, match=r"^the difference of the metric is the same for every resampled set: no interval exists$"
    ):
        bootstrap(mean, other, one, None, 0.95)
    # The same predictions in other digits are the same.
    copy = Scored(one.truth, one.score * (1 + 1e-15))
    for two in (one, copy):
        found = bootstrap(mean, two, one, None, 0.95)
        assert (found.estimate, found.low, found.high, found.standard_error) == (0.0, 0.0, 0.0, 0.0)
        assert (found.p_above(0.0), found.p_below(0.0)) == (1.0, 1.0)
        assert (found.p_above(-0.1), found.p_below(0.1)) == (1 / (DRAWS + 1),) * 2
        assert (found.p_above(0.1), found.p_below(-0.1)) == (1.0, 1.0)
    # Mistakes that no row shows are no proof that both make as many.
    with pytest.raises(Undefined, match=r"^the difference of the metric is the same for every resampled set"):
        bootstrap(lambda rows: float((rows.error > 1e6).sum()), other, one, None, 0.95)
    # Two that are both perfect are the same, too.
    best = Scored(one.truth, one.truth)
    assert bootstrap(mean, best, best, None, 0.95).high == 0.0
    # A part of a copy is no copy.
    assert bootstrap(mean, one, copy, None, 0.95, 0.9).low > 0
