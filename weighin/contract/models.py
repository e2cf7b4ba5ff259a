"""The shape of `model_contract.yaml`: frozen models that refuse unknown keys and numbers that are not finite."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator, model_validator

Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Positive = Annotated[FiniteFloat, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f]+$")]
Severity = Literal["block", "warn"]
Dataset = Literal["reference", "holdout", "current"]
Metric = Literal["roc_auc", "log_loss", "precision", "recall"]


class Part(BaseModel):
    """What every part of the contract has in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Prediction(Part):
    """What the model answers for one row."""

    kind: Literal["probability"] = "probability"
    column: int = Field(default=1, ge=0, description="Which number of the answer is the prediction, counted from 0.")


class Aliases(Part):
    """Names of the registry aliases that weighin reads and moves."""

    champion: Name = "champion"
    challenger: Name = "challenger"
    previous: Name = "previous"


class Model(Part):
    """What is judged."""

    name: Name
    task: Literal["binary"]
    target: Name = Field(description="The column that holds the truth; 1 is the positive class.")
    prediction: Prediction = Prediction()
    aliases: Aliases = Aliases()
    predict_seconds: Positive = Field(300, description="A model that takes longer over the data is stopped.")
    memory_mb: Count = Field(2000, description="Memory that the model's container may use.")


class Column(Part):
    """What must hold for one column, in every dataset that the data quality gate looks at."""

    type: Literal["integer", "float", "string", "boolean", "timestamp", "date"]
    role: Literal["feature", "target", "key", "time", "group", "other"] = "feature"
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

    reference: Name
    holdout: Name
    current: Name
    sealed_holdout: Name | None = None
    public_data: bool = Field(
        False, description="Features and models may travel as workflow artifacts, which others may be able to download."
    )
    columns: dict[Name, Column] = Field(min_length=1)


class DataQuality(Part):
    """The gate on the data that the other gates rely on. The column rules above are its checks."""

    datasets: tuple[Dataset, ...] = ("reference", "holdout", "current")
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


class ChampionCheck(_Graded):
    """A metric against the champion on the same rows: worse by at most `margin`, in the metric's own unit."""

    metric: Metric
    against: Literal["champion"]
    margin: FiniteFloat = Field(ge=0)


class SliceCheck(_Graded):
    """A comparison with the champion for each listed value of a column, by default as a warning."""

    column: Name
    values: tuple[str | int, ...] = Field(min_length=1)
    metric: Metric
    margin: FiniteFloat = Field(ge=0)
    severity: Severity = "warn"


class Performance(Part):
    """The gate on how good the candidate is."""

    threshold: Share = Field(0.5, description="A prediction at or above it counts as positive.")
    checks: tuple[AbsoluteCheck | ChampionCheck, ...] = Field(min_length=1)
    slices: tuple[SliceCheck, ...] = ()
    first_release: Literal["allow", "refuse"] = "refuse"


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
    load: Load | None = None

    @model_validator(mode="after")
    def _some(self) -> Gates:
        if not self.names:
            raise ValueError("no gate has limits: a contract without gates would let everything pass")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The suites that this contract demands, in the order in which they run."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) is not None)


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
    group: Name | None = Field(None, description="Rows that share this column's value are not independent.")
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
        wanted = [(self.model.target, "model.target")]
        wanted += [(self.group, "group")] if self.group else []
        if self.gates.performance:
            wanted += [(s.column, "gates.performance.slices") for s in self.gates.performance.slices]
        if self.gates.drift:
            wanted += [(c, "gates.drift.columns") for c in self.gates.drift.columns if c != "prediction"]
        missing = [f"{place} names `{column}`" for column, place in wanted if column not in known]
        if missing:
            raise ValueError(f"{'; '.join(missing)}: not listed in data.columns")
        if known[self.model.target].role != "target":
            raise ValueError(f"the target `{self.model.target}` needs `role: target`, so that no model is given it")
        if not self.features:
            raise ValueError("no column has `role: feature`")
        return self

    @property
    def sampling_unit(self) -> str:
        """What repeats independently, in words."""
        return f"groups by {self.group}" if self.group else "rows"

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that a model is given, in order."""
        return tuple(name for name, column in self.data.columns.items() if column.role == "feature")
