"""Windows of a log, in each kind of place: of the present promotion, side by side, with what a shadow answered."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
import pytest

from support.evidence_files import ROOT
from support.log_places import NOW, Add
from weighin.contract import read_contract
from weighin.contract.models import Prediction
from weighin.contract.monitor import Monitor, Window
from weighin.data.profiling import profile
from weighin.data.relation import Relation
from weighin.errors import NotEvaluated
from weighin.monitor.evaluate import Champion, evaluate
from weighin.monitor.windows import LoggedWindows
from weighin.outcome import Status
from weighin.prediction_log.reader import Log
from weighin.prediction_log.sinks import sink_for
from weighin.prediction_log.tables import LogTables
from weighin.runner.plan import Answers

Label = Callable[..., None]


def last(rows: int) -> Window:
    return Window(rows=rows, rows_at_least=1)


def hours(number: float) -> Window:
    return Window(hours=number, rows_at_least=1)


def predictions(windows: LoggedWindows, window: Window, back: int = 0, *, labelled: bool = False) -> list[float | None]:
    return windows.window(window, NOW, back, labelled=labelled)["prediction"].to_pylist()


def numbered(add: Add, minutes: range, **given: object) -> None:
    """A row each minute; its prediction says which one."""
    for m in minutes:
        add(m, prediction=m / 1000, **given)


def test_a_window_has_what_a_look_needs(tables: LogTables, add: Add, label: Label) -> None:
    add(3, f_a=7.0, latency_ms=9.0)
    add(2, status=500, prediction=None, f_a=None)
    label(("r3", 1, 1))
    rows = LoggedWindows(Log(tables), "3", None).window(last(5), NOW, 0, labelled=False)
    assert rows.to_pylist() == [
        {"a": 7.0, "Größe": None, "row": 0, "status": 200, "latency_ms": 9.0, "label": 1, "prediction": 0.25,
         "other": None},
        {"a": None, "Größe": None, "row": 0, "status": 500, "latency_ms": 2.5, "label": None, "prediction": None,
         "other": None},
    ]  # fmt: skip


def test_windows_lie_side_by_side_without_a_row_in_common(tables: LogTables, add: Add, label: Label) -> None:
    numbered(add, range(200, 100, -10))
    # Newest, but of a moment: a batch that three windows share.
    for row in range(6):
        add(5, request="batch", row=row, prediction=row / 1000)
    windows = LoggedWindows(Log(tables), "3", None)
    found = [predictions(windows, last(4), back) for back in range(5)]
    assert sorted(found[0] + found[1][2:]) == [0.0, 0.001, 0.002, 0.003, 0.004, 0.005]
    assert found[1][:2] == [0.12, 0.11]
    assert found[2:] == [[0.16, 0.15, 0.14, 0.13], [0.2, 0.19, 0.18, 0.17], []]
    by_time = [predictions(windows, hours(0.5), back) for back in range(5)]
    assert len(by_time[0]) == 6
    assert by_time[1:] == [[], [], [0.12, 0.11], [0.15, 0.14, 0.13]]
    # An end belongs to the newer window.
    assert predictions(windows, hours(1), 1) == [0.12, 0.11]
    assert predictions(windows, hours(1), 2) == [0.18, 0.17, 0.16, 0.15, 0.14, 0.13]


def test_labelled_windows_go_by_when_labels_came(tables: LogTables, add: Add, label: Label) -> None:
    numbered(add, range(200, 100, -10))
    label(*[(f"r{m}", 1, 3) for m in (200, 190, 180)], ("r170", 1, 80), ("r160", 0, 90), ("r110", 0, 1))
    windows = LoggedWindows(Log(tables), "3", None)
    assert predictions(windows, last(2), labelled=True) == [0.18, 0.11]
    assert predictions(windows, last(2), 1, labelled=True) == [0.2, 0.19]
    assert predictions(windows, last(2), 2, labelled=True) == [0.16, 0.17]
    assert predictions(windows, last(2), 3, labelled=True) == []
    assert predictions(windows, hours(1), labelled=True) == [0.2, 0.19, 0.18, 0.11]
    assert predictions(windows, hours(1), 1, labelled=True) == [0.16, 0.17]
    assert windows.window(last(2), NOW, 0, labelled=True).column_names[-1] != "other"


def test_a_version_that_came_back_is_not_judged_by_its_first_reign(tables: LogTables, add: Add, label: Label) -> None:
    numbered(add, range(300, 200, -10))
    numbered(add, range(200, 100, -10), version="4")
    numbered(add, range(100, 70, -10))
    numbered(add, range(70, 40, -10), role="canary")
    label(("r290", 1, 2), ("r210", 1, 2), ("r100", 1, 2), ("r190", 1, 2), ("r60", 1, 2))
    windows = LoggedWindows(Log(tables), "3", NOW - timedelta(minutes=150))
    assert predictions(windows, last(5)) == [0.1, 0.09, 0.08]
    assert predictions(windows, last(5), 1) == []
    assert predictions(windows, last(5), labelled=True) == [0.1]
    assert predictions(windows, hours(10)) == [0.1, 0.09, 0.08]
    assert predictions(windows, hours(10), labelled=True) == [0.1]
    assert predictions(windows, hours(3), 1) == []
    whole = LoggedWindows(Log(tables), "3", None)
    assert len(predictions(whole, hours(10))) == 13
    assert predictions(whole, hours(10), labelled=True) == [0.29, 0.21, 0.1]


def test_a_shadows_answers_stand_beside_those_of_the_same_request_and_row(tables: LogTables, add: Add) -> None:
    numbered(add, range(40, 10, -10))
    for row in (0, 1):
        add(10, row=row, prediction=0.5)
    add(29.9, request="r30", role="shadow", version="4", prediction=0.7)
    add(8, request="r10", row=1, role="shadow", version="4", prediction=0.8)
    add(7, request="r10", row=1, role="shadow", version="4", prediction=0.9)
    add(9, request="r20", role="canary", version="4", prediction=0.1)
    add(6, request="unknown", role="shadow", version="4", prediction=0.1)
    add(5, request="r40", role="shadow", version="4", prediction=None, status=500)
    windows = LoggedWindows(Log(tables), "3", None)
    rows = windows.window(last(9), NOW, 0, labelled=False)
    assert list(zip(rows["prediction"].to_pylist(), rows["other"].to_pylist(), strict=True)) == [
        (0.04, None), (0.03, 0.7), (0.02, None), (0.5, None), (0.5, 0.8),
    ]  # fmt: skip
    assert windows.faults.duplicates == 1
    alone = LoggedWindows(Log(tables), "3", None, shadow=False)
    assert "other" not in alone.window(last(9), NOW, 0, labelled=False).column_names


def test_what_was_left_out_is_counted_once_and_what_was_cut_is_said(tables: LogTables, add: Add) -> None:
    numbered(add, range(50, 10, -10))
    add(15, request="r20")
    windows = LoggedWindows(Log(tables), "3", None, most_rows=3)
    assert predictions(windows, last(100)) == [0.04, 0.03, 0.02]
    assert predictions(windows, hours(1)) == [0.04, 0.03, 0.02]
    # The window before begins where the newer one was cut.
    assert predictions(windows, last(100), 1) == [0.05]
    assert windows.faults.duplicates == 1
    assert windows.messages[1:] == (
        "of last-100 only the newest 3 rows were looked at",
        "of last-1-hours only the newest 3 rows were looked at",
    )


def test_an_empty_log_gives_empty_windows(tables: LogTables, add: Add) -> None:
    add(1, version="4")
    windows = LoggedWindows(Log(tables), "3", None)
    for window in (last(5), hours(1)):
        for labelled in (False, True):
            rows = windows.window(window, NOW, 1, labelled=labelled)
            assert (rows.num_rows, {"a", "row", "prediction", "label"} <= set(rows.column_names)) == (0, True)


# --- what is particular


def test_a_log_that_is_away_says_so(tmp_path: Path) -> None:
    windows = LoggedWindows(Log(LogTables.sketch(["a"], path=str(tmp_path / "log"))), "3", None)
    with pytest.raises(NotEvaluated, match="nothing was logged yet"):
        windows.window(last(5), NOW, 0, labelled=False)


def written(tmp_path: Path, rows: list[dict[str, object]], **given: object) -> LogTables:
    found = LogTables.sketch(path=str(tmp_path / "log"), **{"features": ["a"], **given})
    own = {"version": "3", "role": "champion", "status": 200, "latency_ms": 5.0, "row": 0}
    made = [{"at": NOW - timedelta(minutes=1), "request": f"r{i}", **own, **r} for i, r in enumerate(rows)]
    sink_for(found).write(found.predictions, pa.Table.from_pylist(made, schema=found.schema))
    return found


def test_of_several_classes_the_most_probable_one_is_the_prediction(tmp_path: Path) -> None:
    def row(*shares: float | None, **given: object) -> dict[str, object]:
        return {f"prediction_{i}": share for i, share in enumerate(shares)} | given

    listed = [row(0.2, 0.5, 0.3), row(0.4, 0.4, 0.2), row(None, None, None, status=500)]
    listed.append(row(0.1, 0.2, 0.7, request="r0", role="shadow"))
    found = written(tmp_path, listed, answers=Answers((0, 1, 2), "probabilities"), label="string")
    rows = LoggedWindows(Log(found), "3", None, classes=("x", "y", "z")).window(last(5), NOW, 0, labelled=False)
    assert rows["prediction"].to_pylist() == ["y", "x", None]
    assert rows["other"].to_pylist() == ["z", None, None]
    assert rows["prediction_1"].to_pylist() == [0.5, 0.4, None]


def test_a_model_of_several_classes_is_watched_like_any_other(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    shares = rng.dirichlet((2, 1, 1), 500)
    made = [{f"prediction_{i}": float(v) for i, v in enumerate(row)} for row in shares]
    others = [{**m, "request": f"r{i}", "role": "shadow"} for i, m in enumerate(made)]
    for other in others[:200]:
        other["prediction_2"], other["prediction_0"] = other["prediction_0"], other["prediction_2"]
    tables = written(tmp_path, [*made, *others], answers=Answers((0, 1, 2), "probabilities"), label="string")
    label = [str(rng.choice(["x", "y", "z"], p=row)) for row in shares]
    given = [{"at": NOW, "request": f"r{i}", "row": 0, "label": value} for i, value in enumerate(label)]
    sink_for(tables).write(tables.labels, pa.Table.from_pylist(given, schema=tables.label_schema))
    watch = [
        {"drift_at_most": 0.1, "columns": ["prediction"]},
        {"metric": "accuracy", "at_least": 0.4},
        {"metric": "log_loss", "at_most": 0.5},
        {"disagreement_at_most": 0.1},
    ]
    listed = [{"window": {"hours": 1}, **w} for w in watch]
    monitor = Monitor.model_validate({"log": {"path": "log"}, "watch": listed})
    base = read_contract(ROOT / "model_contract.yaml").contract
    several = {"classes": ("x", "y", "z"), "prediction": Prediction(kind="probabilities")}
    model = base.model.model_copy(update={"task": "multiclass", **several})
    contract = base.model_copy(update={"monitor": monitor, "model": model})
    same = np.array(["x", "y", "z"])[rng.dirichlet((2, 1, 1), 5000).argmax(axis=1)].tolist()
    before = profile(Relation.over(pa.table({"prediction": same})), {"prediction": 10}, None)
    windows = LoggedWindows.of(contract, Log(tables), "3", None)
    found = evaluate(contract, windows, Champion("3", "sha256:a", before, {}), NOW)
    assert [(o.check.rpartition("/")[2], o.status.value) for o in found.outcomes] == [
        ("prediction", "passed"), ("accuracy", "passed"), ("log_loss", "failed"), ("disagreement", "failed"),
    ]  # fmt: skip
    # The first two hundred differ unless their most probable class is the second one.
    assert 0.2 < found.outcomes[3].evidence.estimate < 0.4
    assert found.outcomes[3].evidence.estimate == np.mean(
        [np.argmax(s) != np.argmax(s[::-1] if i < 200 else s) for i, s in enumerate(shares)]
    )


def test_what_is_no_number_is_no_prediction(tmp_path: Path) -> None:
    found = written(tmp_path, [{"prediction": v} for v in (0.5, float("nan"), float("inf"))])
    rows = LoggedWindows(Log(found), "3", None).window(last(5), NOW, 0, labelled=False)
    assert rows["prediction"].to_pylist() == [0.5, None, None]


def test_a_feature_with_a_name_of_ours_is_watched_all_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    values = [{"f_status": float(v), "prediction": 0.5} for v in rng.normal(3, 1, 500)]
    found = written(tmp_path, values, features=["status"])
    windows = LoggedWindows(Log(found), "3", None)
    before = profile(Relation.over(pa.table({"status": rng.normal(0, 1, 2000)})), {"status": 10}, None)
    base = read_contract(ROOT / "model_contract.yaml").contract
    column = base.data.columns["distance"].model_copy(update={"type": "float"})
    data = base.data.model_copy(update={"columns": {**base.data.columns, "status": column}})
    watch = [{"window": {"rows": 500}, "drift_at_most": 0.1}, {"window": {"rows": 500}, "error_rate_at_most": 0.05}]
    given = Monitor.model_validate({"log": {"path": "log"}, "watch": watch})
    contract = base.model_copy(update={"monitor": given, "data": data})
    drift, errors = evaluate(contract, windows, Champion("3", "sha256:a", before, {}), NOW).outcomes
    assert (drift.check, drift.status) == ("monitor/last-500/drift/status", Status.FAILED)
    assert errors.status is Status.PASSED


def test_a_request_counts_once_however_many_rows_it_has(tmp_path: Path) -> None:
    """Of 300 requests 30 failed: 10 %. The others have ten rows each, of which failures would be 1.1 %."""
    ten = [{"request": f"q{i}", "row": r, "prediction": 0.5, "latency_ms": 9.0} for i in range(270) for r in range(10)]
    failed = [{"request": f"e{i}", "status": 500, "latency_ms": 900.0} for i in range(30)]
    windows = LoggedWindows(Log(written(tmp_path, [*ten, *failed])), "3", None)
    rows = {"hours": 1, "rows_at_least": 300}
    watch = [
        {"window": rows, "error_rate_at_most": 0.03},
        {"window": rows, "latency_ms_at_most": 100, "quantile": 0.97},
    ]
    given = Monitor.model_validate({"log": {"path": "log"}, "watch": watch})
    base = read_contract(ROOT / "model_contract.yaml").contract.model_copy(update={"monitor": given})
    before = profile(Relation.over(pa.table({"distance": [1, 2]})), {"distance": 2}, None)
    champion = Champion("3", "sha256:a", before, {})
    errors, latency = evaluate(base, windows, champion, NOW).outcomes
    assert (errors.evidence.estimate, errors.evidence.n, errors.evidence.sampling_unit) == (0.1, 300, "requests")
    assert (latency.evidence.estimate, latency.evidence.n) == (0.9, 300)
    assert {errors.status, latency.status} == {Status.FAILED}
    rows["rows_at_least"] = 301
    given = Monitor.model_validate({"log": {"path": "log"}, "watch": watch[:1]})
    (outcome,) = evaluate(base.model_copy(update={"monitor": given}), windows, champion, NOW).outcomes
    assert outcome.reason == "300 requests in the window, 301 are needed"


def test_a_shadow_is_found_without_reading_the_whole_of_a_large_table(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL uses the indexes."""
    monkeypatch.setenv("TEST_LOG", server)
    tables = replace(LogTables.sketch([]), path=None, connection="TEST_LOG", predictions="busy", labels="busy_labels")
    with contextlib.closing(sink_for(tables)) as sink:
        sink.write(tables.predictions, tables.schema.empty_table())
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO busy (at, request, row, version, role, status, prediction) SELECT "
            "%s - (50000 - i) * interval '1 minute', md5(i::text), 0, v, r, 200, 0.5 FROM generate_series(1, 50000) AS "
            "s(i), (VALUES ('3', 'champion'), ('4', 'shadow')) AS t(v, r)",
            (NOW,),
        )
        connection.execute("VACUUM ANALYZE busy")

        def read() -> tuple[int, int]:
            connection.execute("SELECT pg_stat_force_next_flush()")
            connection.execute("SELECT pg_stat_clear_snapshot()")
            row = connection.execute(
                "SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'busy'"
            ).fetchone()
            assert row is not None
            return int(row[0]), int(row[1])

        windows = LoggedWindows(Log(tables), "3", None)
        before = read()
        rows = windows.window(last(500), NOW, 0, labelled=False)
        # A session's counts are known once it has ended, which is a moment after it was closed.
        until = time.monotonic() + 20
        while (after := read())[1] - before[1] < 500 and time.monotonic() < until:
            time.sleep(0.05)
    assert rows["other"].null_count == 0
    assert after[0] == before[0], "the whole table was read"
    assert 500 <= after[1] - before[1] < 10_000
