"""What a prediction log costs a server, and what a look at a large one costs a monitor.

    python benchmarks/prediction_log.py [--quick] [--rows N] [--part serve|parquet|postgres]

(a) MLflow's scoring server with and without the log, asked in turns: the ratio of the latencies at p50 and p99; and the
    memory of a writer that is offered more than it can store, with a log that is away.
(b) The last 1,000 rows, the last hour, the last 1,000 labelled rows of a log of N rows (50 million; --quick 200,000) in
    PostgreSQL and in Parquet: seconds without imports, and the peak memory of a process that looks once, imports
    included. Labels are for 2 % of the rows and came ten days later. Last line: JSON.
"""

# ruff: noqa: S608 - the rows are made here, in SQL
from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from weighin.prediction_log.tables import LogTables

PLACES = ("parquet", "postgres")
FEATURES = [f"x{i}" for i in range(10)]
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
DAYS = 90
PEAK = """
def peak():  # in MB, of this program alone: ru_maxrss begins with what its parent had
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1024
"""
BYTES_A_ROW = 400
"""Of PostgreSQL's table and indexes, the log of their making, and Parquet, with room to spare."""


# --- (a) the server


def model(folder: Path) -> None:
    """A small classifier, as MLflow saves it."""
    import mlflow.sklearn
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(1)
    rows = pd.DataFrame(rng.normal(size=(500, len(FEATURES))), columns=FEATURES)
    fitted = LogisticRegression().fit(rows, rng.integers(0, 2, 500))
    mlflow.sklearn.save_model(
        fitted,
        str(folder),
        pyfunc_predict_fn="predict_proba",
        signature=mlflow.models.infer_signature(rows),
        pip_requirements=[],
    )


def answers(port: int) -> bool:
    """Whether a server answers there."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        except OSError:
            return False


@contextlib.contextmanager
def served(folder: Path, tables: LogTables | None, **variables: str) -> Iterator[tuple[int, int]]:
    """Port and process of `weighin.serving.scoring`."""
    from support.postgres_server import free_port

    port = free_port()
    own = {"WEIGHIN_SERVE_MODEL": str(folder), "PYTHONPATH": str(ROOT), **variables}
    own |= {"WEIGHIN_SERVE_LOG": tables.to_json()} if tables else {}
    command = [sys.executable, "-m", "uvicorn", "--factory", "weighin.serving.scoring:app", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--log-level", "warning"], env={**os.environ, **own}, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 90
        while not answers(port):
            if process.poll() is not None or time.monotonic() > until:
                raise TimeoutError("the server did not start")
            time.sleep(0.1)
        time.sleep(1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def latencies(folder: Path, tables: LogTables, requests: int, rows: int, **variables: str) -> dict[str, float]:
    """Milliseconds of both servers, asked in turns over connections that stay open."""
    import psutil

    rng = np.random.default_rng(2)
    data = rng.normal(size=(rows, len(FEATURES))).round(6).tolist()
    body = json.dumps({"dataframe_split": {"columns": FEATURES, "data": data}}).encode()
    taken: dict[str, list[float]] = {"without": [], "with": []}
    with served(folder, None) as without, served(folder, tables, **variables) as with_log:
        request_body = {
            "without": http.client.HTTPConnection("127.0.0.1", without[0]),
            "with": http.client.HTTPConnection("127.0.0.1", with_log[0]),
        }
        memory = psutil.Process(with_log[1]).memory_info
        for number in range(requests + 50):
            if number == 50:
                started = memory().rss
            for name in ("without", "with") if number % 2 else ("with", "without"):
                began = time.perf_counter()
                request_body[name].request("POST", "/invocations", body, {"Content-Type": "application/json"})
                answer = request_body[name].getresponse()
                answer.read()
                if number >= 50:
                    taken[name].append(1000 * (time.perf_counter() - began))
                assert answer.status == 200, answer.status
        grown = memory().rss - started
    found = {}
    for share, name in ((50, "p50"), (99, "p99")):
        one, other = (float(np.percentile(taken[k], share)) for k in ("without", "with"))
        found |= {f"{name}_ms_without": one, f"{name}_ms_with": other, f"{name}_ratio": other / one}
    return {**found, "memory_growth_mb": grown / 2**20}


def overload(requests: int) -> dict[str, float]:
    """A writer whose log is away, offered far more than its bounds, in a process of its own."""
    code = f"""
