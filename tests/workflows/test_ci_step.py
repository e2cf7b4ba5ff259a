"""Which changes run the engine's tests, and what the one required check of ci.yml demands."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support import workflow_step
from support.act import GIT

PARTS = 6


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run([*GIT, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("changed", "engine"),
    [
        ("model_contract.yaml", "false"),
        ("scripts/train.py", "false"),
        ("examples/flights/data/holdout.parquet", "false"),
        ("scripts/install.py", "true"),
        ("weighin/outcome.py", "true"),
        (".github/workflows/validate.yml", "true"),
        ("examples/caller/weigh-in.yml", "true"),
        ("policy.md", "true"),
    ],
)
def test_a_change_of_the_team_s_own_files_runs_no_test_of_the_engine(changed: str, engine: str, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy/release.rego").write_text("a")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "before")
    before = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / changed).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / changed).write_text("b")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "after")
    script = workflow_step.named("ci.yml", "compare")["run"]
    assert workflow_step.run(tmp_path, script, {}, {"BEFORE": before}).outputs == {"engine": engine}


@pytest.mark.parametrize("before", ["", "0" * 40])
def test_where_the_commit_before_is_not_known_the_tests_run(before: str, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    script = workflow_step.named("ci.yml", "compare")["run"]
    assert workflow_step.run(tmp_path, script, {}, {"BEFORE": before}).outputs == {"engine": "true"}


@pytest.mark.parametrize(
    ("changes", "engine", "results", "code"),
    [
        ("success", "true", ["success"] * PARTS, 0),
        ("success", "false", ["skipped"] * PARTS, 0),
        ("success", "true", ["success"] * 5 + ["skipped"], 1),
        ("success", "true", ["skipped"] * PARTS, 1),
        ("success", "false", ["success"] * 5 + ["failure"], 1),
        ("success", "", ["skipped"] * PARTS, 1),
        ("failure", "false", ["skipped"] * PARTS, 1),
        ("success", "true", ["success"] * 5 + ["cancelled"], 1),
    ],
)
def test_the_required_check_demands_every_part_that_was_to_run(
    changes: str, engine: str, results: list[str], code: int, tmp_path: Path
) -> None:
    script = workflow_step.named("ci.yml", "Demand that every part passed")["run"]
    given = {"CHANGES": changes, "ENGINE": engine, "RESULTS": " ".join(results)}
    assert workflow_step.run(tmp_path, script, {}, given).code == code
