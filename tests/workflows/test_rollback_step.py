"""The step that goes back: run as it stands, with a stand-in for the runner that writes down how it was started."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import workflow_step
from weighin.cli import parser

STEP = workflow_step.named("rollback.yml", "Make the earlier version champion again")
GIVEN = {
    "IMAGE": "sha256:" + "a" * 64,
    "CONTRACT": "model_contract.yaml",
    "VERSION": "",
    "FROM": "",
    "OWNER": "who is called at night",
    "REASON": "$(touch owned) --emergency `touch owned`",
    "EMERGENCY": "false",
    "MLFLOW_TRACKING_URI": "https://mlflow.example.org",
    "GITHUB_STEP_SUMMARY": "summary",
}


@pytest.mark.parametrize(
    ("emergency", "version"), [("false", ""), ("false", "3"), ("true", ""), ("", "3"), ("TRUE", "")]
)
def test_inputs_are_words_of_the_command_and_only_true_is_an_emergency(
    tmp_path: Path, emergency: str, version: str
) -> None:
    result = workflow_step.run(
        tmp_path, STEP["run"], {"python3": "exit 0"}, {**GIVEN, "EMERGENCY": emergency, "VERSION": version}
    )
    assert result.code == 0, result.printed
    (call,) = result.calls
    command = call[call.index("--") + 1 :]
    assert command[:2] == ["weighin", "rollback"]
    taken = parser(command[1:]).parse_args(command[1:])
    assert taken.emergency is (emergency == "true")
    assert (taken.to or "", taken.owner, taken.reason) == (version, GIVEN["OWNER"], GIVEN["REASON"])
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("before", ["", "8", "$(touch owned)"])
def test_the_version_that_must_be_champion_is_a_word_as_well(tmp_path: Path, before: str) -> None:
    result = workflow_step.run(tmp_path, STEP["run"], {"python3": "exit 0"}, {**GIVEN, "FROM": before})
    (call,) = result.calls
    command = call[call.index("--") + 1 :]
    assert parser(command[1:]).parse_args(command[1:]).only_from == before
    assert any(word.startswith("--from") for word in command) is bool(before)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("code", [1, 2, 7, 137])
def test_what_the_runner_says_is_what_the_step_says(tmp_path: Path, code: int) -> None:
    assert workflow_step.run(tmp_path, STEP["run"], {"python3": f"exit {code}"}, GIVEN).code == code


def test_without_a_registry_nothing_is_started(tmp_path: Path) -> None:
    result = workflow_step.run(tmp_path, STEP["run"], {"python3": "exit 0"}, {**GIVEN, "MLFLOW_TRACKING_URI": ""})
    assert (result.code, result.calls) == (1, [])
    assert result.printed.startswith("::error title=weigh-in::There is no registry to go back in")
