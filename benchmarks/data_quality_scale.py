"""What data quality costs at scale: 31 expectations on 4,984,740 rows of flights, in three ways.

    python benchmarks/data_quality_scale.py [--quick] [--rows N]

pandas  the suite's way: each expectation is given its own columns
spark   the same columns on Great Expectations' Spark engine, from start to stop of the session
plain   Great Expectations on the whole pandas frame, as its own documentation has it

Each runs in a process of its own, from the Parquet file to the last count, imports apart. Peak memory is the largest
resident size of the process and all its children (Spark's virtual machine), sampled 20 times a second. All must find
the same counts. The flights of the example are repeated, with keys of their own, into a file that is removed again.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

WINDOWS = ("train", "reference", "holdout", "sealed_holdout", "current")
ROWS, QUICK = 4_984_740, 500_000
WAYS = ("pandas", "spark", "plain")


def write_flights(path: Path, rows: int) -> None:
    """So many rows of flights, in the order of the example's windows, again and again."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    flights = pa.concat_tables([pq.read_table(ROOT / f"examples/flights/data/{w}.parquet") for w in WINDOWS])
    place = flights.schema.get_field_index("flight_id")
    with pq.ParquetWriter(path, flights.schema) as writer:
        for start in range(0, rows, flights.num_rows):
            part = flights.slice(0, min(flights.num_rows, rows - start))
            keys = pa.array(range(start, start + part.num_rows), flights.schema.field(place).type)
            writer.write_table(part.set_column(place, flights.schema.field(place), keys))


def expectations(rows: int) -> list[dict[str, Any]]:
    """31 expectations: the number of rows, 18 columns without gaps, 11 ranges, one key."""
    import yaml

    columns = yaml.safe_load((ROOT / "model_contract.yaml").read_text())["data"]["columns"]
    listed: list[tuple[str, dict[str, Any]]] = [("expect_table_row_count_to_be_between", {"min_value": rows})]
    listed += [("expect_column_values_to_not_be_null", {"column": c}) for c in columns]
    for name, column in columns.items():
        if "minimum" in column:
            bounds = {"min_value": column["minimum"], "max_value": column["maximum"]}
            listed.append(("expect_column_values_to_be_between", {"column": name, **bounds}))
        if column.get("unique"):
            listed.append(("expect_column_values_to_be_unique", {"column": name}))
    return [
        {"id": str(i), "type": kind, "kwargs": kwargs, "meta": {}, "severity": "critical"}
        for i, (kind, kwargs) in enumerate(listed)
    ]


def measure(way: str, path: Path, rows: int) -> dict[str, Any]:
    """Seconds, and what was counted, in this process."""
    import pandas as pd

    import great_expectations as gx
    from weighin.contract import read_contract
    from weighin.model.subject import ModelVersion, Subject
    from weighin.suites.evidence import Evidence
    from weighin.suites.quality_columns import quality_columns
    from weighin.suites.quality_engines import FORMAT, choose, count, widest

    suite = {"flights": expectations(rows)}
    started = time.perf_counter()
    if way == "plain":
        context = gx.get_context(mode="ephemeral")
        batches = (
            context.data_sources.add_pandas("p").add_dataframe_asset("a").add_batch_definition_whole_dataframe("b")
        )
        batch = batches.get_batch({"dataframe": pd.read_parquet(path)})
        results = batch.validate(gx.ExpectationSuite("flights", expectations=suite["flights"]), result_format=FORMAT)
        ordered = sorted(results.results, key=lambda r: int(r.expectation_config.id))
    else:
        file = read_contract(path.parent / "model_contract.yaml")
        model = ModelVersion("m", "1", "r", "sha256:0", "models:/m/1")
        Subject(model, None, file.digest, {}, True).write(path.parent / "subject.json")
        gate = file.contract.gates.data_quality
        assert gate is not None
        gate = gate.model_copy(update={"engine": way})
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            evidence = Evidence(file, path.parent)
            with quality_columns(evidence, "holdout", Path(scratch), datetime.now(UTC)) as view:
                ordered = count(choose(gate, widest(suite, view, ())), gate, view, suite, ())["flights"]
    seconds = time.perf_counter() - started
    counts = [[bool(r.success), r.result.get("unexpected_count", r.result.get("observed_value"))] for r in ordered]
    return {"seconds": seconds, "counts": counts}


def apart(way: str, path: Path, rows: int) -> dict[str, Any]:
    """`measure` in a fresh process, with the largest memory of it and its children."""
    import psutil

    command = [sys.executable, __file__, "--one", way, "--rows", str(rows), "--data", str(path)]
    peak = 0
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err)
        tree = psutil.Process(process.pid)
        while process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                peak = max(peak, sum(p.memory_info().rss for p in (tree, *tree.children(recursive=True))))
            time.sleep(0.05)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise SystemExit(f"{way}: {err.read()[-2000:]}")
        found: dict[str, Any] = json.loads(out.read().splitlines()[-1])
    return {**found, "peak_gb": peak / 2**30}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} rows, within a minute")
    parser.add_argument("--rows", type=int, help="another number of rows")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    rows = given.rows or (QUICK if given.quick else ROWS)
    if given.one:
        print(json.dumps(measure(given.one, given.data, rows)))
        return 0
    line: dict[str, Any] = {"rows": rows, "expectations": len(expectations(rows))}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flights.parquet"
        write_flights(path, rows)
        text = (ROOT / "model_contract.yaml").read_text()
        (path.parent / "model_contract.yaml").write_text(
            text.replace("examples/flights/data/holdout.parquet", path.name)
        )
        counts = None
        for way in WAYS:
            one = apart(way, path, rows)
            print(f"{way:>7}  {one['seconds']:7.1f} s  {one['peak_gb']:5.2f} GB peak", flush=True)
            if counts is not None and one["counts"] != counts:
                raise SystemExit(f"{way} counts otherwise: {one['counts']} instead of {counts}")
            counts = one["counts"]
            line |= {f"{way}_seconds": round(one["seconds"], 1), f"{way}_peak_gb": round(one["peak_gb"], 2)}
    print(json.dumps(line))
    return 0


if __name__ == "__main__":
    sys.exit(main())
