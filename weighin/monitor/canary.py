"""One evaluation of a canary: may its share of the traffic grow, must it go, or is it to be waited?

A run is one of many, so each answer has an error of its own.

*Pass.* What is decided on is fixed before: the first n requests of the step, and the first n labels, with
n = `rows_at_least`, then 2n, 4n, ... At the k-th of these points (k = 0, 1, ...) every interval is made at the level
1 - alpha / 2 ** (k + 1), and all have to lie within their limits. Runs between two points see the same rows and give
the same answer, so that it does not matter how often somebody looks; and a canary that truly breaks a limit passes
that limit at some point with probability at most alpha / 2 + alpha / 4 + ... < alpha (union bound), at all limits
together with no more (Berger 1982). Rows count once they are `SETTLED` old: writers store them in batches.

*Fail.* The rule of the monitor's alarms (`weighin.monitor.alarm`): as many windows in a row as the contract asks for,
the newest ones, without a row in common, in each of which the same limit is broken for sure.

All else is *inconclusive*, and moves nothing. The same version may begin a step anew (another `since`): that is another
trial, with an error of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from weighin.contract import Check
from weighin.contract.canary import Canary
from weighin.contract.checks import ChangedRule
from weighin.contract.models import Contract
from weighin.contract.shadow import BLOCK
from weighin.contract.sources import Span
from weighin.errors import ContractError, NotEvaluated
from weighin.model.answers import COLUMN
from weighin.monitor.alarm import alarm, window_alpha
from weighin.outcome import Direction, Limit, Measurement, Outcome, Status, Unmeasured, decide
from weighin.prediction_log.reader import Found, Log
from weighin.prediction_log.tables import FAILED
from weighin.stats.contrast import contrast
from weighin.stats.intervals import Interval, Undefined, clopper_pearson, difference_of_shares
from weighin.stats.latency import Moments, quantile, ratio
from weighin.stats.metrics import METRICS
from weighin.stats.scored import Scored
from weighin.suites.sample import sample

SETTLED = timedelta(minutes=2)
"""Younger rows may still be on their way into the log."""
MOST = 50_000
"""Requests, or labels, of a canary that are decided on at most. A step that they leave open stays so."""
ROWS_AT_MOST = 200_000
"""Of the champion in a span; of more the newest. Of a canary there must not be more."""
WINDOW_AT_LEAST = 100
"""Requests, or labels, of a window that can fail."""


class Answer(StrEnum):
    """What one run says of a step."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Canaried:
    """What a run saw, and says.

    share     of the step that was looked at
    next_share  the share to move to: the next step, 0 after a fail, None for none
    outcomes  of the point that was decided on, or of the newest windows after a fail
    requests  of the canary in the step so far, and `traffic` of it and the champion together
    """

    answer: Answer
    share: float
    next_share: float | None
    outcomes: tuple[Outcome, ...]
    requests: int
    traffic: int
    reason: str


