"""Every check that a contract demands, as a flat list with stable ids. Suites and verdict read the same list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import permutations
from typing import Any, Literal

from weighin.contract.columns import Column
from weighin.contract.gates import (
    TEXT_KINDS,
    AbsoluteCheck,
    Baseline,
    BaselineCheck,
    Drift,
    FairnessCheck,
    Measure,
    Performance,
    SliceCheck,
    TextKind,
)
from weighin.contract.models import Contract
from weighin.contract.parts import CUSTOM_METRIC, Graded
from weighin.contract.rules import ColumnRule, compared_by, quality_rules
from weighin.outcome import Direction, Limit

Path = tuple[str | int, ...]
Kind = Literal["distance", "missing", "new-category-share", "mean", "table", "drifted", "joint"]


@dataclass(frozen=True)
class SliceRule:
    """Some of the rows: one part of a `SliceCheck`, or its `other` where `part` is None.

    part   a value, a range (from, to), or an SQL condition
    """

    of: SliceCheck
    part: str | int | tuple[float, float] | None


@dataclass(frozen=True)
class MetricRule:
    """A metric of the candidate, or candidate minus `factor` times a baseline, on all or some rows."""

    metric: str
    against: Baseline | None = None
    factor: float = 1.0
    slice: SliceRule | None = None

    @property
    def custom(self) -> bool:
        """Whether a function of the repository measures it."""
        return self.metric.startswith(CUSTOM_METRIC)


@dataclass(frozen=True)
class FairnessRule:
    """A rate among the rows of one value of a column, minus the same rate among those of another."""

    rate: str
    column: str
    one: str | int
    other: str | int


@dataclass(frozen=True)
class ChangedRule:
    """How many holdout rows the candidate answers differently from the champion: none means nothing changed."""


@dataclass(frozen=True)
class EmptyRule:
    """The share of answers that hold nothing but white space: many scores are best for those."""


@dataclass(frozen=True)
class RecordedRule:
    """How far the champion's metric on the holdout of today lies from the one that its promotion recorded."""

    metric: str


@dataclass(frozen=True)
class DriftRule:
    """How far one column (or `prediction`) lies from the reference.

    kind   distance of the distributions, or the shift of a share or mean; `table`: columns that are not as in the
           reference; `drifted`: share of columns beyond their limit; `joint`: all features together
    bins   quantile cells of a number
    """

    kind: Kind
    column: str = ""
    measure: Measure = "psi"
    bins: int = 10


@dataclass(frozen=True)
class TextDriftRule:
    """How far the texts of a column lie from the reference's: by one of the kinds of `TextDrift`."""

    kind: TextKind
    column: str


@dataclass(frozen=True)
class TargetRule:
    """How far the label has moved in a part of the rows: one value of a column, or a range of scores (no column)."""

    column: str
    part: str | int | tuple[float, float]


LoadKind = Literal[
    "within",
    "quantile",
    "throughput",
    "errors",
    "wrong_answers",
    "malformed",
    "input_example",
    "start_up",
    "memory",
    "cpu",
    "against_champion",
    "max-sustainable-rate",
    "recovery",
    "memory_growth",
    "clean_environment",
]


@dataclass(frozen=True)
class LoadRule:
    """One property of the served model.

    phase         under which load
    latency_ms    within which an answer is in time
    quantile      of latency
    tolerance     within which served and offline answer are the same; None follows the answer's precision
    first_token   whether the latency is that of the first piece of a text
    """

    kind: LoadKind
    phase: Literal["load", "peak"] = "load"
    latency_ms: float = 0.0
    quantile: float = 0.0
    tolerance: float | None = None
    first_token: bool = False


@dataclass(frozen=True)
class ImportanceRule:
    """What permuting one feature does to the predictions or to the loss, or how the features rank (no feature)."""

    kind: Literal["forbidden", "share", "rank_agreement"]
    feature: str = ""


@dataclass(frozen=True)
class SealedRule:
    """How many of the performance gate's blocking checks do not pass on the sealed holdout, as none or some."""


@dataclass(frozen=True)
class ShadowRule:
    """How candidate and champion answer the same logged requests.

    tolerance  of a regression, within which answers are the same
    token_f1   of texts, from which on answers are the same; None: letter by letter
    quantile   of latency
    """

    kind: Literal["disagreement", "errors", "slower", "latency_ms"]
    tolerance: float = 0.0
    quantile: float = 0.0
    token_f1: float | None = None


