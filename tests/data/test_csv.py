"""CSV files: one dialect, one result and one sentence, whichever engine reads them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from weighin.contract.sources import Files
from weighin.data.relation import Relation
from weighin.data.table import read_columns
from weighin.errors import NotEvaluated

SPARK = pytest.param("spark", marks=pytest.mark.jvm)
TYPES = {
    "zip": "string",
    "value": "float",
    "n": "integer",
    "yes": "boolean",
    "at": "timestamp",
    "day": "date",
    "it's `odd` \\ here.": "float",
}


def read(folder: Path, text: str, engine: str, written: str = "utf-8", **dialect: object) -> list[dict[str, Any]]:
    path = folder / "rows.csv"
    path.write_bytes(text.encode(written))
    given = Files.model_validate({"path": str(path), **dialect})
    found = Relation.of(given, folder, engine, TYPES)
    with found.engine.reading(found.place):
        return [row for batch in found.engine.batches(found.expression) for row in batch.to_pylist()]


SEMICOLON: dict[str, object] = {"separator": ";", "decimal": ","}
NA: dict[str, object] = {"missing": ["NA", "-"]}
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
# What stands in the file, the dialect, and what is read: columns by name, or rows as tuples.
READ: dict[str, tuple[str, str, dict[str, object], list[tuple[object, ...]]]] = {
    "plain": ("zip,value,n\n007,1.5,3\n,,\n", "utf-8", {}, [("007", 1.5, 3), (None, None, None)]),
    "a mark of the byte order": ("\ufeffzip,n\n1,2\n", "utf-8", {}, [("1", 2)]),
    "windows": ("zip;value\r\n1;-1,5e3\r\n2;,5\r\n", "utf-8", SEMICOLON, [("1", -1500.0), ("2", 0.5)]),
    "tabs": ("zip\tn\n1,0\t+2\n", "utf-8", {"separator": "\t"}, [("1,0", 2)]),
    "another quote": ("zip|n\n'it''s|1'|2\n", "utf-8", {"separator": "|", "quote": "'"}, [("it's|1", 2)]),
    "backslashes": ('zip,n\n"a\\",1\n"say ""b""",2\n', "utf-8", {}, [("a\\", 1), ('say "b"', 2)]),
    "latin-1": ("zip\nJörg\n", "latin-1", {"encoding": "latin-1"}, [("Jörg",)]),
    "windows-1252": ("zip\n5 €\n", "windows-1252", {"encoding": "windows-1252"}, [("5 €",)]),
    "utf-16": ("zip\nJörg\n", "utf-16", {"encoding": "utf-16"}, [("Jörg",)]),
    "missing": ("zip,value,n\nNA,-,NA\nN/A,1,2\n", "utf-8", NA, [(None, None, None), ("N/A", 1.0, 2)]),
    "quoted and empty": ('zip,n\n"",""\n', "utf-8", {}, [(None, None)]),
    "whole floats": ("zip,n\na,3.0\nb, 4 \n", "utf-8", {}, [("a", 3), ("b", 4)]),
    "infinite": ("zip,value\na,inf\nb,-Infinity\n", "utf-8", {}, [("a", float("inf")), ("b", float("-inf"))]),
    "truth": ("zip,yes\na,TRUE\nb,0\nc,no\n", "utf-8", {}, [("a", True), ("b", False), ("c", False)]),
    "times": (
        "at,day\n2024-01-01 12:00:00,2024-02-29\n2024-01-01T14:00:00+02:00,\n2024-01-01T12:00:00.0Z,0001-01-01\n",
        "utf-8",
        {},
        [(NOON, date(2024, 2, 29)), (NOON, None), (NOON, date(1, 1, 1))],
    ),
    "an odd name": ("it's `odd` \\ here.,zip\n1.5,a\n", "utf-8", {}, [(1.5, "a")]),
    "a column of no contract": ("zip,other\na,1.50\n", "utf-8", {}, [("a", "1.50")]),
}  # fmt: skip


# Spark has options of its own for what splits a file; the SQL behind it is the same.
SPLIT = ("plain", "windows", "another quote", "backslashes", "windows-1252", "missing", "times", "an odd name")


def by_engine(names: Iterable[str], split: tuple[str, ...]) -> list[Any]:
    spark = [pytest.param(name, "spark", marks=pytest.mark.jvm) for name in split]
    return [*((name, "duckdb") for name in names), *spark]


@pytest.mark.parametrize(("name", "engine"), by_engine(READ, SPLIT))
def test_one_file_means_the_same_to_every_engine(name: str, engine: str, tmp_path: Path) -> None:
    text, written, dialect, expected = READ[name]
    assert [tuple(row.values()) for row in read(tmp_path, text, engine, written, **dialect)] == expected


