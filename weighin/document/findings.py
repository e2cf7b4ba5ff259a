"""What was measured: performance with its slices, fairness, robustness, explainability, and the comparison."""

from __future__ import annotations

from collections.abc import Iterator

from weighin.document.blocks import Block, Checks, NotKnown, Paragraph, Points, Table
from weighin.document.material import Material
from weighin.document.purpose import information
from weighin.record.drilled import Drill, Fault
from weighin.record.metrics import COMPARED
from weighin.report.answer import FIRST_RELEASE
from weighin.report.numbers import percent
from weighin.report.view import CheckView, cell

FAIRNESS = "/fairness/"
SLICES = "Slices, the least favourable first"
"""Information that repeats the checks by slice."""
ANSWERED = {
    "blocked": "blocked",
    "inconclusive": "inconclusive: no pass, and no proof",
    "missed": "MISSED: the candidate would pass with it",
    "not_applicable": "not applicable",
    "error": "the fault could not be made",
}


def performance(of: Material) -> Iterator[Block]:
    """Yield the metrics with their intervals, on all rows and by slice."""
    level = percent(1 - float(of.record["contract"]["alpha"]))
    views = tuple(v for v in of.suite("performance", "sealed") if FAIRNESS not in v.check)
    if not views:
        yield NotKnown("the performance", "write `gates.performance` in the contract")
        return
    rows = tuple(
        (h.name, h.candidate or "–", h.baseline or "–", h.difference or "–", h.allowed, h.word)
        for h in of.answer.headlines
    )
    if rows:
        columns = (
            "metric",
            of.answer.candidate,
            of.answer.champion or "no champion",
            "difference",
            "allowed",
            "outcome",
        )
        yield Table("Candidate beside champion", columns, rows, f"Each end of an interval holds with {level}.")
    slices = tuple(v for v in views if (m := COMPARED.fullmatch(v.check)) and m[4] is not None)
    yield Checks("On all rows", tuple(v for v in views if v not in slices))
    if slices:
        yield Checks("By slice", slices)
    else:
        yield NotKnown("the performance by slice", "write `gates.performance.slices` in the contract")
    yield from (information(t) for t in of.information("performance") if t["title"] != SLICES)
    load = of.suite("load")
    if load:
        yield Checks("Under load", load)
    else:
        yield NotKnown("latency and errors under load", "write `gates.load` in the contract")


def fairness(of: Material) -> Iterator[Block]:
    """Yield the differences between groups that the contract limits."""
    views = tuple(v for v in of.views if FAIRNESS in v.check)
    if not views:
        yield NotKnown(
            "whether groups of people are treated differently", "write `gates.performance.fairness` in the contract"
        )
        return
    yield Checks("Differences between groups", views)
    yield NotKnown(
        "whether these groups and limits are the right ones for those whom the model is used on",
        "people decide it, and say why beside this document",
    )


def robustness(of: Material) -> Iterator[Block]:
    """Yield what the drill, the drift checks and the shadow found."""
    if of.drill is None:
        yield NotKnown(
            "which faults of known size this gate blocks", "run `weighin drill` after the validation, and write again"
        )
    else:
        yield from _drill(of.drill)
    drift = of.suite("drift")
    if drift:
        yield Checks("Drift of the data and the predictions", drift)
    else:
        yield NotKnown("whether recent data are like earlier ones", "write `gates.drift` in the contract")
    shadow = of.suite("shadow")
    if shadow:
        yield Checks("Logged requests, asked again", shadow)
    yield NotKnown(
        "how the model answers to hostile input, and how it is protected from it",
        "people test it beside the gate: no check of this contract does",
    )


