"""A contract that has every rule of the data quality gate, data that keep them all, and ways to break each one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from support.suite_work import DAYS, ROWS, Work, frame

PREFIX = "data_quality/holdout/"
CONTRACT = """\
version: 1
as_of: 2013-07-11T12:00:00Z
model: {name: m, task: binary, target: late}
group: day
data:
  holdout: holdout.parquet
  training: train.parquet
  columns:
    id: {type: integer, role: key, unique: true}
    at: {type: timestamp, role: time, time_zone: UTC, order: increasing}
    day: {type: date, role: group}
    late: {type: integer, role: target, allowed: [0, 1]}
    distance: {type: integer, minimum: 50, maximum: 6000}
    carrier: {type: string, allowed: [AA, UA, B6]}
    temp: {type: float, minimum: -20, maximum: 115, missing_at_most: 0.1}
    dest: {type: string, pattern: "[A-Z]{3}"}
    seat: {type: integer, rules: [{name: aa, when: "carrier = 'AA'", maximum: 49}]}
    start: {type: integer}
    end: {type: float}
    direct: {type: boolean}
gates:
  data_quality:
    rows_at_least: 1000
    rows_at_most: 2000
    unique_together: [[day, seat]]
    compare:
      - {column: end, at_least: start, share_at_most: 0.01}
      - {column: end, greater_than: seat, severity: warn}
    references:
      - {column: dest, table: airports.parquet, key: code}
    fresh:
      - {column: at, hours_at_most: 48}
