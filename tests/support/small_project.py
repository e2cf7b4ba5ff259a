"""The repository as a user has it, with less data and a shorter load: everything else is the real thing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pandas as pd

from support import quick_python

ROOT = Path(__file__).resolve().parents[2]
WINDOWS = ("reference", "holdout", "sealed_holdout", "current")


def copy(folder: Path) -> Path:
    """Copy what git knows, and what it does not yet, but does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # pytest closes its folders to others, and containers run as another user
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def make(folder: Path, every: int = 4) -> Path:
    """Copy the repository; keep every `every`-th row of each window, and half of the load."""
    copy(folder)
    for window in WINDOWS:
        path = folder / f"examples/flights/data/{window}.parquet"
        pd.read_parquet(path).iloc[::every].to_parquet(path, index=False)
    edit(
        folder / "model_contract.yaml",
        ("rows_at_least: 10000", "rows_at_least: 2000"),
        # Half the time at each start, and blocks of half the length: as many of them.
        ("seconds: 12 ", "seconds: 6 "),
        ("stall_seconds: 0.4", "stall_seconds: 0.2"),
        ("warm_up_seconds: 2", "warm_up_seconds: 1"),
        ("seconds: 6, latency_ms: 500", "seconds: 3, latency_ms: 1000"),
        ("latency_ms_at_most: 150", "latency_ms_at_most: 1000"),
        # These tests are about the gate and not about the speed of the machine that runs them.
        ("latency_ms: 300", "latency_ms: 1000"),
        ("error_rate_at_most: 0.05", "error_rate_at_most: 0.05\n    lateness_ms_at_most: 250"),
    )
    weighin(folder, "contract", "sync")
    return folder


def edit(path: Path, *changes: tuple[str, str]) -> None:
    """Replace texts in a file. Every one must be there: an edit that changes nothing would test nothing."""
    text = path.read_text()
    for old, new in changes:
        assert old in text, f"{path} does not hold {old!r}"
        text = text.replace(old, new)
    path.write_text(text)


def weighin(folder: Path, *arguments: str, seconds: float = 600) -> subprocess.CompletedProcess[str]:
    """Run `weighin` in a folder."""
    return quick_python.run(["-m", "weighin", *arguments], folder, timeout=seconds)


def train(folder: Path, *arguments: str) -> str:
    """Run scripts/train.py in a folder; returns the address of the version that it registered."""
    done = quick_python.run(["scripts/train.py", *arguments], folder, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]
