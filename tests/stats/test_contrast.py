"""Which interval a metric of one model or of two has, and where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from weighin.stats.contrast import contrast, joint_table, resampled
from weighin.stats.intervals import Interval, PerfectScore, Undefined, clopper_pearson, from_influence, median, unseen
from weighin.stats.metrics import METRICS
from weighin.stats.paired import tango
from weighin.stats.scored import Scored

N = 400
DAY = np.arange(N) // 20
ONES = np.ones(N)


def numbers(seed: int, n: int = N) -> tuple[Scored, Scored]:
    """Two models of one target."""
    truth, own, theirs = np.random.default_rng(seed).normal(size=(3, n))
    return Scored(truth, truth + own), Scored(truth, truth + 1.2 * theirs + 0.3)


def classes(k: int, n: int = 2_000, seed: int = 0) -> tuple[Scored, Scored]:
    """Two models of one target with k classes; probabilities of the second one for two."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, k, n)
    own, theirs = (np.where(random.random(n) < right, truth, random.integers(0, k, n)) for right in (0.7, 0.6))
    if k == 2:
        return Scored(truth == 1, own * 1.0), Scored(truth == 1, theirs * 1.0)
    return Scored(truth, np.eye(k)[own]), Scored(truth, np.eye(k)[theirs])


def texts(values: NDArray[np.float64]) -> Scored:
    empty = np.full(len(values), "", dtype=object)
    return Scored(empty, empty, row_scores=lambda name: values)


def same(one: Interval, other: Interval) -> bool:
    """Whether two intervals are the same but for the functions that test them."""
    return replace(one, tests=()) == replace(other, tests=())


# --- which interval


def test_a_median_of_independent_rows_has_that_of_order_statistics() -> None:
    one, two = numbers(0)
    errors = np.abs(one.error)
    found = contrast("median_absolute_error", one, None, None, 0.9)
    assert same(found.interval, median(errors, 0.9))
    assert (found.candidate, found.other) == (np.median(errors), None)
    for rows, other, group in ((one, two, None), (replace(one, weight=ONES), None, None), (one, None, DAY)):
        method = contrast("median_absolute_error", rows, other, group, 0.9).interval.method
        assert method == ("influence values" if group is None else "influence values by group")
    assert contrast("mae", one, None, None, 0.9).interval.method == "influence values"


