"""Columns reach a model in the contract's type, whoever wrote the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.type_cases import MIDNIGHT, NAIVE, NOON, SAME, cast, column
from weighin.contract.columns import Column
from weighin.data.table import read_columns
from weighin.data.typed import feature_type, file_type, typed
from weighin.errors import NotEvaluated


@pytest.mark.parametrize("name", SAME)
def test_the_same_values_have_the_same_type_whatever_wrote_them(name: str) -> None:
    of, values, written = SAME[name]
    for array in written:
        found = cast(array, of)
        assert found.type == feature_type(of), array.type
        assert found.to_pylist() == values, array.type


def test_a_category_has_its_place_in_the_contract_and_no_other() -> None:
    of = column("string", categorical=True, allowed=["b", "a", "c"])
    first, second = (cast(pa.array(values), of) for values in (["a", "b", None], ["c", "a", "a"]))
    assert first.to_pylist() == ["a", "b", None]
    assert first.chunk(0).indices.to_pylist() == [1, 0, None]
    assert second.chunk(0).indices.to_pylist() == [2, 1, 1]
    assert first.chunk(0).dictionary.to_pylist() == second.chunk(0).dictionary.to_pylist() == ["b", "a", "c"]
    numbers = column("integer", categorical=True, allowed=[7, 5])
    assert cast(pa.array([5, 7]), numbers).chunk(0).indices.to_pylist() == [1, 0]
    with pytest.raises(NotEvaluated, match="2 of 3 values are none of `allowed`") as caught:
        cast(pa.array(["Jane", "a", "Doe"]), of)
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "of", "said"),
    [
        (pa.array([1.5, 2.0]), column("integer"), "float with numbers that are not whole, the contract wants integer"),
        (pa.array([float("inf")]), column("integer"), "float with numbers that are not whole"),
        (pa.array([2**63], pa.uint64()), column("integer"), r"integer \(uint64\) with numbers beyond 64 bits"),
        (pa.array(["1"]), column("integer"), "string, the contract wants integer"),
        (pa.array([True]), column("integer"), "boolean, the contract wants integer"),
        (pa.array([1]), column("string"), "integer, the contract wants string"),
        (pa.array([1]), column("boolean"), "integer, the contract wants boolean"),
        (pa.array([NAIVE]), column("date"), "timestamp with moments that are not midnight"),
        (pa.array([MIDNIGHT], pa.timestamp("us", "Europe/Zurich")), column("float"), "timestamp, the contract"),
        (pa.array([[1.0], [1.0, 2.0]]), column("array", length=1), "array of another length than 1"),
        (pa.array([["a"]]), column("array"), r"list<.*>, the contract wants array"),
        (pa.array([{"a": 1}]), column("string"), "struct<"),
        (pa.array([b"x"]), column("string"), "binary, the contract wants string"),
        (pa.array([2**62], pa.timestamp("s")), column("timestamp"), "timestamp, the contract wants timestamp"),
    ],
)
def test_what_does_not_fit_is_said_by_column_and_type(values: pa.Array, of: Column, said: str) -> None:
    with pytest.raises(NotEvaluated, match=said) as caught:
        cast(values, of)
    assert "holdout, column x" in str(caught.value)
    assert "correct `type` in the contract" in str(caught.value)


def test_types_have_the_contract_s_names() -> None:
    assert file_type(pa.dictionary(pa.int8(), pa.large_string())) == "string"
    assert file_type(pa.decimal128(5, 2)) == "decimal"
    assert file_type(pa.null()) == "no value"
    assert len(file_type(pa.struct([(f"f{i}", pa.int8()) for i in range(100)]))) == 60


def test_an_index_and_pandas_own_notes_are_left_in_the_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": pd.array([1, None], "Int64"), "c": pd.Categorical(["x", "y"])}, index=[7, 9])
    frame.index.name = "n2"
    frame.to_parquet(tmp_path / "with.parquet")
    plain = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(plain, tmp_path / "without.parquet")
    of = {"n": column("integer"), "c": column("string")}
    one, other = (typed(read_columns(tmp_path / f"{n}.parquet", ["n", "c"]), of, n) for n in ("with", "without"))
    assert one.equals(other, check_metadata=True)
    assert one.schema.metadata is None


def test_int96_is_a_time_stamp_as_any_other(tmp_path: Path) -> None:
    table = pa.table({"at": pa.array(np.array(["2026-03-01T12:30:00.25"], "datetime64[ns]"))})
    pq.write_table(table, tmp_path / "old.parquet", use_deprecated_int96_timestamps=True)
    found = typed(read_columns(tmp_path / "old.parquet", ["at"]), {"at": column("timestamp")}, "old")
    assert found["at"].to_pylist() == [NOON]
