"""The shape of `model_contract.yaml`: what is judged, on which data, and that the gates fit both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, field_validator, model_validator

from weighin.contract.card import Card
from weighin.contract.columns import Column
from weighin.contract.drill import Drill
from weighin.contract.gates import FAIRNESS_TASKS, Gates, LabelPlan
from weighin.contract.load import Server
from weighin.contract.ml_test_score import TestName, Vouched
from weighin.contract.monitor import Monitor
from weighin.contract.parts import (
    CUSTOM_METRIC,
    OWN_SCORE,
    YAML_WORDS,
    Count,
    Dataset,
    Label,
    Name,
    Part,
    Positive,
    Severity,
    Share,
)
from weighin.contract.predictions import Predictions
from weighin.contract.quality import DataQuality, TrainingRows
from weighin.contract.release import Deploy, Promotion
from weighin.contract.sources import Feast, Files, Query, Rows, RowsOrProfile, Source, StoredProfile, source
from weighin.runner.plan import Answers
from weighin.scores.catalogue import NEED_REFERENCES
from weighin.stats.metrics import METRICS
from weighin.stats.scored import Uses

_PINNED = re.compile(r"models:/[^/]+/[0-9]+$")


Kind = Literal["probability", "probabilities", "label", "value", "score", "text", "interval"]
KINDS: dict[str, tuple[Kind, ...]] = {
    "binary": ("probability", "label", "score"),
    "multiclass": ("probabilities", "label"),
    "regression": ("value",),
    "text": ("text",),
    "ranking": ("score",),
    "forecast": ("value", "interval"),
}
"""Task -> what its models may answer, the usual first."""
MEASURED: dict[Kind, tuple[Uses, ...]] = {
    "probability": ("decision", "rank", "probability"),
    "probabilities": ("decision", "rank", "probability"),
    "label": ("decision",),
    "score": ("rank",),
    "value": ("value",),
    "text": ("text",),
    "interval": ("interval",),
}
"""What a model answers -> what can be measured of it."""


class Prediction(Part):
    """What the model answers for one row.

    probability    of the positive class
    probabilities  one for each class, in the order of `classes`
    label          the class itself
    score          any number that grows with the probability of the positive class: for AUC and ranks only
    value          of a regression
    text           a text; a list or an object of an answer is written as JSON
    interval       of a forecast: the first two columns of an answer are its bounds
    """

    kind: Kind = Field(default="probability", description="What one answer is; the default follows from the task.")
    column: Annotated[int, Field(ge=0)] | Name | None = Field(
        default=None,
        description="Which column of several: its number, counted from 0, or its name. Default: 1 for a probability, "
        "which is that of the second class, and 0 for anything else.",
    )


class Aliases(Part):
    """Names of the registry aliases that weighin reads and moves."""

    champion: Name = Field(default="champion", description="Alias of the version that serves users.")
    challenger: Name = Field(
        default="challenger", description="Alias of the version that is judged where no candidate is named."
    )
    previous: Name = Field(default="previous", description="Alias of the champion before, which a promotion sets.")


class LedgerName(Part):
    """Where the registry keeps who was champion, and when."""

    name: Name | None = Field(
        default=None,
        description="Name of the registered model that holds the ledger; default: the model's name and `.ledger`, and "
        "where a registry takes no dots `_ledger`. Those of the uses of a sealed holdout and of the monitor's events "
        "follow from it.",
    )


class Forecast(Part):
    """Columns of the holdout, known at the time of the forecast, which are given to no model."""

    naive: Name | None = Field(default=None, description="The last value before the forecast: the baseline `naive`.")
    seasonal_naive: Name | None = Field(
        default=None, description="The value a season before the one that is forecast: the baseline `seasonal_naive`."
    )
    scale: Name | None = Field(
        default=None,
        description="Mean absolute error of the (seasonal) naive forecast on a series' past, for `mase`.",
    )


class Model(Part):
    """What is judged."""

    name: Name = Field(description="Name of the registered model in MLflow.")
    task: Literal["binary", "multiclass", "regression", "text", "ranking", "forecast"] = Field(
        description="What is predicted: two classes, several classes, a number, a text, the order of the documents of "
        "each query (`group`), or the future of a series (`group`)."
    )
    target: Annotated[str, Field(pattern=r"^[^\x00-\x1f]*$")] = Field(
        "", description="The column that holds the truth; of a text task the reference, which it may leave out."
    )
    positive: Label | None = Field(
        None,
        description='The positive label of a binary task, such as "yes"; default: labels are 0 and 1, or booleans.',
    )
    classes: tuple[Label, ...] = Field(
        (), description="Labels of a multiclass task, in the order of the model's probabilities."
    )
    prediction: Prediction = Field(Prediction(), description="What the model answers for one row.")
    empty_answers_at_most: Share = Field(
        0.0, description="Share of the answers of a text task that may hold nothing but white space."
    )
    repeats: Annotated[int, Field(ge=1, le=100)] = Field(
        1,
        description="How often a text task asks candidate and champion each row, where they sample their answers: the "
        "answers to one row are no independent rows.",
    )
    forecast: Forecast = Field(Forecast(), description="Columns that forecasts are compared with.")
    candidate: Predictions | None = Field(
        None, description="What was answered in place of a candidate that can be asked."
    )
    champion: Predictions | None = Field(
        None, description="What was answered in place of a champion that can be asked; a review should look at it."
    )
    anchor: Name | None = Field(
        None, description="A pinned version, models:/NAME/N: a second baseline, against decay in small steps."
    )
    aliases: Aliases = Field(Aliases(), description="Names of the registry aliases that are read and moved.")
    ledger: LedgerName = Field(LedgerName(), description="The companion models of this model in the registry.")
    registry: Literal["any", "server"] = Field(
        "any", description="`server` refuses the embedded registry, as a run without access to yours would use it."
    )
    fitted_versions: Severity = Field(
        "warn", description="Whether libraries of another version than the model was fitted with block, or warn."
    )
    training_datasets: TrainingRows | None = Field(
        None,
        description="Compares the holdout with the training datasets that the candidate's run has logged in MLflow.",
    )
    environment: Literal["own", "judge"] | None = Field(
        None,
        description="Whether the model is asked with the packages that it declares (`own`) or with those of the image "
        "(`judge`); default: `own` where the image lacks its library.",
    )
    predict_on: Literal["process", "spark"] = Field(
        "process",
        description="Where candidate, champion and anchor are asked: in a process of this machine, or by the executors "
        "of the cluster that reads the data (`data.engine: spark`).",
    )
    predict_seconds: Positive = Field(300, description="A model that takes longer over the data is stopped.")
    memory_mb: Count = Field(2000, description="Memory that the model's container may use.")

    @model_validator(mode="before")
    @classmethod
    def _kind(cls, values: object) -> object:
        """Take what is predicted from the task, unless the contract says it."""
        if not isinstance(values, dict) or values.get("task") not in KINDS:
            return values
        given = values.get("prediction", {})
        if not isinstance(given, dict) or "kind" in given:
            return values
        return {**values, "prediction": {**given, "kind": KINDS[values["task"]][0]}}

    @model_validator(mode="after")
    def _consistent(self) -> Model:
        kinds = KINDS[self.task]
        if self.prediction.kind not in kinds:
            raise ValueError(f"a {self.task} task needs `prediction: {{kind: {' or '.join(kinds)}}}`")
        if (self.task == "multiclass") != bool(self.classes):
            raise ValueError("`classes` lists the labels of a multiclass task, and of no other")
        if any(isinstance(c, bool) for c in self.classes):
            raise ValueError(f"`classes` lists a boolean: {YAML_WORDS}")
        if self.classes and (len(self.classes) < 3 or len(set(self.classes)) < len(self.classes)):
            raise ValueError("`classes` needs three labels or more, all different; two classes are a binary task")
        if self.positive is not None and self.task != "binary":
            raise ValueError("`positive` names the positive label of a binary task, and of no other")
        if self.prediction.kind == "interval" and self.prediction.column is not None:
            raise ValueError("the bounds of an interval are the first two columns: leave `column` out")
        if self.repeats > 1 and self.task != "text":
            raise ValueError("`repeats` asks for several texts, and only a text task answers texts")
        if self.forecast != Forecast() and self.task != "forecast":
            raise ValueError("`forecast` names columns of a forecast, and of no other task")
        if self.prediction.kind == "probabilities" and isinstance(self.prediction.column, str):
            raise ValueError("the columns of probabilities are those of `classes`: leave `column` out")
        if not self.target and self.task != "text":
            raise ValueError(f"`target` names the column that holds the truth, which a {self.task} task needs")
        if self.anchor is not None and not _PINNED.match(self.anchor):
            raise ValueError("`anchor` is pinned: write models:/NAME/VERSION, not an alias")
        return self

    @property
    def numeric(self) -> bool:
        """Whether the target is a number."""
        return self.task in ("regression", "ranking", "forecast")

    @property
    def answers(self) -> Answers:
        """What of a model's answer is its prediction."""
        column, kind = self.prediction.column, self.prediction.kind
        if column is None:
            column = 1 if kind == "probability" else 0
        columns = tuple(range(len(self.classes))) if kind == "probabilities" else (column,)
        columns = (0, 1) if kind == "interval" else columns
        return Answers(columns, kind, self.classes, self.positive, self.repeats)


