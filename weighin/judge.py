"""Judge: run one suite as a pytest process of its own and leave its reports."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

SUITE_SECONDS = 1800
"""A suite that takes longer is stopped; what it left is then no evidence."""


def run_suite(suite: str, test: Path, contract: Path, work: Path, out: Path) -> int:
    """Run `test` and leave `junit.xml` and `outcomes.json` in `out/<suite>`; returns pytest's exit code.

    What an earlier run left in that folder is removed first, so that a crash leaves nothing instead of old evidence.
    """
    folder = out / suite
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("junit.xml", "outcomes.json", "report.html"):
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()
    command = [
        *(sys.executable, "-m", "pytest", str(test), "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider"),
        *("-o", "addopts=", "--import-mode=importlib", "-o", "junit_family=xunit2", "--strict-markers"),
        *(f"--junitxml={folder / 'junit.xml'}", f"--weighin-contract={contract}"),
        *(f"--weighin-work={work}", f"--weighin-out={folder}"),
    ]
    try:
        return subprocess.run(command, timeout=SUITE_SECONDS, check=False).returncode
    except subprocess.TimeoutExpired:
        print(f"suite {suite} was stopped after {SUITE_SECONDS} s", file=sys.stderr)
        return 3
