"""Concept drift on the stream: a change is found once, where it was; what says nothing gives no signal and says why."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from support.evidence_files import ROOT
from support.log_places import NOW, Add
from weighin.contract import read_contract
from weighin.contract.models import Contract
from weighin.contract.monitor import Monitor
from weighin.errors import ContractError
from weighin.monitor.detectors import Followed, Signal, follow, followed, signals
from weighin.prediction_log.reader import Log
from weighin.prediction_log.tables import LogTables
from weighin.runner.plan import Answers

BASE = read_contract(ROOT / "model_contract.yaml").contract
TABLES = LogTables.sketch(["distance"], kind="integer")
NONE = pa.table({})


def contract(*streams: dict[str, Any], task: str = "binary") -> Contract:
    watch = [{"window": {"hours": 1}, "error_rate_at_most": 0.1}]
    given = Monitor.model_validate({"log": {"path": "log"}, "watch": watch, "streams": streams})
    prediction = BASE.model.prediction.model_copy(update={"kind": "value"}) if task == "regression" else None
    model = BASE.model.model_copy(update={"task": task, "prediction": prediction or BASE.model.prediction})
    return BASE.model_copy(update={"monitor": given, "model": model})


def rows(label: Any, prediction: Any = 0.1, distance: Any = 500) -> pa.Table:
    """A row each minute, whose label came an hour later."""
    n = len(label)
    at = [NOW - timedelta(minutes=n - i) for i in range(n)]
    made = {
        "at": pa.array(at, pa.timestamp("us", tz="UTC")),
        "request": [f"r{i}" for i in range(n)],
        "row": np.zeros(n, dtype=np.int64),
        "prediction": pa.array(np.broadcast_to(prediction, n), pa.float64()),
        "f_distance": pa.array(np.broadcast_to(distance, n), pa.int64()),
        "label": pa.array(label),
        "label_at": pa.array([m + timedelta(hours=1) for m in at], pa.timestamp("us", tz="UTC")),
    }
    return pa.table(made)


def wrong(*shares: tuple[int, float], seed: int = 1) -> np.ndarray:
    """Labels of a model that always says no: (rows, share of wrong ones) one after the other."""
    rng = np.random.default_rng(seed)
    return np.concatenate([(rng.random(n) < share).astype(np.int64) for n, share in shares])


STEP = wrong((2000, 0.1), (1000, 0.4))
BOTH = ({"detector": "adwin", "of": "error"}, {"detector": "page_hinkley", "of": "error"})


@pytest.mark.parametrize("stream", BOTH, ids=["adwin", "page_hinkley"])
def test_a_share_of_errors_that_rises_is_found_once_and_where_it_was(stream: dict[str, Any]) -> None:
    (found,) = signals(contract(stream), TABLES, NONE, rows(STEP))
    assert found.check == f"monitor/stream/{stream['detector']}/error"
    seen = int(found.position.request[1:])
    assert 2000 <= seen < 2300
    assert found.position.moment == NOW - timedelta(minutes=3000 - seen) + timedelta(hours=1)
    assert abs(found.began - (NOW - timedelta(minutes=1000) + timedelta(hours=1))) < timedelta(minutes=60)
    assert (found.before, found.after) == (pytest.approx(0.1, abs=0.03), pytest.approx(0.4, abs=0.15))
    assert found.text.startswith("the mean of `error` went from 0.0945 to 0.4")
    assert found.action == "alert"


@pytest.mark.parametrize("stream", BOTH, ids=["adwin", "page_hinkley"])
def test_a_share_of_errors_that_stays_gives_no_signal(stream: dict[str, Any]) -> None:
    (found,) = followed(contract(stream), TABLES, NONE, rows(wrong((3000, 0.1))))
    assert found == Followed(f"monitor/stream/{stream['detector']}/error", 3000, 0, "")


def test_the_detectors_are_those_of_river() -> None:
    from river import drift

    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(0, 1, 800), rng.normal(3, 1, 800), rng.normal(-2, 1, 800)])
    for kind, parameters in ((drift.ADWIN, {"delta": 0.01, "clock": 8}), (drift.PageHinkley, {"threshold": 30.0})):
        detector, at = kind(**parameters), []
        for i, value in enumerate(values / 2):
            detector.update(value)
            if detector.drift_detected:
                at.append(f"r{i}")
        assert len(at) >= 2
        name = "adwin" if kind is drift.ADWIN else "page_hinkley"
        stream = {"detector": name, "of": "prediction", "scale": 2, **parameters}
        given = contract(stream, task="regression")
        found = signals(given, TABLES, rows([None] * len(values), prediction=values), NONE)
        assert [s.position.request for s in found] == at


def test_the_error_of_a_regression_is_its_distance_and_of_a_feature_its_value() -> None:
    label = np.concatenate([np.full(500, 100.0), np.full(500, 140.0)]) + np.tile([-1.0, 1.0], 500)
    error = {"detector": "adwin", "of": "error", "scale": 100}
    (found,) = signals(contract(error, task="regression"), TABLES, NONE, rows(label, prediction=110.0))
    assert (found.before, found.after) == (pytest.approx(10, abs=0.1), pytest.approx(30, abs=0.1))
    feature = {"detector": "page_hinkley", "of": "distance", "scale": 1000, "action": "retrain"}
    (found,) = signals(contract(feature), TABLES, rows(label, distance=np.where(label > 120, 900, 400)), NONE)
    assert (found.check, found.action) == ("monitor/stream/page_hinkley/distance", "retrain")
    assert (found.before, found.after) == (400, 900)


def test_of_several_classes_a_decision_for_another_one_is_an_error() -> None:
    base = contract(BOTH[0])
    three = base.model_copy(
        update={"model": base.model.model_copy(update={"task": "multiclass", "classes": ("x", "y", "z")})}
    )
    tables = LogTables.sketch(["distance"], answers=Answers((0, 1, 2), "probabilities"), label="string")
    made = rows(np.where(STEP, "z", "x").tolist())
    for i, share in enumerate((0.5, 0.3, 0.2)):
        made = made.append_column(f"prediction_{i}", pa.array(np.full(len(STEP), share)))
    expected = signals(base, TABLES, NONE, rows(STEP))
    assert len(expected) == 1
    assert signals(three, tables, NONE, made) == expected


def test_the_same_rows_give_the_same_signals_and_one_that_was_told_is_not_told_again() -> None:
    three = wrong((2000, 0.1), (1500, 0.5), (1500, 0.1))
    for stream in BOTH:
        given = contract(stream)
        first = signals(given, TABLES, NONE, rows(three).slice(0, 3000))
        again = signals(given, TABLES, NONE, rows(three))
        assert len(first) == 1
        assert again[:1] == first
        assert len(again) >= 2
        notified = {first[0].check: first[0].position}
        assert signals(given, TABLES, NONE, rows(three), notified) == again[1:]
        assert signals(given, TABLES, NONE, rows(three).slice(0, 3000), notified) == ()
        # Older rows fell out of what is fed: what comes next is the same, and nothing is told again.
        later = rows(three).slice(int(first[0].position.request[1:]) - 5)
        assert signals(given, TABLES, NONE, later, notified) == again[1:]
        gone = rows(three).slice(int(first[0].position.request[1:]) + 1)
        assert signals(given, TABLES, NONE, gone, notified) == again[1:]


def test_only_the_newest_rows_are_fed() -> None:
    (found,) = followed(contract({**BOTH[0], "rows": 900}), TABLES, NONE, rows(STEP))
    assert (found.rows_used, found.signals) == (900, ())


@pytest.mark.parametrize(
    ("labelled", "reason", "left_out"),
    [
        (NONE, "no label has come", 0),
        (rows(STEP).slice(0, 31), "31 rows have come, 32 are needed", 0),
        (rows(STEP, prediction=np.nan), "0 rows have come, 32 are needed; 3000 have no number", 3000),
        (rows([None, 7] * 50), "0 rows have come, 32 are needed; 100 have no number", 100),
    ],
)
def test_what_says_nothing_gives_no_signal_and_says_why(labelled: pa.Table, reason: str, left_out: int) -> None:
    (found,) = followed(contract(BOTH[0]), TABLES, NONE, labelled)
    assert (found.reason, found.left_out, found.signals) == (reason, left_out, ())


def test_rows_without_a_number_are_left_out_and_counted() -> None:
    label = [None if i % 10 == 0 else int(v) for i, v in enumerate(STEP)]
    (found,) = followed(contract(BOTH[0]), TABLES, NONE, rows(label))
    assert (found.rows_used, found.left_out, len(found.signals)) == (2700, 300, 1)


@pytest.mark.parametrize(
    ("stream", "task", "says"),
    [
        ({"of": "distance"}, "binary", "a stream of `distance` needs a `scale`"),
        ({"of": "error"}, "regression", "a stream of `error` needs a `scale`"),
        ({"of": "origin"}, "binary", "`origin` is no number in the log.*error, prediction, distance"),
        ({"of": "prediction"}, "multiclass", "several classes is no number"),
    ],
)
def test_what_cannot_be_fed_is_an_error_of_the_contract(stream: dict[str, Any], task: str, says: str) -> None:
    with pytest.raises(ContractError, match=says):
        followed(contract({"detector": "adwin", **stream}, task=task), TABLES, rows(STEP), rows(STEP))


@pytest.mark.parametrize(
    "stream",
    [
        {"detector": "adwin", "of": "error", "threshold": 3},
        {"detector": "page_hinkley", "of": "error", "clock": 3},
        {"detector": "adwin", "of": "error", "action": "rollback"},
        {"detector": "kswin", "of": "error"},
        {"detector": "adwin", "of": "error", "delta": 1},
    ],
)
def test_a_detector_has_its_own_parameters_and_never_rolls_back(stream: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"streams\.0"):
        contract(stream)


def test_a_detector_is_not_fed_twice_with_the_same() -> None:
    with pytest.raises(ValueError, match="adwin of error stands here twice"):
        contract(BOTH[0], {**BOTH[0], "delta": 0.1})


@pytest.mark.parametrize("stream", BOTH, ids=["adwin", "page_hinkley"])
def test_twenty_thousand_rows_are_fed_within_a_second(stream: dict[str, Any]) -> None:
    labelled = rows(wrong((20_000, 0.1)))
    given = contract(stream)
    signals(given, TABLES, NONE, labelled.slice(0, 100))
    began = time.process_time()
    (found,) = followed(given, TABLES, NONE, labelled)
    assert (found.rows_used, time.process_time() - began < 1) == (20_000, True)


def test_streams_are_read_from_the_log(tables: LogTables, add: Add, label: Callable[..., None]) -> None:
    """Of the present promotion, labels in the order in which they came."""
    add(*range(200, 100, -1), prediction=0.9, f_a=50.0)
    for m in range(100, 0, -1):
        add(m, prediction=0.9 if m > 40 else 0.1, f_a=1.0)
    label(*[(f"r{m}", 0, m / 1000) for m in range(200, 100, -1)], *[(f"r{m}", 1, m / 10) for m in range(100, 0, -1)])
    streams = [
        {"detector": "page_hinkley", "of": of, "threshold": 5, "scale": 1} for of in ("error", "a", "prediction")
    ]
    found, faults = follow(contract(*streams), Log(tables), "3", NOW - timedelta(minutes=100, seconds=30), NOW)
    error, feature, prediction = found
    assert [(f.rows_used, f.reason) for f in found] == [(100, "")] * 3
    assert [(round(s.before, 6), round(s.after, 6)) for s in error.signals] == [(0, 1)]
    assert [(round(s.before, 6), round(s.after, 6)) for s in prediction.signals] == [(0.9, 0.1)]
    assert feature.signals == ()
    assert faults.messages == ()
    (signal,) = error.signals
    assert isinstance(signal, Signal)
    assert int(signal.position.request[1:]) < 41
    assert signal.began == NOW - timedelta(minutes=4)
    notified = {error.check: signal.position}
    assert follow(contract(streams[0]), Log(tables), "3", None, NOW, notified)[0][0].signals == ()
    assert follow(contract(), Log(tables), "3", None, NOW)[0] == ()


def test_the_examples_of_the_documentation_are_contracts() -> None:
    text = (ROOT / "docs/how-to/monitoring.md").read_text()
    kept: dict[str, Any] = {"log": {"path": "log"}, "watch": [{"window": {"hours": 1}, "error_rate_at_most": 0.1}]}
    for title, key in (("## Concept drift on the stream", "streams"), ("## Shadow", "watch")):
        section = text.split(title)[1].split("\n## ")[0]
        (example,) = re.findall("```yaml\n(.*?)```", section, re.DOTALL)
        given = yaml.safe_load(example)["monitor"]
        assert list(given) == [key]
        monitor = Monitor.model_validate(kept | given)
        if key == "streams":
            assert len(monitor.streams) == 3
            followed(BASE.model_copy(update={"monitor": monitor}), TABLES, rows(STEP), rows(STEP))
        else:
            assert monitor.watch[0].disagreement_at_most == 0.1
