"""Shares and quantiles of requests that come in bursts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.tsa.stattools import acf

from weighin.stats.intervals import Interval, Undefined, clopper_pearson, difference_of_samples, from_influence
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
    nothing = Moments(np.ones(0), np.ones(0, np.int64), 0.5)
    with pytest.raises(Undefined, match=r"^no requests$"):
        share(np.ones(0, bool), nothing, LEVEL)
    with pytest.raises(Undefined, match=r"^no requests$"):
        quantile(np.ones(0), 0.5, nothing, LEVEL)
    with pytest.raises(Undefined, match=r"^9 independent units, at least 10 are needed$"):
        share(np.ones(90, bool), moments(seconds=4.5), LEVEL)
    assert share(np.ones(100, bool), moments(seconds=5), LEVEL).n == 10


# --- shares, step by step


def expected(success: np.ndarray, when: Moments, level: float) -> tuple[float, float, str]:
    """Bounds and method of a share, with statsmodels' autocorrelation and test of homogeneity."""
    n, mean, seconds = len(success), success.mean(), when.block
    while True:
        blocks = [np.flatnonzero(when.codes(seconds) == c) for c in range(when.codes(seconds).max() + 1)]
        means = np.array([success[b].mean() for b in blocks])
        alike = np.ptp(means) > 0 and acf(means, nlags=1)[1] > 1.645 / math.sqrt(len(blocks))
        if len(blocks) < 20 or not alike:
            break
        seconds *= 2
    sums = np.array([(success[b] - mean).sum() / n for b in blocks])
    exact, joined = clopper_pearson(int(success.sum()), n, level), from_influence(mean, sums, None, level)
    stalls = mean * (1 - level) ** (1 / (when.codes(when.block).max() + 1))
    low, high = min(exact.low, joined.low, stalls), max(exact.high, joined.high)
    method = "widest of blocks, requests and unseen stalls"
    if seconds > when.block:
        method += f"; blocks joined to {seconds:g} s since neighbours are alike"
    starts = when.start.max() + 1
    each = np.array([success[when.start == s].mean() for s in range(starts)])
    errors = []
    for s in range(starts):
        mine = [b for b in blocks if when.start[b[0]] == s]
        rows = sum(len(b) for b in mine)
        by_block = sum((success[b] - each[s]).sum() ** 2 for b in mine) / rows**2
        errors.append(max(by_block, each[s] * (1 - each[s]) / rows, 0.25 / rows**2))
    if starts > 1 and combine_effects(each, np.array(errors)).test_homogeneity().pvalue < 0.1:
        more = max(0.0, each.var(ddof=1) - np.mean(errors))
        widened = stats.t.ppf(level, starts - 1) * math.sqrt(more / starts)
        low, high = mean - math.hypot(mean - low, widened), mean + math.hypot(high - mean, widened)
        method += f"; {starts} starts differ"
    return max(0.0, low), min(1.0, high), method


