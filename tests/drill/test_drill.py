"""The whole drill on a small contract: its reports, its controls, and what happens to faults that go wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jsonschema_rs import validator_for

from support.documentation import script
from support.suite_work import Work
from weighin.cli import main
from weighin.contract import read_contract
from weighin.drill.answers import FAULTS as MODEL
from weighin.drill.catalogue import FAULTS, selected
from weighin.drill.fault import Fault
from weighin.drill.inputs import Inputs, NotApplicable
from weighin.drill.labels import FAULTS as LABELS
from weighin.drill.own import own_faults
from weighin.drill.run import drill
from weighin.drill.search import Settings
from weighin.errors import ContractError, EvidenceError
from weighin.report import drill as report

QUICK = Settings(quick=True, controls=4)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path).write()


def run(work: Work, faults: list[Fault], settings: Settings = QUICK, journal: Path | None = None) -> dict[str, object]:
    file = read_contract(work.folder / "model_contract.yaml")
    found = drill(file, work.folder / "work", faults, settings, workers=1, journal=journal)
    value: dict[str, object] = found.to_json()
    validator_for(json.loads((ROOT / "docs/schema/drill-v1.schema.json").read_text())).validate(value)
    return value


def fault(make: object, name: str = "own") -> Fault:
    return Fault(name, "own", make, 1.0, (1.0,), "times")  # type: ignore[arg-type]


def test_every_fault_has_a_sentence_a_source_and_its_stated_size_among_those_that_are_tried() -> None:
    for one in FAULTS:
        assert one.what.endswith("."), one.name
        assert len(one.seen) > 20, one.name
        assert one.size in one.sizes, one.name
        assert list(one.sizes) == sorted(set(one.sizes)), one.name
    assert len({f.name for f in FAULTS}) == len(FAULTS)


def test_labels_that_are_wrong_are_blocked_by_a_named_check_and_nothing_on_disk_changes(work: Work) -> None:
    def files() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in work.folder.rglob("*") if p.is_file()}

    before = files()
    value = run(work, [LABELS[0]])
    (found,) = value["faults"]  # type: ignore[misc]
    assert found["answer"] == "blocked"
    assert found["by"]["performance/log_loss"] == "failed"
    assert files() == before


def test_a_fault_that_crashes_returns_nothing_or_is_not_applicable_is_never_killed(work: Work) -> None:
    def raises(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
        raise ValueError("row 7: Jane Doe")

    def nothing(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
        return None  # type: ignore[return-value]

    def absent(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
        raise NotApplicable("the contract has no such gate")

    value = run(work, [fault(raises, "raises"), fault(nothing, "nothing"), fault(absent, "absent")])
    answers = {f["name"]: f["answer"] for f in value["faults"]}  # type: ignore[attr-defined]
    assert answers == {"raises": "error", "nothing": "error", "absent": "not_applicable"}
    assert value["summary"]["killed"] == 0  # type: ignore[index]
    assert "Jane" not in json.dumps(value)


def test_without_a_champion_a_comparison_is_not_applicable_and_absolute_limits_still_judge(work: Work) -> None:
    work.contract = work.contract.replace("    threshold: 0.5\n", "    threshold: 0.5\n    first_release: allow\n")
    work.digests.pop("champion")
    work.write()
    value = run(work, [LABELS[0], *(f for f in MODEL if f.name in ("model-worse", "model-stale"))])
    answers = {f["name"]: f["answer"] for f in value["faults"]}  # type: ignore[attr-defined]
    assert answers == {"labels-flipped": "blocked", "model-worse": "not_applicable", "model-stale": "not_applicable"}


def test_a_check_that_blocks_without_a_fault_gives_no_credit(work: Work) -> None:
    work.contract = work.contract.replace("{metric: roc_auc, at_least: 0.7}", "{metric: roc_auc, at_least: 0.999}")
    work.write()
    value = run(work, [LABELS[1]])
    assert value["baseline"] == {"status": "failed", "blocking": ["performance/roc_auc"]}
    (found,) = value["faults"]  # type: ignore[misc]
    assert "performance/roc_auc" not in found["by"]


def test_a_drill_under_another_contract_than_the_validation_is_refused(work: Work) -> None:
    path = work.folder / "model_contract.yaml"
    path.write_text(path.read_text() + "# changed\n")
    with pytest.raises(EvidenceError, match="another contract"):
        run(work, [LABELS[0]])


def test_a_stopped_drill_goes_on_where_it_was(work: Work, tmp_path: Path) -> None:
    calls: list[str] = []

    def counted(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
        calls.append("counted")
        return inputs

    def stops(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
        raise KeyboardInterrupt

    journal = tmp_path / "journal"
    with pytest.raises(KeyboardInterrupt):
        run(work, [fault(counted, "first"), fault(stops, "second")], journal=journal)
    value = run(work, [fault(counted, "first"), fault(counted, "second")], journal=journal)
    assert calls == ["counted", "counted"]
    assert [f["name"] for f in value["faults"]] == ["first", "second"]  # type: ignore[attr-defined]
    assert list(journal.iterdir()) == []


def test_the_same_seed_finds_the_same_curve_and_the_reports_show_it(work: Work) -> None:
    worse = next(f for f in MODEL if f.name == "model-worse")
    one, other = (
        run(work, [replace(worse, sizes=(2.0, 4.0, 8.0))], Settings(repeats=12, controls=4)) for _ in range(2)
    )
    (found,), (again,) = one["faults"], other["faults"]  # type: ignore[misc]
    assert found["curve"] == again["curve"]
    assert found["draws"] == again["draws"]
    assert 1.0 < found["curve"]["size"] < 8.0
    page, text = report.html(one), report.markdown(one)
    assert 'data-fault="model-worse"' in page
    assert "<polyline" in page
    assert "| model-worse | 4 margins | ✓ |" in text


def test_the_command_writes_its_files_and_says_that_it_worked_on_copies(
    work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(work.folder)
    assert main(["drill", "--work", "work", "--fault", "model-not-a-number", "--quick"]) == 0
    printed = capsys.readouterr()
    assert "1 of 1 faults are blocked" in printed.out
    assert "wrote to no registry" in printed.out
    value = json.loads(Path("reports/drill/drill.json").read_bytes())
    assert value["summary"]["faults"] == 1
    assert {p.name for p in Path("reports/drill").iterdir()} == {
        *("drill.json", "drill.md", "drill.html", "ml_test_score.svg")
    }
    schema = json.loads((ROOT / "docs/schema/drill-v1.schema.json").read_text())
    validator_for(schema).validate(value)


def test_what_gets_through_is_given_a_contract_line_that_was_tried(
    work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "      - {metric: log_loss, at_most: 0.65"
    work.contract = work.contract.replace(line, f"{line}, severity: warn")
    work.write()
    monkeypatch.chdir(work.folder)
    asked = ["drill", "--work", "work", "--fault", "model-overconfident", "--quick", "--suggest", "better.patch"]
    assert main(asked) == 0
    value = json.loads(Path("reports/drill/drill.json").read_bytes())
    (found,) = value["faults"]
    assert found["answer"] == "missed"
    assert found["edits"] == [{"path": ["gates", "performance", "checks", 1, "severity"], "value": "block"}]
    assert found["suggestion"][0].endswith("then blocked by performance/log_loss")
    patch = Path("better.patch").read_text()
    assert f"-{line}, severity: warn}}\n+{line}, severity: block}}\n" in patch
    assert "1 changes of the contract" in capsys.readouterr().out


def test_a_dataset_that_no_check_looks_at_is_suggested_where_that_blocks_the_fault(work: Work) -> None:
    """The contract judges the data quality of the holdout alone, and the fault is in what arrives."""
    chosen = [f for f in FAULTS if f.name == "data-key-repeated"]
    (found,) = run(work, chosen, replace(QUICK, suggest=True))["faults"]  # type: ignore[misc]
    assert found["answer"] == "missed"
    assert found["edits"] == [{"path": ["gates", "data_quality", "datasets", 1], "value": "current"}]
    assert "then blocked by data_quality/current/" in found["suggestion"][0]


OWN = """drill:
  faults:
    half: {function: "own_faults:half", dataset: current, what: Half of the distance}
    raises: {function: "own_faults:raises"}
    nothing: {function: "own_faults:nothing"}
    other: {function: "own_faults:other"}
    absent: {function: "own_faults:absent"}
