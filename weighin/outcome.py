"""The rule: an interval against a limit, decided in one place.

A suite measures (`Measurement`) or says why it could not (`Unmeasured`); a contract sets a `Limit`; `decide` compares
the two and nothing else in this code base does. Promotion needs every blocking check to pass, which is an
intersection-union test (Berger 1982): with one-sided intervals of error `alpha`, a model that truly breaks a blocking
limit passes with probability at most `alpha`, whatever the number of checks. `confirm_failures` corrects the other
direction (Holm's adjustment): with many checks, some interval of a good model falls on the forbidden side by chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal


class Status(StrEnum):
    """What `decide` can say."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    NOT_EVALUATED = "not_evaluated"


class Direction(StrEnum):
    """On which side of the limit the value must lie. The limit itself is allowed."""

    AT_LEAST = "at_least"
    AT_MOST = "at_most"


Severity = Literal["block", "warn"]
Evaluations = Literal["one", "unlimited"]
"""For how many evaluations of one candidate, as data come in, an interval holds."""


@dataclass(frozen=True)
class Measurement:
    """A number with its uncertainty.

    estimate, low, high  in `unit`; [low, high] holds the true value, each end with error 1 - `level` (one-sided)
    level                confidence of each end, in (0.5, 1); a census is exact and carries 1.0
    n, sampling_unit     how many sampling units stand behind it: rows, days, requests
    kind                 `sample`: drawn, has an interval. `census`: everything was looked at, low == estimate == high
    p_value              one-sided p-value of "the true value is on the allowed side", for `confirm_failures`; None for
                         a census, or where the method has none (the weakest value that a failure allows is used then)
    detail               plain values for reports; never read by `decide`
    found                what it is that was measured, in words that name no value of the data: `b: float in the
                         reference, integer now`. It leads the sentence of a failure
    fault                why the number shows a fault whatever the limit; such a measurement has failed
    evaluations          `unlimited`: the interval is one of a sequence that holds at every number of units together
    """

    check: str
    estimate: float
    low: float
    high: float
    level: float
    n: int
    unit: str
    method: str
    kind: Literal["sample", "census"] = "sample"
    sampling_unit: str = "rows"
    p_value: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    found: str = ""
    fault: str = ""
    evaluations: Evaluations = "one"


def census(
    check: str,
    value: float,
    *,
    n: int,
    unit: str,
    method: str,
    sampling_unit: str = "rows",
    found: str = "",
    **detail: object,
) -> Measurement:
    """Return a measurement of everything there is: no interval.

    >>> census("rows", 3, n=3, unit="rows", method="count").low
    3.0
    """
    v = float(value)
    return Measurement(check, v, v, v, 1.0, n, unit, method, "census", sampling_unit, None, detail, found)


@dataclass(frozen=True)
class Unmeasured:
    """What could not be measured, and why, in a sentence."""

    check: str
    reason: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Limit:
    """What the contract demands of one check.

    `alpha` is the one-sided error that the interval may have at most: a measurement made at a weaker level than
    1 - alpha is not evaluated. `severity` and `when_inconclusive` say what an outcome means for the gate, not which
    outcome it is. `relative_margin` and `against` say what a limit of zero on `candidate - factor * baseline` means.
    With `evaluations: unlimited` an interval for one evaluation is not evaluated.

    >>> print(Limit(Direction.AT_LEAST, 0.0, relative_margin=0.05, against="champion"))
    at most 5 % below the champion's
    """

    direction: Direction
    value: float
    alpha: float = 0.05
    severity: Severity = "block"
    when_inconclusive: Severity = "block"
    relative_margin: float | None = None
    against: str = ""
    evaluations: Evaluations = "one"

    def __str__(self) -> str:
        if self.relative_margin is not None and self.value == 0:
            side = "below" if self.direction is Direction.AT_LEAST else "above"
            return f"at most {100 * self.relative_margin:g} % {side} the {self.against}'s"
        return f"{'≥' if self.direction is Direction.AT_LEAST else '≤'} {self.value:g}"


