"""The action at the root: its steps as they stand, in a small project; its form, as that of the workflows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import act, quick_python, tiny_project, workflow_step
from support.other_platforms import weighin_program
from support.small_project import ROOT
from support.workflow_step import StepResult

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
REFUSE, INSTALL, JUDGE = ACTION["runs"]["steps"]
PAGE = ROOT / "docs/how-to/action.md"
GIVEN = {
    "EVENT": "push",
    "FORK": "false",
    "REPORTS": "reports",
    "PYTHON": sys.executable,
    "CONTRACT": "model_contract.yaml",
    "TRAIN": "",
    "CANDIDATE": "",
    "CHAMPION": "",
    "TRACKING_URI": "",
    "WALLS": JUDGE["env"]["WALLS"],
}


def quick_address() -> str:
    """The address of the process that programs are forked from."""
    return os.environ.get(quick_python.ADDRESS) or quick_python.start()


def summary(folder: Path) -> str:
    path = folder / "summary"
    return path.read_text() if path.exists() else ""


def run(folder: Path, step: dict[str, Any], programs: dict[str, str], **given: str) -> StepResult:
    """Run the script of a step in a folder, as GitHub does."""
    places = {"GITHUB_STEP_SUMMARY": str(folder / "summary"), "RUNNER_TEMP": str(folder / "temp")}
    (folder / "temp").mkdir(exist_ok=True)
    return workflow_step.run(folder, step["run"], programs, {**GIVEN, **places, **given})


def engine(folder: Path, body: str) -> None:
    """Write the engine's program as a stand-in that writes down its arguments."""
    path = folder / "temp/weighin-venv/bin/weighin"
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{folder}/arguments\nmkdir -p reports\n{body}\n')
    path.chmod(0o755)


@pytest.mark.parametrize("event", ["pull_request_target", "workflow_run", "issue_comment"])
def test_events_with_secrets_beside_files_of_strangers_are_refused(event: str, tmp_path: Path) -> None:
    result = run(tmp_path, REFUSE, {}, EVENT=event)
    assert result.code == 7
    assert f"There is no decision: The event {event}" in summary(tmp_path)


def test_a_pull_request_from_a_fork_is_refused(tmp_path: Path) -> None:
    result = run(tmp_path, REFUSE, {}, EVENT="pull_request", FORK="true")
    assert result.code == 7
    assert "from a fork" in summary(tmp_path)
    assert REFUSE["env"]["FORK"].startswith("${{ github.event_name == 'pull_request' && ")


def test_reports_of_an_earlier_step_are_refused(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    result = run(tmp_path, REFUSE, {})
    assert result.code == 7
    assert "exists already" in summary(tmp_path)


@pytest.mark.parametrize("reports", ["-x", "a b", "a\nverdict=passed", "$(touch owned)", ""])
def test_a_folder_that_is_no_plain_path_is_refused(reports: str, tmp_path: Path) -> None:
    result = run(tmp_path, REFUSE, {}, REPORTS=reports)
    assert result.code == 7
    assert "no plain path" in summary(tmp_path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("body", ["exit 1", "exit 127"])
def test_an_interpreter_that_will_not_do_is_refused(body: str, tmp_path: Path) -> None:
    assert run(tmp_path, REFUSE, {"old": body}, PYTHON="old").code == 7
    assert "Python 3.11 to 3.13" in summary(tmp_path)


def test_anything_else_goes_on(tmp_path: Path) -> None:
    assert run(tmp_path, REFUSE, {}, EVENT="pull_request").code == 0
    assert summary(tmp_path) == ""


def test_the_engine_is_that_of_the_action_with_the_requirements_that_it_has_locked(tmp_path: Path) -> None:
    place = tmp_path / "action"
    place.mkdir()
    old = tmp_path / "temp/weighin-venv/left-by-a-model"
    old.parent.mkdir(parents=True)
    old.touch()
    result = run(
        tmp_path, INSTALL, {"python": f'test "$PWD" = {place}'}, PYTHON="python", GITHUB_ACTION_PATH=str(place)
    )
    assert result.code == 0, result.printed
    venv = str(tmp_path / "temp/weighin-venv")
    assert result.calls == [["python", "-I", "scripts/install.py", venv, "requirements.txt"]]
    assert not old.exists()
    for name in ("scripts/install.py", "requirements.txt"):
        assert (ROOT / name).is_file()


def test_an_engine_that_cannot_be_installed_ends_the_job(tmp_path: Path) -> None:
    assert run(tmp_path, INSTALL, {"python": "exit 1"}, PYTHON="python", GITHUB_ACTION_PATH=str(tmp_path)).code == 1


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (0, "passed"),
        (1, "failed"),
        (6, "inconclusive"),
        (7, "not_evaluated"),
        (3, "not_evaluated"),
        (139, "not_evaluated"),
    ],
)
def test_the_verdict_is_what_the_engine_ended_with(code: int, verdict: str, tmp_path: Path) -> None:
    engine(tmp_path, f"echo '## what was decided' >reports/summary.md\necho '{{}}' >reports/record.json\nexit {code}")
    result = run(tmp_path, JUDGE, {})
    assert result.code == code
    assert result.outputs == {"verdict": verdict, "record-path": "reports/record.json"}
    assert summary(tmp_path).startswith("## what was decided\n")
    assert JUDGE["env"]["WALLS"] in summary(tmp_path)


