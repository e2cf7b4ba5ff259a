"""Files that no contract can be drafted from are refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from weighin.errors import ContractError
from weighin.init import tables


def parquet(folder: Path, table: pa.Table) -> Path:
    pq.write_table(table, folder / "t.parquet")
    return folder / "t.parquet"


def csv(folder: Path, text: str) -> Path:
    (folder / "t.csv").write_text(text)
    return folder / "t.csv"


ROW = "1;2,5;x\n"
BAD = {
    "one row": (lambda f: parquet(f, pa.table({"a": [1]})), "1 row, from which no limit follows"),
    "no row": (lambda f: parquet(f, pa.table({"a": pa.array([], pa.int64())})), "0 rows, from which no limit"),
    "all missing": (
        lambda f: parquet(f, pa.table({"a": pa.nulls(50), "b": [float("nan")] * 50})),
        "every value is missing",
    ),
    "duplicate names": (lambda f: csv(f, "a,a\n" + "1,2\n" * 50), "1 names of columns stand there twice"),
    "no header": (lambda f: csv(f, "1,2\n" * 50), "the first line holds numbers"),
    "an empty name": (lambda f: csv(f, "a,,b\n" + "1,2,3\n" * 50), "a column has no printable name"),
    "too many columns": (
        lambda f: parquet(f, pa.table({f"c{i}": [1] * 40 for i in range(2001)})),
        "2,001 columns, and a contract is drafted for up to 2,000",
    ),
    "no Parquet": (lambda f: (f / "t.parquet").write_text("x") and f / "t.parquet", "not readable as parquet"),
    "no file": (lambda f: f / "absent.parquet", "no such file"),
    "ragged": (lambda f: csv(f, "a,b\n" + "1,2\n" * 40 + "1,2,3\n"), "not readable as csv"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_table_is_refused_in_a_sentence(case: str, tmp_path: Path) -> None:
    make, said = BAD[case]
    with pytest.raises(ContractError) as caught:
        tables.read(make(tmp_path), tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_outside_of_the_contracts_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    with pytest.raises(ContractError, match="outside of the contract's folder"):
        tables.read(csv(tmp_path, "a,b\n" + "1,2\n" * 40), tmp_path / "inside")


def test_the_dialect_of_a_csv_file_is_found(tmp_path: Path) -> None:
    found = tables.read(csv(tmp_path, "n;price;name\n" + ROW * 50), tmp_path)
    assert found.source == {"separator": ";", "decimal": ","}
    assert found.kinds == {"n": "integer", "price": "float", "name": "string"}


def test_windows_letters_are_found(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(("name,n\n" + "Zürich,1\n" * 50).encode("windows-1252"))
    assert tables.read(tmp_path / "t.csv", tmp_path).source == {"encoding": "windows-1252"}


def test_a_long_file_is_looked_at_in_rows_spread_over_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROWS", 100)
    found = tables.read(parquet(tmp_path, pa.table({"a": range(1000)})), tmp_path)
    assert found.rows == 1000
    assert found.sample["a"].to_pylist() == list(range(0, 1000, 10))


def test_an_index_that_pandas_saved_is_no_column(tmp_path: Path) -> None:
    pd.DataFrame({"a": range(50)}, index=range(5, 55)).to_parquet(tmp_path / "t.parquet")
    assert tables.read(tmp_path / "t.parquet", tmp_path).columns == ["a"]


def test_two_thousand_columns_are_read(tmp_path: Path) -> None:
    found = tables.read(parquet(tmp_path, pa.table({f"c{i}": [1] * 40 for i in range(2000)})), tmp_path)
    assert len(found.columns) == 2000
