"""An A/B test: which share of the units gets the challenger, which outcomes count, and what must hold of them."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, model_validator

from weighin.contract.parts import Name, Part, Positive

OutcomeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")]


class OutcomeTable(Part):
    """Where outcomes are stored: rows of `at`, `unit`, `outcome` and `value`.

    Without `path` and `connection` the table lies beside the prediction log, in the same folder, file or database.
    """

    path: Name | None = Field(
        default=None,
        description="A folder of Parquet files, a .parquet or .csv file, or a file ending in .sqlite, relative to the "
        "contract.",
    )
    connection: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = Field(
        default=None,
        description="The environment variable that holds a database's address, postgres://user:password@host/db.",
    )
    table: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$")] = Field(
        default="weighin_outcomes",
        description="Name of the table, beside the log, in the .sqlite file or in the database.",
    )

    @model_validator(mode="after")
    def _one(self) -> OutcomeTable:
        if self.path is not None and self.connection is not None:
            raise ValueError("give `path` or `connection`, or neither for a table beside the log")
        return self


class AbMetric(Part):
    """One number for each arm, and by how much the challenger's must exceed, or may miss, the champion's.

    `share` is the share of units with the outcome. `mean` is the mean of the units' sums of `value`. `ratio` is the sum
    of `value` over that of `denominator`, both of all units.
    """

    outcome: OutcomeName = Field(description="Name of the outcome, as the column `outcome` has it.")
    kind: Literal["share", "mean", "ratio"] = Field("share", description="What is made of a unit's rows.")
    denominator: OutcomeName | None = Field(None, description="`ratio`: the outcome that is divided by.")
    lower_is_better: bool = Field(default=False, description="Whether a smaller number is the better one.")
    cap: Positive | None = Field(
        None,
        description="`mean`: a unit's sum counts as this where it is larger (and as minus this where it is lower), so "
        "that a few units do not decide. It is fixed before the test.",
    )
    better_by: FiniteFloat | None = Field(
        None, ge=0, description="The challenger is better by this at least, in the unit of the number."
    )
    margin: FiniteFloat | None = Field(
        None, gt=0, description="The challenger is worse by this at most, in the unit of the number."
    )

    @model_validator(mode="after")
    def _consistent(self) -> AbMetric:
        problems = []
        if (self.better_by is None) == (self.margin is None):
            problems.append("give either `better_by` or `margin`")
        if (self.kind == "ratio") != (self.denominator is not None):
            problems.append("`denominator` goes with `kind: ratio`, and `kind: ratio` needs it")
        if self.denominator == self.outcome:
            problems.append("`denominator` is the outcome itself: that ratio is always 1")
        if self.cap is not None and self.kind != "mean":
            problems.append("`cap` goes with `kind: mean`")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def id(self) -> str:
        """Id of its check."""
        return "/".join(("ab", self.kind, self.outcome, *([self.denominator] if self.denominator else [])))

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the outcomes that it is made from."""
        return (self.outcome, *([self.denominator] if self.denominator else []))


class AbTest(Part):
    """Units are assigned to champion and challenger by a hash, and compared by what became of them.

    The challenger's servers log with the role `canary`. A unit counts `outcome_days` and `delay_hours` after its first
    request, once, with all that came of it in these days.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] = Field(
        description="Name of the test. It is part of the hash, so that each test divides the units anew."
    )
    share: float = Field(0.5, ge=0.01, le=0.99, description="Share of the units that get the challenger.")
    unit_header: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")] = Field(
        "x-weighin-unit", description="The header of a request that names its unit by a pseudonym, in small letters."
    )
    outcomes: OutcomeTable = Field(OutcomeTable(), description="Where outcomes are stored.")
    outcome_days: Positive = Field(description="Time after a unit's first request in which its outcomes count.")
    delay_hours: FiniteFloat = Field(
        24, ge=0, description="Time after which an outcome is in the table; a unit counts so much later."
    )
    units_at_least: int = Field(1000, ge=500, description="Units of both arms at the first decision.")
    success: AbMetric = Field(description="The number that the challenger is tested for.")
    guards: tuple[AbMetric, ...] = Field((), description="Numbers that must not get worse by more than a margin.")

    @model_validator(mode="after")
    def _consistent(self) -> AbTest:
        twice = [name for name, count in Counter(m.id for m in self.metrics).items() if count > 1]
        if twice:
            raise ValueError(f"`{twice[0]}` stands twice among `success` and `guards`")
        return self

    @property
    def metrics(self) -> tuple[AbMetric, ...]:
        """The success metric, and the guards."""
        return (self.success, *self.guards)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all outcomes that it needs, sorted."""
        return tuple(sorted({name for metric in self.metrics for name in metric.needs}))
