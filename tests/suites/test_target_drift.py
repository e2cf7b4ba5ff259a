"""The label by group: a definition that changed for one group is found there, and nothing where nothing changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.suite_work import Work
from weighin.contract import checks, read_contract
from weighin.contract.stricter import compare
from weighin.errors import ContractError

BY = """\
    at_most: 0.2
    target_by:
      - {column: carrier, values: [AA, UA, B6], at_most: 0.12}
      - {scores: [[0, 0.5], [0.5, 1]], at_most: 0.12}
"""
CARRIERS = [f"drift/late/by/carrier={c}" for c in ("AA", "UA", "B6")]
SCORES = ["drift/late/by/score=0..0.5", "drift/late/by/score=0.5..1"]


def work(folder: Path, group: str = "") -> Work:
    made = Work(folder)
    made.contract = made.contract.replace("    at_most: 0.2\n", BY).replace("group: day\n", group)
    return made


def statuses(made: Work) -> dict[str, str]:
    return {k: o.status.value for k, o in made.write().outcomes("drift").items() if "/by/" in k}


@pytest.mark.parametrize("group", ["", "group: day\n"])
def test_labels_that_have_not_moved_pass(group: str, tmp_path: Path) -> None:
    assert statuses(work(tmp_path, group)) == dict.fromkeys([*CARRIERS, *SCORES], "passed")


def test_a_definition_that_changed_for_one_group_is_found_in_that_group(tmp_path: Path) -> None:
    made = work(tmp_path)
    current = made.frames["current"]
    late = current["carrier"] == "UA"
    # Two of three flights that were late are not, of one carrier: 6 % of all labels.
    rows = current.index[late & (current["late"] == 1)]
    current.loc[rows[np.arange(len(rows)) % 3 > 0], "late"] = 0
    found = statuses(made)
    assert {k for k in CARRIERS if found[k] == "failed"} == {"drift/late/by/carrier=UA"}
    assert made.outcomes("drift")["drift/late"].status.value == "passed"


def test_a_label_rate_that_moved_where_the_score_did_not_is_found_by_score(tmp_path: Path) -> None:
    made = work(tmp_path)
    made.frames["current"]["late"] = 1 - made.frames["current"]["late"]
    # Above a half the label is a coin either way.
    assert statuses(made)[SCORES[0]] == "failed"


def test_a_regression_compares_means_in_standard_deviations(tmp_path: Path) -> None:
    made = work(tmp_path)
    made.contract = made.contract.replace("task: binary", "task: regression").replace(", allowed: [0, 1]}", "}")
    made.contract = made.contract.replace("[[0, 0.5], [0.5, 1]]", "[[-9, 0.5], [0.5, 9]]")
    # In standard deviations: one part of 600 rows is known to about 0.1 of them.
    made.contract = made.contract.replace("at_most: 0.12", "at_most: 0.3")
    begin, end = made.contract.index("  performance:"), made.contract.index("  drift:")
    made.contract = made.contract[:begin] + made.contract[end:]
    assert set(statuses(made).values()) == {"passed"}
    current = made.frames["current"]
    current["late"] = current["late"].astype(float) + 0.5 * (current["carrier"] == "AA")
    for name in ("reference", "current"):
        made.frames[name]["late"] = made.frames[name]["late"].astype(float)
    made.contract = made.contract.replace("late: {type: integer", "late: {type: float")
    found = statuses(made)
    assert [found[k] for k in CARRIERS] == ["failed", "passed", "passed"]


def test_labels_that_may_be_missing_are_left_out(tmp_path: Path) -> None:
    made = work(tmp_path, "group: day\n")
    made.contract = made.contract.replace("role: target", "role: target, missing_at_most: 0.01")
    made.frames["current"]["late"] = made.frames["current"]["late"].astype("Int64")
    made.frames["current"].loc[[1, 5, 9], "late"] = None
    assert statuses(made) == dict.fromkeys([*CARRIERS, *SCORES], "passed")


def test_a_part_without_rows_is_no_pass(tmp_path: Path) -> None:
    made = work(tmp_path)
    made.contract = made.contract.replace("values: [AA, UA, B6]", "values: [AA, ZZ]")
    assert statuses(made)["drift/late/by/carrier=ZZ"] == "not_evaluated"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("column: carrier, values: [AA, UA, B6],", "column: carrier,", "either a `column` with `values`, or `scores`"),
        ("column: carrier, ", "", "either a `column` with `values`, or `scores`"),
        ("column: carrier", "column: carier", "names `carier`"),
        ("[0.5, 1]]", "[1, 0.5]]", "from below to"),
        ("reference: reference.parquet", "reference: {profile: champion}", "target_by needs the rows"),
    ],
)
def test_parts_that_cannot_be_meant_are_refused(old: str, new: str, says: str, tmp_path: Path) -> None:
    text = work(tmp_path).contract
    assert old in text
    (tmp_path / "c.yaml").write_text(text.replace(old, new))
    with pytest.raises(ContractError, match=says):
        read_contract(tmp_path / "c.yaml")


def test_a_larger_difference_is_relaxed_and_a_part_less_is_removed(tmp_path: Path) -> None:
    def contract(old: str, new: str) -> Path:
        (tmp_path / "c.yaml").write_text(work(tmp_path).contract.replace(old, new))
        return tmp_path / "c.yaml"

    base = read_contract(contract("", "")).contract
    assert {*CARRIERS, *SCORES} <= {c.id for c in checks(base)}
    relaxed = compare(read_contract(contract("B6], at_most: 0.12", "B6], at_most: 0.3")).contract, base)
    assert {(c.check, c.how) for c in relaxed.limits} == {(name, "relaxed") for name in CARRIERS}
    removed = compare(read_contract(contract("UA, B6], at_most", "UA], at_most")).contract, base)
    assert [(c.check, c.how) for c in removed.limits] == [(CARRIERS[2], "removed")]
    assert removed.measured == ()