class Data(Part):
    """Where the data lives, relative to the contract, and what its columns are."""

    engine: Literal["duckdb", "spark"] = Field(
        "duckdb", description="What reads files: DuckDB on this machine, or a Spark cluster (WEIGHIN_SPARK names it)."
    )
    holdout: Rows = Field(description="Rows with labels that candidate and champion are compared on.")
    reference: RowsOrProfile | None = Field(
        None, description="Earlier rows, or a stored profile, that drift is measured from."
    )
    current: Rows | None = Field(None, description="Recent rows that drift is measured on.")
    sealed_holdout: Rows | None = Field(
        None, description="Rows that no development sees; `gates.sealed` judges releases on them."
    )
    rows_at_most: Count = Field(
        1_000_000,
        description="Of a reference or current dataset with more rows than these, models are asked about a sample; "
        "of one that does not lie here in a file, a sample is all that other suites see.",
    )
    training: Name | None = Field(
        None,
        description="A Parquet file with the rows that the model was fitted on; none of them may be in the holdout.",
    )
    public_data: bool = Field(
        False, description="Features and models may travel as workflow artifacts, which others may be able to download."
    )
    columns: dict[Name, Column] = Field(
        min_length=1, description="Every column that a check, a model or a group uses, by its name."
    )

    @property
    def named(self) -> tuple[Dataset, ...]:
        """The datasets with rows that this contract has, the sealed holdout apart."""
        every: tuple[Dataset, ...] = ("reference", "holdout", "current")
        return tuple(d for d in every if isinstance(self.source(d), Files | Query | Feast))

    def source(self, dataset: str) -> Source | None:
        """Where a dataset lives, if the contract has it."""
        given = getattr(self, dataset)
        return None if given is None else source(given)

    @property
    def time_column(self) -> str | None:
        """The column that windows are cut by, if there is exactly one."""
        found = [name for name, column in self.columns.items() if column.role == "time"]
        return found[0] if len(found) == 1 else None


