"""Which rows are the reference, the holdout and the current data of a draft."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from weighin.init.tables import Table

DAYS = 4
"""Fewer days are not split."""


@dataclass(frozen=True)
class Split:
    """What the contract says of each dataset, what is left open, and whether drift can be measured."""

    data: dict[str, object]
    questions: tuple[str, ...] = ()

    @property
    def drift(self) -> bool:
        """Whether there is something to compare."""
        return "reference" in self.data


def split(data: Table, reference: Table | None, training: Table | None, time: str) -> Split:
    """Return the datasets: two files as they are, what the model learnt from as the
    reference, one file by its time, or the holdout alone.
    """
    last: dict[str, object] = {"training": training.path} if training else {}
    asked = (
        ()
        if training
        else ("training: FILE.parquet    # what the model learnt from; none of it may be in the holdout",)
    )
    if reference is not None:
        whole = {"reference": _source(reference), "holdout": _source(data), "current": _source(data)}
        return Split({**whole, **last}, asked)
    if training is not None:
        whole = {"reference": _source(training), "holdout": _source(data), "current": _source(data)}
        return Split({**whole, **last})
    days = _days(data.sample[time]) if time else []
    if len(days) >= DAYS:
        middle = days[len(days) // 2]
        first = {"from": days[0], "to": middle}
        second = {"from": middle, "to": days[-1] + timedelta(days=1)}
        known = {"reference": first, "holdout": second, "current": second}
        return Split({**{k: _source(data, w) for k, w in known.items()}, **last}, asked)
    more = (
        "reference: FILE.parquet   # earlier rows, and",
        "current: FILE.parquet     # those of now: without the two no drift is measured",
    )
    return Split({"holdout": _source(data), **last}, (*more, *asked))


def _days(values: pa.ChunkedArray) -> list[date]:
    """Return the day of each row that has one, in order: half of the rows lie before the middle one."""
    if pa.types.is_timestamp(values.type):
        # Without a zone it is UTC, as everywhere.
        values = values.cast(pa.timestamp("us", tz=values.type.tz)).cast(pa.timestamp("us"))
    days = pc.cast(values, pa.date32(), safe=False).drop_null().sort().to_pylist()
    return days if len(set(days)) >= DAYS else []


def _source(table: Table, window: dict[str, date] | None = None) -> object:
    if not table.source and window is None:
        return table.path
    return {"path": table.path, **table.source, **({"window": window} if window else {})}
