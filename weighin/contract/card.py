"""What only people know of a model, for the documents that are written from its record."""

from __future__ import annotations

from pydantic import Field

from weighin.contract.parts import Name, Part


class Card(Part):
    """What only people know of a model. It asks for documents: `weighin contract check` then demands every key.

    No gate reads it, so it changes nothing that is measured. A document says of a key that is absent that it is not
    known.
    """

    purpose: Name | None = Field(
        default=None, description="What the model is for: who decides what with its answers, and about whom."
    )
    owner: Name | None = Field(default=None, description="Who answers for the model: a role or a team.")
    out_of_scope: tuple[Name, ...] = Field(default=(), description="Uses that the model is not made for.")
    contact: Name | None = Field(default=None, description="Where questions about the model go.")
    licence: Name | None = Field(
        default=None,
        description="Licence of the model: an SPDX identifier, such as Apache-2.0, or a name of your own.",
    )

    @property
    def absent(self) -> tuple[str, ...]:
        """The keys that say nothing."""
        return tuple(name for name in type(self).model_fields if not getattr(self, name))
