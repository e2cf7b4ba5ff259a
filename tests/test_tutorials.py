"""What the tutorials show is done, block by block, in a folder of its own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from support import quick_python
from support.evidence_files import ROOT
from weighin.cli import COMMANDS

pytestmark = [pytest.mark.integration, pytest.mark.exhaustive]
TUTORIALS = ROOT / "docs/tutorials"
PAGES = ["own-table.md", "first-pull-request.md"]
GIT = {
    **{f"GIT_{who}_{what}": "reader" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_VALUE_0": "https://github.com/YOU/",
}
BLOCK = re.compile(r"^```(\w+)(?: title=\"(.+?)\")?\n(.*?)^```", re.MULTILINE | re.DOTALL)
OUTPUT = re.compile(r"exit code (\d+)")
MINIMAL = ROOT / "docs/reference/contracts/minimal.yaml"


def steps(page: str) -> list[tuple[str, list[str]]]:
    """Return each command of a page with the lines of output that stand below it."""
    found: list[tuple[str, list[str]]] = []
    for kind, _, text in BLOCK.findall((TUTORIALS / page).read_text()):
        for line in text.splitlines() if kind == "console" else ():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


def done(command: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run one command as a shell in this folder would."""
    words = shlex.split(command)
    if words[0] == "export":
        env.update(word.split("=", 1) for word in words[1:])
        return subprocess.CompletedProcess(words, 0, "", "")
    if words[:2] == ["weighin", "init"] and "init" not in COMMANDS:
        words = ["cp", str(MINIMAL), "model_contract.yaml"]  # until there is the command
    if words[0] == "python":
        return quick_python.run(words[1:], folder, env=env)
    if words[0] == "weighin":
        return quick_python.run(["-m", *words], folder, env=env)
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


def begun(page: str, folder: Path) -> dict[str, str]:
    """Write the files that a page shows, and what it says that there is; returns the variables of the reader."""
    shown = BLOCK.findall((TUTORIALS / page).read_text())
    if page == "first-pull-request.md":
        shown += BLOCK.findall((TUTORIALS / "own-table.md").read_text())
        shutil.copy(MINIMAL, folder / "model_contract.yaml")
        (folder / "data").mkdir()
        (folder / "data/holdout.parquet").write_bytes(b"")
        (folder.parent / "weigh-in").symlink_to(ROOT)
        remote = folder.parent / "github/tumour"
        subprocess.run(["git", "init", "--quiet", "--bare", str(remote)], check=True, timeout=60)
    for _, name, text in shown:
        if name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    env = {**os.environ, **GIT, "HOME": str(folder), "PYTHONWARNINGS": "ignore"}
    env["GIT_CONFIG_KEY_0"] = f"url.{folder.parent}/github/.insteadOf"
    return {name: value for name, value in env.items() if name != "MLFLOW_TRACKING_URI"}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_tutorial_does_what_is_shown(page: str, tmp_path: Path) -> None:
    folder = tmp_path / "tumour"
    folder.mkdir()
    env = begun(page, folder)
    for command, shown in steps(page):
        ran = done(command, folder, env)
        wanted = next((int(code[1]) for line in shown if (code := OUTPUT.fullmatch(line))), 0)
        assert ran.returncode == wanted, f"{command}\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}"
        for line in shown:
            assert OUTPUT.fullmatch(line) or line in ran.stdout.splitlines(), f"{command}: {line}\n{ran.stdout}"


def test_every_tutorial_is_tried() -> None:
    assert {path.name for path in TUTORIALS.glob("*.md")} - {"index.md"} == set(PAGES)
    assert all(steps(page) for page in PAGES)
