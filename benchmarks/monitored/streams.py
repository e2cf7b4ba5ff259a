"""Simulated months of a champion's answers: rows that are independent of each other, and a truth that is exact."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy import optimize, stats

from weighin.contract.monitor import Window
from weighin.data.profile import Profile
from weighin.data.profiling import profile
from weighin.data.relation import Relation

CONTRACT = Path(__file__).resolve().parents[2] / "model_contract.yaml"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(minutes=5)
LOOKS = 30 * 24 * 12
"""Of a month."""
BEFORE = 12 * 12
"""Five minutes that lie before the first run: half a day, so that its windows are full."""
ROWS = 100
"""Expected in five minutes."""
LEVELS = np.arange(0.5, 20) / 20
"""Predictions: probabilities in twenty steps."""
LABELLED = 0.7
LATE = 18
"""Labels come for so many of the rows, so many times five minutes later in the middle of an exponential."""
QUICK, SLOW = 50.0, 900.0

Floats = np.ndarray


@dataclass(frozen=True)
class Truth:
    """What is true of every row.

    errors, slow         share of requests that fail, or take longer than the limit
    feature, prediction  population stability index of what comes now against the profile, in its cells
    source               the index is taken against what the profile's rows were drawn from, not against the profile
    """

    errors: float = 0.01
    slow: float = 0.02
    feature: float = 0.0
    prediction: float = 0.0
    source: bool = False

    def move(self, before: Profile) -> float:
        """How far the feature has moved."""
        return shifted(_edges(before, "temp"), self.feature, None if self.source else _shares(before, "temp"))

    def levels(self, before: Profile) -> Floats:
        """Shares of the levels of predictions."""
        known = None if self.source else _shares(before, "prediction")
        return tilted(_edges(before, "prediction"), self.prediction, known)


def _edges(before: Profile, column: str) -> Floats:
    return np.array(before.columns[column].cells.edges)


def _shares(before: Profile, column: str) -> Floats:
    """Of cells; nothing is missing."""
    counts = before.columns[column].counts.sum(axis=0)[:-1]
    return counts / counts.sum()


def psi(p: Floats, q: Floats) -> float:
    """Of two distributions that are known."""
    return float(np.sum((q - p) * np.log(q / p)))


def shifted(edges: Floats, to: float, known: Floats | None = None) -> float:
    """How far a standard normal feature has to move for this index in these cells.

    known  shares that it is taken against; by default those of the feature before it moved
    """

    def shares(by: float) -> Floats:
        return np.diff(stats.norm.cdf(np.concatenate([[-np.inf], edges, [np.inf]]) - by))

    p = shares(0.0) if known is None else known
    return optimize.brentq(lambda by: psi(p, shares(by)) - to, 0.0, 4.0, xtol=1e-13) if to else 0.0


def scores(tilt: float = 0.0) -> Floats:
    """Shares of the levels of a prediction."""
    share = stats.beta.pdf(LEVELS, 2, 4) * np.exp(tilt * LEVELS)
    return share / share.sum()


def tilted(edges: Floats, to: float, known: Floats | None = None) -> Floats:
    """Shares of the levels at this index in these cells. `known` as for `shifted`."""
    cell = np.searchsorted(edges, LEVELS, side="right")

    def shares(tilt: float) -> Floats:
        return np.bincount(cell, weights=scores(tilt))

    p = shares(0.0) if known is None else known
    return scores(optimize.brentq(lambda t: psi(p, shares(t)) - to, 0.0, 20.0, xtol=1e-13) if to else 0.0)


def true_auc(share: Floats) -> float:
    """Of a calibrated model: a row at a level is positive with the level's probability."""
    positive, negative = share * LEVELS, share * (1 - LEVELS)
    below = np.cumsum(negative) - negative
    return float(positive @ (below + negative / 2) / (positive.sum() * negative.sum()))


def true_log_loss(share: Floats) -> float:
    """Of the same model."""
    return float(share @ -(LEVELS * np.log(LEVELS) + (1 - LEVELS) * np.log(1 - LEVELS)))


def reference(rows: int, rng: np.random.Generator) -> tuple[Profile, Floats]:
    """The profile that a version is released with, drawn anew, and the values of the feature that it counts."""
    drawn = pa.table({"temp": rng.normal(size=rows), "prediction": rng.choice(LEVELS, rows, p=scores())})
    return profile(Relation.over(drawn), {"temp": 10, "prediction": 10}, None), drawn["temp"].to_numpy()


class Month:
    """The log of a month: `weighin.monitor.evaluate.Windows` in memory. A request has one row.

    rows      (looks + 1,) how many rows there are before each run's end, from `BEFORE` looks before the first on
    arrivals  the same of labels
    order     rows in the order in which their labels came
    """

    def __init__(self, truth: Truth, before: Profile, rng: np.random.Generator, rows: int = ROWS) -> None:
        slots = rng.poisson(rows, LOOKS + BEFORE)
        self.rows = np.concatenate([[0], np.cumsum(slots)])
        n = int(self.rows[-1])
        self.failed = rng.random(n) < truth.errors
        self.slow = rng.random(n) < truth.slow
        self.temp = rng.normal(truth.move(before), 1.0, n)
        levels = truth.levels(before)
        self.level = np.searchsorted(np.cumsum(levels)[:-1], rng.random(n)).astype(np.int8)
        self.label = rng.random(n) < LEVELS[self.level]
        came = np.repeat(np.arange(len(slots)), slots) + rng.exponential(LATE, n)
        came[self.failed | (rng.random(n) > LABELLED)] = np.inf
        self.order = np.argsort(came, kind="stable")[: int(np.isfinite(came).sum())]
        self.arrivals = np.searchsorted(came[self.order], np.arange(len(slots) + 1))

    def moment(self, look: int) -> datetime:
        """When the run is."""
        return BEGIN + EVERY * (look + 1)

    def bounds(self, window: Window, looks: np.ndarray, back: int, *, labelled: bool) -> tuple[np.ndarray, np.ndarray]:
        """First row and row behind the last of a window of each run, in the order of the rows or of the labels."""
        ends = self.arrivals if labelled else self.rows
        at = looks + BEFORE + 1
        if window.rows is not None:
            behind = ends[at] - back * window.rows
            return np.maximum(0, behind - window.rows), np.maximum(0, behind)
        slots = round(window.hours * 12)
        return ends[np.maximum(0, at - (back + 1) * slots)], ends[np.maximum(0, at - back * slots)]

    def window(self, window: Window, now: datetime, back: int, *, labelled: bool) -> pa.Table:
        """As the protocol has it."""
        look = round((now - BEGIN) / EVERY) - 1
        first, behind = (int(b[0]) for b in self.bounds(window, np.array([look]), back, labelled=labelled))
        at = self.order[first:behind] if labelled else np.arange(first, behind)
        failed = self.failed[at]
        return pa.table(
            {
                "temp": pa.array(self.temp[at], mask=failed),
                "prediction": pa.array(LEVELS[self.level[at]], mask=failed),
                "row": np.zeros(len(at), dtype=np.int64),
                "status": np.where(failed, 500, 200),
                "latency_ms": np.where(self.slow[at], SLOW, QUICK),
                # Labels of rows that are asked for as rows are not looked at.
                "label": self.label[at].astype(np.int64) if labelled else pa.nulls(len(at), pa.int64()),
            }
        )
