"""What two arms differ by: against scipy, by the laws that such a difference keeps, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from weighin.stats.intervals import Interval, Undefined
from weighin.stats.two_arms import mean_difference, ratio_difference, share_difference

RANDOM = np.random.default_rng(0)
ONE, OTHER = RANDOM.normal(1.0, 1.0, 600), RANDOM.normal(0.8, 2.0, 900)
ONES, OTHERS = (RANDOM.random(600) < 0.3).astype(float), (RANDOM.random(900) < 0.2).astype(float)


def ends(found: Interval) -> tuple[float, float, float]:
    return found.estimate, found.low, found.high


def test_the_difference_of_means_is_welchs() -> None:
    found = mean_difference(ONE, OTHER, 0.975)
    welch = stats.ttest_ind(ONE, OTHER, equal_var=False).confidence_interval(0.95)
    assert found.estimate == pytest.approx(ONE.mean() - OTHER.mean())
    assert found.low == pytest.approx(welch.low, abs=0.01)
    assert found.high == pytest.approx(welch.high, abs=0.01)
    assert found.n == 1500


def test_the_difference_of_shares_is_near_newcombes() -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep

    found = share_difference(ONES, OTHERS, 0.975)
    low, high = confint_proportions_2indep(int(ONES.sum()), 600, int(OTHERS.sum()), 900, method="newcomb")
    assert (found.low, found.high) == (pytest.approx(low, abs=0.004), pytest.approx(high, abs=0.004))
    assert found.low < low
    assert found.high > high


def test_a_ratio_over_ones_is_a_mean() -> None:
    one, other = (ONE, np.ones(600)), (OTHER, np.ones(900))
    assert ends(ratio_difference(one, other, 0.95)) == pytest.approx(ends(mean_difference(ONE, OTHER, 0.95)))


def test_a_ratio_by_the_delta_method_is_that_of_a_bootstrap() -> None:
    below = RANDOM.poisson(4, 600) + 1.0
    top = RANDOM.binomial(below.astype(int), RANDOM.beta(1, 3, 600)).astype(float)
    found = ratio_difference((top, below), (top[::-1][:500], below[::-1][:500]), 0.95)
    drawn = RANDOM.integers(0, 600, (2000, 600))
    error = (top[drawn].sum(1) / below[drawn].sum(1)).std()
    assert found.standard_error == pytest.approx(error * (1 + 600 / 500) ** 0.5, rel=0.1)


@pytest.mark.parametrize("level", [0.95, 0.999])
def test_arms_in_the_other_order_give_the_other_sign(level: float) -> None:
    for found, turned in (
        (mean_difference(ONE, OTHER, level), mean_difference(OTHER, ONE, level)),
        (share_difference(ONES, OTHERS, level), share_difference(OTHERS, ONES, level)),
    ):
        assert ends(found) == pytest.approx((-turned.estimate, -turned.high, -turned.low))


def test_another_unit_of_the_number_changes_nothing_else() -> None:
    found, scaled = mean_difference(ONE, OTHER, 0.95), mean_difference(1000 * ONE + 7, 1000 * OTHER + 7, 0.95)
    assert ends(scaled) == pytest.approx(tuple(1000 * v for v in ends(found)))


def test_a_long_tail_moves_the_bound_on_its_side() -> None:
    tail = RANDOM.lognormal(0, 0.7, 4000)
    found = mean_difference(tail, RANDOM.normal(tail.mean(), 0.1, 4000), 0.99)
    assert found.high - found.estimate > found.estimate - found.low


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (ONE[:49], "49 units in an arm"),
        (np.ones(600), "^the units of an arm do not differ, or too much: nothing says how sure its number is$"),
        # Of which sums of doubles leave a trace of variation.
        (np.full(600, 0.1), "do not differ"),
        (np.full(600, 1e6 + 0.1), "do not differ"),
        (np.where(np.arange(600) == 0, np.nan, ONE), "^a number of a unit is not finite$"),
        (np.where(np.arange(600) == 0, np.inf, ONE), "not finite"),
        (np.where(np.arange(600) < 3, 1e6, ONE), "as if there were 3: more units are needed, or a `cap`$"),
        (np.where(np.arange(600) < 12, RANDOM.lognormal(8, 0.3, 600), ONE), "as if there were"),
    ],
)
def test_a_mean_without_a_usable_interval_has_none(one: np.ndarray, said: str) -> None:
    with pytest.raises(Undefined, match=said):
        mean_difference(one, OTHER, 0.95)
    with pytest.raises(Undefined, match=said):
        mean_difference(OTHER, one, 0.95)


def test_a_ratio_over_nothing_has_no_interval() -> None:
    with pytest.raises(Undefined, match=r"^the denominator of an arm is zero$"):
        ratio_difference((ONE, np.zeros(600)), (OTHER, np.ones(900)), 0.95)
    # A sum below one is none.
    whole = ratio_difference((ONE, np.full(600, 1.0)), (OTHER, np.full(900, 1.0)), 0.95)
    parts = ratio_difference((ONE, np.full(600, 1e-3)), (OTHER, np.full(900, 1e-3)), 0.95)
    assert ends(parts) == pytest.approx(tuple(1000 * v for v in ends(whole)))
    with pytest.raises(Undefined, match="not finite"):
        ratio_difference((ONE, np.full(600, np.nan)), (OTHER, np.ones(900)), 0.95)


def test_shares_of_few_units_have_no_interval() -> None:
    with pytest.raises(Undefined):
        share_difference(ONES[:10], OTHERS, 0.95)


@pytest.mark.parametrize("place", range(4))
def test_every_number_of_every_arm_must_be_finite(place: int) -> None:
    given = [ONE, np.ones(600), OTHER, np.ones(900)]
    given[place] = np.where(np.arange(len(given[place])) == 7, np.nan, given[place])
    with pytest.raises(Undefined, match="not finite"):
        ratio_difference((given[0], given[1]), (given[2], given[3]), 0.95)


def test_fifty_units_of_each_arm_are_enough() -> None:
    assert mean_difference(ONE[:50], OTHER[:50], 0.95).n == 100
    assert share_difference(ONES[:50], OTHERS[:50], 0.95).n == 100
    for one, other in ((49, 50), (50, 49)):
        for found in (
            lambda n, m: mean_difference(ONE[:n], OTHER[:m], 0.95),
            lambda n, m: share_difference(ONES[:n], OTHERS[:m], 0.95),
            lambda n, m: ratio_difference((ONE[:n], np.ones(n)), (OTHER[:m], np.ones(m)), 0.95),
        ):
            with pytest.raises(Undefined, match=r"^49 units in an arm, at least 50 are needed$"):
                found(one, other)


def test_how_a_difference_was_made_is_said() -> None:
    assert mean_difference(ONE, OTHER, 0.95).method == "influence values of two arms"


def test_both_arms_tails_make_the_quantile() -> None:
    # Fifteen units carry an arm's variation: so few count in the degrees of freedom, whichever arm they are of.
    few = np.where(np.arange(600) < 18, np.where(np.arange(600) % 2, 30.0, -30.0), RANDOM.normal(0, 0.1, 600))
    found, turned = mean_difference(few, 0.1 * OTHER, 0.95), mean_difference(0.1 * OTHER, few, 0.95)
    assert ends(found) == pytest.approx((-turned.estimate, -turned.high, -turned.low))
    assert (found.high - found.low) / found.standard_error > 2 * 1.66
