"""Scores that a contract describes: what it demands of each answer that is a text."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, field_validator, model_validator

from weighin.contract.parts import Count, Name, Part
from weighin.scores.demands import matches, schema_of
from weighin.stats.scored import Metric, row_score

_KINDS = ("contains_any", "contains_all", "pattern", "json_schema", "retrieval", "given", "entry_point", "mlflow")


class Judge(Part):
    """A language model that gives points; `weighin ask judge NAME` asks it, and writes the file of `given`."""

    model: Name = Field(description="Name of the model at the endpoint of WEIGHIN_JUDGE_URL.")
    rubric: Name = Field(description="By what an answer is graded, in words.")
    reference: bool = Field(True, description="Whether the judge sees the reference.")
    temperature: Annotated[FiniteFloat, Field(ge=0, le=2)] = Field(0.0, description="Of its sampling.")
    asks: int = Field(1, ge=1, le=10, description="How often it is asked about each answer; its points are averaged.")
    swap: bool = Field(
        False,
        description="Whether it is asked as often again with the answer before the reference, since judges prefer what "
        "stands first or last; all points are averaged.",
    )

    @model_validator(mode="after")
    def _two_to_swap(self) -> Judge:
        if self.swap and not self.reference:
            raise ValueError("`swap` changes the places of answer and reference, and the judge sees no reference")
        return self


class Score(Part):
    """A score of each answer; the metric `score.NAME` is its mean. Exactly one of the first eight says what it is.

    It is 0 or 1, so that its mean is a share; of `retrieval` a number in [0, 1]; of `given` what stands there; of
    `entry_point` what the function answers.
    """

    contains_any: tuple[str, ...] = Field((), description="1 where the answer holds one of these texts, in any case.")
    contains_all: tuple[str, ...] = Field((), description="1 where the answer holds all of these texts, in any case.")
    pattern: str | None = Field(
        None, description="1 where a part of the answer matches this regular expression, as RE2 reads it."
    )
    json_schema: dict[str, Any] | None = Field(
        None, description="1 where the answer is JSON that this JSON Schema allows; it refers to no other file."
    )
    retrieval: Literal["precision", "recall", "ndcg", "reciprocal_rank"] | None = Field(
        None,
        description="Of an answer that is a JSON list of documents, the best first, against the JSON list of relevant "
        "ones in the target.",
    )
    given: Name | None = Field(
        None,
        description="A file or glob, relative to the contract, with what was measured elsewhere, by a judge, MLflow's "
        "scorers or a meter: the key columns, the answer that was scored (`answer`), and the `column`.",
    )
    entry_point: Name | None = Field(
        None,
        description="An entry point in the group `weighin.scores` of a package that is installed beside the engine: a "
        "function `(answers, references) -> numbers`, or a code-based scorer of `mlflow.genai`.",
    )
    mlflow: Literal["PIIDetection", "RegexMatch", "ResponseLength"] | None = Field(
        None, description="A scorer of `mlflow.genai.scorers` that asks no model: 1 where it says yes."
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="What the scorer of `mlflow` is made with.")
    column: Name | None = Field(None, description="The column of `given` that holds the score.")
    human: Name | None = Field(
        None,
        description="The column of `given` that holds what people say of a random sample of the rows, in the same "
        "unit: the metric is then what they would say of all, and a judge's bias does not count.",
    )
    least: FiniteFloat | None = Field(
        None, description="Least value of a `given` or `entry_point` score; a lower one is refused."
    )
    largest: FiniteFloat | None = Field(
        None, description="Largest value of a `given` or `entry_point` score; a higher one is refused."
    )
    unit: str = Field("", description="Unit of a `given` or `entry_point` score, shown in reports.")
    judge: Judge | None = Field(None, description="Who gives the points of a `given` score.")
    at: Count | None = Field(None, le=1000, description="How many documents of a list count, for `retrieval`.")
    lower_is_better: bool = Field(False, description="Whether a smaller value is the better one.")

    @field_validator("pattern")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None:
            matches([""], value)
        return value

    @field_validator("json_schema")
    @classmethod
    def _a_schema(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            schema_of(value)
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> Score:
        given = [key for key in _KINDS if getattr(self, key) not in (None, ())]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(f'`{key}`' for key in _KINDS)}")
        if any(not text for text in (*self.contains_any, *self.contains_all)):
            raise ValueError("every answer holds an empty text: leave it out")
        if (self.at is None) == (given[0] == "retrieval"):
            raise ValueError("`retrieval` needs `at`, and nothing else takes it")
        if (self.column is None) == (given[0] == "given"):
            raise ValueError("`given` needs `column`, and nothing else takes it")
        of_given = [
            key for key in ("human", "judge", "least", "largest", "unit") if getattr(self, key) not in (None, "")
        ]
        if of_given and self.given is None and (self.entry_point is None or of_given[0] in ("human", "judge")):
            raise ValueError(f"`{of_given[0]}` is about a `given` score")
        if self.arguments and self.mlflow is None:
            raise ValueError("`arguments` are those of a scorer of `mlflow`")
        if self.judge is not None and (self.least is None or self.largest is None):
            raise ValueError("a `judge` needs the scale of its points: `least` and `largest`")
        if self.least is not None and self.largest is not None and self.least >= self.largest:
            raise ValueError("`least` lies below `largest`")
        return self

    def metric(self, name: str) -> Metric:
        """Return the mean of this score as a metric of that name."""
        lower = self.lower_is_better
        if self.given is not None or self.entry_point is not None:
            bounded = self.largest is not None and self.least is not None
            spread = (self.largest or 0.0) - (self.least or 0.0) if bounded else math.inf
            return row_score(name, self.unit, lower_is_better=lower, range=spread, human=self.human is not None)
        if self.retrieval is not None:
            return row_score(name, self.retrieval, lower_is_better=lower, range=1)
        return row_score(name, "share", lower_is_better=lower, counted=True)
