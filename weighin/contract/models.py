"""The shape of `model_contract.yaml`: frozen models that refuse unknown keys and numbers that are not finite."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from weighin.stats.metrics import METRICS

Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Positive = Annotated[FiniteFloat, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f]+$")]
Severity = Literal["block", "warn"]
Dataset = Literal["reference", "holdout", "current"]
CUSTOM_METRIC = "custom."


def _metric(name: str) -> str:
    if name in METRICS or name.startswith(CUSTOM_METRIC):
        return name
    near = get_close_matches(name, METRICS, n=1, cutoff=0.4)
    raise ValueError(f"no such metric{f', did you mean `{near[0]}`?' if near else ''} Known: {', '.join(METRICS)}")


Metric = Annotated[
    str,
    AfterValidator(_metric),
    WithJsonSchema({"anyOf": [{"enum": list(METRICS)}, {"type": "string", "pattern": "^custom\\."}]}),
]


_PINNED = re.compile(r"models:/[^@]+/[0-9]+$")


class Part(BaseModel):
    """What every part of the contract has in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Prediction(Part):
    """What the model answers for one row: one probability, one for each class, or a value."""

    kind: Literal["probability", "probabilities", "value"] = "probability"
    column: int = Field(
        default=1, ge=0, description="Which number of several is the probability or value, counted from 0."
    )


class Aliases(Part):
    """Names of the registry aliases that weighin reads and moves."""

    champion: Name = "champion"
    challenger: Name = "challenger"
    previous: Name = "previous"


class Model(Part):
    """What is judged."""

    name: Name
    task: Literal["binary", "multiclass", "regression"]
    target: Name = Field(description="The column that holds the truth; for a binary task 1 is the positive class.")
    classes: tuple[str | int, ...] = Field(
        (), description="Labels of a multiclass task, in the order of the model's probabilities."
    )
    prediction: Prediction = Prediction()
    anchor: Name | None = Field(
        None, description="A pinned version, models:/NAME/N: a second baseline, against decay in small steps."
    )
    aliases: Aliases = Aliases()
    predict_seconds: Positive = Field(300, description="A model that takes longer over the data is stopped.")
    memory_mb: Count = Field(2000, description="Memory that the model's container may use.")

    @model_validator(mode="before")
    @classmethod
    def _kind(cls, values: object) -> object:
        """The task says what is predicted, unless the contract does."""
        kind = {"multiclass": "probabilities", "regression": "value"}
        if isinstance(values, dict) and "prediction" not in values and values.get("task") in kind:
            return {**values, "prediction": {"kind": kind[values["task"]], "column": 0}}
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Model:
        kind = {"binary": "probability", "multiclass": "probabilities", "regression": "value"}[self.task]
        if self.prediction.kind != kind:
            raise ValueError(f"a {self.task} task needs `prediction: {{kind: {kind}}}`")
        if (self.task == "multiclass") != bool(self.classes):
            raise ValueError("`classes` lists the labels of a multiclass task, and of no other")
        if self.classes and (len(self.classes) < 3 or len(set(self.classes)) < len(self.classes)):
            raise ValueError("`classes` needs three labels or more, all different; two classes are a binary task")
        if self.anchor is not None and not _PINNED.match(self.anchor):
            raise ValueError("`anchor` is pinned: write models:/NAME/VERSION, not an alias")
        return self

    @property
    def columns(self) -> tuple[int, ...]:
        """Which numbers of a model's answer are its prediction."""
        return tuple(range(len(self.classes))) if self.classes else (self.prediction.column,)


class Column(Part):
    """What must hold for one column, in every dataset that the data quality gate looks at."""

    type: Literal["integer", "float", "string", "boolean", "timestamp", "date"]
    role: Literal["feature", "target", "key", "time", "group", "weight", "other"] = "feature"
    minimum: FiniteFloat | None = None
    maximum: FiniteFloat | None = None
    allowed: tuple[str | int, ...] | None = None
    missing_at_most: Share = 0.0
    outside_at_most: Share = Field(0.0, description="Share of values that may break the range or the allowed set.")
    unique: bool = False
    time_zone: Literal["UTC"] | None = None
    sensitive: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Column:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is above maximum {self.maximum:g}")
        if self.allowed is not None and not self.allowed:
            raise ValueError("an empty list allows nothing; leave `allowed` out")
        if self.type == "timestamp" and self.time_zone is None:
            raise ValueError("a timestamp needs `time_zone: UTC`, so that rows of two sources are comparable")
        return self