import json, sys, time
sys.path[:0] = [{str(ROOT)!r}]
{PEAK}
from weighin.prediction_log.tables import LogTables
from weighin.prediction_log.exchange import Exchange, Served, mlflow_features, mlflow_predictions
from weighin.prediction_log.writer import LogWriter
from weighin.prediction_log.sinks import sink_for
import os
os.environ["AWAY"] = "postgres://u:p@127.0.0.1:9/d"
writer = LogWriter(sink_for(LogTables.sketch({FEATURES!r}, path=None, connection="AWAY")))
import logging; logging.disable(logging.CRITICAL)
body = json.dumps({{"dataframe_split": {{"columns": {FEATURES!r}, "data": [[0.5] * {len(FEATURES)}] * 20}}}})
answer = json.dumps({{"predictions": [[0.5, 0.5]] * 20}})
before = peak()
spent_each, began = [], time.perf_counter()
for number in range({requests}):
    given = Exchange(time.time(), str(number), Served("m", "d"), 200, 1.0, (body + " ").encode(), "application/json",
                     (answer + " ").encode(), True, mlflow_features, mlflow_predictions)
    start = time.perf_counter()
    writer.offer(given)
    spent_each.append(time.perf_counter() - start)
spent = time.perf_counter() - began
state = writer.state
print(json.dumps({{"offered": {requests}, "dropped": state.dropped, "microseconds_each": 1e6 * spent / {requests},
    "p999_ms": 1000 * sorted(spent_each)[int(0.999 * len(spent_each))], "slowest_ms": 1000 * max(spent_each),
    "growth_mb": peak() - before}}))
import os; os._exit(0)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    found: dict[str, float] = json.loads(ran.stdout)
    return found


# --- (b) a large log


def as_select(rows: int, dialect: str) -> tuple[str, str]:
    """Predictions and labels as SELECTs, spread over 90 days, the last one at NOW."""
    step = DAYS * 86_400 / rows
    if dialect == "postgres":
        series, random = f"generate_series(0, {rows - 1}) AS s(i)", "random()"
        at = f"timestamptz '{NOW:%Y-%m-%d %H:%M}+00' - (({rows - 1} - i) * {step!r}) * interval '1 second'"
    else:
        series, random = f"range({rows}) AS s(i)", "random()"
        before = f"to_microseconds(CAST(({rows - 1} - i) * {1e6 * step!r} AS BIGINT))"
        at = f"TIMESTAMPTZ '{NOW:%Y-%m-%d %H:%M}+00' - {before}"
    features = ", ".join(f'{random} AS "f_{name}"' for name in FEATURES[:3])
    bigint = "CAST({} AS BIGINT)"
    predictions = (
        f"SELECT {at} AS \"at\", md5(CAST(i AS varchar)) AS request, {bigint.format(0)} AS row, 'm' AS model, "
        f"CASE WHEN i < {rows // 2} THEN '2' ELSE '3' END AS version, 'sha256:d' AS digest, 'champion' AS role, "
        f"{bigint.format(200)} AS status, {random} AS latency_ms, {random} AS prediction, {features} FROM {series}"
    )
    label, labelled = bigint.format("CASE WHEN i % 100 = 0 THEN 1 ELSE 0 END"), int(rows * (DAYS - 10) / DAYS)
    labels = (
        f"SELECT {at} + interval '10 days' AS \"at\", md5(CAST(i AS varchar)) AS request, {bigint.format(0)} AS row, "
        f"{label} AS label FROM {series} WHERE i % 50 = 0 AND i < {labelled}"
    )
    return predictions, labels


def fill_postgres(address: str, tables: LogTables, rows: int) -> float:
    """Seconds that it took."""
    import psycopg

    from weighin.prediction_log.sinks.postgres import ddl

    began = time.monotonic()
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '512MB'")
        connection.execute("SET TimeZone = 'UTC'")
        given = zip(
            ("predictions", "labels"),
            ((tables.predictions, tables.schema), (tables.labels, tables.label_schema)),
            as_select(rows, "postgres"),
            strict=True,
        )
        for kind, (table, schema), select in given:
            statements = ddl(table, kind, schema)
            with connection.transaction():
                connection.execute(statements[0])
                names = ", ".join(f'"{n}"' for n in schema.names)
                connection.execute(f'INSERT INTO "{table}" ({names}) {select}')
            for statement in statements[1:]:
                connection.execute(statement)
            connection.execute(f'VACUUM ANALYZE "{table}"')
    return time.monotonic() - began


