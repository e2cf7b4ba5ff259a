"""Load: right answers, fast enough, within the memory, and measured by a generator that can be trusted."""

from __future__ import annotations

from pathlib import Path

import pytest

from suite_work import Work


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def test_a_fast_and_right_server_passes(work: Work) -> None:
    assert work.write().red("load") == {}


def test_a_slow_server_fails(work: Work) -> None:
    for response in work.log:
        response["done"] = response["intended"] + 0.2
    assert work.write().red("load") == {"load/within-100-ms": "failed"}


def test_latency_counts_from_the_intended_start(work: Work) -> None:
    # Sent late and then answered at once: the one who waited did not see it any sooner.
    for i, response in enumerate(work.log):
        if i % 200 == 0:
            response["sent"] = response["intended"] + 0.5
            response["done"] = response["sent"] + 0.001
    work.contract = work.contract.replace("share_at_least: 0.9", "share_at_least: 0.999")
    assert work.write().outcomes("load")["load/within-100-ms"].evidence.estimate == pytest.approx(199 / 200)


def test_failed_requests_are_neither_right_nor_in_time(work: Work) -> None:
    for response in work.log[::2]:
        response.update(error="status 500", answers=None)
    assert work.write().red("load") == {"load/within-100-ms": "failed", "load/errors": "failed"}


def test_one_wrong_answer_is_too_many(work: Work) -> None:
    work.log[17]["answers"] = [a + 1e-6 for a in work.log[17]["answers"]]
    outcome = work.write().outcomes("load")["load/wrong-answers"]
    assert (outcome.status.value, outcome.evidence.estimate) == ("failed", 2.0)


def test_a_nan_answer_is_a_wrong_one(work: Work) -> None:
    work.log[17]["answers"] = [float("nan"), work.log[17]["answers"][1]]
    assert work.write().red("load") == {"load/wrong-answers": "failed"}


def test_a_difference_within_the_tolerance_is_none(work: Work) -> None:
    work.log[17]["answers"] = [a + 1e-12 for a in work.log[17]["answers"]]
    assert work.write().red("load") == {}


def test_too_much_memory_fails(work: Work) -> None:
    work.memory = {"peak_memory_mb": 1000.1}
    assert work.write().red("load") == {"load/peak-memory": "failed"}


@pytest.mark.parametrize("memory", [{}, {"peak_memory_mb": None}, {"peak_memory_mb": "nan"}, []])
def test_memory_that_was_not_recorded_is_not_evaluated(memory: object, work: Work) -> None:
    work.memory = memory
    assert work.write().red("load") == {"load/peak-memory": "not_evaluated"}


def test_a_generator_that_was_late_itself_is_not_trusted(work: Work) -> None:
    for response in work.log[::20]:
        response["sent"] = response["intended"] + 0.06
    red = work.write().red("load")
    assert red["load/within-100-ms"] == "not_evaluated"


@pytest.mark.parametrize("log", ["empty", "warm-up only", "too short"])
def test_too_few_requests_are_not_evaluated(log: str, work: Work) -> None:
    match log:
        case "empty":
            work.log = []
        case "warm-up only":
            for response in work.log:
                response["phase"] = "warm_up"
        case "too short":
            work.log = work.log[:90]
    red = work.write().red("load")
    assert red["load/within-100-ms"] == "not_evaluated"
    assert red["load/errors"] == "not_evaluated"


def test_no_answer_at_all_passes_nothing_but_memory(work: Work) -> None:
    for response in work.log:
        response.update(error="connection failed", answers=None)
    red = work.write().red("load")
    assert red["load/wrong-answers"] == "not_evaluated"
    assert red["load/errors"] == "failed"


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_a_missing_or_damaged_log_is_not_evaluated(content: bytes | None, work: Work) -> None:
    path = work.write().folder / "work/load/responses-candidate-0.arrow"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    red = work.red("load")
    assert {red[f"load/{name}"] for name in ("within-100-ms", "errors", "wrong-answers")} == {"not_evaluated"}


def test_a_server_that_ended_is_said_with_its_reason(work: Work) -> None:
    (work.write().folder / "work/load.problem").write_text("the server ended by itself (code 137)")
    found = work.outcomes("load")
    assert "the server ended by itself" in found["load/errors"].reason
    assert found["load/errors"].status.value == "not_evaluated"