class Data(Part):
    """Where the data lives, relative to the contract, and what its columns are."""

    holdout: Name
    reference: Name | None = Field(None, description="What drift is measured from; only the drift gate needs it.")
    current: Name | None = Field(None, description="What drift is measured on; only the drift gate needs it.")
    sealed_holdout: Name | None = Field(None, description="What releases are judged on, see `gates.sealed`.")
    public_data: bool = Field(
        False, description="Features and models may travel as workflow artifacts, which others may be able to download."
    )
    columns: dict[Name, Column] = Field(min_length=1)

    @property
    def named(self) -> tuple[Dataset, ...]:
        """The datasets that this contract has, the sealed holdout apart."""
        every: tuple[Dataset, ...] = ("reference", "holdout", "current")
        return tuple(d for d in every if getattr(self, d) is not None)


class DataQuality(Part):
    """The gate on the data that the other gates rely on. The column rules above are its checks."""

    datasets: tuple[Dataset, ...] = Field((), description="Which datasets are looked at; default all there are.")
    rows_at_least: Count
    own_expectations: tuple[Name, ...] = Field(
        (), description="Hand-written suites in great_expectations/expectations that every dataset must meet as well."
    )


class _Graded(Part):
    severity: Severity = "block"
    when_inconclusive: Severity = "block"


class AbsoluteCheck(_Graded):
    """A metric against a number."""

    metric: Metric
    at_least: FiniteFloat | None = None
    at_most: FiniteFloat | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> AbsoluteCheck:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give either `at_least` or `at_most`")
        return self


class _Compared(_Graded):
    """A metric against a baseline on the same rows, in the direction in which the metric improves."""

    metric: Metric
    margin: FiniteFloat | None = Field(None, ge=0, description="Worse by at most this, in the metric's own unit.")
    relative_margin: FiniteFloat | None = Field(
        None, ge=0, lt=1, description="Worse by at most this share of the baseline's value."
    )
    better_by: FiniteFloat | None = Field(None, ge=0, description="Better by at least this, in the metric's own unit.")

    @model_validator(mode="after")
    def _one_margin(self) -> _Compared:
        given = [v for v in (self.margin, self.relative_margin, self.better_by) if v is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of `margin`, `relative_margin` and `better_by`")
        if self.relative_margin is not None and self.metric == "r2":
            raise ValueError("r2 may be negative: a share of it means nothing, give `margin`")
        return self


class BaselineCheck(_Compared):
    """A comparison on all rows, with the champion or with the pinned anchor."""

    against: Literal["champion", "anchor"]


class SliceCheck(_Compared):
    """A comparison for each listed part of the rows, by default as a warning.

    Parts are `values` of a column, `ranges` of a column (from, to: from <= x < to), or one `query`, an SQL condition
    over the columns of the holdout, with a `name`. Parts with fewer rows than `rows_at_least` are judged together,
    with all rows that no part lists; `other` judges those as a part of their own.
    """

    against: Literal["champion", "anchor"] = "champion"
    column: Name | None = None
    values: tuple[str | int, ...] = ()
    ranges: tuple[tuple[FiniteFloat, FiniteFloat], ...] = ()
    query: Name | None = None
    name: Name | None = None
    rows_at_least: Count = Field(100, description="Smaller parts are pooled.")
    other: bool = Field(False, description="Judge the rows that no part lists, and those of small parts, as `other`.")
    severity: Severity = "warn"

    @model_validator(mode="after")
    def _one_kind(self) -> SliceCheck:
        if (bool(self.values) + bool(self.ranges) + (self.query is not None)) != 1:
            raise ValueError("give exactly one of `values`, `ranges` and `query`")
        if (self.query is None) != (self.column is not None):
            raise ValueError("`values` and `ranges` need a `column`, a `query` needs none")
        if (self.query is None) != (self.name is None):
            raise ValueError("a `query` needs a `name`, the others have theirs from the column")
        if self.query is not None and self.other:
            raise ValueError("`other` needs `values` or `ranges`")
        if any(low >= high for low, high in self.ranges):
            raise ValueError("a range is [from, to] with from below to")
        return self


class FairnessCheck(_Graded):
    """A rate that two groups of people (or things) may differ in by at most so much: every ordered pair is a check.

    demographic_parity   share of positive decisions
    equal_opportunity    share of positives that are decided positive
    equalised_odds       that, and the share of negatives that are decided positive
    error_rate           share of wrong decisions; for a regression `mean_error` and `mae` take its place
    """

    column: Name
    values: tuple[str | int, ...] = Field(min_length=2)
    measure: Literal[
        "demographic_parity",
        "equal_opportunity",
        "equalised_odds",
        "error_rate",
        "false_positive_rate",
        "false_negative_rate",
        "mean_error",
        "mae",
    ]
    at_most: Positive


FAIRNESS_TASKS = {
    **dict.fromkeys(
        ("demographic_parity", "equal_opportunity", "equalised_odds", "false_positive_rate", "false_negative_rate"),
        ("binary",),
    ),
    "error_rate": ("binary", "multiclass"),
    "mean_error": ("regression",),
    "mae": ("regression",),
}


class CustomMetric(Part):
    """A team's own metric.

    `function` names a Python function, `module:name`, importable from the contract's folder:
    `(truth, prediction, weight) -> number`, or an array with one number per row whose mean is the metric. A number
    gets its interval from a bootstrap of rows or groups.
    """

    function: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
    unit: str = ""
    lower_is_better: bool = False
    rows_at_most: Count = Field(100_000, description="A bootstrap of more rows than these is refused.")


class Performance(Part):
    """The gate on how good the candidate is."""

    threshold: Share = Field(0.5, description="A prediction at or above it counts as positive.")
    checks: tuple[AbsoluteCheck | BaselineCheck, ...] = Field(min_length=1)
    slices: tuple[SliceCheck, ...] = ()
    fairness: tuple[FairnessCheck, ...] = ()
    custom: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], CustomMetric] = {}
    first_release: Literal["allow", "refuse"] = "refuse"

    @property
    def metrics(self) -> dict[str, str]:
        """Metric -> the place that names it."""
        return {c.metric: part for part in ("checks", "slices") for c in getattr(self, part)}


