"""The data quality gate: rules that are about more than one column, or about the table as a whole."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from weighin.contract.parts import Count, Dataset, Name, Part, Positive, Severity, Share


class _SomeMayBreak(Part):
    share_at_most: Share = Field(default=0.0, description="Share of rows that may break the rule.")
    severity: Severity = Field(default="block", description="Whether a broken rule blocks a release or warns.")


class UniqueTogether(_SomeMayBreak):
    """No two rows are alike in all of these columns; missing is a value like any other."""

    columns: tuple[Name, ...] = Field(min_length=2, description="The columns that are unique together.")

    @field_validator("columns")
    @classmethod
    def _different(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a column is listed twice")
        return value


def _form(value: object) -> str:
    return "columns" if isinstance(value, (list, tuple)) else "rule"


# Two columns are what an element of the list is about most of the time; the mapping is for a share or a severity.
Together = Annotated[
    Annotated[Annotated[tuple[Name, ...], Field(min_length=2)], Tag("columns")]
    | Annotated[UniqueTogether, Tag("rule")],
    Discriminator(_form),
]


class Comparison(_SomeMayBreak):
    """Within a row one column is at least, greater than, or equal to another. Rows without either are not judged."""

    column: Name = Field(description="The column that is compared.")
    at_least: Name | None = Field(None, description="The column that it must not be below.")
    greater_than: Name | None = Field(None, description="The column that it must be above.")
    equal_to: Name | None = Field(None, description="The column that it must be equal to.")

    @model_validator(mode="after")
    def _one(self) -> Comparison:
        if sum(v is not None for v in (self.at_least, self.greater_than, self.equal_to)) != 1:
            raise ValueError("give exactly one of `at_least`, `greater_than` and `equal_to`, each the name of a column")
        if self.column == self.other:
            raise ValueError("a column is compared with itself")
        return self

    @property
    def other(self) -> str:
        """The column that it is compared with."""
        return str(self.at_least or self.greater_than or self.equal_to)

    @property
    def sign(self) -> str:
        """How, as it stands in the name of the check."""
        return ">=" if self.at_least else ">" if self.greater_than else "=="


class Reference(_SomeMayBreak):
    """Values of a column stand in a column of another table. Missing values are not judged."""

    column: Name = Field(description="The column whose values are looked up.")
    table: Name = Field(
        description="Where they must stand: `reference`, `holdout`, `current`, `training`, or a Parquet file."
    )
    key: Name = Field(description="The column of that table in which the values must stand.")


class Fresh(Part):
    """The newest value of a time column is recent, seen from the contract's `as_of`. A date begins at 0:00 UTC."""

    column: Name = Field(description="A column of type timestamp or date.")
    hours_at_most: Positive = Field(description="Largest age of the newest value, seen from `as_of`.")
    future: Literal["refuse", "allow"] = Field("refuse", description="Whether values after `as_of` may occur.")
    datasets: tuple[Dataset, ...] = Field((), description="Datasets in which this must hold; default all of the gate.")
    severity: Severity = Field("block", description="Whether a broken rule blocks a release or warns.")


class TrainingRows(_SomeMayBreak):
    """Rows of the holdout that stand in the training data as well."""

    by: tuple[Name, ...] = Field(
        default=(), description="Columns that tell rows apart; default every listed column that is no key and no time."
    )
    overlap_at_most: Share = Field(
        default=0.0,
        description="Share of training rows that are not before the first moment of the holdout; 1 allows all.",
    )


class OnlineValues(Part):
    """Training-serving skew: the newest values of entities, in the online store and in the offline store."""

    entities: Count = Field(500, description="Number of entities of the dataset that are compared, drawn at random.")
    differ_at_most: Share = Field(
        description="Share of all entities that may differ in a feature; floats within one part in a million are equal."
    )
    severity: Severity = Field("block", description="Whether it blocks a release or warns.")


class Copies(_SomeMayBreak):
    """Rows that repeat an earlier row of the same dataset under another key.

    With `by`, rows repeat each other that are equal in these columns. Without, they are equal in every listed column
    that is no key and no time, and they have no neighbour: a row that differs from them in a single column. Where a
    table holds few different values, rows have neighbours, and equal rows are natural.
    """

    by: tuple[Name, ...] = Field(default=(), description="Columns in which no row may repeat another.")
    share_at_most: Share = Field(default=0.02, description="Share of rows that may repeat an earlier one.")


class DataQuality(Part):
    """The gate on the data that the other gates rely on. The column rules above are its checks, and these."""

    datasets: tuple[Dataset, ...] = Field((), description="Datasets that are checked; default all that have rows.")
    rows_at_least: Count = Field(description="Least number of rows of each dataset.")
    rows_at_most: Count | None = Field(None, description="Largest number of rows of each dataset.")
    unique_together: tuple[Together, ...] = Field((), description="Columns in which no two rows are alike.")
    compare: tuple[Comparison, ...] = Field((), description="One column against another, row by row.")
    references: tuple[Reference, ...] = Field((), description="Values that must stand in another table.")
    fresh: tuple[Fresh, ...] = Field((), description="How old the newest value may be.")
    training_rows: TrainingRows = Field(
        TrainingRows(), description="Rows of the training data that may stand in the holdout; needs `data.training`."
    )
    copies: Copies | None = Field(
        None, description="Rows that repeat another; checked by default where a feature or the target is a float."
    )
    online: OnlineValues | None = Field(
        None, description="How far the online store of a dataset of Feast's lies from its offline store."
    )
    own_expectations: tuple[Name, ...] = Field(
        (), description="Names of hand-written suites in great_expectations/expectations that every dataset must meet."
    )
    failing_keys: Count | None = Field(
        None,
        le=10_000,
        description="Number of rows for each broken rule whose keys are written to a file beside the reports; "
        "never of a sensitive column.",
    )
    engine: Literal["auto", "pandas", "spark"] = Field(
        "auto", description="What Great Expectations counts with; auto takes pandas while the data fit in memory."
    )
    pandas_mb_at_most: Count | None = Field(
        None, description="Largest need in 2**20 bytes that auto leaves to pandas; default half of the free memory."
    )
    spark_memory_mb: Count = Field(2000, description="Heap of Spark's virtual machine.")

    @model_validator(mode="after")
    def _rows(self) -> DataQuality:
        if self.rows_at_most is not None and self.rows_at_most < self.rows_at_least:
            raise ValueError(f"rows_at_most {self.rows_at_most} is below rows_at_least {self.rows_at_least}")
        return self

    @property
    def together(self) -> tuple[UniqueTogether, ...]:
        """`unique_together`, in its long form."""
        return tuple(t if isinstance(t, UniqueTogether) else UniqueTogether(columns=t) for t in self.unique_together)

    @property
    def named(self) -> list[tuple[str, str]]:
        """Columns that the rules name, each with the place."""
        place = "gates.data_quality"
        found = [(c, f"{place}.unique_together") for t in self.together for c in t.columns]
        found += [(c, f"{place}.compare") for pair in self.compare for c in (pair.column, pair.other)]
        found += [(r.column, f"{place}.references") for r in self.references]
        found += [(f.column, f"{place}.fresh") for f in self.fresh]
        found += [(c, f"{place}.copies.by") for c in (self.copies.by if self.copies else ())]
        return found + [(c, f"{place}.training_rows.by") for c in self.training_rows.by]