"""
CODE = """
def half(frame, size, rng):
    return frame.assign(distance=frame["distance"] // 40)

def raises(frame, size, rng):
    raise ValueError(f"row 7: {frame['carrier'][7]} Jane Doe")

def nothing(frame, size, rng):
    return None

def other(frame, size, rng):
    return frame.rename(columns={"distance": "miles"})
"""


def test_faults_of_the_team_are_judged_and_one_that_goes_wrong_says_so_in_a_sentence(work: Work) -> None:
    work.contract = work.contract.replace("datasets: [holdout]", "datasets: [holdout, current]")
    work.contract = work.contract.replace("  drift:\n", "  drift:\n    predictions: false\n") + OWN
    (work.folder / "own_faults.py").write_text(CODE)
    work.write()
    file = read_contract(work.folder / "model_contract.yaml")
    value = run(work, list(own_faults(file)))
    found = {f["name"]: f for f in value["faults"]}  # type: ignore[attr-defined]
    assert found["own-half"]["answer"] == "blocked"
    assert "data_quality/current/distance/range" in found["own-half"]["by"]
    assert found["own-half"]["what"] == "Half of the distance."
    said = {name.removeprefix("own-"): f["reason"] for name, f in found.items() if f["answer"] == "error"}
    assert said.keys() == {"raises", "nothing", "other", "absent"}
    assert "raised ValueError, code" in said["raises"]
    assert "Jane" not in json.dumps(value)
    assert "returned NoneType" in said["nothing"]
    assert "absent or out of order" in said["other"]
    assert "cannot be found" in said["absent"]
    assert value["summary"]["killed"] == 1  # type: ignore[index]


def test_a_fault_that_does_not_exist_is_refused_with_the_way_to_the_names() -> None:
    with pytest.raises(ContractError, match="--list"):
        selected(["no-such"], [])
    assert {f.family for f in selected([], ["labels"])} == {"labels"}


def test_the_page_lists_the_faults_of_the_catalogue() -> None:
    assert script("drill_reference").main(["--check"]) == 0
