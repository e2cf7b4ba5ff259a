"""Limits of a draft leave the room that their own interval says is noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from weighin.init import limits
from weighin.outcome import Direction, Limit, Measurement, Status, Unmeasured, decide


def measured(check: str, estimate: float, half: float, n: int = 500) -> Measurement:
    return Measurement(check, estimate, estimate - half, estimate + half, 0.95, n, "", "")


@pytest.mark.parametrize("half", [0.3, 0.02, 0.0004])
def test_the_model_that_was_measured_passes_and_so_does_one_that_is_half_an_interval_worse(half: float) -> None:
    found = {
        "performance/roc_auc": measured("performance/roc_auc", 0.8, half / 10),
        "performance/log_loss": measured("performance/log_loss", 0.5, half),
    }
    gate, notes, asked = limits.performance(found, "binary", "probability")
    assert asked == []
    auc, loss, *compared = gate["checks"]  # type: ignore[misc]
    for check, sign in ((auc, -1), (loss, 1)):
        one = found[f"performance/{check['metric']}"]
        way = Direction.AT_LEAST if "at_least" in check else Direction.AT_MOST
        limit = Limit(way, check.get("at_least", check.get("at_most")))
        assert decide(one, limit).status is Status.PASSED
        reach = one.high - one.estimate
        worse = measured(one.check, one.estimate + sign * reach, reach)
        assert decide(worse, limit).status is Status.PASSED
        much_worse = measured(one.check, one.estimate + sign * 4 * reach, reach)
        assert decide(much_worse, limit).status is Status.FAILED
    assert [c["metric"] for c in compared] == ["roc_auc", "log_loss"]
    assert all(c["margin"] > 0 for c in compared)
    assert "an equal candidate passes with" in notes["performance.checks.2"]


def test_the_power_beside_a_margin_is_what_simulation_finds() -> None:
    """The margin is half an interval, and errors correlate by 0.9 and by 0.5: the comment holds within a percent."""
    half = 0.05
    error = half / 1.6448536
    said = limits._power(half, measured("x", 0.0, half))
    random = np.random.default_rng(0)
    for correlation in (0.9, 0.5):
        spread = error * math.sqrt(2 * (1 - correlation))
        passes = (random.normal(0, spread, 200_000) - 1.6448536 * spread > -half).mean()
        shown = int(said.partition("passes with ")[2].partition(" %")[0]) if correlation == 0.9 else _second(said)
        assert shown == pytest.approx(100 * passes, abs=1)


def _second(said: str) -> int:
    return int(said.partition(", or ")[2].partition(" %")[0])


def test_a_metric_that_could_not_be_measured_is_a_question_with_the_reason() -> None:
    found = {
        "performance/mae": measured("performance/mae", 1.0, 0.1),
        "performance/rmse": Unmeasured("performance/rmse", "too few rows"),
    }
    gate, _, asked = limits.performance(found, "regression", "value")
    assert [c["metric"] for c in gate["checks"]] == ["mae", "mae"]  # type: ignore[attr-defined]
    assert asked == ["rmse is not limited: too few rows"]


def test_columns_that_differ_more_between_windows_have_a_limit_of_their_own() -> None:
    found = {
        "drift/a": measured("drift/a", 0.02, 0.01),
        "drift/b": measured("drift/b", 0.3, 0.1),
        "drift/c": Unmeasured("drift/c", "one value"),
        "drift/table": measured("drift/table", 0, 0),
    }
    gate, _ = limits.drift(found, ["e"])
    assert set(gate["columns"]) == {"e", "b", "c"}  # type: ignore[arg-type]
    assert gate["columns"]["b"]["at_most"] == 0.5  # type: ignore[index]
    assert gate["at_most"] == 0.1


def test_one_feature_that_is_nearly_everything_leaves_explainability_out() -> None:
    assert limits.explainability({"explainability/share/a": measured("", 0.95, 0.01)}) is None
    assert limits.explainability({"explainability/share/a": Unmeasured("", "no loss")}) is None
    assert limits.explainability({"explainability/share/a": measured("", 0.5, 0.1)}) is not None


def test_a_server_that_was_not_measured_has_no_limits() -> None:
    known = {f"load/{k}": measured("", 10.0, 1.0) for k in ("p50", "p90", "peak-memory", "start-up")}
    gate = limits.load(known)
    assert gate is not None
    assert gate["within"]["latency_ms"] == 100  # type: ignore[index]
    assert limits.load({**known, "load/p90": Unmeasured("", "late")}) is None
    assert limits.load({**known, "load/p90": measured("", 10.0, math.inf)}) is None


def rows_alike(share: float) -> list:  # type: ignore[type-arg]
    one = Measurement("data_quality/holdout/training_rows", share, share, share, 1.0, 1000, "share", "", "census")
    return [decide(one, Limit(Direction.AT_MOST, 0.0))]


def test_rows_that_equal_training_rows_by_nature_get_room_and_a_leak_gets_none() -> None:
    assert limits.alike(rows_alike(0.2), natural=0.21) == pytest.approx(0.27)
    assert limits.alike(rows_alike(0.2), natural=0.0) is None
    assert limits.alike(rows_alike(0.5), natural=0.2) is None
    assert limits.alike(rows_alike(0.0), natural=0.2) is None


def test_rows_that_repeat_another_get_room() -> None:
    one = Measurement("data_quality/holdout/copies", 0.07, 0.07, 0.07, 1.0, 1000, "share", "", "census")
    assert limits.copies([decide(one, Limit(Direction.AT_MOST, 0.02))]) == pytest.approx(0.088)
    assert limits.copies([decide(one, Limit(Direction.AT_MOST, 0.1))]) is None
