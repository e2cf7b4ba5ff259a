"""Rows that repeat an earlier row count as copies, but for those that few values make equal."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from support.quality_work import PREFIX, QualityWork
from weighin.contract import checks, read_contract
from weighin.contract.models import Contract
from weighin.contract.stricter import compare
from weighin.suites.copies import repeated

ROWS = 3_000


def share(table: pd.DataFrame, *, natural: bool) -> float:
    with duckdb.connect() as connection:
        connection.register("data", table.assign(pos=np.arange(len(table))))
        return float(repeated(connection, "data", [f'"{c}"' for c in table], natural=natural).mean())


def doubled(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.sample(frac=0.4, random_state=1)], ignore_index=True)


def numbers(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame({"a": rng.normal(size=ROWS), "b": rng.normal(size=ROWS), "y": rng.integers(0, 2, ROWS)})


def rounded(rng: np.random.Generator) -> pd.DataFrame:
    """Weather of many flights in one hour: no float is in one row alone, but no two rows are equal."""
    hour = rng.integers(0, 100, ROWS)
    return pd.DataFrame({"temp": (hour * 7 % 31).astype(float), "minute": rng.integers(0, 1440, ROWS), "hour": hour,
                         "distance": rng.integers(100, 3000, ROWS)})  # fmt: skip


def few_values(rng: np.random.Generator) -> pd.DataFrame:
    """Five categories that depend on each other, and a label."""
    of = rng.normal(size=ROWS)
    table = pd.DataFrame({f"c{i}": np.digitize(of + rng.normal(size=ROWS), (-1, 0, 1)) for i in range(5)})
    return table.assign(price=table["c0"] * 9.99, y=(rng.random(ROWS) < 1 / (1 + np.exp(-of))).astype(int))


@pytest.mark.parametrize("table", [numbers, rounded])
def test_rows_that_were_doubled_are_counted(table: object) -> None:
    assert callable(table)
    rows = table(np.random.default_rng(3))
    assert share(rows, natural=True) == 0
    assert 0.25 < share(doubled(rows), natural=True) <= 0.4 / 1.4


def test_rows_that_few_values_make_equal_are_not_counted_by_default_but_with_columns_that_are_named() -> None:
    rows = few_values(np.random.default_rng(3))
    assert share(rows, natural=True) < 0.005
    assert share(rows, natural=False) == pytest.approx(1 - len(rows.drop_duplicates()) / ROWS)


def test_a_missing_value_and_columns_that_change_places_are_told_apart() -> None:
    rows = pd.DataFrame({"a": [1.0, None, None, 2.0], "b": [2.0, 3.0, 3.0, 1.0]})
    assert share(rows, natural=False) == 0.25


def contract(folder: Path, *changes: tuple[str, str]) -> Contract:
    work = QualityWork(folder)
    for old, new in changes:
        assert old in work.contract
        work.contract = work.contract.replace(old, new)
    (folder / "c.yaml").write_text(work.contract)
    return read_contract(folder / "c.yaml").contract


def test_the_check_is_there_where_a_feature_is_a_float_or_the_contract_asks(tmp_path: Path) -> None:
    name = PREFIX + "copies"
    no_float = (
        ("temp: {type: float, minimum: -20, maximum: 115", "temp: {type: integer"),
        ("end: {type: float}", "end: {type: integer}"),
    )
    asked = ("    fresh:\n", "    copies: {by: [day, seat]}\n    fresh:\n")
    assert name in {c.id for c in checks(contract(tmp_path))}
    assert name not in {c.id for c in checks(contract(tmp_path, *no_float))}
    assert name in {c.id for c in checks(contract(tmp_path, *no_float, asked))}


def test_a_larger_share_is_relaxed_and_other_columns_are_another_check(tmp_path: Path) -> None:
    def change(after: str) -> list[str]:
        head = contract(tmp_path, ("    fresh:\n", f"    copies: {after}\n    fresh:\n"))
        return [c.how for c in compare(head, contract(tmp_path)).limits]

    assert change("{share_at_most: 0.1}") == ["relaxed"]
    assert change("{share_at_most: 0}") == ["tightened"]
    assert change("{by: [day]}") == ["redefined"]