@dataclass(frozen=True)
class ModelRule:
    """One thing that the candidate's files say, before it is asked.

    signature        inputs that the contract's features do not fit
    unsigned         what is not promised, since there is no signature
    unused           features that the model is never given
    callers          inputs that clients of the champion do not send
    fitted_versions  libraries of another version than the model was fitted with
    training_rows    rows of the holdout that stand in the datasets that its run has logged for training
    training_overlap rows of those datasets that are not before the holdout's first moment
    columns          in which rows are compared, or the column of the time
    """

    kind: Literal["signature", "unsigned", "unused", "callers", "fitted_versions", "training_rows", "training_overlap"]
    columns: tuple[str, ...] = ()


Rule = (
    ColumnRule
    | ModelRule
    | RecordedRule
    | MetricRule
    | FairnessRule
    | ChangedRule
    | EmptyRule
    | DriftRule
    | TextDriftRule
    | TargetRule
    | LoadRule
    | ImportanceRule
    | ShadowRule
    | SealedRule
)


@dataclass(frozen=True)
class Check:
    """One thing that must hold.

    path     keys and numbers that lead to its limit in the contract's YAML: `("gates", "performance", "checks", 3)`. A
             limit that the file leaves to its default has no such place: the path then goes on beyond what is there
    waiver   a sentence where a waiver changed the limit
    expired  a sentence where a waiver for it has run out
    """

    id: str
    suite: str
    limit: Limit
    rule: Rule
    path: Path = ()
    waiver: str = ""
    expired: str = ""


def checks(contract: Contract, suite: str | None = None, now: datetime | None = None) -> list[Check]:
    """All checks of a contract, or those of one suite, waivers applied.

    Without `suite` all that every candidate must meet; the suite `sealed` is a release's, and has to be asked for.
    `now` is the moment at which waivers are judged where the contract fixes none (`as_of`).
    """
    gates = contract.gates
    parts = {
        "model": _model(contract),
        "data_quality": _data_quality(contract) if gates.data_quality else (),
        "performance": _performance(contract) if gates.performance else (),
        "drift": _drift(contract) if gates.drift else (),
        "explainability": _explainability(contract) if gates.explainability else (),
        "sealed": _sealed(contract) if gates.sealed else (),
        "load": _load(contract) if gates.load else (),
        "shadow": _shadow(contract) if gates.shadow else (),
    }
    moment = contract.as_of or now or datetime.now(UTC)
    wanted = [suite] if suite else ["model", *gates.names]
    return [_waived(check, contract, moment) for name in wanted for check in parts[name]]


def _waived(check: Check, contract: Contract, moment: datetime) -> Check:
    day = moment.astimezone(UTC).date()
    for number, waiver in enumerate(contract.waivers):
        if waiver.check != check.id or (waiver.starts is not None and not waiver.starts <= day <= waiver.expires):
            continue
        since = f"from {waiver.starts} " if waiver.starts else ""
        text = f"waiver of {waiver.owner} {since}until {waiver.expires}: {waiver.reason}"
        if day > waiver.expires:
            expired = f"the {text} has expired; renew it or meet the limit {check.limit}"
            return replace(check, expired=expired, path=("waivers", number))
        return replace(check, limit=replace(check.limit, value=waiver.limit), waiver=text, path=("waivers", number))
    return check


def _model(contract: Contract) -> Iterator[Check]:
    """Yield the checks that every contract has."""
    limit, at = Limit(Direction.AT_MOST, 0.0, contract.alpha), ("model",)
    yield Check("model/signature", "model", limit, ModelRule("signature"), at)
    warn = replace(limit, severity="warn")
    yield Check("model/no-signature", "model", warn, ModelRule("unsigned"), at)
    yield Check("model/unused-features", "model", warn, ModelRule("unused"), at)
    yield Check("model/champion-callers", "model", warn, ModelRule("callers"), at)
    graded = replace(limit, severity=contract.model.fitted_versions)
    yield Check("model/fitted-versions", "model", graded, ModelRule("fitted_versions"), (*at, "fitted_versions"))
    rows, time, place = contract.model.training_datasets, contract.data.time_column, (*at, "training_datasets")
    if rows is None:
        return
    rule = ModelRule("training_rows", compared_by(contract, rows.by))
    graded = replace(limit, value=rows.share_at_most, severity=rows.severity)
    yield Check("model/training-rows", "model", graded, rule, place)
    if time is not None and rows.overlap_at_most < 1:
        graded = replace(graded, value=rows.overlap_at_most)
        yield Check("model/training-overlap", "model", graded, ModelRule("training_overlap", (time,)), place)