def stricter(one: Limit, other: Limit) -> Limit:
    """Return the limit that lets pass only what both let pass. Errors: `ValueError` for limits on different sides.

    >>> print(stricter(Limit(Direction.AT_LEAST, 0.7), Limit(Direction.AT_LEAST, 0.8, severity="warn")))
    ≥ 0.8
    """
    if one.direction is not other.direction:
        raise ValueError(f"{one} and {other} lie on different sides")
    pick = max if one.direction is Direction.AT_LEAST else min
    kept = one if pick(one.value, other.value) == one.value else other
    return replace(
        kept,
        alpha=min(one.alpha, other.alpha),
        severity="block" if "block" in (one.severity, other.severity) else "warn",
        when_inconclusive="block" if "block" in (one.when_inconclusive, other.when_inconclusive) else "warn",
        evaluations="unlimited" if "unlimited" in (one.evaluations, other.evaluations) else "one",
    )


@dataclass(frozen=True)
class Outcome:
    """What was decided about one check, with the evidence it was decided on."""

    check: str
    status: Status
    reason: str
    limit: Limit
    evidence: Measurement | Unmeasured
    n_required: int | None = None
    """How many sampling units in all would settle an inconclusive check, if the estimate is right."""

    @property
    def blocks(self) -> bool:
        """Whether this outcome alone stops a promotion."""
        if self.status is Status.PASSED or self.limit.severity == "warn":
            return False
        return not (self.status is Status.INCONCLUSIVE and self.limit.when_inconclusive == "warn")


def decide(evidence: Measurement | Unmeasured, limit: Limit) -> Outcome:
    """Compare an interval with a limit.

    `passed` when the whole interval is on the allowed side, `failed` when the whole of it is on the forbidden side,
    `inconclusive` when the limit lies within; `not_evaluated` for whatever is no proper interval at the demanded
    level. Undefined input is never a pass, and a measurement that shows a fault has failed.

    >>> auc = Measurement("auc", 0.74, 0.73, 0.75, 0.95, 1000, "AUC", "DeLong")
    >>> decide(auc, Limit(Direction.AT_LEAST, 0.70)).status.value
    'passed'
    >>> decide(auc, Limit(Direction.AT_LEAST, 0.735)).status.value
    'inconclusive'
    """
    if isinstance(evidence, Unmeasured):
        return Outcome(evidence.check, Status.NOT_EVALUATED, evidence.reason, limit, evidence)
    problem = _improper(evidence, limit)
    if problem:
        return Outcome(evidence.check, Status.NOT_EVALUATED, problem, limit, evidence)
    m, at_least = evidence, limit.direction is Direction.AT_LEAST
    worst, best = (m.low, m.high) if at_least else (m.high, m.low)

    def allowed(value: float) -> bool:
        return value >= limit.value if at_least else value <= limit.value

    shown = _interval(m)
    if m.fault:
        return Outcome(m.check, Status.FAILED, f"{m.fault} ({shown})", limit, m)
    if allowed(worst):
        return Outcome(m.check, Status.PASSED, f"{shown}, limit {limit}", limit, m)
    if not allowed(best):
        said = f"{m.found} ({shown}, limit {limit})" if m.found else f"{shown} is beyond the limit {limit}"
        return Outcome(m.check, Status.FAILED, said, limit, m)
    needed = _needed(m, limit)
    if needed:
        reconcile = f"about {needed:,} {m.sampling_unit} would settle it, this has {m.n:,}"
    elif math.isinf(worst):
        reconcile = f"{m.n:,} {m.sampling_unit} prove no bound at all, more are needed"
    else:
        more = f"more {m.sampling_unit} than {m.n:,} are needed"
        reconcile = f"{more}, and the estimate lies too close to the limit to say how many"
    return Outcome(m.check, Status.INCONCLUSIVE, f"{shown} holds the limit {limit}: {reconcile}", limit, m, needed)


def confirm_failures(outcomes: Sequence[Outcome], alpha: float) -> list[Outcome]:
    """Holm's correction (1979) over all failed samples: a failure that it does not confirm becomes inconclusive.

    It may only turn `failed` into `inconclusive`, so it never lets a model pass. The family is every sample that was
    decided, since any of them could have failed by chance. A failure without a p-value counts with `alpha`, the
    largest value that its interval allows.
    """
    family = [o for o in outcomes if isinstance(o.evidence, Measurement) and o.evidence.kind == "sample"]
    # A fault is not what its interval says, so chance has no part in it.
    family = [o for o in family if o.status is not Status.NOT_EVALUATED and not _is_fault(o)]
    ordered = sorted((o for o in family if o.status is Status.FAILED), key=lambda o: _p(o, alpha))
    unconfirmed: set[str] = set()
    for rank, outcome in enumerate(ordered):
        # Holm steps down and stops at the first that fails; the checks that passed have larger p-values than these.
        if unconfirmed or _p(outcome, alpha) * (len(family) - rank) > alpha:
            unconfirmed.add(outcome.check)
    note = f"failed alone, but not after Holm's correction over {len(family)} checks"
    return [
        replace(o, status=Status.INCONCLUSIVE, reason=f"{o.reason}; {note}") if o.check in unconfirmed else o
        for o in outcomes
    ]


