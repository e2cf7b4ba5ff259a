"""The step that looks: run as it stands, with a stand-in for the runner that writes down how it was started."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from support import workflow_step
from support.workflow_rules import FOLDER, load
from support.workflow_step import StepResult
from weighin.cli import parser
from weighin.monitor.result import EXIT_CODES

CALLERS = FOLDER.parents[1] / "examples/caller"
STEP = workflow_step.named("monitor.yml", "monitor")
URI = {"MLFLOW_TRACKING_URI": "https://mlflow.example.org"}


def looked(folder: Path, code: int = 0, **environment: str) -> StepResult:
    """What became of the step, where the runner ends with this code."""
    values = {"IMAGE": "sha256:" + "a" * 64, "CONTRACT": "model_contract.yaml", "HEARTBEAT": "0", "DRY_RUN": "false"}
    values |= {"PUSHGATEWAY": "", "MLFLOW_TRACKING_URI": ""}
    return workflow_step.run(folder, STEP["run"], {"python3": f"exit {code}"}, values | environment)


@pytest.mark.parametrize("code", sorted({*EXIT_CODES.values(), 3, 4, 137}))
def test_how_a_look_ended_is_handed_on_and_ends_nothing_here(tmp_path: Path, code: int) -> None:
    result = looked(tmp_path, code, **URI)
    assert (result.code, result.outputs) == (0, {"code": str(code)})
    (call,) = result.calls
    assert call[call.index("--") + 1 :] == ["weighin", "monitor", "--contract=model_contract.yaml", "--out=reports"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"HEARTBEAT": "30"}, ["--max-heartbeat-age=30"]),
        ({"HEARTBEAT": "0.5"}, ["--max-heartbeat-age=0.5"]),
        ({"DRY_RUN": "true"}, ["--out=reports", "--dry-run"]),
        ({"PUSHGATEWAY": "http://g:9091"}, ["--out=reports", "--pushgateway=http://g:9091"]),
        ({"PUSHGATEWAY": "x --dry-run"}, ["--out=reports", "--pushgateway=x --dry-run"]),
        ({"CONTRACT": "$(touch owned).yaml"}, ["--out=reports"]),
    ],
)
def test_inputs_are_words_that_the_command_takes(tmp_path: Path, given: dict[str, str], words: list[str]) -> None:
    result = looked(tmp_path, **URI, **given)
    (call,) = result.calls
    command = call[call.index("--") + 2 :]
    assert result.code == 0
    assert command[2:] == words
    taken = parser(command).parse_args(command)
    assert taken.contract == Path(given.get("CONTRACT", "model_contract.yaml"))
    assert not (tmp_path / "owned").exists()


def test_without_a_registry_nothing_is_started(tmp_path: Path) -> None:
    result = looked(tmp_path)
    assert (result.code, result.calls, result.outputs) == (1, [], {})
    assert result.printed.startswith("::error title=weigh-in::There is no registry to look in")


def test_every_secret_reaches_the_look_by_a_name_that_the_contract_can_say() -> None:
    passed = STEP["env"]["WEIGHIN_FORWARD_ENV"].split()
    secrets = load((FOLDER / "monitor.yml").read_text())["on"]["workflow_call"]["secrets"]
    given = {name: value for name, value in STEP["env"].items() if "secrets." in str(value)}
    pulls = {"image-username", "image-password"}
    assert {f"${{{{ secrets.{name} }}}}" for name in set(secrets) - pulls} == set(given.values())
    registry = {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "WEIGHIN_REGISTRY_VARIABLES"}
    assert set(passed) == set(given) - registry


@pytest.mark.parametrize("name", ["monitor.yml", "monitor-heartbeat.yml"])
def test_a_caller_gives_what_the_workflow_takes(name: str) -> None:
    call = load((FOLDER / "monitor.yml").read_text())["on"]["workflow_call"]
    (job,) = yaml.safe_load((CALLERS / name).read_text())["jobs"].values()
    assert set(job["with"]) <= set(call["inputs"])
    assert set(job["secrets"]) <= set(call["secrets"])
    assert job["permissions"] == {"contents": "read"}
