"""Units of a test and what became of them: counted from the prediction log and the table of outcomes.

A unit stays in the arm that the hash says, whatever served it (intention to treat). It counts once its time has passed
and the table of outcomes reaches beyond it: a feed that has stopped stops the test, and makes no zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from weighin.ab_test.assignment import in_challenger
from weighin.ab_test.evaluate import Counted, Floats
from weighin.contract.ab_test import AbTest
from weighin.contract.sources import Span
from weighin.errors import NotEvaluated
from weighin.prediction_log.outcomes import opened
from weighin.prediction_log.reader import Log, Units

CHAMPION, CANARY = "champion", "canary"
"""Roles of the log: the challenger's servers log as a canary."""
SETTLED = timedelta(minutes=2)
"""Younger requests may still be on their way into the log."""
MICROSECONDS = 1e6


@dataclass(frozen=True)
class Faults:
    """What is wrong with some units or rows.

    other_arm     units that only the other arm served than the hash says
    both_arms     units that both arms served
    without_unit  requests to the challenger that name no unit
    broken        outcomes without a unit, a moment or a finite value, of units of the test where they name one
    unknown       outcomes of units without a request in the test; such rows are usual, and no fault
    unreadable    files that are not whole
    """

    other_arm: int = 0
    both_arms: int = 0
    without_unit: int = 0
    broken: int = 0
    unknown: int = 0
    unreadable: int = 0

    @property
    def messages(self) -> tuple[str, ...]:
        """One for each kind that there is."""
        said = {
            "other_arm": "units were served by the other arm than the hash says, and count where the hash says",
            "both_arms": "units were served by both arms, and count where the hash says",
            "without_unit": "requests to the challenger name no unit, and do not count",
            "broken": "outcomes have no unit, no moment or no finite value, and do not count",
            "unknown": "outcomes are of units without a request in this test, and do not count",
            "unreadable": "files are not whole, and are left out",
        }
        return tuple(f"{getattr(self, f.name):,} {said[f.name]}" for f in fields(self) if getattr(self, f.name))


@dataclass(frozen=True)
class Seen:
    """What the log and the outcomes say of a test.

    champion, challenger  (version, digest) of the one version that each arm served
    units                 units with a request, whose time has passed or not; `challengers` of them by the hash
    requests              of the challenger
    cutoff                units whose first request came before it count, with all of their outcomes
    counted               their numbers
    rows                  name of an outcome -> how many of its rows these are made from
    sound                 name of an outcome -> (its broken rows, all of its rows that are of these units or name none)
    newest                name of an outcome -> moment of its newest row
    first, made           (n,) of counted units, in order: moment of the first request in seconds, and rows by outcome
    """

    champion: tuple[str, str]
    challenger: tuple[str, str]
    units: int
    challengers: int
    requests: int
    cutoff: datetime
    counted: Counted
    rows: dict[str, int]
    sound: dict[str, tuple[int, int]]
    newest: dict[str, datetime]
    faults: Faults
    first: Floats = field(repr=False)
    made: dict[str, Floats] = field(repr=False)

    def counted_until(self, cutoff: datetime) -> tuple[int, dict[str, int]]:
        """Return how many units counted at an earlier cutoff, and of how many rows of each outcome their numbers are
        made now.
        """
        then = self.first < cutoff.timestamp()
        return int(then.sum()), {name: int(rows[then].sum()) for name, rows in self.made.items()}


def read_units(spec: AbTest, log: Log, folder: Path, version: str, since: datetime, now: datetime) -> Seen:
    """Read a test.

    folder   that paths of the contract are relative to
    version  of the challenger
    since    when the test began: units are those with a request from then on
    Errors: `NotEvaluated` where log or outcomes are away, where an arm has no requests, or more than one version; and
    where an outcome has never been seen.
    """
    if since >= now - SETTLED:
        raise NotEvaluated("the test has only just begun", f"since {since.isoformat()}", "Evaluate it later.")
    if now - since > timedelta(days=log.tables.retain_days):
        raise NotEvaluated(
            f"the test began {(now - since).days} days ago, and the log keeps {log.tables.retain_days:g}",
            log.tables.place,
            "Raise `monitor.log.retain_days` before a test that takes so long.",
        )
    found = log.units(Span(since, now - SETTLED), (CHAMPION, CANARY))
    champion, challenger = _versions(found, version, since, log.tables.place)
    if not found.units.num_rows:
        raise NotEvaluated(
            f"no request since {since.isoformat()} names a unit",
            log.tables.place,
            f"Does the gateway send the header {spec.unit_header}?",
        )
    names = found.units["unit"].to_pandas()
    ours = in_challenger(spec.name, names, spec.share)
    served = {role: found.units[role].to_numpy() > 0 for role in (CHAMPION, CANARY)}
    right, wrong = np.where(ours, served[CANARY], served[CHAMPION]), np.where(ours, served[CHAMPION], served[CANARY])
    first = found.units["first"].to_pandas().astype("datetime64[us, UTC]").astype("int64").to_numpy() / MICROSECONDS
    until = now - timedelta(hours=spec.delay_hours)
    with opened(spec.outcomes, log.tables, folder, spec.names, since, until) as outcomes:
        absent = [n for n in spec.names if n not in outcomes.newest]
        if absent:
            raise NotEvaluated(
                f"no outcome `{absent[0]}` since {since.isoformat()}",
                outcomes.place,
                "Is its name right? Where there may be none, write a row with the value 0 now and then.",
            )
        end = min(until, *(outcomes.newest.values()))
        cutoff = end - timedelta(days=spec.outcome_days)
        sums = _Sums(names, first, spec, end)
        for part in outcomes.parts():
            sums.add(part)
        sums.add_undated(outcomes.undated)
        newest, unreadable = outcomes.newest, outcomes.unreadable
    passed = first < cutoff.timestamp()
    rows = {name: made[passed] for name, made in sums.rows.items()}
    return Seen(
        champion=champion,
        challenger=challenger,
        units=len(names),
        challengers=int(ours.sum()),
        requests=_requests(found, CANARY),
        cutoff=cutoff,
        counted=Counted(
            ours[passed],
            {n: v[passed] for n, v in sums.sums.items()},
            {n: v[passed] for n, v in sums.events.items()},
        ),
        rows={name: int(made.sum()) for name, made in rows.items()},
        sound={name: (sums.broken[name], sums.own[name]) for name in spec.names},
        newest=newest,
        faults=Faults(
            other_arm=int((wrong & ~right).sum()),
            both_arms=int((wrong & right).sum()),
            without_unit=_requests(found, CANARY, "without_unit"),
            broken=sum(sums.broken.values()),
            unknown=sums.unknown,
            unreadable=found.unreadable + unreadable,
        ),
        first=first[passed],
        made=rows,
    )


