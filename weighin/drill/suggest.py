"""Lines of the contract that would block a fault: tried before they are shown, with the controls."""

from __future__ import annotations

import contextlib
import difflib
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from weighin.contract.checks import Check, DriftRule, MetricRule, checks
from weighin.contract.edit import Edit, edited, keys_at, value_at
from weighin.contract.reading import ContractFile, read_contract
from weighin.drill.controls import equal_candidate, same_candidate, same_data
from weighin.drill.inputs import Inputs, NotApplicable
from weighin.drill.judge import Judge, Outcomes, reached
from weighin.errors import WeighinError
from weighin.outcome import Direction, Measurement, Outcome, Status, Unmeasured, decide
from weighin.stats.distributions import binomial_quantile
from weighin.suites.expectations import FOLDER, write_suite

MOST = 6
"""Changes that are tried for one fault."""
DRAWS = 40
"""Of each control, under a change."""
CERTAIN = 0.99
"""How sure it must be that a change cries wolf before it is thrown away for that."""
KEYS = ("margin", "relative_margin", "at_least", "at_most", "share_at_most", "missing_at_most", "outside_at_most")
"""Keys that hold the limit of a check, in the mapping that its path leads to."""


@dataclass(frozen=True)
class Suggestion:
    """A change of the contract that blocks a fault: one edit, or two that only help together.

    before  the values that stand there now; empty for none
    check   that blocks it then
    """

    edits: tuple[Edit, ...]
    before: tuple[str, ...]
    check: str

    def __str__(self) -> str:
        """Return it as a line for a reader."""
        said = [f"{e} (before: {b or 'absent'})" for e, b in zip(self.edits, self.before, strict=True)]
        return f"{', '.join(said)}; then blocked by {self.check}"


def suggestions(judge: Judge, inputs: Inputs, seed: int) -> list[Suggestion]:
    """Return a change of the contract that blocks a fault and lets the controls pass; nothing where none was found.

    inputs  with the fault, the models having answered
    """
    text = judge.base.file.path.read_text(encoding="utf-8")
    ids = reached(judge.checks.values(), inputs, judge.base)
    found = judge.outcomes(inputs, ids)
    for edits, check in (*_candidates(judge, found, text, MOST), *_absent(judge, inputs)):
        with contextlib.suppress(WeighinError, NotApplicable), changed_contract(judge.base.file, text, edits) as file:
            by = _blocked(judge, inputs, file, seed)
            if by:
                before = tuple(value_at(text, e.path) or "" for e in edits)
                return [Suggestion(edits, before, check if check in by else next(iter(by)))]
    return []


def patch(file: ContractFile, listed: Iterable[Edit]) -> str:
    """Return edits of a contract as one unified diff; of several at one place the last. Errors: `ContractError`."""
    before = file.path.read_text(encoding="utf-8")
    after = before
    for edit in {e.path: e for e in listed}.values():
        after = edited(after, edit)
    with changed_contract(file, after, []):
        pass
    name = file.path.name
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return "".join(lines)


@contextlib.contextmanager
def changed_contract(file: ContractFile, text: str, edits: Sequence[Edit]) -> Iterator[ContractFile]:
    """Yield the contract that edits make of a text, in a folder that shows the files of the contract's own.

    Errors: `ContractError` where it is none.
    """
    for edit in edits:
        text = edited(text, edit)
    with tempfile.TemporaryDirectory(prefix="weighin-drill-") as scratch:
        folder = Path(scratch)
        for name in os.listdir(file.folder):
            if name not in (file.path.name, FOLDER):
                (folder / name).symlink_to(file.folder / name)
        own = file.folder / FOLDER
        if own.is_dir():
            (folder / FOLDER / "expectations").mkdir(parents=True)
            for path in (own / "expectations").glob("*.json"):
                (folder / FOLDER / "expectations" / path.name).write_bytes(path.read_bytes())
        place = folder / file.path.name
        place.write_text(text, encoding="utf-8")
        made = read_contract(place)
        if made.contract.gates.data_quality:
            write_suite(made.contract, folder, check=False)
        yield made


def _blocked(judge: Judge, inputs: Inputs, file: ContractFile, seed: int) -> Mapping[str, str]:
    """Return what blocks a fault under another contract; nothing where something also blocks without the fault."""
    base = replace(judge.base, file=file)
    listed = {c.id: c for c in checks(file.contract) if c.suite in {o.partition("/")[0] for o in judge.baseline}}
    known = judge.checks
    anew = [i for i, c in listed.items() if i not in known or (c.limit, c.rule) != (known[i].limit, known[i].rule)]
    kept = {i: o for i, o in judge.baseline.items() if i in listed and i not in anew}
    bare = Judge(base, {**kept, **{i: _nothing(listed[i]) for i in anew}})
    under = Judge(base, {**kept, **bare.outcomes(base, anew)})
    if under.red - judge.red:
        return {}
    found = under.judged(replace(inputs, file=file))
    if not found.killed or not _quiet(under, anew, seed):
        return {}
    return {check: status for check, status in found.by.items() if status != Status.INCONCLUSIVE}