def test_a_pass_without_a_record_is_none(tmp_path: Path) -> None:
    engine(tmp_path, "exit 0")
    result = run(tmp_path, JUDGE, {})
    assert result.code == 7
    assert result.outputs == {"verdict": "not_evaluated", "record-path": ""}


def test_an_engine_that_is_absent_is_not_evaluated(tmp_path: Path) -> None:
    result = run(tmp_path, JUDGE, {})
    assert result.code == 127
    assert result.outputs == {"verdict": "not_evaluated", "record-path": ""}


def test_inputs_are_arguments_and_never_commands(tmp_path: Path) -> None:
    engine(tmp_path, 'printf "%s" "$MLFLOW_TRACKING_URI" >uri')
    hostile = '"; touch owned; $(touch owned) `touch owned` --debug'
    run(tmp_path, JUDGE, {}, CONTRACT=hostile, TRAIN=hostile, CANDIDATE=hostile, CHAMPION=hostile, TRACKING_URI=hostile)
    said = (tmp_path / "arguments").read_text().splitlines()
    work = f"--work={tmp_path}/temp/weighin-work"
    named = [f"--{name}={hostile}" for name in ("train", "candidate", "champion")]
    assert said == ["validate", f"--contract={hostile}", "--out=reports", work, *named]
    assert (tmp_path / "uri").read_text() == hostile
    assert not (tmp_path / "owned").exists()


def test_nothing_that_a_suite_prints_is_a_command_to_the_workflow(tmp_path: Path) -> None:
    engine(tmp_path, "printf '::set-output name=x::y\\n::error::no'")
    printed = run(tmp_path, JUDGE, {}).printed
    (token,) = re.findall(r"^::stop-commands::([0-9a-f-]{36})$", printed, re.MULTILINE)
    assert printed.index("::stop-commands::") < printed.index("::error::no") < printed.index(f"\n::{token}::\n")


