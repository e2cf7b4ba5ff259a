"""The flights of a year in the order of time: seasons as they were, and faults that begin at a known row.

The model is the example's, fitted on January to mid-April; what it is compared with are the days up to the end of May,
as the example stores them with a version: counted by day. Predictions are logged with two digits. Labels come six hours
after the departure. A look at which no row has come sees what the one before saw, and is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import special

from monitored.alarms import onsets
from monitored.peers import Peers
from monitored.screens import auc, drift_could_fail, running
from monitored.streams import EVERY
from weighin.contract import Check
from weighin.contract.checks import DriftRule
from weighin.contract.models import Contract
from weighin.contract.monitor import Monitor, Window
from weighin.data.cells import Cells
from weighin.data.profile import ColumnProfile, Profile
from weighin.data.profiling import profile
from weighin.data.relation import Relation
from weighin.monitor.evaluate import Champion, evaluate
from weighin.monitor.rules import Watched, watched
from weighin.outcome import Measurement, Status, decide
from weighin.stats.contrast import contrast
from weighin.stats.scored import Scored
from weighin.suites.drift import compared
from weighin.suites.sample import sample

COLUMNS = ("distance", "temp", "carrier", "prediction")
BEGIN = datetime(2013, 1, 1, tzinfo=UTC)
LATE = 72
"""Labels come so many times five minutes after the departure."""
WINDOW = 1000
RAMP = 14
"""Days until a ramp is complete."""


@dataclass(frozen=True)
class Year:
    """What came, in the order of time.

    values  column -> (n,) values; categories as text, missing numbers as NaN
    label   (n,) whether the flight was late
    slot    (n,) in which five minutes of the year it came
    before  the reference's profile; `reference` its values
    """

    values: dict[str, np.ndarray]
    label: np.ndarray
    slot: np.ndarray
    before: Profile
    reference: dict[str, np.ndarray]

    @cached_property
    def looks(self) -> np.ndarray:
        """(looks,) five minutes in which rows came, from the fourth window on."""
        slots, first = np.unique(self.slot, return_index=True)
        return slots[first >= 3 * WINDOW + WINDOW]

    def behind(self, looks: np.ndarray) -> np.ndarray:
        """(looks,) rows that have come by then."""
        return np.searchsorted(self.slot, looks, side="right")

    def labelled(self, looks: np.ndarray) -> np.ndarray:
        """(looks,) rows whose labels have come by then."""
        return np.searchsorted(self.slot, looks - LATE, side="right")

    def moment(self, look: int) -> datetime:
        """When the run is."""
        return BEGIN + EVERY * (look + 1)

    def window(self, window: Window, now: datetime, back: int, *, labelled: bool) -> pa.Table:
        """As `weighin.monitor.evaluate.Windows`; of rows only."""
        assert window.rows is not None
        look = np.array([round((now - BEGIN) / EVERY) - 1])
        end = int((self.labelled(look) if labelled else self.behind(look))[0]) - back * window.rows
        rows = slice(max(0, end - window.rows), max(0, end))
        table = {name: _arrow(self.values[name][rows]) for name in COLUMNS}
        n = len(table["prediction"])
        return pa.table(
            table
            | {
                "row": np.zeros(n, dtype=np.int64),
                "status": np.full(n, 200),
                "latency_ms": np.full(n, 10.0),
                "label": self.label[rows].astype(np.int64),
            }
        )

    def part(self, first: int, looks: int) -> tuple[Year, np.ndarray]:
        """The rows that so many runs from the one at `first` on can see, and these runs."""
        at = int(np.searchsorted(self.looks, first))
        taken = self.looks[at : at + looks]
        # Labels are late: their windows begin that much earlier.
        begin = max(0, int(self.labelled(taken[:1])[0]) - 4 * WINDOW)
        rows = slice(begin, int(self.behind(taken[-1:])[0]))
        values = {name: of[rows] for name, of in self.values.items()}
        return replace(self, values=values, label=self.label[rows], slot=self.slot[rows]), taken

    def changed(self, column: str, values: np.ndarray) -> Year:
        """The same year with another column."""
        return replace(self, values={**self.values, column: values})


def _arrow(values: np.ndarray) -> pa.Array:
    return pa.array(values, from_pandas=True)


def flights(rows: int) -> Year:
    """The year, scored by the example's model, which is fitted here on so many of its rows."""
    from scripts import train
    from scripts.build_example_data import WINDOWS
    from scripts.build_example_data import flights as read

    table, _ = read()
    begins, ends = (pd.Timestamp(d) for d in WINDOWS["train"])
    fitted = table[(table["day"] >= begins) & (table["day"] <= ends)].astype({"late": int})
    fitted = fitted.sample(n=min(rows, len(fitted)), random_state=0).sort_index()
    model = train.fit(fitted, "challenger", None, 0)
    table["prediction"] = np.round(model.predict_proba(table[list(train.CHALLENGER)])[:, 1], 2)
    since = (table["scheduled_departure"] - pd.Timestamp(BEGIN)) / pd.Timedelta(EVERY)
    slot = np.floor(since.to_numpy()).astype(np.int64)
    begins, ends = (pd.Timestamp(d) for d in WINDOWS["reference"])
    known = table[(table["day"] >= begins) & (table["day"] <= ends)]
    relation = Relation.over(pa.Table.from_pandas(known[[*COLUMNS, "day"]], preserve_index=False))
    before = profile(relation, dict.fromkeys(COLUMNS, 10), "day")
    values, reference = ({c: np.asarray(of[c]) for c in COLUMNS} for of in (table, known))
    return Year(values, table["late"].to_numpy(dtype=bool), slot, before, reference)


