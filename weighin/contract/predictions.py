"""Predictions in place of a model: what a batch job, another language or a pipeline has answered, by key."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from weighin.contract.parts import Name, Part


class Predictions(Part):
    """Answers by key, which are judged as a model's are. Rows are found by the columns with `role: key`."""

    predictions: Name = Field(
        description="A file, a folder or a glob, relative to the contract: key columns, and the answers beside them."
    )
    version: Annotated[str, Field(pattern=r"^[0-9]+$")] | None = Field(
        None,
        description="The registered version that the answers belong to, which a promotion then makes champion. Its "
        "files are not looked at: the record says that predictions were judged.",
    )
