"""A suite as pytest runs it: what becomes of a team's own tests, of skips, of crashes, and what JUnit says."""

from __future__ import annotations

import json
import os
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import quick_python
from support.judged import judged_by_a_fork
from support.suite_work import Work
from weighin.contract import read_contract
from weighin.contract.stricter import compare
from weighin.record.decision import judge_evidence
from weighin.record.suite import SuiteOutcomes
from weighin.runner.isolated import isolated

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    shutil.copytree(
        ROOT / "validation_tests", tmp_path / "validation_tests", ignore=shutil.ignore_patterns("__pycache__")
    )
    return Work(tmp_path)


def judged(work: Work, *, new_interpreter: bool = False) -> tuple[int, dict[str, dict[str, Any]], ET.Element]:
    """Exit code, outcomes by check, and the JUnit file of the drift suite."""
    place, reports = work.folder, work.folder / "reports"
    code = judged_by_a_fork(place, "drift", reports, new_interpreter=new_interpreter)
    outcomes = json.loads((reports / "drift/outcomes.json").read_text())["outcomes"]
    junit = ET.parse(reports / "drift/junit.xml").getroot()[0]  # noqa: S314 - our own file
    return code, {o["check"]: o for o in outcomes}, junit


def own(work: Work, text: str) -> None:
    with (work.folder / "validation_tests/test_drift.py").open("a") as file:
        file.write("\n\n" + text)


def test_a_green_suite_leaves_junit_and_outcomes(work: Work) -> None:
    code, outcomes, junit = judged(work.write())
    assert code == 0
    assert len(outcomes) == 6
    assert (junit.get("tests"), junit.get("failures"), junit.get("errors")) == ("6", "0", "0")


def test_judging_leaves_pages_and_none_of_them_nor_a_file_holds_a_value_of_a_sensitive_column(work: Work) -> None:
    work.contract = work.contract.replace("carrier: {type: string,", "carrier: {type: string, sensitive: true,")
    work.contract = work.contract.replace("[AA, UA, B6]", "[NAMEOFONE, NAMEOFTWO]").replace("[AA]", "[NAMEOFONE]")
    for table in work.frames.values():
        table["carrier"] = np.where(table["carrier"] == "AA", "NAMEOFONE", "NAMEOFTWO")
    work.frames["current"].loc[:900, "carrier"] = "NAMEOFNOBODY"
    done = quick_python.run(["-m", "weighin", "step", "judge", "drift", "--work", "work"], work.write().folder)
    assert done.returncode == 1, done.stderr
    left = {p: p.read_text("utf-8", "replace") for p in (work.folder / "reports/drift").rglob("*") if p.is_file()}
    assert {"junit.xml", "outcomes.json", "report.html", "evidently.html"} <= {p.name for p in left}
    assert [str(p) for p, text in left.items() if "NAMEOF" in text] == []
    assert "NAMEOF" not in done.stdout + done.stderr
    assert "drift/carrier" in left[work.folder / "reports/drift/report.html"]


def test_failed_is_a_failure_and_not_evaluated_an_error(work: Work) -> None:
    work.frames["current"]["temp"] += 40
    work.frames["current"]["distance"] = work.frames["current"]["distance"].astype(str)
    code, _, junit = judged(work.write())
    assert code == 1
    assert (junit.get("failures"), junit.get("errors")) == ("2", "1")
    said = "".join(f.get("message", "") for f in junit.iter("failure"))
    assert "beyond the limit ≤ 0.3" in said
    assert "distance: integer in the reference, string now (1 column, limit ≤ 0)" in said


def test_a_warning_is_a_pass_with_a_property(work: Work) -> None:
    work.contract = work.contract.replace("bins: 4, reason", "bins: 4, severity: warn, reason")
    work.frames["current"]["temp"] += 40
    code, outcomes, junit = judged(work.write())
    assert (code, junit.get("failures")) == (0, "0")
    assert outcomes["drift/temp"]["status"] == "failed"
    assert not outcomes["drift/temp"]["blocks"]
    assert [p.get("name") for p in junit.iter("property")] == ["weighin-warning"]


RELAXED = ("at_most: 0.3, bins: 4", "at_most: 90, bins: 4")


