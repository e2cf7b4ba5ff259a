"""The gates of a contract: one model per kind of check."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, model_validator

from weighin.contract.load import Load
from weighin.contract.parts import (
    CUSTOM_METRIC,
    OWN_SCORE,
    Count,
    Graded,
    Metric,
    Name,
    Part,
    Positive,
    Severity,
    Share,
)
from weighin.contract.quality import DataQuality
from weighin.contract.scores import Score
from weighin.contract.shadow import Shadow
from weighin.stats import metrics as catalogue
from weighin.stats import scored


class AbsoluteCheck(Graded):
    """A metric against a number."""

    metric: Metric = Field(description="A metric of the catalogue, `score.NAME` or `custom.NAME`.")
    at_least: FiniteFloat | None = Field(None, description="The metric is at least this, in its own unit.")
    at_most: FiniteFloat | None = Field(None, description="The metric is at most this, in its own unit.")

    @model_validator(mode="after")
    def _one_limit(self) -> AbsoluteCheck:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give either `at_least` or `at_most`")
        return self


Baseline = Literal["champion", "anchor", "naive", "seasonal_naive"]


class _Compared(Graded):
    """A metric against a baseline on the same rows, in the direction in which the metric improves."""

    metric: Metric = Field(description="A metric of the catalogue, `score.NAME` or `custom.NAME`.")
    margin: FiniteFloat | None = Field(None, ge=0, description="The candidate may be worse by at most this.")
    relative_margin: FiniteFloat | None = Field(
        None, ge=0, lt=1, description="The candidate may be worse by at most this share of the baseline's value."
    )
    better_by: FiniteFloat | None = Field(None, ge=0, description="The candidate must be better by at least this.")

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

    against: Baseline = Field(
        description="The baseline: the champion, the version that `model.anchor` pins, or a column of `model.forecast`."
    )


class SliceCheck(_Compared):
    """A comparison for each listed part of the rows, by default as a warning.

    Parts are `values` of a column, `ranges` of a column (from, to: from <= x < to), or one `query`, an SQL condition
    over the columns of the holdout, with a `name`. Parts with fewer rows than `rows_at_least` are judged together,
    with all rows that no part lists; `other` judges those as a part of their own.
    """

    against: Baseline = Field(
        "champion",
        description="The baseline: the champion, the version that `model.anchor` pins, or a column of "
        "`model.forecast`.",
    )
    column: Name | None = Field(None, description="The column whose `values` or `ranges` are the parts.")
    values: tuple[str | int, ...] = Field((), description="One part for each value.")
    ranges: tuple[tuple[FiniteFloat, FiniteFloat], ...] = Field((), description="One part for each pair [from, to).")
    query: Name | None = Field(
        None, description="An SQL condition over the columns of the holdout; the rows that meet it are the part."
    )
    name: Name | None = Field(None, description="Names the part of a `query`, and its check.")
    rows_at_least: Count | None = Field(
        None,
        description="Smaller parts are pooled. Default: the rows with which an equal candidate passes with 80 %, and "
        "at least 100.",
    )
    other: bool = Field(False, description="Judge the rows that no part lists, and those of small parts, as `other`.")
    severity: Severity = Field("warn", description="Whether a broken limit blocks a release or warns.")

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


class FairnessCheck(Graded):
    """A rate that two groups of people (or things) may differ in by at most so much: every ordered pair is a check.

    demographic_parity   share of positive decisions
    equal_opportunity    share of positives that are decided positive
    equalised_odds       that, and the share of negatives that are decided positive
    error_rate           share of wrong decisions; for a regression `mean_error` and `mae` take its place
    score                mean of a `metric` of texts
    """

    column: Name = Field(description="The column that says to which group a row belongs.")
    values: tuple[str | int, ...] = Field(min_length=2, description="The groups that are compared, each with each.")
    measure: Literal[
        "demographic_parity",
        "equal_opportunity",
        "equalised_odds",
        "error_rate",
        "false_positive_rate",
        "false_negative_rate",
        "mean_error",
        "mae",
        "score",
    ] = Field(description="Which rate of the groups is compared.")
    metric: Metric | None = Field(None, description="The metric of texts whose mean is compared, for `measure: score`.")
    at_most: Positive = Field(description="Largest difference of the rate between two groups, in its own unit.")

    @model_validator(mode="after")
    def _metric_of_a_score(self) -> FairnessCheck:
        if (self.measure == "score") == (self.metric is None):
            raise ValueError("`measure: score` needs a `metric`, and no other measure takes one")
        return self


class RecordedCheck(Graded):
    """The champion's metric on the holdout of today against the one that its own promotion recorded.

    A holdout that was recoded, or whose labels mean something else, harms champion and candidate alike, and no
    comparison of the two sees it. `checks` must hold an absolute check of the same metric: its outcome is the record.
    """

    metric: Metric = Field(description="A metric that `checks` limits with `at_least` or `at_most`.")
    margin: Positive = Field(description="Largest difference, up or down.")


FAIRNESS_TASKS = {
    **dict.fromkeys(
        ("demographic_parity", "equal_opportunity", "equalised_odds", "false_positive_rate", "false_negative_rate"),
        ("binary",),
    ),
    "error_rate": ("binary", "multiclass"),
    "mean_error": ("regression", "forecast"),
    "mae": ("regression", "forecast"),
    "score": ("text",),
}


class CustomMetric(Part):
    """A team's own metric.

    `function` names a Python function, `module:name`, importable from the contract's folder:
    `(truth, prediction, weight) -> number`, or an array with one number per row whose mean is the metric. A number
    gets its interval from a bootstrap of rows or groups.
    """

    function: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] = Field(
        description="`module:name` of a Python function, importable from the folder of the contract."
    )
    unit: str = Field("", description="Unit of the metric, shown in reports.")
    lower_is_better: bool = Field(False, description="Whether a smaller value is the better one.")
    rows_at_most: Count = Field(100_000, description="A bootstrap of more rows than these is refused.")


class LabelPlan(Part):
    """The holdout has no labels of its own: those of the rows that `weighin labels plan` draws come in by and by.

    disagreement  rows that candidate and champion decide differently: enough for `accuracy` against the champion
    stratified    those, and some of the rows that both decide the same, for the other metrics
    random        any rows
    Each labelled row counts by the inverse of the probability with which it was drawn, and every interval holds after
    each label, so that validations may be repeated as labels come in.
    """

    plan: Annotated[str, Field(pattern=r"^[^\x00-\x1f]+\.json$")] = Field(
        description="The plan that `weighin labels plan` writes, relative to the contract; the rows to label are "
        "written beside it."
    )
    given: Name = Field(
        description="A file, a folder or a glob with the labels, relative to the contract: the key columns and the "
        "target. Rows whose label is missing are not labelled yet."
    )
    design: Literal["disagreement", "stratified", "random"] = Field("disagreement", description="Which rows are drawn.")
    same_share: FiniteFloat = Field(
        0.2, gt=0, lt=1, description="Share of the draws of `stratified` that are rows decided the same."
    )

    @property
    def files(self) -> tuple[str, ...]:
        """The labels, the plan, and the lists of rows beside it: what decides, relative to the contract."""
        return (self.given, self.plan, *(f"{self.plan.removesuffix('.json')}.{end}" for end in ("csv", "parquet")))


class Performance(Part):
    """The gate on how good the candidate is."""

    threshold: Share = Field(0.5, description="A probability at or above it is a positive decision.")
    checks: tuple[AbsoluteCheck | BaselineCheck, ...] = Field(
        min_length=1, description="Metrics on all rows of the holdout, against a number or a baseline."
    )
    slices: tuple[SliceCheck, ...] = Field((), description="Comparisons with a baseline for parts of the rows.")
    fairness: tuple[FairnessCheck, ...] = Field(
        (), description="Rates that groups of rows may differ in by at most a limit."
    )
    custom: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], CustomMetric] = Field(
        default_factory=dict, description="Metrics of your own, by name."
    )
    scores: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], Score] = Field(
        default_factory=dict, description="Scores of each answer of a text task, by name."
    )
    first_release: Literal["allow", "refuse"] = Field(
        "refuse", description="Whether a model without a champion may be released: its comparisons are then not made."
    )
    champion_as_recorded: tuple[RecordedCheck, ...] = Field(
        (), description="Compares the champion's metrics on this holdout with those in its own record."
    )
    evaluations: Literal["one", "unlimited"] = Field(
        "one",
        description="How often one candidate may be evaluated while the holdout grows: with `unlimited` every interval "
        "holds at all sizes of it together, and is wider.",
    )
    labels: LabelPlan | None = Field(
        None, description="The holdout is labelled by and by, by a plan; implies `evaluations: unlimited`."
    )

    @model_validator(mode="after")
    def _recorded(self) -> Performance:
        absolute = {c.metric for c in self.checks if isinstance(c, AbsoluteCheck)}
        for item in self.champion_as_recorded:
            if item.metric.startswith(CUSTOM_METRIC):
                raise ValueError(f"champion_as_recorded: `{item.metric}` is no metric of the catalogue")
            if item.metric not in absolute:
                raise ValueError(
                    f"champion_as_recorded needs a check of `{item.metric}` with `at_least` or `at_most` in `checks`, "
                    "which a promotion records"
                )
        return self

    @property
    def anytime(self) -> bool:
        """Whether intervals hold at all numbers of rows together."""
        return self.evaluations == "unlimited" or self.labels is not None

    def catalogued(self, metric: str) -> scored.Metric | None:
        """Return a metric of the catalogue, or of a score of this contract; nothing for a team's own function."""
        if metric.startswith(OWN_SCORE):
            found = self.scores.get(metric.removeprefix(OWN_SCORE))
            return None if found is None else found.metric(metric)
        return catalogue.METRICS.get(metric)

    @property
    def metrics(self) -> dict[str, str]:
        """Metric -> the place that names it."""
        found = {c.metric: part for part in ("checks", "slices") for c in getattr(self, part)}
        return {**{c.metric: "fairness" for c in self.fairness if c.metric is not None}, **found}


