"""What a training, a model or a suite prints is text in the log, and no command to the workflow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from weighin.runner import docker
from weighin.runner.docker import nothing_commands
from weighin.runner.plan import Answers, Plan
from weighin.runner.sandbox import Sandbox


def test_what_is_printed_meanwhile_is_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    with nothing_commands({"GITHUB_ACTIONS": "true"}, unless=False):
        print("::error::from a model", end="")
    first, said, last = capsys.readouterr().out.splitlines()
    token = first.removeprefix("::stop-commands::")
    assert len(token) == 32
    assert (said, last) == ("::error::from a model", f"::{token}::")


def test_commands_come_back_after_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="x"), nothing_commands({"GITHUB_ACTIONS": "true"}, unless=False):
        raise ValueError("x")
    assert capsys.readouterr().out.splitlines()[-1].endswith("::")


@pytest.mark.parametrize(("environment", "unless"), [({}, False), ({"GITHUB_ACTIONS": "true"}, True)])
def test_elsewhere_nothing_is_added(
    environment: dict[str, str], unless: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with nothing_commands(environment, unless=unless):
        print("x")
    assert capsys.readouterr().out == "x\n"


def test_every_step_of_the_runner_is_guarded(tmp_path: Path) -> None:
    """Where there is no engine as well: the error's own text may come from anywhere."""
    for step in (["predict", "--work", "x"], ["run", "--", "true"], ["load", "--work", "x"]):
        command = [sys.executable, "-m", "weighin.runner.docker", step[0], "--image", "no-such-image", *step[1:]]
        environment = {**os.environ, "GITHUB_ACTIONS": "true", "DOCKER_HOST": "tcp://127.0.0.1:9"}
        ran = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        lines = ran.stdout.splitlines()
        assert ran.returncode != 0
        assert lines[0].startswith("::stop-commands::"), step
        assert lines[-1] == f"::{lines[0].removeprefix('::stop-commands::')}::"


def test_only_the_step_that_asks_an_endpoint_has_a_network_and_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, Sandbox]] = []

    def run(sandbox: Sandbox, *_given: object, **_more: object) -> str:
        started.append((step, sandbox))
        return "no engine in this test"

    monkeypatch.setattr(docker, "run", run)
    monkeypatch.setattr(docker, "changed", lambda work, role: "")
    for name in ("WEIGHIN_CANDIDATE_URL", "WEIGHIN_CANDIDATE_KEY"):
        monkeypatch.setenv(name, "SECRET")
    plan = Plan((), ("candidate", "champion"), Answers((0,), "text"), 60, 1000, None, behind_endpoint=("candidate",))
    plan.write(tmp_path / "plan.json")
    for step in ("predict", "ask"):
        docker.predict("image", tmp_path, endpoint=step == "ask")
    (model, walled), (asking, open_one) = started
    assert (model, asking) == ("predict", "ask")
    assert [path.name for path, _, _ in walled.mounts[:1]] == ["champion"]
    assert (walled.network, walled.environment) == ("none", ())
    # Features alone: no folder of the data, which hold labels.
    assert {inside for _, inside, _ in open_one.mounts} == {"/model", "/features", "/out"}
    assert [path.name for path, _, _ in open_one.mounts[:1]] == ["candidate"]
    assert open_one.network == "bridge"
    assert set(open_one.environment) == {"WEIGHIN_CANDIDATE_URL", "WEIGHIN_CANDIDATE_KEY"}


def test_a_summary_is_told_what_the_program_said_and_nothing_that_guards_the_log(tmp_path: Path) -> None:
    client = tmp_path / "docker"
    client.write_text('#!/bin/sh\nif [ "$1" = run ]; then echo "version 1 -> version 2"; exit 3; fi\n')
    client.chmod(0o755)
    (tmp_path / "repo").mkdir()
    (tmp_path / "summary").write_text("before\n")
    command = [sys.executable, "-m", "weighin.runner.docker", "run", "--image", "x", "--repo", str(tmp_path / "repo")]
    command += ["--tell", str(tmp_path / "summary"), "--tell", str(tmp_path / "new"), "--", "true"]
    environment = {**os.environ, "GITHUB_ACTIONS": "true", "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 3, ran.stderr
    assert ran.stdout.splitlines()[1] == "version 1 -> version 2"
    assert (tmp_path / "summary").read_text() == "before\nversion 1 -> version 2\n"
    assert (tmp_path / "new").read_text() == "version 1 -> version 2\n"