def _data_quality(contract: Contract) -> Iterator[Check]:
    gate = contract.gates.data_quality
    assert gate is not None
    for dataset in gate.datasets or contract.data.named:
        for rule in quality_rules(contract):
            if dataset == "holdout" and contract.labels is not None and rule.columns == (contract.model.target,):
                continue  # labels are in a file of their own, and are looked at where they are read
            if not rule.datasets or dataset in rule.datasets:
                name = f"data_quality/{dataset}/{rule.key}"
                yield Check(name, "data_quality", rule.limit, ColumnRule(dataset, rule), rule.path)


def _performance(contract: Contract) -> Iterator[Check]:
    gate = contract.gates.performance
    assert gate is not None
    for check in _of_performance(contract, gate):
        counted = isinstance(check.rule, ChangedRule | EmptyRule)
        unlimited = gate.anytime and not counted
        yield replace(check, limit=replace(check.limit, evaluations="unlimited")) if unlimited else check


def _of_performance(contract: Contract, gate: Performance) -> Iterator[Check]:
    one = Limit(Direction.AT_LEAST, 1.0, contract.alpha)
    at = ("gates", "performance")
    yield Check("performance/changed", "performance", one, ChangedRule(), at)
    if contract.model.task == "text":
        empty = Limit(Direction.AT_MOST, contract.model.empty_answers_at_most, contract.alpha)
        place = ("model", "empty_answers_at_most")
        yield Check("performance/empty-answers", "performance", empty, EmptyRule(), place)
    for number, item in enumerate(gate.checks):
        path = (*at, "checks", number)
        if isinstance(item, AbsoluteCheck):
            direction = Direction.AT_LEAST if item.at_least is not None else Direction.AT_MOST
            value = item.at_least if item.at_least is not None else item.at_most
            assert value is not None
            limit = Limit(direction, value, contract.alpha, item.severity, item.when_inconclusive)
            yield Check(f"performance/{item.metric}", "performance", limit, MetricRule(item.metric), path)
        else:
            yield _compared(item, gate, contract.alpha, path)
    for number, part in enumerate(gate.slices):
        yield from _slices(part, gate, contract.alpha, (*at, "slices", number))
    for number, fairness in enumerate(gate.fairness):
        yield from _fairness(fairness, contract.alpha, (*at, "fairness", number))
    for number, of in enumerate(gate.champion_as_recorded):
        limit = Limit(Direction.AT_MOST, of.margin, contract.alpha, of.severity, of.when_inconclusive)
        path = (*at, "champion_as_recorded", number)
        yield Check(
            f"performance/champion-as-recorded/{of.metric}", "performance", limit, RecordedRule(of.metric), path
        )


def lower_is_better(metric: str, gate: Performance) -> bool:
    """Which way a metric of the catalogue, or one of the team's own, improves."""
    known = gate.catalogued(metric)
    if known is not None:
        return known.lower_is_better
    return gate.custom[metric.removeprefix(CUSTOM_METRIC)].lower_is_better


def _compared(
    item: BaselineCheck | SliceCheck,
    gate: Performance,
    alpha: float,
    path: Path,
    slice_: SliceRule | None = None,
    name: str = "",
) -> Check:
    """Return a comparison as a limit on `candidate - factor * baseline`; for a metric that improves downwards,
    mirrored.
    """
    sign = 1 if lower_is_better(item.metric, gate) else -1
    direction = Direction.AT_MOST if sign > 0 else Direction.AT_LEAST
    factor, kind, value = 1.0, "", sign * (item.margin or 0.0)
    if item.relative_margin is not None:
        factor, kind, value = 1 + sign * item.relative_margin, "/relative", 0.0
    elif item.better_by is not None:
        kind, value = "/better", -sign * item.better_by
    # Minus zero is no limit that a reader should meet.
    limit = Limit(direction, value or 0.0, alpha, item.severity, item.when_inconclusive)
    if item.relative_margin is not None:
        limit = replace(limit, relative_margin=item.relative_margin, against=item.against)
    rule = MetricRule(item.metric, item.against, factor, slice_)
    part = f"/{name}" if name else ""
    return Check(f"performance/{item.metric}/vs-{item.against}{kind}{part}", "performance", limit, rule, path)


