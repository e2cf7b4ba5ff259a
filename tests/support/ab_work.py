"""An A/B test of twenty days with a real log and a real table of outcomes. Change what is planned, or what happened."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from support.contract_texts import watched
from weighin.ab_test.assignment import in_challenger
from weighin.ab_test.run import run
from weighin.cli import main
from weighin.contract import read_contract
from weighin.prediction_log.sinks import sink_for
from weighin.prediction_log.tables import LogTables

NOW = datetime.now(UTC)
SINCE = (NOW - timedelta(days=20)).replace(microsecond=0)
SUCCESS = {"outcome": "bought", "better_by": 0.0}
GUARDS = [
    {"outcome": "revenue", "kind": "mean", "cap": 50, "margin": 2},
    {"outcome": "clicks", "kind": "ratio", "denominator": "views", "margin": 0.1},
    {"outcome": "complaint", "lower_is_better": True, "margin": 0.05},
]
SCHEMA = pa.schema(
    [
        ("at", pa.timestamp("us", tz="UTC")),
        ("unit", pa.string()),
        ("outcome", pa.string()),
        ("value", pa.float64()),
    ]
)


_WRITTEN: dict[int, bytes] = {}
"""Files of SQLite that were written before, of the same units and outcomes."""


@dataclass
class Trial:
    """What is planned, and what happened: arrays by unit until `write` stores them.

    path      of the log
    outcomes  of the contract
    """

    folder: Path
    path: str = "log.sqlite"
    plan: dict[str, Any] = field(default_factory=dict)
    units: int = 3000
    seed: int = 0

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        n = self.units
        self.names = [f"u{i}" for i in range(n)]
        self.ours = in_challenger("ranker-2", self.names, 0.5)
        self.first = np.sort(random.uniform(0, 19.5, n))
        self.served = self.ours.copy()
        self.happened = {
            "bought": np.where(random.random(n) < np.where(self.ours, 0.35, 0.25), 1.0, 0.0),
            "revenue": random.gamma(2, 10, n),
            "views": 1.0 + random.poisson(4, n),
            "clicks": np.zeros(n),
            "complaint": (random.random(n) < 0.05).astype(float),
        }
        self.happened["clicks"] = random.binomial(self.happened["views"].astype(int), 0.3).astype(float)

    def rename(self, names: list[str]) -> None:
        """Give units other names: the hash then puts them into other arms, and so does what happened to them."""
        self.names = names
        self.ours = in_challenger("ranker-2", names, 0.5)
        self.served = self.ours.copy()
        random = np.random.default_rng(self.seed)
        self.happened["bought"] = np.where(random.random(self.units) < np.where(self.ours, 0.35, 0.25), 1.0, 0.0)

    @property
    def contract(self) -> Path:
        test = {
            "name": "ranker-2",
            "outcome_days": 3,
            "delay_hours": 1,
            "success": SUCCESS,
            "guards": GUARDS,
            **self.plan,
        }
        given = watched(self.path, ab_test=test)
        path = self.folder / "model_contract.yaml"
        path.write_text(yaml.safe_dump(given))
        return path

    def write(self, **other: Any) -> Trial:
        """Log a request of each unit, and what came of it an hour later. `other`: columns of the log for all rows."""
        place = self.folder / self.path
        values = (
            self.names,
            self.first.tolist(),
            self.served.tolist(),
            {k: v.tolist() for k, v in self.happened.items()},
        )
        key = hash(repr((self.path, values, other)))
        if key in _WRITTEN:
            place.write_bytes(_WRITTEN[key])
            return self
        self.log(self.served, **other)
        self.write_outcomes(self.rows())
        if place.is_file():
            self.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            _WRITTEN[key] = place.read_bytes()
        return self

    def log(self, served: np.ndarray, chosen: Sequence[int] | None = None, **other: Any) -> None:
        """Log requests of units, all or the chosen ones; `served`: whether the challenger answered each of all."""
        tables = LogTables.of(read_contract(self.contract))
        places = list(range(self.units)) if chosen is None else list(chosen)
        n = len(places)
        rows: dict[str, Any] = {
            "at": [SINCE + timedelta(days=float(self.first[i])) for i in places],
            "request": [f"r{i}-{int(served[i])}" for i in places],
            "row": [0] * n,
            "model": ["m"] * n,
            "version": ["8" if served[i] else "7" for i in places],
            "digest": ["sha256:" + ("8" if served[i] else "7") * 64 for i in places],
            "role": ["canary" if served[i] else "champion" for i in places],
            "status": [200] * n,
            "latency_ms": [5.0] * n,
            "unit": [self.names[i] for i in places],
            "prediction": [0.5] * n,
            "f_a": [0.5] * n,
        }
        rows |= {name: [value] * n if not isinstance(value, list) else value for name, value in other.items()}
        with contextlib.closing(sink_for(tables)) as sink:
            sink.write(tables.predictions, pa.table(rows, schema=tables.schema))

    def rows(self) -> list[dict[str, Any]]:
        """Return outcomes, and one of each name that shows that its feed is alive."""
        found = [
            {
                "at": SINCE + timedelta(days=float(self.first[i]), hours=1),
                "unit": unit,
                "outcome": name,
                "value": float(v),
            }
            for name, values in self.happened.items()
            for i, (unit, v) in enumerate(zip(self.names, values, strict=True))
            if v
        ]
        alive = NOW - timedelta(hours=1, minutes=5)
        return found + [{"at": alive, "unit": "-", "outcome": name, "value": 0.0} for name in self.happened]

    def write_outcomes(self, rows: list[dict[str, Any]], name: str = "") -> None:
        """Append outcomes to the table beside the log, or write a file of a name."""
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        if name.endswith(".csv"):
            import pyarrow.csv

            text = table.set_column(0, "at", pa.array([r["at"].isoformat() for r in rows]))
            pyarrow.csv.write_csv(text, self.folder / name)
        elif name:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, self.folder / name)
        elif self.path.endswith(".sqlite"):
            self.execute("CREATE TABLE IF NOT EXISTS weighin_outcomes (at TEXT, unit TEXT, outcome TEXT, value REAL)")
            values = [(f"{r['at']:%Y-%m-%d %H:%M:%S.%f}", r["unit"], r["outcome"], r["value"]) for r in rows]
            with contextlib.closing(sqlite3.connect(self.folder / self.path)) as log, log:
                log.executemany("INSERT INTO weighin_outcomes VALUES (?, ?, ?, ?)", values)
        else:
            day = self.folder / self.path / "weighin_outcomes" / f"day={NOW:%Y-%m-%d}"
            for number, when in enumerate(sorted({r["at"].date() for r in rows})):
                part = pa.Table.from_pylist([r for r in rows if r["at"].date() == when], schema=SCHEMA)
                place = day.with_name(f"day={when:%Y-%m-%d}") / f"{len(rows)}-{number}.parquet"
                place.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(part, place)

    def execute(self, statement: str) -> None:
        """Change a log in SQLite by hand."""
        with contextlib.closing(sqlite3.connect(self.folder / self.path)) as log, log:
            log.execute(statement)

    def evaluate(self, now: datetime = NOW, previous: Any = None, version: str = "8") -> dict[str, Any]:
        """Return the record of an evaluation."""
        return run(read_contract(self.contract), version, SINCE, now, previous)

    def command(self, *more: str, version: str = "8") -> int:
        """Run the command line as a schedule does; returns its exit code."""
        line = ["ab", "evaluate", "--contract", str(self.contract), "--version", version, "--since", SINCE.isoformat()]
        return main([*line, "--out", str(self.out), *more])

    @property
    def out(self) -> Path:
        return self.folder / "ab"

    def record(self) -> dict[str, Any]:
        """Return what the command wrote."""
        value: dict[str, Any] = json.loads((self.out / "ab.json").read_text())
        return value