class Explainability(Part):
    """The gate on what the model relies on, by permutation importance on rows of the holdout."""

    rows: Count = Field(2000, ge=100, description="Rows of the holdout, drawn at random with a fixed seed.")
    repeats: int = Field(5, ge=1, le=20, description="Permutations of each feature.")
    forbidden: tuple[Name, ...] = Field((), description="Features that must not matter.")
    forbidden_at_most: Positive = Field(
        0.01, description="Mean absolute change of the prediction that a forbidden feature may cause."
    )
    share_at_most: Share | None = Field(None, description="Largest share of one feature in the total importance.")
    rank_agreement_at_least: FiniteFloat | None = Field(
        None, ge=-1, le=1, description="Spearman correlation of the importances with the champion's."
    )
    severity: Severity = "block"
    shap: int = Field(0, ge=0, le=1000, description="Rows for which SHAP values are computed; needs weighin[shap].")


class Sealed(Part):
    """Releases are judged on the sealed holdout: `looks` looks at most in an epoch, each at alpha / looks."""

    epoch: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    looks: int = Field(ge=1, le=100)


class DriftColumn(_Graded):
    """A limit of its own for one column, with the reason."""

    at_most: Positive
    bins: Count | None = Field(None, ge=2, le=100)
    reason: Name


class Drift(Part):
    """The gate on whether current data still look like the reference: PSI for features, target and predictions."""

    at_most: Positive = 0.1
    bins: int = Field(10, ge=2, le=100)
    columns: dict[Name, DriftColumn] = {}
    target: bool = True
    predictions: bool = True


class ServerLimits(Part):
    """What the served model may use."""

    cpus: Positive = 1.0
    memory_mb: Count = 1500
    start_seconds: Positive = 90


class Within(_Graded):
    """Share of requests answered correctly in form and within a time."""

    milliseconds: Positive
    share_at_least: Share


class Load(Part):
    """The gate on the served model: requests by schedule, latency from the intended start."""

    rate: Positive = Field(description="Requests per second.")
    seconds: Positive
    warm_up_seconds: Positive = 3
    batch_rows: Count = Field(5, description="Rows in one request.")
    timeout_seconds: Positive = 10
    server: ServerLimits = ServerLimits()
    within: Within
    errors_at_most: Share
    tolerance: FiniteFloat = Field(1e-9, ge=0, description="Largest difference between served and offline answer.")
    memory_mb_at_most: Count
    lateness_ms_at_most: Positive = Field(50, description="A generator later than this at p99 is not to be trusted.")


