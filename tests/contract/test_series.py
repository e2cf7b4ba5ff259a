"""What a contract may say of rankings and forecasts."""

from __future__ import annotations

from pathlib import Path

import pytest

from weighin.contract import Contract, checks, read_contract
from weighin.errors import ContractError
from weighin.runner.plan import Answers

RANKING = """\
version: 1
model: {name: m, task: ranking, target: relevance}
data:
  holdout: holdout.parquet
  columns:
    query: {type: string, role: group}
    relevance: {type: integer, role: target}
    score: {type: float}
group: query
gates:
  performance:
    checks:
      - {metric: ndcg_5, at_least: 0.5}
      - {metric: map, against: champion, margin: 0.01}
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
    store: {type: string, role: group}
    sold: {type: float, role: target}
    yesterday: {type: float, role: other}
    last_week: {type: float, role: other}
    spread: {type: float, role: other}
    price: {type: float}
group: store
gates:
  performance:
    checks:
      - {metric: mase, at_most: 1}
      - {metric: mae, against: seasonal_naive, better_by: 0}
"""
INTERVAL = (
    FORECAST.replace("  target: sold\n", "  target: sold\n  prediction: {kind: interval}\n")
    .replace("metric: mase, at_most: 1", "metric: coverage, at_least: 0.8")
    .replace("      - {metric: mae, against: seasonal_naive, better_by: 0}\n", "")
)


def read(folder: Path, text: str, *changes: tuple[str, str]) -> Contract:
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (folder / "model_contract.yaml").write_text(text)
    return read_contract(folder / "model_contract.yaml").contract


def test_each_has_the_answers_of_its_kind(tmp_path: Path) -> None:
    assert read(tmp_path, RANKING).model.answers == Answers((0,), "score")
    assert read(tmp_path, FORECAST).model.answers == Answers((0,), "value")
    assert read(tmp_path, INTERVAL).model.answers == Answers((0, 1), "interval")


def test_a_baseline_is_a_comparison_of_its_own(tmp_path: Path) -> None:
    assert "performance/mae/vs-seasonal_naive/better" in {c.id for c in checks(read(tmp_path, FORECAST), "performance")}


MONITOR = "monitor: {log: {path: log}, watch: [{metric: METRIC, at_most: 1, action: alert, window: {rows: 2000}}]}\n"
LOAD = "  load: {rate: 10, seconds: 20, within: {latency_ms: 100, share_at_least: 0.9}, "
LOAD += "error_rate_at_most: 0.05, memory_mb_at_most: 1000}\n"


@pytest.mark.parametrize(
    ("text", "old", "new", "says"),
    [
        (RANKING, "group: query\n", "", "a ranking is judged by query: name its column, `group`"),
        (FORECAST, "group: store\n", "", "a forecast is judged by series: name its column, `group`"),
        (RANKING, "map, against: champion", "mae, against: champion", "`mae` is no metric of a ranking task"),
        (RANKING, "map, against: champion", "map, against: naive", "name its column, `model.forecast.naive`"),
        (
            RANKING,
            "target: relevance}",
            "target: relevance, forecast: {naive: score}}",
            "of a forecast, and of no other",
        ),
        (FORECAST, "naive: yesterday,", "naive: nowhere,", "model.forecast.naive names `nowhere`"),
        (FORECAST, "    yesterday: {type: float, role: other}", "    yesterday: {type: float}", "given to the model"),
        (FORECAST, ", scale: spread", "", "`mase` needs what errors are divided by"),
        (FORECAST, "seasonal_naive: last_week, ", "", "name its column, `model.forecast.seasonal_naive`"),
        (FORECAST, "metric: mase, at_most", "metric: coverage, at_least", "`coverage` cannot be measured of a value"),
        (
            INTERVAL,
            "kind: interval",
            "kind: interval, column: 1",
            "the bounds of an interval are the first two columns",
        ),
        (INTERVAL, "metric: coverage", "metric: mae", "`mae` cannot be measured of an interval"),
        (
            INTERVAL,
            "coverage, at_least: 0.8",
            "interval_width, against: naive, margin: 1",
            "not compared with an interval",
        ),
        (INTERVAL, "gates:\n", f"gates:\n{LOAD}", "gates.load takes one number a row"),
        (RANKING, "gates:\n", MONITOR.replace("METRIC", "ndcg") + "gates:\n", "not made from single rows of the log"),
        (FORECAST, "gates:\n", MONITOR.replace("METRIC", "mase") + "gates:\n", "not made from single rows of the log"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, old: str, new: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ContractError) as refused:
        read(tmp_path, text, (old, new))
    assert says in str(refused.value)


def test_a_ranking_takes_no_weights(tmp_path: Path) -> None:
    column = ("    score: {type: float}\n", "    score: {type: float}\n    w: {type: float, role: weight}\n")
    with pytest.raises(ContractError, match="`weight` counts rows, and a ranking is judged by query"):
        read(tmp_path, RANKING, column, ("group: query\n", "group: query\nweight: w\n"))
