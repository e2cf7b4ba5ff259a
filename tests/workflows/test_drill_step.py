"""The last drill of the gate: how it comes to a record, and how a weekly one is kept. The steps as they stand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support import workflow_step
from support.workflow_rules import load, ours
from support.workflow_step import StepResult

FETCH = "Fetch the last drill, which a release of this repository holds"
KEEP = "Keep it in the release"
CHANGE = "Say what the change lets through that the base blocks"
DRILL = "Put faults before the gate"


def step(folder: Path, file: str, name: str, programs: dict[str, str], **given: str) -> StepResult:
    environment = {"RELEASE_FOLDER": str(folder / "release"), "TAG": "drills", "REPOSITORY": "team/models"}
    environment |= {"BRANCH": "main", "IMAGE": "i", "CONTRACT": "c.yaml", "RUNNER_TEMP": "/t"}
    environment |= {"GITHUB_STEP_SUMMARY": str(folder / "summary")}
    return workflow_step.run(folder, workflow_step.named(file, name)["run"], programs, environment | given)


def released(folder: Path, *names: str) -> None:
    (folder / "release").mkdir()
    for name in names:
        (folder / "release" / name).write_text("{}")


def test_the_drill_that_a_release_holds_is_fetched(tmp_path: Path) -> None:
    released(tmp_path, "drill.json", "another.json")
    assert step(tmp_path, "validate.yml", FETCH, {"gh": workflow_step.GH_RELEASE}).code == 0
    assert [p.name for p in (tmp_path / "weighin-drilled").iterdir()] == ["drill.json"]


@pytest.mark.parametrize("there", [True, False])
def test_where_no_drill_was_kept_there_is_none_and_the_gate_goes_on(there: bool, tmp_path: Path) -> None:
    if there:
        released(tmp_path, "not-drill.json")
    assert step(tmp_path, "validate.yml", FETCH, {"gh": workflow_step.GH_RELEASE}).code == 0
    assert list((tmp_path / "weighin-drilled").iterdir()) == []


def test_a_weekly_drill_makes_the_release_and_the_next_takes_its_place(tmp_path: Path) -> None:
    (tmp_path / "weighin-drill").mkdir()
    for number in (1, 2):
        (tmp_path / "weighin-drill/drill.json").write_text(str(number))
        result = step(tmp_path, "drill.yml", KEEP, {"gh": workflow_step.GH_RELEASE})
        assert result.code == 0, result.printed
        assert (tmp_path / "release/drill.json").read_text() == str(number)
        assert [c[2] for c in result.calls if c[0] == "gh"].count("create") == (1 if number == 1 else 0)
        for left in ("bin/gh", "bin", "calls"):
            path = tmp_path / left
            path.rmdir() if path.is_dir() else path.unlink()


def test_only_a_whole_drill_of_the_default_branch_is_kept() -> None:
    condition = load(ours()["drill.yml"])["jobs"]["keep"]["if"]
    for part in ("inputs.families == ''", "github.event.repository.default_branch", "github.event_name == 'schedule'"):
        assert part in condition


def test_no_pull_request_is_drilled_beside_labels() -> None:
    condition = load(ours()["drill.yml"])["jobs"]["drill"]["if"]
    assert "!contains(github.event_name, 'pull_request') && github.event_name != 'merge_group'" in condition


@pytest.mark.parametrize(("deciding", "more"), [(".", []), ("weighin-base", ["--head", "."])])
def test_both_sides_are_drilled_in_a_container_without_secrets(deciding: str, more: list[str], tmp_path: Path) -> None:
    found = workflow_step.named("validate.yml", CHANGE)
    assert set(found["env"]) == {"CONTRACT"}
    result = step(tmp_path, "validate.yml", CHANGE, {"python3": "exit 0"}, DECIDING=deciding)
    (call,) = result.calls
    before, after = call[: call.index("--")], call[call.index("--") :]
    assert "--network" not in before
    assert before[before.index("--write") + 1] == "weighin-drill"
    assert ("--head" in before) is bool(more)
    assert after[after.index("--base") + 1] == "/weighin/base"
    assert ("/weighin/head" in after) is bool(more)


def test_where_they_cannot_be_drilled_a_warning_says_so_and_the_gate_goes_on(tmp_path: Path) -> None:
    result = step(tmp_path, "validate.yml", CHANGE, {"python3": "exit 7"}, DECIDING=".")
    assert result.code == 0
    assert "::warning title=weigh-in::What this change lets through is not known" in result.printed


@pytest.mark.parametrize(("families", "options"), [("", []), ("data process", ["--family=data", "--family=process"])])
def test_the_whole_is_drilled_or_the_families_that_are_named(families: str, options: list[str], tmp_path: Path) -> None:
    python = "mkdir -p weighin-drill; echo shown >weighin-drill/drill.md"
    result = step(tmp_path, "drill.yml", DRILL, {"python3": python}, FAMILIES=families)
    assert result.code == 0, result.printed
    (call,) = result.calls
    assert "--network" not in call
    assert [a for a in call if a.startswith("--family")] == options
    assert (tmp_path / "summary").read_text() == "shown\n"


@pytest.mark.parametrize(("base", "held"), [("", False), ("b" * 40, True)])
def test_the_gate_is_told_of_both(base: str, held: bool, tmp_path: Path) -> None:
    for name in ("reports", "weighin-drilled"):
        (tmp_path / name).mkdir()
    (tmp_path / "reports/verdict.json").write_text(json.dumps({"status": "passed"}))
    (tmp_path / "reports/summary.md").write_text("")
    if held:
        (tmp_path / "weighin-drilled/drill.json").write_text("{}")
    given = {"NEEDS": "{}", "JOBS": "separate", "TRAIN": "x", "RELEASE": "", "SEALED": "true", "BASE": base}
    given |= {"NOTE": "", "REVIEWED": "", "REVIEWED_BY": "", "FORK": "false", "DECIDING": ".", "WEIGHIN_ATTEMPT": "1"}
    result = step(tmp_path, "validate.yml", "Judge again from the evidence", {"python3": "exit 0"}, **given)
    assert result.code == 0, result.printed
    (call,) = [c for c in result.calls if c[0] == "python3"]
    assert ("weighin-drilled/drill.json" in call) is held
    assert (call[call.index("--drill-change") + 1] if "--drill-change" in call else "") == (
        "weighin-drill" if base else ""
    )
