"""Label plans: which rows are drawn, with which probability, and how often what they say is wrong."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from scipy import stats

from weighin.stats.anytime import least_share, mean_of_signs
from weighin.stats.intervals import Interval, Undefined, clopper_pearson
from weighin.stats.label_plan import (
    OF_THE_RATE,
    Pool,
    accuracy,
    difference,
    labels_needed,
    must_be_carried,
    must_have_labels,
    order,
    weights,
)

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


# --- what each of them says, to the last digit


def test_a_decision_that_changes_leaves_the_order_of_all_other_rows() -> None:
    other, row = DIFFER.copy(), 20
    other[row] = not other[row]
    for design in DESIGNS:
        one = order(pool(design), DIFFER, 4)
        two = order(Pool(design, ROWS, int(other.sum()), 0.25, 100), other, 4)
        for stratum in (DIFFER & other, ~DIFFER & ~other):
            assert one[stratum[one]].tolist() == two[stratum[two]].tolist()
        assert one.dtype == two.dtype == np.int64


@pytest.mark.parametrize("differ", [0, 1, 9, 10])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_strata_of_any_table_are_drawn_as_the_plan_says(differ: int, share: float) -> None:
    of, which = Pool("stratified", 10, differ, share, 5), np.arange(10) < differ
    drawn = which[order(of, which, 0)]
    for n in range(11):
        counts = int(drawn[:n].sum()), int((~drawn[:n]).sum())
        expected = counts[0] / max(1, differ), counts[1] / max(1, 10 - differ)
        assert of.inclusion(n) == pytest.approx(expected)
        # As many of the same as the share says, within what there is of either.
        assert counts[1] == max(n - differ, min(10 - differ, int(np.floor(n * share))))


def test_the_other_designs_draw_each_row_or_each_that_counts_alike() -> None:
    assert pool("random").inclusion(50) == (50 / ROWS, 50 / ROWS)
    assert pool("disagreement").inclusion(50) == (50 / 200, 0.0)


def test_a_weight_is_what_a_label_stands_for() -> None:
    found = weights(Pool("stratified", 100, 30, 0.5, 10), np.array([True, False, True, True, False]))
    assert found.dtype == np.float64
    assert found.tolist() == [10.0, 35.0, 10.0, 10.0, 35.0]
    assert weights(Pool("stratified", 100, 30, 0.5, 10), np.array([True, False])).tolist() == [30.0, 70.0]
    # Of a kind that the table has none of there is none to wait for.
    assert weights(Pool("stratified", 100, 100, 0.5, 10), np.ones(4, dtype=bool)).tolist() == [25.0] * 4
    assert weights(Pool("stratified", 100, 0, 0.5, 10), np.zeros(4, dtype=bool)).tolist() == [25.0] * 4
    for differ, said in ((True, "the same"), (False, "differently")):
        with pytest.raises(Undefined, match=rf"^no label yet of a row that both models decide {said}$"):
            weights(Pool("stratified", 100, 30, 0.5, 10), np.full(4, differ))


WINS = {"lost": 60, "behind": 140, "even": 150, "ahead": 165, "won": 240}
"""Of 300 labels; all others are lost."""


@pytest.mark.parametrize("wins", WINS.values(), ids=WINS.keys())
def test_a_difference_is_bounded_by_the_worst_of_what_its_parts_may_be(wins: int) -> None:
    of, n = Pool("disagreement", 2_000, 500, 0.2, 300), 300
    ours = np.arange(n) < wins
    found = difference(of, ours, ~ours, np.ones(n, dtype=bool), ALPHA)
    rate = clopper_pearson(500, 2_000, 1 - ALPHA / 20)
    mean = mean_of_signs(wins, 0, n - wins, 0.95 * ALPHA, 300)
    products = [r * m for r in (rate.low, rate.high) for m in (mean.low, mean.high)]
    assert (found.low, found.high) == pytest.approx((min(products), max(products)))
    assert found.estimate == pytest.approx(0.25 * (2 * wins - n) / n)
    assert found.standard_error == pytest.approx(0.25 * mean.standard_error)
    assert (found.level, found.n) == (1 - ALPHA, n)
    assert found.method == "share of rows decided differently, times a mixture of bets on their labels, anytime-valid"
    # The p-value of each bound is alpha, whichever side of zero the bound is on, and zero knows nothing of the rate.
    assert (found.p_above(found.low), found.p_below(found.high)) == pytest.approx((ALPHA, ALPHA), rel=1e-4)
    for p, once in ((found.p_above(0.0), mean.p_above(0.0)), (found.p_below(0.0), mean.p_below(0.0))):
        assert p == pytest.approx(min(1.0, max(1e-12, (once or 0) / 0.95)), rel=1e-4)
    # Beyond what a difference can be, and at what no number of labels settles.
    assert (found.p_above(-1.0), found.p_below(1.0)) == pytest.approx((1e-12, 1e-12), rel=1e-4)
    assert (found.p_above(1.0), found.p_below(-1.0)) == (1.0, 1.0)


def test_labels_of_any_rows_are_values_of_the_difference_themselves() -> None:
    n, number = 400, np.arange(400)
    differ, ours = number % 10 == 0, number % 30 > 0
    theirs = np.where(differ, ~ours, ours)
    found = difference(Pool("random", ROWS, 200, 0.25, 300), ours, theirs, differ, ALPHA)
    expected = mean_of_signs(26, 360, 14, ALPHA, 300, 0.1)
    assert (found.low, found.estimate, found.high) == (expected.low, 12 / 400, expected.high)
    # A table on which both decide the same everywhere has a difference, too.
    none = difference(Pool("random", ROWS, 0, 0.25, 300), ours, ours, np.zeros(n, dtype=bool), ALPHA)
    expected = mean_of_signs(0, n, 0, ALPHA, 300, 1 / ROWS)
    assert (none.low, none.estimate, none.high) == (expected.low, 0.0, expected.high)
    with pytest.raises(Undefined, match=r"^no label yet of a row that both models decide differently$"):
        difference(pool("stratified"), ours[:0], ours[:0], differ[:0], ALPHA)


@pytest.mark.parametrize(("one", "other"), [(36, 6), (10, 57), (40, 60), (0, 0), (20, 30)])
def test_an_accuracy_is_bounded_by_the_worst_of_what_its_parts_may_be(one: int, other: int) -> None:
    of, differ = Pool("stratified", 1_000, 400, 0.6, 100), np.arange(100) < 40
    right = np.where(differ, np.arange(100) < one, np.arange(100) - 40 < other)
    found = accuracy(of, right, differ, ALPHA)
    rate = clopper_pearson(400, 1_000, 1 - ALPHA / 20)
    each = 0.95 * ALPHA / 2
    parts = [
        [d * a + (1 - d) * b for d in (rate.low, rate.high)]
        for a, b in (
            (least_share(one, 40, each), least_share(other, 60, each)),
            (1 - least_share(40 - one, 40, each), 1 - least_share(60 - other, 60, each)),
        )
    ]
    assert (found.low, found.high) == pytest.approx((min(parts[0]), max(parts[1])))
    assert found.estimate == pytest.approx(0.4 * one / 40 + 0.6 * other / 60)
    assert (found.level, found.n) == (1 - ALPHA, 100)
    said = "shares of rows decided differently and the same, each by a mixture of likelihood ratios, anytime-valid"
    assert found.method == said


def test_the_standard_error_of_an_accuracy_is_that_of_its_three_parts() -> None:
    differ = np.arange(100) < 40
    right = np.where(differ, np.arange(100) < 36, np.arange(100) < 46)
    found = accuracy(Pool("stratified", 100, 40, 0.6, 100), right, differ, ALPHA)
    random, draws = np.random.default_rng(12), 300_000
    share = random.binomial(100, 0.4, draws) / 100
    a, b = random.binomial(40, 0.9, draws) / 40, random.binomial(60, 0.1, draws) / 60
    assert found.standard_error == pytest.approx(float((share * a + (1 - share) * b).std()), rel=0.01)


@pytest.mark.parametrize(("differ", "estimate"), [(0, 0.8), (ROWS, 0.8)])
def test_of_a_kind_of_rows_that_the_table_has_none_of_nothing_is_known(differ: int, estimate: float) -> None:
    right, which = np.arange(30) < 24, np.full(30, differ > 0)
    found = accuracy(Pool("stratified", ROWS, differ, 0.25, 100), right, which, ALPHA)
    there = clopper_pearson(ROWS, ROWS, 1 - ALPHA / 20).low  # the share of the kind that was seen
    each = 0.95 * ALPHA / 2
    assert found.low == pytest.approx(there * least_share(24, 30, each))
    assert found.high == pytest.approx(1 - there * least_share(6, 30, each))
    assert found.estimate == pytest.approx(estimate)
    assert found.standard_error == pytest.approx((0.8 * 0.2 / 30) ** 0.5)


def test_twenty_labels_of_each_kind_are_enough() -> None:
    must_have_labels(np.arange(40) < 20)
    for differ, said in (
        (np.arange(40) < 19, "19 labels of rows that both models decide differently"),
        (np.arange(40) < 21, "19 labels of rows that both models decide the same"),
        (np.ones(40, dtype=bool), "0 labels of rows that both models decide the same"),
    ):
        with pytest.raises(Undefined, match=rf"^{said}, at least 20 are needed$"):
            must_have_labels(differ)


CARRIED = np.repeat([1.0, -1.0, 0.0], [5, 5, 10])
"""Ten rows carry what varies among these twenty."""


@pytest.mark.parametrize("scale", [2.0**-40, 1.0, 2.0**40])
def test_ten_rows_must_carry_what_varies_whatever_the_unit(scale: float) -> None:
    differ = np.arange(40) < 20
    both = scale * np.concatenate([CARRIED, CARRIED])
    must_be_carried(both, both[None], differ)
    # Without another label nothing is asked of how far off such rows would be.
    must_be_carried(both, np.zeros((0, 40)), differ)
    fewer = both.copy()
    fewer[[20, 25]] = 0.0
    said = (
        "too few of the labelled rows that both models decide the same carry what varies among them, as if there were"
    )
    with pytest.raises(Undefined, match=rf"^{said} 8 and not 10: more labels are needed$"):
        must_be_carried(fewer, fewer[None], differ)
    with pytest.raises(Undefined, match=rf"^{said} 0 and not 10: more labels are needed$"):
        must_be_carried(np.where(differ, both, 0.1 * scale), np.zeros((1, 40)), differ)
    # The variation is 10, and that of rows with another label is nine times the mean of ten of those.
    with pytest.raises(Undefined, match=rf"^{said} 1 and not 10: more labels are needed$"):
        must_be_carried(both, np.where(differ, both, 3 * scale)[None], differ)


@pytest.mark.filterwarnings("error")
def test_a_kind_without_labels_carries_nothing() -> None:
    for differ, said in ((True, "the same"), (False, "differently")):
        with pytest.raises(Undefined, match=rf"decide {said} carry .* as if there were 0 and not 10"):
            must_be_carried(CARRIED, CARRIED[None], np.full(20, differ))
    with pytest.raises(Undefined, match="as if there were 0 and not 10"):
        must_be_carried(np.zeros(0), np.zeros((1, 0)), np.zeros(0, dtype=bool))


@pytest.mark.parametrize("margin", [0.04, 0.02, 0.015, 0.01])
@pytest.mark.parametrize("differ", [700, 1_000])
def test_the_labels_that_are_needed_are_the_fewest_that_settle_a_tie(differ: int, margin: float) -> None:
    found = labels_needed(differ, 10_000, margin, ALPHA)
    assert isinstance(found, int)

    def excluded(n: int) -> bool:
        tie = mean_of_signs(n // 2, n - n // 2 * 2, n // 2, (1 - OF_THE_RATE) * ALPHA, n)
        return differ / 10_000 * tie.low > -margin

    assert excluded(found)
    assert not excluded(found - 1)


def test_without_a_margin_a_fifth_of_the_rate_is_one_and_a_margin_beyond_the_rate_is_the_rate() -> None:
    assert labels_needed(1_000, 10_000, 0.0, ALPHA) == labels_needed(1_000, 10_000, 0.02, ALPHA)
    assert labels_needed(100, 10_000, 0.5, ALPHA) == labels_needed(100, 10_000, 0.01, ALPHA) == 1
    assert labels_needed(10_000, 10_000, 1e-6, ALPHA) == 10_000_000  # where the search ends
