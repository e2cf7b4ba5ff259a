"""The monitor's workflow as its examples call it: a real MLflow server, a log in the project, looks in containers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import act, registry_server
from support import workflow_scenarios as scenarios
from support.monitor_pages import ERRORS
from support.registry_versions import NAME, SAYS, promoted
from support.small_project import ROOT
from support.watched_model import RECORD, Watched

pytestmark = [pytest.mark.workflow, pytest.mark.docker]
ROWS = 60
CHECK = ERRORS.replace("1000", str(ROWS))
MONITOR = {
    "log": {"path": "log"},
    "watch": [{"window": {"rows": ROWS, "rows_at_least": ROWS}, "error_rate_at_most": 0.1, "action": "rollback"}],
}


@dataclass
class Project:
    """A repository of another team with a contract, a log and the callers of the examples."""

    folder: Path
    uri: str
    watched: Watched

    def run(self, caller: str, attempt: int) -> act.Ran:
        variables = {"WEIGHIN_IMAGE": scenarios.image(), "MLFLOW_TRACKING_URI": self.uri}
        return act.run(self.folder, caller, "workflow_dispatch", {}, variables, attempt=attempt)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Version 1 was champion, version 2 is, and nobody has looked yet."""
    import mlflow

    with registry_server.served(tmp_path / "server", host=scenarios.gateway()) as uri:
        os.environ["MLFLOW_TRACKING_URI"] = uri  # conftest.py sets the environment back
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment(NAME)
        code = tmp_path / "says.py"
        code.write_text(SAYS.format(value=0.1))
        for _ in range(2):
            with mlflow.start_run():
                mlflow.pyfunc.log_model(
                    name="model", python_model=str(code), registered_model_name=NAME, pip_requirements=[]
                )
        mlflow.MlflowClient(tracking_uri=uri).set_registered_model_alias(NAME, "champion", "1")
        for version in ("1", "2"):
            promoted(uri, version, tmp_path, record=RECORD)
        folder = tmp_path / "project"
        shutil.copytree(ROOT / ".github/workflows", folder / ".github/workflows")
        for name in ("monitor.yml", "monitor-heartbeat.yml"):
            text = (ROOT / "examples/caller" / name).read_text()
            called = f"OWNER/weigh-in/.github/workflows/monitor.yml@{'0' * 40}"
            assert called in text
            (folder / f".github/workflows/call-{name}").write_text(
                text.replace(called, "./.github/workflows/monitor.yml")
            )
        yield Project(folder, uri, Watched.make(uri, folder, MONITOR))


def test_a_calm_look_is_green_its_pulse_is_seen_and_an_alarm_is_red_and_rolled_back(project: Project) -> None:
    last = project.watched.answers(project.watched.since, 4 * ROWS, "2", every=0.01)
    ran = project.run("call-monitor.yml", 1)
    assert ran.code == 0, ran.log[-5000:]
    assert f"{NAME} version 2: ok" in ran.summary
    assert "Last run: **20" in ran.summary
    kept = ran.artifacts["weighin-monitor-1"]
    assert ran.read("weighin-monitor-1", "monitor.json")["state"] == "ok"
    assert f"{NAME} version 2: ok" in (kept / "monitor.html").read_text()

    ran = project.run("call-monitor-heartbeat.yml", 2)
    assert ran.code == 0, ran.log[-5000:]
    assert "the last run was 0." in ran.summary

    project.watched.answers(last, 4 * ROWS, "2", every=0.01, failing=0.5)
    ran = project.run("call-monitor.yml", 3)
    assert ran.code != 0
    assert "People have to look" in ran.summary, ran.log[-5000:]
    assert f"rollback: rolled back from version 2 to version 1: {CHECK} broke their limits" in ran.summary
    assert "weighin-monitor-3" in ran.artifacts
    head = project.watched.champions.ledger.head()
    assert head is not None
    assert (head.action, head.after) == ("rollback", "1")
