"""The last releases beside the candidate, where the record knows them."""

from __future__ import annotations

from dataclasses import dataclass

from weighin.record.metrics import candidate_metrics
from weighin.report.numbers import fixed
from weighin.report.sentences import metric_name
from weighin.untrusted import JsonObject

PLACES = 3
WORDS = {"promote": "", "rollback": ", rolled back to", "adopt": ", there before the ledger"}
ELSEWHERE = "*"


@dataclass(frozen=True)
class Trend:
    """A row for each release, the oldest first and the candidate last; a column for each metric.

    rows  name, day, values; a value on another holdout than today's is marked
    note  what the mark means; empty where there is none
    """

    metrics: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[str, ...]], ...]
    note: str


def trend(record: JsonObject, candidate: str) -> Trend | None:
    """Return the last releases of a record; None where it knows of none.

    candidate  its name for the last row
    """
    known = record.get("releases", ())
    own = candidate_metrics(record)
    if not known or not own:
        return None
    holdout = str(record["data"].get("holdout", {}).get("sha256", ""))
    rows, marked = [], False
    for one in known:
        elsewhere = one["holdout"] != holdout and bool(one["metrics"])
        marked |= elsewhere
        values = tuple(_value(one["metrics"].get(m), elsewhere=elsewhere) for m in own)
        rows.append((f"version {one['version']}{WORDS[one['action']]}", str(one["day"]), values))
    rows.append((f"{candidate}, the candidate", str(record["run"]["created"])[:10], tuple(map(_value, own.values()))))
    note = f"{ELSEWHERE} on another holdout than today's" if marked else ""
    return Trend(tuple(map(metric_name, own)), tuple(rows), note)


def _value(value: float | None, *, elsewhere: bool = False) -> str:
    return "not known" if value is None else f"{fixed(float(value), PLACES)}{ELSEWHERE if elsewhere else ''}"
