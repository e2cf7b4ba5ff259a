"""A suite judged as in `weighin validate`: our own tests in a fork of a process that has imported what they need."""

from __future__ import annotations

import os
from pathlib import Path

from support import quick_python
from weighin.runner.isolated import isolated

JUDGE = """
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from weighin.contract import read_contract
from weighin.verdict import judge
from weighin.runner import forked


def forked_pytest(command, *, env, stdout, timeout, **_):
    assert command[:5] == [sys.executable, "-P", "-s", "-m", "pytest"], command

    def call():
        os.environ.clear()
        os.environ.update(env)
        return pytest.main(command[5:])

    return SimpleNamespace(returncode=forked.wait(forked.fork(call, stdout.fileno()), timeout))


forked.MAY_FORK = True  # as in the warm process of `weighin validate`
suite, out, *interpreter = sys.argv[1:]
if not interpreter:
    judge.subprocess.run = forked_pytest
place = Path.cwd()
base = place / "base.yaml"
file = read_contract(place / "model_contract.yaml")
sys.exit(judge.run_suite(suite, file, place / "work", Path(out), base=base if base.exists() else None))
"""


def judged_by_a_fork(folder: Path, suite: str, out: Path, *, new_interpreter: bool = False) -> int:
    """Return the exit code of a suite of the project in a folder; a `base.yaml` there is the contract of its base.

    new_interpreter  whether the team's own tests get one, as they do in `weighin validate`. They take two seconds of
                     imports in it; in a fork, which is for tests that are not about it, none
    """
    arguments = ["-c", JUDGE, suite, str(out), *(["new"] if new_interpreter else [])]
    # The variables that the warm process gets: pytest loads no plugin that happens to be installed.
    return quick_python.run(arguments, folder, env=isolated(os.environ)).returncode
