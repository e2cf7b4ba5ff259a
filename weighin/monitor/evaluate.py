"""One run: windows of the prediction log in, one outcome a check out, and the alarms.

Rows of a window are independent of each other here, whatever the contract's `group`: the question is whether what now
answers still keeps the limit, and an hour has no days to count. A limit on drift has to leave room for what an ordinary
day does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from weighin.contract import Check
from weighin.contract.checks import ChangedRule
from weighin.contract.models import Contract
from weighin.contract.monitor import Window
from weighin.data.profile import Profile
from weighin.data.profiling import profile
from weighin.data.relation import Relation
from weighin.errors import NotEvaluated, WeighinError
from weighin.model.answers import COLUMN, prediction_columns
from weighin.model.labels import scored, truth_of
from weighin.monitor.alarm import Alarm, alarm, shared_alpha
from weighin.monitor.estimated_performance import estimate
from weighin.monitor.rules import Watched, columns_of, threshold, watched
from weighin.outcome import Measurement, Outcome, Unmeasured, census, decide
from weighin.prediction_log.tables import FAILED
from weighin.stats.contrast import contrast
from weighin.stats.intervals import Interval, Undefined, clopper_pearson
from weighin.stats.metrics import METRICS
from weighin.stats.scored import Scored
from weighin.suites.drift import compared, share_of_reference
from weighin.suites.sample import sample

ROW, STATUS, MILLISECONDS, LABEL, OTHER = "row", "status", "latency_ms", "label", "other"
ABOUT = (ROW, STATUS, MILLISECONDS, LABEL)
OWN = (*ABOUT, OTHER, COLUMN)
"""Columns of a window besides features; a feature of such a name has `f_` before it."""


class Windows(Protocol):
    """The prediction log, cut as a run needs it."""

    def window(self, window: Window, now: datetime, back: int, *, labelled: bool) -> pa.Table:
        """Return the rows of a window that ends at `now`, or of the one `back` places before it, without a row in
        common.

        labelled  those whose labels came last, or came in these hours: labels come late, and not for all rows
        Columns: features by name, and

        row           within the request; that with 0 stands for the request
        status, latency_ms  of the request, the same in all of its rows
        prediction    of several classes the name of the most probable one, and each one's in prediction_0, ...
        label         where one is known
        other         where there is a shadow: its prediction for the same row

        A request that failed has one row, without features and prediction.
        """

    def last(self, now: datetime) -> datetime | None:
        """Return the moment of the last request; None where there is none."""


@dataclass(frozen=True)
class Champion:
    """What the log is compared with.

    version, digest  of the registry
    profile          of the reference data and of the version's predictions on them
    baseline         metric -> value of its decision record
    since            when it became champion, this time; None where nobody knows
    """

    version: str
    digest: str
    profile: Profile
    baseline: Mapping[str, float]
    since: datetime | None = None


@dataclass(frozen=True)
class Evaluation:
    """What one run saw.

    outcomes   of the newest window of each check
    alarms     checks that failed in as many windows as the contract asks for
    estimates  of the newest window of each metric for which too few labels have come: what the probabilities let
               expect. They stand apart from the outcomes, of which alarms are made
    """

    moment: datetime
    champion: Champion
    outcomes: tuple[Outcome, ...]
    alarms: tuple[Alarm, ...]
    watched: tuple[Watched, ...]
    estimates: tuple[Outcome, ...] = ()


def evaluate(contract: Contract, log: Windows, champion: Champion, now: datetime) -> Evaluation:
    """Look at the log once. What cannot be measured is `not_evaluated`, and no alarm.

    Errors: `ContractError` for a contract that cannot be watched by this champion.
    """
    monitor = contract.monitor
    assert monitor is not None
    listed = watched(contract, champion.baseline, columns_of(contract, champion.profile.columns))
    held: dict[tuple[Window, int, bool], Seen] = {}

    def seen(window: Window, back: int, labelled: bool) -> Seen:
        key = (window, back, labelled)
        if key not in held:
            held[key] = Seen(contract, log, champion, now, *key)
        return held[key]

    outcomes, alarms = [], []
    for item in listed:
        row: list[Outcome] = []
        for back in range(monitor.evidence.consecutive_windows):
            if item.window is None:
                row.append(decide(_since(item, champion, log, now), item.limit))
                continue
            row.append(decide(seen(item.window, back, item.kind == "metric").measured(item), item.limit))
            # An older window is looked at only where the newer ones failed.
            if alarm([*row] * monitor.evidence.consecutive_windows, monitor.evidence) is None:
                break
        outcomes.append(row[0])
        found = alarm(row, monitor.evidence)
        alarms += [found] if found else []
    estimates = []
    for item in listed:
        if item.kind == "metric" and item.window is not None:
            labelled = seen(item.window, 0, True)
            if not labelled.labels_are_there:
                # Where the log is away it is not asked again.
                source = labelled if labelled.problem else seen(item.window, 0, False)
                estimates.append(decide(source.estimated(item), item.limit))
    return Evaluation(now, champion, tuple(outcomes), tuple(alarms), tuple(listed), tuple(estimates))


def _since(item: Watched, champion: Champion, log: Windows, now: datetime) -> Measurement | Unmeasured:
    """How long ago something was: exact, so one run is enough."""
    if champion.since is None:
        return Unmeasured(item.id, "nobody knows since when the version is champion")
    if item.kind == "age":
        days = (now - champion.since) / timedelta(days=1)
        return census(item.id, days, n=1, unit="days", method="since it became champion", sampling_unit="champion")
    try:
        last = log.last(now)
    except WeighinError as error:
        return Unmeasured(item.id, str(error))
    minutes = max(0.0, (now - (last or champion.since)) / timedelta(minutes=1))
    return census(item.id, minutes, n=1, unit="minutes", method="since the last request", sampling_unit="request")


class Seen:
    """One window, read once for all checks. `problem`: why it could not be read; empty where it was."""

    def __init__(
        self,
        contract: Contract,
        log: Windows,
        champion: Champion,
        now: datetime,
        window: Window,
        back: int,
        labelled: bool,
    ) -> None:
        self._contract, self._champion, self._window = contract, champion, window
        self.problem, self._rows = "", pa.table({})
        try:
            self._rows = log.window(window, now, back, labelled=labelled)
        except WeighinError as error:
            self.problem = str(error)
        self._profile: Profile | None = None

    def measured(self, item: Watched) -> Measurement | Unmeasured:
        """Return what a check finds here. Never an error: a window that cannot be read is no pass, and no alarm
        either.
        """
        if self.problem:
            return Unmeasured(item.id, self.problem)
        in_reply_to = {"errors": STATUS, "latency": MILLISECONDS}.get(item.kind)
        unit = "requests" if in_reply_to else "rows"
        there, least = (self._requests(in_reply_to) if in_reply_to else self._rows).num_rows, self._window.rows_at_least
        if there < least:
            return Unmeasured(item.id, f"{there} {unit} in the window, {least} are needed")
        try:
            if item.kind == "drift":
                return self._drift(item)
            interval, measured_in, detail = self._interval(item)
        except (WeighinError, Undefined) as error:
            return Unmeasured(item.id, str(error))
        check = Check(item.id, "monitor", item.limit, item.rule or ChangedRule())
        return sample(check, interval, measured_in, unit, detail)

    def estimated(self, item: Watched) -> Measurement | Unmeasured:
        """Return what a metric will be, from the predictions alone. Never an error."""
        name, task = f"{item.id}/estimate", self._contract.model.task
        if task != "binary" or self._contract.model.prediction.kind != "probability":
            return Unmeasured(
                name, f"no estimate: a {task} model that answers a {self._contract.model.prediction.kind} gives none"
            )
        if self.problem:
            return Unmeasured(name, f"no estimate: {self.problem}")
        rows, least = self._answered, self._window.rows_at_least
        if rows.num_rows < least:
            return Unmeasured(name, f"no estimate: {rows.num_rows} predictions in the window, {least} are needed")
        values = np.asarray(rows[COLUMN].to_numpy(), dtype=np.float64)
        try:
            found = estimate(item.metric, values, threshold(self._contract), 1 - item.limit.alpha)
        except Undefined as error:
            return Unmeasured(name, str(error))
        check = Check(name, "monitor", item.limit, ChangedRule())
        return sample(check, found, METRICS[item.metric].unit, "rows", {"estimate_of": item.metric})

    @property
    def labels_are_there(self) -> bool:
        """Whether there are as many rows with a prediction and a label as are needed."""
        return not self.problem and self._labelled.num_rows >= self._window.rows_at_least

    @property
    def _labelled(self) -> pa.Table:
        rows = self._answered
        return rows.filter(pc.is_valid(rows[LABEL])) if LABEL in rows.column_names else rows.slice(0, 0)

    def _requests(self, in_reply_to: str) -> pa.Table:
        """One row for each request of which something is known."""
        return self._rows.filter(pc.and_(pc.equal(self._rows[ROW], 0), pc.is_valid(self._rows[in_reply_to])))

    @property
    def _answered(self) -> pa.Table:
        return self._rows.filter(pc.is_valid(self._rows[COLUMN]))

    def _drift(self, item: Watched) -> Measurement:
        assert item.rule is not None
        before = self._champion.profile
        if self._profile is None:
            rows = self._answered
            features = {f"f_{name}": name for name in OWN if f"f_{name}" in rows.column_names}
            rows = rows.drop_columns([n for n in features.values() if n in rows.column_names])
            rows = rows.rename_columns(features) if features else rows
            bins = dict.fromkeys(before.columns, 1)
            self._profile = profile(Relation.over(rows), bins, None, like=before)
        check = Check(item.id, "monitor", item.limit, item.rule)
        known = self._contract.data.columns.get(item.column)
        hidden = known is not None and known.sensitive
        assert self._contract.monitor is not None
        windows = self._contract.monitor.evidence.consecutive_windows
        shared = share_of_reference(item.column, before, self._profile)
        level = 1 - shared_alpha(item.limit.alpha, windows, shared)
        return compared(check, before, self._profile, level, "rows", hidden=hidden)

    def _interval(self, item: Watched) -> tuple[Interval, str, dict[str, object]]:
        level = 1 - item.limit.alpha
        if item.kind == "errors":
            status = self._requests(STATUS)[STATUS]
            failed = int(pc.sum(pc.greater_equal(status, FAILED)).as_py() or 0)
            return clopper_pearson(failed, len(status), level), "share", {}
        if item.kind == "latency":
            took = self._requests(MILLISECONDS)[MILLISECONDS]
            quick = int(pc.sum(pc.less_equal(took, item.latency_ms)).as_py() or 0)
            return clopper_pearson(quick, len(took), level), f"share within {item.latency_ms:g} ms", {}
        rows = self._answered
        if item.kind == "disagreement":
            if OTHER not in rows.column_names:
                raise Undefined("no shadow answers the same rows")
            both = rows.filter(pc.is_valid(rows[OTHER]))
            if not both.num_rows:
                raise Undefined("no shadow answers the same rows")
            differ = self._decisions(both, COLUMN) != self._decisions(both, OTHER)
            return clopper_pearson(int(differ.sum()), both.num_rows, level), "share", {}
        labelled = self._labelled
        if labelled.num_rows < self._window.rows_at_least:
            raise Undefined(f"{labelled.num_rows} labels have come, {self._window.rows_at_least} are needed")
        found = contrast(item.metric, self._scored(labelled), None, None, level)
        return found.interval, METRICS[item.metric].unit, {"labels": labelled.num_rows}

    def _decisions(self, rows: pa.Table, column: str) -> np.ndarray:
        values = np.asarray(rows[column].to_numpy())
        return np.asarray(values >= threshold(self._contract)) if self._contract.model.task == "binary" else values

    def _scored(self, rows: pa.Table) -> Scored:
        model = self._contract.model
        names = prediction_columns(model.answers.width)
        score = np.column_stack([rows[name].to_numpy() for name in names])
        try:
            truth = truth_of(rows[LABEL], model, LABEL)
        except NotEvaluated as error:
            raise Undefined(error.fact) from error
        return scored(truth, score[:, 0] if len(names) == 1 else score, None, model, threshold(self._contract))