def _quality_fits(gate: DataQuality, data: Data) -> Iterator[str]:
    """Return what the rules of the data quality gate need of the data."""
    looked_at = gate.datasets or data.named
    for fresh in gate.fresh:
        if data.columns[fresh.column].type not in ("timestamp", "date"):
            yield f"gates.data_quality.fresh names `{fresh.column}`, which is neither a timestamp nor a date"
        if data.columns[fresh.column].sensitive:
            yield f"gates.data_quality.fresh names `{fresh.column}`, whose newest value would be shown: it is sensitive"
        absent = [d for d in fresh.datasets if d not in looked_at]
        yield from (f"gates.data_quality.fresh names `{d}`, which the gate does not look at" for d in absent)
    for pair in gate.compare:
        types = [data.columns[c].type for c in (pair.column, pair.other)]
        ordered = types[0] not in ("string", "boolean") or pair.equal_to is not None
        if not ordered or (types[0] != types[1] and set(types) != {"integer", "float"}):
            shown = f"{pair.column}{pair.sign}{pair.other}"
            yield f"gates.data_quality.compare `{shown}` cannot compare a {types[0]} with a {types[1]}"
    for of in gate.references:
        if of.table in ("reference", "current", "training") and getattr(data, of.table) is None:
            yield f"gates.data_quality.references names the table `{of.table}`, which data does not have"
    if gate.failing_keys is not None and not any(c.role == "key" and not c.sensitive for c in data.columns.values()):
        yield "gates.data_quality.failing_keys needs a column with `role: key` that is not sensitive"
    if gate.online and not any(isinstance(data.source(d), Feast) for d in looked_at):
        yield "gates.data_quality.online compares a feature store with itself: no dataset comes from one"
    if gate.training_rows != TrainingRows() and data.training is None:
        yield "gates.data_quality.training_rows needs data.training"
    if data.training is not None and "holdout" not in looked_at:
        yield "data.training is compared with the holdout, which gates.data_quality.datasets leaves out"


