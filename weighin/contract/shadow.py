"""The gate on logged requests: candidate and champion answer the same ones, side by side."""

from __future__ import annotations

import math

from pydantic import Field, FiniteFloat, model_validator

from weighin.contract.parts import Graded, Positive, Share

BLOCK = 10
"""Requests that are the sampling unit of a time: neighbours share what the machine did meanwhile."""
LIMITS = ("disagreement_at_most", "error_rate_at_most", "latency_ratio_at_most", "latency_ms_at_most")


class Shadow(Graded):
    """The last requests that the champion answered, sent again to candidate and champion, one by one.

    They are read from `monitor.log`, and served as `gates.load.server` says, or by MLflow's scoring server.
    """

    requests: int = Field(1000, ge=20, le=100_000, description="Number of logged requests, the newest ones.")
    disagreement_at_most: Share | None = Field(
        None,
        description="Share of rows that the candidate answers otherwise: another decision at the threshold, another "
        "class, a value further away than `tolerance`, another text.",
    )
    tolerance: FiniteFloat | None = Field(
        None, ge=0, description="Regression: predictions that differ by more than this disagree."
    )
    token_f1_at_least: Share | None = Field(
        None,
        description="Texts: answers of which the token F1 with the champion's is below this disagree; default: answers "
        "that are not the champion's, letter by letter.",
    )
    error_rate_at_most: Share | None = Field(None, description="Share of requests that get no right answer.")
    latency_ratio_at_most: Positive | None = Field(
        None, description="Largest `quantile` of the candidate's latency, as a multiple of the champion's."
    )
    latency_ms_at_most: Positive | None = Field(None, description="Largest `quantile` of the candidate's latency.")
    quantile: float = Field(0.5, gt=0, lt=1, description="Which quantile of the latency is limited.")
    starts: int = Field(2, ge=1, le=10, description="Number of times that each server is started; they take turns.")
    timeout_seconds: Positive = Field(10, description="Longest time until an answer; a later one is a failure.")
    seconds_at_most: Positive = Field(300, description="Longest time of one start; a longer one is stopped.")

    @model_validator(mode="after")
    def _some_limit(self) -> Shadow:
        if all(getattr(self, name) is None for name in LIMITS):
            raise ValueError(f"give at least one of {', '.join(LIMITS)}")
        return self

    def problems_with(self, alpha: float, task: str) -> list[str]:
        """Return what this gate asks of a model that cannot be asked, or of so few requests that they can never prove
        it.
        """
        found = []
        if (self.tolerance is None) == (
            task in ("regression", "ranking", "forecast") and self.disagreement_at_most is not None
        ):
            found.append("`tolerance` goes with `disagreement_at_most` of a number, and with nothing else")
        if self.token_f1_at_least is not None and (task != "text" or self.disagreement_at_most is None):
            found.append("`token_f1_at_least` goes with `disagreement_at_most` of a text, and with nothing else")
        if "warn" in (self.severity, self.when_inconclusive):
            return found
        blocks = self.requests // BLOCK
        limits = {
            "disagreement_at_most": (self.disagreement_at_most, self.requests),
            "error_rate_at_most": (self.error_rate_at_most, self.requests),
            "quantile": (1 - self.quantile if self.latency_ratio_at_most or self.latency_ms_at_most else None, blocks),
        }
        for name, (limit, units) in limits.items():
            if limit is None or 1 - alpha ** (1 / units) <= limit:
                continue
            need = math.ceil(math.log(alpha) / math.log(1 - limit)) if limit > 0 else None
            unit = BLOCK if name == "quantile" else 1
            remedy = f"{need * unit:,} are needed" if need else "no number is enough for a share of 0"
            found.append(f"`{name}` can never pass with {self.requests:,} requests: {remedy}")
        return found