def test_a_limit_that_a_pull_request_relaxes_fails_as_the_base_has_it(work: Work) -> None:
    strict, work.contract = work.contract, work.contract.replace(*RELAXED)
    assert strict != work.contract
    work.frames["current"]["temp"] += 40
    (work.write().folder / "base.yaml").write_text(strict)
    code, outcomes, _ = judged(work)
    assert (code, outcomes["drift/temp"]["status"]) == (1, "failed")
    assert outcomes["drift/temp"]["evidence"]["p_value"] < 1e-6
    # The verdict, which confirms failures over all checks, comes to the same.
    file, base = read_contract(work.folder / "model_contract.yaml"), read_contract(work.folder / "base.yaml")
    binding = SuiteOutcomes.read(work.folder / "reports/drift").binding
    both = compare(file.contract, base.contract)
    decision = judge_evidence(file, binding, work.folder / "reports", ("drift",), base=both)
    (drift,) = [s for s in decision.suites if s.suite == "drift"]
    found = {o.check: o for o in drift.outcomes}
    assert found["drift/temp"].status.value == "failed"
    assert not [p for p in drift.problems if "drift/temp" in p]


def test_without_the_base_a_relaxed_limit_passes_what_the_base_would_not(work: Work) -> None:
    work.contract = work.contract.replace(*RELAXED)
    work.frames["current"]["temp"] += 40
    code, outcomes, _ = judged(work.write())
    assert (code, outcomes["drift/temp"]["status"]) == (0, "passed")


def test_a_base_whose_contract_cannot_be_read_leaves_nothing(work: Work) -> None:
    (work.write().folder / "base.yaml").write_text("version: 1\n")
    assert judged_by_a_fork(work.folder, "drift", work.folder / "reports") != 0
    assert not (work.folder / "reports/drift/outcomes.json").exists()


def test_a_teams_own_tests_become_checks(work: Work) -> None:
    bodies = {
        "passes": ("assert True", "passed"),
        "asserts": ("assert 1 == 2", "failed"),
        "raises": ("raise OSError('gone')", "failed"),
        "skips": ("pytest.skip('later')", "not_evaluated"),
        "expects": ("pytest.xfail('known')", "not_evaluated"),
    }
    tests = (f"def test_{name}():\n    {body}\n" for name, (body, _) in bodies.items())
    own(work, "import pytest\n\n\n" + "\n\n".join(tests))
    _, outcomes, _ = judged(work.write(), new_interpreter=True)
    found = {name.rpartition("::test_")[2]: o for name, o in outcomes.items() if name.startswith("custom/")}
    assert {name: o["status"] for name, o in found.items()} == {name: status for name, (_, status) in bodies.items()}
    assert {name for name, o in found.items() if not o["blocks"]} == {"passes"}
    assert f"custom/{'validation_tests/test_drift.py'}::test_passes" in outcomes


def test_a_failing_test_of_the_team_says_what_its_author_wrote_and_no_value(work: Work) -> None:
    bodies = {
        "literal": (
            "assert 1 == 2, 'too many flights were cancelled'",
            "too many flights were cancelled (AssertionError",
        ),
        "values": (
            "carrier = 'SECRET'\n    assert not carrier, f'rows of {carrier}: {len(carrier)}'",
            "rows of {…}: {…} (",
        ),
        "fails": ("pytest.fail('call the data team')", "call the data team (Failed, code"),
        "raises": ("raise ValueError('no weather')", "no weather (ValueError, code"),
        "computed": ("message = 'SECRET'\n    assert 1 == 2, message", "AssertionError, code"),
        "skips": ("pytest.skip('from March on')", "from March on (Skipped, code"),
    }
    tests = (f"def test_{name}():\n    {body}\n" for name, (body, _) in bodies.items())
    own(work, "import pytest\n\n\n" + "\n\n".join(tests))
    _, outcomes, _ = judged(work.write())
    found = {name.rpartition("::test_")[2]: o["reason"] for name, o in outcomes.items() if name.startswith("custom/")}
    assert [name for name, (_, says) in bodies.items() if says not in found[name]] == [], found
    assert "SECRET" not in "".join(found.values())


def test_a_fixture_that_breaks_is_not_evaluated(work: Work) -> None:
    own(work, "import pytest\n\n\n@pytest.fixture\ndef broken():\n    1 / 0\n\n\ndef test_own(broken):\n    pass\n")
    _, outcomes, _ = judged(work.write())
    (outcome,) = [o for n, o in outcomes.items() if n.startswith("custom/")]
    assert outcome["status"] == "not_evaluated"
    assert "ZeroDivisionError" in outcome["reason"]


