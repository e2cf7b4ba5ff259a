"""Drift: a column that moved is red, one that did not is not, and what cannot be told says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from suite_work import ROWS, Work
from weighin.data.table import Counter


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def test_the_same_distribution_passes(work: Work) -> None:
    assert work.write().red("drift") == {}


@pytest.mark.parametrize("column", ["distance", "carrier", "temp", "late", "prediction"])
def test_a_column_that_moved_is_red_and_no_other(column: str, work: Work) -> None:
    table = work.frames["current"]
    if column == "prediction":
        work.scores["candidate", "current"] = np.clip(work.scores["candidate", "current"] + 0.5, 0, 1)
    elif column == "carrier":
        table["carrier"] = np.where(np.arange(ROWS) % 10 < 7, "AA", "UA")
    elif column == "late":
        table["late"] = (np.arange(ROWS) % 10 < 7).astype(np.int64)
    else:
        table[column] = table[column] + 2 * table[column].std()
        table[column] = table[column].astype(np.int64 if column == "distance" else float)
    assert work.write().red("drift") == {f"drift/{column}": "failed"}


def test_a_column_that_became_half_missing_is_red(work: Work) -> None:
    work.frames["current"].loc[::2, "temp"] = np.nan
    assert work.write().red("drift") == {"drift/temp": "failed"}


def test_a_new_category_counts(work: Work) -> None:
    work.frames["current"]["carrier"] = np.where(np.arange(ROWS) % 2, "ZZ", work.frames["current"]["carrier"])
    assert work.write().red("drift")["drift/carrier"] == "failed"


def test_too_few_days_are_not_evaluated(work: Work) -> None:
    table = work.frames["current"]
    days = sorted(set(table["day"]))[:9]
    keep = table["day"].isin(days).to_numpy()
    work.frames["current"] = table[keep].reset_index(drop=True)
    work.scores["candidate", "current"] = work.scores["candidate", "current"][keep]
    found = work.write().outcomes("drift")
    assert {o.status.value for o in found.values()} == {"not_evaluated"}
    assert all("9 groups" in o.reason for o in found.values())


def test_a_column_that_turned_to_text_is_not_evaluated(work: Work) -> None:
    work.frames["current"]["distance"] = work.frames["current"]["distance"].astype(str)
    found = work.write().outcomes("drift")["drift/distance"]
    assert found.status.value == "not_evaluated"
    assert "text" in found.reason


def test_an_empty_table_passes_nothing(work: Work) -> None:
    work.frames["current"] = work.frames["current"].head(0)
    assert {o.status.value for o in work.write().outcomes("drift").values()} == {"not_evaluated"}


def test_a_column_without_any_value_is_not_passed(work: Work) -> None:
    work.frames["current"]["temp"] = np.nan
    assert work.write().red("drift")["drift/temp"] in ("failed", "not_evaluated")


def test_no_value_of_a_sensitive_column_is_kept(work: Work) -> None:
    work.contract = work.contract.replace("carrier: {type: string,", "carrier: {type: string, sensitive: true,")
    evidence = work.write().outcomes("drift")["drift/carrier"].evidence
    assert not {"labels", "reference", "current"} & set(evidence.detail)


def test_counts_agree_with_pandas() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=500), "g": np.arange(500) % 12, "c": rng.choice(list("abc"), 500)})
    frame.loc[:20, "x"] = np.nan
    frame.loc[30:40, "c"] = None
    counter = Counter.over(pa.Table.from_pandas(frame), "g")
    edges = np.array([-1.0, 0.0, 1.0])
    bins = pd.cut(frame["x"], [-np.inf, *edges, np.inf], right=False).cat.codes.replace(-1, 4)
    wanted = pd.crosstab(frame["g"].astype(str), bins)
    assert counter.bin_counts("x", edges).sum(axis=0).tolist() == wanted.sum(axis=0).tolist()
    found = counter.category_counts("c", ["a", "b"]).sum(axis=0).tolist()
    assert found == [(frame["c"] == "a").sum(), (frame["c"] == "b").sum(), (frame["c"] == "c").sum(), 11]
