"""How traffic moves from the champion to a new version: step by step, by the prediction log of both."""

from __future__ import annotations

from pydantic import Field, FiniteFloat, model_validator

from weighin.contract.parts import Count, Metric, Part, Positive, Share

LIMITS = ("error_rate_increase_at_most", "metric_drop_at_most", "latency_ratio_at_most", "latency_ms_at_most")


class Canary(Part):
    """Rows of the role `canary` against those of the role `champion`, over the same span of the log."""

    steps: tuple[Share, ...] = Field(min_length=1, description="Shares of the traffic, growing, such as 0.05, 0.25, 1.")
    command: tuple[str, ...] = Field(
        min_length=1,
        description="The command that moves the traffic, word by word; {share}, {version} and {model} are replaced.",
    )
    seconds_at_most: Positive = Field(60, description="Longest time of the command.")
    rows_at_least: Count = Field(
        1000,
        ge=100,
        description="Requests of the canary (for a metric: labels) at the first decision; the next is at twice that.",
    )
    error_rate_increase_at_most: Share | None = Field(
        None, description="Largest share of requests with status 500 or above, less the champion's."
    )
    metric: Metric | None = Field(None, description="A metric of rows whose labels have come.")
    metric_drop_at_most: FiniteFloat | None = Field(
        None, ge=0, description="By how much `metric` may be worse than the champion's, in its own unit."
    )
    latency_ratio_at_most: Positive | None = Field(
        None, description="Largest `quantile` of the latency, as a multiple of the champion's."
    )
    latency_ms_at_most: Positive | None = Field(None, description="Largest `quantile` of the latency.")
    quantile: float = Field(0.5, gt=0, lt=1, description="Which quantile of the latency is limited.")

    @model_validator(mode="after")
    def _consistent(self) -> Canary:
        problems = []
        if list(self.steps) != sorted(set(self.steps)) or self.steps[0] == 0:
            problems.append("`steps` grow, from above 0")
        if not any("{share}" in word for word in self.command):
            problems.append("`command` has no {share}, so that it would move nothing")
        if (self.metric is None) != (self.metric_drop_at_most is None):
            problems.append("`metric` and `metric_drop_at_most` go together")
        if all(getattr(self, name) is None for name in LIMITS):
            problems.append(f"give at least one of {', '.join(LIMITS)}")
        if problems:
            raise ValueError("; ".join(problems))
        return self