def test_a_suite_that_skips_its_checks_has_evaluated_nothing(work: Work) -> None:
    (work.folder / "validation_tests/test_drift.py").write_text(
        'import pytest\n\nSUITE = "drift"\n\n\n@pytest.mark.skip(reason="in a hurry")\n'
        "def test_drift(outcome):\n    assert outcome.goes_on, outcome\n"
    )
    code, outcomes, _ = judged(work.write())
    own = [o for name, o in outcomes.items() if name.startswith("custom/")]
    assert code == 1
    assert {o["status"] for o in own} == {"not_evaluated"}
    assert len(own) == 6
    assert len(outcomes) == 12


def test_a_crash_while_measuring_is_not_evaluated(work: Work) -> None:
    own(
        work,
        "import weighin.suites.drift\n\n\ndef explode(*_):\n    raise MemoryError('too much')\n\n\n"
        "weighin.suites.drift.psi = explode\n",
    )
    place = work.write().folder
    command = ["-m", "pytest", "-q", "validation_tests/test_drift.py", "--weighin-work=work"]
    command += ["--import-mode=importlib", "--weighin-out=out", "--junitxml=out/junit.xml", "-p", "no:cacheprovider"]
    code = quick_python.run(command, place, env=isolated(os.environ)).returncode
    outcomes = {o["check"]: o for o in json.loads((place / "out/outcomes.json").read_text())["outcomes"]}
    junit = ET.parse(place / "out/junit.xml").getroot()[0]  # noqa: S314 - our own file
    assert code == 1
    assert outcomes.pop("drift/table")["status"] == "passed"
    assert {o["status"] for o in outcomes.values()} == {"not_evaluated"}
    assert all("MemoryError" in o["reason"] for o in outcomes.values())
    assert junit.get("errors") == "5"


def test_a_test_that_asserts_nothing_does_not_hide_what_was_decided(work: Work) -> None:
    work.frames["current"]["temp"] = np.full(len(work.frames["current"]), 100.0)
    (work.folder / "validation_tests/test_drift.py").write_text(
        'SUITE = "drift"\n\n\ndef test_drift(outcome):\n    pass\n'
    )
    code, outcomes, _ = judged(work.write())
    assert code == 1
    assert outcomes["drift/temp"]["status"] in ("failed", "not_evaluated")


def test_old_outcomes_do_not_survive_a_suite_that_dies(work: Work) -> None:
    judged(work.write())
    (work.folder / "validation_tests/test_drift.py").write_text("import os\n\nos._exit(0)\n")
    code, outcomes, _ = judged(work)
    (own,) = [o for name, o in outcomes.items() if name.startswith("custom/")]
    assert (code, own["status"], own["blocks"]) == (1, "not_evaluated", True)


def own_suite(work: Work, text: str) -> tuple[int, dict[str, dict[str, Any]] | None]:
    """Exit code and outcomes by check of a suite file of the team's own; None where it left none."""
    place = work.write().folder
    test = place / "validation_tests/test_extra.py"
    test.write_text(text)
    code = judged_by_a_fork(place, "extra", place / "reports")
    left = place / "reports/extra/outcomes.json"
    if not left.is_file():
        return code, None
    value = json.loads(left.read_text())
    assert value["suite"] == "extra"
    return code, {o["check"]: o for o in value["outcomes"]}


def test_a_teams_own_suite_of_plain_tests_leaves_outcomes(work: Work) -> None:
    code, outcomes = own_suite(
        work, "def test_one(evidence):\n    assert evidence.contract.model.name == 'm'\n\n\ndef test_two():\n    pass\n"
    )
    assert code == 0
    assert outcomes is not None
    assert [name.rpartition("/")[2] for name in sorted(outcomes)] == [
        "test_extra.py::test_one",
        "test_extra.py::test_two",
    ]
    assert all(name.startswith("custom/") for name in outcomes)
    assert {o["status"] for o in outcomes.values()} == {"passed"}


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("def test_one():\n    assert False\n", "failed"),
        ("import pytest\n\n\ndef test_one():\n    pytest.skip('later')\n", "not_evaluated"),
        ("SUITE = 'extra'\n\n\ndef test_one(outcome):\n    assert outcome.goes_on\n", "not_evaluated"),
    ],
    ids=["fails", "skips", "asks for checks that there are not"],
)
def test_a_teams_own_suite_that_does_not_pass_blocks(text: str, status: str, work: Work) -> None:
    _, outcomes = own_suite(work, text)
    assert outcomes is not None
    (outcome,) = outcomes.values()
    assert (outcome["status"], outcome["blocks"]) == (status, True)


@pytest.mark.parametrize("text", ["", "import no_such_module\n"])
def test_a_teams_own_suite_without_a_test_leaves_nothing(text: str, work: Work) -> None:
    code, outcomes = own_suite(work, text)
    assert code != 0
    assert outcomes is None
