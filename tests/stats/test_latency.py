"""Shares and quantiles of requests that come in bursts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from weighin.stats.intervals import Undefined, clopper_pearson
from weighin.stats.latency import Moments, failures, quantile, rate, ratio, share

LEVEL = 0.95


def moments(seconds: float = 40, per_second: int = 20, starts: int = 1, block: float = 0.5) -> Moments:
    """Requests at equal distances, in each start."""
    due = np.tile(np.arange(seconds * per_second) / per_second, starts)
    return Moments(due + 3, np.repeat(np.arange(starts), int(seconds * per_second)), block)


def test_a_calm_server_is_as_certain_as_its_blocks_and_not_as_its_requests() -> None:
    when = moments()
    found = share(np.ones(len(when.due), bool), when, LEVEL)
    assert found.low == pytest.approx(0.05 ** (1 / 80))
    assert found.low < clopper_pearson(800, 800, LEVEL).low
    assert (found.high, found.n) == (1.0, 80)


def test_a_server_that_answers_nothing_is_surely_failing() -> None:
    when = moments()
    found = share(np.zeros(len(when.due), bool), when, LEVEL)
    assert (found.low, found.estimate) == (0.0, 0.0)
    below, above = found.p_below(0.9), found.p_above(0.01)
    assert below is not None
    assert below < 1e-100
    assert above == 1.0


def test_failures_are_the_mirror_of_successes() -> None:
    when = moments()
    failed = np.arange(len(when.due)) % 50 == 7
    good, bad = share(~failed, when, LEVEL), failures(failed, when, LEVEL)
    assert (bad.low, bad.estimate, bad.high) == pytest.approx((1 - good.high, 0.02, 1 - good.low))
    assert bad.p_above(0.5) == pytest.approx(good.p_below(0.5))
    assert bad.p_below(0.5) == pytest.approx(good.p_above(0.5))


@pytest.mark.parametrize("bad", [0.0, 0.02, 0.3, 1.0])
@pytest.mark.parametrize("limit", [0.01, 0.5, 0.9, 0.96, 0.99])
def test_the_p_value_and_the_bound_say_the_same(bad: float, limit: float) -> None:
    when = moments()
    rng = np.random.default_rng(3)
    found = share(rng.random(len(when.due)) >= bad, when, LEVEL)
    above, below = found.p_above(limit), found.p_below(limit)
    assert above is not None
    assert below is not None
    assert (above < 0.05) == (found.low > limit)
    assert (below < 0.05) == (found.high < limit)


def test_failures_that_come_together_widen_the_interval() -> None:
    when = moments()
    n = len(when.due)
    together, spread = np.ones(n, bool), np.ones(n, bool)
    together[100:180] = False
    spread[::10] = False
    assert together.mean() == spread.mean()
    one, other = share(together, when, LEVEL), share(spread, when, LEVEL)
    assert one.low < other.low - 0.02
    assert one.high > other.high


def test_blocks_grow_until_neighbours_differ() -> None:
    when = moments(seconds=200)
    slow = (when.due // 8).astype(int) % 2 == 0
    found = share(~slow, when, LEVEL)
    assert "since neighbours are alike" in found.method
    assert "alike" not in share(np.arange(len(slow)) % 10 > 0, when, LEVEL).method
    even = share(np.arange(len(slow)) % 2 == 0, when, LEVEL)
    assert found.high - found.low > 3 * (even.high - even.low)


def test_blocks_do_not_reach_over_two_starts() -> None:
    when = moments(seconds=10.3, starts=3)
    codes = when.codes(0.5)
    assert codes.max() + 1 == 3 * 21
    assert all(len(set(when.start[codes == c])) == 1 for c in range(63))


def test_starts_that_differ_count_as_units() -> None:
    when = moments(starts=3)
    rng = np.random.default_rng(0)
    alike = rng.random(len(when.due)) < 0.9
    differ = rng.random(len(when.due)) < np.array([0.99, 0.9, 0.81])[when.start]
    assert "starts differ" not in share(alike, when, LEVEL).method
    found = share(differ, when, LEVEL)
    assert "3 starts differ" in found.method
    assert found.high - found.low > 2 * (share(alike, when, LEVEL).high - share(alike, when, LEVEL).low)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.95])
def test_a_quantile_lies_in_its_interval_and_no_narrower_than_order_statistics(p: float) -> None:
    when = moments(seconds=100)
    latency = np.random.default_rng(1).exponential(10, len(when.due))
    found = quantile(latency, p, when, LEVEL)
    ordered = np.sort(latency)
    n = len(ordered)
    assert found.estimate == ordered[math.ceil(p * n) - 1]
    assert found.low <= ordered[int(stats.binom.ppf(0.05, n, p)) - 1]
    assert found.high >= ordered[int(stats.binom.ppf(0.95, n, p))]
    assert found.low < -10 * math.log(1 - p) < found.high


def test_the_bounds_of_a_quantile_are_those_of_the_share() -> None:
    when = moments(seconds=100)
    latency = np.random.default_rng(1).exponential(10, len(when.due))
    found = quantile(latency, 0.9, when, LEVEL)
    assert share(latency <= found.high, when, LEVEL).low >= 0.9
    assert share(latency < found.high, when, LEVEL).low < 0.9
    above, below = found.p_above(found.low * 0.99), found.p_below(found.high * 1.01)
    assert above is not None
    assert below is not None
    assert above < 0.05 > below


def test_what_no_time_is_proven_for_has_no_upper_bound() -> None:
    when = moments()
    found = quantile(np.full(len(when.due), 5.0), 0.99, when, LEVEL)
    assert (found.low, found.estimate, found.high) == (5.0, 5.0, math.inf)


def test_failures_are_slower_than_any_time() -> None:
    when = moments()
    latency = np.full(len(when.due), 5.0)
    latency[::20] = math.inf
    assert quantile(latency, 0.9, when, LEVEL).estimate == 5.0
    with pytest.raises(Undefined, match="no right answer"):
        quantile(latency, 0.96, when, LEVEL)


def test_a_ratio_holds_both_uncertainties() -> None:
    when = moments(seconds=100)
    rng = np.random.default_rng(1)
    one, other = (quantile(rng.exponential(m, len(when.due)), 0.5, when, LEVEL) for m in (20, 10))
    found = ratio(one, other)
    assert found.low < 2 < found.high
    assert found.low < one.low / other.estimate
    assert found.high > one.high / other.estimate
    assert ratio(one, one).estimate == 1
    with pytest.raises(Undefined):
        ratio(one, quantile(np.zeros(len(when.due)), 0.5, when, LEVEL))


def test_a_rate_is_that_of_its_blocks() -> None:
    done = np.arange(600) / 30
    found = rate(done, 20, LEVEL)
    assert (found.low, found.estimate, found.high, found.n) == (30, 30, 30, 20)
    assert rate(done[done > 10], 20, LEVEL).low < 15
    with pytest.raises(Undefined):
        rate(done, 9, LEVEL)


def test_too_little_is_no_interval() -> None:
    with pytest.raises(Undefined):
        share(np.ones(0, bool), Moments(np.ones(0), np.ones(0, np.int64), 0.5), LEVEL)
    with pytest.raises(Undefined, match="10 are needed"):
        share(np.ones(80, bool), moments(seconds=4), LEVEL)
