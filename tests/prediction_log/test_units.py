"""Units of requests and their outcomes, in each kind of place: what is found, and what cannot be used."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from support.log_places import NOW, Add, OwnDuckDB
from weighin.contract.ab_test import OutcomeTable
from weighin.contract.sources import Span
from weighin.errors import NotEvaluated
from weighin.prediction_log.outcomes import SCHEMA, opened
from weighin.prediction_log.reader import Log
from weighin.prediction_log.sinks import Sink
from weighin.prediction_log.tables import LogTables

ROLES = ("champion", "canary")
DAY = Span(NOW - timedelta(days=1), NOW)


@pytest.fixture
def tables(tables: LogTables) -> LogTables:
    """A log that stores units."""
    return replace(tables, unit_header="x-weighin-unit")


def by_unit(found: Any) -> dict[str, tuple[datetime, int, int]]:
    return {r["unit"]: (r["first"], r["champion"], r["canary"]) for r in found.units.to_pylist()}


def minutes(number: float) -> datetime:
    return NOW - timedelta(minutes=number)


def test_units_are_found_with_their_first_request_and_who_answered(tables: LogTables, add: Add) -> None:
    add(90, 80, unit="a")
    add(85, unit="b", role="canary", version="4", digest="sha256:e")
    add(70, unit="a", role="canary", version="4", digest="sha256:e")
    add(60, unit="c", status=500, prediction=None)
    add(50, unit=None)
    add(40, unit="d", role="shadow")
    add(30, unit="a", row=1)
    add(60 * 24 + 1, unit="before")
    found = Log(tables).units(DAY, ROLES)
    assert by_unit(found) == {"a": (minutes(90), 2, 1), "b": (minutes(85), 0, 1), "c": (minutes(60), 1, 0)}
    assert sorted(tuple(r.values()) for r in found.served.to_pylist()) == [
        ("canary", "4", "sha256:e", 2, 0),
        ("champion", "3", "sha256:d", 4, 1),
    ]
    assert found.unreadable == 0


def test_a_log_without_requests_has_no_units(tables: LogTables, add: Add) -> None:
    add(60 * 48, unit="a")
    found = Log(tables).units(DAY, ROLES)
    assert (found.units.num_rows, found.served.num_rows) == (0, 0)


def test_a_log_that_stores_no_units_is_not_evaluated(tables: LogTables, sink: Sink, add: Add) -> None:
    sink.tables = replace(tables, unit_header="")
    add(10)
    with pytest.raises(NotEvaluated, match="no column unit"):
        Log(tables).units(DAY, ROLES)


def test_a_log_gets_the_column_when_the_contract_has_a_test(tables: LogTables, sink: Sink, add: Add) -> None:
    sink.tables = replace(tables, unit_header="")
    add(20)
    sink.close()
    if isinstance(sink, OwnDuckDB):
        # A team's own table has the columns that the team gives it.
        sink.add_column("weighin_predictions", "unit")
    sink.tables = tables
    add(10, unit="a")
    found = Log(tables).units(DAY, ROLES)
    assert by_unit(found) == {"a": (minutes(10), 1, 0)}
    assert found.served.to_pylist()[0]["without_unit"] == 1


# --- outcomes beside the log


def write(sink: Sink, *rows: tuple[float, str | None, str, float | None]) -> None:
    """Append outcomes as a team would, in a table of the log's place."""
    listed = [{"at": minutes(m), "unit": u, "outcome": o, "value": v} for m, u, o, v in rows]
    table, place = pa.Table.from_pylist(listed, schema=SCHEMA), sink.tables.path
    if (place is not None and not place.endswith(".sqlite")) or isinstance(sink, OwnDuckDB):
        sink.write("weighin_outcomes", table)
        return
    if place is not None:
        import sqlite3

        with sqlite3.connect(place) as log:
            log.execute("CREATE TABLE IF NOT EXISTS weighin_outcomes (at TEXT, unit TEXT, outcome TEXT, value REAL)")
            values = [(f"{r['at']:%Y-%m-%d %H:%M:%S.%f}", r["unit"], r["outcome"], r["value"]) for r in listed]
            log.executemany("INSERT INTO weighin_outcomes VALUES (?, ?, ?, ?)", values)
        log.close()
        return
    import psycopg

    with psycopg.connect(os.environ["TEST_LOG"]) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS weighin_outcomes "
            "(at timestamptz, unit text, outcome text, value double precision)"
        )
        connection.cursor().executemany(
            "INSERT INTO weighin_outcomes VALUES (%s, %s, %s, %s)", [tuple(r.values()) for r in listed]
        )


def read(tables: LogTables, *names: str) -> tuple[dict[str, datetime], list[tuple[Any, ...]]]:
    with opened(OutcomeTable(), tables, Path(), names, DAY.first, DAY.before) as found:
        rows = [tuple(r.values()) for part in found.parts() for r in part.to_pylist()]
        return found.newest, sorted(rows, key=lambda r: r[0])


def test_outcomes_beside_the_log_are_found(tables: LogTables, sink: Sink, add: Add) -> None:
    add(90, unit="a")
    write(sink, (60 * 25, "a", "bought", 1), (80, "a", "bought", 1), (70, "b", "revenue", 2.5), (60, None, "bought", 0))
    write(sink, (50, "a", "other", 1), (-5, "a", "bought", 1))
    newest, rows = read(tables, "bought", "revenue")
    assert newest == {"bought": minutes(60), "revenue": minutes(70)}
    assert rows == [
        (minutes(80), "a", "bought", 1.0),
        (minutes(70), "b", "revenue", 2.5),
        (minutes(60), None, "bought", 0.0),
    ]


def test_a_value_that_is_missing_is_read_as_missing(tables: LogTables, sink: Sink, add: Add) -> None:
    add(90, unit="a")
    write(sink, (80, "a", "bought", None))
    assert read(tables, "bought")[1] == [(minutes(80), "a", "bought", None)]


def test_a_table_that_is_not_there_is_not_evaluated(tables: LogTables, add: Add) -> None:
    add(90, unit="a")
    with pytest.raises(NotEvaluated, match="no table weighin_outcomes"):
        read(tables, "bought")


@pytest.mark.parametrize("name", ["none.parquet", "none.csv", "none", "none.sqlite"])
def test_a_file_that_is_not_there_is_not_evaluated(tmp_path: Path, name: str) -> None:
    given = OutcomeTable(path=name)
    with pytest.raises(NotEvaluated), opened(given, LogTables.sketch([]), tmp_path, ["x"], DAY.first, DAY.before):
        pass


def test_an_error_quotes_no_value(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text(f"at,unit,outcome,value\n{minutes(5).isoformat()},jane,x,a-secret\n")
    given = OutcomeTable(path="o.csv")
    with (
        pytest.raises(NotEvaluated) as raised,
        opened(given, LogTables.sketch([]), tmp_path, ["x"], DAY.first, DAY.before) as found,
    ):
        list(found.parts())
    assert "jane" not in str(raised.value)
    assert "secret" not in str(raised.value)
