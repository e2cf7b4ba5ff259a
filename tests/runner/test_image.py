"""The image holds what it needs: every dependency can be imported in it, as it is run."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGE = os.environ.get("WEIGHIN_IMAGE_UNDER_TEST", "weighin:local")
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
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [*project["dependencies"], *project["optional-dependencies"]["text"]]
    return [line.split("[")[0].split("=")[0].split(">")[0].split("<")[0].strip() for line in listed]


def modules() -> list[str]:
    """The modules of each dependency, as its metadata here names them: the one of its own name, or all public ones."""
    found: dict[str, list[str]] = {}
    for module, owners in packages_distributions().items():
        for owner in owners:
            found.setdefault(re.sub("[-_.]+", "-", owner).lower(), []).append(module)
    chosen = []
    for name in distributions():
        own = name.replace("-", "_")
        public = [module for module in found[name] if module.isidentifier() and not module.startswith("_")]
        assert public, name
        chosen += [own] if own in public else public
    return chosen


def in_image(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the image with its walls: no network, a read-only root, another user."""
    walls = ["--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--env", "HOME=/tmp"]
    return subprocess.run(
        ["docker", "run", *walls, IMAGE, *command], capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.docker
def test_every_dependency_can_be_imported_in_the_image() -> None:
    others = modules()
    others.remove("locust")  # it patches the standard library, and wants to be the first
    for command in (["import locust"], [IMPORT, *others, *ASKED]):
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