def _slices(item: SliceCheck, gate: Performance, alpha: float, path: Path) -> Iterator[Check]:
    if item.query is not None:
        yield _compared(item, gate, alpha, path, SliceRule(item, item.query), str(item.name))
    for value in item.values:
        yield _compared(item, gate, alpha, path, SliceRule(item, value), f"{item.column}={value}")
    for low, high in item.ranges:
        yield _compared(item, gate, alpha, path, SliceRule(item, (low, high)), f"{item.column}={low:g}..{high:g}")
    if item.other:
        yield _compared(item, gate, alpha, path, SliceRule(item, None), f"{item.column}=other")


def _fairness(item: FairnessCheck, alpha: float, path: Path) -> Iterator[Check]:
    rates = {
        "demographic_parity": ("selection_rate",),
        "equal_opportunity": ("true_positive_rate",),
        "equalised_odds": ("true_positive_rate", "false_positive_rate"),
        "score": (str(item.metric),),
    }.get(item.measure, (item.measure,))
    limit = Limit(Direction.AT_MOST, item.at_most, alpha, item.severity, item.when_inconclusive)
    for rate in rates:
        for one, other in permutations(item.values, 2):
            name = f"performance/fairness/{item.measure}/{rate}/{item.column}={one}-minus-{other}"
            if len(rates) == 1:
                name = f"performance/fairness/{item.metric or item.measure}/{item.column}={one}-minus-{other}"
            yield Check(name, "performance", limit, FairnessRule(rate, item.column, one, other), path)


def _explainability(contract: Contract) -> Iterator[Check]:
    gate = contract.gates.explainability
    assert gate is not None
    alpha, severity, at = contract.alpha, gate.severity, ("gates", "explainability")
    for feature in gate.forbidden:
        limit = Limit(Direction.AT_MOST, gate.forbidden_at_most, alpha, severity)
        rule = ImportanceRule("forbidden", feature)
        yield Check(f"explainability/forbidden/{feature}", "explainability", limit, rule, (*at, "forbidden"))
    if gate.share_at_most is not None:
        for feature in contract.features:
            limit = Limit(Direction.AT_MOST, gate.share_at_most, alpha, severity)
            rule, path = ImportanceRule("share", feature), (*at, "share_at_most")
            yield Check(f"explainability/share/{feature}", "explainability", limit, rule, path)
    if gate.rank_agreement_at_least is not None:
        limit = Limit(Direction.AT_LEAST, gate.rank_agreement_at_least, alpha, severity)
        rule, path = ImportanceRule("rank_agreement"), (*at, "rank_agreement_at_least")
        yield Check("explainability/rank-agreement", "explainability", limit, rule, path)


def _sealed(contract: Contract) -> Iterator[Check]:
    limit = Limit(Direction.AT_MOST, 0.0, contract.alpha)
    yield Check("sealed/performance", "sealed", limit, SealedRule(), ("gates", "sealed"))


KS_CELLS = 100
"""Quantile cells for the Kolmogorov-Smirnov distance: what lies inside a cell is not seen."""


