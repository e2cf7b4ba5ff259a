"""A server of MLflow 2.22, in an environment of its own from requirements-mlflow2.txt."""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

from support.registry_server import served

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements-mlflow2.txt"
VERSION = "2.22.4"
SECONDS = 300


@functools.cache
def environment() -> tempfile.TemporaryDirectory[str]:
    """Install it, once in a process; the folder goes with the process."""
    folder = tempfile.TemporaryDirectory(prefix="weighin-mlflow-2-")
    venv.create(folder.name, symlinks=True)
    python = f"{folder.name}/bin/python"
    command = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--python", python]
    done = subprocess.run(
        [*command, "--require-hashes", "--requirement", str(REQUIREMENTS)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@contextlib.contextmanager
def mlflow_2(folder: Path) -> Iterator[str]:
    """The address of a server that keeps everything in a folder."""
    with served(folder, python=f"{environment().name}/bin/python") as uri:
        yield uri