def _nothing(check: Check) -> Outcome:
    return decide(Unmeasured(check.id, "not measured yet"), check.limit)


def _quiet(judge: Judge, anew: Sequence[str], seed: int) -> bool:
    """Whether the controls are not blocked more often than alpha allows."""
    suites = {i.partition("/")[0] for i in anew}
    controls = ([same_candidate, equal_candidate] if "performance" in suites else []) + (
        [same_data] if "drift" in suites else []
    )
    most = binomial_quantile(CERTAIN, DRAWS, judge.alpha)
    for control in controls:
        with contextlib.suppress(NotApplicable):
            if control(judge, DRAWS, np.random.default_rng([seed, 1])).blocked > most:
                return False
    return True


def _candidates(judge: Judge, found: Outcomes, text: str, most: int) -> Iterator[tuple[tuple[Edit, ...], str]]:
    """Yield changes that would block these outcomes, with the check: warnings first, then the smallest tightening."""
    listed = [(judge.checks[i], judge.baseline[i], o) for i, o in found.items() if i not in judge.red]
    raised = [((_blocks(c),), c.id) for c, _, o in listed if _only_warns(o)]
    tighter = sorted(
        ((step, edits, c.id) for c, before, o in listed for step, edits in _tighter(c, before, o, text)),
        key=lambda t: (len(t[1]), t[0]),
    )
    seen: set[tuple[Edit, ...]] = set()
    for edits, check in (*raised, *((edits, check) for _, edits, check in tighter)):
        if edits not in seen and len(seen) < most:
            seen.add(edits)
            yield edits, check


def _absent(judge: Judge, inputs: Inputs) -> Iterator[tuple[tuple[Edit, ...], str]]:
    """Yield checks that the contract does not ask for: the data quality of a dataset that its gate leaves out."""
    gate = judge.base.file.contract.gates.data_quality
    if gate is None or gate.datasets is None:
        return
    for dataset in inputs.tables:
        if dataset not in gate.datasets and inputs.changed_columns(judge.base, dataset) != frozenset():
            end = len(gate.datasets)
            yield (Edit(("gates", "data_quality", "datasets", end), dataset),), f"data_quality/{dataset}"


def _blocks(check: Check) -> Edit:
    return Edit((*check.path, "severity"), "block")


def _only_warns(outcome: Outcome) -> bool:
    return outcome.status is Status.FAILED and outcome.limit.severity == "warn"


def _tighter(check: Check, before: Outcome, after: Outcome, text: str) -> Iterator[tuple[float, tuple[Edit, ...]]]:
    """Yield a limit between what was measured without the fault and with it, and how far it moves."""
    one, other = before.evidence, after.evidence
    if not isinstance(one, Measurement) or not isinstance(other, Measurement):
        return
    at_least = check.limit.direction is Direction.AT_LEAST
    good, bad = (one.low, other.high) if at_least else (one.high, other.low)
    room = good - bad if at_least else bad - good
    if not math.isfinite(room) or room <= 0:
        return
    value = _short(good - room / 2 if at_least else good + room / 2, abs(room) / 4)
    turned = math.copysign(1, value) != math.copysign(1, check.limit.value)
    if turned and isinstance(check.rule, MetricRule) and check.rule.against:
        return  # A margin has one sign: a candidate that is that much better is no matter of a margin.
    place = _place(check, text)
    if place is not None:
        scale = max(abs(check.limit.value), abs(room), 1e-9)
        edit = Edit(place, f"{abs(value):.6g}")
        # A warning that is tightened blocks nothing yet.
        edits = (edit, _blocks(check)) if check.limit.severity == "warn" else (edit,)
        yield abs(value - check.limit.value) / scale, edits


def _place(check: Check, text: str) -> tuple[str | int, ...] | None:
    """Return where the limit of a check stands, or would stand; None where no single value holds it."""
    if isinstance(check.rule, DriftRule) and check.rule.kind == "distance":
        return ("gates", "drift", "columns", check.rule.column, "at_most")
    scalar = value_at(text, check.path)
    if scalar is not None:
        return check.path if _is(scalar, check.limit.value) else None
    keys = keys_at(text, check.path)
    return next(((*check.path, k) for k in KEYS if k in keys and _is(keys[k], check.limit.value)), None)


def _is(scalar: str, value: float) -> bool:
    try:
        return math.isclose(abs(float(scalar)), abs(value), rel_tol=1e-9, abs_tol=1e-12)
    except ValueError:
        return False


def _short(value: float, within: float) -> float:
    """Return a number of few digits that lies close enough to another one."""
    for digits in range(1, 7):
        short = float(f"{value:.{digits}g}")
        if abs(short - value) <= within:
            return short
    return value