class Explainability(Part):
    """The gate on what the model relies on, by permutation importance on rows of the holdout."""

    rows: Count = Field(2000, ge=100, description="Rows of the holdout, drawn at random with a fixed seed.")
    repeats: int = Field(5, ge=1, le=20, description="Permutations of each feature.")
    forbidden: tuple[Name, ...] = Field((), description="Features that must not change the prediction.")
    forbidden_at_most: Positive = Field(
        0.01, description="Mean absolute change of the prediction that a forbidden feature may cause."
    )
    share_at_most: Share | None = Field(None, description="Largest share of one feature in the total importance.")
    rank_agreement_at_least: FiniteFloat | None = Field(
        None, ge=-1, le=1, description="Least Spearman correlation of the importances with the champion's."
    )
    severity: Severity = Field("block", description="Whether a broken limit of this gate blocks a release or warns.")
    shap: int = Field(0, ge=0, le=1000, description="Rows for which SHAP values are computed; needs weighin[shap].")


class Sealed(Part):
    """Releases are judged on the sealed holdout, in an epoch at most `holdout_uses` times, each at alpha / that."""

    epoch: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = Field(
        description="Name of the present sealed holdout; a new name, with new rows, starts a new count."
    )
    holdout_uses: int = Field(ge=1, le=100, description="Candidates that may be judged in an epoch.")


