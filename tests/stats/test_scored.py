"""What a metric is made of: rows, what of them is kept, means, and scores of answers as metrics."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from weighin.stats.intervals import Undefined
from weighin.stats.prediction_powered import prediction_powered
from weighin.stats.scored import HUMAN, Influence, Scored, Uses, average, enough, ratio_of_sums, row_score

N = 40
NUMBER = np.arange(N, dtype=np.float64)
WEIGHT = np.where(np.arange(N) % 4 == 0, 3.0, 1.0)


def texts(weight: np.ndarray | None = None, **scores: np.ndarray) -> Scored:
    empty = np.full(N, "", dtype=object)
    return Scored(empty, empty, weight, row_scores=scores.__getitem__)


def test_what_rows_decide_and_how_far_off_they_are() -> None:
    rows = Scored(np.array([True, False, True]), np.array([0.5, 0.49, 0.7]))
    assert rows.decision.tolist() == [True, False, True]  # at the threshold, which is a half unless it is said
    assert Scored(rows.truth, rows.score, None, 0.7).decision.tolist() == [False, False, True]
    several = Scored(np.array([1, 2]), np.array([[0.4, 0.4, 0.2], [0.1, 0.2, 0.7]]))
    assert several.decision.tolist() == [0, 2]  # of equal ones the first
    assert several.decision.dtype == np.int64
    numbers = Scored(np.array([3, 1]), np.array([1, 4]))
    assert (numbers.error.tolist(), numbers.error.dtype) == ([-2.0, 3.0], np.float64)


def test_weights_sum_to_one() -> None:
    assert Scored(NUMBER, NUMBER).share.tolist() == [1 / N] * N
    assert Scored(NUMBER, NUMBER, WEIGHT).share.tolist() == (WEIGHT / 60).tolist()


@pytest.mark.parametrize("keep", [np.arange(N) % 3 == 0, np.array([5, 5, 0, 39])], ids=["mask", "numbers"])
def test_some_rows_keep_all_that_is_known_of_them(keep: np.ndarray) -> None:
    rows = Scored(NUMBER, NUMBER + 1, WEIGHT, 0.3, {"own": NUMBER + 2}.__getitem__, np.arange(N) // 4, NUMBER + 4)
    some = rows.rows(keep)
    assert some.threshold == 0.3
    assert some.row_scores is not None
    for kept, of in (
        (some.truth, rows.truth),
        (some.score, rows.score),
        (some.weight, rows.weight),
        (some.row_scores("own"), NUMBER + 2),
        (some.unit, rows.unit),
        (some.scale, rows.scale),
    ):
        assert kept is not None
        assert of is not None
        assert kept.tolist() == of[keep].tolist()
    plain = Scored(NUMBER, NUMBER).rows(keep)
    assert (plain.weight, plain.row_scores, plain.unit, plain.scale) == (None,) * 4


def test_the_difference_of_two_is_one_of_estimates_and_of_influences() -> None:
    one, two = Influence(0.9, NUMBER), Influence(0.5, 2 * NUMBER + 1)
    for found, factor in ((one.minus(two), 1.0), (one.minus(two, 0.98), 0.98)):
        assert found.estimate == 0.9 - factor * 0.5
        assert found.values.tolist() == (NUMBER - factor * (2 * NUMBER + 1)).tolist()


def test_a_mean_and_a_ratio_of_sums_are_moved_by_a_row_as_its_weight_moves_them() -> None:
    above, below = np.random.default_rng(0).uniform(1, 2, (2, N))
    rows = Scored(NUMBER, NUMBER, WEIGHT)
    mean, ratio = average(above, rows), ratio_of_sums(above, below, rows)
    assert mean.estimate == pytest.approx(np.average(above, weights=WEIGHT))
    assert ratio.estimate == pytest.approx(np.average(above, weights=WEIGHT) / np.average(below, weights=WEIGHT))
    for i in (0, 1, 7, 39):
        more = WEIGHT * np.where(np.arange(N) == i, 1 + 1e-7, 1)
        moved = Scored(NUMBER, NUMBER, more)
        for found, again in ((mean, average(above, moved)), (ratio, ratio_of_sums(above, below, moved))):
            assert (again.estimate - found.estimate) * 1e7 == pytest.approx(found.values[i], rel=1e-4, abs=1e-8)


def test_twenty_rows_are_enough() -> None:
    enough(20)
    twenty = Scored(NUMBER[:20], NUMBER[:20])
    assert average(NUMBER[:20], twenty).estimate == pytest.approx(9.5)
    assert ratio_of_sums(NUMBER[:20], np.ones(20), twenty).estimate == pytest.approx(9.5)
    few = Scored(NUMBER[:19], NUMBER[:19])
    for too_few in (
        lambda: enough(19),
        lambda: average(NUMBER[:19], few),
        lambda: ratio_of_sums(NUMBER[:19], NUMBER[:19] + 1, few),
    ):
        with pytest.raises(Undefined, match=r"^19 rows, at least 20 are needed$"):
            too_few()


def test_a_score_of_answers_is_a_metric_of_texts() -> None:
    plain = row_score("words", "words")
    assert (plain.unit, plain.tasks, plain.lower_is_better) == ("words", ("text",), False)
    assert (plain.kind, plain.uses, plain.range, plain.row) == ("sum", "text", math.inf, None)
    bounded = row_score("bleu", "BLEU", range=100, lower_is_better=True)
    assert (bounded.kind, bounded.range, bounded.lower_is_better) == ("sum", 100, True)
    counted = row_score("refusal", "share", counted=True, range=7)
    assert (counted.kind, counted.range) == ("share", 1.0)


def test_the_mean_of_a_score_is_that_of_its_name() -> None:
    rows = texts(WEIGHT, words=NUMBER, bleu=NUMBER * 2)
    for name, values in (("words", NUMBER), ("bleu", 2 * NUMBER)):
        found = row_score(name, "").of(rows)
        assert found.estimate == pytest.approx(np.average(values, weights=WEIGHT))
        assert found.values.tolist() == average(values, rows).values.tolist()
    with pytest.raises(TypeError, match=r"^words is a score of answers that are no numbers$"):
        row_score("words", "").of(Scored(NUMBER, NUMBER))


def test_where_people_scored_some_rows_the_mean_is_what_they_would_say_of_all() -> None:
    judged, said = NUMBER % 7, np.where(np.arange(N) < 32, (NUMBER % 7) * 0.9 + NUMBER % 3, np.nan)
    rows = texts(WEIGHT, **{"judge": judged, "judge" + HUMAN: said})
    found = row_score("judge", "", human=True).of(rows)
    estimate, values = prediction_powered(judged, said, WEIGHT / 60)
    assert (found.estimate, found.values.tolist()) == (estimate, values.tolist())
    assert found.estimate != row_score("judge", "").of(rows).estimate


@pytest.mark.parametrize(
    ("uses", "other", "same"),
    [
        ("value", [1.0, 2.0, 4.0, 4.0], True),
        ("value", [1.0, 2.0, 4.0, 4.0 + 4e-9], True),
        ("value", [1.0, 2.0, 4.0, 4.0 + 1e-8], False),
        ("value", [1.0, 4.0, 16.0, 16.0], False),
        ("rank", [1.0, 4.0, 16.0, 16.0], True),
        ("rank", [1.0, 4.0, 16.0, 17.0], False),
        ("rank", [4.0, 1.0, 16.0, 16.0], False),
    ],
)
def test_two_models_say_the_same_as_far_as_a_metric_looks(uses: Uses, other: list[float], same: bool) -> None:
    truth = np.array([False, False, True, True])
    one, two = Scored(truth, np.array([1.0, 2.0, 4.0, 4.0])), Scored(truth, np.array(other))
    assert one.same_as(two, uses) is same
    # Of several classes each has its own order, and the order across queries says nothing.
    assert (
        Scored(truth, np.column_stack([one.score, one.score])).same_as(
            Scored(truth, np.column_stack([one.score, two.score])), uses
        )
        is same
    )
    assert not one.same_as(replace(two, threshold=0.4), uses)
    queries = np.array([0, 1, 2, 2])
    apart = replace(one, unit=queries).same_as(replace(two, unit=queries), uses)
    assert apart is (same or (uses == "rank" and other[2] == other[3]))


def test_texts_are_the_same_letter_by_letter() -> None:
    one, two = (Scored(np.array(["a"]), np.array([text])) for text in ("a", "b"))
    assert one.same_as(one, "text")
    assert not one.same_as(two, "text")
