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
from weighin.stats.streamed import Pair, Parts, cell_of, is_streamed, streamed

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
    assert (found.interval.level, found.influence.size) == (0.95, 0)


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
    tables = {"accuracy", "balanced_accuracy", "precision", "recall", "f1", "f1_macro", "f1_weighted"}
    assert {m for m in METRICS if is_streamed(m, "binary")} == {*tables, "roc_auc", "log_loss", "brier"}
    assert {m for m in METRICS if is_streamed(m, "regression")} == {"mae"}


# --- what has an interval, and what has none


@pytest.mark.parametrize("metric", BINARY)
def test_the_same_predictions_differ_by_nothing(metric: str) -> None:
    candidate, _ = binary()
    if METRICS[metric].kind != "sum":
        same(metric, candidate, candidate, 1.0)
        return
    found, _ = streamed(metric, in_parts(candidate, candidate), N, 0.95)
    assert found.interval == contrast(metric, candidate, candidate, None, 0.95).interval
    assert (found.interval.low, found.interval.estimate, found.interval.high, found.interval.n) == (0.0, 0.0, 0.0, N)


def test_errors_beyond_all_numbers_are_no_difference_of_zero() -> None:
    rows, champion = numbers()
    score = rows.score.copy()
    score[:2] = np.finfo(np.float64).max  # each is a number, and their sum is none
    candidate = Scored(rows.truth, score)
    said = r"^mae is not a finite number: no interval exists$"
    halves = (slice(0, 1), slice(1, None))  # one of them in each part: only the sum of the parts is none
    for other in (champion, None):
        for cuts in ((slice(None),), halves):
            cut = [Pair(candidate.rows(np.arange(N)[c]), other and other.rows(np.arange(N)[c])) for c in cuts]
            with np.errstate(over="ignore"), pytest.raises(Undefined, match=said):
                streamed("mae", lambda cut=cut: iter(cut), N, 0.95)
        with np.errstate(over="ignore"), pytest.raises(Undefined):
            contrast("mae", candidate, other, None, 0.95)


def test_what_does_not_vary_between_rows_is_said_as_in_memory() -> None:
    truth = numbers()[0].truth
    one, two = Scored(truth, truth + 1.0), Scored(truth, truth + 1.5)
    alone = r"^mae is 1 without any variation between rows: no interval exists$"
    for other, factor, says in ((None, 1.0, alone), (two, 1.0, "^mae differs by the same for all rows: no interval")):
        for measured in (
            lambda o, f: contrast("mae", one, o, None, 0.95, f),
            lambda o, f: streamed("mae", in_parts(one, o), N, 0.95, f),
        ):
            with pytest.raises(Undefined, match=says) as refused:
                measured(other, factor)
            assert not isinstance(refused.value, PerfectScore)
    # What differs in the last digits does not differ.
    found, _ = streamed("mae", in_parts(one, Scored(truth, truth + 1.0 + 1e-12)), N, 0.95)
    assert (found.interval.low, found.interval.estimate, found.interval.high) == (0.0, 0.0, 0.0)
    # Errors that are as large, or two thirds as large, in each row that was seen are no proof that all are.
    none = r"^mae differs for none of the rows, and the predictions do: no interval exists$"
    for other, factor in ((Scored(truth, truth - 1.0), 1.0), (two, 2 / 3)):
        with pytest.raises(Undefined, match=none):
            streamed("mae", in_parts(one, other), N, 0.95, factor)
        with pytest.raises(Undefined, match=none):
            contrast("mae", one, other, None, 0.95, factor)
    with pytest.raises(PerfectScore, match=r"^mae is 0 without any variation between rows: no interval exists$"):
        streamed("mae", in_parts(Scored(truth, truth), None), N, 0.95)