Measure = Literal["psi", "jensen_shannon", "total_variation", "kolmogorov_smirnov"]


class _DriftLimits(Part):
    """Limits besides that on the distance; a column's own take the place of the gate's."""

    missing_at_most: Share | None = Field(
        None, description="Largest difference of the share of missing values, up or down."
    )
    new_category_share_at_most: Share | None = Field(
        None, description="Largest share of rows whose category the reference does not have."
    )
    mean_shift_at_most: Positive | None = Field(
        None, description="Largest difference of the means, in standard deviations of the reference."
    )


class DriftColumn(_DriftLimits, Graded):
    """Limits of its own for one column, with the reason."""

    at_most: Positive | None = Field(None, description="In place of the gate's limit on the distance.")
    measure: Measure | None = Field(None, description="In place of the gate's distance.")
    bins: Count | None = Field(None, ge=2, le=100, description="In place of the gate's number of bins.")
    ignore: bool = Field(False, description="The column has no drift check.")
    reason: Name = Field(description="Why this column has limits of its own.")

    @model_validator(mode="after")
    def _says_something(self) -> DriftColumn:
        if self.ignore and self.model_fields_set - {"ignore", "reason"}:
            raise ValueError("a column that is ignored has no limits")
        return self


class JointDrift(Graded):
    """How well a classifier tells current rows from the reference's, by all features together, on rows held out.

    0.5 is not at all. It sees what leaves every column as it was: categories that were swapped, a unit that changed for
    some rows only.
    """

    auc_at_most: FiniteFloat = Field(gt=0.5, lt=1, description="Largest area under the ROC curve of that classifier.")
    rows_at_most: Count = Field(20_000, description="Rows of each dataset, drawn at random with a fixed seed.")


