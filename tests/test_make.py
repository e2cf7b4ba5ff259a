"""The commands of the README where something is in the way: one sentence, and an exit code that is not 0."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
INSTALL = ROOT / "scripts/install.py"
NOBODY_LISTENS = "http://127.0.0.1:9/simple"
BARE = {"PATH": "/usr/bin:/bin", "PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", "PIP_INDEX_URL": NOBODY_LISTENS}


def make_install(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(INSTALL), ".venv", *arguments],
        cwd=folder,
        env={**BARE, "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def one_sentence(done: subprocess.CompletedProcess[str], says: str) -> None:
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("weighin: install: ")
    assert says in line
    assert done.stdout == ""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, with a space in its name, that has a virtual environment and nothing in it but pip."""
    folder = tmp_path_factory.mktemp("with a space")
    done = make_install(folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_without_a_network_one_sentence_says_so(environment: Path) -> None:
    (environment / "some.txt").write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n")
    one_sentence(make_install(environment, "some.txt"), "the package index cannot be reached")


def test_a_home_that_cannot_be_written_to_is_no_obstacle(environment: Path, tmp_path: Path) -> None:
    (environment / "empty.txt").write_text("")
    (environment / "pyproject.toml").write_text("")
    home = tmp_path / "home"
    home.write_text("no folder")
    done = make_install(environment, "empty.txt", HOME=str(home))
    # The last step has no project to install here; it is reached, and says nothing of the home.
    assert "home" not in done.stderr
    assert "written" not in done.stderr
    commands = runpy.run_path(str(INSTALL))["commands"]
    assert "--no-cache-dir" in commands(Path(".venv"), ["requirements.txt"], None, {"HOME": str(home)})[0]
    assert "--no-cache" in commands(Path(".venv"), ["requirements.txt"], "uv", {"HOME": str(home)})[0]
    assert "--no-cache-dir" not in commands(Path(".venv"), ["requirements.txt"], None, {"HOME": str(tmp_path)})[0]


def test_no_compiler_is_asked_for() -> None:
    commands = runpy.run_path(str(INSTALL))["commands"]
    (pip, _), (uv, _) = (commands(Path(".venv"), ["requirements.txt"], u, {}) for u in (None, "uv"))
    assert pip[pip.index("--only-binary") + 1] == ":all:"
    assert "--no-binary" not in pip
    assert "--no-build" in uv


def test_an_environment_of_an_old_python_is_named_with_its_remedy(tmp_path: Path) -> None:
    old = tmp_path / ".venv/bin/python"
    old.parent.mkdir(parents=True)
    old.write_text("#!/bin/sh\necho 3 9\n")
    old.chmod(0o755)
    one_sentence(make_install(tmp_path, "some.txt"), ".venv was made by Python 3.9, and Python 3.11 to 3.13 is needed")


def test_an_environment_whose_python_is_gone_is_named_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to("/nowhere/python3.11")
    one_sentence(make_install(tmp_path, "some.txt"), "its Python is gone: remove it (rm -rf .venv)")


def test_a_python_that_is_too_old_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = runpy.run_path(str(INSTALL))
    monkeypatch.setattr(sys, "version_info", (3, 8, 0))
    with pytest.raises(script["Refused"], match=r"this is 3\.8"):
        script["make_environment"](tmp_path / ".venv")
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    ("printed", "says"),
    [
        ("error: Failed to fetch: `https://index.example/simple/six/`\n  Caused by: dns error", "cannot be reached"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "its hash differs"),
        (
            "ERROR: Could not find a version (from versions: none)\nERROR: No matching distribution found for x",
            "no wheel",
        ),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("error: failed to create directory `/x`: Read-only file system (os error 30)", "cannot be written to"),
        ("something else", ""),
    ],
)
def test_what_an_installer_prints_becomes_a_sentence(printed: str, says: str) -> None:
    cause = runpy.run_path(str(INSTALL))["cause_of"](printed)
    assert says in cause
    assert bool(cause) == bool(says)


def test_the_script_has_no_syntax_that_an_old_python_refuses() -> None:
    import ast

    ast.parse(INSTALL.read_text(), feature_version=(3, 6))


def test_a_make_that_is_not_gnu_is_told_so(tmp_path: Path) -> None:
    """BSD's make takes the line for a directive that ends it; GNU make for a rule that nothing asks for."""
    lines = [line for line in (ROOT / "Makefile").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0].startswith(".error : this Makefile needs GNU make")
    assert not any(line.split(":")[0].strip() in ("this", "Makefile", "needs") for line in lines[1:])
    asked = subprocess.run(["make", "-n", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert asked.returncode == 0, asked.stderr
    bmake = shutil.which("bmake")
    if bmake is not None:
        done = subprocess.run([bmake, "help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode != 0
        assert (done.stdout + done.stderr).count("needs GNU make") == 1


def benchmark() -> dict[str, Any]:
    from importlib.machinery import SourceFileLoader

    loader = SourceFileLoader("two_commands", str(ROOT / "benchmarks/two_commands"))
    from importlib.util import module_from_spec, spec_from_loader

    spec = spec_from_loader("two_commands", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return vars(module)


def test_the_benchmark_counts_the_tests_of_all_runs_of_pytest() -> None:
    log = "= 3 passed, 1 skipped in 2.00s =\n== 2 failed, 10 passed, 4 deselected, 1 error in 61.50s (0:01:01) ==\n"
    assert benchmark()["counted"](log) == {"tests": 16, "skipped": 1}
    assert benchmark()["counted"]("no tests\n") == {"tests": 0, "skipped": 0}


def test_the_benchmark_reads_the_steps_that_validate_prints() -> None:
    log = "train ...\ntrain: 9.1 s\nserve and send load: 41.9 s\ndata_quality    passed  230  0  0  4.9 s\n"
    assert benchmark()["steps"](log) == [("train", 9.1), ("serve and send load", 41.9)]


def test_the_last_line_of_the_benchmark_has_the_agreed_keys() -> None:
    assert benchmark()["KEYS"] == (
        *("first_validate_s", "repeated_validate_s", "outside_load_s"),
        *("check_s", "test_s", "tests", "skipped"),
    )