def _drift(contract: Contract) -> Iterator[Check]:
    gate = contract.gates.drift
    assert gate is not None
    for name in drift_columns(contract):
        own = gate.columns.get(name)
        severity, inconclusive = (own.severity, own.when_inconclusive) if own else ("block", "block")

        def check(
            kind: Kind,
            value: float,
            key: str,
            own: object = own,
            name: str = name,
            graded: tuple[Any, Any] = (severity, inconclusive),
        ) -> Check:
            rule = DriftRule(kind, name, *cut(gate, name))
            end = "" if kind == "distance" else f"/{kind}"
            path = ("columns", name) if getattr(own, key, None) is not None else (key,)
            limit = Limit(Direction.AT_MOST, value, contract.alpha, *graded)
            return Check(f"drift/{name}{end}", "drift", limit, rule, ("gates", "drift", *path))

        yield check("distance", own.at_most if own and own.at_most is not None else gate.at_most, "at_most")
        extra: tuple[tuple[Kind, str], ...] = (
            ("missing", "missing_at_most"),
            ("new-category-share", "new_category_share_at_most"),
            ("mean", "mean_shift_at_most"),
        )
        column = contract.data.columns.get(name)
        for kind, key in extra:
            asked = getattr(own, key, None)
            value = asked if asked is not None else getattr(gate, key)
            if value is not None and (asked is not None or _applies(kind, column, contract)):
                yield check(kind, value, key)
    for column_name, texts in gate.texts.items():
        for text_kind in TEXT_KINDS:
            most = texts.limit(text_kind)
            if most is not None:
                limit = Limit(Direction.AT_MOST, most, contract.alpha, texts.severity, texts.when_inconclusive)
                of = ("gates", "drift", "texts", column_name, f"{text_kind}_at_most")
                ends = text_kind.replace("_", "-")
                yield Check(f"drift/{column_name}/{ends}", "drift", limit, TextDriftRule(text_kind, column_name), of)
    if gate.table_as_reference:
        limit, path = Limit(Direction.AT_MOST, 0.0, contract.alpha), ("gates", "drift", "table_as_reference")
        yield Check("drift/table", "drift", limit, DriftRule("table"), path)
    for number, by in enumerate(gate.target_by):
        limit = Limit(Direction.AT_MOST, by.at_most, contract.alpha, by.severity, by.when_inconclusive)
        parts = [(f"{by.column}={v}", TargetRule(str(by.column), v)) for v in by.values]
        parts += [(f"score={low:g}..{high:g}", TargetRule("", (low, high))) for low, high in by.scores]
        for name, rule in parts:
            place = ("gates", "drift", "target_by", number)
            yield Check(f"drift/{contract.model.target}/by/{name}", "drift", limit, rule, place)
    if gate.joint is not None:
        graded = (gate.joint.severity, gate.joint.when_inconclusive)
        limit = Limit(Direction.AT_MOST, gate.joint.auc_at_most, contract.alpha, *graded)
        yield Check("drift/joint", "drift", limit, DriftRule("joint"), ("gates", "drift", "joint"))
    if gate.drifted_share_at_most is not None:
        limit = Limit(Direction.AT_MOST, gate.drifted_share_at_most, contract.alpha)
        yield Check("drift/drifted", "drift", limit, DriftRule("drifted"), ("gates", "drift", "drifted_share_at_most"))


def drift_columns(contract: Contract) -> tuple[str, ...]:
    """Return the columns that the drift gate looks at, `prediction` last."""
    gate = contract.gates.drift
    assert gate is not None
    names = [*contract.features, *([contract.model.target] if gate.target else [])]
    names += ["prediction"] if gate.predictions and "prediction" not in names else []
    return tuple(n for n in names if n not in gate.texts and not (n in gate.columns and gate.columns[n].ignore))


def cut(gate: Drift, column: str) -> tuple[Measure, int]:
    """Which distance a column has, and how many cells."""
    own = gate.columns.get(column)
    measure = own.measure if own and own.measure else gate.measure
    bins = own.bins if own and own.bins else gate.bins
    return measure, KS_CELLS if measure == "kolmogorov_smirnov" else bins


def _applies(kind: str, column: Column | None, contract: Contract) -> bool:
    """Whether a limit for all columns means this one: means are those of numbers, new categories those of text.

    Without a column these are the predictions, which have the categories that the model has.
    """
    if kind == "missing":
        return column is not None
    if column is None:
        return kind == "mean" and contract.model.task != "multiclass"
    return column.type in (("integer", "float") if kind == "mean" else ("string", "boolean"))


RESOURCES: tuple[tuple[str, LoadKind, str], ...] = (
    ("recovery", "recovery", "recovery_seconds_at_most"),
    ("start-up", "start_up", "start_up_seconds_at_most"),
    ("peak-memory", "memory", "memory_mb_at_most"),
    ("memory-growth", "memory_growth", "memory_growth_mb_at_most"),
    ("cpu", "cpu", "cpu_seconds_at_most"),
)
"""Limits of the load gate on what a server takes: end of the id, kind, key in the contract."""