def _labels_fit(model: Model, target: Column) -> Iterator[str]:
    """Return what does not fit between the labels that the contract names and the target's column."""
    if model.task == "text":
        if target.type != "string":
            yield f"the target `{model.target}` is a {target.type}, and the reference of a text is a string"
        return
    place = "model.classes" if model.classes else "model.positive"
    named = model.classes if model.classes else () if model.positive is None else (model.positive,)
    if model.task == "binary" and target.type == "string" and model.positive is None:
        yield f"the target `{model.target}` is a string: name its positive label, model.positive"
    if not model.numeric and target.type not in ("string", "integer", "boolean", "float"):
        yield f"the target `{model.target}` is a {target.type}, which holds no labels"
    wanted = {"string": (str,), "integer": (int,), "float": (int,), "boolean": (bool, int)}.get(target.type, ())
    for label in named:
        if isinstance(label, bool) and target.type == "string":
            yield f"{place} lists a boolean, and the target `{model.target}` is a string: {YAML_WORDS}"
        elif wanted and not isinstance(label, wanted):
            yield f"{place} names a label that is no {target.type}, which the target `{model.target}` is"
        elif target.allowed is not None and label not in target.allowed:
            yield f"{place} names `{label}`, which is not in `allowed` of the target `{model.target}`"
    if model.task == "binary" and target.allowed is not None and len(set(target.allowed)) > 2:
        yield f"`allowed` of the target `{model.target}` lists {len(target.allowed)} labels, and a binary task has two"


def _cluster_fits(model: Model, data: Data) -> Iterator[str]:
    """Return what does not fit between where models are asked and the rest of the contract."""
    if model.predict_on == "spark" and data.engine != "spark":
        yield "`model.predict_on: spark` asks on the cluster that reads the data: write `data.engine: spark`"
    if model.predict_on == "spark" and model.task == "text":
        yield "`model.predict_on: spark` asks for numbers and labels, and a text task answers texts"


def _answers_fit(model: Model, gates: Gates) -> Iterator[str]:
    """Return what the gates measure and cannot be measured of what the model answers."""
    kind, uses = model.prediction.kind, MEASURED[model.prediction.kind]
    for metric, place in gates.performance.metrics.items() if gates.performance else ():
        known = gates.performance.catalogued(metric) if gates.performance else None
        if known and model.task in known.tasks and known.uses not in uses:
            fit = ", ".join(n for n, m in METRICS.items() if model.task in m.tasks and m.uses in uses)
            one = f"an {kind}" if kind == "interval" else f"a {kind}"
            yield f"gates.performance.{place}: `{metric}` cannot be measured of {one}; there are: {fit}"
    if kind == "score" and gates.performance and gates.performance.fairness:
        yield "gates.performance.fairness needs decisions, and a score gives none: write `kind: probability` or `label`"
    explain = gates.explainability
    if explain and kind == "score":
        yield "gates.explainability needs a loss, and a score has none: write `kind: probability` or `label`"
    if (
        explain
        and kind == "label"
        and (explain.share_at_most is not None or explain.rank_agreement_at_least is not None)
    ):
        yield "gates.explainability: only `forbidden` can be measured of a label: importances need probabilities"


_NOT_OF_TEXTS = ("explainability",)
_WATCHED_OF_TEXTS = ("error_rate_at_most", "latency_ms_at_most", "no_traffic_minutes_at_most", "age_days_at_most")


