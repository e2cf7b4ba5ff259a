"""What CONTRIBUTING.md shows is tried as it stands there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHANGES = re.findall(r"```diff\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)


@pytest.mark.exhaustive
def test_a_new_kind_of_check_needs_what_is_shown(tmp_path: Path) -> None:
    assert len(CHANGES) == 4
    for name in ("weighin", "tests/support", "great_expectations"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests/conftest.py", "pyproject.toml", "docs/schema/decision-v1.schema.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    changes = "".join(CHANGES)
    # Outside of a repository of its own, git would take the paths for those of another.
    for command in (["git", "init", "-q", "."], ["git", "apply", "--whitespace=nowarn", "-"]):
        ran = subprocess.run(
            command, cwd=tmp_path, input=changes, capture_output=True, text=True, timeout=60, check=False
        )
        assert ran.returncode == 0, ran.stderr
    (name,) = re.findall(r"^\+\+\+ b/(tests/.*)$", changes, re.MULTILINE)
    for command, says in (
        (["-m", "pytest", "-q", "-p", "no:cacheprovider", name], "1 passed"),
        (
            ["-c", "from weighin.contract import Contract; print(Contract.model_json_schema())"],
            "mean_prediction_at_most",
        ),
    ):
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )
        assert says in done.stdout, done.stdout[-3000:] + done.stderr[-2000:]
