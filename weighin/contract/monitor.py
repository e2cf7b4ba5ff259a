"""What is watched after a release: where predictions are logged, what must hold in which window, and what is done."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from weighin.contract.ab_test import AbTest
from weighin.contract.canary import Canary
from weighin.contract.parts import Count, Metric, Name, Part, Positive, Share
from weighin.contract.slash_command import SlashCommand
from weighin.contract.stream import Streams

Action = Literal["nothing", "alert", "retrain", "rollback"]


WITHOUT_WINDOW = ("no_traffic_minutes_at_most", "age_days_at_most")


class PredictionLog(Part):
    """Where predictions are logged: a folder of Parquet files, an SQLite file, or a database.

    The tables are described in docs/reference/prediction-log.md. No column that is `sensitive` is logged.
    """

    path: Name | None = Field(
        default=None, description="A folder (Parquet) or a file ending in .sqlite, relative to the contract."
    )
    connection: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = Field(
        default=None,
        description="The environment variable that holds a database's address, postgres://user:password@host/db.",
    )
    predictions: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$")] = Field(
        default="weighin_predictions", description="Name of the table of predictions."
    )
    labels: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$")] = Field(
        default="weighin_labels", description="Name of the table of labels."
    )
    retain_days: Positive = Field(default=90, description="Age at which rows of the log are removed.")

    @model_validator(mode="after")
    def _one(self) -> PredictionLog:
        if (self.path is None) == (self.connection is None):
            raise ValueError("give either `path` or `connection`")
        return self


class Window(Part):
    """The last rows, or the last hours, of what the champion answered."""

    rows: Count | None = Field(default=None, description="Number of the newest rows.")
    hours: Positive | None = Field(default=None, description="Length of the time before the run whose rows count.")
    rows_at_least: Count = Field(default=200, description="Rows without which a window is not evaluated.")

    @model_validator(mode="after")
    def _one(self) -> Window:
        if (self.rows is None) == (self.hours is None):
            raise ValueError("a window is either `rows` or `hours`")
        if self.rows is not None and self.rows < self.rows_at_least:
            raise ValueError(f"a window of {self.rows} rows never has rows_at_least {self.rows_at_least}")
        return self

    @property
    def name(self) -> str:
        """As it stands in the id of a check."""
        return f"last-{self.rows}" if self.rows is not None else f"last-{self.hours:g}-hours"


class Watch(Part):
    """One thing that must hold in a window. Exactly one of the limits is given, besides what says of what."""

    window: Window | None = Field(
        None, description="The rows that are evaluated; every limit but those on silence and age needs one."
    )
    action: Action = Field("alert", description="What is done while the limit is broken.")
    drift_at_most: Positive | None = Field(
        None, description="Largest distance of each column from the version's profile."
    )
    columns: tuple[Name, ...] = Field(
        (), description="Columns of `drift_at_most`, `prediction` among them; default all."
    )
    metric: Metric | None = Field(None, description="The metric that is limited, on rows whose labels have come.")
    at_least: float | None = Field(None, description="The metric is at least this, in its own unit.")
    at_most: float | None = Field(None, description="The metric is at most this, in its own unit.")
    times_baseline_at_most: Positive | None = Field(
        None, description="The metric is at most this multiple of the value in the champion's record (for errors)."
    )
    relative_decline_at_most: Share | None = Field(
        None, description="Share of the value in the champion's record that may be lost."
    )
    error_rate_at_most: Share | None = Field(
        None, description="Largest share of requests answered with status 500 or above."
    )
    latency_ms_at_most: Positive | None = Field(None, description="Largest `quantile` of the latency.")
    quantile: float = Field(default=0.95, gt=0, lt=1, description="Which quantile of the latency.")
    disagreement_at_most: Share | None = Field(
        None, description="Largest share of rows that a shadow answers otherwise."
    )
    no_traffic_minutes_at_most: Positive | None = Field(None, description="Longest time since the last logged request.")
    age_days_at_most: Positive | None = Field(None, description="Longest time since the version became champion.")

    @model_validator(mode="after")
    def _one_limit(self) -> Watch:
        of_metric = ("at_least", "at_most", "times_baseline_at_most", "relative_decline_at_most")
        alone = ("drift_at_most", "error_rate_at_most", "latency_ms_at_most", "disagreement_at_most", *WITHOUT_WINDOW)
        given = [k for k in (*of_metric, *alone) if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one limit, not {len(given)}: {', '.join((*of_metric, *alone))}")
        if (given[0] in of_metric) != (self.metric is not None):
            raise ValueError(f"`{given[0]}` {'needs a' if self.metric is None else 'goes without'} `metric`")
        if (self.window is None) != (given[0] in WITHOUT_WINDOW):
            raise ValueError(f"`{given[0]}` {'goes without' if self.window else 'needs'} a `window`")
        if self.age_days_at_most is not None and self.action == "rollback":
            raise ValueError("the version before is older still: `age_days_at_most` goes without `action: rollback`")
        if self.columns and self.drift_at_most is None:
            raise ValueError("`columns` go with `drift_at_most`")
        return self


class Evidence(Part):
    """How sure an alarm has to be."""

    false_alarms_per_month: Positive = Field(
        default=0.5, description="Expected false alarms in 30 days, of all checks together."
    )
    every_minutes: Positive = Field(default=5, description="Time between two runs.")
    consecutive_windows: int = Field(
        default=3, ge=1, le=10, description="Windows in a row, side by side and not overlapping, that must all fail."
    )
    verify_minutes: Positive = Field(
        default=60,
        description="Time after a rollback in which fresh traffic has to pass what failed, or people are notified.",
    )


class Alert(Part):
    """Where people are notified. Addresses and secrets stand in environment variables, and nowhere else."""

    to: Literal["slack", "teams", "pagerduty", "webhook", "github"] = Field(description="What kind of receiver it is.")
    address: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = Field(
        None, description="The variable that holds the address of a webhook; PagerDuty has one of its own."
    )
    secret: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = Field(
        None,
        description="The variable that holds the secret with which a generic webhook is signed, or PagerDuty's "
        "integration key.",
    )
    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = Field(
        None,
        description="The repository, OWNER/REPO, whose issue is kept up to date; the token is in WEIGHIN_GITHUB_TOKEN.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Alert:
        wanted = {
            "slack": ("address",),
            "teams": ("address",),
            "pagerduty": ("secret",),
            "webhook": ("address", "secret"),
            "github": ("repository",),
        }[self.to]
        given = [k for k in ("address", "secret", "repository") if getattr(self, k) is not None]
        # PagerDuty's regions, and proxies, have addresses of their own.
        optional = {"address"} if self.to == "pagerduty" else set()
        if set(given) - optional != set(wanted):
            raise ValueError(f"an alert to {self.to} needs {' and '.join(wanted)}, and nothing else")
        return self


class Retrain(Part):
    """Which repository is asked to train, by an event `weighin-retrain` with model, version and data."""

    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] = Field(
        description="The repository that is asked, OWNER/REPO."
    )


class Monitor(Part):
    """The same rule as at the release, applied again and again to what the champion answers."""

    log: PredictionLog = Field(description="Where predictions and labels are logged.")
    watch: tuple[Watch, ...] = Field(
        min_length=1, description="What must hold, in which window, and what is done otherwise."
    )
    streams: Streams = Field((), description="Detectors of concept drift that are fed row by row.")
    evidence: Evidence = Field(Evidence(), description="How sure an alarm has to be.")
    alerts: tuple[Alert, ...] = Field((), description="Where people are notified.")
    retrain: Retrain | None = Field(None, description="Which repository is asked to train.")
    canary: Canary | None = Field(None, description="How traffic moves to a new version, step by step.")
    slash_command: SlashCommand | None = Field(None, description="Who may use the commands in a chat.")
    ab_test: AbTest | None = Field(None, description="How a new version is compared with the champion by outcomes.")
