"""What every part of the contract is made of: frozen models that refuse unknown keys, and numbers that are finite."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, WithJsonSchema

from weighin.stats.metrics import METRICS

Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Positive = Annotated[FiniteFloat, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f]+$")]
Severity = Literal["block", "warn"]
Dataset = Literal["reference", "holdout", "current"]
CUSTOM_METRIC = "custom."
OWN_SCORE = "score."


Label = Annotated[bool | str | int, Field(union_mode="smart")]
"""A label or category, kept in the type in which the contract writes it."""
YAML_WORDS = (
    "YAML reads yes, no, on, off, true and false without quotation marks as booleans: put them in quotation marks"
)


def _metric(name: str) -> str:
    if name in METRICS or name.startswith((CUSTOM_METRIC, OWN_SCORE)):
        return name
    near = get_close_matches(name, METRICS, n=1, cutoff=0.4)
    raise ValueError(f"no such metric{f', did you mean `{near[0]}`?' if near else ''} Known: {', '.join(METRICS)}")


Metric = Annotated[
    str,
    AfterValidator(_metric),
    WithJsonSchema({"anyOf": [{"enum": list(METRICS)}, {"type": "string", "pattern": "^(custom|score)\\."}]}),
]


class Part(BaseModel):
    """What every part of the contract has in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Graded(Part):
    """A limit that may warn instead of block."""

    severity: Severity = Field(
        "block",
        description="`block`: without a pass there is no release. `warn`: the check is shown and stops nothing.",
    )
    when_inconclusive: Severity = Field(
        "block", description="The same for an interval that holds the limit: `warn` lets an inconclusive check go on."
    )
