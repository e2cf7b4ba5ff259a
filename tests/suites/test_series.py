"""Rankings and forecasts through the performance suite: green as they are, red where one thing is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support.evidence_files import SOUND
from weighin.canonical import file_digest
from weighin.contract import checks, read_contract
from weighin.model.answers import write_predictions
from weighin.model.subject import ModelVersion, Subject
from weighin.outcome import Outcome, decide
from weighin.suites import measured
from weighin.suites.evidence import Evidence

RANKING = """\
version: 1
model: {name: m, task: ranking, target: relevance}
data:
  holdout: holdout.parquet
  columns:
    query: {type: integer, role: group}
    relevance: {type: integer, role: target}
    x: {type: float}
group: query
gates:
  performance:
    checks:
      - {metric: ndcg, at_least: 0.6}
      - {metric: mrr, at_least: 0.4}
      - {metric: ndcg_5, against: champion, margin: 0.02}
    slices:
      - {metric: ndcg, query: "query < 80", name: first, margin: 0.1}
"""
FORECAST = """\
version: 1
model:
  name: m
  task: forecast
  target: sold
  forecast: {naive: yesterday, seasonal_naive: last_week, scale: spread}
data:
  holdout: holdout.parquet
  columns:
    store: {type: integer, role: group}
    horizon: {type: integer, role: other}
    sold: {type: float, role: target}
    yesterday: {type: float, role: other}
    last_week: {type: float, role: other}
    spread: {type: float, role: other}
    price: {type: float}
group: store
gates:
  performance:
    checks:
      - {metric: mase, at_most: 0.9}
      - {metric: wape, at_most: 0.2}
      - {metric: mae, against: naive, better_by: 0.5}
      - {metric: mae, against: seasonal_naive, better_by: 0.5}
      - {metric: mae, against: champion, margin: 0.1}
    slices:
      - {metric: mae, column: horizon, values: [1, 7], against: naive, margin: 0, rows_at_least: 20}
