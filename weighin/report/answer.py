"""What a record answers, as one tree of plain texts: the summary, the comment, the report and the terminal show it.

One sentence; candidate beside champion; what blocks; what to do; then the rest by suite and dataset. Every text here is
as it stands in the record, which may come from a stranger: whoever renders it makes it inert.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from weighin.outcome import Measurement, Status, decide
from weighin.record.metrics import COMPARED
from weighin.record.outcomes import decode_evidence, decode_limit
from weighin.report.causes import Cause, find_causes
from weighin.report.headlines import Headline, headlines
from weighin.report.sentences import metric_name
from weighin.report.trend import Trend, trend
from weighin.report.view import MARKS, WORDS, CheckView, check_view, seconds
from weighin.untrusted import JsonObject

FIRST_RELEASE = "first release: compared with nothing"


@dataclass(frozen=True)
class Count:
    """The checks on one dataset, and how many of them passed; without a name those of a suite without datasets."""

    name: str
    passed: int
    views: tuple[CheckView, ...]


@dataclass(frozen=True)
class Group:
    """One suite: its checks in words and numbers, by dataset where it has several."""

    suite: str
    title: str
    status: str
    seconds: float
    views: tuple[CheckView, ...]
    counts: tuple[Count, ...]

    @property
    def passed(self) -> int:
        """How many of its checks passed."""
        return sum(v.status == "passed" for v in self.views)

    @property
    def other(self) -> tuple[CheckView, ...]:
        """Its checks that did not pass."""
        return tuple(v for v in self.views if v.status != "passed")

    @property
    def summary(self) -> str:
        """The group in a line."""
        noun = "check" if len(self.views) == 1 else "checks"
        datasets = sum(c.views[0].check.startswith("data_quality/") for c in self.counts)
        where = f" on {datasets} datasets" if datasets > 1 else ""
        return f"{self.title}: {self.passed:,} of {len(self.views):,} {noun} passed{where}"


@dataclass(frozen=True)
class Answer:
    """What a reviewer wants to know, in this order.

    sentence   verdict, and what decided it
    notes      what must be known beside it: a first release, a registry that is a file
    headlines  candidate beside champion
    blocking   number of checks that block; `causes` gathers them, the worst first
    steps      what to do, each with the numbers of the causes that it is about
    remarks    results of jobs that only follow from what blocks
    promise    what a pass would mean
    facts      name and digest of what it was decided on
    """

    status: str
    mark: str
    sentence: str
    notes: tuple[str, ...]
    candidate: str
    champion: str
    headlines: tuple[Headline, ...]
    blocking: int
    causes: tuple[Cause, ...]
    steps: tuple[tuple[str, tuple[int, ...]], ...]
    warnings: tuple[CheckView, ...]
    waived: tuple[CheckView, ...]
    groups: tuple[Group, ...]
    trend: Trend | None
    remarks: tuple[str, ...]
    promise: str
    facts: tuple[tuple[str, str], ...]

    @property
    def heading(self) -> str:
        """What blocks, as a heading; empty where nothing does."""
        if not self.causes:
            return ""
        causes = f"{len(self.causes):,} {'cause' if len(self.causes) == 1 else 'causes'}"
        checks = f", {self.blocking:,} {'check' if self.blocking == 1 else 'checks'}" if self.blocking else ""
        return f"What blocks: {causes}{checks}"


@dataclass(frozen=True)
class NoDecision:
    """Why a run came to no decision: what is wrong, where, what to do about it, and who can."""

    fact: str
    place: str = ""
    remedy: str = ""
    who: str = ""

    @property
    def sentence(self) -> str:
        """The verdict and what decided it."""
        return f"Not evaluated: {self.fact.rstrip('.')}"

    @property
    def lines(self) -> tuple[str, ...]:
        """What stands below it."""
        found = ["There is no decision: nothing was measured, so nothing is known to be wrong with the candidate."]
        found += [f"Where: {self.place}"] if self.place else []
        found += [f"What to do: {self.remedy}"] if self.remedy else []
        return (*found, *([f"Who can do it: {self.who}"] if self.who else []))


def answer(record: JsonObject) -> Answer:
    """Return what a record answers."""
    views = [check_view(o) for suite in record["suites"] for o in suite["outcomes"]]
    causes, remarks = find_causes(record, views)
    status = str(record["verdict"]["status"])
    candidate, champion = names(record)
    return Answer(
        status,
        MARKS[status],
        _sentence(record, views, causes),
        tuple(_notes(record, views)),
        candidate,
        champion,
        tuple(headlines(views)),
        sum(v.blocks for v in views),
        tuple(causes),
        _steps(causes),
        tuple(v for v in views if v.warns),
        tuple(v for v in views if v.waiver),
        tuple(group(suite) for suite in record["suites"]),
        trend(record, candidate),
        tuple(remarks),
        str(record["risk"]),
        tuple(_facts(record)),
    )


def names(record: JsonObject) -> tuple[str, str]:
    """Return candidate and champion for the head of a column; empty for no champion."""
    candidate, champion = record["candidate"], record["champion"]
    ours = f"version {candidate['version']}" if candidate["version"] else "the candidate"
    if champion is None:
        return ours, ""
    return ours, f"version {champion['version']}" if champion["version"] else "the champion"


def _sentence(record: JsonObject, views: Sequence[CheckView], causes: Sequence[Cause]) -> str:
    """Return verdict and what decided it, in one sentence."""
    status, first = str(record["verdict"]["status"]), record["champion"] is None
    candidate, champion = names(record)
    model = f"{record['model']} {candidate}" if record["candidate"]["version"] else f"{candidate} of {record['model']}"
    word = WORDS[status].capitalize()
    if status == "passed":
        if first:
            return f"{word}: {model} may be released as the first, since every limit of its own is kept"
        return f"{word}: {model} may replace {champion}, since {_kept(views)}"
    more = f", and {len(causes) - 1} more {'cause' if len(causes) == 2 else 'causes'}" if len(causes) > 1 else ""
    why = f", since {causes[0].short}{more}" if causes else ""
    act = "be released" if first else f"replace {champion}"
    return f"{word}: {model} {'may not' if status == 'failed' else 'cannot yet'} {act}{why}"


def _kept(views: Sequence[CheckView]) -> str:
    compared = [v for v in views if (m := COMPARED.fullmatch(v.check)) and m[2] == "champion" and m[4] is None]
    if not compared:
        return "every check that blocks passed"
    better = [metric_name(m[1]) for v in compared if _better(v) and (m := COMPARED.fullmatch(v.check))]
    named = " and ".join([", ".join(better[:-1]), better[-1]] if len(better) > 1 else better)
    also = f"; {named} {'is' if len(better) == 1 else 'are'} better" if better else ""
    return f"no metric is worse by more than allowed{also}"


def _better(view: CheckView) -> bool:
    """Whether the whole interval of a difference says that the candidate is better."""
    limit, evidence = decode_limit(view.outcome["limit"]), decode_evidence(view.check, view.outcome["evidence"])
    if limit.relative_margin is not None or not isinstance(evidence, Measurement) or evidence.kind != "sample":
        return False
    return decide(evidence, replace(limit, value=0.0)).status is Status.PASSED


def _notes(record: JsonObject, views: Sequence[CheckView]) -> list[str]:
    notes = []
    if record["champion"] is None:
        compared = sum(v.method.startswith("first release") for v in views)
        many = f" {compared} comparisons had no champion; limits of the candidate alone decided." if compared else ""
        notes.append(
            f"{FIRST_RELEASE[0].upper()}{FIRST_RELEASE[1:]}.{many} The contract says `first_release: allow` under "
            "`gates.performance`; after this release it needs that no longer."
        )
    given = [role for role in ("candidate", "champion") if (record[role] or {}).get("predictions")]
    if given:
        whose = " and ".join(f"the {role}" for role in given)
        notes.append(f"Predictions, not the model, were judged: those that were given for {whose}.")
    if record["ephemeral_registry"]:
        notes.append("The registry is a file of this machine or run: its aliases exist there and nowhere else.")
    return notes


def _steps(causes: Sequence[Cause]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    found: dict[str, list[int]] = {}
    for number, cause in enumerate(causes, 1):
        if cause.step:
            found.setdefault(cause.step, []).append(number)
    return tuple((step, tuple(numbers)) for step, numbers in found.items())


def group(suite: JsonObject) -> Group:
    """Return one suite of a record."""
    views = tuple(check_view(o) for o in suite["outcomes"])
    name = str(suite["suite"])
    counts: dict[str, list[CheckView]] = {}
    for view in views:
        counts.setdefault(_dataset(view.check) if name == "data_quality" else "", []).append(view)
    counted = tuple(Count(n, sum(v.status == "passed" for v in own), tuple(own)) for n, own in counts.items())
    title = re.sub(r"_", " ", name)
    return Group(name, title[:1].upper() + title[1:], str(suite["status"]), float(suite["seconds"]), views, counted)


def _dataset(check: str) -> str:
    """Return the dataset that a check on the data is about."""
    suite, _, rest = check.partition("/")
    return rest.partition("/")[0] if suite == "data_quality" else "tests of your own"


def _facts(record: JsonObject) -> list[tuple[str, str]]:
    where = record["run"]
    facts = [("contract", record["contract"]["digest"][7:19]), ("subject", record["subject"][7:19])]
    facts += [("commit", where["commit"][:12])] if where["commit"] else []
    facts += [("image", record["image"][7:19])] if record["image"] else [("image", "none: local environment")]
    if drill := record.get("drill"):
        said = f"{drill['killed']} of {drill['faults']} faults blocked, {drill['age_days']:g} days ago"
        facts += [("last drill of this gate" if drill["same_contract"] else "last drill, of another contract", said)]
    facts += [("time of the suites", seconds(sum(float(s["seconds"]) for s in record["suites"])))]
    return facts
