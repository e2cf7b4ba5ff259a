"""What only people can vouch for, of the ML Test Score."""

from __future__ import annotations

from datetime import date
from typing import Literal, get_args

from pydantic import Field

from weighin.contract.parts import Name, Part

TestName = Literal[
    "data-schema",
    "data-beneficial",
    "data-cost",
    "data-requirements",
    "data-privacy",
    "data-quick-to-add",
    "data-code-tested",
    "model-reviewed",
    "model-online-correlates",
    "model-tuned",
    "model-staleness-known",
    "model-simpler-is-worse",
    "model-slices",
    "model-inclusion",
    "infra-reproducible",
    "infra-unit-tested",
    "infra-integration-tested",
    "infra-validated",
    "infra-debuggable",
    "infra-canaried",
    "infra-rolled-back",
    "monitor-dependencies",
    "monitor-invariants",
    "monitor-skew",
    "monitor-age",
    "monitor-numerics",
    "monitor-computing",
    "monitor-quality",
]
NAMES: tuple[TestName, ...] = get_args(TestName)


class Vouched(Part):
    """One test of the ML Test Score that somebody does by hand, and has written down."""

    owner: Name = Field(description="Who answers for it.")
    done: date = Field(description="When it was done last; it counts for 365 days.")
    where: Name = Field(description="Where it is written down.")
