"""A metric of rows that are read in parts is that of the same rows in memory, or off by no more than it says."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from weighin.stats import streamed as module
from weighin.stats.contrast import contrast
from weighin.stats.intervals import PerfectScore, Undefined
from weighin.stats.metrics import METRICS
from weighin.stats.scored import Scored
from weighin.stats.streamed import Pair, Parts, is_streamed, streamed

N = 3_000
BINARY = [m for m in METRICS if is_streamed(m, "binary")]


def binary(seed: int = 0) -> tuple[Scored, Scored]:
    rng = np.random.default_rng(seed)
    truth = rng.random(N) < 0.3
    own, theirs = (1 / (1 + np.exp(1.5 - a * truth - rng.normal(size=N))) for a in (1.6, 1.1))
    return Scored(truth, own), Scored(truth, theirs)


def numbers() -> tuple[Scored, Scored]:
    rng = np.random.default_rng(1)
    truth = rng.gamma(2, size=N)
    return Scored(truth, truth + rng.normal(size=N)), Scored(truth, truth + 1.1 * rng.normal(size=N))


def in_parts(candidate: Scored, other: Scored | None, cuts: int = 7) -> Parts:
    """Read rows in parts of unequal size, one of them empty and one of a single class."""
    order = np.argsort(candidate.truth[: N // 2], kind="stable")
    order = np.concatenate([order, np.arange(N // 2, len(candidate.truth))])
    places = [0, 0, *np.sort(np.random.default_rng(2).integers(0, len(order), cuts - 1)), len(order)]

    def parts() -> Iterator[Pair]:
        for start, end in itertools.pairwise(places):
            rows = order[start:end]
            yield Pair(candidate.rows(rows), None if other is None else other.rows(rows))

    return parts


def same(metric: str, candidate: Scored, other: Scored | None, factor: float) -> None:
    wanted = contrast(metric, candidate, other, None, 0.95, factor)
    found, bound = streamed(metric, in_parts(candidate, other), N, 0.95, factor)
    assert found.candidate == pytest.approx(wanted.candidate, rel=1e-12)
    assert found.other == (None if other is None else pytest.approx(wanted.other, rel=1e-12))
    if METRICS[metric].kind == "sum" and metric != "roc_auc":
        one, two = ((i.estimate, i.low, i.high, i.standard_error, i.n) for i in (found.interval, wanted.interval))
        assert one == pytest.approx(two, rel=1e-9, abs=1e-12)
    elif metric != "roc_auc":
        assert replace(found.interval, tests=()) == replace(wanted.interval, tests=())
    for limit in (wanted.interval.estimate - 0.01, wanted.interval.estimate + 0.01):
        assert found.interval.p_above(limit) == pytest.approx(wanted.interval.p_above(limit), rel=1e-6, abs=1e-12)
        assert found.interval.p_below(limit) == pytest.approx(wanted.interval.p_below(limit), rel=1e-6, abs=1e-12)
    assert bound == 0


@pytest.mark.parametrize("factor", [1.0, 0.98])
@pytest.mark.parametrize("metric", BINARY)
def test_a_binary_metric_against_another_model_is_that_of_rows_in_memory(metric: str, factor: float) -> None:
    # Each score of so few rows is a cell of its own.
    same(metric, *binary(), factor)


@pytest.mark.parametrize("metric", BINARY)
def test_a_binary_metric_alone_is_that_of_rows_in_memory(metric: str) -> None:
    same(metric, binary()[0], None, 1.0)


def test_a_mean_of_numbers_is_that_of_rows_in_memory() -> None:
    assert [m for m in METRICS if is_streamed(m, "regression")] == ["mae"]
    same("mae", *numbers(), 0.9)
    same("mae", numbers()[0], None, 1.0)


@pytest.mark.parametrize("edges", [2, 20, 300])
@pytest.mark.parametrize("against", [False, True])
def test_the_area_is_off_by_no_more_than_is_said_and_the_interval_gives_way(
    edges: int, against: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EDGES", edges)
    for seed in range(20):
        candidate, other = binary(seed)
        known = other if against else None
        wanted = contrast("roc_auc", candidate, known, None, 0.95)
        found, bound = streamed("roc_auc", in_parts(candidate, known), N, 0.95)
        assert 0 < bound < 1.2 / edges * (2 if against else 1)
        assert abs(found.interval.estimate - wanted.interval.estimate) <= bound
        if edges == 300:
            assert found.interval.low <= wanted.interval.low
            assert found.interval.high >= wanted.interval.high
            for limit in (wanted.interval.low, wanted.interval.estimate, wanted.interval.high):
                assert found.interval.p_above(limit) >= wanted.interval.p_above(limit)
                assert found.interval.p_below(limit) >= wanted.interval.p_below(limit)
        assert f"{bound:.1g} wider" in found.interval.method


def test_scores_that_many_rows_share_are_ties(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EDGES", 50)
    candidate, _ = binary()
    rounded = replace(candidate, score=candidate.score.round(1))
    found, bound = streamed("roc_auc", in_parts(rounded, None), N, 0.95)
    assert bound == 0
    assert found.candidate == pytest.approx(contrast("roc_auc", rounded, None, None, 0.95).candidate, rel=1e-12)


def test_what_has_no_interval_in_memory_has_none_here() -> None:
    candidate, _ = binary()
    few = Scored(np.arange(N) < 19, candidate.score)
    for metric in BINARY:
        for rows in (few, Scored(np.zeros(N, dtype=bool), candidate.score)):
            for of in (None, rows):
                with pytest.raises(Undefined):
                    contrast(metric, rows, of, None, 0.95)
                with pytest.raises(Undefined):
                    streamed(metric, in_parts(rows, of), N, 0.95)
    leaked = Scored(candidate.truth, candidate.truth.astype(float))
    for metric in ("roc_auc", "brier"):
        for measured in (
            lambda m: contrast(m, leaked, None, None, 0.95),
            lambda m: streamed(m, in_parts(leaked, None), N, 0.95),
        ):
            with pytest.raises(PerfectScore):
                measured(metric)
    flat = Scored(candidate.truth, np.full(N, 0.4))
    with pytest.raises(Undefined, match="ranks nothing"):
        streamed("roc_auc", in_parts(flat, None), N, 0.95)
    for metric in ("precision", "f1"):
        with pytest.raises(Undefined):
            streamed(metric, in_parts(flat, None), N, 0.95)
    with pytest.raises(Undefined):
        streamed("accuracy", lambda: iter(()), N, 0.95)


def test_only_what_was_shown_here_is_streamed() -> None:
    assert not any(is_streamed(m, task) for m in METRICS for task in ("text", "multiclass", "ranking", "forecast"))
    assert not any(is_streamed(m, "binary") for m in ("average_precision", "custom/a"))
