"""What a look at the prediction log gives, whatever it lies in; and what it leaves out and counts."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.log_places import BASE, NOW, Add
from weighin.contract.sources import Span
from weighin.errors import NotEvaluated
from weighin.prediction_log.reader import Log
from weighin.prediction_log.sinks import sink_for
from weighin.prediction_log.tables import LogTables


def requests(read) -> list[str]:
    return read.rows["request"].to_pylist()


def test_what_was_written_is_read_back(tables: LogTables, add: Add) -> None:
    add(3, 2, 1)
    read = Log(tables).last_rows(2, NOW)
    assert read.faults.messages == ()
    assert read.rows.schema.names == [*tables.schema.names, "label", "label_at"]
    assert read.rows.schema.types[:-2] == tables.schema.types
    assert read.rows.drop_columns(["label", "label_at"]).to_pylist()[1] == {
        "at": NOW - timedelta(minutes=1),
        "request": "r1",
        "row": 0,
        "model": "m",
        "version": "3",
        "digest": "sha256:d",
        "role": "champion",
        "status": 200,
        "latency_ms": 2.5,
        "prediction": 0.25,
        "f_a": 1.5,
        "f_Größe": None,
    }
    assert requests(read) == ["r2", "r1"]


def test_the_rows_of_a_version_a_role_and_a_kind(tables: LogTables, add: Add) -> None:
    add(*range(200, 100, -1), version="2", prefix="old")
    add(90, role="shadow", version="4")
    add(80, status=500, prediction=None, f_a=None)
    add(70, 60)
    log = Log(tables)
    assert requests(log.last_rows(9, NOW, version="3")) == ["r80", "r70", "r60"]
    assert requests(log.last_rows(9, NOW, version="3", kind="predicted")) == ["r70", "r60"]
    assert requests(log.last_rows(9, NOW, role="shadow")) == ["r90"]
    assert requests(log.last_rows(2, NOW, version="2")) == ["old102", "old101"]
    assert log.last_rows(9, NOW, version="7").rows.num_rows == 0


def test_the_last_hours_and_their_number(tables: LogTables, add: Add) -> None:
    # Also across midnight, of a day with many files.
    for minutes in (0.5, 30, 59, 61, 600, 800, 900):
        add(minutes)
    add(20, status=503, prediction=None)
    add(21, status=400, prediction=None)
    log = Log(tables)
    read = log.last_hours(1, NOW, 100)
    assert requests(read) == ["r59", "r30", "r21", "r20", "r0.5"]
    assert not read.cut
    cut = log.last_hours(14, NOW, 3)
    assert (requests(cut), cut.cut) == (["r21", "r20", "r0.5"], True)
    assert requests(log.last_hours(13.5, NOW, 100))[:2] == ["r800", "r600"]
    assert log.requests(Span(NOW - timedelta(hours=1), NOW)) == 5
    assert log.requests(Span(NOW - timedelta(minutes=30), NOW)) == 4
    assert log.requests(Span(NOW, NOW + timedelta(hours=1))) == 0


def test_labels_are_joined_also_late_ones(tables: LogTables, add: Add, label) -> None:
    add(5000, 4000, 30, 20, 10)
    add(10, row=1)
    label(("r5000", 1, 3), ("r4000", 0, 900), ("r20", 0, 1), ("unknown", 1, 1))
    log = Log(tables)
    rows = log.last_rows(4, NOW).rows
    assert rows["request"].to_pylist() == ["r30", "r20", "r10", "r10"]
    assert rows["label"].to_pylist() == [None, 0, None, None]
    assert rows["label_at"].to_pylist()[1] == NOW - timedelta(minutes=1)
    came = log.last_rows(2, NOW, kind="labelled").rows
    assert list(zip(came["request"].to_pylist(), came["label"].to_pylist(), strict=True)) == [("r5000", 1), ("r20", 0)]
    assert requests(log.last_rows(9, NOW, kind="labelled")) == ["r4000", "r5000", "r20"]
    assert requests(log.last_hours(1, NOW, 9, kind="labelled")) == ["r5000", "r20"]
    assert log.last_rows(9, NOW, version="9", kind="labelled").rows.num_rows == 0


def test_without_labels_there_are_none(tables: LogTables, add: Add) -> None:
    add(1)
    assert Log(tables).last_rows(1, NOW).rows["label"].to_pylist() == [None]
    assert Log(tables).last_rows(1, NOW, kind="labelled").rows.num_rows == 0


def test_of_rows_with_one_id_the_first_counts(tables: LogTables, add: Add, label) -> None:
    add(30, 20, 10)
    add(9, request="r20", prediction=0.9)
    add(8, request="r20", row=1)
    add(7, request="r20", role="shadow")
    label(("r20", 1, 1))
    read = Log(tables).last_rows(4, NOW)
    assert requests(read) == ["r30", "r20", "r10", "r20"]
    assert read.rows["prediction"].to_pylist()[1] == 0.25
    assert read.rows["label"].to_pylist() == [None, 1, None, None]
    assert read.faults.duplicates == 1
    assert "twice" in read.faults.messages[0]
    came = Log(tables).last_rows(4, NOW, kind="labelled")
    assert (requests(came), came.faults.duplicates) == (["r20"], 1)


def test_many_duplicates_do_not_hide_other_rows(tables: LogTables, add: Add) -> None:
    add(300, 299)
    add(*range(200, 0, -1), request="again")
    read = Log(tables).last_rows(3, NOW)
    assert requests(read) == ["r300", "r299", "again"]
    assert read.faults.duplicates == 199


def test_labels_that_contradict_are_unknown(tables: LogTables, add: Add, label) -> None:
    add(30, 20, 10)
    label(("r30", 1, 5), ("r20", 1, 5), ("r20", 0, 4), ("r10", 0, 5))
    label(("r30", 1, 4))
    read = Log(tables).last_rows(3, NOW)
    assert read.rows["label"].to_pylist() == [1, None, 0]
    assert read.faults.contradictions == 1
    assert "contradict" in read.faults.messages[0]
    came = Log(tables).last_rows(3, NOW, kind="labelled")
    assert sorted(requests(came)) == ["r10", "r30"]
    assert came.faults.contradictions == 1


def test_rows_of_the_future_are_left_out(tables: LogTables, add: Add, label) -> None:
    add(10, -2, -6, -3000)
    label(("r10", 1, -60))
    read = Log(tables).last_rows(9, NOW)
    assert requests(read) == ["r10", "r-2"]
    assert read.faults.ahead == 3
    assert "clock" in read.faults.messages[0]
    assert read.rows["label"].to_pylist() == [None, None]


def test_a_log_that_is_not_there_says_so(tables: LogTables) -> None:
    if tables.connection:
        # The database is there, and has no table yet.
        assert Log(tables).last_rows(1, NOW).rows.num_rows == 0
        return
    with pytest.raises(NotEvaluated, match="nothing was logged yet"):
        Log(tables).last_rows(1, NOW)


# --- what is particular to one place


def test_half_of_a_file_is_left_out_and_counted(tmp_path: Path) -> None:
    tables = replace(BASE, path=str(tmp_path / "log"))
    sink = sink_for(tables)
    row = {"at": NOW, "request": "r", "row": 0, "role": "champion", "prediction": 0.5}
    sink.write(tables.predictions, pa.Table.from_pylist([row], schema=tables.schema))
    (whole,) = (tmp_path / "log").rglob("*.parquet")
    (whole.parent / "copied-by-hand.parquet").write_bytes(whole.read_bytes()[:-100])
    (whole.parent / f".{whole.name}.part").write_bytes(whole.read_bytes()[:50])
    read = Log(tables).last_rows(5, NOW)
    assert requests(read) == ["r"]
    assert read.faults.messages == ("1 files are not whole, and are left out",)


def test_a_file_of_another_writer_and_older_columns(tmp_path: Path) -> None:
    tables = replace(BASE, path=str(tmp_path / "log"))
    folder = tmp_path / "log" / tables.predictions / "day=2026-11-27"
    folder.mkdir(parents=True)
    own = pa.table({"at": pa.array([NOW.replace(tzinfo=None)]), "request": ["x"], "row": [0], "prediction": [0.5]})
    pq.write_table(own, folder / "part-0.parquet")
    rows = Log(tables).last_rows(5, NOW).rows.to_pylist()
    assert [(r["at"], r["request"], r["prediction"], r["f_a"]) for r in rows] == [(NOW, "x", 0.5, None)]
    with pytest.raises(NotEvaluated, match="does not say the version"):
        Log(tables).last_rows(5, NOW, version="3")


def test_rows_written_by_half_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE weighin_predictions (at TEXT, request TEXT, row INTEGER, prediction REAL)")
        values = [("2026-11-27 12:00:00", "r", 0, 0.5), ("2026-11-27 12:00:01", None, 0, 0.5)]
        connection.executemany("INSERT INTO weighin_predictions VALUES (?, ?, ?, ?)", values)
    connection.close()
    read = Log(replace(BASE, path=str(path))).last_rows(5, NOW)
    assert (requests(read), read.faults.broken) == (["r"], 1)


def test_a_table_without_its_columns_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE weighin_predictions (at TEXT, request TEXT)")
    connection.close()
    with pytest.raises(NotEvaluated, match="weighin_predictions has no column row, prediction"):
        Log(replace(BASE, path=str(path))).last_rows(5, NOW)


def test_a_database_that_is_away_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_LOG", "postgres://user:the-secret@127.0.0.1:9/db")
    with pytest.raises(NotEvaluated, match="TEST_LOG") as raised:
        Log(replace(BASE, path=None, connection="TEST_LOG")).last_rows(5, NOW)
    assert "the-secret" not in str(raised.value)


def test_a_look_opens_only_files_of_its_time(tmp_path: Path) -> None:
    tables = replace(BASE, path=str(tmp_path / "log"))
    sink = sink_for(tables)
    for hours in range(72):
        row = {"at": NOW - timedelta(hours=hours), "request": f"r{hours}", "row": 0, "role": "champion"}
        sink.write(tables.predictions, pa.Table.from_pylist([row], schema=tables.schema))
    for path in (tmp_path / "log").rglob("*.parquet"):
        if path.parent.name < "day=2026-11-26":
            path.write_bytes(b"PAR1 whoever reads this fails PAR1")
    assert requests(Log(tables).last_hours(2.5, NOW, 100)) == ["r2", "r1", "r0"]
    assert requests(Log(tables).last_rows(2, NOW)) == ["r1", "r0"]


def test_no_look_reads_the_whole_of_a_large_table(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL uses the indexes: also for a version that is gone, whose rows all lie far back."""
    monkeypatch.setenv("TEST_LOG", server)
    tables = replace(BASE, path=None, connection="TEST_LOG", predictions="large", labels="large_labels")
    with contextlib.closing(sink_for(tables)) as sink:
        sink.write(tables.predictions, tables.schema.empty_table())
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO large (at, request, row, version, role, status, prediction) SELECT "
            "%s - (100000 - i) * interval '1 minute', md5(i::text), 0, CASE WHEN i < 50000 THEN '2' ELSE '3' END, "
            "'champion', 200, 0.5 FROM generate_series(1, 100000) AS s(i)",
            (NOW,),
        )
        connection.execute(
            "INSERT INTO large_labels SELECT at + interval '10 days', request, row, 1 FROM large WHERE at < %s",
            (NOW - timedelta(days=10),),
        )
        connection.execute("VACUUM ANALYZE large")
        connection.execute("VACUUM ANALYZE large_labels")

        def read() -> tuple[int, int]:
            # Rows and not scans: making an index on the empty table was one, and may be counted late.
            sums = "SELECT sum(seq_tup_read), sum(idx_tup_fetch) FROM pg_stat_user_tables WHERE relname LIKE 'large%'"
            connection.execute("SELECT pg_stat_force_next_flush()")
            connection.execute("SELECT pg_stat_clear_snapshot()")
            row = connection.execute(sums).fetchone()
            assert row is not None
            return int(row[0]), int(row[1])

        for given in (
            {"version": "3"},
            {"version": "2"},
            {"version": "2", "kind": "predicted"},
            {},
            {"kind": "labelled"},
        ):
            before = read()
            assert Log(tables).last_rows(100, NOW, **given).rows.num_rows == 100
            after = read()
            assert after[0] == before[0], f"{given}: a whole table was read"
            assert after[1] - before[1] < 5_000, given
