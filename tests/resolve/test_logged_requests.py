"""The shadow gate from end to end: MLflow's server in the local environment, and a team's own within walls."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from support import small_project
from support.shadow_work import ROWS, SERVER, Work
from weighin.outcome import Status
from weighin.runner import docker

IMAGE = "weighin:local"
ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.exhaustive
SAYS = """\
import mlflow
from mlflow.pyfunc import PythonModel


class Says(PythonModel):
    def predict(self, context, model_input, params=None):
        return [[1 - a, a] for a in model_input["a"] * {factor}]


mlflow.models.set_model(Says())
"""


def saved(folder: Path, factor: float) -> str:
    """A small real model, as MLflow saves it."""
    import mlflow

    code = folder.with_suffix(".py")
    code.write_text(SAYS.format(factor=factor))
    mlflow.pyfunc.save_model(str(folder), python_model=str(code), pip_requirements=[])
    return str(folder)


def recorded(folder: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Check -> status, and the record itself."""
    record = json.loads((folder / "reports/record.json").read_text())
    (suite,) = [s for s in record["suites"] if s["suite"] != "model"]
    return {o["check"]: o["status"] for o in suite["outcomes"]}, record


def test_models_that_mlflow_serves_are_judged_by_what_was_logged(tmp_path: Path) -> None:
    work = Work(tmp_path)
    del work.contract["gates"]["load"]
    work.contract["gates"]["shadow"] |= {
        "requests": ROWS,
        "latency_ratio_at_most": 10,
    }  # not about the speed of this machine
    work.log(*work.traffic())
    (tmp_path / "validation_tests").mkdir()
    for name in ("conftest.py", "test_shadow.py"):
        shutil.copy(ROOT / "validation_tests" / name, tmp_path / "validation_tests")
    champion, alike, other = (saved(tmp_path / n, f) for n, f in (("old", 1), ("alike", 0.99), ("other", 0.6)))

    done = small_project.weighin(tmp_path, "validate", "--candidate", alike, "--champion", champion)
    assert done.returncode == 0, done.stderr[-3000:]
    found, record = recorded(tmp_path)
    assert set(found.values()) == {"passed"}
    assert record["data"]["requests"]["requests"] == ROWS
    assert record["policy_inputs"]["suites"] == ["model", "shadow"]
    assert "Logged requests" in (tmp_path / "reports/report.html").read_text()
    assert small_project.weighin(tmp_path, "verify", "reports/record.json").returncode == 0

    done = small_project.weighin(tmp_path, "validate", "--candidate", other, "--champion", champion)
    assert done.returncode == 1, done.stderr[-3000:]
    found, _ = recorded(tmp_path)
    assert {n for n, status in found.items() if status != "passed"} == {"shadow/disagreement"}


@pytest.mark.docker
def test_both_models_are_served_within_walls(tmp_path: Path) -> None:
    for folder in (tmp_path.parent, tmp_path):
        folder.chmod(0o755)  # pytest closes its folders to others, and containers run as another user
    work = Work(tmp_path)
    work.contract["gates"]["load"]["server"]["command"] = ["python3", "-c", SERVER, "{port}", "{model}"]
    work.contract["gates"]["shadow"]["latency_ratio_at_most"] = 20
    work.log(*work.traffic())
    work.candidate = {"fails_above": 0.9}
    work.resolved()
    docker.load(IMAGE, work.work, "shadow")
    found = work.judged()
    assert {n: o.status for n, o in found.items() if o.status is not Status.PASSED} == {
        "shadow/errors": Status.FAILED,
        "shadow/disagreement": Status.INCONCLUSIVE,
    }, found
