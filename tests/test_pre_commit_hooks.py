"""The hooks for other repositories: the manifest is valid, and what it starts finds what it is for.

pre-commit would install this repository with all it needs, for minutes: here the commands of the manifest are run by
pre-commit with the programs that are installed already.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import quick_python, tiny_project
from support.act import GIT
from support.other_platforms import weighin_program
from support.small_project import ROOT, edit

MANIFEST = ROOT / ".pre-commit-hooks.yaml"
HOOKS: list[dict[str, Any]] = yaml.safe_load(MANIFEST.read_text())
CHECK, SYNC = "weighin-contract-check", "weighin-contract-sync"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a contract, its suite, and the hooks."""
    folder = tmp_path_factory.mktemp("repository")
    project = tiny_project.make(folder / "project", suites=("data_quality",))
    address = os.environ.get(quick_python.ADDRESS) or quick_python.start()
    weighin_program(folder / "bin", address)
    # The commands of the manifest, in the place of what pre-commit would install for them.
    hooks = [{**hook, "language": "system"} for hook in HOOKS]
    (project / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [{"repo": "local", "hooks": hooks}]}))
    (project / "readme.txt").write_text("A team.\n")
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "as it is"]):
        subprocess.run([*GIT, *arguments], cwd=project, check=True, timeout=60)
    return project


@pytest.fixture
def repository(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(made, tmp_path / "project"))


def run(project: Path, programs: Path) -> tuple[int, str]:
    """Run the hooks on what is staged."""
    subprocess.run([*GIT, "add", "-A"], cwd=project, check=True, timeout=60)
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(project.parent), "NO_COLOR": "1"}
    done = subprocess.run(
        [Path(sys.executable).with_name("pre-commit"), "run", "--color=never"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_manifest_is_valid() -> None:
    command = [Path(sys.executable).with_name("pre-commit"), "validate-manifest", str(MANIFEST)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [hook["id"] for hook in HOOKS] == [CHECK, SYNC]


def test_each_hook_starts_a_program_that_this_package_installs_and_hands_it_no_names() -> None:
    for hook in HOOKS:
        assert hook["language"] == "python"
        assert hook["entry"].split()[0] == "weighin"
        assert hook["pass_filenames"] is False


def test_a_sound_contract_passes_both(repository: Path, made: Path) -> None:
    with (repository / "model_contract.yaml").open("a") as file:
        file.write("# A remark.\n")
    code, printed = run(repository, made.parent / "bin")
    assert code == 0, printed
    assert printed.count("Passed") == 2


def test_a_mistake_in_the_contract_is_named_with_its_line(repository: Path, made: Path) -> None:
    edit(repository / "model_contract.yaml", ("  data_quality:", "  data_quallity:"))  # codespell:ignore
    code, printed = run(repository, made.parent / "bin")
    assert code == 1
    assert "model_contract.yaml:" in printed


def test_a_suite_that_is_not_the_contracts_is_found(repository: Path, made: Path) -> None:
    edit(repository / "model_contract.yaml", ("rows_at_least: 1000", "rows_at_least: 1001"))
    code, printed = run(repository, made.parent / "bin")
    assert code == 1
    assert printed.count("Passed") == printed.count("Failed") == 1
    assert SYNC in printed


def test_other_files_start_neither(repository: Path, made: Path) -> None:
    (repository / "readme.txt").write_text("Another team.\n")
    code, printed = run(repository, made.parent / "bin")
    assert code == 0, printed
    assert printed.count("Skipped") == 2
