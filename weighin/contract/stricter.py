"""Two contracts side by side, that of the base branch and that of a pull request: the stricter limit decides.

A limit is compared where both measure the same. What one of them measures differently (another rule, other data,
another grouping of rows) cannot be decided on what was measured, and is for a person to look at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from weighin.contract.checks import Check, MetricRule, checks
from weighin.contract.models import Contract
from weighin.contract.rules import ColumnRule
from weighin.outcome import stricter
from weighin.untrusted import JsonDict

How = Literal["added", "removed", "relaxed", "tightened", "redefined"]
NOT_MEASURED = {"waivers", "alpha", "promotion", "deploy", "monitor", "drill", "ml_test_score", "version", "card"}
"""Parts of a contract that are limits, or about what comes after, or only for people."""
_OF_COLUMN = {
    "range": ("minimum", "maximum"),
    "allowed": ("allowed",),
    "pattern": ("pattern",),
    "type": ("type",),
    "order": ("order",),
    "time_zone": ("time_zone",),
}
_LIMITS = (
    "share_at_most",
    "severity",
    "hours_at_most",
    "missing_at_most",
    "outside_at_most",
    "datasets",
    "future",
    "overlap_at_most",
)
_CHECKS = {
    "data_quality": (
        "unique_together",
        "compare",
        "references",
        "fresh",
        "training_rows",
        "copies",
        "own_expectations",
    ),
    "performance": ("checks", "slices", "fairness", "champion_as_recorded", "evaluations"),
    "drift": ("columns", "target_by"),
    "explainability": ("forbidden", "severity"),
    "load": ("quantiles", "first_token", "within", "against_champion", "tolerance", "answers_may_differ"),
    "shadow": ("quantile", "tolerance"),
    "sealed": (),
}
"""Parts of a gate that are checks, which are compared as such."""
_GRADES = ("severity", "when_inconclusive", "reason")
_NO_LIMITS = ("rows_at_most", "lateness_ms_at_most")
"""They end like limits of checks, and say what is measured."""


@dataclass(frozen=True)
class LimitChange:
    """What a pull request does to one check. `before` and `after` are limits in words; empty where there is none."""

    check: str
    how: How
    before: str = ""
    after: str = ""

    @property
    def lenient(self) -> bool:
        """Whether less is demanded, or may be."""
        return self.how in ("removed", "relaxed", "redefined")


@dataclass(frozen=True)
class Compared:
    """Both contracts together.

    checks    check -> the stricter of the two; one that only the base has carries why it cannot be evaluated
    limits    what changed, check by check
    measured  places of the contract that say what is measured, and differ
    own       the base's suites that no gate names: they are demanded of the pull request as well
    """

    checks: Mapping[str, Check]
    limits: tuple[LimitChange, ...]
    measured: tuple[str, ...]
    own: tuple[str, ...] = ()

    @property
    def lenient(self) -> bool:
        """Whether a person should look at it before it counts."""
        return bool(self.measured) or any(change.lenient for change in self.limits)


def compare(head: Contract, base: Contract, now: datetime | None = None) -> Compared:
    """Return the contract of a pull request with that of the branch that it wants to join."""
    ours = {c.id: c for c in checks(head, now=now)}
    theirs = {c.id: c for c in checks(base, now=now)}
    found, changes = dict(ours), []
    for name, before in theirs.items():
        after = ours.get(name)
        if after is None:
            found[name] = replace(before, expired="the pull request removes this check")
            changes.append(LimitChange(name, "removed", str(before.limit)))
        elif content_hash(after) != content_hash(before) or after.limit.direction is not before.limit.direction:
            found[name] = replace(before, expired="the pull request measures something else under this name")
            changes.append(LimitChange(name, "redefined", str(before.limit), str(after.limit)))
        elif after.limit != before.limit:
            limit = stricter(after.limit, before.limit)
            how: How = "tightened" if limit == after.limit else "relaxed"
            changes.append(LimitChange(name, how, _said(before), _said(after)))
            kept = before if limit == before.limit else after
            found[name] = replace(after, limit=limit, waiver=kept.waiver, expired=before.expired or after.expired)
        elif before.expired or after.expired:
            found[name] = replace(after, expired=before.expired or after.expired)
    changes += [LimitChange(n, "added", "", str(c.limit)) for n, c in ours.items() if n not in theirs]
    return Compared(found, tuple(changes), tuple(_differences(basis(head), basis(base))))


def _said(check: Check) -> str:
    limit = check.limit
    graded = "".join(f", {w}" for w in (limit.severity, limit.when_inconclusive) if w == "warn")
    graded += ", for any number of evaluations" if limit.evaluations == "unlimited" else ""
    return f"{limit} at alpha {limit.alpha:g}{graded}"


def content_hash(check: Check) -> object:
    """Return what a check measures, its limits left out."""
    rule = check.rule
    if isinstance(rule, ColumnRule):
        of = rule.rule.of.model_dump() if rule.rule.of is not None else {}
        wanted = _OF_COLUMN.get(rule.rule.kind)
        if wanted is None:
            wanted = (
                () if rule.rule.kind in ("exists", "missing", "unique") else tuple(k for k in of if k not in _LIMITS)
            )
        return rule.dataset, rule.rule.kind, rule.rule.columns, rule.rule.when, tuple((k, of[k]) for k in wanted)
    if isinstance(rule, MetricRule):
        part = rule.slice
        cut = None if part is None else (part.part, part.of.column, part.of.query, part.of.rows_at_least)
        return rule.metric, rule.against, rule.factor, cut
    return rule


def basis(contract: Contract) -> JsonDict:
    """Return what is measured, and on what: everything of a contract that is neither a limit nor about what comes
    after.
    """
    whole = contract.model_dump(mode="json", exclude=NOT_MEASURED)
    if contract.gates.shadow and contract.monitor:
        # The requests that are asked again are data, too.
        whole["log"] = contract.monitor.log.model_dump(mode="json", exclude={"retain_days"})
    whole["data"].pop("public_data")
    # Checks, which are compared as such.
    whole["model"].pop("training_datasets")
    target = contract.model.target
    whole["data"]["columns"] = {n: _handed(c, of_target=n == target) for n, c in whole["data"]["columns"].items()}
    for name, own in _CHECKS.items():
        gate = whole["gates"].get(name)
        if gate is not None:
            whole["gates"][name] = {k: v for k, v in gate.items() if k not in own}
    return whole


def _handed(column: JsonDict, *, of_target: bool) -> list[object]:
    """Return what of a column says what a model is given, or which rows are labelled."""
    keys = ["role", "sensitive", "type", "categorical", "length"]
    keys += ["allowed"] if column["categorical"] else []
    keys += ["missing_at_most"] if of_target else []
    return [column[key] for key in keys]


def _differences(one: object, other: object, place: str = "") -> Iterator[str]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}):
            if key in _GRADES or (key.endswith(("_at_most", "_at_least")) and key not in _NO_LIMITS):
                continue
            yield from _differences(one.get(key), other.get(key), f"{place}.{key}" if place else str(key))
    elif one != other:
        yield place
