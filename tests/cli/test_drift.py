"""`weighin drift`, `weighin profile` and scripts/drift_detection.py: tables without a model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support.suite_work import Work
from weighin.cli import main
from weighin.data.profile import Profile

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = '<script>alert(1)</script>; DROP TABLE x --`"'


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A reference, the same distribution again, and one in which a column has moved."""
    rng = np.random.default_rng(0)
    paths = []
    for name, shift in (("reference", 0.0), ("same", 0.0), ("moved", 2.0)):
        frame = pd.DataFrame(
            {
                "x": rng.normal(shift, 1, 2_000),
                HOSTILE: rng.choice(["<b>a</b>", "'; --"], 2_000),
                "day": np.arange(2_000) // 50,
            }
        )
        frame.to_parquet(tmp_path / f"{name}.parquet", index=False)
        paths.append(tmp_path / f"{name}.parquet")
    return paths[0], paths[1], paths[2]


def drift(*arguments: object) -> int:
    return main(["drift", *map(str, arguments)])


def test_two_tables_are_compared_and_the_exit_code_tells(tables: tuple[Path, Path, Path]) -> None:
    reference, same, moved = tables
    assert drift(reference, same, "--group", "day") == 0
    assert drift(reference, moved, "--group", "day") == 1
    assert drift(reference, moved, "--group", "day", "--columns", HOSTILE) == 0


def test_the_threshold_is_the_limit(tables: tuple[Path, Path, Path], tmp_path: Path) -> None:
    reference, _, moved = tables
    out = tmp_path / "drift.json"
    assert drift(reference, moved, "--columns", "x", "--threshold", "50", "--json", out) == 0
    (outcome,) = json.loads(out.read_text())["outcomes"]
    assert outcome["limit"]["value"] == 50
    assert drift(reference, moved, "--columns", "x", "--threshold", "0.1") == 1


def test_few_rows_are_no_verdict(tables: tuple[Path, Path, Path], tmp_path: Path) -> None:
    pd.read_parquet(tables[1]).head(30).to_parquet(tmp_path / "few.parquet")
    assert drift(tables[0], tmp_path / "few.parquet", "--columns", "x") == 6


def test_what_is_not_there_is_no_pass(tables: tuple[Path, Path, Path], tmp_path: Path) -> None:
    assert drift(tables[0], tmp_path / "absent.parquet") == 7
    assert drift(tables[0], tables[1], "--columns", "absent") == 7
    assert drift(tables[0]) == 4


def test_names_and_values_reach_the_page_as_text(
    tables: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    drift(tables[0], tables[2], "--report", page)
    text = page.read_text()
    assert "<script>" not in text
    assert "<b>a</b>" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert(1)</script>" in capsys.readouterr().out.replace("\n", "").replace(" ", "")


def test_a_profile_takes_the_place_of_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(tmp_path).write()
    monkeypatch.chdir(work.folder)
    out = tmp_path / "reference.json"
    assert main(["profile", "--out", str(out)]) == 0
    assert Profile.read(out).rows == 2_000
    assert drift("reference.parquet", "current.parquet", "--group", "day", "--columns", "distance,temp") == 0
    assert drift(out, "current.parquet", "--group", "day", "--columns", "distance,temp") == 0
    work.frames["current"]["distance"] //= 3
    work.write()
    assert drift(out, "current.parquet", "--group", "day", "--columns", "distance,temp") == 1


def test_the_contracts_tables_and_limits_are_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(tmp_path).write()
    monkeypatch.chdir(work.folder)
    assert drift() == 0
    assert drift("--threshold", "0.000001") in (1, 6)


def test_the_script_is_the_command(tables: tuple[Path, Path, Path]) -> None:
    command = [sys.executable, str(ROOT / "scripts/drift_detection.py"), str(tables[0]), str(tables[2])]
    done = subprocess.run([*command, "--threshold", "0.1"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "drift/x" in done.stdout
