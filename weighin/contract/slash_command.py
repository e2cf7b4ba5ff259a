"""Commands in a chat: who may type them, and which workflow a rollback dispatches."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from weighin.contract.parts import Part, Positive


class SlashCommand(Part):
    """`/weighin status`, `history` and `rollback` in Slack, answered by `weighin slack`."""

    allowed: tuple[Annotated[str, Field(pattern=r"^[UW][A-Z0-9]{2,20}$")], ...] = Field(
        min_length=1, description="Slack's ids of the people who may use it; a name can be changed, an id cannot."
    )
    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] = Field(
        description="The repository, OWNER/REPO, whose workflow does the rollback; the token is in "
        "WEIGHIN_GITHUB_TOKEN."
    )
    workflow: Annotated[str, Field(pattern=r"^[\w.-]+\.ya?ml$")] = Field(
        default="rollback.yml", description="File of that workflow; no other is ever dispatched."
    )
    ref: Annotated[str, Field(pattern=r"^[\w./-]+$")] = Field(
        default="main", description="Branch or tag whose workflow runs."
    )
    confirmed_by: Literal["same", "another"] = Field(
        default="same", description="Who confirms a rollback: the person who requested it, or another allowed one."
    )
    confirm_seconds: Positive = Field(default=120, le=3600, description="Time in which a rollback can be confirmed.")