class _Sums:
    """Outcomes by unit, of rows in the time of their unit."""

    def __init__(self, names: pd.Series, first: Floats, spec: AbTest, end: datetime) -> None:
        self._index, self._first = pd.Index(names), first
        self._seconds, self._end = 86_400 * spec.outcome_days, end.timestamp()
        self.sums, self.events, self.rows = (
            {name: np.zeros(len(names)) for name in spec.names} for _ in ("sums", "events", "rows")
        )
        self.broken, self.own = dict.fromkeys(spec.names, 0), dict.fromkeys(spec.names, 0)
        self.unknown = 0

    def add_undated(self, undated: Mapping[str, int]) -> None:
        """Add rows without a moment, which are of no part."""
        for name, rows in undated.items():
            self.broken[name] += rows
            self.own[name] += rows

    def add(self, part: pa.Table) -> None:
        """Add rows of the form of `weighin.prediction_log.outcomes.SCHEMA`."""
        at = part["at"].to_pandas().astype("datetime64[us, UTC]")
        value = part["value"].to_pandas().to_numpy(dtype=np.float64, na_value=np.nan)
        unit = part["unit"].to_pandas()
        outcome = part["outcome"].to_pandas().to_numpy()
        known, named = self._index.get_indexer(unit), unit.notna().to_numpy()
        sound = np.isfinite(value) & at.notna().to_numpy() & named
        # What is broken of other units is not this test's; what names none may be.
        own = (known >= 0) | ~named
        for name in self.broken:
            self.own[name] += int((own & (outcome == name)).sum())
            self.broken[name] += int((own & ~sound & (outcome == name)).sum())
        place = np.where(sound, known, -1)
        # A row that only shows that the feed is alive is of no unit.
        self.unknown += int((sound & (place < 0) & (value != 0)).sum())
        seconds = at.astype("int64").to_numpy() / MICROSECONDS
        passed = seconds - self._first[place]
        inside = (place >= 0) & (passed >= 0) & (passed < self._seconds) & (seconds <= self._end)
        for name, sums in self.sums.items():
            chosen = inside & (outcome == name)
            where, amount = place[chosen], value[chosen]
            sums += np.bincount(where, weights=amount, minlength=len(sums))
            self.events[name] += np.bincount(where, weights=amount != 0, minlength=len(sums))
            self.rows[name] += np.bincount(where, minlength=len(sums))


def _versions(found: Units, version: str, since: datetime, place: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return version and digest of each arm. Errors: `NotEvaluated` unless each arm served one, ours the named one."""
    arms = []
    for role, what in ((CHAMPION, "champion"), (CANARY, "challenger")):
        mine = [(r["version"] or "", r["digest"] or "") for r in found.served.to_pylist() if r["role"] == role]
        if not mine:
            raise NotEvaluated(
                f"no request with the role {role} since {since.isoformat()}",
                place,
                "Do the challenger's servers write the log, with WEIGHIN_SERVE_ROLE=canary?",
            )
        if len(set(mine)) > 1:
            listed = ", ".join(sorted({v for v, _ in mine}))
            raise NotEvaluated(
                f"the {what}'s arm was served by more than one version or set of files ({listed}): this is more than "
                "one test",
                place,
                "Begin a test anew, with another `name`, when only two versions answer.",
            )
        arms.append(mine[0])
    if arms[1][0] != version:
        raise NotEvaluated(
            f"the challenger in the log is version {arms[1][0]}, not {version}",
            place,
            "Name the version that the test is about.",
        )
    return arms[0], arms[1]


def _requests(found: Units, role: str, column: str = "requests") -> int:
    return sum(int(r[column] or 0) for r in found.served.to_pylist() if r["role"] == role)


def in_utc(moment: datetime) -> str:
    """Return a moment as a record says it."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")
