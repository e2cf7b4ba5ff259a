"""Exact bounds for bins with few rows: each number is joined by hand, and one thing is changed at a time."""

import numpy as np
import pytest

from weighin.stats.intervals import clopper_pearson
from weighin.stats.rare import FEW, RareBins
from weighin.stats.shares import Shares

REFERENCE = np.array([2_000.0, 1_998_000.0])
"""So many rows that the reference's share, 0.001, is nearly known."""


def distance(p, q):
    """A loss counts three times as much as a gain, so that a test sees which of the two was measured."""
    return np.where(q < p, 3.0 * (p - q), q - p)


def rare(reference, current, *, empty=0.5, cell=distance):
    one, other = Shares.of(np.asarray(reference, float), False), Shares.of(np.asarray(current, float), False)
    return RareBins(one, other, one.share, other.share, cell, empty)


def both(p, q):
    """The distance of "in this bin" against "in any other": one of the two parts is a gain, the other a loss."""
    return 4.0 * abs(q - p)


def limits(hits, rows, level=0.95):
    found = clopper_pearson(int(hits), int(rows), level)
    return found.low, found.high


def test_the_highest_distance_of_a_gain_joins_the_limits_of_both_tables():
    (p, q), (p_low, _), (_, q_high) = (0.001, 0.004), limits(2_000, 2e6), limits(4, 1_000)
    expected = both(p, q) + np.hypot(both(p, q_high) - both(p, q), both(p_low, q) - both(p, q))
    assert rare(REFERENCE, [4, 996]).highest(0.95) == pytest.approx(expected)
    assert expected > 2 * both(p, q)


def test_the_highest_distance_of_a_loss_joins_the_limits_of_the_other_side():
    (p, q), (_, p_high), (q_low, _) = (0.009, 0.004), limits(18_000, 2e6), limits(4, 1_000)
    expected = both(p, q) + np.hypot(both(p, q_low) - both(p, q), both(p_high, q) - both(p, q))
    assert rare([18_000, 1_982_000], [4, 996]).highest(0.95) == pytest.approx(expected)


def test_the_fall_of_a_gain_is_what_lies_between_the_estimate_and_the_limits():
    (p, q), (_, p_high), (q_low, _) = (0.0001, 0.004), limits(200, 2e6), limits(4, 1_000)
    assert q_low > p_high
    expected = np.hypot(both(p, q) - both(p, q_low), both(p, q) - both(p_high, q))
    assert rare([200, 1_999_800], [4, 996]).fall(0.95) == pytest.approx(expected)


def test_the_fall_of_a_loss_is_what_lies_between_the_estimate_and_the_limits():
    (p, q), (p_low, _), (_, q_high) = (0.015, 0.004), limits(30_000, 2e6), limits(4, 1_000)
    assert q_high < p_low
    expected = np.hypot(both(p, q) - both(p, q_high), both(p, q) - both(p_low, q))
    assert rare([30_000, 1_970_000], [4, 996]).fall(0.95) == pytest.approx(expected)


@pytest.mark.parametrize(("p", "q"), [(0.003, 0.004), (0.004, 0.003)])
def test_the_fall_ends_where_both_shares_are_equal(p, q):
    found = rare([p * 1e3, 1e3 - p * 1e3], [q * 1e3, 1e3 - q * 1e3]).fall(0.95)
    assert found == pytest.approx(np.hypot(both(p, q), both(p, q)))


def lopsided(p, q):
    """As `distance`, for the rare bin alone: the parts of all other rows count as nothing."""
    return np.where((p < 0.5) & (q < 0.5), np.where(q < p, 9.0 * (p - q), q - p), 0.0)


def test_what_looks_like_a_gain_may_be_a_loss():
    q_low, q_high = limits(4, 1_000)
    p, p_low = 0.0039, limits(7_800, 2e6)[0]
    gain = 0.0001 + np.hypot(q_high - p - 0.0001, 0.004 - p_low - 0.0001)
    expected = 9 * (p - q_low)
    assert expected > gain
    assert rare([7_800, 1_992_200], [4, 996], cell=lopsided).highest(0.95) == pytest.approx(expected)


