"""Bad files and strange tables: a clear sentence or a correct number, in bounded memory, and never a crash."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from weighin.contract.sources import Files
from weighin.data.profiling import profile
from weighin.data.relation import Relation
from weighin.errors import NotEvaluated
from weighin.stats.drift import psi

ENGINES = ("duckdb", "spark")


def opened(path: Path, engine: str, types: dict[str, str] | None = None) -> Relation:
    return Relation.of(Files.model_validate({"path": str(path)}), path.parent, engine, types)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_truncated_file_is_said(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "cut.parquet"
    pq.write_table(pa.table({"x": np.arange(10_000)}), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(NotEvaluated, match=r"cut\.parquet.*cannot read it"):
        profile(opened(path, engine), {"x": 10}, None)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("broken", ["3,4,5\n", "three,4\n"])
def test_a_broken_line_of_csv_is_said_without_its_values(engine: str, broken: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "1,2\n" * 5_000 + broken + "1,2\n" * 5_000)
    types = {"a": "integer", "b": "integer"}
    with pytest.raises(NotEvaluated, match="cannot read it") as caught:
        profile(opened(path, engine, types), {"a": 10, "b": 10}, None)
    assert "three" not in str(caught.value)


@pytest.mark.parametrize("engine", ENGINES)
def test_csv_is_counted_as_the_types_of_the_contract_say(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("zip,value\n" + "007,1.5\n" * 30 + "8,\n" * 10)
    found = profile(opened(path, engine, {"zip": "string", "value": "float"}), {"zip": 10, "value": 4}, None)
    assert found.columns["zip"].cells.categories == ("007", "8")
    assert found.columns["value"].missing[0].tolist() == [40, 10]


@pytest.mark.jvm
def test_files_that_disagree_about_a_type_are_read_as_the_first_or_said(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": ["a"] * 20}), tmp_path / "rows-0.parquet")
    pq.write_table(pa.table({"x": np.arange(20)}), tmp_path / "rows-1.parquet")
    found = profile(opened(tmp_path / "rows-*.parquet", "duckdb"), {"x": 10}, None).columns["x"]
    assert (found.kind, found.counts.sum(), found.distinct) == ("string", 40, 21)
    with pytest.raises(NotEvaluated, match=r"rows-.*cannot read it"):
        profile(opened(tmp_path / "rows-*.parquet", "spark"), {"x": 10}, None)


def test_a_folder_without_files_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotEvaluated, match=r"cannot read it|no such file"):
        opened(tmp_path / "empty", "duckdb")


def test_a_table_without_rows_is_said(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": pa.array([], pa.float64())}), tmp_path / "rows.parquet")
    with pytest.raises(NotEvaluated, match="there are no rows"):
        profile(opened(tmp_path / "rows.parquet", "duckdb"), {"x": 10}, None)


def test_dates_far_out_of_range_are_counted(tmp_path: Path) -> None:
    moments = [datetime(1, 1, 1), datetime(9999, 12, 31)] * 50 + [datetime(2024, 1, 1)] * 100
    table = pa.table({"at": pa.array(moments, pa.timestamp("us")), "day": pa.array([m.date() for m in moments])})
    pq.write_table(table, tmp_path / "rows.parquet")
    found = profile(opened(tmp_path / "rows.parquet", "duckdb"), {"at": 4, "day": 4}, None)
    assert found.columns["at"].counts.sum() == found.columns["day"].counts.sum() == 200
    assert found.columns["at"].moments.maximum == 253_402_214_400


def test_lists_and_structures_are_left_out(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0] * 30, "l": [[1, 2]] * 30, "s": [{"a": 1}] * 30}), tmp_path / "rows.parquet")
    found = profile(opened(tmp_path / "rows.parquet", "duckdb"), {"x": 4, "l": 4, "s": 4}, None)
    assert set(found.columns) == {"x"}
    assert found.table == {"x": "float", "l": "other", "s": "other"}


def test_a_column_of_one_value_can_still_be_told_from_another(tmp_path: Path) -> None:
    for name, value in (("one", 5.0), ("other", 6.0)):
        pq.write_table(pa.table({"x": [value] * 400}), tmp_path / f"{name}.parquet")
    known = profile(opened(tmp_path / "one.parquet", "duckdb"), {"x": 10}, None)
    same, moved = (
        profile(opened(tmp_path / f"{n}.parquet", "duckdb"), {"x": 10}, None, known).columns["x"].counts.sum(axis=0)
        for n in ("one", "other")
    )
    before = known.columns["x"].counts.sum(axis=0)
    assert same.tolist() == before.tolist()
    assert psi(before.astype(float), moved.astype(float), 0.95).low > 0.1


def test_a_column_without_values_is_all_missing(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": pa.array([None] * 100, pa.float64())}), tmp_path / "rows.parquet")
    counts = profile(opened(tmp_path / "rows.parquet", "duckdb"), {"x": 10}, None).columns["x"].counts.sum(axis=0)
    assert counts.tolist() == [0, 100]


WIDE = """
import resource, sys
from pathlib import Path
from weighin.contract.sources import Files
from weighin.data.profiling import profile
from weighin.data.relation import Relation
table = Relation.of(Files.model_validate({"path": sys.argv[1]}), Path())
found = profile(table, dict.fromkeys(table.kinds, 10), None)
print(len(found.columns), found.rows, sorted({c.complete for c in found.columns.values()}))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def in_a_process(path: Path, seconds: float) -> tuple[str, int]:
    """What was counted, and the peak of memory in MB."""
    done = subprocess.run(
        [sys.executable, "-c", WIDE, str(path)], capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said, peak = done.stdout.strip().splitlines()
    return said, int(peak)


def test_ten_million_categories_take_bounded_memory(tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "many.parquet"
    duckdb.sql("SELECT 'user-' || range AS id FROM range(10_000_000)").write_parquet(str(path))
    said, peak = in_a_process(path, 300)
    assert said == "1 10000000 [False]"
    assert peak < 1_500


@pytest.mark.exhaustive
def test_two_thousand_columns_take_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    rng = np.random.default_rng(0)
    pq.write_table(pa.table({f"column {i}": rng.normal(size=500) for i in range(2_000)}), path)
    said, peak = in_a_process(path, 400)
    assert said == "2000 500 [True]"
    assert peak < 1_500