def _texts_fit(contract: Contract) -> Iterator[str]:
    """Return what a contract of a text task asks for and cannot have."""
    model, gates = contract.model, contract.gates
    named = [g for g in _NOT_OF_TEXTS if getattr(gates, g)]
    yield from (f"gates.{gate} is about numbers, and a text task answers texts" for gate in named)
    if contract.monitor:
        watch = contract.monitor.watch
        if any(all(getattr(w, key) is None for key in _WATCHED_OF_TEXTS) for w in watch) or contract.monitor.streams:
            kept = ", ".join(_WATCHED_OF_TEXTS)
            yield f"monitor watches numbers and labels, and a text task answers texts: watch {kept} alone"
        if contract.monitor.canary and contract.monitor.canary.metric is not None:
            yield "monitor.canary.metric needs labels, and of a text task none are logged"
    if gates.load and gates.load.tolerance is not None:
        yield "gates.load.tolerance is a number, and a text task answers texts: write `answers_may_differ` instead"
    if model.repeats > 1 and gates.load and not gates.load.answers_may_differ:
        yield "a model that is asked several times samples its answers: gates.load needs `answers_may_differ: true`"
    if contract.server.conversation and [contract.data.columns[f].type for f in contract.features] != ["string"]:
        yield f"gates.load.server: `request: {contract.server.request}` asks one feature of type string"
    if gates.drift and (gates.drift.predictions or gates.drift.target or gates.drift.target_by):
        yield "gates.drift compares no texts: write `predictions: false` and `target: false`, and no `target_by`"
    performance = gates.performance
    if performance is None:
        return
    for of in performance.fairness:
        own = performance.scores.get(str(of.metric).removeprefix(OWN_SCORE))
        if (own is not None and own.human) or str(of.metric).startswith(CUSTOM_METRIC):
            yield f"gates.performance.fairness compares means of rows, and `{of.metric}` is none"
    by_key = any(own.given for own in performance.scores.values())
    if by_key and not any(column.role == "key" for column in contract.data.columns.values()):
        yield "gates.performance.scores: a `given` score is found by key, so a column of data.columns needs `role: key`"
    for metric, place in performance.metrics.items():
        own = performance.scores.get(metric.removeprefix(OWN_SCORE))
        swapped = own is not None and own.judge is not None and own.judge.swap
        if not model.target and (metric in NEED_REFERENCES or swapped or (own is not None and own.retrieval)):
            yield f"gates.performance.{place}: `{metric}` needs a reference: name its column, `model.target`"


def _series_fit(contract: Contract) -> Iterator[str]:
    """Return what does not fit between a ranking or a forecast and the rest of its contract."""
    model, gates = contract.model, contract.gates
    if model.task not in ("ranking", "forecast"):
        return
    of = "query" if model.task == "ranking" else "series"
    if not isinstance(contract.group, str):
        yield f"a {model.task} is judged by {of}: name its column, `group`"
    if model.task == "ranking" and contract.weight is not None:
        yield "`weight` counts rows, and a ranking is judged by query"
    role = {key: contract.data.columns[c].role for key, c in model.forecast if c in contract.data.columns}
    yield from (
        f"model.forecast.{key} would be given to the model: `role: other`" for key, r in role.items() if r == "feature"
    )
    if model.prediction.kind == "interval":
        named = [g for g in ("explainability", "load", "shadow") if getattr(gates, g)]
        yield from (f"gates.{gate} takes one number a row, and an interval has two" for gate in named)
        if gates.drift and gates.drift.predictions:
            yield "gates.drift compares no intervals: write `predictions: false`"
    checks = [*gates.performance.checks, *gates.performance.slices] if gates.performance else []
    for check in checks:
        if check.metric == "mase" and model.forecast.scale is None:
            yield "`mase` needs what errors are divided by: name its column, `model.forecast.scale`"
        if model.prediction.kind == "interval" and "naive" in str(getattr(check, "against", "")):
            yield "a naive forecast is a number, and is not compared with an interval"
    watched = [("monitor.watch", w.metric) for w in contract.monitor.watch] if contract.monitor else []
    if contract.monitor and contract.monitor.canary:
        watched.append(("monitor.canary", contract.monitor.canary.metric))
    for place, metric in watched:
        if metric is not None and (model.task == "ranking" or metric == "mase" or model.prediction.kind == "interval"):
            yield f"{place}: `{metric}` is not made from single rows of the log"


