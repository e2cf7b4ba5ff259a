"""The keys of rows that break a rule stand in one file, where they are asked for, and never where sensitive."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from support.quality_work import QualityWork
from weighin.contract import checks, read_contract
from weighin.errors import ContractError
from weighin.suites import measured
from weighin.suites.evidence import Evidence

ASKED = ("    rows_at_most: 2000\n", "    rows_at_most: 2000\n    failing_keys: 3\n")


def broken(folder: Path, *changes: tuple[str, str]) -> QualityWork:
    work = QualityWork(folder)
    for old, new in changes:
        assert old in work.contract
        work.contract = work.contract.replace(old, new)
    table = work.holdout
    table.loc[[3, 5, 7, 9], "distance"] = 6001
    table.loc[4, "carrier"] = "XX"
    table.loc[6, "dest"] = "XXX"
    table.loc[8, "end"] = -5.0
    table.loc[10, "temp"] = np.nan
    table.loc[1_500, "seat"] = table.loc[1_501, "seat"]
    return work.write()


def left(work: QualityWork) -> tuple[list[tuple[str, ...]], str]:
    """The rows of the file, and all else that the suite left."""
    out = work.folder / "reports/data_quality"
    file = read_contract(work.folder / "model_contract.yaml")
    evidence = Evidence(file, work.folder / "work", out)
    said = "".join(str(measured(c, evidence)) for c in checks(file.contract, "data_quality"))
    path = out / "failing_keys/holdout.csv"
    rows = [tuple(r) for r in csv.reader(path.read_text().splitlines())] if path.exists() else []
    pages = [p.read_text() for p in out.rglob("*.html")]
    return rows, said + "".join(pages)


def test_the_keys_of_rows_that_break_a_rule_are_left_up_to_the_number_that_is_asked_for(tmp_path: Path) -> None:
    rows, _ = left(broken(tmp_path, ASKED))
    assert rows[0] == ("rule", "id")
    found: dict[str, list[str]] = {}
    for rule, key in rows[1:]:
        found.setdefault(rule, []).append(key)
    assert found == {
        "distance/range": ["3", "5", "7"],
        "carrier/allowed": ["4"],
        "temp/missing": ["10"],
        "reference/dest": ["6"],
        "compare/end>=start": ["8"],
        "compare/end>seat": ["8"],
        "unique_together/day+seat": ["1500", "1501"],
    }


def test_rules_under_a_condition_leave_their_keys(tmp_path: Path) -> None:
    work = QualityWork(tmp_path)
    work.contract = work.contract.replace(*ASKED)
    aa = work.holdout.index[work.holdout["carrier"] == "AA"]
    work.holdout.loc[[aa[0], aa[9]], "seat"] = 50
    rows, _ = left(work.write())
    assert [r for r in rows if r[0] == "seat/range/aa"] == [
        ("seat/range/aa", str(aa[0])),
        ("seat/range/aa", str(aa[9])),
    ]


def test_no_key_is_left_unasked_and_none_stands_anywhere_else(tmp_path: Path) -> None:
    work = broken(tmp_path)
    work.holdout["id"] += 7_700_000
    assert left(work.write())[0] == []
    work.contract = work.contract.replace(*ASKED)
    rows, said = left(work.write())
    assert ("carrier/allowed", "7700004") in rows
    assert "77000" not in said


def test_nothing_about_a_sensitive_column_is_left(tmp_path: Path) -> None:
    rows, _ = left(broken(tmp_path, ASKED, ("maximum: 6000}", "maximum: 6000, sensitive: true}")))
    assert "distance/range" not in {r[0] for r in rows}
    assert "carrier/allowed" in {r[0] for r in rows}


def test_a_sensitive_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="failing_keys needs a column with `role: key` that is not sensitive"):
        broken(tmp_path, ASKED, ("unique: true}", "unique: true, sensitive: true}"))