"""
INTERVAL = (
    FORECAST.partition("      - {metric: mase")[0].replace(
        "  target: sold\n", "  target: sold\n  prediction: {kind: interval}\n"
    )
    + "      - {metric: coverage, at_least: 0.8}\n      - {metric: interval_width, against: champion, margin: 0.1}\n"
)


class Work:
    """What the suite reads. Change the frame, the answers or the contract, then ask for what is red."""

    def __init__(self, folder: Path, contract: str, frame: pd.DataFrame, answers: dict[str, np.ndarray]) -> None:
        self.folder, self.contract, self.frame, self.answers = folder, contract, frame, answers

    def outcomes(self) -> dict[str, Outcome]:
        path, data = self.folder / "model_contract.yaml", self.folder / "holdout.parquet"
        path.write_text(self.contract)
        self.frame.to_parquet(data, index=False)
        known = {"sha256": file_digest(data), "rows": len(self.frame), "problem": "", "features": "sha256:f"}
        for role, values in self.answers.items():
            (self.folder / f"work/predictions/{role}").mkdir(parents=True, exist_ok=True)
            table = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
            write_predictions(self.folder / f"work/predictions/{role}/holdout.arrow", table, "sha256:f", "float64")
        one, other = (ModelVersion("m", role, "r", f"sha256:{role}", "x") for role in ("candidate", "champion"))
        file = read_contract(path)
        subject = Subject(one, other, file.digest, {"holdout": known}, ephemeral_registry=True, models=SOUND)
        subject.write(self.folder / "work/subject.json")
        evidence = Evidence(file, self.folder / "work")
        return {c.id: decide(measured(c, evidence), c.limit) for c in checks(file.contract, "performance")}

    def red(self) -> dict[str, str]:
        return {n: o.status.value for n, o in self.outcomes().items() if o.status.value != "passed"}


@pytest.fixture
def ranking(tmp_path: Path) -> Work:
    random = np.random.default_rng(0)
    relevance = random.integers(1, 4, 1_600) * (random.random(1_600) < 0.3)
    frame = pd.DataFrame({"query": np.arange(1_600) // 10, "relevance": relevance, "x": random.normal(size=1_600)})
    scores = {r: relevance + s * random.normal(size=1_600) for r, s in (("candidate", 1.0), ("champion", 1.6))}
    return Work(tmp_path, RANKING, frame, scores)


def forecast_frame() -> tuple[pd.DataFrame, np.random.Generator]:
    random = np.random.default_rng(1)
    level = np.repeat(random.uniform(20, 60, 80), 10)
    sold = level + random.normal(0, 4, 800)
    frame = pd.DataFrame(
        {
            "store": np.repeat(np.arange(80), 10),
            "horizon": np.tile([1, 7], 400),
            "sold": sold,
            "yesterday": level + random.normal(0, 5, 800),
            "last_week": level + random.normal(0, 6, 800),
            "spread": np.repeat(random.uniform(3, 6, 80), 10),
            "price": random.normal(size=800),
        }
    )
    return frame, random


@pytest.fixture
def forecast(tmp_path: Path) -> Work:
    frame, random = forecast_frame()
    answers = {
        r: frame["sold"].to_numpy() + s * random.normal(size=800) for r, s in (("candidate", 2), ("champion", 3))
    }
    return Work(tmp_path, FORECAST, frame, answers)


def test_a_better_ranking_passes_and_queries_are_its_units(ranking: Work) -> None:
    assert ranking.red() == {}
    assert ranking.outcomes()["performance/ndcg"].evidence.n == 160  # type: ignore[union-attr]


def test_a_ranking_that_is_worse_or_shuffled_or_the_other_way_round_fails(ranking: Work) -> None:
    ranking.answers["candidate"], ranking.answers["champion"] = (
        ranking.answers["champion"],
        ranking.answers["candidate"],
    )
    assert ranking.red()["performance/ndcg_5/vs-champion"] == "failed"
    ranking.answers["candidate"] = np.random.default_rng(2).permutation(ranking.answers["candidate"])
    assert ranking.red()["performance/ndcg_5/vs-champion"] == "failed"
    ranking.answers["candidate"] = -ranking.answers["champion"]
    assert ranking.red()["performance/ndcg"] == "failed"


def test_one_score_for_all_documents_fails_however_the_file_is_sorted(ranking: Work) -> None:
    order = np.lexsort((-ranking.frame["relevance"], ranking.frame["query"]))
    ranking.frame = ranking.frame.iloc[order].reset_index(drop=True)
    ranking.answers = {r: v[order] for r, v in ranking.answers.items()}
    ranking.answers["candidate"] = np.zeros(1_600)
    assert ranking.red()["performance/ndcg"] == "failed"


def test_few_queries_are_not_evaluated(ranking: Work) -> None:
    ranking.frame["query"] = np.arange(1_600) % 5
    red = ranking.red()
    assert red["performance/ndcg"] == red["performance/ndcg_5/vs-champion"] == "not_evaluated"


def test_a_better_forecast_passes(forecast: Work) -> None:
    assert forecast.red() == {}
    every = forecast.outcomes()
    assert every["performance/mae/vs-naive/better"].evidence.n == 80  # type: ignore[union-attr]
    assert "performance/mae/vs-naive/horizon=7" in every


def test_a_forecast_that_is_no_better_than_the_naive_one_fails(forecast: Work) -> None:
    forecast.answers["candidate"] = forecast.frame["yesterday"].to_numpy() + 0.01
    red = forecast.red()
    assert red["performance/mae/vs-naive/better"] == red["performance/mase"] == "failed"


@pytest.mark.parametrize(
    ("column", "value", "check"),
    [
        ("yesterday", np.nan, "performance/mae/vs-naive/better"),
        ("spread", 0.0, "performance/mase"),
        ("spread", np.nan, "performance/mase"),
    ],
)
def test_a_baseline_or_a_scale_that_is_absent_is_not_evaluated(
    column: str, value: float, check: str, forecast: Work
) -> None:
    forecast.frame.loc[5, column] = value
    assert forecast.red()[check] == "not_evaluated"


def test_intervals_that_cover_pass_and_too_narrow_ones_fail(tmp_path: Path) -> None:
    frame, random = forecast_frame()
    centre = frame["sold"].to_numpy() + 2 * random.normal(size=800)
    half = random.uniform(3.5, 4.5, 800)
    bounds = {r: np.column_stack([centre - w * half, centre + half]) for r, w in (("candidate", 1), ("champion", 1.2))}
    work = Work(tmp_path, INTERVAL, frame, bounds)
    assert work.red() == {}
    work.answers["candidate"] = np.column_stack([centre - 1, centre + 1])
    assert work.red() == {"performance/coverage": "failed"}
    work.answers["candidate"] = np.column_stack([centre - 9, centre + 9])
    assert work.red() == {"performance/interval_width/vs-champion": "failed"}
    work.answers["candidate"] = np.column_stack([centre + 4, centre - 4])
    assert set(work.red().values()) == {"not_evaluated"}