def test_what_is_small_is_no_rounding() -> None:
    candidate, other = numbers()
    unit = 2.0**-40
    small = [Scored(rows.truth * unit, rows.score * unit) for rows in (candidate, other)]
    for other_of in ((None, None), (other, small[1])):
        one, two = (
            streamed("mae", in_parts(c, o), N, 0.95)[0].interval
            for c, o in zip((candidate, small[0]), other_of, strict=True)
        )
        assert (two.low, two.high) == pytest.approx((one.low * unit, one.high * unit), rel=1e-9, abs=0)
    # Of errors near one, a hundred thousandth is a variation.
    near = Scored(np.zeros(N), 1 + 1e-5 * (np.arange(N) % 2))
    assert streamed("mae", in_parts(near, None), N, 0.95)[0].interval.standard_error > 0
    with pytest.raises(PerfectScore, match=r"^mae is 1e-12 without any variation"):
        streamed("mae", in_parts(Scored(np.zeros(N), np.full(N, 1e-12)), None), N, 0.95)


def test_twenty_rows_are_enough_and_fewer_are_not() -> None:
    truth, off = np.arange(20.0), np.arange(20) % 3 + 1.0

    def parts(n: int) -> Parts:
        halves = (slice(9), slice(9, n))
        return lambda: iter([Pair(Scored(truth[half], truth[half] + off[half])) for half in halves])

    assert streamed("mae", parts(20), 20, 0.95)[0].interval.n == 20
    with pytest.raises(Undefined, match=r"^19 rows, at least 20 are needed$"):
        streamed("mae", parts(19), 19, 0.95)
    with pytest.raises(Undefined, match=r"^no rows$"):
        streamed("accuracy", lambda: iter(()), N, 0.95)


@pytest.mark.parametrize("metric", BINARY)
@pytest.mark.parametrize("rarer", [True, False])
def test_twenty_rows_of_the_rarer_class_are_enough_wherever_they_stand(metric: str, rarer: bool) -> None:
    rng = np.random.default_rng(3)
    score = np.where(np.arange(200) % 2, 0.8, 0.3) + rng.uniform(-0.1, 0.1, 200)

    def measured(count: int) -> None:
        of_class = np.isin(np.arange(200), np.linspace(0, 199, count).astype(int))
        rows = Scored(of_class == rarer, score)
        both = [Pair(rows.rows(np.arange(200)[half])) for half in (slice(100), slice(100, 200))]
        streamed(metric, lambda: iter(both), 200, 0.95)

    measured(20)
    with pytest.raises(Undefined, match=r"^19 rows of the rarer class, at least 20 are needed$"):
        measured(19)
    with pytest.raises(Undefined, match=r"^all 200 labels are equal$"):
        measured(0)


@pytest.mark.parametrize("rare", [True, False])
@pytest.mark.parametrize("other", [True, False])
@pytest.mark.parametrize("metric", [m for m in BINARY if METRICS[m].kind != "sum"])
def test_metrics_that_divide_by_decisions_need_twenty_of_those(metric: str, other: bool, rare: bool) -> None:
    truth = np.arange(200) % 2 == 0
    full = Scored(truth, np.where(np.arange(200) % 3 == 0, 0.9, 0.1))

    def measured(count: int) -> None:
        few = np.isin(np.arange(200), np.linspace(0, 199, count).astype(int))
        of = Scored(truth, np.where(few == rare, 0.9, 0.1))
        pair = Pair(full, of) if other else Pair(of)
        streamed(metric, lambda: iter([pair]), 200, 0.95)

    measured(20)
    # Precision and F1 divide by what was called positive, the other two means of F1 by what was called either.
    if metric.startswith("f1_") or (metric in ("precision", "f1") and rare):
        with pytest.raises(Undefined, match=r"^19 rows predicted as one class, at least 20 are needed$"):
            measured(19)
    else:
        measured(19)


# --- scores in cells


