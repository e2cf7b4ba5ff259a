"""What joint drift says of rows that have not moved, and which rows count as copies, on tables that are known.

    python benchmarks/data_checks.py [--quick] [--draws N]

Joint drift: from tables of 8 normal features, of which three depend on each other, reference and current rows are drawn
from one distribution; counted is how often the lower bound lies above 0.5 (alpha is promised) and the upper bound at
most at 0.6. Then two of four categories change places, on which one number depends.

Copies: tables of 3,000 rows, each also with 40 % of its rows again. A table of a million rows takes the time.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from weighin.stats.domain_classifier import apart
from weighin.suites.copies import repeated

LEVEL, LIMIT, ROWS, AGAIN = 0.95, 0.6, 3_000, 0.4


def unmoved(draws: int, rows: int) -> tuple[float, float]:
    """Shares of draws in which the lower bound lies above 0.5, and the upper one at most at the limit."""
    above = within = 0
    current = np.repeat([False, True], rows)
    for draw in range(draws):
        table = np.random.default_rng((1, rows, draw)).normal(size=(2 * rows, 8))
        table[:, 2] += table[:, 0] * table[:, 1]
        found = apart(table, current, np.zeros(8, dtype=bool), None, LEVEL).interval
        above += found.low > 0.5
        within += found.high <= LIMIT
    return above / draws, within / draws


def swapped(rows: int) -> tuple[float, float]:
    """Estimate and lower bound where two of four categories have changed places in the current rows."""
    rng = np.random.default_rng(2)
    current = np.repeat([False, True], rows)
    table = rng.normal(size=(2 * rows, 8))
    table[:, 0] = rng.integers(0, 4, 2 * rows)
    table[:, 1] += table[:, 0]
    table[current, 0] = np.array([1.0, 0.0, 2.0, 3.0])[table[current, 0].astype(int)]
    category = np.arange(8) == 0
    found = apart(table, current, category, None, LEVEL).interval
    return found.estimate, found.low


def tables(rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Tables of `ROWS` rows whose equal rows are known to be natural."""

    def dependent(columns: int, values: int) -> pd.DataFrame:
        common = rng.normal(size=(ROWS, 1))
        drawn = common + 0.7 * rng.normal(size=(ROWS, columns))
        cuts = np.quantile(drawn, np.arange(1, values) / values)
        return pd.DataFrame(np.searchsorted(cuts, drawn)).assign(label=(common[:, 0] > 0).astype(int))

    def one_hot(columns: int, values: int) -> pd.DataFrame:
        codes = pd.DataFrame(rng.integers(0, values, (ROWS, columns))).astype("category")
        return pd.get_dummies(codes).astype(int).assign(label=rng.integers(0, 2, ROWS))

    floats = pd.DataFrame(rng.normal(size=(ROWS, 2))).assign(label=rng.integers(0, 2, ROWS))
    flights = pd.read_parquet(ROOT / "examples/flights/data/holdout.parquet")
    keys = [c for c in flights if c == "flight_id" or pd.api.types.is_datetime64_any_dtype(flights[c])]
    return {
        "two floats and a label": floats,
        "flights of the example": flights.drop(columns=keys).head(ROWS),
        "12 categories of 3, dependent": dependent(12, 3),
        "8 categories of 5, dependent": dependent(8, 5),
        "6 categories of 5, dependent": dependent(6, 5),
        "8 categories of 3, one-hot": one_hot(8, 3),
        "5 categories of 4, one-hot": one_hot(5, 4),
    }


def copies(table: pd.DataFrame, *, natural: bool) -> float:
    """Share of rows that repeat an earlier one."""
    with duckdb.connect() as connection:
        connection.register("given", table.rename(columns=str).assign(pos=np.arange(len(table))))
        columns = [f'"{c}"' for c in table.columns]
        return float(repeated(connection, "given", columns, natural=natural).mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 draws, and 100,000 rows for the time")
    parser.add_argument("--draws", type=int, help="another number of draws")
    given = parser.parse_args()
    draws = given.draws or (20 if given.quick else 100)
    line: dict[str, object] = {"draws": draws}
    for rows in (500, 2_000):
        above, within = unmoved(draws, rows)
        print(f"joint drift, nothing moved, {rows:,} rows each: above 0.5 {above:.0%}, at most {LIMIT} {within:.0%}")
        line |= {f"false_alarms_{rows}": above, f"passed_{rows}": within}
    estimate, low = swapped(2_000)
    print(f"joint drift, two categories swapped, 2,000 rows each: {estimate:.2f}, from {low:.2f}")
    line["swapped_area"] = round(estimate, 3)
    rng = np.random.default_rng(3)
    for name, table in tables(rng).items():
        doubled = pd.concat([table, table.sample(frac=AGAIN, random_state=1)], ignore_index=True)
        shares = copies(table, natural=False), copies(table, natural=True), copies(doubled, natural=True)
        print(f"{name:>30}: equal {shares[0]:6.1%}, counted {shares[1]:6.1%}, counted doubled {shares[2]:6.1%}")
        line[name] = [round(s, 4) for s in shares]
    rows = 100_000 if given.quick else 1_000_000
    whole = pd.DataFrame(rng.normal(size=(rows, 30)))
    again = pd.concat([whole.head(round(rows / 1.4)), whole.head(rows - round(rows / 1.4))], ignore_index=True)
    for name, table in (("no", whole), ("29 % of", again)):
        started = time.perf_counter()
        copies(table, natural=True)
        seconds = time.perf_counter() - started
        print(f"{rows:,} rows of 30 columns, {name} copies: {seconds:.1f} s")
        line[f"seconds_{'none' if name == 'no' else 'copies'}"] = round(seconds, 1)
    print(json.dumps(line))
    return 0


if __name__ == "__main__":
    sys.exit(main())
