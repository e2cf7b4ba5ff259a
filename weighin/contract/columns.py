"""What must hold for one column of the data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from weighin.contract.parts import YAML_WORDS, Count, Label, Part, Severity, Share
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


class Column(Part):
    """What must hold for one column, in every dataset that the data quality gate looks at."""

    type: Literal["integer", "float", "string", "boolean", "timestamp", "date", "array"]
    role: Literal["feature", "target", "key", "time", "group", "weight", "other"] = "feature"
    minimum: FiniteFloat | None = None
    maximum: FiniteFloat | None = None
    allowed: tuple[Label, ...] | None = None
    categorical: bool = Field(
        False, description="Models are given a pandas category over `allowed`, in its order: for LightGBM and XGBoost."
    )
    length: Count | None = Field(None, description="Numbers in each list of an array, such as an embedding.")
    missing_at_most: Share = 0.0
    pattern: Annotated[str, AfterValidator(portable)] | None = Field(
        None,
        description="A regular expression that a whole value matches; see contract/pattern.py for what is allowed.",
    )
    outside_at_most: Share = Field(
        0.0, description="Share of values that may break the range, the allowed set or the pattern."
    )
    unique: bool = False
    order: Literal["increasing", "strictly_increasing"] | None = Field(
        None, description="In the order of the file no value lies before the one before it (or is equal to it)."
    )
    time_zone: Literal["UTC"] | None = None
    sensitive: bool = False
    severity: Severity = "block"

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