class Ours:
    """What `look` says of one check at any look, from counts: `decide` over the project's own measurement."""

    def __init__(self, year: Year, item: Watched) -> None:
        self._year, self._item = year, item
        self._known: dict[int, bool] = {}
        if item.kind == "drift":
            cells = year.before.columns[item.column].cells
            self._counted = running(_codes(year.values[item.column], cells), cells.count)
        else:
            level = np.round(100 * year.values["prediction"].astype(float)).astype(np.int64)
            self._counted = running(2 * level + year.label, 202)

    def alarms(self, looks: np.ndarray, windows: int, *, first: bool = False) -> np.ndarray:
        """(looks,) whether the check alarms; with `first` not beyond the first one."""
        ends = self._ends(looks)
        could = np.ones(len(looks), dtype=bool)
        for back in range(windows):
            left = np.flatnonzero(could)
            could[left] = self._could(ends[left] - back * WINDOW)
        found = np.zeros(len(looks), dtype=bool)
        for at in np.flatnonzero(could):
            found[at] = all(self._fails(int(ends[at]) - back * WINDOW) for back in range(windows))
            if first and found[at]:
                break
        return found

    def status(self, look: int) -> Status:
        """Of the newest window."""
        return decide(self._measured(int(self._ends(np.array([look]))[0])), self._item.limit).status

    def _ends(self, looks: np.ndarray) -> np.ndarray:
        return (self._year.labelled if self._item.kind == "metric" else self._year.behind)(looks)

    def _could(self, behind: np.ndarray) -> np.ndarray:
        counts = self._counted(behind - WINDOW, behind).astype(float)
        limit = self._item.limit
        if self._item.kind == "drift":
            before = self._year.before.columns[self._item.column].counts.sum(axis=0).astype(float)
            return drift_could_fail(before, counts, limit)
        area, error = auc(counts.reshape(len(counts), 101, 2))
        return area + 0.85 * float(special.ndtri(1 - limit.alpha)) * error < limit.value

    def _fails(self, behind: int) -> bool:
        if behind not in self._known:
            self._known[behind] = decide(self._measured(behind), self._item.limit).status is Status.FAILED
        return self._known[behind]

    def _measured(self, behind: int) -> Measurement:
        item, year = self._item, self._year
        rows, level = slice(behind - WINDOW, behind), 1 - item.limit.alpha
        if item.kind == "metric":
            scored = Scored(year.label[rows], year.values["prediction"][rows].astype(float), None, 0.3)
            found = contrast(item.metric, scored, None, None, level).interval
            return sample(Check(item.id, "monitor", item.limit, DriftRule("distance", "")), found, "", "rows", {})
        counts = self._counted(np.array([behind - WINDOW]), np.array([behind]))
        known = year.before.columns[item.column]
        now = ColumnProfile(known.kind, known.cells, counts, None, known.distinct, known.complete)
        after = Profile(WINDOW, None, "counts", True, year.before.table, {item.column: now})
        # Against a limit that nothing reaches: the p-value costs ten times as much as the rest, and decides nothing.
        check = Check(item.id, "monitor", replace(item.limit, value=1e9), item.rule)
        return compared(check, year.before, after, level, "rows", hidden=False)


def _codes(values: np.ndarray, cells: Cells) -> np.ndarray:
    """Each value's cell, as `weighin.data.cells` counts it."""
    if cells.kind == "number":
        numbers = values.astype(float)
        return np.where(np.isnan(numbers), cells.count - 1, np.searchsorted(cells.edges, numbers, side="right"))
    place = {c: min(i, cells.own) for i, c in enumerate(cells.categories)}
    return np.array([place.get(v, cells.own + 1) for v in values])


@dataclass(frozen=True)
class Fault:
    """What happens to one column from some row on.

    seen  the check that has to see it: a column's drift, or a metric
    """

    name: str
    column: str
    seen: str
    change: Callable[[np.ndarray], np.ndarray]


def _shuffled(values: np.ndarray) -> np.ndarray:
    return np.random.default_rng(3).permutation(values)


FAULTS = (
    Fault("distances in kilometres", "distance", "distance", lambda v: np.round(v * 1.609).astype(v.dtype)),
    Fault("temperatures in Celsius", "temp", "temp", lambda v: (v - 32) / 1.8),
    Fault("an airline's code is renamed", "carrier", "carrier", lambda v: np.where(v == "B6", "JBU", v)),
    Fault("probabilities doubled", "prediction", "prediction", lambda v: np.round(np.minimum(1.0, 2 * v), 2)),
    Fault("probabilities of other flights", "prediction", "roc_auc", _shuffled),
)