class TargetBy(Graded):
    """The label's rate in parts of the rows, reference against current; for a regression its mean.

    Parts are `values` of a `column`, or `scores`: ranges (from, to) of the candidate's prediction, within which the
    rate of the label should stay as it was.
    """

    column: Name | None = Field(None, description="The column whose `values` are the parts.")
    values: tuple[str | int, ...] = Field((), description="One part for each value.")
    scores: tuple[tuple[FiniteFloat, FiniteFloat], ...] = Field(
        (), description="One part for each range [from, to) of the prediction."
    )
    at_most: Positive = Field(
        description="Largest difference, up or down: of shares, or of means in standard deviations of the reference."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> TargetBy:
        if bool(self.values) == bool(self.scores) or bool(self.values) != (self.column is not None):
            raise ValueError("give either a `column` with `values`, or `scores`")
        if any(low >= high for low, high in self.scores):
            raise ValueError("a range of scores is [from, to] with from below to")
        return self


TextKind = Literal["length", "words", "language", "unknown_words", "auc"]
TEXT_KINDS: tuple[TextKind, ...] = ("length", "words", "language", "unknown_words", "auc")


class TextDrift(Graded):
    """How far a column of free text has moved. Words are letters and digits in a row, in lower case."""

    length_at_most: Positive | None = Field(
        None, description="Largest distance of the number of characters, in the gate's `measure`."
    )
    words_at_most: Positive | None = Field(
        None, description="Largest total variation of the words, hashed into 30 cells."
    )
    language_at_most: Share | None = Field(
        None, description="Largest total variation of the rows' languages, as py3langid tells them (`weighin[text]`)."
    )
    unknown_words_at_most: Share | None = Field(
        None,
        description="By how much the share of words may grow that no other row of the reference has; with `group`, no "
        "other group.",
    )
    auc_at_most: FiniteFloat | None = Field(
        None,
        gt=0.5,
        lt=1,
        description="Largest area under the ROC curve of a classifier that tells current texts from the reference's by "
        "hashed words, on rows held out; 0.5 is not at all.",
    )
    rows_at_most: Count = Field(20_000, description="Rows of each dataset, drawn at random with a fixed seed.")

    @model_validator(mode="after")
    def _some_limit(self) -> TextDrift:
        if not any(self.limit(kind) is not None for kind in TEXT_KINDS):
            raise ValueError(f"give at least one of {', '.join(f'{kind}_at_most' for kind in TEXT_KINDS)}")
        return self

    def limit(self, kind: TextKind) -> float | None:
        """Return the limit of one kind, if there is one."""
        found: float | None = getattr(self, f"{kind}_at_most")
        return found


class Drift(_DriftLimits):
    """The gate on whether current data still look like the reference: features, target and predictions."""

    at_most: Positive = Field(
        0.1, description="Largest distance of a column between reference and current rows, in the unit of `measure`."
    )
    measure: Measure = Field(
        "psi",
        description="The distance; with kolmogorov_smirnov, which is for numbers, categories have total_variation.",
    )
    bins: int = Field(10, ge=2, le=100, description="Quantile bins of a number; kolmogorov_smirnov always has 100.")
    columns: dict[Name, DriftColumn] = Field(
        default_factory=dict, description="Columns with limits of their own; `prediction` names the predictions."
    )
    target: bool = Field(True, description="Whether the target is compared.")
    predictions: bool = Field(True, description="Whether the candidate's predictions are compared.")
    table_as_reference: bool = Field(
        True, description="No column of the reference may be missing, new, or of another type."
    )
    drifted_share_at_most: Share | None = Field(
        None, description="Largest share of columns beyond their limit on the distance."
    )
    target_by: tuple[TargetBy, ...] = Field((), description="The label by group, or by range of the prediction.")
    texts: dict[Name, TextDrift] = Field(
        default_factory=dict, description="Columns of free text, which are not compared as categories."
    )
    joint: JointDrift | None = Field(
        None, description="How well all features together tell current rows from the reference."
    )


class Gates(Part):
    """The suites of a contract. One that is absent is not run, and not promised."""

    data_quality: DataQuality | None = Field(None, description="Rules that the data must keep.")
    performance: Performance | None = Field(
        None, description="How good the candidate is, alone, against baselines, by slice and by group."
    )
    drift: Drift | None = Field(None, description="Whether current data look like the reference.")
    explainability: Explainability | None = Field(None, description="What the candidate relies on.")
    load: Load | None = Field(None, description="Whether the served model is fast, right and small enough.")
    shadow: Shadow | None = Field(None, description="Whether candidate and champion agree on logged requests.")
    sealed: Sealed | None = Field(None, description="The sealed holdout for releases.")

    @model_validator(mode="after")
    def _some(self) -> Gates:
        if not self.names:
            raise ValueError("no gate has limits: a contract without gates would let everything pass")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The suites that this contract demands of every candidate, in the order in which they run."""
        return tuple(n for n in type(self).model_fields if n != "sealed" and getattr(self, n) is not None)
