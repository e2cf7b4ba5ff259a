"""The files of a log are merged without a row lost or doubled, also when that is interrupted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from weighin.prediction_log import retention
from weighin.prediction_log.reader import Log
from weighin.prediction_log.sinks import sink_for
from weighin.prediction_log.tables import LogTables

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


@pytest.fixture
def tables(tmp_path: Path) -> LogTables:
    """A row every ten minutes of two days, a file for each."""
    found = replace(LogTables.sketch(["a"]), path=str(tmp_path / "log"))
    sink = sink_for(found)
    for number in range(288):
        at = NOW - timedelta(minutes=10 * number)
        row = {"at": at, "request": f"r{number}", "row": 0, "role": "champion", "prediction": number / 300, "f_a": 1.0}
        sink.write(found.predictions, pa.Table.from_pylist([row], schema=found.schema))
    return found


def files(tables: LogTables) -> list[Path]:
    return sorted(Path(tables.place).rglob("*.parquet"))


def everything(tables: LogTables) -> pa.Table:
    read = Log(tables).last_rows(1000, NOW)
    assert read.faults.messages == ()
    return read.rows


def test_small_files_become_one_for_each_day(tables: LogTables) -> None:
    before = everything(tables)
    assert retention.keep(tables, NOW).merged == 288 - 12 - 1
    # What is younger than two hours stays as it is.
    assert len(files(tables)) == 3 + 13
    assert everything(tables) == before
    assert retention.keep(tables, NOW) == retention.Kept(0, 0)
    assert Log(tables).last_hours(3, NOW, 1000).rows.num_rows == 19


def test_a_merge_that_is_killed_is_finished_by_the_next(tables: LogTables, monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything(tables)
    with monkeypatch.context() as patch:
        # It dies where the merged file is in place and its parts are too.
        patch.setattr(retention, "_finish", _die_in_a_day)
        with pytest.raises(KeyboardInterrupt):
            retention.keep(tables, NOW)
    assert Log(tables).last_rows(1000, NOW).faults.duplicates > 0
    assert Log(tables).last_rows(1000, NOW).rows.equals(before)
    retention.keep(tables, NOW)
    assert everything(tables) == before
    assert not list(Path(tables.place).rglob("*.merged"))


def _die_in_a_day(table: Path) -> None:
    if list(table.glob("day=*/.*.merged")):
        raise KeyboardInterrupt


def test_older_days_go(tables: LogTables) -> None:
    assert retention.keep(replace(tables, retain_days=1), NOW).removed == 71
    assert everything(tables)["request"].to_pylist()[-1] == "r0"


def test_two_do_not_merge_at_once(tables: LogTables) -> None:
    with retention._alone(Path(tables.place)) as first:
        assert first
        assert retention.keep(tables, NOW).merged == 0