def fill_parquet(tables: LogTables, rows: int) -> float:
    """A file for each day, as `weighin.prediction_log.retention` leaves them; seconds that it took."""
    import duckdb

    began, step = time.monotonic(), DAYS * 86_400 / rows
    with duckdb.connect(config={"memory_limit": "1GB", "threads": 2}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table, select in zip((tables.predictions, tables.labels), as_select(rows, "duckdb"), strict=True):
            for back in range(DAYS + 2):
                day = (NOW - timedelta(days=back)).replace(hour=0)
                # The numbers of a day's rows, so that no other rows are made.
                late = timedelta(days=10) if table == tables.labels else timedelta()
                last = rows - 1 - (NOW - day + late - timedelta(days=1)).total_seconds() / step
                low, high = max(0, int(last - 86_400 / step) - 2), min(rows, int(last) + 3)
                if low >= high:
                    continue
                part = select.replace(f"range({rows})", f"range({low}, {high})")
                folder = Path(tables.place) / table / f"day={day:%Y-%m-%d}"
                folder.mkdir(parents=True)
                path = folder / "000000000000-235959999999-aa.parquet"
                connection.execute(
                    f"COPY (SELECT * FROM ({part}) WHERE \"at\" >= '{day:%Y-%m-%d}' "
                    f"AND \"at\" < '{day + timedelta(days=1):%Y-%m-%d}') "
                    f"TO '{path}' (COMPRESSION zstd, ROW_GROUP_SIZE 100000)"
                )
    return time.monotonic() - began


LOOKS = {
    "last_rows": "log.last_rows(1000, NOW, version='3')",
    "last_hour": "log.last_hours(1, NOW, 50_000)",
    "labelled": "log.last_rows(1000, NOW, kind='labelled')",
}
WATCH = [
    {"error_rate_at_most": 0.01, "window": {"rows": 1000}},
    {"latency_ms_at_most": 0.5, "window": {"hours": 1}},  # broken: all three windows are read
    {"metric": "roc_auc", "at_least": 0.9, "window": {"rows": 1000}},  # broken as well
    {"drift_at_most": 0.2, "window": {"hours": 1}},
    {"disagreement_at_most": 0.1, "window": {"rows": 1000}},
]
"""A whole look, with two alarms."""
COLUMNS = {**{name: {"type": "float"} for name in FEATURES[:3]}, "y": {"type": "integer", "role": "target"}}
CONTRACT = {
    "version": 1,
    "model": {"name": "m", "task": "binary", "target": "y", "prediction": {"kind": "probability", "column": 1}},
    "data": {"holdout": "holdout.parquet", "columns": COLUMNS},
    "gates": {"performance": {"checks": [{"metric": "roc_auc", "at_least": 0.5}]}},
    "monitor": {"log": {"path": "log"}, "watch": WATCH},
}
WHOLE = """
import numpy as np
from weighin.contract.models import Contract
from weighin.data.profiling import profile
from weighin.data.relation import Relation
from weighin.monitor.evaluate import Champion, evaluate as whole_look
from weighin.monitor.windows import LoggedWindows
contract = Contract.model_validate(CONTRACT)
names = ["x0", "x1", "x2", "prediction"]
before = pyarrow.table({n: np.random.default_rng(i).random(20_000) for i, n in enumerate(names)})
champion = Champion("3", "sha256:d", profile(Relation.over(before), dict.fromkeys(names, 10), None), {})
def a_look():
    windows = LoggedWindows.of(contract, log, "3", None)
    found = whole_look(contract, windows, champion, NOW)
    return {"rows": max(o.evidence.n for o in found.outcomes if hasattr(o.evidence, "n")),
        "alarms": len(found.alarms), "left_out": list(windows.messages),
        "inconclusive": [o.reason for o in found.outcomes if o.status.value == "not_evaluated"]}
"""


def looks(tables: LogTables) -> dict[str, dict[str, float]]:
    """Each look in a process of its own; the first one meets a cold cache of its connection, not of the disk."""
    found = {}
    for name, look in {**LOOKS, "whole": ""}.items():
        code = f"""
import json, sys, time
sys.path[:0] = [{str(ROOT)!r}]
{PEAK}
from datetime import datetime, UTC
import ibis, pandas, pyarrow
from weighin.prediction_log.tables import LogTables
from weighin.prediction_log.reader import Log
NOW = datetime.fromisoformat({NOW.isoformat()!r})
log = Log(LogTables.from_json({tables.to_json()!r}))
CONTRACT = {CONTRACT!r}
{"" if look else WHOLE}
began = time.monotonic()
look = {look or "a_look()"}
seconds = round(time.monotonic() - began, 2)
if not isinstance(look, dict):
    labelled = look.rows.num_rows - look.rows["label"].null_count
    look = dict(rows=look.rows.num_rows, labelled=labelled, left_out=list(look.faults.messages))
print(json.dumps(dict(seconds=seconds, peak_mb=round(peak()), **look)))
"""
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False)
        if ran.returncode:
            raise RuntimeError(ran.stderr[-2000:])
        try:
            found[name] = json.loads(ran.stdout)
        except ValueError as error:
            raise RuntimeError(f"no JSON: {ran.stdout[-2000:]!r}") from error
        print(f"  {name}: {found[name]}", flush=True)
    return found