def _plan_fits(contract: Contract) -> Iterator[str]:
    """Return what does not fit between a label plan and the rest of its contract."""
    if contract.labels is None:
        return
    place, model, explain = "gates.performance.labels", contract.model, contract.gates.explainability
    if model.task not in ("binary", "multiclass") or model.prediction.kind == "score":
        yield f"{place} is about decisions: it needs a binary or multiclass task whose models answer more than a score"
    if contract.group is not None or contract.weight is not None:
        named = "group" if contract.group is not None else "weight"
        yield f"{place} draws single rows that count the same: leave `{named}` out, or label the whole holdout"
    if not any(column.role == "key" for column in contract.data.columns.values()):
        yield f"{place} finds rows by key, so a column of data.columns needs `role: key`"
    if explain and (explain.share_at_most is not None or explain.rank_agreement_at_least is not None):
        yield f"gates.explainability: only `forbidden` can be measured with {place}: importances need every label"


class TimeBlock(Part):
    """Rows of one stretch of time depend on each other."""

    column: Name = Field(description="A column of type timestamp.")
    hours: Positive = Field(description="Length of a block.")


class Waiver(Part):
    """A relaxed limit for a time, with somebody who answers for it.

    With `starts` it is a season: before and after it the check's own limit holds. Without, it is a debt, and once it
    has expired it blocks until it is renewed or removed.
    """

    check: Name = Field(description="Id of the check, as `weighin contract check` lists it.")
    limit: FiniteFloat = Field(description="The limit that holds meanwhile, in the unit of the check.")
    owner: Name = Field(description="Who answers for it.")
    reason: Name = Field(description="Why; it stands in the record and in every report.")
    starts: date | None = Field(None, description="The first day, for a season that comes and goes.")
    expires: date = Field(description="The last day, judged in UTC against `as_of`.")

    @model_validator(mode="after")
    def _in_order(self) -> Waiver:
        if self.starts is not None and self.starts > self.expires:
            raise ValueError(f"starts on {self.starts}, after it expires on {self.expires}")
        return self


