"""Releases and rollbacks against a registry that outlives the run: a real MLflow server that the containers reach."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support import act, registry_server, tiny_project
from support import workflow_scenarios as scenarios
from support.small_project import ROOT

pytestmark = [pytest.mark.workflow, pytest.mark.docker, pytest.mark.xdist_group("registry")]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry with versions 1 (champion), 2 and 3."""
    folder = tmp_path_factory.mktemp("registry")
    with registry_server.served(folder / "server", host=scenarios.gateway()) as uri:
        project = tiny_project.make(folder / "project", suites=scenarios.LIGHT)
        for arguments in ([], ["--only", "challenger"]):
            environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(ROOT)}
            train = [sys.executable, "scripts/train.py", *arguments]
            done = subprocess.run(
                train, cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False
            )
            assert done.returncode == 0, done.stderr[-3000:]
        yield uri


def released(folder: Path, uri: str, workflow: str, event: str, payload: dict[str, Any]) -> act.Ran:
    """Run a workflow of a project of its own against the registry."""
    project = tiny_project.make(folder, suites=scenarios.LIGHT)
    variables = {"WEIGHIN_IMAGE": scenarios.image(), "MLFLOW_TRACKING_URI": uri, "WEIGHIN_MODEL": "tiny"}
    return act.run(project, workflow, event, payload, variables)


def champion(uri: str) -> str:
    """The version that the alias names."""
    from mlflow import MlflowClient

    return str(MlflowClient(tracking_uri=uri, registry_uri=uri).get_model_version_by_alias("tiny", "champion").version)


def test_two_registered_versions_are_released_at_once_and_one_wins(registry: str, folder: Path) -> None:
    by_hand = ("workflow_dispatch", {"inputs": {"version": "2"}})
    by_webhook = ("repository_dispatch", {"client_payload": {"name": "tiny", "version": "3"}})
    with ThreadPoolExecutor(max_workers=2) as pool:
        runs = [
            pool.submit(released, folder / event, registry, "release.yml", event, payload)
            for event, payload in (by_hand, by_webhook)
        ]
        ended = {version: run.result() for version, run in zip(("2", "3"), runs, strict=True)}
    for version, ran in ended.items():
        # Both were compared with version 1, and passed.
        record = ran.read("weighin-verdict-1", "record.json")
        said = (record["verdict"]["status"], record["candidate"]["version"], record["champion"]["version"])
        assert said == ("passed", version, "1"), ran.log[-5000:]
        assert "aliases exist there and nowhere else" not in ran.summary
    won = [version for version, ran in ended.items() if ran.code == 0]
    assert won == [champion(registry)]
    (lost,) = [ran for version, ran in ended.items() if version not in won]
    assert "weighin-promotion-1" in ended[won[0]].artifacts
    assert "weighin-promotion-1" not in lost.artifacts
    # Which of the sentences depends on how far it was when the other won.
    said = (f"`champion` is version {won[0]} now", f"another came first: promote to version {won[0]}", "somebody else")
    assert any(words in lost.log for words in said), lost.log[-5000:]


def test_an_emergency_goes_back_to_what_was_never_gated(registry: str, folder: Path) -> None:
    before = champion(registry)
    assert before != "1"
    inputs = {"version": "", "owner": "who is called at night", "reason": "$(id) ::error::", "emergency": "true"}
    ran = released(folder / "yes", registry, "rollback-button.yml", "workflow_dispatch", {"inputs": inputs})
    assert ran.code == 0, ran.log[-5000:]
    assert champion(registry) == "1"
    assert f"version {before} -> version 1" in ran.summary
    assert "EMERGENCY" in ran.summary
    assert "weighin-rollback-1" in ran.artifacts


@pytest.mark.exhaustive
def test_an_event_about_another_model_releases_nothing(registry: str, folder: Path) -> None:
    before = champion(registry)
    payload = {"client_payload": {"name": "another", "version": "3"}}
    ran = released(folder / "other", registry, "release.yml", "repository_dispatch", payload)
    assert not any(result == "success" for result in ran.jobs.values())
    assert ran.artifacts == {}
    assert champion(registry) == before
