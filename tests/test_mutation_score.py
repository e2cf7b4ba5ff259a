"""The score of the mutants: what counts as noticed by a test, and when the score is too low."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAIN: Any = runpy.run_path(str(ROOT / "scripts/mutation_score.py"))["main"]


def left(folder: Path, *codes: int | None, module: str = "a.py") -> list[str]:
    """The arguments for a folder as mutmut leaves it: one exit code for each mutant."""
    path = folder / f"weighin/{module}.meta"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"exit_code_by_key": {f"x__mutmut_{i}": code for i, code in enumerate(codes)}}))
    return ["--folder", str(folder)]


def test_nine_of_ten_are_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert MAIN(left(tmp_path, *[1] * 8, 3, 0)) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "| weighin/a.py | 10 | 10 | 9 | 0 | 1 | 0 | 90.0% |"
    assert err == ""


@pytest.mark.parametrize(
    ("code", "cells", "low"),
    [
        (0, "0 | 1 | 0 | 88.9%", True),
        (33, "0 | 1 | 0 | 88.9%", True),
        (5, "0 | 1 | 0 | 88.9%", True),
        (35, "0 | 0 | 1 | 88.9%", True),
        (-11, "0 | 0 | 1 | 88.9%", True),
        (-24, "1 | 0 | 0 | 100.0%", False),
    ],
)
def test_what_no_test_noticed_counts_against_a_module(
    code: int, cells: str, low: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert MAIN(left(tmp_path, *[1] * 8, code)) == int(low)
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == f"| weighin/a.py | 9 | 9 | 8 | {cells} |"
    assert err == ("below 90%: weighin/a.py\n" if low else "")


def test_mutants_that_were_not_run_do_not_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left(tmp_path, None, None, module="b.py")
    left(tmp_path, module="__init__.py")
    assert MAIN(left(tmp_path, 1, None)) == 0
    assert capsys.readouterr().out.splitlines()[2:] == ["| weighin/a.py | 2 | 1 | 1 | 0 | 0 | 0 | 100.0% |"]


def test_one_module_below_the_score_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left(tmp_path, 0, 1, module="b.py")
    assert MAIN([*left(tmp_path, *[1] * 50), "--list"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "  x__mutmut_0: survived"
    assert err == "below 90%: weighin/b.py\n"


def test_nothing_run_is_no_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert MAIN(["--folder", str(tmp_path / "absent")]) == 1
    assert MAIN(left(tmp_path, None)) == 1
    assert capsys.readouterr().err == "no mutant was run: start `make mutants` first\n" * 2