@pytest.mark.parametrize("engine", ["duckdb", SPARK])
def test_a_line_break_within_quotes_is_no_end_of_a_row_after_any_row(engine: str, tmp_path: Path) -> None:
    rows = 30_000
    text = "zip,n\n" + "".join(f'"a\nb, ""c""",{i}\n' for i in range(rows))
    found = read(tmp_path, text, engine)
    assert (len(found), {row["zip"] for row in found}) == (rows, {'a\nb, "c"'})
    assert sum(row["n"] for row in found) == rows * (rows - 1) // 2


# What is wrong, and the sentence: with the column, or the row, and never with what stands there.
SAID: dict[str, tuple[str, str, dict[str, object], str]] = {
    "a decimal comma": ("zip;value\na;1,5\n", "utf-8", {"separator": ";"}, "value: a `,` among.*`decimal: ','`"),
    "a decimal point": ("zip;value\na;1.5\n", "utf-8", SEMICOLON, r"column value: a `\.` among"),
    "text among numbers": ("zip,value\na,1\nb,Jane\n", "utf-8", {}, "column value: text among numbers; .*`missing`"),
    "a fraction": ("zip,n\na,3.7\n", "utf-8", {}, "column n: text among whole numbers"),
    "too large": ("zip,n\na,99999999999999999999\n", "utf-8", {}, "column n: text among whole numbers"),
    "maybe": ("zip,yes\na,Jane\n", "utf-8", {}, "column yes: text that is neither true nor false"),
    "a time": ("zip,at\na,Jane\n", "utf-8", {}, "column at: text among times"),
    "a day that is none": ("zip,day\na,2023-02-29\n", "utf-8", {}, "column day: text among dates"),
    "another separator": ("zip;n\nJane;1\n", "utf-8", {}, "first line is one text.*`separator`"),
    "too many fields": ("zip,n\nJane,1\nJane,1,2\n", "utf-8", {}, "CSV row.* fields.*first line.*`separator`"),
    "too few fields": ("zip,n\nJane\n", "utf-8", {}, "CSV row.* fields.*first line"),
    "another encoding": ("zip,n\nJané,1\n", "latin-1", {}, "not in the `encoding`"),
    "no names": ("Jane,1\nJoe,2\n", "utf-8", {}, "first line names no column of the contract"),
    "nothing": ("", "utf-8", {}, "first line names no column of the contract"),
    "a name twice": ("zip,n,zip\na,1,b\n", "utf-8", {}, "column zip: the name stands there more than once"),
}  # fmt: skip


SPLIT_BADLY = ("a decimal comma", "too large", "too many fields", "too few fields", "another encoding", "a name twice")


@pytest.mark.parametrize(("name", "engine"), by_engine(SAID, SPLIT_BADLY))
def test_what_is_wrong_with_a_file_is_said_and_what_stands_in_it_is_not(name: str, engine: str, tmp_path: Path) -> None:
    text, written, dialect, says = SAID[name]
    with pytest.raises(NotEvaluated, match=says) as caught:
        read(tmp_path, text, engine, written, **dialect)
    assert not any(word in str(caught.value) for word in ("Jan", "Joe", "1,5", "1.5", "3.7", "9999", "Parquet"))


def test_files_whose_columns_are_not_the_same_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("zip,n\na,1\n")
    (tmp_path / "b.csv").write_text("n,zip\n1,a\n")
    with pytest.raises(NotEvaluated, match="not all have the same first line"):
        Relation.of(Files(path=str(tmp_path / "*.csv")), tmp_path, "duckdb", TYPES)


def test_a_value_that_looks_like_a_sentence_of_ours_is_not_shown(tmp_path: Path) -> None:
    forged = "zip,n\na,weighin: column n: Jane Doe\n"
    with pytest.raises(NotEvaluated, match="text among whole numbers") as caught:
        read(tmp_path, forged, "duckdb")
    assert "Jane" not in str(caught.value)


def test_a_csv_file_where_only_parquet_is_read_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a\n1\n")
    with pytest.raises(NotEvaluated, match=r"only Parquet is read here. Write this table as Parquet"):
        read_columns(tmp_path / "train.csv", ["a"])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"path": "a.parquet", "decimal": ","}, "`decimal` is about CSV files"),
        ({"path": "a.csv", "separator": '"'}, "two signs"),
        ({"path": "a.csv", "separator": ";;"}, "at most 1 character"),
        ({"path": "a.csv", "encoding": "ebcdic"}, "windows-1252"),
    ],
)
def test_a_dialect_that_cannot_be_meant_is_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Files.model_validate(given)
