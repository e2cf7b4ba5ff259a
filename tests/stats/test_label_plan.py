"""Label plans: which rows are drawn, with which probability, and how often what they say is wrong."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from scipy import stats

from weighin.stats.intervals import Interval, Undefined
from weighin.stats.label_plan import Pool, accuracy, difference, labels_needed, must_be_carried, order, weights

ALPHA, ROWS = 0.05, 2_000
DIFFER = np.arange(ROWS) % 10 == 0
DESIGNS: tuple[Literal["disagreement", "stratified", "random"], ...] = ("disagreement", "stratified", "random")


def pool(design: Literal["disagreement", "stratified", "random"], tightest: int = 100) -> Pool:
    return Pool(design, ROWS, int(DIFFER.sum()), 0.25, tightest)


@pytest.mark.parametrize("design", DESIGNS)
def test_every_row_that_may_be_drawn_is_drawn_once(design: Literal["disagreement", "stratified", "random"]) -> None:
    drawn = order(pool(design), DIFFER, 1)
    wanted = np.flatnonzero(DIFFER) if design == "disagreement" else np.arange(ROWS)
    assert sorted(drawn) == wanted.tolist()
    assert drawn.tolist() == order(pool(design), DIFFER, 1).tolist()
    assert drawn.tolist() != order(pool(design), DIFFER, 2).tolist()


def test_a_stratified_plan_mixes_both_kinds_as_it_says_until_one_has_no_rows_left() -> None:
    drawn = DIFFER[order(pool("stratified"), DIFFER, 3)]
    assert [int((~drawn[:n]).sum()) for n in (4, 8, 100, 200)] == [1, 2, 25, 50]
    assert not drawn[267:].any()


@pytest.mark.parametrize("design", DESIGNS)
def test_rows_are_drawn_as_often_as_the_plan_says(design: Literal["disagreement", "stratified", "random"]) -> None:
    n, tries = 80, 400
    of = pool(design)
    counts = np.zeros(ROWS)
    for seed in range(tries):
        counts[order(of, DIFFER, seed)[:n]] += 1
    for stratum, expected in zip((DIFFER, ~DIFFER), of.inclusion(n), strict=True):
        seen = counts[stratum]
        assert seen.sum() / tries == pytest.approx(expected * stratum.sum(), abs=n * (design == "random") * 0.05)
        # No row is drawn more often than chance has it, over all rows of its stratum.
        assert stats.binom.sf(seen.max() - 1, tries, expected) * stratum.sum() > 1e-4


def test_weights_are_the_inverse_of_the_probabilities() -> None:
    of = pool("stratified")
    drawn = DIFFER[order(of, DIFFER, 5)[:80]]
    one, other = of.inclusion(80)
    assert np.allclose(weights(of, drawn), np.where(drawn, 1 / one, 1 / other))
    assert weights(of, drawn).sum() == pytest.approx(ROWS)
    with pytest.raises(Undefined, match="decide the same"):
        weights(of, np.ones(5, dtype=bool))


@pytest.mark.parametrize("design", DESIGNS)
def test_a_difference_at_its_true_value_is_missed_as_seldom_as_it_says(
    design: Literal["disagreement", "stratified", "random"],
) -> None:
    random, tries, rate, gain = np.random.default_rng(7), 150, 0.1, -0.2
    truth, misses = rate * gain, np.zeros(2)
    for seed in range(tries):
        differ = random.random(ROWS) < rate
        wins = differ & (random.random(ROWS) < (1 + gain) / 2)
        of = Pool(design, ROWS, int(differ.sum()), 0.25, 100 if design != "random" else 1_000)
        drawn = order(of, differ, seed)
        most = {"disagreement": 180, "stratified": 240, "random": 1_800}[design]
        found = [
            difference(of, wins[d] | ~differ[d], ~wins[d], differ[d], ALPHA)
            for n in np.linspace(most / 8, most, 6).astype(int)
            for d in [drawn[:n]]
        ]
        misses += any(f.low > truth for f in found), any(f.high < truth for f in found)
    assert misses.max() <= stats.binom.isf(1e-4, tries, ALPHA)


def test_several_classes_may_leave_neither_model_right() -> None:
    of, n = Pool("disagreement", 10_000, 1_000, 0.2, 300), 300
    ours, theirs = np.arange(n) < 150, (np.arange(n) >= 150) & (np.arange(n) < 240)
    found = difference(of, ours, theirs, np.ones(n, dtype=bool), ALPHA)
    assert found.estimate == pytest.approx(0.1 * (150 - 90) / 300)
    assert found.low < found.estimate < found.high
    assert found.n == n


def test_a_p_value_is_alpha_at_each_bound() -> None:
    of, n = Pool("disagreement", 10_000, 1_000, 0.2, 300), 300
    for wins in (100, 150, 220):
        ours = np.arange(n) < wins
        found = difference(of, ours, ~ours, np.ones(n, dtype=bool), ALPHA)
        assert found.p_above(found.low) == pytest.approx(ALPHA, abs=1e-5)
        assert found.p_below(found.high) == pytest.approx(ALPHA, abs=1e-5)
        assert found.p_above(0.5) == 1.0
        assert found.p_below(-0.5) == 1.0
        assert 0 < (found.p_above(-0.5) or 0) < ALPHA


@pytest.mark.parametrize("design", ["disagreement", "stratified"])
def test_a_p_value_is_the_least_error_at_which_the_interval_excludes_a_limit(design: str) -> None:
    # One of thirty checks is confirmed at a thirtieth of alpha, by Holm's correction.
    n, differ = 300, np.arange(300) % 10 > 0
    right = np.where(differ, np.arange(n) % 3 == 0, np.arange(n) % 30 > 0)

    def at(alpha: float) -> Interval:
        if design == "disagreement":
            every = np.ones(n, dtype=bool)
            return difference(Pool("disagreement", 10_000, 1_000, 0.2, 300), right, ~right, every, alpha)
        return accuracy(Pool("stratified", 10_000, 1_000, 0.1, 300), right, differ, alpha)

    found = at(ALPHA)
    assert (found.p_above(found.low), found.p_below(found.high)) == pytest.approx((ALPHA, ALPHA), rel=1e-4)
    far = found.high + 0.4 * (1 - found.high)
    p = found.p_below(far) or 0
    assert 1e-12 < p < ALPHA / 30
    if design == "stratified":
        assert at(p).high == pytest.approx(far, abs=1e-4)
    assert found.p_above(far) == 1.0


def test_without_a_label_there_is_nothing() -> None:
    none = np.zeros(0, dtype=bool)
    with pytest.raises(Undefined):
        difference(pool("disagreement"), none, none, none, ALPHA)
    one = np.ones(1, dtype=bool)
    with pytest.raises(Undefined, match="decide differently"):
        difference(pool("stratified"), one, one, ~one, ALPHA)


def test_rows_decided_differently_need_a_tenth_of_the_labels_that_ease_ml_publishes() -> None:
    # Renggli and others 2019: 29,000 labels for p = 0.1, epsilon = 0.01, delta = 1e-4. A tie is the worst case.
    of, n = Pool("disagreement", 29_000, 2_900, 0.2, 2_000), 2_800
    ours = np.arange(n) % 2 == 0
    found = difference(of, ours, ~ours, np.ones(n, dtype=bool), 1e-4 / 2)
    assert max(found.high - found.estimate, found.estimate - found.low) <= 0.01


def test_a_smaller_margin_needs_more_labels() -> None:
    needed = [labels_needed(1_000, 10_000, margin, ALPHA) for margin in (0.02, 0.01, 0.005)]
    assert needed == sorted(needed)
    assert 600 < needed[1] < 1_000
    assert labels_needed(0, 10_000, 0.01, ALPHA) == 1


def test_the_accuracy_of_one_model_is_missed_as_seldom_as_it_says() -> None:
    random, tries, rate = np.random.default_rng(11), 150, 0.1
    truth, misses = rate * 0.5 + (1 - rate) * 0.97, np.zeros(2)
    for seed in range(tries):
        differ = random.random(ROWS) < rate
        right = random.random(ROWS) < np.where(differ, 0.5, 0.97)
        of = Pool("stratified", ROWS, int(differ.sum()), 0.5, 100)
        drawn = order(of, differ, seed)
        found = [accuracy(of, right[d], differ[d], ALPHA) for n in (20, 50, 100, 200, 400) for d in [drawn[:n]]]
        assert all(f.low <= f.estimate <= f.high for f in found)
        misses += any(f.low > truth for f in found), any(f.high < truth for f in found)
    assert misses.max() <= stats.binom.isf(1e-4, tries, ALPHA)


def test_the_accuracy_of_one_model_needs_a_label_of_each_kind_of_rows() -> None:
    one = np.ones(30, dtype=bool)
    with pytest.raises(Undefined, match="decide the same"):
        accuracy(pool("stratified"), one, one, ALPHA)
    # A kind of rows that the table has none of: the share of such rows has a bound, and anything may be true of them.
    found = accuracy(Pool("stratified", ROWS, 0, 0.25, 100), one, ~one, ALPHA)
    assert found.estimate == 1.0
    assert 0.7 < found.low < 0.9
    assert found.high == 1.0


@pytest.mark.parametrize(
    ("values", "carried"),
    [([1.0] * 10 + [-1.0] * 10, True), ([0.0] * 19 + [1.0], False), ([0.1] * 20, False), ([0.1 + 1e-17] * 20, False)],
)
def test_the_values_of_each_stratum_must_vary_by_more_than_a_few_rows(values: list[float], *, carried: bool) -> None:
    influence, differ = np.array([1.0, -1.0] * 10 + values), np.arange(40) < 20
    for said in ("differently", "the same"):
        part = influence if said == "the same" else influence[::-1]
        if carried:
            must_be_carried(part, -part[None], differ)
        else:
            with pytest.raises(Undefined, match=f"decide {said} carry"):
                must_be_carried(part, -part[None], differ)
    must_be_carried(influence, -influence[None], differ, known=True)
    with pytest.raises(Undefined):
        must_be_carried(np.zeros(40), np.zeros((1, 40)), differ, known=True)


def test_what_varies_must_be_as_large_as_what_another_label_would_make_of_a_row() -> None:
    # 20 rows that are right with more and less confidence; a wrong one would be ten times as far off.
    influence, differ = np.array([1.0, -1.0] * 10 + [0.1, 0.2] * 10), np.arange(40) < 20
    must_be_carried(influence, influence[None] * 1.2, differ)
    others = np.where(differ, influence, 10 * influence)[None]
    for wrong in (others, np.vstack([influence, others])):
        with pytest.raises(Undefined, match="decide the same carry"):
            must_be_carried(influence, wrong, differ)