class Contract(Part):
    """Everything that must hold before a version may become champion."""

    version: Literal[1] = Field(description="Version of this format.")
    alpha: float = Field(
        0.05,
        gt=0,
        lt=0.5,
        description="One-sided error of every interval: how probably a candidate passes a limit that it truly breaks.",
    )
    as_of: datetime | None = Field(None, description="The moment of windows, waivers and ages; default now.")
    model: Model = Field(description="What is judged.")
    data: Data = Field(description="Where the data live, and what their columns are.")
    group: Name | TimeBlock | None = Field(
        None, description="Rows that share this column's value, or a stretch of time, are not independent."
    )
    weight: Name | None = Field(None, description="The column with the weight of each row in every metric.")
    gates: Gates = Field(description="What must hold, suite by suite.")
    waivers: tuple[Waiver, ...] = Field((), description="Limits that are relaxed for a time.")
    promotion: Promotion = Field(Promotion(), description="What a promotion asks for beyond a pass.")
    deploy: Deploy | None = Field(None, description="How servers load the champion, and prove that they serve it.")
    monitor: Monitor | None = Field(None, description="What the monitor checks after the release, and what it does.")
    drill: Drill | None = Field(None, description="What a drill of the gate does beyond its own faults.")
    ml_test_score: dict[TestName, Vouched] = Field(
        default_factory=dict, description="Tests of the ML Test Score that people do by hand, by name."
    )
    card: Card | None = Field(None, description="What only people know of the model, for the documents.")

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
        if self.model.target and known[self.model.target].role != "target":
            raise ValueError(f"the target `{self.model.target}` needs `role: target`, so that no model is given it")
        if self.weight is not None and known[self.weight].role != "weight":
            raise ValueError(f"the weight `{self.weight}` needs `role: weight`, so that no model is given it")
        if not self.features:
            raise ValueError("no column has `role: feature`")
        return self

    def _named(self) -> Iterator[tuple[str, str]]:
        """Columns that the contract names outside of `data.columns`, each with the place."""
        if self.model.target:
            yield self.model.target, "model.target"
        if self.group_column is not None:
            yield self.group_column, "group"
        for key in Forecast.model_fields:
            if (named := getattr(self.model.forecast, key)) is not None:
                yield named, f"model.forecast.{key}"
        if self.weight is not None:
            yield self.weight, "weight"
        if self.model.training_datasets:
            yield from ((c, "model.training_datasets.by") for c in self.model.training_datasets.by)
        if self.gates.data_quality:
            yield from self.gates.data_quality.named
        performance, drift, explain = self.gates.performance, self.gates.drift, self.gates.explainability
        if performance:
            yield from ((s.column, "gates.performance.slices") for s in performance.slices if s.column)
            yield from ((f.column, "gates.performance.fairness") for f in performance.fairness)
        if drift:
            yield from ((c, "gates.drift.columns") for c in drift.columns if c != "prediction")
            yield from ((c, "gates.drift.texts") for c in drift.texts)
            yield from ((t.column, "gates.drift.target_by") for t in drift.target_by if t.column)
        if explain:
            yield from ((c, "gates.explainability.forbidden") for c in explain.forbidden)

    @model_validator(mode="after")
    def _gates_fit(self) -> Contract:
        """Return what a gate needs of the other parts of the contract."""
        gates, data, task = self.gates, self.data, self.model.task
        problems: list[str] = []
        if gates.drift and (data.reference is None or data.current is None):
            problems.append("the drift gate needs data.reference and data.current")
        if gates.drift and isinstance(data.source("reference"), StoredProfile):
            rows = [key for key in ("joint", "target_by") if getattr(gates.drift, key)]
            problems += [
                f"gates.drift.{k} needs the rows of data.reference, and a stored profile has none" for k in rows
            ]
        for name in gates.drift.texts if gates.drift else ():
            column = data.columns.get(name)
            if column is not None and (column.type != "string" or column.role != "feature"):
                problems.append(f"gates.drift.texts names `{name}`, which is no feature of type string")
            if isinstance(data.source("reference"), StoredProfile):
                problems.append("gates.drift.texts needs the rows of data.reference, and a stored profile has none")
        if gates.drift and gates.drift.target_by and task == "multiclass":
            problems.append("gates.drift.target_by compares a rate or a mean, which a multiclass label has not")
        for dataset in ("reference", "holdout", "current", "sealed_holdout"):
            given = data.source(dataset)
            if getattr(given, "window", None) is not None and data.time_column is None:
                problems.append(f"data.{dataset} has a window, so exactly one column needs `role: time`")
            if isinstance(given, Query) and given.connection is None and data.engine != "spark":
                problems.append(f"data.{dataset} is a table without a `connection`: only `engine: spark` has its own")
            if isinstance(given, Files) and given.remote and data.engine != "spark" and "*" in given.path:
                problems.append(f"data.{dataset}: a glob in an object store needs `engine: spark`; name a folder")
        if gates.data_quality:
            absent = [d for d in gates.data_quality.datasets if d not in data.named]
            problems += [f"gates.data_quality.datasets names `{d}`, which data does not have" for d in absent]
            problems += list(_quality_fits(gates.data_quality, data))
        if gates.sealed and (data.sealed_holdout is None or gates.performance is None):
            problems.append("gates.sealed needs data.sealed_holdout and gates.performance, whose limits it judges by")
        if gates.load:
            problems += [f"gates.load: {said}" for said in gates.load.unprovable(self.alpha)]
            if task != "text" and (gates.load.server.conversation or gates.load.answers_may_differ):
                key = "answers_may_differ" if gates.load.answers_may_differ else "server.request"
                problems.append(f"gates.load.{key} is about texts: write `task: text`")
        if gates.shadow:
            problems += [f"gates.shadow: {said}" for said in gates.shadow.problems_with(self.alpha, task)]
            if self.monitor is None:
                problems.append("gates.shadow needs monitor.log, where the requests are")
            if self.server.url is not None:
                problems.append("gates.shadow cannot let a server with a `url` serve candidate and champion")
        answered = [role for role in ("candidate", "champion") if getattr(self.model, role)]
        if self.model.champion and self.model.champion.version is None:
            problems.append("model.champion names no `version`: say which champion these predictions are of")
        if answered and not any(column.role == "key" for column in data.columns.values()):
            problems.append(f"model.{answered[0]} is found by key, so a column of data.columns needs `role: key`")
        asked = [g for g in ("explainability", "load", "shadow") if getattr(gates, g)]
        problems += [
            f"gates.{gate} asks a model, and model.{answered[0]} gives predictions" for gate in asked if answered
        ]
        problems += self._monitor_problems()
        problems += self._model_problems()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _monitor_problems(self) -> list[str]:
        """Return what does not fit between the monitor and the other parts of the contract."""
        data, task = self.data, self.model.task
        problems: list[str] = []
        canary = self.monitor.canary if self.monitor else None
        if canary and canary.metric is not None:
            known = METRICS.get(canary.metric)
            uses = MEASURED[self.model.prediction.kind]
            if known is None or task not in known.tasks or task == "multiclass" or known.uses not in uses:
                problems.append(f"monitor.canary.metric: `{canary.metric}` of a {task} task is not made from the log")
            if self.model.target and data.columns[self.model.target].sensitive:
                problems.append("monitor.canary.metric needs labels, and those of a sensitive target are never logged")
        return problems

    def _model_problems(self) -> list[str]:
        """Return what does not fit between the task or the features and the gates on the model."""
        gates, task = self.gates, self.model.task
        problems: list[str] = []
        explain = gates.explainability
        strange = [c for c in explain.forbidden if c not in self.features] if explain else []
        problems += [f"gates.explainability.forbidden names `{c}`, which is no feature" for c in strange]
        if explain and not (explain.forbidden or explain.share_at_most or explain.rank_agreement_at_least is not None):
            problems.append("gates.explainability has no limit: forbid a feature, or limit a share or a rank agreement")
        for metric, place in gates.performance.metrics.items() if gates.performance else ():
            assert gates.performance is not None
            known = gates.performance.catalogued(metric)
            part = "scores" if metric.startswith(OWN_SCORE) else "custom"
            if known is None and metric.removeprefix(CUSTOM_METRIC) not in gates.performance.custom:
                problems.append(f"gates.performance.{place} names `{metric}`, but gates.performance.{part} has none")
            if known is not None and task not in known.tasks:
                fit = ", ".join(n for n, m in METRICS.items() if task in m.tasks)
                problems.append(f"`{metric}` is no metric of a {task} task; there are: {fit}")
        for fairness in gates.performance.fairness if gates.performance else ():
            if task not in FAIRNESS_TASKS[fairness.measure]:
                fit = ", ".join(n for n, tasks in FAIRNESS_TASKS.items() if task in tasks)
                problems.append(f"`{fairness.measure}` is no measure of a {task} task; there are: {fit}")
        problems += _series_fit(self)
        if self.model.target:
            problems += _labels_fit(self.model, self.data.columns[self.model.target])
        problems += _texts_fit(self) if task == "text" else _answers_fit(self.model, gates)
        problems += _cluster_fits(self.model, self.data)
        problems += _plan_fits(self)
        arrays = [n for n, c in self.data.columns.items() if c.type == "array"]
        for name in arrays if gates.drift else ():
            own = gates.drift.columns.get(name) if gates.drift else None
            if name in self.features and not (own and own.ignore):
                problems.append(
                    f"gates.drift: no distance is known for the array `{name}`: "
                    f"write `columns: {{{name}: {{ignore: true, reason: ...}}}}`"
                )
        compared = [*gates.performance.checks, *gates.performance.slices] if gates.performance else []
        for baseline in ("naive", "seasonal_naive"):
            if getattr(self.model.forecast, baseline) is None and baseline in [
                getattr(c, "against", "") for c in compared
            ]:
                problems.append(f"a check is against {baseline}: name its column, `model.forecast.{baseline}`")
        if self.model.anchor is None and any(getattr(c, "against", "") == "anchor" for c in compared):
            problems.append("a check is against the anchor: pin one, model.anchor: models:/NAME/VERSION")
        return problems

    @property
    def labels(self) -> LabelPlan | None:
        """The plan by which the holdout is labelled, where it has no labels of its own."""
        return self.gates.performance.labels if self.gates.performance else None

    @property
    def server(self) -> Server:
        """What serves a model that is asked over HTTP."""
        return self.gates.load.server if self.gates.load else Server()

    @property
    def threshold(self) -> float:
        """At which a probability is a positive decision."""
        return self.gates.performance.threshold if self.gates.performance else 0.5

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
