"""Metrics of rankings and forecasts: against scikit-learn and by hand, and what no order of a file can buy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score

from weighin.stats.contrast import contrast
from weighin.stats.intervals import PerfectScore, Undefined
from weighin.stats.metrics import METRICS
from weighin.stats.ranking import (
    mean_average_precision,
    mean_reciprocal_rank,
    ndcg,
    precision_at,
    ranked,
    recall_at,
)
from weighin.stats.scored import Influence, Scored

QUERIES, EACH = 60, 12


def drawn(seed: int, strength: float = 1.0, graded: bool = True) -> Scored:
    random = np.random.default_rng(seed)
    truth = (random.integers(0, 4, QUERIES * EACH) * (random.random(QUERIES * EACH) < 0.4)).astype(float)
    truth[::EACH] = 1.0
    unit = np.repeat(np.arange(QUERIES), EACH)
    order = random.permutation(len(unit))
    score = strength * truth + random.normal(size=len(unit))
    return Scored((truth if graded else (truth > 0) * 1.0)[order], score[order], unit=unit[order])


def tables(rows: Scored) -> tuple[np.ndarray, np.ndarray]:
    """Relevance and score by query, as scikit-learn takes them."""
    assert rows.unit is not None
    order = np.argsort(rows.unit, kind="stable")
    return rows.truth[order].reshape(QUERIES, EACH), rows.score[order].reshape(QUERIES, EACH)


@pytest.mark.parametrize(("name", "k"), [("ndcg", None), ("ndcg_5", 5), ("ndcg_1", 1)])
def test_ndcg_is_that_of_scikit_learn(name: str, k: int | None) -> None:
    rows = drawn(0)
    assert METRICS[name].of(rows).estimate == pytest.approx(ndcg_score(*tables(rows), k=k))


def test_map_is_that_of_scikit_learn() -> None:
    rows = drawn(1, graded=False)
    truth, score = tables(rows)
    theirs = label_ranking_average_precision_score(truth.astype(int), score)
    assert METRICS["map"].of(rows).estimate == pytest.approx(theirs)


def test_the_others_by_hand() -> None:
    rows = drawn(2)
    truth, score = tables(rows)
    hits = np.take_along_axis(truth, np.argsort(-score, axis=1), axis=1) > 0
    assert METRICS["mrr"].of(rows).estimate == pytest.approx(np.mean(1 / (hits.argmax(axis=1) + 1)))
    assert METRICS["precision_3"].of(rows).estimate == pytest.approx(hits[:, :3].mean())
    recall = (hits[:, :3].sum(axis=1) / hits.sum(axis=1)).mean()
    assert METRICS["recall_3"].of(rows).estimate == pytest.approx(recall)


@pytest.mark.parametrize("name", [n for n, m in METRICS.items() if m.tasks == ("ranking",) and n != "recall_20"])
def test_a_query_is_one_unit(name: str) -> None:
    rows = drawn(3, 0.2)
    found = METRICS[name].of(rows)
    by_query = np.bincount(rows.unit, weights=found.values) * QUERIES  # type: ignore[arg-type]
    assert by_query.sum() == pytest.approx(0, abs=1e-9)
    assert contrast(name, rows, None, rows.unit, 0.95).interval.n == QUERIES
    alone = METRICS[name].of(rows.rows(rows.unit == 7)).estimate
    assert found.estimate + by_query[7] == pytest.approx(alone)


@pytest.mark.parametrize("name", ["ndcg", "mrr", "map", "recall_3", "precision_3"])
def test_scores_that_are_all_the_same_gain_nothing_from_the_order_of_the_file(name: str) -> None:
    rows = drawn(4)
    best_first = np.lexsort((-rows.truth, rows.unit))
    tied = Scored(rows.truth[best_first], np.zeros(len(rows.truth)), unit=rows.unit[best_first])  # type: ignore[index]
    worst = Scored(rows.truth, -rows.truth, unit=rows.unit)
    assert METRICS[name].of(tied).estimate == pytest.approx(METRICS[name].of(worst).estimate)


def test_queries_without_a_relevant_document_are_left_out() -> None:
    rows = drawn(5)
    truth = np.where(rows.unit == 3, 0.0, rows.truth)
    found = METRICS["ndcg"].of(Scored(truth, rows.score, unit=rows.unit))
    rest = METRICS["ndcg"].of(rows.rows(rows.unit != 3))
    assert found.estimate == pytest.approx(rest.estimate)
    assert not found.values[rows.unit == 3].any()
    with pytest.raises(Undefined, match="no query has a relevant document"):
        METRICS["mrr"].of(Scored(np.zeros(len(truth)), rows.score, unit=rows.unit))


def test_a_negative_relevance_and_a_perfect_order_are_said() -> None:
    rows = drawn(6)
    with pytest.raises(Undefined, match="1 documents have a negative relevance"):
        METRICS["ndcg"].of(
            Scored(np.where(np.arange(len(rows.truth)) == 5, -1.0, rows.truth), rows.score, unit=rows.unit)
        )
    with pytest.raises(PerfectScore):
        contrast("ndcg", Scored(rows.truth, rows.truth, unit=rows.unit), None, rows.unit, 0.95)
    with pytest.raises(TypeError, match="by query"):
        METRICS["ndcg"].of(Scored(rows.truth, rows.score))


def test_scaled_errors_are_divided_by_the_scale_of_their_row() -> None:
    random = np.random.default_rng(7)
    truth, scale = random.normal(50, 9, 200), random.uniform(1, 5, 200)
    rows = Scored(truth, truth + random.normal(size=200), scale=scale)
    assert METRICS["mase"].of(rows).estimate == pytest.approx(np.mean(np.abs(rows.error) / scale))
    for wrong in (0.0, -1.0, np.nan):
        broken = Scored(truth, rows.score, scale=np.where(np.arange(200) == 3, wrong, scale))
        with pytest.raises(Undefined, match="the scale of 1 rows is no positive number"):
            METRICS["mase"].of(broken)


def test_an_interval_covers_and_has_a_width() -> None:
    truth = np.arange(100, dtype=np.float64)
    bounds = np.column_stack([truth - 1, truth + 2])
    bounds[:10] += 50
    rows = Scored(truth, bounds)
    assert METRICS["coverage"].of(rows).estimate == pytest.approx(0.9)
    assert METRICS["interval_width"].of(rows).estimate == pytest.approx(3)
    found = contrast("coverage", Scored(truth, np.column_stack([truth, truth])), None, None, 0.95).interval
    assert (found.estimate, found.low) == pytest.approx((1, 0.05 ** (1 / 100)))
    with pytest.raises(Undefined, match="1 of 100 intervals end before they begin"):
        METRICS["coverage"].of(Scored(truth, np.where((np.arange(100) == 4)[:, None], bounds[:, ::-1], bounds)))


@pytest.mark.parametrize("percent", [5, 10, 25, 50, 75, 90, 95])
def test_the_pinball_loss_is_least_at_its_quantile(percent: int) -> None:
    truth = np.random.default_rng(8).normal(size=20_000)
    at = {
        q: METRICS[f"pinball_{percent}"].of(Scored(truth, np.full(20_000, np.quantile(truth, q)))).estimate
        for q in (percent / 100 - 0.03, percent / 100, percent / 100 + 0.03)
    }
    assert min(at, key=at.__getitem__) == percent / 100


def test_errors_as_a_share_of_nothing_are_undefined() -> None:
    with pytest.raises(Undefined, match="every target is zero"):
        METRICS["wape"].of(Scored(np.zeros(50), np.ones(50)))
    assert METRICS["smape"].of(Scored(np.zeros(50), np.zeros(50))).estimate == 0


# --- made here and not when the table of metrics was imported, on rankings of two queries


def two_queries() -> Scored:
    """Relevances in the order of the scores: 0, 3, 1, 0 of query 4, 2, 0 of query 1, and 0 of query 9."""
    unit = np.array([4, 1, 4, 4, 9, 1, 4])
    score = np.array([0.9, 0.8, 0.7, 0.5, 1.0, 0.1, 0.2])
    truth = np.array([0, 2, 3, 1, 0, 0, 0])
    return Scored(truth, score, unit=unit)


def test_documents_are_ranked_within_their_query() -> None:
    of = ranked(two_queries())
    assert of.query.tolist() == [0, 0, 1, 1, 1, 1]  # queries without a relevant document are left out
    assert of.rank.tolist() == [1, 2, 1, 2, 3, 4]
    assert of.row.tolist() == [1, 5, 0, 2, 3, 6]
    assert of.relevance.tolist() == [2, 0, 0, 3, 1, 0]
    assert [of.query.dtype, of.rank.dtype, of.row.dtype, of.relevance.dtype] == [np.int64] * 3 + [np.float64]
    assert of.queries == 2
    assert of.total(of.relevance).tolist() == [2.0, 4.0]
    best = ranked(two_queries(), ideal=True)
    assert best.relevance.tolist() == [2, 0, 3, 1, 0, 0]
    assert best.rank.tolist() == [1, 2, 1, 2, 3, 4]


LOG3 = np.log2(3)


@pytest.mark.parametrize(
    ("made", "of_query_1", "of_query_4"),
    [
        (lambda: ndcg(), 1.0, (3 / LOG3 + 1 / 2) / (3 + 1 / LOG3)),
        (lambda: ndcg(1), 1.0, 0.0),
        (lambda: ndcg(2), 1.0, (3 / LOG3) / (3 + 1 / LOG3)),
        (lambda: recall_at(1), 1.0, 0.0),
        (lambda: recall_at(2), 1.0, 1 / 2),
        (lambda: recall_at(3), 1.0, 1.0),
        (lambda: precision_at(1), 1.0, 0.0),
        (lambda: precision_at(2), 1 / 2, 1 / 2),
        (lambda: precision_at(3), 1 / 3, 2 / 3),
        (lambda: precision_at(8), 1 / 8, 2 / 8),
        (lambda: mean_reciprocal_rank, 1.0, 1 / 2),
        (lambda: mean_average_precision, 1.0, (1 / 2 + 2 / 3) / 2),
    ],
)
def test_a_metric_of_a_ranking_is_the_mean_of_its_queries(
    made: Callable[[], Callable[[Scored], Influence]], of_query_1: float, of_query_4: float
) -> None:
    found = made()(two_queries())
    middle = (of_query_1 + of_query_4) / 2
    assert found.estimate == pytest.approx(middle, abs=1e-12)
    # How far a query is from the mean, spread over its rows: two of query 1, four of query 4, one without any.
    one, other = (of_query_1 - middle) / 2 / 2, (of_query_4 - middle) / 2 / 4
    assert found.values == pytest.approx([other, one, other, other, 0, one, other], abs=1e-12)


@pytest.mark.parametrize("k", [1, 3, 5, None])
def test_gains_are_those_of_scikit_learn(k: int | None) -> None:
    rows = drawn(8)
    assert ndcg(k)(rows).estimate == pytest.approx(ndcg_score(*tables(rows), k=k))


def test_what_cannot_be_ranked_is_said() -> None:
    rows = two_queries()
    with pytest.raises(TypeError, match=r"^rankings are measured by query$"):
        ranked(Scored(rows.truth, rows.score))
    with pytest.raises(Undefined, match=r"^no query has a relevant document$"):
        ranked(Scored(np.zeros(7), rows.score, unit=rows.unit))
    with pytest.raises(Undefined, match=r"^2 documents have a negative relevance$"):
        ranked(Scored(np.where(rows.truth > 1, -1, rows.truth), rows.score, unit=rows.unit))