def faulty(year: Year, fault: Fault, begins: int, *, ramp: bool) -> Year:
    """The year with a fault from the run `begins` on; as a ramp it takes two weeks until all rows have it."""
    values = year.values[fault.column].copy()
    day = timedelta(days=1) / EVERY
    share = np.where(year.slot >= begins, 1.0, 0.0)
    if ramp:
        share = np.clip((year.slot - begins) / (RAMP * day), 0, 1)
    hit = np.random.default_rng(4).random(len(values)) < share
    changed = fault.change(values)
    return year.changed(fault.column, np.where(hit, changed, values))


def begins_of(year: Year, number: int) -> np.ndarray:
    """Looks at which faults begin, spread over the year, not in its first and last weeks."""
    day = round(timedelta(days=1) / EVERY)
    wanted = np.linspace(10 * day, 340 * day, number).astype(np.int64)
    return year.looks[np.searchsorted(year.looks, wanted)]


LIMITS = {"distance": 0.1, "temp": 5.0, "carrier": 0.1, "prediction": 1.2, "roc_auc": 0.6}
"""A tenth more than what three windows side by side all reached within the days of the reference (0.00, 4.5, 0.00 and
1.08), and no less than 0.1; for the area what they all kept (0.604). A window of 1,000 flights is about a day, which
has one weather: limits that are made for weeks are none for it."""
AFTER = 21
"""Days after a fault has begun in which it can be found; of a ramp as many after its end."""


def watching(contract: Contract) -> Contract:
    """With the limits above, on the last 1,000 rows or labels."""
    window = {"rows": WINDOW}
    watch: list[dict[str, object]] = [{"window": window, "drift_at_most": LIMITS[c], "columns": [c]} for c in COLUMNS]
    watch.append({"window": window, "metric": "roc_auc", "at_least": LIMITS["roc_auc"]})
    monitor = Monitor.model_validate({"log": {"path": "log"}, "watch": watch})
    return contract.model_copy(update={"monitor": monitor})


def items(contract: Contract) -> dict[str, Watched]:
    """What is watched: column, or metric -> the check."""
    return {i.column or i.metric: i for i in watched(contract, {}, COLUMNS)}


@dataclass(frozen=True)
class Season:
    """One check on the year as it was, without a fault: alarms that begin, looks with one, looks."""

    actor: str
    seen: str
    begun: int
    alarming: int
    looks: int


def season(year: Year, name: str, item: Watched, every: int) -> list[Season]:
    """Ours, and what others say of the same column at the same looks: every so many of them."""
    looks = year.looks[::every]
    found = {"weighin": Ours(year, item).alarms(looks, 3)}
    if item.kind == "drift":
        found |= Peers(year.values[name], year.reference[name]).alarms(year.behind(looks))
    return [Season(actor, name, onsets(a), int(a.sum()), len(a)) for actor, a in found.items()]


@dataclass(frozen=True)
class Delay:
    """Rows from the change to the first run with an alarm; None where none came in time.

    before  whether there was an alarm at the last run before the change: then nothing was found
    """

    actor: str
    fault: str
    ramp: bool
    rows: int | None
    before: bool


def delays(part: Year, looks: np.ndarray, number: int, item: Watched, ramp: bool) -> list[Delay]:
    """Of one of the faults that begins at the second of the runs."""
    fault = FAULTS[number]
    year = faulty(part, fault, int(looks[1]), ramp=ramp)
    begun = int(np.searchsorted(year.slot, looks[1]))
    ends = year.behind(looks)
    ours = Ours(year, item)
    found = {"weighin": np.concatenate([ours.alarms(looks[:1], 3), ours.alarms(looks[1:], 3, first=True)])}
    peers = Peers(year.values[fault.column], year.reference[fault.column])
    found |= peers.alarms(ends)
    notified = []
    for actor, alarming in found.items():
        first = np.flatnonzero(alarming[1:])
        rows = int(ends[1 + first[0]]) - begun if len(first) else None
        notified.append(Delay(actor, fault.name, ramp, rows, bool(alarming[0])))
    return notified


def same(year: Year, contract: Contract, number: int) -> tuple[int, int, int]:
    """At how many random looks each check was compared with `look`, with what it said, and with others' programs.

    Returns outcomes compared, those of them that differ, and answers of scipy and Evidently that differ.
    """
    listed = items(contract)
    looks = np.random.default_rng(5).choice(year.looks, number, replace=False)
    champion = Champion("1", "sha256:x", year.before, {})
    ours = {name: Ours(year, item) for name, item in listed.items()}
    differ = 0
    for at in looks:
        found = evaluate(contract, year, champion, year.moment(int(at)))
        alarming = {a.check for a in found.alarms}
        for item, outcome in zip(found.watched, found.outcomes, strict=True):
            one = ours[item.column or item.metric]
            status = one.status(int(at))
            alarm = bool(one.alarms(np.array([at]), 3)[0])
            differ += (status, alarm) != (outcome.status, item.id in alarming)
    others = sum(Peers(year.values[c], year.reference[c]).agrees(year.behind(looks)) for c in COLUMNS)
    return number * len(listed), differ, others