def test_the_area_is_off_by_half_of_the_pairs_that_share_an_open_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EDGES", 20)
    candidate, other = binary()
    bounds = []
    for of in (candidate, other):
        found, bound = streamed("roc_auc", in_parts(of, None), N, 0.95)
        ordered = np.sort(of.score)
        # Edges are scores: of twenty, the first is the least, the last the largest, the others lie evenly between.
        cuts = ordered[[(N - 1) * i // 19 for i in range(20)]]
        positive, negative = of.score[of.truth], of.score[~of.truth]
        in_doubt, above = 0, 0.0
        for low, high in itertools.pairwise(cuts):
            held = [int(((v > low) & (v < high)).sum()) for v in (positive, negative)]
            in_doubt += held[0] * held[1]
        pairs = len(positive) * len(negative)
        assert bound == pytest.approx(in_doubt / 2 / pairs)
        codes = np.searchsorted(cuts, of.score) * 2 + np.isin(of.score, cuts)
        above = float(
            np.mean([(codes[~of.truth] < c).mean() + (codes[~of.truth] == c).mean() / 2 for c in codes[of.truth]])
        )
        assert found.candidate == pytest.approx(above)
        assert found.interval.method == f"influence values, of scores in cells: {bound:.1g} wider"
        bounds.append(bound)
    both, bound = streamed("roc_auc", in_parts(candidate, other), N, 0.95, 0.9)
    assert bound == pytest.approx(bounds[0] + 0.9 * bounds[1])
    assert both.influence.size == 0


def test_the_interval_of_scores_in_cells_is_that_of_the_cells_and_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EDGES", 20)
    candidate, _ = binary()
    found, bound = streamed("roc_auc", in_parts(candidate, None), N, 0.95)
    cuts = np.sort(candidate.score)[[(N - 1) * i // 19 for i in range(20)]]
    cells = replace(candidate, score=np.searchsorted(cuts, candidate.score) * 2.0 + np.isin(candidate.score, cuts))
    wanted = contrast("roc_auc", cells, None, None, 0.95).interval
    ends = (wanted.low - bound, wanted.estimate, wanted.high + bound)
    assert (found.interval.low, found.interval.estimate, found.interval.high) == pytest.approx(ends)
    for limit in (wanted.low, wanted.estimate + 0.01):
        assert found.interval.p_above(limit) == pytest.approx(wanted.p_above(limit + bound))
        assert found.interval.p_below(limit) == pytest.approx(wanted.p_below(limit - bound))


def test_the_sample_that_cuts_cells_is_drawn_from_all_rows_and_is_the_same_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SAMPLE", 600)
    candidate, other = binary()
    first, again = (streamed("roc_auc", in_parts(candidate, other), N, 0.95) for _ in range(2))
    assert (first[1], first[0].interval.low) == (again[1], again[0].interval.low)
    # A fifth of the rows are edges, so that some five rows share what lies between two of them.
    for of in (candidate, other):
        _, bound = streamed("roc_auc", in_parts(of, None), N, 0.95)
        assert 0.5 / 1_000 < bound < 1 / 600
    # Told of fewer rows, it draws all of them, and each is a cell of its own.
    assert streamed("roc_auc", in_parts(candidate, other), 600, 0.95)[1] == 0


def test_cells_are_edges_and_what_lies_between() -> None:
    edges = np.array([0.2, 0.5])
    found = cell_of(np.array([0.1, 0.2, 0.3, 0.5, 0.9]), edges)
    assert (found.tolist(), found.dtype) == ([0, 1, 2, 3, 4], np.int64)
    with pytest.raises(Undefined, match=r"^no rows$"):
        streamed("roc_auc", lambda: iter([Pair(Scored(np.zeros(0, bool), np.zeros(0)))]), 0, 0.95)
    flat = Scored(binary()[0].truth, np.full(N, 0.4))
    with pytest.raises(Undefined, match=r"^all 3000 scores lie in one cell: a model that ranks nothing$"):
        streamed("roc_auc", in_parts(flat, None), N, 0.95)
