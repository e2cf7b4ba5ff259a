"""Which rows are reference, holdout and current data of a draft."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pyarrow as pa

from weighin.init.tables import Table
from weighin.init.windows import split


def table(path: str, days: int = 10, each: int = 20, zone: str | None = "UTC", **source: str) -> Table:
    moments = pd.date_range("2026-03-01", periods=days, freq="D", tz=zone).repeat(each)
    sample = pa.table({"at": pa.array(moments), "x": range(days * each)})
    return Table(path, source, sample.num_rows, sample, {"at": "timestamp", "x": "integer"})


def test_one_table_is_split_by_its_time_in_the_middle_of_its_rows() -> None:
    found = split(table("t.parquet"), None, None, "at")
    first = {"path": "t.parquet", "window": {"from": date(2026, 3, 1), "to": date(2026, 3, 6)}}
    second = {"path": "t.parquet", "window": {"from": date(2026, 3, 6), "to": date(2026, 3, 11)}}
    assert found.data == {"reference": first, "holdout": second, "current": second}
    assert any(q.startswith("training: ") for q in found.questions)


def test_moments_of_another_zone_are_cut_at_midnight_in_utc() -> None:
    late = table("t.parquet", zone="America/New_York")
    window = split(late, None, None, "at").data["reference"]
    assert isinstance(window, dict)
    # Midnight in New York is five in the morning in UTC: the same day.
    assert window["window"]["from"] == date(2026, 3, 1)


def test_few_days_or_no_time_are_not_split_and_drift_is_a_question() -> None:
    for found in (split(table("t.parquet", days=3), None, None, "at"), split(table("t.parquet"), None, None, "")):
        assert found.data == {"holdout": "t.parquet"}
        assert not found.drift
        assert any("without the two no drift is measured" in q for q in found.questions)


def test_two_tables_and_training_data_stand_as_they_are() -> None:
    new, old, learnt = table("new.parquet"), table("old.csv", separator=";"), table("train.parquet")
    found = split(new, old, learnt, "at").data
    assert found == {
        "reference": {"path": "old.csv", "separator": ";"},
        "holdout": "new.parquet",
        "current": "new.parquet",
        "training": "train.parquet",
    }
    assert split(new, None, learnt, "at").data["reference"] == "train.parquet"
