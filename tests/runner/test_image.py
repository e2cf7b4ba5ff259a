"""The image holds what it needs: every dependency can be imported in it, as it is run."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGE = os.environ.get("WEIGHIN_IMAGE_UNDER_TEST", "weighin:local")
MODULES = {
    "scikit-learn": "sklearn",
    "pyyaml": "yaml",
    "ibis-framework": "ibis",
    "hdrhistogram": "hdrh",
}
"""Distributions whose module has another name."""
ASKED = (
    "weighin.release.policy",
    "weighin.suites.evidently_report",
    "weighin.suites.mlflow_evaluation",
    "weighin.suites.plugin",
)
IMPORT = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
from evidently import Report
from evidently.presets import DataDriftPreset
import weighin.suites.evidently_report
"""


def distributions() -> list[str]:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return [line.split("[")[0].split("=")[0].split(">")[0].split("<")[0].strip() for line in listed]


def in_image(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the image with its walls: no network, a read-only root, another user."""
    walls = ["--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--env", "HOME=/tmp"]
    return subprocess.run(
        ["docker", "run", *walls, IMAGE, *command], capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.docker
def test_every_dependency_can_be_imported_in_the_image() -> None:
    modules = [MODULES.get(name, name.replace("-", "_")) for name in distributions()]
    modules.remove("locust")  # it patches the standard library, and wants to be the first
    for command in (["import locust"], [IMPORT, *modules, *ASKED]):
        done = in_image("python3", "-c", *command)
        assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.docker
def test_a_policy_is_evaluated_in_the_image() -> None:
    """Its engine needs a library of the system that a slim base lacks."""
    ask = "from weighin.release.policy import answer_from; print(answer_from({'policy': sys.argv[1], 'input': {}}))"
    policy = 'package weighin.release\nimport rego.v1\ndefault allow := false\ndeny contains "never"\n'
    done = in_image("python3", "-c", f"import sys; {ask}", policy)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "never" in done.stdout
