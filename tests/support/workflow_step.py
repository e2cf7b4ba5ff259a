"""Runs a step of a workflow as it stands, with stand-ins for its programs that write down how they were called."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.workflow_rules import load, ours

GH_RELEASE = """
release=$RELEASE_FOLDER
case "$2" in
  view) test -d "$release" || exit 1; for f in "$release"/*; do test -f "$f" && basename "$f"; done; exit 0 ;;
  create) mkdir "$release" ;;
  download)
    while [ $# -gt 0 ]; do
      case "$1" in --pattern) wanted="$wanted $2"; shift ;; --dir) into=$2; shift ;; esac
      shift
    done
    for name in $wanted; do cp "$release/$name" "$into/"; done ;;
  upload) for f in "$@"; do if test -f "$f"; then cp "$f" "$release/"; fi; done ;;
esac
"""
"""A stand-in for `gh` that keeps the files of one release in the folder RELEASE_FOLDER."""


@dataclass(frozen=True)
class StepResult:
    """The result of a step.

    code     its exit code
    outputs  its outputs, by name
    printed  its standard output, then its standard error
    calls    for each call of a stand-in its name and its arguments
    """

    code: int
    outputs: dict[str, str]
    printed: str
    calls: list[list[str]]


def named(file: str, name: str) -> dict[str, Any]:
    """Return the step of a workflow with this name or id, which several jobs may share.

    Errors: `ValueError` where there is not exactly one.
    """
    found = [
        step
        for job in load(ours()[file])["jobs"].values()
        for step in job.get("steps", [])
        if name in (step.get("name"), step.get("id"))
    ]
    (only,) = {id(step): step for step in found}.values()
    return dict(only)


def run(
    folder: Path, script: str, programs: dict[str, str], environment: dict[str, str], *, system: bool = True
) -> StepResult:
    """Run the script of a step in an empty folder, as GitHub does.

    programs     name -> what the stand-in of that name does, as a shell script, when it has written down its arguments
    environment  all that the step sees, beside the path and the file for its outputs
    system       whether it finds the programs of the system as well
    """
    bin_folder, called, outputs = folder / "bin", folder / "calls", folder / "output"
    bin_folder.mkdir()
    called.touch()
    outputs.touch()
    for name, body in programs.items():
        path = bin_folder / name
        path.write_text(f'#!/bin/sh\n{{ printf "%s\\037" {name} "$@"; printf "\\036"; }} >>{called}\n{body}\n')
        path.chmod(0o755)
    (folder / "step.sh").write_text(script)
    done = subprocess.run(
        ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", str(folder / "step.sh")],
        env={
            "PATH": f"{bin_folder}:/usr/bin:/bin" if system else str(bin_folder),
            "GITHUB_OUTPUT": str(outputs),
            **environment,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return StepResult(
        done.returncode,
        dict(line.split("=", 1) for line in outputs.read_text().splitlines()),
        done.stdout + done.stderr,
        [call.split("\037")[:-1] for call in called.read_text().split("\036")[:-1]],
    )