"""


@dataclass
class QualityWork(Work):
    """As `Work`, with a table of airports and training data beside the holdout."""

    airports: list[str] = field(default_factory=lambda: ["JFK", "SFO", "ORD"])

    def __post_init__(self) -> None:
        super().__post_init__()
        self.contract = CONTRACT
        rng = np.random.default_rng(11)
        self.frames = {"holdout": wide(self.frames["holdout"], rng), "train": wide(frame(rng), rng)}
        # Training data lie before the holdout, so that no row of them can be found in it.
        self.frames["train"]["at"] -= pd.Timedelta(days=365)
        self.frames["train"]["day"] = [d.replace(year=2012) for d in self.frames["train"]["day"]]
        self.scores = {}

    @property
    def holdout(self) -> pd.DataFrame:
        """The data that are judged."""
        return self.frames["holdout"]

    def write(self) -> QualityWork:
        """Write all of it."""
        pd.DataFrame({"code": self.airports}).to_parquet(self.folder / "airports.parquet", index=False)
        super().write()
        return self


def wide(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """More columns, for rules about more than one."""
    start = rng.integers(300, 900, ROWS)
    more = {
        "dest": rng.choice(["JFK", "SFO", "ORD"], ROWS),
        "seat": np.arange(ROWS) % (ROWS // DAYS),
        "start": start,
        "end": start + rng.integers(30, 300, ROWS).astype(np.float64),
        "direct": rng.random(ROWS) < 0.5,
    }
    return table.assign(**more)


def _set(column: str, row: int, value: object) -> Callable[[QualityWork], None]:
    def change(work: QualityWork) -> None:
        if value is None:
            work.holdout[column] = work.holdout[column].astype(object)
        work.holdout.loc[row, column] = value

    return change


def _as_text(column: str) -> Callable[[QualityWork], None]:
    def change(work: QualityWork) -> None:
        work.holdout[column] = work.holdout[column].astype(str)

    return change


def _zone(zone: str | None) -> Callable[[QualityWork], None]:
    def change(work: QualityWork) -> None:
        at = work.holdout["at"].dt
        work.holdout["at"] = at.tz_localize(None) if zone is None else at.tz_convert(zone)

    return change


def _gaps(work: QualityWork) -> None:
    work.holdout.loc[:300, "temp"] = np.nan


def _late_ends(rows: int) -> Callable[[QualityWork], None]:
    def change(work: QualityWork) -> None:
        work.holdout.loc[: rows - 1, "end"] = work.holdout["start"] - 1

    return change


def _stale(work: QualityWork) -> None:
    work.holdout["at"] -= pd.Timedelta(days=3)


def _tomorrow(work: QualityWork) -> None:
    work.holdout.loc[ROWS - 1, "at"] = pd.Timestamp("2013-07-11T12:00:01Z")


def _back(work: QualityWork) -> None:
    work.holdout.loc[7, "at"] -= pd.Timedelta(minutes=1)


def _leaked(work: QualityWork) -> None:
    work.frames["train"] = pd.concat([work.frames["train"], work.holdout.tail(2).assign(id=[-1, -2])])


def _strange_airport(work: QualityWork) -> None:
    work.holdout.loc[3, "dest"] = "JFk"
    work.airports += ["JFk"]


def _few(work: QualityWork) -> None:
    work.frames["holdout"] = work.holdout.iloc[::3]


def _many(work: QualityWork) -> None:
    more = work.holdout.tail(1).assign(id=-1, seat=-1)
    work.frames["holdout"] = pd.concat([work.holdout, more], ignore_index=True)


def _far_dates(work: QualityWork) -> None:
    work.holdout.loc[0, "day"] = date(1, 1, 1)
    work.holdout.loc[1, "day"] = date(9999, 12, 31)


def _no_temp(work: QualityWork) -> None:
    del work.frames["holdout"]["temp"]


def _one_is_missing(work: QualityWork) -> None:
    work.holdout["seat"] = work.holdout["seat"].astype("Int64")
    work.holdout.loc[1_000, "seat"] = pd.NA


def _no_such_seat(work: QualityWork) -> None:
    work.holdout.loc[work.holdout.index[work.holdout["carrier"] == "AA"][0], "seat"] = 50


def _rows_again(work: QualityWork) -> None:
    again = work.holdout.columns.difference(["id", "at"])
    work.holdout.loc[1_001:1_041, again] = work.holdout.loc[1:41, again].to_numpy()


def _learnt_late(work: QualityWork) -> None:
    work.frames["train"].loc[0, "at"] = work.holdout["at"].min()


# One broken thing -> the checks that must be red, and no other.
BROKEN: dict[str, tuple[Callable[[QualityWork], None], set[str]]] = {
    "too far": (_set("distance", 3, 6001), {"distance/range"}),
    "a stranger": (_set("carrier", 3, "XX"), {"carrier/allowed"}),
    "a third label": (_set("late", 3, 2), {"late/allowed"}),
    "many gaps": (_gaps, {"temp/missing"}),
    "one gap": (_set("carrier", 3, None), {"carrier/missing"}),
    "a whole number is missing": (_one_is_missing, {"seat/missing"}),
    "an answer is missing": (_set("direct", 3, None), {"direct/missing"}),
    "infinity": (_set("temp", 3, np.inf), {"temp/range"}),
    "minus infinity": (_set("temp", 3, -np.inf), {"temp/range"}),
    "twice": (_set("id", 3, 4), {"id/unique"}),
    "another zone": (_zone("America/New_York"), {"at/time_zone"}),
    "text for a number": (_as_text("distance"), {"distance/type", "distance/range", "training_rows"}),
    "text for a truth": (_as_text("direct"), {"direct/type", "training_rows"}),
    "text for a time": (
        _as_text("at"),
        {"at/type", "at/time_zone", "at/order", "fresh/at", "future/at", "training_overlap"},
    ),
    "another pattern": (_strange_airport, {"dest/pattern"}),
    "a line end": (_set("dest", 3, "JFK\n"), {"dest/pattern", "reference/dest"}),
    "unknown airport": (_set("dest", 3, "XXX"), {"reference/dest"}),
    "a seat twice": (_set("seat", 1, 0), {"unique_together/day+seat"}),
    "a seat that AA has not": (_no_such_seat, {"seat/range/aa"}),
    "rows again under new keys": (_rows_again, {"copies", "unique_together/day+seat"}),
    "learnt in the holdout's time": (_learnt_late, {"training_overlap"}),
    "ends before it starts": (_late_ends(21), {"compare/end>=start"}),
    "a late end": (_set("end", 3, -1.0), {"compare/end>seat"}),
    "stale": (_stale, {"fresh/at"}),
    "tomorrow": (_tomorrow, {"future/at"}),
    "a minute back": (_back, {"at/order"}),
    "learnt before": (_leaked, {"training_rows", "training_overlap"}),
    "too few": (_few, {"rows"}),
    "too many": (_many, {"rows_at_most"}),
    "a column is gone": (
        _no_temp,
        {"temp/exists", "temp/type", "temp/missing", "temp/range", "training_rows", "copies"},
    ),
}
# What may be.
SOUND: dict[str, Callable[[QualityWork], None]] = {
    "as it is": lambda work: None,
    "a few ends too early": _late_ends(20),
    "years 1 and 9999": _far_dates,
    "smaller types": lambda work: work.frames.__setitem__(
        "holdout", work.holdout.astype({"late": "uint8", "temp": "float32", "seat": "int16", "carrier": "category"})
    ),
}


def broken(folder: Path, name: str) -> tuple[QualityWork, set[str]]:
    """Work in which one thing is broken, and what must be red."""
    change, red = BROKEN[name]
    work = QualityWork(folder)
    change(work)
    return work.write(), red