@pytest.mark.parametrize("kind", ["bursts", "bad starts", "regular", "clumped starts"])
@pytest.mark.parametrize("starts", [1, 2, 4])
def test_a_share_is_the_widest_of_what_each_unit_says(kind: str, starts: int) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        when = moments(seconds=12 + seed, per_second=8, starts=starts, block=0.4)
        n = len(when.due)
        bad = {
            # States that last: neighbours are alike in some draws and not in others.
            "bursts": np.repeat(rng.random(n // 4 + 1) < 0.1, 4)[:n] & (rng.random(n) < 0.9),
            "bad starts": rng.random(n) < (np.array([0.0, 0.06, 0.03, 0.1]) * rng.random())[when.start],
            # As even as can be: blocks vary less than independent requests would.
            "regular": (np.arange(n) % 8 == 0) & (when.start != 1),
            "clumped starts": np.repeat(rng.random(n // 3 + 1) < 0.2, 3)[:n] & (when.start == rng.integers(starts)),
        }[kind]
        found = share(~bad, when, LEVEL)
        low, high, method = expected(~bad, when, LEVEL)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
        assert (found.method, found.level, found.estimate) == (method, LEVEL, (~bad).mean())
        assert bool(found.tests) == ("differ" not in method)
        assert found.standard_error >= clopper_pearson(int((~bad).sum()), n, LEVEL).standard_error


def test_the_method_says_to_what_blocks_were_joined_and_that_starts_differ() -> None:
    rng = np.random.default_rng(1)
    when = moments(seconds=20, per_second=8, starts=2, block=0.4)
    slow = np.repeat(rng.random(len(when.due) // 40 + 1) < 0.3, 40)[: len(when.due)]
    assert "joined to" in share(~slow, when, LEVEL).method
    assert "starts differ" in share(when.start == 1, when, LEVEL).method


def test_blocks_are_counted_from_the_first_request_of_each_start() -> None:
    due = np.array([0.1, 0.35, 0.6, 1.3, 2.2, 2.65, 2.8])
    assert Moments(due, np.array([0, 0, 0, 0, 1, 1, 1]), 0.5).codes(0.5).tolist() == [0, 0, 1, 2, 3, 3, 4]


@pytest.mark.parametrize(("blocks", "joined"), [(19, False), (20, True)])
def test_fewer_than_twenty_blocks_are_not_joined(blocks: int, joined: bool) -> None:
    when = moments(seconds=blocks, per_second=4, block=1.0)
    slow = np.arange(len(when.due)) < len(when.due) // 2
    assert ("joined to 2 s" in share(~slow, when, LEVEL).method) == joined


def test_no_p_value_of_a_share_exceeds_one() -> None:
    when = moments()
    found = share(np.arange(len(when.due)) % 2 == 0, when, LEVEL)
    assert (found.p_above(0.99), found.p_below(0.01)) == (pytest.approx(1.0), pytest.approx(1.0))
    assert (found.p_above(0.99) or 2) <= 1


# --- quantiles, ratios and rates


def test_a_quantile_of_few_times_is_found_from_the_first_to_the_last() -> None:
    when = moments(seconds=40)
    latency = np.where(np.arange(len(when.due)) % 100 == 7, 7.0, 5.0)
    found = quantile(latency, 0.5, when, 0.9)
    assert (found.low, found.estimate, found.high) == (5.0, 5.0, 5.0)
    assert (found.level, found.n, found.standard_error) == (0.9, 80, 0.0)
    latency[3] = 1.0
    assert quantile(latency, 0.001, when, LEVEL).estimate == 1.0
    assert quantile(latency, 0.9999, when, LEVEL).estimate == 7.0


def test_the_error_of_a_quantile_comes_from_bounds_that_are_times() -> None:
    when = moments(seconds=100)
    latency = np.random.default_rng(1).exponential(10, len(when.due))
    found, z = quantile(latency, 0.9, when, 0.9), stats.norm.ppf(0.9)
    assert found.standard_error == pytest.approx((found.high - found.low) / 2 / z)
    assert found.method == "widest of blocks, requests and unseen stalls"
    last = quantile(latency, 0.9999, when, 0.9)
    assert last.high == math.inf
    assert last.standard_error == pytest.approx((latency.max() - last.low) / 2 / z)


def test_a_p_value_of_a_quantile_is_that_of_the_share_within_the_limit() -> None:
    when = moments(seconds=100)
    latency = np.random.default_rng(1).exponential(10, len(when.due))
    found = quantile(latency, 0.9, when, LEVEL)
    for limit in (found.low * 0.99, found.estimate, found.high * 1.01):
        within = share(latency <= limit, when, LEVEL)
        assert (found.p_above(limit), found.p_below(limit)) == (within.p_below(0.9), within.p_above(0.9))


def test_a_limit_at_which_starts_differ_has_no_p_value_and_is_not_proven() -> None:
    # Every start answers half of its requests within 10; how many within 5, depends on the start.
    when = moments(starts=3)
    place = np.arange(len(when.due)) % 20
    fast = np.array([0, 4, 9])[when.start]
    latency = np.where(place < fast, 4.0, np.where(place < 12, 8.0, 20.0))
    found = quantile(latency, 0.5, when, LEVEL)
    assert found.estimate == 8.0
    above, below = found.p_above(9.0), found.p_below(9.0)
    assert above is not None
    assert below is not None
    assert below < 1e-4 < 0.99 < above
    assert (found.p_above(5.0), found.p_below(5.0)) == (None, None)


def test_the_share_without_an_answer_is_named() -> None:
    with pytest.raises(
        Undefined, match=r"^0\.05 of the requests or more had no right answer, so the quantile is no time$"
    ):
        quantile(np.full(800, math.inf), 0.95, moments(), LEVEL)


def test_a_ratio_is_a_difference_of_logarithms() -> None:
    one = Interval(0.4, 0.3, 0.7, 0.9, 60, 0.1, "so")
    other = Interval(0.8, 0.5, 0.9, 0.9, 40, 0.1, "other")
    found = ratio(one, other)

    def logarithm(of: Interval) -> Interval:
        return Interval(math.log(of.estimate), math.log(of.low), math.log(of.high), 0.9, 1, 0.0, "")

    wanted = difference_of_samples(logarithm(one), logarithm(other))
    ends = (wanted.low, wanted.estimate, wanted.high)
    assert (found.low, found.estimate, found.high) == pytest.approx(tuple(math.exp(v) for v in ends))
    assert (found.level, found.n, found.method, found.tests) == (0.9, 40, "MOVER; so", ())
    # Of a ratio, to first order, that of its logarithm times the ratio.
    reach = (wanted.high - wanted.low) / 2 / stats.norm.ppf(0.9)
    assert found.standard_error == pytest.approx(0.5 * reach)
    zero = Interval(0.4, 0.0, 0.7, 0.9, 60, 0.1, "so")
    for pair in ((zero, other), (one, zero)):
        with pytest.raises(Undefined, match=r"^a time of zero has no ratio$"):
            ratio(*pair)


def test_a_rate_counts_in_whole_blocks() -> None:
    rng = np.random.default_rng(0)
    done = np.sort(rng.uniform(0, 9, 200))
    # Twenty blocks and a half: what is done in the last half counts for none, and two blocks have nothing.
    found = rate(np.append(done, [10.1, 10.2]), 10.25, 0.9, block=0.5)
    counts = np.histogram(done, bins=np.arange(21) / 2)[0] / 0.5
    assert (found.n, found.level, found.method) == (20, 0.9, "blocks of 0.5 s")
    assert (found.estimate, found.standard_error) == pytest.approx((counts.mean(), stats.sem(counts)))
    assert rate(done, 10.0, 0.9).n == 10
    with pytest.raises(Undefined, match=r"^9 blocks of 1 s, at least 10 are needed$"):
        rate(done, 9.9, 0.9)
