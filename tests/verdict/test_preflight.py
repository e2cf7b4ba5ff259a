"""What is known before anything slow is said there, and not eighty seconds later."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from weighin.contract.reading import read_contract
from weighin.errors import NotEvaluated
from weighin.suites.expectations import write_suite
from weighin.verdict.preflight import preflight

CONTRACT = """\
version: 1
model: {name: m, task: binary, target: y}
data:
  holdout: h.parquet
  columns:
    y: {type: integer, role: target, allowed: [0, 1]}
    x: {type: float}
gates:
  data_quality: {rows_at_least: 1}
"""
SUITES = ("data_quality",)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model_contract.yaml").write_text(CONTRACT)
    pq.write_table(pa.table({"y": [0, 1], "x": [0.5, 1.5]}), tmp_path / "h.parquet")
    file = read_contract(tmp_path / "model_contract.yaml")
    write_suite(file.contract, tmp_path, check=False)
    return tmp_path


def checked(folder: Path, suites: tuple[str, ...] = SUITES, *, files: bool = True) -> None:
    preflight(read_contract(folder / "model_contract.yaml"), suites, files=files)


def test_what_is_ready_is_passed_in_silence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checked(folder)
    assert capsys.readouterr().err == ""


def test_a_missing_file_stops_unless_a_training_may_write_it(folder: Path) -> None:
    (folder / "h.parquet").unlink()
    with pytest.raises(NotEvaluated, match=r"no such file: h\.parquet"):
        checked(folder)
    checked(folder, files=False)


def test_expectations_of_another_contract_stop(folder: Path) -> None:
    (folder / "model_contract.yaml").write_text(CONTRACT.replace("rows_at_least: 1", "rows_at_least: 2"))
    with pytest.raises(NotEvaluated, match="weighin contract sync"):
        checked(folder)


def test_a_suite_of_the_teams_own_without_its_file_stops(folder: Path) -> None:
    with pytest.raises(NotEvaluated, match=r"no suite `ours`: .*test_ours\.py is not there"):
        checked(folder, ("data_quality", "ours"))
    (folder / "validation_tests").mkdir()
    (folder / "validation_tests/test_ours.py").write_text("")
    checked(folder, ("data_quality", "ours"))


def test_all_that_stops_is_said_at_once(folder: Path) -> None:
    (folder / "h.parquet").unlink()
    with pytest.raises(NotEvaluated) as caught:
        checked(folder, ("data_quality", "ours"))
    assert "no such file: h.parquet" in str(caught.value)
    assert "no suite `ours`" in str(caught.value)


def test_a_column_that_does_not_fit_is_said_at_once_and_left_to_its_suite(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pa.table({"y": [0, 1], "x": ["a", "b"]}), folder / "h.parquet")
    checked(folder)
    assert "data.holdout: column x holds string, and the contract says float" in capsys.readouterr().err
