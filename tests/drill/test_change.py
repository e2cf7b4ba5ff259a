"""What a change lets through: the same faults before the gate of the base and that of the head, on real evidence."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from support.suite_work import Work
from weighin.cli import main
from weighin.contract import read_contract
from weighin.contract.changes import FileChange, changes
from weighin.contract.reading import ContractFile
from weighin.drill.catalogue import FAULTS
from weighin.drill.change import compared, drill_change
from weighin.drill.inputs import Inputs
from weighin.drill.judge import Judge, Judged
from weighin.drill.process import case_of
from weighin.drill.result import FaultResult
from weighin.drill.run import stated
from weighin.errors import EvidenceError
from weighin.outcome import Status
from weighin.record.drill_change import FILE, DrillChange, Passed

pytestmark = pytest.mark.exhaustive

CONTRACT = "model_contract.yaml"
WITHIN = {"data-scaled", "data-shifted", "data-missing", "data-negative", "data-doubled", "data-category-renamed"}
"""Faults of every kind, so that a test need not judge all."""


@dataclass
class Sides:
    """A checkout of the base, one of the head, and what a validation of the head's contract over the base left."""

    base: Path
    head: Path
    work: Path
    reports: Path

    def edit(self, before: str, after: str) -> None:
        """Change the head's contract, which is the one that was validated."""
        for folder in (self.head, self.judged):
            text = (folder / CONTRACT).read_text()
            assert before in text
            (folder / CONTRACT).write_text(text.replace(before, after))

    @property
    def judged(self) -> Path:
        """The checkout over which the head's contract was validated."""
        return self.base.parent / "judged"

    def compared(self) -> DrillChange:
        """Validate, and compare."""
        judged = self.validated()
        files = changes(judged, self.base, head=self.head)[0].files
        sides = (read_contract(self.base / CONTRACT), read_contract(self.head / CONTRACT))
        return drill_change(judged, *sides, files, self.work, self.reports, workers=1)

    def validated(self) -> ContractFile:
        """Leave the evidence of a validation."""
        judged = read_contract(self.judged / CONTRACT)
        judge = Judge.of(Inputs.read(judged, self.work))
        shutil.rmtree(self.reports, ignore_errors=True)
        with case_of(judge) as case:
            shutil.copytree(case.reports, self.reports)
        # The job that decides has no predictions.
        shutil.rmtree(self.work / "predictions", ignore_errors=True)
        return judged


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sides:
    repo = tmp_path / "judged"
    repo.mkdir()
    Work(repo).write()
    shutil.move(repo / "work", tmp_path / "work")
    for name in ("base", "head"):
        shutil.copytree(repo, tmp_path / name)
    chosen = [f for f in FAULTS if f.name in WITHIN or f.name in ("process-suite-skipped", "process-outcome-edited")]
    monkeypatch.setattr("weighin.drill.change.FAULTS", tuple(chosen))
    monkeypatch.chdir(repo)
    return Sides(tmp_path / "base", tmp_path / "head", tmp_path / "work", tmp_path / "reports")


