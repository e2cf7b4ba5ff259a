"""The step that looks: run as it stands, with a stand-in for the runner that writes down how it was started."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from support.workflow_rules import FOLDER, load
from weighin.cli.arguments import parser
from weighin.monitor.document import EXIT_CODES

CALLERS = FOLDER.parents[1] / "examples/caller"
STEP = next(s for s in load((FOLDER / "monitor.yml").read_text())["jobs"]["monitor"]["steps"] if s.get("id") == "look")
URI = {"MLFLOW_TRACKING_URI": "https://mlflow.example.org"}


def looked(folder: Path, code: int = 0, **environment: str) -> tuple[int, list[str], str, str]:
    """Exit code of the step, the words with which the runner was started, the step's output, and what it printed."""
    programs = folder / "bin"
    programs.mkdir()
    stand_in = programs / "python3"
    stand_in.write_text(f'#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word" >>{folder}/asked; done\nexit {code}\n')
    stand_in.chmod(0o755)
    (folder / "step.sh").write_text(STEP["run"])
    for name in ("output", "asked"):
        (folder / name).touch()
    values = {"IMAGE": "sha256:" + "a" * 64, "CONTRACT": "model_contract.yaml", "PULSE": "0", "DRY_RUN": "false"}
    values |= {"PUSHGATEWAY": "", "MLFLOW_TRACKING_URI": ""}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(folder / "step.sh")],
        env={"PATH": f"{programs}:/usr/bin:/bin", "GITHUB_OUTPUT": str(folder / "output"), **values, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, (folder / "asked").read_text().splitlines(), (folder / "output").read_text(), done.stdout


@pytest.mark.parametrize("code", sorted({*EXIT_CODES.values(), 3, 4, 137}))
def test_how_a_look_ended_is_handed_on_and_ends_nothing_here(tmp_path: Path, code: int) -> None:
    ended, asked, output, _ = looked(tmp_path, code, **URI)
    assert (ended, output) == (0, f"code={code}\n")
    assert asked[asked.index("--") + 1 :] == ["weighin", "monitor", "--contract=model_contract.yaml", "--out=reports"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"PULSE": "30"}, ["--pulse-at-most=30"]),
        ({"PULSE": "0.5"}, ["--pulse-at-most=0.5"]),
        ({"DRY_RUN": "true"}, ["--out=reports", "--dry-run"]),
        ({"PUSHGATEWAY": "http://g:9091"}, ["--out=reports", "--pushgateway=http://g:9091"]),
        ({"PUSHGATEWAY": "x --dry-run"}, ["--out=reports", "--pushgateway=x --dry-run"]),
        ({"CONTRACT": "$(touch owned).yaml"}, ["--out=reports"]),
    ],
)
def test_inputs_are_words_that_the_command_takes(tmp_path: Path, given: dict[str, str], words: list[str]) -> None:
    ended, asked, _, _ = looked(tmp_path, **URI, **given)
    command = asked[asked.index("--") + 2 :]
    assert ended == 0
    assert command[2:] == words
    taken = parser().parse_args(command)
    assert taken.contract == Path(given.get("CONTRACT", "model_contract.yaml"))
    assert not (tmp_path / "owned").exists()


def test_without_a_registry_nothing_is_started(tmp_path: Path) -> None:
    ended, asked, output, said = looked(tmp_path)
    assert (ended, asked, output) == (1, [], "")
    assert said.startswith("::error title=weigh-in::There is no registry to look in")


def test_every_secret_reaches_the_look_by_a_name_that_the_contract_can_say() -> None:
    passed = STEP["env"]["WEIGHIN_PASS"].split()
    secrets = load((FOLDER / "monitor.yml").read_text())["on"]["workflow_call"]["secrets"]
    given = {name: value for name, value in STEP["env"].items() if "secrets." in str(value)}
    pulls = {"image-username", "image-password"}
    assert {f"${{{{ secrets.{name} }}}}" for name in set(secrets) - pulls} == set(given.values())
    assert set(passed) == set(given) - {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"}


@pytest.mark.parametrize("name", ["monitor.yml", "monitor-pulse.yml"])
def test_a_caller_gives_what_the_workflow_takes(name: str) -> None:
    call = load((FOLDER / "monitor.yml").read_text())["on"]["workflow_call"]
    (job,) = yaml.safe_load((CALLERS / name).read_text())["jobs"].values()
    assert set(job["with"]) <= set(call["inputs"])
    assert set(job["secrets"]) <= set(call["secrets"])
    assert job["permissions"] == {"contents": "read"}
