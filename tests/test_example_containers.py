"""The text and the forecast example in containers: the same outcomes as outside of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from support import quick_python, small_project

pytestmark = pytest.mark.docker
EXAMPLES = small_project.ROOT / "examples"


def outcomes(folder: Path, out: str) -> dict[str, Any]:
    found = json.loads((folder / out / "record.json").read_text())
    return {o["check"]: o.get("evidence") for s in found["suites"] for o in s["outcomes"]}


@pytest.mark.parametrize("name", ["topics", "late_flights"])
def test_an_example_passes_in_containers_as_it_does_outside(name: str, tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns(".weighin", "reports", "__pycache__")
    for part in (name, "flights"):
        shutil.copytree(EXAMPLES / part, tmp_path / part, ignore=ignore)
    for closed in (tmp_path, tmp_path.parent):
        closed.chmod(0o755)  # pytest closes its folders to others, and containers run as another user
    folder = tmp_path / name
    done = quick_python.run(["build.py"], folder)
    assert done.returncode == 0, done.stderr[-3000:]
    for out, more in (("inside", ("--runner", "docker")), ("outside", ())):
        done = small_project.weighin(folder, "validate", *more, "--out", out)
        assert done.returncode == 0, done.stderr[-3000:]
    assert outcomes(folder, "inside") == outcomes(folder, "outside")
