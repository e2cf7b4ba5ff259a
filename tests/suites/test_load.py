"""Load: right answers, fast enough, within the memory, and measured by a generator that can be trusted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from support.suite_work import Work
from weighin.contract import read_contract
from weighin.suites.evidence import Evidence
from weighin.suites.load import information

RATE, SHARE = "load/within-100-ms", "share_at_least: 0.9}"


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def with_limits(work: Work, *lines: str) -> Work:
    """The load gate with further limits."""
    work.contract = work.contract.replace("    rate: 10\n", "\n    ".join(["    rate: 10", *lines]) + "\n")
    return work


def slow(response: dict[str, Any], seconds: float) -> None:
    response["done"] = response["intended"] + seconds


def phase(work: Work, name: str, start: int, first: float, seconds: float, rate: float, latency: float = 0.01) -> None:
    """Requests of another phase, with the answers of the first request."""
    like = work.log[0]
    for i in range(int(seconds * rate)):
        moment = first + i / rate
        times = {"intended": moment, "sent": moment + 0.001, "done": moment + latency}
        work.log.append({**like, **times, "start": start, "phase": name})


def test_a_fast_and_right_server_passes(work: Work) -> None:
    assert work.write().red("load") == {}


def test_the_unit_is_a_block_of_time_and_not_a_request(work: Work) -> None:
    found = work.write().outcomes("load")[RATE].evidence
    assert (found.n, found.sampling_unit) == (80, "blocks of 0.5 s")
    assert found.low == pytest.approx(0.05 ** (1 / 80))


def test_a_slow_server_fails(work: Work) -> None:
    for response in work.log:
        slow(response, 0.2)
    assert work.write().red("load") == {RATE: "failed"}


def test_latency_counts_from_the_intended_start(work: Work) -> None:
    # Sent late and then answered at once: the one who waited did not see it any sooner.
    for response in work.log[::200]:
        response["sent"] = response["intended"] + 0.5
        response["done"] = response["sent"] + 0.001
    assert work.write().outcomes("load")[RATE].evidence.estimate == pytest.approx(199 / 200)


def test_failed_requests_are_neither_right_nor_in_time(work: Work) -> None:
    for response in work.log[::2]:
        response.update(error="status 500", answers=None)
    assert work.write().red("load") == {RATE: "failed", "load/errors": "failed"}


def test_a_stall_is_not_proof_enough_though_most_requests_were_in_time(work: Work) -> None:
    # 2 s of 40 s, 5 % of the requests: as single requests they would pass a limit of 92 %.
    work.contract = work.contract.replace(SHARE, "share_at_least: 0.92}")
    assert work.write().red("load") == {}
    for response in work.log[100:120]:
        slow(response, 0.5)
    assert work.write().red("load") == {RATE: "inconclusive"}


def test_one_wrong_answer_is_too_many(work: Work) -> None:
    work.log[17]["answers"] = [a + 1e-6 for a in work.log[17]["answers"]]
    outcome = work.write().outcomes("load")["load/wrong-answers"]
    assert (outcome.status.value, outcome.evidence.estimate) == ("failed", 2.0)
    assert outcome.reason.startswith("2 of 800 answers differ from the offline ones, by up to 1e-06 (2 answers,")


def test_a_wrong_answer_at_the_second_start_counts(work: Work) -> None:
    work.log[317]["answers"] = [a + 1e-6 for a in work.log[317]["answers"]]
    assert work.write().red("load") == {"load/wrong-answers": "failed"}


def test_a_nan_answer_is_a_wrong_one(work: Work) -> None:
    work.log[17]["answers"] = [float("nan"), work.log[17]["answers"][1]]
    assert work.write().red("load") == {"load/wrong-answers": "failed"}


def test_a_difference_within_the_tolerance_is_none(work: Work) -> None:
    work.log[17]["answers"] = [a + 1e-12 for a in work.log[17]["answers"]]
    assert work.write().red("load") == {}


# --- quantiles, throughput, peak


QUANTILES = "quantiles: [{quantile: 0.5, latency_ms_at_most: 20}, {quantile: 0.95, latency_ms_at_most: 50}]"


def test_a_quantile_passes_when_its_whole_interval_is_below_the_limit(work: Work) -> None:
    found = with_limits(work, QUANTILES).write().outcomes("load")
    assert {found[n].status.value for n in ("load/p50", "load/p95")} == {"passed"}
    assert found["load/p95"].evidence.estimate == pytest.approx(10)


def test_a_slow_tail_fails_its_quantile_and_no_other(work: Work) -> None:
    for i, response in enumerate(work.log):
        slow(response, 0.06 if i % 5 == 0 else 0.01)
    assert with_limits(work, QUANTILES).write().red("load") == {"load/p95": "failed"}


def test_a_quantile_that_this_little_cannot_prove_is_inconclusive(work: Work) -> None:
    tail = "quantiles: [{quantile: 0.99, latency_ms_at_most: 50, when_inconclusive: warn}]"
    found = with_limits(work, tail).write().outcomes("load")["load/p99"]
    assert (found.status.value, found.evidence.high) == ("inconclusive", math.inf)


PEAK = "peak: {rate: 20, latency_ms: 150, share_at_least: 0.8}"


def test_the_peak_has_a_limit_of_its_own(work: Work) -> None:
    phase(work, "peak", 1, 23.0, 10, 20, latency=0.12)
    assert with_limits(work, PEAK, "throughput_at_least: 18").write().red("load") == {}


def test_a_server_that_is_too_slow_at_the_peak_fails_there(work: Work) -> None:
    phase(work, "peak", 1, 23.0, 10, 20, latency=0.2)
    assert with_limits(work, PEAK).write().red("load") == {"load/peak/within-150-ms": "failed"}


def test_a_peak_that_was_not_sent_is_not_evaluated(work: Work) -> None:
    red = with_limits(work, PEAK, "throughput_at_least: 18").write().red("load")
    assert red == {"load/peak/within-150-ms": "not_evaluated", "load/throughput": "not_evaluated"}


def test_throughput_counts_right_answers_while_the_phase_lasts(work: Work) -> None:
    phase(work, "peak", 1, 23.0, 10, 20, latency=0.12)
    for response in [r for r in work.log if r["phase"] == "peak"][::2]:
        response.update(error="status 503", answers=None)
    found = with_limits(work, PEAK, "throughput_at_least: 18").write().outcomes("load")["load/throughput"]
    assert found.status.value == "failed"
    assert found.evidence.estimate == pytest.approx(10, abs=0.5)
    assert found.evidence.detail["offered_per_second"] == 20


def test_answers_that_come_late_are_throughput_of_a_later_second(work: Work) -> None:
    for response in work.log:
        slow(response, 25.0)
    found = with_limits(work, "throughput_at_least: 5", "timeout_seconds: 30").write().outcomes("load")
    assert found["load/throughput"].status.value == "failed"


# --- against the champion


CHAMPION = "against_champion: {quantile: 0.5, ratio_at_most: 1.5}"


def champion_log(work: Work, seconds: float) -> list[dict[str, Any]]:
    return [{**r, "done": r["intended"] + seconds} for r in work.log]


def test_as_fast_as_the_champion_passes(work: Work) -> None:
    with_limits(work, CHAMPION).write().write_load("champion", champion_log(work, 0.009))
    assert work.red("load") == {}
    found = work.outcomes("load")["load/p50/vs-champion"].evidence
    assert found.estimate == pytest.approx(10 / 9)


def test_twice_as_slow_as_the_champion_fails(work: Work) -> None:
    with_limits(work, CHAMPION).write().write_load("champion", champion_log(work, 0.005))
    assert work.red("load") == {"load/p50/vs-champion": "failed"}


def test_a_champion_that_was_not_served_is_not_evaluated(work: Work) -> None:
    assert with_limits(work, CHAMPION).write().red("load") == {"load/p50/vs-champion": "not_evaluated"}


def test_a_first_release_has_no_champion_to_be_slower_than(work: Work) -> None:
    del work.digests["champion"]
    found = with_limits(work, CHAMPION).write().outcomes("load")["load/p50/vs-champion"]
    assert (found.status.value, "first release" in found.evidence.method) == ("passed", True)


# --- one by one: malformed requests, the input example


def test_a_malformed_request_that_is_answered_fails(work: Work) -> None:
    probes = work.load_facts[0]["session"]["probes"]
    probes["malformed"] = [{"name": "an empty object", "said": "answered as if it were right", "kept": False}]
    found = work.write().outcomes("load")["load/malformed"]
    assert (found.status.value, found.evidence.estimate) == ("failed", 1.0)
    assert found.reason == "an empty object: answered as if it were right (1 request, limit ≤ 0)"


@pytest.mark.parametrize("kind", ["malformed", "input_example"])
def test_requests_that_were_not_sent_are_not_evaluated(kind: str, work: Work) -> None:
    work.load_facts[0]["session"]["probes"][kind] = []
    assert work.write().red("load") == {f"load/{kind.replace('_', '-')}": "not_evaluated"}


def test_a_model_without_an_input_example_says_what_to_do(work: Work) -> None:
    unavailable = [{"name": "input example", "unavailable": "no input example is logged with the model"}]
    work.load_facts[0]["session"]["probes"]["input_example"] = unavailable
    found = work.write().outcomes("load")["load/input-example"]
    assert (found.status.value, "input_example: false" in found.reason) == ("not_evaluated", True)
    assert with_limits(work, "input_example: false").write().red("load") == {}


# --- stress, recovery


FULL = ("profile: full", "stress: {rate_at_most: 80, factor: 2, seconds: 2, max_sustainable_rate_at_least: 30}")
RECOVERY = "recovery_seconds_at_most: 4"


def ramp(work: Work, *latencies: float) -> None:
    for number, latency in enumerate(latencies):
        phase(work, f"stress-{number + 1}", 1, 23.0 + 2 * number, 2, 20 * 2**number, latency)


def test_the_knee_is_the_last_rate_before_the_first_that_was_too_much(work: Work) -> None:
    ramp(work, 0.01, 0.05, 0.3)
    found = with_limits(work, *FULL).write().outcomes("load")["load/max-sustainable-rate"]
    assert (found.status.value, found.evidence.estimate) == ("passed", 40.0)
    assert [step["kept"] for step in found.evidence.detail["steps"]] == [True, True, False]


def test_a_knee_below_the_limit_fails(work: Work) -> None:
    ramp(work, 0.01, 0.3, 0.05)
    found = with_limits(work, *FULL).write().outcomes("load")["load/max-sustainable-rate"]
    assert (found.status.value, found.evidence.estimate) == ("failed", 20.0)


def test_a_ramp_that_was_not_sent_is_not_evaluated(work: Work) -> None:
    red = with_limits(work, *FULL, RECOVERY).write().red("load")
    assert red == {"load/max-sustainable-rate": "not_evaluated", "load/recovery": "not_evaluated"}


def test_a_late_generator_does_not_find_a_knee(work: Work) -> None:
    ramp(work, 0.01, 0.05)
    for response in work.log[-80:]:
        response["sent"] = response["intended"] + 0.06
        response["done"] = response["sent"] + 0.01
    assert with_limits(work, *FULL).write().red("load") == {"load/max-sustainable-rate": "not_evaluated"}


@pytest.mark.parametrize(("slow_seconds", "status"), [(0, "passed"), (2, "passed"), (4, "failed"), (9, "failed")])
def test_recovery_ends_with_the_last_second_that_was_too_slow(slow_seconds: int, status: str, work: Work) -> None:
    ramp(work, 0.01, 0.05, 0.3)
    phase(work, "recovery", 1, 29.5, 9, 10)
    for response in work.log:
        if response["phase"] == "recovery" and response["intended"] < 29.5 + slow_seconds:
            slow(response, 0.4)
    found = with_limits(work, *FULL, RECOVERY).write().outcomes("load")["load/recovery"]
    assert found.status.value == status
    if slow_seconds == 9:
        assert "not within the limit again" in found.evidence.method
        assert found.evidence.high == math.inf


def test_a_server_that_never_recovered_is_no_pass_under_a_wider_limit_either(work: Work) -> None:
    ramp(work, 0.01, 0.05, 0.3)
    phase(work, "recovery", 1, 29.5, 9, 10, latency=0.4)
    with_limits(work, *FULL, RECOVERY)
    waiver = "{check: load/recovery, limit: 60, owner: a, reason: b, expires: 2999-01-01}"
    work.contract += f"waivers: [{waiver}]\n"
    assert work.write().outcomes("load")["load/recovery"].status.value == "inconclusive"


# --- what the server took


def test_too_much_memory_fails(work: Work) -> None:
    work.load_facts[1]["server"]["peak_memory_mb"] = 1000.1
    assert work.write().red("load") == {"load/peak-memory": "failed"}


@pytest.mark.parametrize("server", [{}, {"peak_memory_mb": None}, {"peak_memory_mb": "nan"}, []])
def test_memory_that_was_not_recorded_is_not_evaluated(server: Any, work: Work) -> None:
    work.load_facts[1]["server"] = server
    assert work.write().red("load") == {"load/peak-memory": "not_evaluated"}


TOOK = ("start_up_seconds_at_most: 10", "cpu_seconds_at_most: 30")


def test_start_up_and_processor_time_are_measured(work: Work) -> None:
    found = with_limits(work, *TOOK).write().outcomes("load")
    assert found["load/start-up"].evidence.estimate == 4.0
    # From 5 s after the start to the end at 28 s half a second a second, for 460 predictions.
    assert found["load/cpu"].evidence.estimate == pytest.approx(23 * 0.5 / 460 * 1000)
    assert work.red("load") == {}


def test_the_slowest_start_decides(work: Work) -> None:
    work.load_facts[1]["session"]["healthy_at"] = 1011.0
    assert with_limits(work, *TOOK).write().red("load") == {"load/start-up": "failed"}


@pytest.mark.parametrize("samples", [[], None, [{"at": 1}], "text"])
def test_processor_time_that_was_not_recorded_is_not_evaluated(samples: Any, work: Work) -> None:
    work.load_facts[0]["server"]["samples"] = samples
    assert with_limits(work, *TOOK).write().red("load") == {"load/cpu": "not_evaluated"}


GROWTH = ("profile: full", "memory_growth_mb_at_most: 50")


def test_a_server_that_leaks_fails_and_one_that_grows_in_the_warm_up_does_not(work: Work) -> None:
    for sample in work.load_facts[1]["server"]["samples"]:
        sample["memory_mb"] += min(max(sample["at"] - 1000, 0), 8) * 40
    assert with_limits(work, *GROWTH).write().red("load") == {}
    for sample in work.load_facts[1]["server"]["samples"]:
        sample["memory_mb"] += max(sample["at"] - 1008, 0) * 4
    assert work.write().red("load") == {"load/memory-growth": "failed"}


# --- the clean environment


CLEAN = ("profile: full", "clean_environment: true")


def clean(work: Work) -> Work:
    with_limits(work, *CLEAN).write().write_load("clean", work.log[:50])
    return work


def test_a_model_that_answers_the_same_in_its_own_environment_passes(work: Work) -> None:
    assert clean(work).red("load") == {}


def test_another_answer_in_the_clean_environment_fails(work: Work) -> None:
    clean(work)
    wrong = [{**r, "answers": [a + 1e-3 for a in r["answers"]]} for r in work.log[:1]]
    work.write_load("clean", [*wrong, *work.log[1:50]])
    assert work.red("load") == {"load/clean-environment": "failed"}


def test_a_server_that_does_not_start_in_the_clean_environment_fails(work: Work) -> None:
    (clean(work).folder / "work/load/clean-0.problem").write_text("the server ended by itself (code 1): No module")
    found = work.outcomes("load")["load/clean-environment"]
    assert (found.status.value, "No module" in found.reason) == ("failed", True)


def test_an_environment_that_could_not_be_built_is_not_evaluated(work: Work) -> None:
    work.load_facts[0]["server"]["unbuilt"] = "no wheel of the package"
    red = clean(work).outcomes("load")["load/clean-environment"]
    assert (red.status.value, "no wheel" in red.reason) == ("not_evaluated", True)


# --- evidence that cannot be trusted


def test_a_generator_that_was_late_itself_is_not_trusted(work: Work) -> None:
    for response in work.log[::20]:
        response["sent"] = response["intended"] + 0.06
    red = with_limits(work, QUANTILES).write().red("load")
    assert red == dict.fromkeys((RATE, "load/p50", "load/p95"), "not_evaluated")


@pytest.mark.parametrize("log", ["empty", "warm-up only", "too short"])
def test_too_few_requests_are_not_evaluated(log: str, work: Work) -> None:
    match log:
        case "empty":
            work.log = []
        case "warm-up only":
            for response in work.log:
                response["phase"] = "warm_up"
        case "too short":
            work.log = [*work.log[:20], *work.log[200:220]]
    red = work.write().red("load")
    assert red[RATE] == "not_evaluated"
    assert red["load/errors"] == "not_evaluated"


def test_no_answer_at_all_passes_nothing_but_memory(work: Work) -> None:
    for response in work.log:
        response.update(error="connection refused", answers=None)
    red = work.write().red("load")
    assert red["load/wrong-answers"] == "not_evaluated"
    assert red["load/errors"] == red[RATE] == "failed"


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_a_missing_or_damaged_log_is_not_evaluated(content: bytes | None, start: int, work: Work) -> None:
    path = work.write().folder / f"work/load/candidate-{start}/responses-candidate-{start}.arrow"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    red = work.red("load")
    assert {red[name] for name in (RATE, "load/errors", "load/wrong-answers")} == {"not_evaluated"}


@pytest.mark.parametrize("start", [0, 1])
def test_a_server_that_ended_is_said_with_its_reason(start: int, work: Work) -> None:
    (work.write().folder / f"work/load/candidate-{start}.problem").write_text("the server ended by itself (code 137)")
    found = work.outcomes("load")
    assert "the server ended by itself" in found["load/errors"].reason
    assert {
        o.status.value for o in found.values() if o.check != "load/malformed" and o.check != "load/input-example"
    } == {"not_evaluated"}


def test_a_load_step_that_was_interrupted_passes_nothing(work: Work) -> None:
    (work.write().folder / "work/load/candidate-1.problem").write_text("the load step was interrupted")
    assert RATE in work.red("load")


@pytest.mark.parametrize("content", ["", "[]", "{", "x" * (5 * 2**20)])
def test_facts_that_cannot_be_read_are_not_evaluated(content: str, work: Work) -> None:
    (work.write().folder / "work/load/candidate-0/session.json").write_text(content)
    assert work.red("load") == {"load/malformed": "not_evaluated", "load/input-example": "not_evaluated"}


def test_the_warm_up_is_shown_with_its_slowest_answer_and_counts_for_nothing(work: Work) -> None:
    phase(work, "warm_up", 0, 0, 1, 5)
    slow(work.log[-5], 0.4)
    slow(work.log[-3], 2.31)
    work.log[-1]["error"] = "status 503"
    assert work.write().red("load") == {}
    (table,) = information(Evidence(read_contract(work.folder / "model_contract.yaml"), work.folder / "work"))
    assert table["columns"] == ["start", "requests", "failed", "first answer, ms", "slowest answer, ms"]
    assert table["rows"] == [[1, 5, 1, 400.0, 2310.0], [2, 0, 0, "no right answer", "no right answer"]]
