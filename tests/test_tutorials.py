"""What the tutorials show is done, block by block, in a folder of its own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from weighin.cli import COMMANDS

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parent.parent
TUTORIALS = ROOT / "docs/tutorials"
BLOCK = re.compile(r"^```(\w+)(?: title=\"(.+?)\")?\n(.*?)^```", re.MULTILINE | re.DOTALL)
OUTPUT = re.compile(r"exit code (\d+)")
# `weighin init` writes the contract of the first tutorial. Where it is not there yet, the minimal contract stands in.
STAND_IN = f"cp {shlex.quote(str(ROOT / 'docs/reference/contracts/minimal.yaml'))} model_contract.yaml"


def steps(page: str) -> list[tuple[str, list[str]]]:
    """Return each command of a page with the lines that stand below it."""
    found: list[tuple[str, list[str]]] = []
    for kind, _, text in BLOCK.findall((TUTORIALS / page).read_text()):
        for line in text.splitlines() if kind == "console" else ():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


def script(page: str) -> str:
    """Return the commands as one script, which ends where a command has another exit code or output than shown."""
    lines = []
    for command, shown in steps(page):
        wanted = next((int(code[1]) for line in shown if (code := OUTPUT.fullmatch(line))), 0)
        run = STAND_IN if command.startswith("weighin init ") and "init" not in COMMANDS else command
        texts = [line for line in shown if not OUTPUT.fullmatch(line)]
        lines += [f"echo {shlex.quote('$ ' + command)}", f"{run} > .output; code=$?; cat .output"]
        lines += [f'if [ $code != {wanted} ]; then echo "exit code $code, and not {wanted}"; exit 99; fi']
        lines += [f"grep -qxF -- {shlex.quote(text)} .output || {{ echo 'not as shown'; exit 99; }}" for text in texts]
    return "\n".join(lines)


def done(page: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Write the files that a page shows, and run its commands."""
    for _, name, text in BLOCK.findall((TUTORIALS / page).read_text()):
        if name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    shell = shutil.which("bash")
    assert shell
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [shell, "-c", script(page)],
        cwd=folder,
        env={**os.environ, "PATH": path, "HOME": str(folder), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("page", ["own-table.md"])
def test_every_command_of_a_tutorial_does_what_is_shown(page: str, tmp_path: Path) -> None:
    ran = done(page, tmp_path)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]


def test_every_tutorial_is_tried() -> None:
    tried = {mark.args[1] for mark in test_every_command_of_a_tutorial_does_what_is_shown.pytestmark}  # type: ignore[attr-defined]
    assert set().union(*tried) == {path.name for path in TUTORIALS.glob("*.md")} - {"index.md"}