def test_a_relaxed_limit_lets_through_what_it_blocked_and_the_command_leaves_it_for_the_summary(
    sides: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    sides.edit("at_most: 0.2\n", "at_most: 9\n")
    sides.validated()
    out = sides.reports.parent / "out"
    command = ["drill", "--base", str(sides.base), "--head", str(sides.head), "--work", str(sides.work)]
    assert main([*command, "--reports", str(sides.reports), "--out", str(out)]) == 0
    found, files = DrillChange.read(out), (FileChange("contract", CONTRACT, "changed"),)
    assert found.lets_through
    assert found.killed[0] - found.killed[1] == len(found.lets_through)
    assert (found.catches, found.notes) == ((), ())
    sentence = DrillChange.told(out, files)[0]
    assert sentence.startswith("⚠ this change lets through: `data-")
    assert "`drift/" in sentence
    assert sentence in capsys.readouterr().out
    # Of an earlier try nothing stays.
    for folder in (sides.head, sides.judged):
        shutil.copy(sides.base / CONTRACT, folder / CONTRACT)
    assert main([*command, "--out", str(out)]) == 0
    assert not (out / FILE).exists()
    assert DrillChange.told(out, ()) == ()
    assert "not known" in DrillChange.told(out, files)[0]


def test_data_that_can_tell_less_let_faults_through(sides: Sides) -> None:
    for name in ("reference", "current"):
        table = pq.read_table(sides.head / f"{name}.parquet")
        pq.write_table(table.slice(0, 60), sides.head / f"{name}.parquet")
    found = sides.compared()
    assert "data-shifted" in [p.fault for p in found.lets_through]
    assert found.notes == ()


def test_data_that_cannot_be_read_are_said_and_those_that_were_judged_stand_in(sides: Sides) -> None:
    (sides.head / "current.parquet").write_bytes(b"PAR1 no more")
    found = sides.compared()
    assert found.lets_through == ()
    assert found.killed[0] == found.killed[1] > 0
    assert any("the data of the head cannot be read here" in note for note in found.notes)


def test_a_gate_that_is_removed_lets_its_faults_through(sides: Sides) -> None:
    sides.edit(
        "  drift:\n    at_most: 0.2\n    columns: {temp: {at_most: 0.3, bins: 4, reason: the weather of forty days}}\n",
        "",
    )
    found = sides.compared()
    assert "data-shifted" in [p.fault for p in found.lets_through]


def test_what_only_one_side_can_answer_is_noted_and_no_news() -> None:
    names = ("data-shifted", "data-scaled", "data-missing", "data-doubled", "data-negative", "data-constant")
    faults = {f.name: f for f in FAULTS if f.name in names}

    def answered(**of: str) -> dict[str, FaultResult]:
        return {
            (name := key.replace("_", "-")): FaultResult.of(faults[name], Judged(Status.PASSED), None, (), 0.0)
            if answer == "missed"
            else replace(FaultResult.without(faults[name], "error", ""), answer=answer, by={"drift/psi": "failed"})  # type: ignore[arg-type]
            for key, answer in of.items()
        }

    base = answered(
        data_shifted="blocked",
        data_scaled="blocked",
        data_missing="missed",
        data_doubled="blocked",
        data_negative="error",
    )
    head = answered(
        data_shifted="inconclusive", data_scaled="not_applicable", data_missing="blocked", data_doubled="blocked",
        data_negative="missed",
    )  # fmt: skip
    found = compared(base, head, ("the data are others",), 1.0)
    assert [str(p) for p in found.lets_through] == ["`data-shifted` (2 standard deviations), which `drift/psi` blocked"]
    assert found.catches == ("data-missing",)
    assert (found.faults, found.killed) == (3, (2, 2))
    said = " ".join(found.sentences())
    assert "faults that went wrong: data-negative" in said
    assert "faults that can no longer be tried: data-scaled" in said
    assert "there was no time for" in said
    assert "the data are others" in said
    assert "this change blocks what got through: `data-missing`" in said


def test_a_drill_that_takes_too_long_ends_with_what_it_has(sides: Sides) -> None:
    judge = Judge.of(Inputs.read(read_contract(sides.judged / CONTRACT), sides.work))
    chosen = [f for f in FAULTS if f.name in WITHIN]
    assert len(stated(judge, chosen, 0.0, workers=1)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"lets_through": [{"fault": "<b>", "size": 1, "unit": "x", "by": []}]},
        {"lets_through": [{"fault": "data-shifted", "size": 1, "unit": "x", "by": "drift/psi"}]},
        {"killed": [1]},
        {"catches": ["An answer"]},
        {"faults": "many"},
        {"schema": "weighin/drill/v1"},
    ],
)
def test_an_answer_that_is_none_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    sound = DrillChange(2, (2, 1), (Passed("data-shifted", 2, "standard deviations", ("drift/psi/a",)),), (), (), 1.0)
    sound.write(tmp_path)
    assert DrillChange.read(tmp_path) == sound
    value = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**value, **change}))
    with pytest.raises(EvidenceError):
        DrillChange.read(tmp_path)
