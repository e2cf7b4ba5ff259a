"""What a drill puts into the gate beyond the faults that every drill has."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from weighin.contract.parts import Dataset, Part, Positive

FaultName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]


class OwnFault(Part):
    """A fault of the team's own.

    `function` names a Python function, `module:name`, importable from the contract's folder:
    `(frame, size, rng) -> frame`. It gets a copy of the dataset as a pandas data frame, the size, and a
    `numpy.random.Generator`, and returns a frame with the same columns.
    """

    function: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] = Field(
        description="`module:name` of a Python function, importable from the folder of the contract."
    )
    dataset: Dataset = Field("holdout", description="The dataset that it changes.")
    size: Positive = Field(1.0, description="The stated size; smaller and larger ones are tried as well.")
    largest: Positive | None = Field(None, description="The largest size that is tried; default four times `size`.")
    unit: str = Field("", description="What a size counts, in words.")
    what: str = Field("", description="What the fault is, in a sentence.")


class Drill(Part):
    """What `weighin drill` does for this contract beyond its catalogue. No gate and no decision reads it."""

    faults: dict[FaultName, OwnFault] = Field(
        default_factory=dict, description="Faults of the team's own, by name; the drill calls them `own-NAME`."
    )
