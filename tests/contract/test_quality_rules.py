"""Rules of the data quality gate as a contract writes them: what cannot be meant cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.quality_work import CONTRACT
from weighin.contract import checks, read_contract
from weighin.contract.pattern import portable
from weighin.errors import ContractError


def problem(folder: Path, old: str, new: str) -> str:
    assert old in CONTRACT
    path = folder / "model_contract.yaml"
    path.write_text(CONTRACT.replace(old, new))
    with pytest.raises(ContractError) as caught:
        read_contract(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("rows_at_most: 2000", "rows_at_most: 999", "rows_at_most 999 is below rows_at_least 1000"),
        ("rows_at_most: 2000", "rows_at_mots: 2000", "Did you mean `rows_at_most`?"),
        ("[[day, seat]]", "[[day]]", "at least 2 items"),
        ("[[day, seat]]", "[{columns: [day, day]}]", "a column is listed twice"),
        ("[[day, seat]]", "[{columns: [day, seat], share: 1}]", "unknown key `share`"),
        ("[[day, seat]]", "[[day, seet]]", "names `seet`: not listed in data.columns"),
        ("at_least: start, share", "at_leats: start, share", "Did you mean `at_least`?"),
        ("at_least: start,", "", "exactly one of `at_least`, `greater_than` and `equal_to`"),
        ("at_least: start,", "at_least: start, equal_to: seat,", "exactly one of"),
        ("at_least: start,", "at_least: end,", "compared with itself"),
        ("at_least: start,", "at_least: dest,", "cannot compare a float with a string"),
        ("{column: end, at_least: start,", "{column: carrier, at_least: dest,", "cannot compare a string"),
        ("table: airports.parquet", "table: current", "names the table `current`, which data does not have"),
        ("{column: dest, table", "{column: dets, table", "names `dets`: not listed"),
        ("hours_at_most: 48", "hours_at_most: 0", "greater than 0"),
        ("{column: at, hours", "{column: start, hours", "neither a timestamp nor a date"),
        ("hours_at_most: 48", "hours_at_most: 48, datasets: [current]", "`current`, which the gate does not look at"),
        ("order: increasing}", "order: increasing, sensitive: true}", "it is sensitive"),
        ("order: increasing}", "order: falling}", "increasing"),
        ("type: integer, minimum: 50", "type: string, minimum: 50", "`minimum` is a rule for columns of type integer"),
        ("distance: {type: integer,", "distance: {type: integer, pattern: a,", "rule for columns of type string"),
        ("direct: {type: boolean}", "direct: {type: boolean, order: increasing}", "`order` is a rule for columns"),
        (
            "day: {type: date,",
            "day: {type: date, time_zone: UTC,",
            "`time_zone` is a rule for columns of type timestamp",
        ),
        ("allowed: [AA, UA, B6]", "allowed: [AA, 7]", "lists a value of another type"),
        ('pattern: "[A-Z]{3}"', "pattern: '[A-Z'", "no regular expression"),
        ("    fresh:\n", "    training_rows: {by: [nobody]}\n    fresh:\n", "names `nobody`: not listed"),
        ("rows_at_least: 1000", "rows_at_least: 1000\n    engine: polars", "pandas"),
        ("maximum: 6000}", "maximum: 6000, severity: shout}", "block"),
    ],
)
def test_what_cannot_be_meant_is_named(old: str, new: str, says: str, tmp_path: Path) -> None:
    assert says in problem(tmp_path, old, new)


def test_training_data_are_demanded_of_nobody(tmp_path: Path) -> None:
    path = tmp_path / "model_contract.yaml"
    path.write_text(CONTRACT.replace("  training: train.parquet\n", ""))
    assert not [c for c in checks(read_contract(path).contract) if "training" in c.id]


def test_a_limit_for_training_rows_needs_training_data(tmp_path: Path) -> None:
    path = tmp_path / "model_contract.yaml"
    text = CONTRACT.replace("  training: train.parquet\n", "")
    path.write_text(text.replace("    fresh:\n", "    training_rows: {share_at_most: 0.1}\n    fresh:\n"))
    with pytest.raises(ContractError, match=r"training_rows needs data\.training"):
        read_contract(path)


def test_training_data_need_a_holdout_that_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "model_contract.yaml"
    text = CONTRACT.replace("  holdout: holdout.parquet\n", "  holdout: holdout.parquet\n  current: c.parquet\n")
    path.write_text(text.replace("rows_at_least: 1000", "rows_at_least: 1000\n    datasets: [current]"))
    with pytest.raises(ContractError, match=r"which gates\.data_quality\.datasets leaves out"):
        read_contract(path)


def test_a_column_called_like_one_that_is_added_is_refused(tmp_path: Path) -> None:
    from weighin.suites.expectations import suite_json

    path = tmp_path / "model_contract.yaml"
    path.write_text(CONTRACT.replace("    start:", '    "at (in order)": {type: integer}\n    start:'))
    with pytest.raises(ContractError, match="weighin adds a column of this name"):
        suite_json(read_contract(path).contract)


def test_the_name_of_a_check_says_what_is_compared(tmp_path: Path) -> None:
    path = tmp_path / "model_contract.yaml"
    path.write_text(CONTRACT)
    listed = {c.id: c.limit for c in checks(read_contract(path).contract)}
    assert str(listed["data_quality/holdout/compare/end>=start"]) == "≤ 0.01"
    assert listed["data_quality/holdout/compare/end>seat"].severity == "warn"
    assert str(listed["data_quality/holdout/fresh/at"]) == "≤ 48"
    assert str(listed["data_quality/holdout/rows_at_most"]) == "≤ 2000"


@pytest.mark.parametrize(
    "pattern", ["[A-Z]{3}", "^[a-z]+$", "(?:a|b)+", "a\\.b\\[", "[^\\]]*", "[+*?]x", "ü+", "^a|b$", "(ab)?c{2,}"]
)
def test_a_pattern_that_all_engines_read_alike_is_taken(pattern: str) -> None:
    assert portable(pattern) == pattern


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("\\d+", "write a class such as"),
        ("a\\b", "write a class such as"),
        ("(?i)a", "only `(?:...)`"),
        ("(?=a)", "only `(?:...)`"),
        ("(?P<x>a)", "only `(?:...)`"),
        ("[[a]", "needs a backslash"),
        ("[]a]", "needs a backslash"),
        ("[a&&b]", "intersects"),
        ("a^b", "belongs to the start"),
        ("a$b", "belongs to the end"),
        ("a++", "possessive"),
        ("(a", "no regular expression"),
    ],
)
def test_a_pattern_that_engines_read_differently_is_refused(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("(", "\\(").replace(")", "\\)").replace("?", "\\?")):
        portable(pattern)