def test_shares_of_independent_rows_are_counted() -> None:
    one, two = classes(2)
    right, theirs = one.decision == one.truth, two.decision == two.truth
    alone = contrast("accuracy", one, None, None, 0.9)
    assert same(alone.interval, clopper_pearson(int(right.sum()), 2_000, 0.9))
    both = contrast("accuracy", one, two, None, 0.9)
    assert same(both.interval, tango(int((right & ~theirs).sum()), int((theirs & ~right).sum()), 2_000, 0.9))
    assert (both.candidate, both.other) == pytest.approx((right.mean(), theirs.mean()))
    for rows, group in ((replace(one, weight=np.ones(2_000)), None), (one, np.arange(2_000) // 20)):
        assert contrast("accuracy", rows, None, group, 0.9).interval.method.startswith("influence values")


@pytest.mark.parametrize(("k", "method"), [(2, "resampled"), (4, "resampled"), (5, "influence")])
@pytest.mark.parametrize("metric", ["balanced_accuracy", "f1_macro"])
def test_a_function_of_a_table_of_at_most_four_classes_comes_from_drawn_tables(
    metric: str, k: int, method: str
) -> None:
    one, two = classes(k)
    for other in (None, two):
        assert contrast(metric, one, other, None, 0.95).interval.method.startswith(method)


@pytest.mark.parametrize("metric", ["precision", "f1", "balanced_accuracy"])
@pytest.mark.parametrize("factor", [1.0, 0.9])
def test_drawn_tables_say_what_influence_values_say_of_many_rows(metric: str, factor: float) -> None:
    one, two = classes(2, 20_000)
    found = contrast(metric, one, two, None, 0.95, factor)
    assert found.interval.method == "resampled table of label and decisions"
    assert found.interval.estimate == pytest.approx(found.candidate - factor * (found.other or 0), abs=1e-12)
    other = from_influence(found.interval.estimate, found.influence, None, 0.95)
    width = other.high - other.low
    assert (found.interval.low, found.interval.high) == pytest.approx((other.low, other.high), abs=0.03 * width)


def test_the_difference_of_two_tables_is_candidate_minus_the_other() -> None:
    # Of 100 rows of each label the other decides 50 rightly, the candidate 70, the same 50 among them.
    table = np.array([[[50, 0], [20, 30]], [[30, 20], [0, 50]]])
    found = resampled("accuracy", table, 0.95, 0.5)
    assert found.estimate == pytest.approx(0.7 - 0.5 * 0.5)
    assert found.low < found.estimate < found.high
    assert resampled("accuracy", table.sum(axis=1), 0.95, 0.5).estimate == pytest.approx(0.7)
    assert resampled("accuracy", table.sum(axis=2), 0.95, 0.5).estimate == pytest.approx(0.5)


@pytest.mark.parametrize("kind", [bool, np.int64, np.float64])
def test_a_joint_table_counts_each_combination_whatever_the_type_of_the_codes(kind: type) -> None:
    label, theirs, ours = ([0, 0, 1, 1, 1], [0, 1, 1, 1, 0], [1, 1, 0, 0, 0])
    found = joint_table(2, *(np.array(code, dtype=kind) for code in (label, theirs, ours)))
    assert found.tolist() == [[[0, 1], [0, 1]], [[1, 0], [2, 0]]]
    assert joint_table(3, np.array([0]), np.array([1])).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_two_metrics_of_the_same_rows_are_each_their_own() -> None:
    one, two = numbers(1)
    for name in ("mae", "rmse", "mae"):
        found = contrast(name, one, two, None, 0.95)
        assert (found.candidate, found.other) == (METRICS[name].of(one).estimate, METRICS[name].of(two).estimate)
        assert found.interval.estimate == found.candidate - (found.other or 0)


# --- no variation, and rounding


@pytest.mark.parametrize("unit", [2.0**-40, 2.0**40])
def test_the_unit_of_a_target_does_not_matter(unit: float) -> None:
    one, _ = numbers(2)
    found = contrast("mae", Scored(unit * one.truth, unit * one.score), None, None, 0.95).interval
    expected = contrast("mae", one, None, None, 0.95).interval
    assert (found.estimate, found.low, found.high) == (
        unit * expected.estimate,
        unit * expected.low,
        unit * expected.high,
    )


@pytest.mark.parametrize(("apart", "equal"), [(1.5e-9, True), (3e-9, False)])
def test_a_billionth_of_what_both_are_is_no_difference(apart: float, equal: bool) -> None:
    error = 100 + np.random.default_rng(3).uniform(-1, 1, N)
    one, two = Scored(np.zeros(N), error), Scored(np.zeros(N), error * (1 + apart))
    if equal:
        found = contrast("mae", one, two, None, 0.95).interval
        assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)
    else:
        with pytest.raises(Undefined, match=r"^mae differs by the same for all rows: no interval exists$"):
            contrast("mae", one, two, None, 0.95)


def test_one_model_whose_rows_are_all_as_good_as_can_be_is_perfect() -> None:
    for error in (0.0, 0.1 + 0.2 - 0.3):
        with pytest.raises(PerfectScore, match=r"^mae is .* without any variation between rows: no interval exists$"):
            contrast("mae", Scored(np.zeros(N), np.full(N, error)), None, None, 0.95)
    with pytest.raises(
        Undefined, match=r"^mae is 0.5 without any variation between rows: no interval exists$"
    ) as refused:
        contrast("mae", Scored(np.zeros(N), ONES / 2), None, None, 0.95)
    assert refused.type is Undefined
    mixed = Scored(np.zeros(N), np.tile([0.25, 0.75], N // 2))
    said = r"^mae is 0.5 without any variation between groups of rows: no interval exists$"
    with pytest.raises(Undefined, match=said) as refused:
        contrast("mae", mixed, None, DAY, 0.95)
    assert refused.type is Undefined


def test_five_classes_that_are_all_right_are_perfect_and_no_proof_that_another_model_is_alike() -> None:
    truth = np.arange(N) % 5
    perfect = Scored(truth, np.eye(5)[truth])
    said = r"^balanced_accuracy is 1 without any variation between rows: no interval exists$"
    with pytest.raises(PerfectScore, match=said):
        contrast("balanced_accuracy", perfect, None, None, 0.95)
    found = contrast("balanced_accuracy", perfect, Scored(truth, np.eye(5)[truth]), None, 0.95).interval
    assert same(found, unseen(0.0, N, 0.95))


def test_a_relative_difference_of_two_scores_without_variation_is_no_certain_one() -> None:
    found = contrast("exact_match", texts(ONES), texts(ONES), None, 0.95, 0.9).interval
    assert (found.estimate, found.high) == (pytest.approx(0.1), pytest.approx(0.1 + 1 - 0.05 ** (1 / N)))


@pytest.mark.parametrize("off", [0.0, 2.0])
def test_lengths_and_widths_that_do_not_differ_have_no_interval_of_their_difference(off: float) -> None:
    lengths = np.random.default_rng(4).integers(3, 90, N) * 1.0
    bounds = np.column_stack([-lengths, lengths])
    for name, one, two in (
        ("words", texts(lengths + off), texts(lengths)),
        ("interval_width", Scored(lengths, bounds + np.array([0, off])), Scored(lengths, bounds)),
    ):
        with pytest.raises(Undefined, match=rf"^{name} differs by the same for all rows: no interval exists$"):
            contrast(name, one, two, None, 0.95)


# --- few rows that carry everything


def test_a_few_groups_that_carry_the_variation_have_no_interval() -> None:
    group = np.arange(4_000) // 20
    error = np.where(group < 2, 50.0, 1.0) * np.random.default_rng(5).normal(size=4_000)
    error += np.where(group < 2, 50.0, 0.0)
    rows = Scored(np.zeros(4_000), error)
    with pytest.raises(Undefined, match="a few of 200 groups carry the variation"):
        contrast("mae", rows, None, group, 0.95)
    assert contrast("mae", rows, None, None, 0.95).interval.n == 4_000


def test_a_long_tail_is_refused_of_lengths_alone_and_by_group_where_rows_are_in_groups() -> None:
    # One answer of each group of twenty is long, so that groups are alike and rows are not.
    group = np.arange(240) // 20
    lengths = np.where(np.arange(240) % 20 == 0, 400.0 + group, 10.0)
    with pytest.raises(Undefined, match="a few of 240 units are so much larger"):
        contrast("words", texts(lengths), None, None, 0.95)
    assert contrast("words", texts(lengths), None, group, 0.95).interval.n == 12
    # Errors of numbers and scores between bounds are as skewed, and have intervals that allow for it.
    assert contrast("mae", Scored(np.zeros(240), lengths), None, None, 0.95).interval.n == 240
    assert contrast("bleu", texts(lengths / 5), None, None, 0.95).interval.n == 240


def test_two_that_rank_every_row_rightly_are_no_proof_of_each_other() -> None:
    truth = np.arange(N) < N // 2
    rng = np.random.default_rng(8)
    one, two = (Scored(truth, (truth + rng.random(N)) / 2) for _ in range(2))
    said = r"^roc_auc differs for none of the rows, and the predictions do: no interval exists$"
    with pytest.raises(Undefined, match=said):
        contrast("roc_auc", one, two, None, 0.95)
    # A calibration changes no rank.
    found = contrast("roc_auc", Scored(truth, one.score**2), one, None, 0.95).interval
    assert (found.low, found.estimate, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("power", [80, 120, 200, 308])
@pytest.mark.parametrize("grouped", [False, True])
def test_errors_too_large_for_a_sum_of_their_powers_have_no_interval(power: int, grouped: bool) -> None:
    errors = np.random.default_rng(9).normal(size=N)
    wild = errors.copy()
    wild[0] = 10.0**power
    group = np.arange(N) // 4 if grouped else None
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(Undefined, match=r"not (a )?finite"):
        contrast("mae", Scored(np.zeros(N), wild), Scored(np.zeros(N), errors), group, 0.95)