def test_what_looks_like_a_loss_may_be_a_gain():
    _, q_high = limits(4, 1_000)
    p = 0.0041

    def opposite(p, q):
        return lopsided(q, p)

    expected = 9 * (q_high - p)
    found = rare([8_200, 1_991_800], [4, 996], cell=opposite).highest(0.95)
    loss = 0.0001 + np.hypot(p - limits(4, 1_000)[0] - 0.0001, 0.0)
    assert expected > loss
    assert found == pytest.approx(expected)


def test_the_worst_of_several_rare_bins_counts():
    one, other = [2_000, 2_000, 1_996_000], [4, 8, 988]
    alone = rare([2_000, 1_998_000], [8, 992])
    found = rare(one, other)
    assert found.highest(0.95) == pytest.approx(alone.highest(0.95))
    assert found.fall(0.95) == pytest.approx(alone.fall(0.95))


def test_a_bin_that_holds_thirty_rows_in_both_tables_is_not_rare():
    assert FEW == 30.0
    assert rare([3_000, 97_000], [30, 970]).highest(0.95) == 0.0
    assert rare([3_000, 97_000], [30, 970]).fall(0.95) == 0.0
    assert rare([2_999, 97_001], [30, 970]).highest(0.95) > 0.0
    assert rare([3_000, 97_000], [29, 971]).highest(0.95) > 0.0


def test_the_smaller_table_says_which_bins_are_rare():
    assert rare([1_000, 99_000], [1_000, 99_000]).highest(0.95) == 0.0
    assert rare([9, 891], [1_000, 99_000]).highest(0.95) > 0.0
    assert rare([1_000, 99_000], [9, 891]).highest(0.95) > 0.0


def test_dependent_rows_count_as_fewer():
    hits = np.array([100.0] * 4 + [0.0] * 6)
    days = Shares.of(np.column_stack([hits, 1_000 - hits]), True)
    rows = Shares.of(np.array([400.0, 9_600.0]), False)
    assert days.effect() > 40
    for one, other in ((days, rows), (rows, days)):
        assert RareBins(one, other, one.share, other.share, distance, 0.5).highest(0.95) > 0.0
    assert RareBins(rows, rows, rows.share, rows.share, distance, 0.5).highest(0.95) == 0.0


def test_an_empty_bin_of_the_reference_has_the_share_that_the_rule_gives_it():
    q = 0.0040
    one, other = Shares.of(np.array([0.0, 1_000.0]), False), Shares.of(np.array([4.0, 996.0]), False)
    p = 0.0005
    found = RareBins(one, other, np.array([p, 1 - p]), np.array([q, 1 - q]), distance, 0.5)
    q_low, q_high = limits(4, 1_000)
    # The upper limit of 0 of 1,000 is 0.003: with it the fall would be larger.
    assert found.fall(0.95) == pytest.approx(both(p, q) - both(p, q_low))
    one_row = RareBins(
        Shares.of(np.array([1.0, 999.0]), False), other, np.array([p, 1 - p]), np.array([q, 1 - q]), distance, 0.5
    )
    assert one_row.fall(0.95) > 1.5 * found.fall(0.95)
    assert found.highest(0.95) == pytest.approx(both(p, q_high))


def test_no_limit_lies_below_what_an_empty_bin_counts_as():
    two = [2, 998]
    p_low = limits(2, 1_000)[0]
    assert 0.0001 < p_low < 0.0005 < 0.002
    wide, narrow = (rare(two, [9, 991], empty=empty).highest(0.95) for empty in (0.1, 0.5))
    q_high, value = limits(9, 1_000)[1], both(0.002, 0.009)
    assert wide == pytest.approx(value + np.hypot(both(0.002, q_high) - value, both(p_low, 0.009) - value))
    assert narrow == pytest.approx(value + np.hypot(both(0.002, q_high) - value, both(0.0005, 0.009) - value))
    # Where the share itself is smaller, the share.
    assert rare(two, [9, 991], empty=50.0).highest(0.95) == pytest.approx(both(0.002, q_high))