class Gates(Part):
    """The suites of a contract. One that is absent is not run, and not promised."""

    data_quality: DataQuality | None = None
    performance: Performance | None = None
    drift: Drift | None = None
    explainability: Explainability | None = None
    load: Load | None = None
    sealed: Sealed | None = None

    @model_validator(mode="after")
    def _some(self) -> Gates:
        if not self.names:
            raise ValueError("no gate has limits: a contract without gates would let everything pass")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The suites that this contract demands of every candidate, in the order in which they run."""
        return tuple(n for n in type(self).model_fields if n != "sealed" and getattr(self, n) is not None)


class TimeBlock(Part):
    """Rows of one stretch of time depend on each other."""

    column: Name
    hours: Positive


class Waiver(Part):
    """A relaxed limit for a time, with somebody who answers for it."""

    check: Name
    limit: FiniteFloat
    owner: Name
    reason: Name
    expires: date


class Contract(Part):
    """Everything that must hold before a version may become champion."""

    version: Literal[1]
    alpha: float = Field(0.05, gt=0, lt=0.5)
    as_of: datetime | None = Field(None, description="The moment at which dates are judged; default now.")
    model: Model
    data: Data
    group: Name | TimeBlock | None = Field(
        None, description="Rows that share this column's value, or a stretch of time, are not independent."
    )
    weight: Name | None = Field(None, description="The column that says how much a row counts in every metric.")
    gates: Gates
    waivers: tuple[Waiver, ...] = ()

    @field_validator("as_of")
    @classmethod
    def _zoned(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        return value

    @model_validator(mode="after")
    def _columns_exist(self) -> Contract:
        known = self.data.columns
        missing = [f"{place} names `{column}`" for column, place in self._named() if column not in known]
        if missing:
            raise ValueError(f"{'; '.join(missing)}: not listed in data.columns")
        if known[self.model.target].role != "target":
            raise ValueError(f"the target `{self.model.target}` needs `role: target`, so that no model is given it")
        if self.weight is not None and known[self.weight].role != "weight":
            raise ValueError(f"the weight `{self.weight}` needs `role: weight`, so that no model is given it")
        if not self.features:
            raise ValueError("no column has `role: feature`")
        return self

    def _named(self) -> Iterator[tuple[str, str]]:
        """Columns that the contract names outside of `data.columns`, each with the place."""
        yield self.model.target, "model.target"
        if self.group_column is not None:
            yield self.group_column, "group"
        if self.weight is not None:
            yield self.weight, "weight"
        performance, drift, explain = self.gates.performance, self.gates.drift, self.gates.explainability
        if performance:
            yield from ((s.column, "gates.performance.slices") for s in performance.slices if s.column)
            yield from ((f.column, "gates.performance.fairness") for f in performance.fairness)
        if drift:
            yield from ((c, "gates.drift.columns") for c in drift.columns if c != "prediction")
        if explain:
            yield from ((c, "gates.explainability.forbidden") for c in explain.forbidden)

    @model_validator(mode="after")
    def _gates_fit(self) -> Contract:
        """What a gate needs of the other parts of the contract."""
        gates, data, task = self.gates, self.data, self.model.task
        problems = []
        if gates.drift and (data.reference is None or data.current is None):
            problems.append("the drift gate needs data.reference and data.current")
        if gates.data_quality:
            absent = [d for d in gates.data_quality.datasets if d not in data.named]
            problems += [f"gates.data_quality.datasets names `{d}`, which data does not have" for d in absent]
        if gates.sealed and (data.sealed_holdout is None or gates.performance is None):
            problems.append("gates.sealed needs data.sealed_holdout and gates.performance, whose limits it judges by")
        explain = gates.explainability
        strange = [c for c in explain.forbidden if c not in self.features] if explain else []
        problems += [f"gates.explainability.forbidden names `{c}`, which is no feature" for c in strange]
        if explain and not (explain.forbidden or explain.share_at_most or explain.rank_agreement_at_least is not None):
            problems.append("gates.explainability has no limit: forbid a feature, or limit a share or a rank agreement")
        for metric, place in gates.performance.metrics.items() if gates.performance else ():
            custom = metric.removeprefix(CUSTOM_METRIC)
            if metric not in METRICS and gates.performance and custom not in gates.performance.custom:
                problems.append(f"gates.performance.{place} names `{metric}`, but gates.performance.custom has none")
            if metric in METRICS and task not in METRICS[metric].tasks:
                fit = ", ".join(n for n, m in METRICS.items() if task in m.tasks)
                problems.append(f"`{metric}` is no metric of a {task} task; there are: {fit}")
        for fairness in gates.performance.fairness if gates.performance else ():
            if task not in FAIRNESS_TASKS[fairness.measure]:
                fit = ", ".join(n for n, tasks in FAIRNESS_TASKS.items() if task in tasks)
                problems.append(f"`{fairness.measure}` is no measure of a {task} task; there are: {fit}")
        compared = [*gates.performance.checks, *gates.performance.slices] if gates.performance else []
        if self.model.anchor is None and any(getattr(c, "against", "") == "anchor" for c in compared):
            problems.append("a check is against the anchor: pin one, model.anchor: models:/NAME/VERSION")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def group_column(self) -> str | None:
        """The column that says which rows belong together."""
        return self.group.column if isinstance(self.group, TimeBlock) else self.group

    @property
    def sampling_unit(self) -> str:
        """What repeats independently, in words."""
        if isinstance(self.group, TimeBlock):
            return f"blocks of {self.group.hours:g} hours by {self.group.column}"
        return f"groups by {self.group}" if self.group else "rows"

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that a model is given, in order."""
        return tuple(name for name, column in self.data.columns.items() if column.role == "feature")