def large(rows: int, folder: Path, places: tuple[str, ...]) -> dict[str, object]:
    """Looks at a log of so many rows; the log is gone afterwards."""
    free = shutil.disk_usage(folder).free
    if free < rows * BYTES_A_ROW:
        raise SystemExit(f"{free / 2**30:.0f} GiB are free, {rows * BYTES_A_ROW / 2**30:.0f} are needed")
    found: dict[str, object] = {}
    tables = replace(LogTables.sketch(FEATURES[:3]), path=str(folder / "log"))
    if "parquet" in places:
        spent = fill_parquet(tables, rows)
        size = sum(p.stat().st_size for p in (folder / "log").rglob("*.parquet"))
        print(f"Parquet: {rows:,} rows in {spent:.0f} s, {size / rows:.0f} bytes each", flush=True)
        found["parquet"] = {**looks(tables), "bytes_a_row": size / rows, "fill_seconds": spent}
        shutil.rmtree(folder / "log")
    if "postgres" in places:
        import psycopg

        from support.postgres_server import postgres

        with postgres() as address:
            os.environ["BENCHMARK_LOG"] = address
            tables = replace(tables, path=None, connection="BENCHMARK_LOG")
            spent = fill_postgres(address, tables, rows)
            with psycopg.connect(address) as connection:
                row = connection.execute("SELECT pg_total_relation_size('weighin_predictions')").fetchone()
            assert row is not None
            print(
                f"PostgreSQL: {rows:,} rows in {spent:.0f} s, {row[0] / rows:.0f} bytes each with indexes", flush=True
            )
            found["postgres"] = {**looks(tables), "bytes_a_row": row[0] / rows, "fill_seconds": spent}
    return found


def main() -> None:
    """Measure, and print one JSON object last."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="less than a minute on two idle cores")
    arguments.add_argument("--rows", type=int, help="of the large log")
    arguments.add_argument("--part", choices=("serve", *PLACES), help="only this one")
    given = arguments.parse_args()
    rows = given.rows or (200_000 if given.quick else 50_000_000)
    result: dict[str, object] = {"rows": rows, "load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory(prefix="weighin-log-") as name:
        folder = Path(name)
        if given.part in (None, "serve"):
            model(folder / "model")
            tables = replace(LogTables.sketch(FEATURES), path=str(folder / "served"))
            requests = 300 if given.quick else 3_000
            result["serve"] = latencies(folder / "model", tables, requests, 10)
            print(f"serve: {result['serve']}", flush=True)
            result["overload"] = overload(30_000 if given.quick else 300_000)
            print(f"overload: {result['overload']}", flush=True)
        if given.part != "serve":
            result["look"] = large(rows, folder, PLACES if given.part is None else (given.part,))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
