"""The verdict is computed from the evidence, and whatever is wrong with the evidence blocks, with a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.evidence_files import ROOT, Case, interval
from weighin.canonical import canonical, read_json, write_json
from weighin.contract import read_contract
from weighin.errors import EvidenceError
from weighin.outcome import Direction, Limit, Status, Unmeasured, census, decide
from weighin.record.suite import Binding, SuiteOutcomes

SUITES = ("data_quality", "performance", "drift", "load")


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path / "reports").write()


def rewrite(case: Case, suite: str, change) -> None:
    """Change what a suite left."""
    path = case.reports / suite / "outcomes.json"
    value = json.loads(path.read_text())
    change(value)
    write_json(path, value)


def refused(case: Case, sentence: str, **more) -> None:
    decision = case.decision(**more)
    assert decision.status is Status.NOT_EVALUATED
    assert decision.exit_code == 7
    assert any(sentence in said for said in decision.messages), decision.messages[:3]


def test_untouched_green_evidence_passes(case: Case) -> None:
    decision = case.decision()
    assert (decision.status, decision.exit_code, decision.messages) == (Status.PASSED, 0, [])


@pytest.mark.parametrize("suite", SUITES)
def test_one_absent_suite_is_no_pass(suite: str, case: Case) -> None:
    (case.reports / suite / "outcomes.json").unlink()
    refused(case, f"suite {suite}: ")


def test_no_evidence_at_all_is_exit_5(tmp_path: Path) -> None:
    decision = Case(tmp_path / "nothing").decision()
    assert (decision.status, decision.exit_code) == (Status.NOT_EVALUATED, 5)


def test_a_suite_that_was_left_out_is_no_pass(case: Case) -> None:
    refused(case, "suite drift was left out", wanted=("data_quality", "performance", "load"))


@pytest.mark.parametrize("result", ["failure", "skipped", "cancelled", ""])
def test_a_job_that_did_not_succeed_is_no_pass(result: str, case: Case) -> None:
    refused(case, f"job predict ended as {result}", needs={"resolve": "success", "predict": result})


def test_an_empty_suite_is_no_pass(case: Case) -> None:
    rewrite(case, "load", lambda v: v["outcomes"].clear())
    refused(case, "the suite left no outcome for this check")


def test_one_missing_check_is_no_pass(case: Case) -> None:
    rewrite(case, "drift", lambda v: v["outcomes"].pop())
    refused(case, "drift/table: not_evaluated: the suite left no outcome")


def test_a_check_that_the_contract_does_not_know_is_no_pass(case: Case) -> None:
    rewrite(case, "drift", lambda v: v["outcomes"][0].update(check="drift/invented"))
    refused(case, "drift/invented is no check of the contract")


def test_a_check_that_is_there_twice_is_no_pass(case: Case) -> None:
    rewrite(case, "drift", lambda v: v["outcomes"].append(v["outcomes"][0]))
    refused(case, "two outcomes for drift/")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("contract", "sha256:other", "of another contract"),
        ("subject", "sha256:other", "of another subject"),
        ("image", "sha256:other", "of another image"),
        ("attempt", "2", "of another attempt"),
    ],
)
def test_evidence_about_something_else_is_no_pass(field: str, value: str, sentence: str, case: Case) -> None:
    rewrite(case, "performance", lambda v: v["binding"].update({field: value}))
    refused(case, sentence)


def test_evidence_of_another_suite_is_no_pass(case: Case) -> None:
    (case.reports / "load/outcomes.json").write_bytes((case.reports / "drift/outcomes.json").read_bytes())
    refused(case, "its folder holds outcomes of suite drift")


def test_a_status_that_was_painted_green_is_found_out(case: Case) -> None:
    check = case.check("performance/roc_auc")
    case.evidence[check.id] = interval(check, 0.5, 0.02)
    case.write("performance")

    def paint(value: dict) -> None:
        for outcome in value["outcomes"]:
            outcome.update(status="passed", blocks=False)

    rewrite(case, "performance", paint)
    decision = case.decision()
    assert decision.status is Status.FAILED
    assert any("the suite says passed, its numbers say failed" in s for s in decision.messages)


def test_a_limit_that_was_lowered_in_the_evidence_does_not_count(case: Case) -> None:
    check = case.check("performance/roc_auc")
    low = decide(interval(check, 0.5, 0.02), Limit(Direction.AT_LEAST, 0.1))
    assert low.status is Status.PASSED

    def lower(value: dict) -> None:
        for outcome in value["outcomes"]:
            if outcome["check"] == check.id:
                outcome["evidence"].update(estimate=0.5, low=0.48, high=0.52)
                outcome["limit"]["value"] = 0.1

    rewrite(case, "performance", lower)
    assert case.decision().status is Status.FAILED


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"schema": "weighin/outcomes/v1"}', b'{"schema": "weighin/outcomes/v9"}', b"\xff\x00"],
)
def test_a_damaged_file_is_no_pass(content: bytes, case: Case) -> None:
    (case.reports / "drift/outcomes.json").write_bytes(content)
    refused(case, "suite drift: ")


def test_a_link_is_no_evidence(case: Case, tmp_path: Path) -> None:
    path = case.reports / "drift/outcomes.json"
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    refused(case, "suite drift: ")


def test_nan_in_the_evidence_is_no_pass(case: Case) -> None:
    def poison(value: dict) -> None:
        value["outcomes"][0]["evidence"]["low"] = "nan"

    rewrite(case, "drift", poison)
    refused(case, "not a finite number")


def test_a_failure_outranks_what_was_not_evaluated(case: Case) -> None:
    case.evidence["load/wrong-answers"] = census("load/wrong-answers", 1, n=10, unit="answers", method="m")
    case.evidence["drift/temp"] = Unmeasured("drift/temp", "no file")
    decision = case.write().decision()
    assert (decision.status, decision.exit_code) == (Status.FAILED, 1)


def test_a_teams_own_failing_test_blocks(case: Case) -> None:
    left = SuiteOutcomes.read(case.reports / "drift")
    own = decide(
        census("custom/test_drift.py::test_x", 1, n=1, unit="failures", method="own"), Limit(Direction.AT_MOST, 0)
    )
    SuiteOutcomes("drift", left.binding, (*left.outcomes, own), 1.0).write(case.reports / "drift")
    assert case.decision().status is Status.FAILED


def test_what_is_written_is_read_back_the_same(case: Case) -> None:
    for suite in SUITES:
        once = SuiteOutcomes.read(case.reports / suite)
        once.write(case.reports / "again")
        assert (case.reports / "again/outcomes.json").read_bytes() == (
            case.reports / suite / "outcomes.json"
        ).read_bytes()


def test_the_record_is_canonical_unsigned_and_complete(case: Case, tmp_path: Path) -> None:
    record = case.record()
    write_json(tmp_path / "record.json", record)
    assert (tmp_path / "record.json").read_bytes() == canonical(read_json(tmp_path / "record.json", record["schema"]))
    assert (record["candidate"]["version"], record["champion"]["version"]) == ("2", "1")
    assert record["contract"]["digest"] == case.file.digest
    assert sum(len(s["outcomes"]) for s in record["suites"]) == 307
    assert "at most 0.05" in record["risk"]


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b" " * 100)
    with pytest.raises(EvidenceError, match="larger than 50 bytes"):
        read_json(path, "s", limit=50)


def test_bindings_are_compared_field_by_field() -> None:
    assert Binding("c", "s", "i", "1") != Binding("c", "s", "", "1")


def with_own_suite(tmp_path: Path) -> Case:
    """Green evidence under the example's contract, in a folder that holds a suite of the team's own."""
    (tmp_path / "validation_tests").mkdir()
    (tmp_path / "validation_tests/test_extra.py").write_text("def test_one():\n    pass\n")
    path = tmp_path / "model_contract.yaml"
    path.write_bytes((ROOT / "model_contract.yaml").read_bytes())
    return Case(tmp_path / "reports", read_contract(path)).write()


def own_evidence(case: Case, *failures: int) -> None:
    limit = Limit(Direction.AT_MOST, 0.0, case.file.contract.alpha)
    found = [
        decide(census(f"custom/extra::test_{n}", f, n=1, unit="failures", method="own test"), limit)
        for n, f in enumerate(failures)
    ]
    SuiteOutcomes("extra", case.binding, tuple(found), 0.1).write(case.reports / "extra")


def test_a_teams_own_suite_that_passes_lets_it_pass(tmp_path: Path) -> None:
    case = with_own_suite(tmp_path)
    own_evidence(case, 0, 0)
    assert case.decision().status is Status.PASSED
    assert [s.suite for s in case.decision().suites][-1] == "extra"


def test_a_teams_own_suite_that_fails_is_a_failure(tmp_path: Path) -> None:
    case = with_own_suite(tmp_path)
    own_evidence(case, 0, 1)
    assert case.decision().status is Status.FAILED


def test_a_teams_own_suite_that_left_nothing_blocks(tmp_path: Path) -> None:
    refused(with_own_suite(tmp_path), "suite extra: ")


def test_a_teams_own_suite_in_which_no_test_ran_blocks(tmp_path: Path) -> None:
    case = with_own_suite(tmp_path)
    own_evidence(case)
    refused(case, "suite extra: not one test ran in it")


def test_a_teams_own_suite_that_was_left_out_is_no_pass(tmp_path: Path) -> None:
    case = with_own_suite(tmp_path)
    own_evidence(case, 0)
    refused(case, "suite extra was left out", wanted=case.file.contract.gates.names)


def test_a_teams_own_suite_cannot_speak_for_a_check_of_the_contract(tmp_path: Path) -> None:
    case = with_own_suite(tmp_path)
    found = decide(
        census("load/wrong-answers", 0, n=1, unit="failures", method=""), case.check("load/wrong-answers").limit
    )
    SuiteOutcomes("extra", case.binding, (found,), 0.1).write(case.reports / "extra")
    refused(case, "suite extra: ")
