"""Metrics that are means of a score of each answer: their intervals, and what they are where no row differs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from weighin.stats.contrast import contrast
from weighin.stats.intervals import Undefined, clopper_pearson
from weighin.stats.metrics import METRICS
from weighin.stats.paired import tango
from weighin.stats.scored import Scored, row_score

N = 400
EMPTY = np.full(N, "", dtype=object)


def scored(values: NDArray[np.float64], weight: NDArray[np.float64] | None = None) -> Scored:
    return Scored(EMPTY[: len(values)], EMPTY[: len(values)], weight, row_scores=lambda name: values)


def shares(seed: int, share: float) -> NDArray[np.float64]:
    return (np.random.default_rng(seed).random(N) < share).astype(np.float64)


def test_a_share_is_counted() -> None:
    values = shares(0, 0.8)
    found = contrast("exact_match", scored(values), None, None, 0.95)
    exact = clopper_pearson(int(values.sum()), N, 0.95)
    assert (found.interval.low, found.interval.high) == (exact.low, exact.high)
    assert found.candidate == pytest.approx(values.mean())


def test_two_shares_are_compared_row_by_row() -> None:
    one, other = shares(1, 0.8), shares(2, 0.7)
    found = contrast("exact_match", scored(one), scored(other), None, 0.95).interval
    theirs = tango(int(((one == 1) & (other == 0)).sum()), int(((one == 0) & (other == 1)).sum()), N, 0.95)
    assert (found.low, found.high) == (theirs.low, theirs.high)


def test_a_mean_has_the_interval_of_student() -> None:
    values = np.random.default_rng(3).normal(50, 10, N)
    found = contrast("bleu", scored(values), None, None, 0.95).interval
    assert found.estimate == pytest.approx(values.mean())
    assert found.high == pytest.approx(stats.t.interval(0.9, N - 1, values.mean(), stats.sem(values))[1], abs=0.05)


def test_a_relative_margin_takes_the_factor() -> None:
    one, other = shares(4, 0.8), shares(5, 0.7)
    found = contrast("exact_match", scored(one), scored(other), None, 0.95, 0.9)
    assert found.interval.estimate == pytest.approx(one.mean() - 0.9 * other.mean())


def test_weights_count() -> None:
    values, weight = shares(6, 0.5), np.where(np.arange(N) < N / 2, 1.0, 3.0)
    found = contrast("exact_match", scored(values, weight), None, None, 0.95)
    assert found.candidate == pytest.approx(np.average(values, weights=weight))


def test_rows_of_a_group_are_no_further_evidence() -> None:
    values = np.repeat(shares(7, 0.5)[:80], 5)
    apart = contrast("token_f1", scored(values), None, None, 0.95).interval
    together = contrast("token_f1", scored(values), None, np.arange(N) // 5, 0.95).interval
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_some_rows_keep_their_scores() -> None:
    values = np.arange(N, dtype=np.float64)
    part = scored(values).rows(values >= 200).rows(np.arange(200) % 2 == 0)
    assert part.row_scores is not None
    assert part.row_scores("any").tolist() == values[200::2].tolist()


@pytest.mark.parametrize("group", [None, np.arange(N) // 10], ids=["rows", "groups"])
@pytest.mark.parametrize("value", [1.0, 0.0, 0.3, 1 / 3])
def test_a_score_that_no_row_differs_in_has_the_bound_of_none(value: float, group: NDArray[np.int64] | None) -> None:
    found = contrast("token_f1", scored(np.full(N, value)), None, group, 0.95).interval
    units = N if group is None else N // 10
    assert found.estimate == pytest.approx(value)
    assert found.low == pytest.approx(value - (1 - 0.05 ** (1 / units)))


def test_a_score_in_hundreds_has_a_bound_in_hundreds() -> None:
    found = contrast("bleu", scored(np.full(N, 40.0)), None, None, 0.95).interval
    assert found.high == pytest.approx(40 + 100 * (1 - 0.05 ** (1 / N)))


def test_a_difference_that_all_rows_share_has_the_bound_of_none() -> None:
    values = np.random.default_rng(8).random(N)
    found = contrast("token_f1", scored(values), scored(values - 0.1), None, 0.95).interval
    assert found.estimate == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1 - (1 - 0.05 ** (1 / N)))


@pytest.mark.parametrize("other", [None, 0.1])
def test_a_length_that_all_rows_share_has_no_interval(other: float | None) -> None:
    values = np.random.default_rng(9).integers(3, 90, N) / 7 if other else np.full(N, 12.3)
    baseline = None if other is None else scored(values + other)
    with pytest.raises(Undefined, match="no interval exists"):
        contrast("words", scored(values), baseline, None, 0.95)


def test_a_long_tail_of_lengths_is_refused_and_a_long_sample_of_it_is_not() -> None:
    lengths = np.exp(1.2 * np.random.default_rng(11).normal(size=20_000))
    with pytest.raises(Undefined, match="limit a share instead"):
        contrast("words", scored(np.append(lengths[: N - 1], 400.0)), None, None, 0.95)
    long = Scored(np.full(20_000, ""), np.full(20_000, ""), row_scores=lambda name: lengths)
    assert contrast("words", long, None, None, 0.95).interval.n == 20_000


def test_rounding_is_no_variation_of_any_metric() -> None:
    truth = np.arange(N, dtype=np.float64)
    with pytest.raises(Undefined, match="without any variation between rows"):
        contrast("mae", Scored(truth, truth + 0.1), None, None, 0.95)


def test_a_score_of_a_contract_is_a_metric_under_its_name() -> None:
    metric = row_score("score.ours", "share", lower_is_better=True, counted=True)
    found = contrast("score.ours", scored(shares(10, 0.2)), None, None, 0.95, known=metric)
    assert found.interval.n == N
    assert metric.lower_is_better
    assert "score.ours" not in METRICS


def test_answers_that_are_numbers_have_no_row_scores() -> None:
    with pytest.raises(TypeError, match="no numbers"):
        METRICS["token_f1"].of(Scored(np.ones(30), np.ones(30)))
