"""Environments of other packages' own, from the locked requirements of this repository."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 300
_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def interpreter(requirements: str) -> str:
    """Install a locked file, once in a process, and return the interpreter; the folder goes with the process."""
    folder = tempfile.TemporaryDirectory(prefix="weighin-locked-")
    _FOLDERS.append(folder)
    venv.create(folder.name, symlinks=True)
    python = f"{folder.name}/bin/python"
    command = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--python", python]
    done = subprocess.run(
        [*command, "--require-hashes", "--requirement", str(ROOT / requirements)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return python