def test_limits_hold_the_share_and_leave_room_for_an_empty_bin_above():
    table = Shares.of(np.array([4.0, 996.0]), False)
    found = rare([4, 996], [4, 996], empty=0.5)
    share = np.array([0.5, 0.5])
    low, high = found._limits(table, table, share, 0.95)
    assert (low[1], high[0]) == (0.5, 0.5)
    assert low[0] == pytest.approx(limits(4, 1_000)[0])
    assert high[1] == pytest.approx(limits(996, 1_000)[1])
    _, top = rare([4, 996], [4, 996], empty=5.0)._limits(table, table, np.array([0.004, 0.99]), 0.95)
    assert top[1] == pytest.approx(0.995)


def test_a_higher_level_moves_both_bounds_out():
    found = rare([200, 1_999_800], [4, 996])
    assert found.highest(0.99) > found.highest(0.95)
    assert found.fall(0.99) > found.fall(0.95)
    assert found.highest(0.5) == pytest.approx(both(0.0001, 0.004))
    assert found.fall(0.5) == 0.0


def test_each_table_takes_the_design_effect_of_the_other_where_it_has_none():
    hits = np.array([3.0, 1, 0, 2, 0, 4, 0, 0, 5, 0])
    held = Shares.of(np.column_stack([hits, 1_000 - hits]), True)
    none = Shares.of(np.column_stack([np.zeros(10), np.full(10, 1_000.0)]), True)
    p = np.array([0.00005, 0.99995])
    found = RareBins(none, held, p, held.share, distance, 0.5)
    assert found._limits(none, held, p, 0.95)[1][0] == pytest.approx(none.limits(0.95, held)[1][0])
    assert none.limits(0.95, held)[1][0] < none.limits(0.95)[1][0] / 10
    lost = RareBins(held, none, held.share, p, distance, 0.5)
    value, q_high = both(held.share[0], p[0]), none.limits(0.95, held)[1][0]
    p_low = held.limits(0.95, none)[0][0]
    assert q_high < held.share[0]
    assert lost.fall(0.95) == pytest.approx(
        np.hypot(value - both(held.share[0], q_high), value - both(max(p_low, p[0]), p[0]))
    )


def test_a_bin_that_held_every_row_of_the_reference_takes_the_design_effect_of_the_other_table():
    hits = np.array([3.0, 1, 0, 2, 0, 4, 0, 0, 5, 0])
    whole = Shares.of(np.column_stack([np.zeros(10), np.full(10, 1_000.0)]), True)
    left = Shares.of(np.column_stack([1_000 - hits, hits]), True)
    p, q = np.array([0.00005, 0.99995]), left.share
    p_low, q_high = whole.limits(0.95, left)[0][1], left.limits(0.95, whole)[1][1]
    assert p_low - whole.limits(0.95)[0][1] > 0.2
    value = both(p[1], q[1])
    expected = np.hypot(value - both(p[1], q_high), value - both(p_low, q[1]))
    found = RareBins(whole, left, p, q, distance, 0.5)._moved(0.95, away=False)
    assert found[1] == pytest.approx(expected)


def test_equal_shares_count_as_a_gain_and_as_a_loss():
    (p_low, p_high), (q_low, q_high) = limits(4, 1_000), limits(8, 2_000)
    gain = np.hypot(both(0.004, q_high), both(p_low, 0.004))
    loss = np.hypot(both(0.004, q_low), both(p_high, 0.004))
    assert rare([4, 996], [8, 1_992]).highest(0.95) == pytest.approx(loss)
    assert rare([8, 1_992], [4, 996]).highest(0.95) == pytest.approx(loss)
    assert loss > gain
