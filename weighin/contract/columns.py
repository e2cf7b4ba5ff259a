"""What must hold for one column of the data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from weighin.contract.parts import YAML_WORDS, Count, Label, Name, Part, Severity, Share
from weighin.contract.pattern import portable

_RULES_OF = {
    "minimum": ("integer", "float"),
    "maximum": ("integer", "float"),
    "allowed": ("integer", "float", "string"),
    "pattern": ("string",),
    "order": ("integer", "float", "timestamp", "date"),
    "time_zone": ("timestamp",),
    "length": ("array",),
}


class ConditionalRule(Part):
    """What must hold for a column in the rows that meet a condition, and in no others."""

    name: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9_.-]+$", description="Name of the rule; it ends the ids of its checks.")
    ]
    when: Name = Field(description="An SQL condition over the listed columns, as `country = 'US'`.")
    minimum: FiniteFloat | None = Field(None, description="Least value, itself allowed.")
    maximum: FiniteFloat | None = Field(None, description="Largest value, itself allowed.")
    allowed: tuple[str | int, ...] | None = Field(None, description="The only values that may occur.")
    missing_at_most: Share | None = Field(
        None, description="Share of the rows that may have no value; without it the rule does not check missing values."
    )
    pattern: Annotated[str, AfterValidator(portable)] | None = Field(
        None, description="A regular expression that a whole value matches."
    )
    outside_at_most: Share = Field(
        0.0, description="Share of values that may break the range, the allowed set or the pattern."
    )
    unique: bool = Field(False, description="No value occurs twice.")
    order: Literal["increasing", "strictly_increasing"] | None = Field(
        None,
        description="Values grow in the order of the file; `strictly_increasing` forbids equal neighbours as well.",
    )
    severity: Severity = Field("block", description="Whether a broken rule blocks a release or warns.")


class Column(Part):
    """What must hold for one column, in every dataset of the data quality gate."""

    type: Literal["integer", "float", "string", "boolean", "timestamp", "date", "array"] = Field(
        description="Type in which the column is read, whatever wrote the file."
    )
    role: Literal["feature", "target", "key", "time", "group", "weight", "other"] = Field(
        "feature", description="What the column is for; only a `feature` is given to a model."
    )
    minimum: FiniteFloat | None = Field(None, description="Least value, itself allowed.")
    maximum: FiniteFloat | None = Field(None, description="Largest value, itself allowed.")
    allowed: tuple[Label, ...] | None = Field(None, description="The only values that may occur.")
    categorical: bool = Field(
        False, description="Models are given a pandas category over `allowed`, in its order: for LightGBM and XGBoost."
    )
    length: Count | None = Field(None, description="Length of each list of an array, such as an embedding.")
    missing_at_most: Share = Field(0.0, description="Share of rows that may have no value; NaN is missing.")
    pattern: Annotated[str, AfterValidator(portable)] | None = Field(
        None,
        description="A regular expression that a whole value matches; Python, Java and RE2 must read it alike.",
    )
    outside_at_most: Share = Field(
        0.0, description="Share of values that may break the range, the allowed set or the pattern."
    )
    unique: bool = Field(False, description="No value occurs twice.")
    order: Literal["increasing", "strictly_increasing"] | None = Field(
        None,
        description="Values grow in the order of the file; `strictly_increasing` forbids equal neighbours as well.",
    )
    time_zone: Literal["UTC"] | None = Field(None, description="Required for a timestamp: all moments are in UTC.")
    sensitive: bool = Field(
        False, description="No value, bin or range of the column stands in a report, a record or the prediction log."
    )
    severity: Severity = Field("block", description="Whether a broken rule of the column blocks a release or warns.")
    rules: tuple[ConditionalRule, ...] = Field((), description="Rules for the rows that meet a condition.")

    @model_validator(mode="after")
    def _rules_fit(self) -> Column:
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ValueError("two of `rules` have the same `name`")
        for rule in self.rules:
            if rule.model_fields_set <= {"name", "when", "outside_at_most", "severity"}:
                raise ValueError(f"the rule `{rule.name}` demands nothing: give a `minimum`, `allowed` or the like")
            self.under(rule)
        return self

    def under(self, rule: ConditionalRule) -> Column:
        """Return this column with the demands of a conditional rule in place of its own."""
        kept = {"type": self.type, "role": self.role, "time_zone": self.time_zone, "sensitive": self.sensitive}
        # A share that the rule leaves out is no demand; `rules` in contract/rules.py makes no check of it.
        given = rule.model_dump(exclude={"name", "when"}, exclude_none=True)
        return Column.model_validate({**kept, **given})

    @model_validator(mode="after")
    def _consistent(self) -> Column:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is above maximum {self.maximum:g}")
        if self.allowed is not None and not self.allowed:
            raise ValueError("an empty list allows nothing; leave `allowed` out")
        if self.type == "timestamp" and self.time_zone is None:
            raise ValueError("a timestamp needs `time_zone: UTC`, so that rows of two sources are comparable")
        for key, types in _RULES_OF.items():
            if getattr(self, key) is not None and self.type not in types:
                raise ValueError(f"`{key}` is a rule for columns of type {' or '.join(types)}, not {self.type}")
        if any(isinstance(value, bool) for value in self.allowed or ()):
            raise ValueError(f"`allowed` of a {self.type} column lists a boolean: {YAML_WORDS}")
        wrong = {"string": int, "integer": str, "float": str}.get(self.type)
        if wrong and any(isinstance(value, wrong) for value in self.allowed or ()):
            raise ValueError(f"`allowed` of a {self.type} column lists a value of another type")
        if self.categorical and (self.type not in ("string", "integer") or self.allowed is None):
            raise ValueError("`categorical` needs `allowed`, whose order the model knows, and `type` string or integer")
        if self.type == "array" and (self.role not in ("feature", "other") or self.unique):
            raise ValueError("an array is a feature (or `role: other`), and `unique` is no rule for it")
        return self
