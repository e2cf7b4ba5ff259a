"""What a pull request lets through: the same faults, put before the gate of the base and before that of the head.

Both gates judge the data and evidence that a validation left, by the contract of their side; where the files of data
differ, each side's own. No model runs and nothing is asked again: faults of data are judged by the checks that need no
answers, and faults of the evidence by what the suites have measured.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from weighin.contract.changes import FileChange
from weighin.contract.checks import checks
from weighin.contract.reading import ContractFile
from weighin.contract.stricter import compare, content_hash
from weighin.data.profile import Profile
from weighin.drill.catalogue import FAULTS
from weighin.drill.fault import Fault
from weighin.drill.inputs import Inputs
from weighin.drill.judge import Judge
from weighin.drill.result import FaultResult
from weighin.drill.run import stated
from weighin.errors import EvidenceError, NotEvaluated, WeighinError
from weighin.model.subject import Subject
from weighin.outcome import Measurement, Unmeasured
from weighin.record.drill_change import DrillChange, Passed, listed
from weighin.record.suite import SuiteOutcomes
from weighin.resolve.datasets import merged, resolve_profiles, resolve_rows
from weighin.suites.evidence import Evidence

FAMILIES = ("data", "process")
LEFT_OUT = ("process-alias-moved",)
"""Faults that read the registry, which the job that decides does not reach."""
SECONDS = 100
"""For the faults of both sides together; measuring without a fault takes about ten more."""


def drill_change(
    file: ContractFile,
    base: ContractFile,
    head: ContractFile,
    files: Sequence[FileChange],
    work: Path,
    reports: Path,
    *,
    workers: int = 2,
    say: Callable[[str], None] = lambda line: None,
) -> DrillChange:
    """Return what the head lets through.

    file        the contract that was validated, over the files that decided
    base, head  the contract of each side, in its checkout
    files       what the pull request changes
    work        what was resolved
    reports     what the suites left
    Errors: `EvidenceError`, `NotEvaluated` where there is nothing to drill.
    """
    started, notes = time.monotonic(), []
    if any(f.kind == "suites" for f in files):
        notes.append("the repository's own suites are not run by the drill")
    found = []
    for name, side in (("base", base), ("head", head)):
        judge, note = _judge(name, file, side, files, work, reports)
        notes += note
        say(f"{name}: {len(judge.baseline)} checks without a fault, {time.monotonic() - started:.0f} s")
        found.append(stated(judge, _chosen(), SECONDS / 2, workers))
        say(f"{name}: {sum(r.answer == 'blocked' for r in found[-1].values())} faults are blocked")
    return compared(found[0], found[1], notes, time.monotonic() - started)


def _chosen() -> list[Fault]:
    return [f for f in FAULTS if f.family in FAMILIES and f.name not in LEFT_OUT]


def compared(
    base: Mapping[str, FaultResult], head: Mapping[str, FaultResult], notes: Sequence[str], seconds: float
) -> DrillChange:
    """Return what two drills say side by side. What one of them cannot answer is no news, and noted."""
    told = list(notes)
    late = [f.name for f in _chosen() if f.name not in base or f.name not in head]
    if late:
        told.append(f"there was no time for {len(late)} faults: {listed(late)}")
    both = [n for n in base if n in head]
    strange = [n for n in both if "error" in (base[n].answer, head[n].answer)]
    if strange:
        told.append(f"faults that went wrong: {listed(strange)}")
    gone = [n for n in both if base[n].answer == "blocked" and head[n].answer == "not_applicable"]
    if gone:
        told.append(f"faults that can no longer be tried: {listed(gone)}")
    known = [n for n in both if not {base[n].answer, head[n].answer} & {"error", "not_applicable"}]
    blocked = [{n for n in known if side[n].answer == "blocked"} for side in (base, head)]
    lets = [base[n] for n in known if n in blocked[0] - blocked[1]]
    return DrillChange(
        len(known),
        (len(blocked[0]), len(blocked[1])),
        tuple(Passed(f.name, f.size, f.unit, tuple(f.by)) for f in lets),
        tuple(n for n in known if n in blocked[1] - blocked[0]),
        tuple(told),
        round(seconds, 1),
    )


def _judge(
    name: str, file: ContractFile, side: ContractFile, files: Sequence[FileChange], work: Path, reports: Path
) -> tuple[Judge, list[str]]:
    """Return the gate of a side, and what of it is not as it would be."""
    measured = _measured(file, side, reports)
    notes: list[str] = []
    mine, judged = side.contract.data, file.contract.data
    same_sources = all(mine.source(d) == judged.source(d) for d in mine.named)
    same_files = side.folder.resolve() == file.folder.resolve() or not any(f.kind == "data" for f in files)
    if same_sources and same_files:
        return Judge.of(Inputs.read(side, work), measured), notes
    with tempfile.TemporaryDirectory(prefix="weighin-drill-") as folder:
        own = Path(folder)
        try:
            _resolved(file, side, work, own)
            inputs = Inputs.read(side, own)
        except WeighinError as error:
            notes.append(
                f"the data of the {name} cannot be read here ({error.fact}), so those that were judged are used"
            )
            return Judge.of(Inputs.read(replace(side, path=file.path), work), measured), notes
        # What was measured of other data is of no use for this side; where no data are asked, it still is.
        kept = {k: v for k, v in measured.items() if k.partition("/")[0] not in ("data_quality", "drift")}
        return Judge.of(inputs, kept), notes


def _measured(file: ContractFile, side: ContractFile, reports: Path) -> dict[str, Measurement | Unmeasured]:
    """Return what the suites have measured, of the checks that mean the same under the contract of a side."""
    places = [place.split(".") for place in compare(file.contract, side.contract).measured]
    others = {place[1] for place in places if place[0] == "gates" and len(place) > 1}
    # What else is measured otherwise may touch every suite.
    all_of_them = any(place[0] != "gates" or len(place) < 2 for place in places)
    ours = {} if all_of_them else {c.id: c for c in checks(file.contract) if c.suite not in others}
    same = {c.id for c in checks(side.contract) if c.id in ours and content_hash(c) == content_hash(ours[c.id])}
    found: dict[str, Measurement | Unmeasured] = {}
    for folder in sorted(p for p in reports.iterdir() if p.is_dir()) if reports.is_dir() else ():
        try:
            found |= {o.check: o.evidence for o in SuiteOutcomes.read(folder).outcomes if o.check in same}
        except EvidenceError:
            continue
    return found


def _resolved(file: ContractFile, side: ContractFile, work: Path, own: Path) -> None:
    """Bring the data of a side here, as `resolve` does. Errors: `WeighinError` where one of them cannot be read."""
    if side.contract.data.engine != "duckdb":
        raise NotEvaluated("it takes another engine", "data.engine")
    moment = side.contract.as_of or datetime.now(UTC)
    subject = Subject.read(work / "subject.json")

    def stored(role: str) -> Profile:
        return Evidence(file, work).profile("reference")

    rows = resolve_rows(side, own, False, moment)
    for dataset, known in rows.items():
        if known["problem"]:
            raise NotEvaluated(str(known["problem"]), f"data.{dataset}")
    profiles = resolve_profiles(side, own, moment, stored)
    replace(subject, data=merged(rows, profiles), contract=side.digest).write(own / "subject.json")