def point(n: int, rows_at_least: int) -> int | None:
    """Return the number k of the last point that n requests complete; None before the first.

    >>> [point(n, 100) for n in (99, 100, 199, 200, 799, 10**9)]
    [None, 0, 0, 1, 2, 8]
    """
    if n < rows_at_least:
        return None
    return (min(n, max(MOST, rows_at_least)) // rows_at_least).bit_length() - 1


def point_alpha(alpha: float, k: int) -> float:
    """One-sided error of every interval at point k: the sum over all of them is below `alpha`."""
    return alpha / 2.0 ** (k + 1)


def canary(contract: Contract, log: Log, version: str, share: float, since: datetime, now: datetime) -> Canaried:
    """Evaluate once.

    version  of the canary; whichever version has the role `champion` is what it is compared with
    share    the step of now, and `since` when it began
    Errors: `ContractError` for a share that is no step; `NotEvaluated` when the log is away, or the step cannot be
    judged by it.
    """
    spec = contract.monitor.canary if contract.monitor else None
    if spec is None:
        raise ContractError("the contract has no `monitor.canary`", "", "Say which steps there are.")
    if share not in spec.steps:
        shown = ", ".join(f"{s:g}" for s in spec.steps)
        raise ContractError(f"{share:g} is no step", "monitor.canary.steps", f"There are {shown}.")
    if share == 1:
        raise NotEvaluated(
            "all of the traffic goes to the canary: nobody is left to compare it with",
            "monitor.canary",
            "Promote it, or move back.",
        )
    seen = _Seen(contract, spec, log, version, since, now - SETTLED)
    failed = seen.failed()
    if failed:
        reason = (
            f"{failed[0].check} is broken in each of the last {contract.monitor.evidence.consecutive_windows} windows"  # type: ignore[union-attr]
        )
        return Canaried(Answer.FAIL, share, 0.0, tuple(failed), seen.requests, seen.traffic, reason)
    outcomes, reason = seen.decided()
    passed = bool(outcomes) and all(o.status is Status.PASSED for o in outcomes)
    later = [s for s in spec.steps if s > share]
    then = (later[0] if later else None) if passed else None
    answer = Answer.PASS if passed else Answer.INCONCLUSIVE
    return Canaried(answer, share, then, tuple(outcomes), seen.requests, seen.traffic, reason)


@dataclass(frozen=True)
class Asked:
    """One limit, and what it is about."""

    id: str
    kind: str
    value: float

    @property
    def labelled(self) -> bool:
        """Whether it is about rows whose labels have come, by the time at which they came."""
        return self.kind == "metric"


def asked(spec: Canary) -> list[Asked]:
    """Return the limits of a canary."""
    name = f"canary/p{100 * spec.quantile:g}"
    listed = (
        ("canary/errors", "errors", spec.error_rate_increase_at_most),
        (f"canary/{spec.metric}", "metric", spec.metric_drop_at_most),
        (f"{name}/vs-champion", "slower", spec.latency_ratio_at_most),
        (name, "latency_ms", spec.latency_ms_at_most),
    )
    return [Asked(name, kind, value) for name, kind, value in listed if value is not None]


class _Seen:
    """The log of one step."""

    def __init__(
        self, contract: Contract, spec: Canary, log: Log, version: str, since: datetime, until: datetime
    ) -> None:
        self._contract, self._spec, self._log = contract, spec, log
        self._version, self._since, self._until = version, since, until
        self._asked = asked(spec)
        if until <= since:
            raise NotEvaluated("the step has only just begun", f"since {since.isoformat()}", "Look again later.")
        self.requests = log.requests(Span(since, until), version=version, role="canary")
        others = log.requests(Span(since, until))
        self.traffic = self.requests + others
        if not self.requests or not others:
            role = "canary" if not self.requests else "champion"
            of = f" of version {version}" if role == "canary" else ""
            raise NotEvaluated(
                f"no request{of} with the role {role} since {since.isoformat()}",
                log.tables.place,
                "Do its servers write the log, with WEIGHIN_SERVE_ROLE=canary where they are the canary's?",
            )

    def decided(self) -> tuple[list[Outcome], str]:
        """Return the outcomes of the last point that is complete, none before the first; and where the step stands."""
        least = self._spec.rows_at_least
        counted = {"requests": self.requests}
        labels = None
        if any(a.labelled for a in self._asked):
            labels = self._labelled("canary", self._version)
            counted["labels"] = labels.num_rows
        reached = [point(n, least) for n in counted.values()]
        points = [k for k in reached if k is not None]
        have = ", ".join(f"{n:,} {what}" for what, n in counted.items())
        if len(points) < len(reached):
            return [], f"{have} so far, the first decision needs {least:,}"
        k = min(points)
        wanted, level = least * 2**k, 1 - point_alpha(self._contract.alpha, k)
        outcomes = []
        for labelled in (False, True):
            mine = [a for a in self._asked if a.labelled is labelled]
            if not mine:
                continue
            ours = (labels if labelled and labels is not None else self._first(wanted)).slice(0, wanted)
            if ours.num_rows < wanted:
                return [], f"{have} so far, some of them twice in the log"
            column = "label_at" if labelled else "at"
            last = pc.max(ours[column]).as_py()
            theirs = self._labelled("champion", None) if labelled else self._rows("champion", None, self._since, last)
            theirs = theirs.filter(pc.less_equal(theirs[column], last))
            outcomes += [self._outcome(a, ours, theirs, level) for a in mine]
        left = "" if least * 2 ** (k + 1) <= MOST else "; no more will be decided on"
        message = (
            f"decided on the first {wanted:,} of {have}, at level {level:g}; the next point is at {2 * wanted:,}{left}"
        )
        return outcomes, message

    def failed(self) -> list[Outcome]:
        """Return the newest windows of the first limit that is broken in each of them; none otherwise."""
        evidence = self._contract.monitor.evidence  # type: ignore[union-attr]
        alpha = window_alpha(evidence, len(self._asked))
        size = max(WINDOW_AT_LEAST, self._spec.rows_at_least // evidence.consecutive_windows)
        kinds = {a.labelled for a in self._asked}
        windows = {labelled: list(self._windows(labelled, size, evidence.consecutive_windows)) for labelled in kinds}
        for item in self._asked:
            row: list[Outcome] = []
            for ours, theirs in windows[item.labelled]:
                row.append(self._outcome(item, ours, theirs, 1 - alpha))
                # An older window is looked at only where the newer ones failed.
                if row[-1].status is not Status.FAILED:
                    break
            if alarm(row, evidence):
                return row
        return []

    def _windows(self, labelled: bool, size: int, consecutive_windows: int) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Rows of both in the newest windows of `size` requests, or labels, of the canary; the newest first."""
        column = "label_at" if labelled else "at"
        ours = self._labelled("canary", self._version) if labelled else self._newest(size * consecutive_windows)
        if ours.num_rows < size * consecutive_windows:
            return
        ours = ours.slice(ours.num_rows - size * consecutive_windows)
        if labelled:
            theirs = self._labelled("champion", None)
        else:
            theirs = self._rows("champion", None, pc.min(ours["at"]).as_py(), self._until)
        for back in range(consecutive_windows):
            part = ours.slice(size * (consecutive_windows - 1 - back), size)
            first, last = pc.min(part[column]), pc.max(part[column])
            inside = pc.and_(pc.greater_equal(theirs[column], first), pc.less_equal(theirs[column], last))
            yield part, theirs.filter(inside)

    # What is read

    def _first(self, wanted: int) -> pa.Table:
        """Return the first requests of the canary in the step."""
        until = self._reached(wanted)
        return self._rows("canary", self._version, self._since, until)

    def _newest(self, wanted: int) -> pa.Table:
        """Return the newest requests of the canary in the step, or fewer. A request may have several rows."""
        limit = wanted + 1
        while True:
            found = self._log.last_rows(limit, self._until, version=self._version, role="canary").rows
            kept = self._within(found, self._until)
            if kept.num_rows >= wanted or found.num_rows < limit or limit >= ROWS_AT_MOST:
                return kept
            limit = min(4 * limit, ROWS_AT_MOST)

    def _reached(self, wanted: int) -> datetime:
        """Return a moment, to the second, by which the canary had so many requests."""
        low, high = 0, int((self._until - self._since) / timedelta(seconds=1))
        if self.requests <= 2 * wanted:
            return self._until
        while low < high:
            middle = (low + high) // 2
            moment = self._since + timedelta(seconds=middle)
            count = self._log.requests(Span(self._since, moment), version=self._version, role="canary")
            low, high = (low, middle) if count >= wanted else (middle + 1, high)
        # Of what stands in the log twice one counts: a little more is read.
        return min(self._until, self._since + timedelta(seconds=low + 1 + low // 20))

    def _rows(self, role: str, version: str | None, first: datetime, until: datetime) -> pa.Table:
        """Return the requests of a role between two moments of the step, oldest first, each with its first row."""
        hours = (until - first) / timedelta(hours=1)
        found = self._log.last_hours(hours, until, ROWS_AT_MOST, version=version, role=role)
        return self._within(self._all(found, role), until, role)

    def _all(self, found: Found, role: str) -> pa.Table:
        """Of a canary it matters which are the first."""
        if found.cut and role == "canary":
            raise NotEvaluated(
                f"more than {ROWS_AT_MOST:,} rows of the canary, and the first ones are not to be had",
                self._log.tables.place,
                "Begin the step anew, with a later --since.",
            )
        return found.rows

    def _within(self, found: pa.Table, until: datetime, role: str = "canary") -> pa.Table:
        # The log allows for clocks that differ, and gives rows of a few minutes more.
        inside = pc.and_(pc.greater_equal(found["at"], self._since), pc.less_equal(found["at"], until))
        found = found.filter(pc.and_(inside, pc.equal(found["row"], 0)))
        self._one_champion(found, role)
        return found

    def _labelled(self, role: str, version: str | None) -> pa.Table:
        """Rows of a role in the step whose labels have come, in the order in which these came."""
        hours = (self._until - self._since) / timedelta(hours=1)
        read = self._log.last_hours(hours, self._until, ROWS_AT_MOST, version=version, role=role, kind="labelled")
        found = self._all(read, role)
        inside = pc.and_(pc.greater_equal(found["at"], self._since), pc.less_equal(found["label_at"], self._until))
        found = found.filter(inside)
        self._one_champion(found, role)
        return found

    def _one_champion(self, found: pa.Table, role: str) -> None:
        versions = sorted({str(v) for v in pc.unique(found["version"]).to_pylist()})
        if role == "champion" and (len(versions) > 1 or self._version in versions):
            raise NotEvaluated(
                f"the champion was version {', '.join(versions)} in this step, the canary is {self._version}",
                self._log.tables.place,
                "Begin the step anew, with a later --since.",
            )

    # What is measured

    def _outcome(self, item: Asked, ours: pa.Table, theirs: pa.Table, level: float) -> Outcome:
        limit = Limit(Direction.AT_MOST, item.value, 1 - level)
        return decide(self._measured(item, limit, ours, theirs, level), limit)

    def _measured(
        self, item: Asked, limit: Limit, ours: pa.Table, theirs: pa.Table, level: float
    ) -> Measurement | Unmeasured:
        check = Check(item.id, "canary", limit, ChangedRule())
        try:
            if not ours.num_rows or not theirs.num_rows:
                raise Undefined("one of the two has no rows")
            interval, unit = self._interval(item, ours, theirs, level)
        except Undefined as error:
            return Unmeasured(item.id, str(error))
        return sample(check, interval, unit, "rows", {"canary": ours.num_rows, "champion": theirs.num_rows})

    def _interval(self, item: Asked, ours: pa.Table, theirs: pa.Table, level: float) -> tuple[Interval, str]:
        q = self._spec.quantile
        match item.kind:
            case "errors":
                one, other = (clopper_pearson(_errors(rows), rows.num_rows, level) for rows in (ours, theirs))
                return difference_of_shares(one, other), "share"
            case "slower":
                return ratio(_latency(ours, q, level), _latency(theirs, q, level)), "of the champion's"
            case "latency_ms":
                return _latency(ours, q, level), "ms"
        metric = str(self._spec.metric)
        one, other = (contrast(metric, self._scored(rows), None, None, level).interval for rows in (ours, theirs))
        better, worse = (other, one) if METRICS[metric].lower_is_better else (one, other)
        # How far the canary is behind: MOVER (Zou and Donner 2008) needs no more than both intervals.
        return replace(difference_of_shares(worse, better), method=f"MOVER; {one.method}"), METRICS[metric].unit

    def _scored(self, rows: pa.Table) -> Scored:
        task = self._contract.model.task
        if task == "multiclass":
            raise Undefined("metrics of more than two classes are not made from the log")
        label, score = (np.asarray(rows[c].to_numpy(), dtype=np.float64) for c in ("label", COLUMN))
        return Scored(label == 1, score, None, self._contract.threshold) if task == "binary" else Scored(label, score)


def _errors(rows: pa.Table) -> int:
    return int(pc.sum(pc.greater_equal(rows["status"], FAILED)).as_py() or 0)


def _latency(rows: pa.Table, q: float, level: float) -> Interval:
    """Return a quantile in milliseconds, over blocks of requests; a request that failed is slower than any."""
    answered = pc.fill_null(pc.less(rows["status"], FAILED), False).to_numpy()
    took = np.where(answered, rows["latency_ms"].to_numpy(), np.inf)
    if np.isnan(took).any():
        raise Undefined("the log does not say how long some requests took")
    order = np.arange(len(took), dtype=np.float64)
    return quantile(took, q, Moments(order, np.zeros(len(took), dtype=np.int64), BLOCK), level)