def gate(outcomes: Sequence[Outcome]) -> Status:
    """One status for many outcomes: the worst that blocks. Nothing evaluated is never a pass."""
    if not outcomes or all(o.status is Status.NOT_EVALUATED for o in outcomes):
        return Status.NOT_EVALUATED
    blocking = {o.status for o in outcomes if o.blocks}
    for status in (Status.FAILED, Status.NOT_EVALUATED, Status.INCONCLUSIVE):
        if status in blocking:
            return status
    return Status.PASSED


def _is_fault(outcome: Outcome) -> bool:
    return isinstance(outcome.evidence, Measurement) and bool(outcome.evidence.fault)


def _p(outcome: Outcome, alpha: float) -> float:
    assert isinstance(outcome.evidence, Measurement)
    p = outcome.evidence.p_value
    return alpha if p is None or not 0.0 <= p <= 1.0 else p


def _improper(m: Measurement, limit: Limit) -> str:
    """Why this is no interval that can be compared with this limit; empty when it is one."""
    if any(math.isnan(v) for v in (m.low, m.high)) or not math.isfinite(m.estimate) or not math.isfinite(limit.value):
        return f"estimate {m.estimate}, interval {m.low} to {m.high}, limit {limit.value}: not a finite number"
    if m.n <= 0:
        return f"nothing was measured: n = {m.n} {m.sampling_unit}"
    if not m.low <= m.estimate <= m.high:
        return f"the interval {m.low} to {m.high} does not hold its estimate {m.estimate}"
    if m.kind == "census" and not m.low == m.estimate == m.high:
        return f"a census has no interval, this one has {m.low} to {m.high}"
    # A hair of tolerance: 1 - 0.05 and 0.95 are not the same floating-point number.
    if m.kind == "sample" and not 1 - limit.alpha - 1e-9 <= m.level < 1:
        return f"measured at level {m.level:g}, the limit demands {1 - limit.alpha:g}"
    if m.kind == "sample" and limit.evaluations == "unlimited" and m.evaluations != "unlimited":
        return "the interval is for one evaluation, the limit demands one for any number of them"
    return ""


def _needed(m: Measurement, limit: Limit) -> int | None:
    """Return at how many sampling units the interval would clear the limit; half-widths shrink with the root of n."""
    distance = m.estimate - limit.value
    if limit.direction is Direction.AT_MOST:
        distance = -distance
    half = (m.estimate - m.low) if (distance > 0) == (limit.direction is Direction.AT_LEAST) else (m.high - m.estimate)
    # Beyond 1,000 half-widths the estimate is on the limit for all practical purposes, and the square may overflow.
    if half == 0 or not half <= 1_000 * abs(distance):
        return None
    return math.ceil(m.n * (half / distance) ** 2)


COUNTED = frozenset(
    {"rows", "columns", "expectations", "failures", "answers", "requests", "problems", "days", "hours", "minutes"}
)
"""Units whose name is the plural of what is counted."""


def amount(number: str, unit: str) -> str:
    """Return a number with its unit, in words that agree.

    >>> amount("1", "columns"), amount("2", "columns"), amount("0.5", ""), amount("0.5", "share of requests")
    ('1 column', '2 columns', '0.5', 'share of requests 0.5')
    """
    if unit == "share" or unit.startswith("share of "):
        return f"{unit} {number}"
    return f"{number} {unit.removesuffix('s') if number == '1' and unit in COUNTED else unit}".rstrip()


def _interval(m: Measurement) -> str:
    if m.kind == "census":
        return amount(f"{m.estimate:.6g}", m.unit)
    return amount(f"{m.estimate:.4g} [{m.low:.4g}, {m.high:.4g}]", m.unit)