@pytest.mark.parametrize(
    ("fault", "verdict", "code"),
    [pytest.param("", "passed", 0, marks=pytest.mark.exhaustive), ("forbidden", "failed", 1)],
)
def test_a_project_is_judged(fault: str, verdict: str, code: int, tmp_path: Path) -> None:
    project = tiny_project.make(tmp_path / "project", suites=("explainability",))
    (project / "temp/weighin-venv").mkdir(parents=True)
    weighin_program(project / "temp/weighin-venv/bin", quick_address())
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = quick_python.run(["scripts/train.py", "--fault", fault], project, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    result = run(project, JUDGE, {}, HOME=str(tmp_path))
    assert result.code == code, result.printed[-3000:]
    assert result.outputs == {"verdict": verdict, "record-path": "reports/record.json"}
    record = json.loads((project / "reports/record.json").read_text())
    assert record["verdict"]["status"] == verdict
    first, walls = summary(project).splitlines()[0], summary(project).splitlines()[-1]
    assert "tiny" in first
    assert walls == JUDGE["env"]["WALLS"]
    assert list((project / "reports").glob("*/junit.xml"))


INSTALLS = """\
import shutil, sys
from pathlib import Path

Path(sys.argv[1]).mkdir()
shutil.copytree({engine!r}, Path(sys.argv[1]) / "bin")
"""
CALLER = """\
name: caller
on: push
jobs:
  judge:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with: {persist-credentials: false}
      - id: judged
        uses: ./
        with: {train: scripts/train.py --fault FAULT}
      - if: always()
        env: {VERDICT: "${{ steps.judged.outputs.verdict }}", RECORD: "${{ steps.judged.outputs.record-path }}"}
        run: echo "the outputs are '$VERDICT' and '$RECORD'"
"""


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("fault", "verdict"), [pytest.param("", "passed", marks=pytest.mark.exhaustive), ("forbidden", "failed")]
)
def test_a_workflow_calls_it_and_reads_its_outputs(fault: str, verdict: str, tmp_path: Path) -> None:
    """With act on this machine, without Docker; what installs the engine is a stand-in."""
    project = tiny_project.make(tmp_path / "project", suites=("explainability",))
    shutil.rmtree(project / ".github/workflows")
    (project / ".github/workflows").mkdir()
    (project / ".github/workflows/caller.yml").write_text(CALLER.replace(" --fault FAULT", f" --fault '{fault}'"))
    shutil.copy(ROOT / "action.yml", project)
    stand_in = weighin_program(tmp_path / "engine", quick_address())
    (project / "scripts/install.py").write_text(INSTALLS.format(engine=str(stand_in)))
    act.commit(project)
    (tmp_path / "act").mkdir()
    (tmp_path / "act/actrc").touch()
    command = [Path(sys.executable).with_name("act"), "push", "--json", "-P", "ubuntu-24.04=-self-hosted"]
    done = subprocess.run(
        [*command, "--no-cache-server"],
        cwd=project,
        env={**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    log = done.stdout + done.stderr
    assert f"the outputs are '{verdict}' and 'reports/record.json'" in log, log[-5000:]
    assert done.returncode == (0 if verdict == "passed" else 1)
    assert JUDGE["env"]["WALLS"] in log


def test_the_page_says_the_sentence_of_the_summary() -> None:
    text = re.sub(r"\s+", " ", PAGE.read_text().replace("\n> ", " "))
    assert JUDGE["env"]["WALLS"] in text
    assert JUDGE["env"]["WALLS"].count(". ") == 0, "one sentence"
    assert all(f"`{name}`" in text for name in ACTION["outputs"])


def test_expressions_stand_in_variables_and_never_in_scripts() -> None:
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"
    used = set(re.findall(r"inputs\.([a-z-]+)", (ROOT / "action.yml").read_text()))
    assert used == set(ACTION["inputs"])


def test_it_uses_no_action_of_others_and_no_secret() -> None:
    assert [step.get("uses") for step in ACTION["runs"]["steps"]] == [None] * 3
    assert "secrets." not in (ROOT / "action.yml").read_text()
    assert "github.token" not in (ROOT / "action.yml").read_text()


def test_every_input_and_output_says_what_it_is() -> None:
    for value in (*ACTION["inputs"].values(), *ACTION["outputs"].values()):
        assert value["description"].endswith(".")
    assert all("default" in value for value in ACTION["inputs"].values())


def test_without_a_verdict_the_output_is_not_evaluated() -> None:
    assert ACTION["outputs"]["verdict"]["value"].endswith("|| 'not_evaluated' }}")


def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    for step in ACTION["runs"]["steps"]:
        path = tmp_path / "step.sh"
        path.write_text(f"#!/bin/bash\nset -e -o pipefail\n{step['run']}")
        command = [Path(sys.executable).with_name("shellcheck"), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout
