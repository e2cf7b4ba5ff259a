"""Metrics of rankings: a number for each query, of which a metric is the mean.

Rows are documents, grouped by query. Documents with the same score are ranked with the relevant ones last: a model that
tells nothing apart gains nothing from the order of the file. Queries without a relevant document are left out: no model
can rank them rightly or wrongly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from weighin.stats.intervals import Codes, Floats, Undefined
from weighin.stats.scored import Influence, Scored


@dataclass(frozen=True)
class Ranked:
    """Documents of all queries that have a relevant one, query by query, the best ranked first.

    query     (m,) codes 0..Q-1, ascending
    rank      (m,) 1, 2, ... within the query
    relevance (m,) 0 or more
    row       (m,) their rows
    """

    query: Codes
    rank: Codes
    relevance: Floats
    row: Codes

    @property
    def queries(self) -> int:
        """How many there are."""
        return int(self.query[-1]) + 1

    def total(self, values: Floats) -> Floats:
        """(Q,) sums by query."""
        return np.asarray(np.bincount(self.query, weights=values))


def ranked(rows: Scored, *, ideal: bool = False) -> Ranked:
    """Return the documents as a model ranks them, or as their relevance does.

    Errors: `Undefined` without a query that has a relevant document, and for a negative relevance.
    """
    if rows.unit is None:
        raise TypeError("rankings are measured by query")
    relevance = np.asarray(rows.truth, dtype=np.float64)
    if (relevance < 0).any():
        raise Undefined(f"{int((relevance < 0).sum())} documents have a negative relevance")
    key = relevance if ideal else rows.score
    order = np.lexsort((relevance, -key, rows.unit))
    codes = rows.unit[order]
    found = np.bincount(rows.unit, weights=relevance > 0) > 0
    order = order[found[codes]]
    if not len(order):
        raise Undefined("no query has a relevant document")
    query = np.unique(rows.unit[order], return_inverse=True)[1].astype(np.int64)
    size = np.bincount(query)
    rank = np.arange(len(query)) - np.repeat(np.cumsum(size) - size, size) + 1
    return Ranked(query, rank.astype(np.int64), relevance[order], order.astype(np.int64))


def mean_over_queries(values: Floats, of: Ranked, rows: Scored) -> Influence:
    """Return the mean of a number of each query; its error is spread evenly over the query's rows."""
    estimate = float(values.mean())
    share = (values - estimate) / of.queries / np.bincount(of.query)
    influence = np.zeros(len(rows.truth))
    influence[of.row] = share[of.query]
    return Influence(estimate, influence)


def ndcg(k: int | None = None) -> Callable[[Scored], Influence]:
    """Normalised discounted cumulative gain of the first k documents, in [0, 1]; the gain is the relevance itself.

    Source: Jarvelin and Kekalainen 2002.
    """

    def measure(rows: Scored) -> Influence:
        def gain(of: Ranked) -> Floats:
            counted = of.relevance / np.log2(of.rank + 1.0)
            return of.total(counted if k is None else counted * (of.rank <= k))

        ours, best = ranked(rows), ranked(rows, ideal=True)
        return mean_over_queries(gain(ours) / gain(best), ours, rows)

    return measure


def mean_reciprocal_rank(rows: Scored) -> Influence:
    """Mean of one over the rank of the first relevant document, in (0, 1]."""
    of = ranked(rows)
    inverse = np.where(of.relevance > 0, 1.0 / of.rank, 0.0)
    best = np.zeros(of.queries)
    np.maximum.at(best, of.query, inverse)
    return mean_over_queries(best, of, rows)


def mean_average_precision(rows: Scored) -> Influence:
    """Mean of the average precision of each query, in (0, 1]: precision at each relevant document, averaged."""
    of = ranked(rows)
    hit = (of.relevance > 0).astype(np.float64)
    before = np.cumsum(hit) - np.repeat(np.cumsum(of.total(hit)) - of.total(hit), np.bincount(of.query))
    return mean_over_queries(of.total(hit * before / of.rank) / of.total(hit), of, rows)


def recall_at(k: int) -> Callable[[Scored], Influence]:
    """Share of a query's relevant documents that stand among the first k, averaged over queries, in [0, 1]."""

    def measure(rows: Scored) -> Influence:
        of = ranked(rows)
        hit = (of.relevance > 0).astype(np.float64)
        return mean_over_queries(of.total(hit * (of.rank <= k)) / of.total(hit), of, rows)

    return measure


def precision_at(k: int) -> Callable[[Scored], Influence]:
    """Share of the first k documents that are relevant, averaged over queries, in [0, 1]; of k also where fewer are."""

    def measure(rows: Scored) -> Influence:
        of = ranked(rows)
        hit = (of.relevance > 0).astype(np.float64)
        return mean_over_queries(of.total(hit * (of.rank <= k)) / k, of, rows)

    return measure
