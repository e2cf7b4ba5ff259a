"""What promotion asks for beyond a pass, and how a rollback reaches the servers and is proven."""

from __future__ import annotations

from pydantic import Field, model_validator

from weighin.contract.parts import Name, Part, Positive


class Approver(Part):
    """Somebody whose signed approval counts."""

    name: Name = Field(description="The name under which a policy sees the approval.")
    key: Name = Field(
        description="Public ed25519 key in PEM, relative to the contract: FILE.pub of `weighin keygen FILE`."
    )


class Promotion(Part):
    """What promotion asks for beyond a record that passed."""

    policy: Name | None = Field(
        default=None, description="A Rego policy, relative to the contract, that decides last: `allow` and `deny`."
    )
    approvers: tuple[Approver, ...] = Field(default=(), description="People whose signed approvals the policy sees.")
    image_built_by: Name | None = Field(
        default=None,
        description="The workflow that must have built the image that judged, as "
        "OWNER/REPO/.github/workflows/FILE.yml@REF; its provenance must then have been verified.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Promotion:
        for values, what in (([a.name for a in self.approvers], "name"), ([a.key for a in self.approvers], "key")):
            if len(set(values)) < len(values):
                raise ValueError(f"two approvers share a {what}: one person would count twice")
        if self.approvers and self.policy is None:
            raise ValueError("approvers without a policy would decide nothing: set `policy`")
        return self


class Identity(Part):
    """Where a server says which model it serves."""

    url: str = Field(pattern=r"^https?://[^\s]+$", description="Address of a GET that every replica answers.")
    header: Name | None = Field("weighin-model-digest", description="The header that holds the digest.")
    pointer: str | None = Field(
        None,
        pattern="^(/.*)?$",
        description="JSON pointer (RFC 6901) to the digest in the answer, instead of a header.",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_place(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("pointer") is not None:
            if values.get("header") is not None:
                raise ValueError("`header` and `pointer` are two places: name one")
            return {**values, "header": None}
        return values


class Deploy(Part):
    """How servers are told to load the champion, and how they prove that they did."""

    reload: tuple[str, ...] = Field(
        (),
        description="Command that makes servers load the champion; {model}, {version}, {digest}, {alias} are replaced. "
        "Empty where servers follow the alias by themselves.",
    )
    identity: Identity = Field(description="Where a server says which model it serves.")
    seconds_at_most: Positive = Field(25, description="Longest time until the servers answer with the right digest.")
    answers: int = Field(5, ge=1, description="Right answers in a row that are a proof: more than there are replicas.")
