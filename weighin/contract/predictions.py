"""Predictions in place of a model: what a batch job, another language or a pipeline has answered, by key."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, FiniteFloat, model_validator

from weighin.contract.parts import Count, Name, Part


class Endpoint(Part):
    """A language model that answers at WEIGHIN_CANDIDATE_URL, with WEIGHIN_CANDIDATE_KEY.

    Where a file of predictions is named, `weighin ask candidate` writes it; otherwise each validation puts the rows.
    """

    model: Name = Field(description="Name of the model at the endpoint of WEIGHIN_CANDIDATE_URL.")
    prompt: Name = Field(
        description="What it is asked, with {column} for the value of a feature; or prompts:/NAME/VERSION of MLflow's "
        "prompt registry, with {{column}}."
    )
    system: str = Field("", description="What it is told before.")
    temperature: Annotated[FiniteFloat, Field(ge=0, le=2)] = Field(0.0, description="Of its sampling.")
    tokens_at_most: Count = Field(1024, description="Length of an answer.")


class Predictions(Part):
    """Answers by key, which are judged as a model's are. Rows are found by the columns with `role: key`."""

    predictions: Name | None = Field(
        None,
        description="A file, a folder or a glob, relative to the contract: key columns, and the answers beside them. "
        "It may be left out where an `endpoint` answers.",
    )
    endpoint: Endpoint | None = Field(None, description="Who answers, where a language model does.")
    version: Annotated[str, Field(pattern=r"^[0-9]+$")] | None = Field(
        None,
        description="The registered version that the answers belong to, which a promotion then makes champion. Its "
        "files are not looked at: the record says that predictions were judged.",
    )

    @model_validator(mode="after")
    def _of_something(self) -> Predictions:
        if self.predictions is None and self.endpoint is None:
            raise ValueError("name a file of `predictions`, or the `endpoint` that answers")
        return self

    @property
    def source(self) -> str:
        """Where the answers come from, for people."""
        if self.predictions is not None:
            return self.predictions
        assert self.endpoint is not None
        return f"endpoint: {self.endpoint.model}"
