"""A run: what is broken raises an alarm after as many windows as the contract asks for, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from support.evidence_files import ROOT
from weighin.contract import read_contract
from weighin.contract.models import Contract
from weighin.contract.monitor import Monitor, Window
from weighin.data.profiling import profile
from weighin.data.relation import Relation
from weighin.errors import ContractError, NotEvaluated
from weighin.monitor.evaluate import Champion, Evaluation, evaluate
from weighin.monitor.rules import baseline_of, watched
from weighin.outcome import Measurement, Status

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 1000
BASE = read_contract(ROOT / "model_contract.yaml").contract


def monitor(*watch: dict[str, Any], **evidence: Any) -> Contract:
    rows = {"rows": ROWS, "rows_at_least": 200}
    listed = [{"window": rows, **w} for w in watch]
    given = Monitor.model_validate({"log": {"path": "log"}, "watch": listed, "evidence": evidence})
    return BASE.model_copy(update={"monitor": given})


def window(seed: int, **changes: Any) -> pa.Table:
    """A thousand answers of a calibrated model about two features, with labels; all as it was at the release."""
    rng = np.random.default_rng(seed)
    shift, error, slow = changes.get("shift", 0.0), changes.get("error", 0), changes.get("slow", 0)
    distance = rng.gamma(2, 400, ROWS).astype(np.int64) + int(400 * shift)
    origin = rng.choice(["EWR", "JFK", "LGA"], ROWS, p=[0.4, 0.3, 0.3])
    score = rng.beta(2, 4, ROWS)
    label = (rng.random(ROWS) < (score if not changes.get("useless") else 0.5)).astype(float)
    other = np.where(rng.random(ROWS) < changes.get("differs", 0.0), 1 - score, score)
    ok = np.arange(ROWS) >= error
    return pa.table(
        {
            "distance": pa.array(distance, mask=~ok),
            "origin": pa.array(origin, mask=~ok),
            "prediction": pa.array(score, mask=~ok),
            "label": pa.array(label, mask=~ok | (np.arange(ROWS) < changes.get("unlabelled", 0))),
            "other": pa.array(other, mask=~ok),
            "row": pa.array(np.zeros(ROWS, dtype=np.int64)),
            "status": pa.array(np.where(ok, 200, 500)),
            "latency_ms": pa.array(np.where(np.arange(ROWS) < slow, 900.0, rng.gamma(2, 20, ROWS))),
        }
    )


class Log:
    """Windows in memory: the newest `broken` of them are."""

    def __init__(self, broken: int = 0, **changes: Any) -> None:
        self.broken, self.changes, self.asked = broken, changes, []

    def window(self, window_: Window, now: datetime, back: int, *, labelled: bool) -> pa.Table:
        self.asked.append((back, labelled))
        rows = window(100 + back, **(self.changes if back < self.broken else {}))
        if self.changes.get("away"):
            raise NotEvaluated("no connection", "the log", "Is the database there?")
        return rows.slice(0, self.changes.get("rows", ROWS))


@pytest.fixture(scope="module")
def champion() -> Champion:
    rows = pa.concat_tables([window(seed) for seed in range(20)])
    found = profile(Relation.over(rows), {"distance": 10, "origin": 10, "prediction": 10}, None)
    return Champion("3", "sha256:a", found, {"roc_auc": 0.74, "log_loss": 0.55})


def evaluated(champion: Champion, log: Log, *watch: dict[str, Any], **evidence: Any) -> Evaluation:
    return evaluate(monitor(*watch, **evidence), log, champion, NOW)


def test_a_champion_that_is_too_old_is_an_alarm_whatever_the_log_says(champion: Champion) -> None:
    contract = monitor({"error_rate_at_most": 0.05}, {"window": None, "age_days_at_most": 30, "action": "retrain"})
    for days, alarms in ((30, []), (31, ["monitor/age"])):
        old = replace(champion, since=NOW - timedelta(days=days))
        assert [a.check for a in evaluate(contract, Log(3, away=True), old, NOW).alarms] == alarms
    unknown = evaluate(contract, Log(), champion, NOW)
    assert unknown.outcomes[1].status is Status.NOT_EVALUATED


EVERYTHING: list[dict[str, Any]] = [
    {"drift_at_most": 0.1, "action": "alert"},
    {"metric": "roc_auc", "relative_decline_at_most": 0.15, "action": "rollback"},
    {"metric": "log_loss", "times_baseline_at_most": 1.5},
    {"metric": "accuracy", "at_least": 0.6},
    {"error_rate_at_most": 0.05, "action": "rollback"},
    {"latency_ms_at_most": 300},
    {"disagreement_at_most": 0.1},
]


def test_what_is_as_it_was_raises_no_alarm_and_one_window_is_enough_to_see_it(champion: Champion) -> None:
    log = Log()
    found = evaluated(champion, log, *EVERYTHING)
    assert {o.check: o.status.value for o in found.outcomes} == dict.fromkeys(
        (f"monitor/last-1000/{c}" for c in (
            "drift/distance", "drift/origin", "drift/prediction", "roc_auc", "log_loss", "accuracy", "errors",
            "p95-within-300-ms", "disagreement",
        )),
        "passed",
    )  # fmt: skip
    assert found.alarms == ()
    assert log.asked == [(0, False), (0, True)]


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"shift": 2.0}, "drift/distance"),
        ({"useless": True}, "roc_auc"),
        ({"error": 150}, "errors"),
        ({"slow": 200}, "p95-within-300-ms"),
        ({"differs": 0.4}, "disagreement"),
    ],
)
def test_one_thing_broken_raises_its_alarm_after_three_windows(
    changes: dict[str, Any], check: str, champion: Champion
) -> None:
    name = f"monitor/last-1000/{check}"
    for broken in (1, 2):
        found = evaluated(champion, Log(broken, **changes), *EVERYTHING)
        assert next(o for o in found.outcomes if o.check == name).status is Status.FAILED
        assert found.alarms == ()
    found = evaluated(champion, Log(3, **changes), *EVERYTHING)
    assert name in [a.check for a in found.alarms]
    assert all(o.status is Status.FAILED for o in found.alarms[0].windows)
    assert evaluated(champion, Log(1, **changes), *EVERYTHING, consecutive_windows=1).alarms != ()


@pytest.mark.parametrize(
    ("changes", "check", "says"),
    [
        ({"rows": 100}, "errors", "100 requests in the window, 200 are needed"),
        ({"rows": 100}, "roc_auc", "100 rows in the window, 200 are needed"),
        ({"unlabelled": 900}, "roc_auc", "100 labels have come, 200 are needed"),
        ({"unlabelled": 1000}, "roc_auc", "0 labels have come"),
        ({"away": True}, "errors", "the log: no connection"),
        ({"error": 1000}, "drift/distance", "no rows"),
    ],
)
def test_what_cannot_be_measured_is_no_alarm(
    changes: dict[str, Any], check: str, says: str, champion: Champion
) -> None:
    found = evaluated(champion, Log(3, **changes), *EVERYTHING)
    outcome = next(o for o in found.outcomes if o.check == f"monitor/last-1000/{check}")
    assert outcome.status is Status.NOT_EVALUATED
    assert says in outcome.reason
    assert f"monitor/last-1000/{check}" not in [a.check for a in found.alarms]


def test_limits_are_made_of_the_champions_record(champion: Champion) -> None:
    by_name = {w.metric: w for w in watched(monitor(*EVERYTHING), champion.baseline, ()) if w.metric}
    assert by_name["roc_auc"].limit.value == pytest.approx(0.74 * 0.85)
    assert by_name["log_loss"].limit.value == pytest.approx(0.55 * 1.5)
    assert by_name["roc_auc"].baseline == "baseline 0.74 of the champion's record"
    # Six checks without a profile: nine with one; the sureness is shared among them.
    alone = watched(monitor({"error_rate_at_most": 0.1}), {}, ())[0].limit.alpha
    assert watched(monitor(*EVERYTHING), champion.baseline, ())[0].limit.alpha < alone <= 0.05


@pytest.mark.parametrize(
    ("watch", "says"),
    [
        ({"metric": "f1", "relative_decline_at_most": 0.1}, "record says nothing of `f1`"),
        ({"metric": "roc_auc", "times_baseline_at_most": 1.5}, "`roc_auc` improves upwards"),
        ({"drift_at_most": 0.1, "columns": ["nothing"]}, "no profile of `nothing`"),
    ],
)
def test_what_cannot_be_watched_is_an_error_of_the_contract(
    watch: dict[str, Any], says: str, champion: Champion
) -> None:
    with pytest.raises(ContractError, match=says):
        watched(monitor(watch), champion.baseline, ("distance",))


def test_the_same_thing_is_not_watched_twice(champion: Champion) -> None:
    with pytest.raises(ContractError, match="watched twice"):
        watched(monitor({"error_rate_at_most": 0.1}, {"error_rate_at_most": 0.2}), {}, ())


@pytest.mark.parametrize(
    "watch",
    [
        {},
        {"error_rate_at_most": 0.1, "drift_at_most": 0.1},
        {"metric": "f1"},
        {"error_rate_at_most": 0.1, "metric": "f1"},
        {"error_rate_at_most": 0.1, "columns": ["a"]},
        {"error_rate_at_most": 0.1, "window": None},
        {"age_days_at_most": 30},
        {"no_traffic_minutes_at_most": 30},
        {"window": None, "age_days_at_most": 30, "action": "rollback"},
    ],
)
def test_a_watch_has_one_limit(watch: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"exactly one limit|goes without|needs a|go with"):
        monitor(watch)


def test_the_baseline_is_what_the_record_says_of_the_candidate() -> None:
    def of(check: str, **detail: float) -> dict[str, Any]:
        return {"check": f"performance/{check}", "evidence": {"detail": detail}}

    listed = [
        of("roc_auc", candidate=0.7), of("roc_auc/vs-champion", candidate=0.7),
        of("roc_auc/vs-champion/origin=JFK", candidate=0.1), of("changed"), of("mae/vs-champion", candidate=2.0),
    ]  # fmt: skip
    assert baseline_of({"suites": [{"suite": "performance", "outcomes": listed}]}) == {"roc_auc": 0.7, "mae": 2.0}


# --- before labels come


METRICS_WATCHED: list[dict[str, Any]] = [
    {"metric": "roc_auc", "at_least": 0.6, "action": "rollback"},
    {"metric": "accuracy", "at_least": 0.6},
    {"metric": "log_loss", "at_most": 0.7},
]
NAMES = [f"monitor/last-1000/{m}/estimate" for m in ("roc_auc", "accuracy", "log_loss")]


def test_before_labels_come_there_is_an_estimate_that_says_it_is_one(champion: Champion) -> None:
    found = evaluated(champion, Log(3, unlabelled=900), *METRICS_WATCHED)
    assert [o.status for o in found.outcomes] == [Status.NOT_EVALUATED] * 3
    assert [o.check for o in found.estimates] == NAMES
    assert [o.status for o in found.estimates] == [Status.PASSED] * 3
    for outcome, metric in zip(found.estimates, ("roc_auc", "accuracy", "log_loss"), strict=True):
        assert isinstance(outcome.evidence, Measurement)
        assert outcome.evidence.method == "expected from the predicted probabilities, if they are calibrated"
        assert outcome.evidence.detail == {"estimate_of": metric}
        assert outcome.evidence.low < outcome.evidence.estimate < outcome.evidence.high


def test_with_labels_there_is_none(champion: Champion) -> None:
    assert evaluated(champion, Log(), *METRICS_WATCHED, {"error_rate_at_most": 0.05}).estimates == ()


def test_an_estimate_that_fails_in_every_window_is_no_alarm(champion: Champion) -> None:
    impossible = [{**w, **({"at_least": 0.99} if "at_least" in w else {"at_most": 0.01})} for w in METRICS_WATCHED]
    for consecutive_windows in (1, 3):
        found = evaluated(champion, Log(3, unlabelled=900), *impossible, consecutive_windows=consecutive_windows)
        assert [o.status for o in found.estimates] == [Status.FAILED] * 3
        assert found.alarms == ()
        assert not {o.check for o in found.estimates} & {o.check for o in found.outcomes}
    # The same with labels is one.
    assert len(evaluated(champion, Log(3), *impossible).alarms) == 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rows": 100, "unlabelled": 1000}, "no estimate: 100 predictions in the window, 200 are needed"),
        ({"error": 900, "unlabelled": 1000}, "no estimate: 100 predictions in the window, 200 are needed"),
        ({"away": True}, "no estimate: the log: no connection"),
    ],
)
def test_without_predictions_there_is_no_estimate(changes: dict[str, Any], says: str, champion: Champion) -> None:
    log = Log(3, **changes)
    found = evaluated(champion, log, *METRICS_WATCHED)
    assert [o.status for o in found.estimates] == [Status.NOT_EVALUATED] * 3
    assert all(says in o.reason for o in found.estimates)
    assert len(log.asked) == len(set(log.asked)) == (1 if "away" in changes else 2)


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_only_a_binary_model_has_an_estimate(task: str, champion: Champion) -> None:
    contract = monitor({"metric": "accuracy", "at_least": 0.6})
    model = contract.model.model_copy(update={"task": task})
    found = evaluate(contract.model_copy(update={"model": model}), Log(3, unlabelled=1000), champion, NOW)
    (outcome,) = found.estimates
    assert outcome.status is Status.NOT_EVALUATED
    assert outcome.reason.startswith(f"no estimate: a {task} model")
