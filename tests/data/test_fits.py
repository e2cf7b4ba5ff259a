"""What can be said of a contract's files before they are read."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from weighin.contract.reading import read_contract
from weighin.data.fits import FITS, look
from weighin.data.typed import FEATURE_TYPES

CONTRACT = """\
version: 1
model: {name: m, task: binary, target: y}
data:
  holdout: h.parquet
  reference: r.parquet
  current: h.parquet
  columns:
    y: {type: integer, role: target, allowed: [0, 1]}
    x: {type: float}
    t: {type: string}
gates:
  data_quality: {rows_at_least: 1}
"""
GOOD = {"y": [0, 1], "x": [0.5, 1.5], "t": ["a", "b"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model_contract.yaml").write_text(CONTRACT)
    for name in ("h", "r"):
        pq.write_table(pa.table(GOOD), tmp_path / f"{name}.parquet")
    return tmp_path


def found(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    fit = look(read_contract(folder / "model_contract.yaml"))
    return fit.absent, fit.unfit, fit.unopened


def test_files_that_fit_are_passed_in_silence(folder: Path) -> None:
    assert found(folder) == ((), (), ())


def test_a_file_that_is_not_there_or_no_parquet_is_named(folder: Path) -> None:
    (folder / "r.parquet").unlink()
    (folder / "h.parquet").write_text("x")
    absent, unfit, _ = found(folder)
    assert unfit == ()
    assert len(absent) == 3  # holdout and current are one file
    assert any("no such file: r.parquet" in a for a in absent)
    assert any("not readable as Parquet" in a for a in absent)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x": ["a", "b"]}, "data.reference: column x holds string, and the contract says float"),
        ({"t": [1, 2]}, "data.reference: column t holds integer, and the contract says string"),
        ({"x": None}, 'data.reference: no column ["x"]'),
    ],
)
def test_a_column_that_does_not_fit_is_named(change: dict[str, object], said: str, folder: Path) -> None:
    columns = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    pq.write_table(pa.table(columns), folder / "r.parquet")
    absent, unfit, _ = found(folder)
    assert absent == ()
    assert len(unfit) == 1
    assert unfit[0].startswith(said), unfit
    assert "Correct" in unfit[0]


def test_what_is_no_single_parquet_file_is_not_looked_at_and_said(folder: Path) -> None:
    text = CONTRACT.replace("r.parquet", "r*.parquet").replace("h.parquet", "h.csv", 1)
    (folder / "model_contract.yaml").write_text(text)
    (folder / "h.csv").write_text("y,x,t\n0,1,a\n")
    assert found(folder)[2] == ("data.reference is no single file", "data.holdout is no Parquet file")


def test_every_type_of_a_contract_has_types_of_files() -> None:
    assert set(FITS) == set(FEATURE_TYPES)
