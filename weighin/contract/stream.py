"""Concept drift on the stream: which detector is fed with what. Parameters have the names and defaults of river."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from weighin.contract.parts import Count, Name, Part, Positive


class _Fed(Part):
    """What a detector is fed with, and what is done about a change that it finds.

    Never a rollback: a detector has no interval and no limit, and its false alarms have no stated rate.
    """

    of: Name = Field(
        description="`error` of rows whose labels have come (1 for a wrong decision, else 0; of a regression the "
        "absolute error), `prediction`, or a feature that is a number."
    )
    scale: Positive | None = Field(
        None,
        description="Divisor of what is fed. Detectors are made for values between 0 and 1: a feature and a regression "
        "need it, about the width of the range of the values.",
    )
    rows: Count = Field(default=20_000, description="Largest number of rows that are fed, the newest ones.")
    action: Literal["nothing", "alert", "retrain"] = Field("alert", description="What is done about a change.")


class PageHinkley(_Fed):
    """The cumulated distance from the mean so far, less `delta` for each row, grew by `threshold` (Page 1954)."""

    detector: Literal["page_hinkley"] = Field(description="This detector.")
    min_instances: Count = Field(default=30, description="Rows before which no change is found.")
    delta: float = Field(default=0.005, ge=0, description="Distance from the mean that is tolerated in each row.")
    threshold: Positive = Field(
        default=50.0,
        description="Sum of distances at which a change is found; larger: fewer false alarms, later detection.",
    )
    alpha: float = Field(default=1 - 0.0001, gt=0, le=1, description="Factor by which the sum is reduced at each row.")
    mode: Literal["up", "down", "both"] = Field(
        default="both", description="Direction of the changes of the mean that are found."
    )


class Adwin(_Fed):
    """Two parts of a window that adapts itself have different means (Bifet and Gavalda 2007)."""

    detector: Literal["adwin"] = Field(description="This detector.")
    delta: float = Field(default=0.002, gt=0, lt=1, description="Significance level; smaller: fewer false alarms.")
    clock: Count = Field(default=32, description="The detector tests for a change at every n-th row.")
    max_buckets: Count = Field(5, description="Buckets of one size before two are merged.")
    min_window_length: Count = Field(default=5, description="Least number of rows of the smaller part.")
    grace_period: Count = Field(default=10, description="Rows before which no change is found.")


def _distinct(streams: tuple[Stream, ...]) -> tuple[Stream, ...]:
    named = [(s.detector, s.of) for s in streams]
    twice = sorted({f"{detector} of {of}" for detector, of in named if named.count((detector, of)) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands here twice: keep one of each")
    return streams


Stream = Annotated[PageHinkley | Adwin, Field(discriminator="detector")]
Streams = Annotated[tuple[Stream, ...], AfterValidator(_distinct)]
PARAMETERS = {
    kind: tuple(name for name in kind.model_fields if name not in (*_Fed.model_fields, "detector"))
    for kind in (PageHinkley, Adwin)
}
"""Names of a detector's own parameters."""
