"""The sender against real servers, good ones and bad ones."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support.load_plans import PLAN, features, loaded
from support.load_servers import latency, running
from weighin.errors import NotEvaluated
from weighin.load import generate, read_log
from weighin.runner.plan import Answers, Interface, Phase, Plan

SHORT = (Phase("load", 40, 0.25),)
"""Ten requests, for servers that treat each one alike."""


def test_every_request_is_sent_and_answered_with_its_rows(tmp_path: Path) -> None:
    log = loaded("constant", tmp_path, batch_rows=(1, 3))
    assert len(log.ok) == 30
    assert set(log.errors) == {""}
    assert {len(rows) for rows in log.rows} == {1, 3}
    assert log.answers == tuple(tuple(float(row) for row in rows) for rows in log.rows)
    assert set(log.phase) == {"load"}
    assert log.intended == pytest.approx(0.25 + np.arange(30) / 40)
    assert np.all(log.lateness >= 0)
    assert np.all(log.latency >= 0.005)


def test_a_server_that_works_on_one_request_at_a_time_is_charged_for_the_queue(tmp_path: Path) -> None:
    # 40 requests per second of 40 ms each: the last one waits for 0.4 s and more, though its own answer takes 40 ms.
    log = loaded("serial", tmp_path, service=0.04)
    truth = latency("serial", np.arange(40) / 40, 0.04)[10:]
    assert truth[-1] > 0.4
    assert log.latency == pytest.approx(truth, abs=0.1)


ERRORS = {
    "hangs": "no answer in time",
    "resets": "connection reset",
    "closes": "connection closed without an answer",
    "breaks off": "connection closed within the answer",
    "half JSON": "broken JSON",
    "HTML": "HTML instead of JSON",
    "10 MB": "more than 1048576 bytes",
    "endless": "more than 1048576 bytes",
    "other rows": "1 answers for 2 rows",
    "words": "the answers are not numbers, text among them (ValueError, code ",
    "other key": "no /predictions in the answer",
    "deep": "broken JSON",
    "error": "status 500",
    "redirects": "status 302",
    "no HTTP": "no HTTP in the answer",
}


@pytest.mark.parametrize("server", ERRORS)
def test_what_is_wrong_with_a_server_is_said_and_never_raised(server: str, tmp_path: Path) -> None:
    # Only a server that hangs is waited for in vain; on a busy machine 10 MB take their time.
    log = loaded(server, tmp_path, phases=SHORT, timeout_seconds=0.5 if server == "hangs" else 5)
    assert len(log.ok) == 10
    (error,) = set(log.errors)
    # Of an error that was raised over the answer, a code follows.
    assert error == ERRORS[server] or (ERRORS[server].endswith(", code ") and error.startswith(ERRORS[server]))
    assert set(log.answers) == {None}


def test_whatever_bytes_a_server_sends_nothing_is_raised(tmp_path: Path) -> None:
    log = loaded("noise", tmp_path, phases=(Phase("load", 200, 1),), timeout_seconds=0.5)
    assert len(log.ok) == 200
    assert 0 < log.ok.mean() < 0.5
    assert {"no HTTP in the answer", "broken JSON"} <= set(log.errors)
    assert max(len(error) for error in log.errors) <= 200


def test_a_server_that_dies_under_load_is_an_error_for_the_rest(tmp_path: Path) -> None:
    log = loaded("dies", tmp_path, phases=(Phase("load", 60, 0.5),))
    assert log.ok[0]
    assert not log.ok[-1]
    assert set(log.errors) <= {"", "connection reset", "connection closed without an answer", "connection refused"}


def test_chunked_answers_and_those_that_end_with_the_connection_are_read(tmp_path: Path) -> None:
    for server in ("chunked", "until closed", "continues"):
        assert set(loaded(server, tmp_path, phases=SHORT).errors) == {""}, server


def test_other_paths_forms_and_places_of_the_predictions(tmp_path: Path) -> None:
    interface = Interface("/healthy", "/v1/ask", "template", '{"deep": [{"x": {{rows}}}]}', "/deep/0/x")
    # The mirror sends the rows back, as a model does that answers with a data frame: its first column counts.
    log = loaded("mirror", tmp_path, phases=SHORT, interface=interface)
    assert set(log.errors) == {""}
    first = pd.read_parquet(tmp_path / "features.parquet").iloc[:, 0]
    assert [tuple(first.iloc[list(rows)]) for rows in log.rows] == list(log.answers)
    elsewhere = replace(interface, predictions="/deep/0/y")
    (error,) = set(loaded("mirror", tmp_path, phases=SHORT, interface=elsewhere).errors)
    assert error == "no /deep/0/y in the answer"


@pytest.mark.parametrize(("server", "why"), [("sick", "status 503"), ("silent", "no answer in time")])
def test_a_server_that_never_gets_healthy_is_not_evaluated_in_time(server: str, why: str, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(NotEvaluated, match=f"not get healthy in 0.5 s .{why}"):
        loaded(server, tmp_path, start_seconds=0.5)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(("url", "why"), [("http://127.0.0.1:1", "refused"), ("ftp://x", "no"), ("http://[", "not an")])
def test_an_address_without_a_server_is_not_evaluated(url: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(NotEvaluated, match=why):
        generate(url, features(tmp_path), replace(PLAN, start_seconds=0.5), Answers((0,)), tmp_path)


def test_a_ramp_ends_with_the_step_that_breaks_and_the_next_phase_begins_right_then(tmp_path: Path) -> None:
    # One request at a time, 20 ms each: 50 per second are what it bears.
    ramp = tuple(Phase("stress", rate, 0.5) for rate in (20, 200, 400, 800))
    phases = (Phase("load", 20, 0.25), *ramp, Phase("recovery", 20, 0.5))
    log = loaded("serial", tmp_path, service=0.02, phases=phases, timeout_seconds=10)
    stress, recovery = log.of("stress"), log.of("recovery")
    assert len(stress.ok) == 110
    # All of the ramp was answered before recovery began, which begins at once, not where the plan had it.
    ended = float(np.max(stress.intended + stress.latency))
    assert recovery.intended[0] == pytest.approx(ended, abs=0.5)
    assert recovery.intended[0] >= ended
    assert np.diff(recovery.intended) == pytest.approx(np.full(9, 0.05))
    assert recovery.ok.all()


def test_a_ramp_that_does_not_break_is_run_to_its_end(tmp_path: Path) -> None:
    log = loaded("constant", tmp_path, phases=(Phase("stress", 40, 0.5), Phase("stress", 80, 0.5)), break_ms=1000)
    assert len(log.ok) == 60
    assert log.intended[20] >= 0.5


def test_a_rate_that_cannot_be_reached_is_given_up_and_said(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(NotEvaluated, match="behind 200000 requests per second and gave up"):
        loaded("constant", tmp_path, phases=(Phase("load", 200_000, 0.2),), batch_rows=(1,))
    assert time.monotonic() - started < 60


def test_a_ramp_beyond_the_generator_ends_there(tmp_path: Path) -> None:
    phases = (Phase("stress", 200_000, 0.2), Phase("stress", 200_000, 0.01), Phase("recovery", 20, 0.25))
    log = loaded("constant", tmp_path, phases=phases, batch_rows=(1,))
    assert 0 < len(log.of("stress").ok) < 40_000
    assert len(log.of("recovery").ok) == 5


def test_starts_are_read_together(tmp_path: Path) -> None:
    with running("constant") as url:
        for start in (0, 1):
            generate(
                url, features(tmp_path), replace(PLAN, arrivals="poisson"), Answers((0,)), tmp_path, "champion", start
            )
    paths = [tmp_path / f"responses-champion-{start}.arrow" for start in (0, 1)]
    log = read_log(paths)
    both = [read_log([path]) for path in paths]
    assert log.start.tolist() == [0] * len(both[0].ok) + [1] * len(both[1].ok)
    assert both[0].rows != both[1].rows
    # A second of one start is no second of the other.
    assert not set(log.block[log.start == 0]) & set(log.block[log.start == 1])


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = Plan(("load",), ("candidate",), Answers(), 60, 1000, replace(PLAN, batch_rows=(1, 8), locustfile="x.py"))
    plan.write(tmp_path / "plan.json")
    assert Plan.read(tmp_path / "plan.json") == plan
    assert json.loads((tmp_path / "plan.json").read_text())["schema"] == "weighin/plan/v7"
