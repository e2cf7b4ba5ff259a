"""Windows of a prediction log for one run: the champion's rows since its promotion, and the shadow's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from weighin.contract.models import Contract
from weighin.contract.monitor import Window
from weighin.model.answers import COLUMN, Floats
from weighin.monitor.evaluate import ABOUT, OTHER, OWN
from weighin.prediction_log.reader import Faults, Found, Kind, Log
from weighin.stats.scored import Bools

MOST_ROWS = 200_000
"""Of one window: memory and time of a run have a bound."""


class LoggedWindows:
    """The `Windows` of one evaluation of a log. Every window is read once; they are held until the run is over.

    version  whose answers as champion are looked at
    since    when it became champion, this time: it is not judged by an earlier promotion. None where nobody knows
    classes  names of the classes, where there are more than two
    shadow   whether a shadow's answers are looked up: it doubles what a run costs
    """

    def __init__(
        self,
        log: Log,
        version: str,
        since: datetime | None,
        *,
        classes: Sequence[object] = (),
        shadow: bool = True,
        most_rows: int = MOST_ROWS,
    ) -> None:
        self._log, self._version, self._since = log, version, since
        self._classes, self._shadow, self._most = tuple(map(str, classes)), shadow, most_rows
        self._read: dict[tuple[Window, datetime, int, bool], pa.Table] = {}
        self._faults: list[Faults] = []
        self._cut: dict[str, None] = {}

    @staticmethod
    def of(contract: Contract, log: Log, version: str, since: datetime | None) -> LoggedWindows:
        """As the contract has it: a shadow is looked up where disagreement is watched."""
        watch = contract.monitor.watch if contract.monitor else ()
        shadow = any(w.disagreement_at_most is not None for w in watch)
        return LoggedWindows(log, version, since, classes=contract.model.classes, shadow=shadow)

    @property
    def faults(self) -> Faults:
        """What was left out, of each kind as much as the read that left out most: windows share rows."""
        return Faults(
            **{f.name: max((getattr(one, f.name) for one in self._faults), default=0) for f in fields(Faults)}
        )

    @property
    def messages(self) -> tuple[str, ...]:
        """What was left out, for people."""
        return (*self.faults.messages, *self._cut)

    def window(self, window: Window, now: datetime, back: int, *, labelled: bool) -> pa.Table:
        """As `weighin.monitor.evaluate.Windows`; oldest first. Errors: `NotEvaluated` when the log cannot be read."""
        return self._looked_at(self._rows(window, now, back, labelled), now, labelled)

    def last(self, now: datetime) -> datetime | None:
        """As `weighin.monitor.evaluate.Windows`. Errors: `NotEvaluated` when the log cannot be read."""
        found = self._log.last_rows(1, now, version=self._version, since=self._since).rows
        moment: datetime | None = found["at"][0].as_py() if found.num_rows else None
        return moment

    def _rows(self, window: Window, now: datetime, back: int, labelled: bool) -> pa.Table:
        """Rows of the log."""
        key = (window, now, back, labelled)
        if key not in self._read:
            kind: Kind = "labelled" if labelled else "all"
            if window.rows is None:
                self._read[key] = self._hours(window, now, back, kind)
            else:
                self._read[key] = self._newest(window, now, back, kind)
        return self._read[key]

    def _hours(self, window: Window, now: datetime, back: int, kind: Kind) -> pa.Table:
        assert window.hours is not None
        found = self._log.last_hours(
            window.hours, now, self._most, version=self._version, kind=kind, since=self._since, back=back
        )
        self._keep(found, window, cut=found.cut)
        return found.rows

    def _newest(self, window: Window, now: datetime, back: int, kind: Kind) -> pa.Table:
        """Rows before those of the windows after it, which may begin within a moment that has more rows."""
        assert window.rows is not None
        n = min(window.rows, self._most)
        newer = [self._rows(window, now, b, kind == "labelled") for b in range(back)]
        if newer and newer[-1].num_rows < n:
            return newer[-1].slice(0, 0)
        until, given = None, None
        if newer:
            by = "label_at" if kind == "labelled" else "at"
            until = newer[-1][by][0].as_py()
            given = pa.concat_tables([rows.filter(pc.equal(rows[by], newer[-1][by][0])) for rows in newer])
        found = self._log.last_rows(
            n + (0 if given is None else given.num_rows),
            now,
            version=self._version,
            kind=kind,
            since=self._since,
            until=until,
        )
        self._keep(found, window, cut=window.rows > n)
        rows = found.rows
        if given is not None:
            rows = rows.filter(pa.array(_places(given, rows) < 0))
        return rows.slice(max(0, rows.num_rows - n))

    def _keep(self, found: Found, window: Window, *, cut: bool) -> None:
        self._faults.append(found.faults)
        if cut:
            self._cut[f"of {window.name} only the newest {self._most:,} rows were looked at"] = None

    def _looked_at(self, rows: pa.Table, now: datetime, labelled: bool) -> pa.Table:
        """With the names that a run knows."""
        tables = self._log.tables
        columns = {f"f_{name}" if name in OWN else name: rows[column] for name, column in tables.columns.items()}
        columns |= {name: rows[name] for name in ABOUT}
        columns |= {name: _finite(rows[name]) for name in tables.outputs}
        columns[COLUMN] = self._predictions(rows)
        if self._shadow and not labelled:
            columns[OTHER] = self._beside(rows, now)
        return pa.table(columns)

    def _predictions(self, rows: pa.Table) -> pa.ChunkedArray | pa.Array:
        """Return the prediction; of several classes the name of the most probable one, of equal ones the first."""
        outputs = self._log.tables.outputs
        if len(outputs) == 1:
            return _finite(rows[outputs[0]])
        values: Floats = np.column_stack([rows[name].to_numpy() for name in outputs]).astype(np.float64)
        known: Bools = np.asarray(np.isfinite(values).all(axis=1))
        names = np.array(self._classes or tuple(map(str, range(len(outputs)))), dtype=object)
        best = np.where(known[:, None], values, 0).argmax(axis=1)
        return pa.array(names[best], type=pa.string(), mask=~known)

    def _beside(self, rows: pa.Table, now: datetime) -> pa.ChunkedArray | pa.Array:
        """Return what the shadow predicted for the same request and row; missing where it did not."""
        found = self._log.beside(rows, now, version=self._version)
        self._faults.append(found.faults)
        values = self._predictions(found.rows)
        place = _places(found.rows, rows)
        if not len(values):
            return pa.nulls(rows.num_rows, values.type)
        return values.take(pa.array(np.where(place < 0, 0, place), mask=place < 0))


def _finite(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Take what is no number for no prediction."""
    return pc.if_else(pc.is_finite(values), values, None)


def _places(among: pa.Table, rows: pa.Table) -> np.ndarray:
    """For each row, where the one with its request and number stands among others; -1 where it does not."""
    index = pd.MultiIndex.from_frame(among.select(["request", "row"]).to_pandas())
    keys = pd.MultiIndex.from_frame(rows.select(["request", "row"]).to_pandas())
    return index.get_indexer(keys) if among.num_rows else np.full(rows.num_rows, -1)