def _drill(drill: Drill) -> Iterator[Block]:
    found = drill.summary
    yield Paragraph(
        f"Of {found.faults:,} faults that this gate can meet it blocked {found.killed:,} at their stated size; "
        f"{found.inconclusive:,} were inconclusive, and {found.missed:,} were missed. {found.not_applicable:,} were "
        f"not applicable, and {found.errors:,} could not be made. Of {found.controls:,} draws without a fault "
        f"{found.false_alarms:,} were blocked. {drill.promise}"
    )
    if drill.about.quick:
        yield NotKnown("from which size on each fault is blocked", "run `weighin drill` without `--quick`")
    columns = ("fault", "what it does", "stated size", "answer", "blocked with 80 % from")
    yield Table("Faults", columns, tuple(map(_fault, drill.faults)), "The interval of a size is one of 95 %.")
    controls = tuple(
        (f"`{c.name}`", c.what, f"{c.draws:,}", f"{c.blocked:,}", f"{c.inconclusive:,}", f"{c.passed:,}")
        for c in drill.controls
    )
    if controls:
        yield Table("Without a fault", ("draws of", "", "draws", "blocked", "inconclusive", "passed"), controls)


def _fault(fault: Fault) -> tuple[str, ...]:
    by = ", ".join(f"`{name}`" for name in list(fault.by)[:3])
    more = f" and {len(fault.by) - 3} more" if len(fault.by) > 3 else ""
    said = f"{ANSWERED[fault.answer]}{f' by {by}{more}' if by and fault.answer == 'blocked' else ''}"
    size = "not known"
    if fault.curve is not None:
        high = "no bound" if fault.curve.high is None else cell(fault.curve.high)
        size = f"{cell(fault.curve.size)} ({cell(fault.curve.low)} to {high})"
    return f"`{fault.name}`", fault.what, f"{cell(fault.size)} {fault.unit}", said, size


def explainability(of: Material) -> Iterator[Block]:
    """Yield what the predictions rest on."""
    views = of.suite("explainability")
    if views:
        yield Checks("What the predictions rest on", views)
        yield from (information(t) for t in of.information("explainability"))
    else:
        yield NotKnown("which features the predictions rest on", "write `gates.explainability` in the contract")
    yield NotKnown("whether this is plausible to people who know the subject", "they say so beside this document")


def challenge(of: Material) -> Iterator[Block]:
    """Yield what the candidate was compared with, and what stands for the independence of the judgement."""
    record = of.record
    yield Paragraph(f"{of.answer.sentence}.")
    rows = [("candidate", _version(of, "candidate"))]
    rows += [("champion", _version(of, "champion") or FIRST_RELEASE), ("anchor", _version(of, "anchor") or "none")]
    yield Table("What was compared", ("", ""), tuple(rows))
    compared = tuple(v for v in of.suite("performance", "sealed", "load") if "/vs-" in v.check and not _sliced(v))
    if compared:
        yield Checks("The comparisons", compared)
    points = [
        f"Judged by the image `{record['image']}`."
        if record["image"]
        else "Judged in a local environment: the model was not kept apart from what judged it by a container."
    ]
    built = record.get("provenance")
    if built:
        points.append(f"The image was built by `{built['workflow']}`, which was verified.")
    sealed = record["sealed"]
    if sealed:
        points.append(
            f"Judged on the sealed holdout, use {sealed['use']} of {sealed['holdout_uses']} in epoch {sealed['epoch']}."
        )
    yield Points(tuple(points))
    if not built:
        yield NotKnown(
            "who built the image that judged",
            "judge with an image whose provenance is verified: `weighin step provenance`",
        )
    if not sealed:
        yield NotKnown(
            "the performance on data that no development has seen",
            "write `gates.sealed` in the contract, and validate with `--sealed`",
        )
    yield NotKnown(
        "who challenged assumptions and limits of the model, independently of those who built it",
        "people do, and sign: `weighin approve`",
    )


def _version(of: Material, role: str) -> str:
    version = of.record[role]
    if version is None:
        return ""
    return f"{version['name']}, version {version['version'] or 'none'}, files `{version['digest']}`"


def _sliced(view: CheckView) -> bool:
    match = COMPARED.fullmatch(view.check)
    return match is not None and match[4] is not None
