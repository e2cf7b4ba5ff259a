"""What a drill found, as values and as `drill.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from weighin.drill.controls import Control
from weighin.drill.fault import Fault
from weighin.drill.judge import Judged
from weighin.drill.search import Sized
from weighin.stats.dose_response import Curve
from weighin.untrusted import JsonDict

SCHEMA = "weighin/drill/v1"
FILE = "drill.json"
Answer = Literal["blocked", "inconclusive", "missed", "not_applicable", "error"]
PROMISE = (
    "The drill worked on copies. It wrote to no registry, counted no use of a sealed holdout, and changed no file of "
    "the validation."
)


@dataclass(frozen=True)
class FaultResult:
    """What the gate made of one fault.

    answer   at the stated size, on the data as they are: `blocked` by a check that failed or could not be evaluated,
             `inconclusive`, `missed`, `not_applicable`; `error` where the fault itself went wrong
    by       check -> status of what blocks, for the stated size
    reason   why it is not applicable, or what went wrong
    suggestion, edits  changes of the contract that were tried and block it, in words and as path and value
    curve    by the draws; None where no size was blocked, or none was looked for
    """

    name: str
    family: str
    what: str
    seen: str
    unit: str
    size: float
    answer: Answer
    by: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    curve: Curve | None = None
    draws: Sequence[Sized] = ()
    seconds: float = 0.0
    suggestion: Sequence[str] = ()
    edits: Sequence[tuple[Sequence[str | int], str]] = ()

    @staticmethod
    def of(fault: Fault, judged: Judged, curve: Curve | None, draws: Sequence[Sized], seconds: float) -> FaultResult:
        """Return the result of a fault that was judged."""
        return FaultResult(
            fault.name, fault.family, fault.what, fault.seen, fault.unit, fault.size,
            judged.answer, dict(judged.by), "", curve, tuple(draws), round(seconds, 2),
        )  # fmt: skip

    @staticmethod
    def without(fault: Fault, answer: Literal["not_applicable", "error"], reason: str) -> FaultResult:
        """Return the result of a fault that could not be judged."""
        return FaultResult(
            fault.name, fault.family, fault.what, fault.seen, fault.unit, fault.size, answer, reason=reason
        )

    @property
    def suites(self) -> dict[str, str]:
        """Suite -> `blocked` or `inconclusive`, for the suites that noticed."""
        found: dict[str, str] = {}
        for check, status in self.by.items():
            suite = check.partition("/")[0]
            if status != "inconclusive" or suite not in found:
                found[suite] = "inconclusive" if status == "inconclusive" else "blocked"
        return found

    def to_json(self) -> JsonDict:
        """For `drill.json` and for the journal of a drill that may be stopped."""
        value = asdict(self)
        value |= {"by": dict(self.by), "suites": self.suites, "suggestion": list(self.suggestion)}
        value["edits"] = [{"path": list(path), "value": text} for path, text in self.edits]
        value["draws"] = [asdict(d) for d in self.draws]
        value["curve"] = None if self.curve is None else _curve(self.curve)
        return value

    @staticmethod
    def from_json(value: JsonDict) -> FaultResult:
        """Return what `to_json` made. Errors: `KeyError`, `TypeError`."""
        rest = {k: v for k, v in value.items() if k != "suites"}
        rest["draws"] = tuple(Sized(**d) for d in value["draws"])
        rest["suggestion"] = tuple(value["suggestion"])
        rest["edits"] = tuple((tuple(e["path"]), e["value"]) for e in value["edits"])
        if value["curve"] is not None:
            known = value["curve"]
            rest["curve"] = Curve(**{**known, "high": math.inf if known["high"] is None else known["high"]})
        return FaultResult(**rest)


def _curve(curve: Curve) -> JsonDict:
    assert curve.size is not None
    high = None if math.isinf(curve.high) else _rounded(curve.high)
    return {"size": _rounded(curve.size), "low": _rounded(curve.low), "high": high, "slope": _rounded(curve.slope)}


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


@dataclass(frozen=True)
class Drill:
    """A whole drill.

    about     what was drilled: model, versions, digests, seed, repeats
    baseline  status of the verdict without a fault, and the checks that block in it, for which no fault gets credit
    """

    about: Mapping[str, Any]
    suites: Sequence[str]
    baseline: Mapping[str, Any]
    faults: Sequence[FaultResult]
    controls: Sequence[Control]

    @property
    def applicable(self) -> list[FaultResult]:
        """The faults that this gate can meet."""
        return [f for f in self.faults if f.answer not in ("not_applicable", "error")]

    @property
    def survivors(self) -> list[FaultResult]:
        """The faults that are not blocked at their stated size."""
        return [f for f in self.applicable if f.answer != "blocked"]

    @property
    def summary(self) -> JsonDict:
        """Counts."""
        answers = [f.answer for f in self.faults]
        return {
            "faults": len(self.applicable),
            "killed": answers.count("blocked"),
            "inconclusive": answers.count("inconclusive"),
            "missed": answers.count("missed"),
            "not_applicable": answers.count("not_applicable"),
            "errors": answers.count("error"),
            "controls": sum(c.draws for c in self.controls),
            "false_alarms": sum(c.blocked for c in self.controls),
        }

    def to_json(self) -> JsonDict:
        """Return the value of `drill.json`."""
        return {
            "schema": SCHEMA,
            "about": dict(self.about),
            "promise": PROMISE,
            "suites": list(self.suites),
            "baseline": dict(self.baseline),
            "summary": self.summary,
            "faults": [f.to_json() for f in self.faults],
            "controls": [asdict(c) for c in self.controls],
        }