def _load(contract: Contract) -> Iterator[Check]:
    gate = contract.gates.load
    assert gate is not None

    def check(
        name: str,
        rule: LoadRule,
        value: float,
        path: Path,
        grade: Graded | None = None,
        *,
        at_least: bool = False,
    ) -> Check:
        direction = Direction.AT_LEAST if at_least else Direction.AT_MOST
        graded = (grade.severity, grade.when_inconclusive) if grade else ()
        limit = Limit(direction, float(value), contract.alpha, *graded)
        return Check(f"load/{name}", "load", limit, rule, ("gates", "load", *path))

    within, peak = gate.within, gate.peak
    time = within.latency_ms
    rule = LoadRule("within", "load", time)
    yield check(f"within-{time:g}-ms", rule, within.share_at_least, ("within",), within, at_least=True)
    for number, item in enumerate(gate.quantiles):
        rule, name = LoadRule("quantile", quantile=item.quantile), f"p{100 * item.quantile:g}"
        yield check(name, rule, item.latency_ms_at_most, ("quantiles", number), item)
    for number, item in enumerate(gate.first_token):
        rule, name = LoadRule("quantile", quantile=item.quantile, first_token=True), f"p{100 * item.quantile:g}"
        yield check(f"first-token/{name}", rule, item.latency_ms_at_most, ("first_token", number), item)
    if peak:
        rule, name = LoadRule("within", "peak", peak.latency_ms), f"peak/within-{peak.latency_ms:g}-ms"
        yield check(name, rule, peak.share_at_least, ("peak",), peak, at_least=True)
    if gate.throughput_at_least:
        rule = LoadRule("throughput", "peak" if peak else "load")
        yield check("throughput", rule, gate.throughput_at_least, ("throughput_at_least",), at_least=True)
    yield check("errors", LoadRule("errors"), gate.error_rate_at_most, ("error_rate_at_most",))
    if gate.locustfile is None and not gate.answers_may_differ:
        yield check("wrong-answers", LoadRule("wrong_answers", tolerance=gate.tolerance), 0, ("tolerance",))
    if gate.against_champion:
        of = gate.against_champion
        rule, name = LoadRule("against_champion", quantile=of.quantile), f"p{100 * of.quantile:g}/vs-champion"
        yield check(name, rule, of.ratio_at_most, ("against_champion",), of)
        if of.first_token_ratio_at_most is not None:
            at = ("against_champion", "first_token_ratio_at_most")
            yield check(f"first-token/{name}", replace(rule, first_token=True), of.first_token_ratio_at_most, at, of)
    if gate.refuses_malformed:
        yield check("malformed", LoadRule("malformed"), 0, ("refuses_malformed",))
    if gate.input_example:
        yield check("input-example", LoadRule("input_example"), 0, ("input_example",))
    if gate.stress:
        rule, least = LoadRule("max-sustainable-rate", latency_ms=time), gate.stress.max_sustainable_rate_at_least
        yield check("max-sustainable-rate", rule, least, ("stress",), gate.stress, at_least=True)
    for name, kind, key in RESOURCES:
        if getattr(gate, key) is not None:
            yield check(name, LoadRule(kind), getattr(gate, key), (key,))
    if gate.clean_environment:
        yield check("clean-environment", LoadRule("clean_environment"), 0, ("clean_environment",))


def _shadow(contract: Contract) -> Iterator[Check]:
    gate = contract.gates.shadow
    assert gate is not None
    quantile = f"p{100 * gate.quantile:g}"
    limits = (
        (
            "disagreement",
            ShadowRule("disagreement", gate.tolerance or 0.0, token_f1=gate.token_f1_at_least),
            "disagreement_at_most",
        ),
        ("errors", ShadowRule("errors"), "error_rate_at_most"),
        (f"{quantile}/vs-champion", ShadowRule("slower", quantile=gate.quantile), "latency_ratio_at_most"),
        (quantile, ShadowRule("latency_ms", quantile=gate.quantile), "latency_ms_at_most"),
    )
    for name, rule, key in limits:
        if getattr(gate, key) is not None:
            limit = Limit(Direction.AT_MOST, getattr(gate, key), contract.alpha, gate.severity, gate.when_inconclusive)
            yield Check(f"shadow/{name}", "shadow", limit, rule, ("gates", "shadow", key))
