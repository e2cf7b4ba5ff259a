"""Who was champion, since when, on what evidence: a chain of entries (weighin/registry/chain.py) in a companion model.

The aliases of the model are mirrors of the last entry that counts.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from weighin.canonical import canonical, digest
from weighin.errors import PromotionError
from weighin.registry.chain import Chain, summed
from weighin.registry.companions import companion
from weighin.registry.mlflow import Registry

if TYPE_CHECKING:
    from weighin.registry.listing import Version

SCHEMA = "weighin/ledger/v1"
EXPERIMENT = "weighin-ledger"
PREFIX = "weighin.ledger."
SERVED = PREFIX + "served"
"""Tag of an entry: the moment at which the servers proved that they serve its version, or why they did not."""
ADDED = ("number", "run_id", "mirrored", "begun", "served")
"""What is no part of what was written: given by the registry, or noted afterwards."""
MIRRORED = PREFIX + "mirrored"
"""Tag of an entry whose aliases were moved: from then on, aliases that say otherwise were moved by somebody else."""
MIRRORING = PREFIX + "mirroring."
"""Begin of the tags of those who move the aliases to what an entry says, one tag each: `begun`, then when it was done.

Who was stopped in between may move them late, when a later entry counts. The tag tells that from a hand.
"""
BEGUN = "begun"
IMPORTED = "imported from "
"""Begin of the reason of a promotion whose record was made for another registry or registered model."""
Action = Literal["adopt", "promote", "rollback"]


@dataclass(frozen=True)
class Entry:
    """One change of champion.

    action     `adopt`: the champion that was there when the ledger began; `promote`; `rollback`
    before, after  versions; `before` is empty for the first champion
    artifact   digest of the files of `after`
    record     digest of the decision record that allows it; empty for an adoption or an emergency
    parent     `sum` of the entry that its writer saw as the last; empty for the first
    owner, reason  who answers for it, and why; of a promotion where there is more to say than its record
    emergency  whether a rule was set aside
    actor, url  of the process or run that wrote it
    created    ISO 8601, UTC
    evidence   digest of the files that are kept for it: the record, signed or not, approvals, what the policy said
    change     what has changed since the anchor, as the record says it: `check estimate [low, high]; ...`
    documents  what was written about the record and is kept for it: `name digest; ...`. Entries from before it was
               known have no such tag, so none is written where it is empty
    number     version of the companion model; 0 before it is written
    mirrored   whether the aliases said once what it says
    begun      tags of those who began to move the aliases to it, and did not say that they were done
    served     what the servers proved: the moment, or why they did not
    """

    action: Action
    before: str
    after: str
    artifact: str
    record: str = ""
    parent: str = ""
    owner: str = ""
    reason: str = ""
    emergency: bool = False
    actor: str = ""
    url: str = ""
    created: str = ""
    evidence: str = ""
    change: str = ""
    documents: str = ""
    number: int = 0
    run_id: str = ""
    mirrored: bool = False
    begun: tuple[str, ...] = ()
    served: str = ""

    @property
    def sum(self) -> str:
        """`sha256:<hex>` of what is written, the parent's sum included."""
        return digest(canonical(self._values()))

    def _values(self) -> dict[str, str]:
        own = {k: v for k, v in asdict(self).items() if k not in ADDED}
        if not self.documents:
            del own["documents"]
        return {"schema": SCHEMA, **own, "emergency": "yes" if self.emergency else "no"}

    def tags(self) -> dict[str, str]:
        """Return what is written."""
        return summed(self._values(), PREFIX)

    @property
    def content_hash(self) -> str:
        """`sha256:<hex>` of all but who wrote it, when, and the files kept for it: the same wish again has the same."""
        own = {k: v for k, v in self._values().items() if k not in ("created", "actor", "url", "evidence")}
        return digest(canonical(own))

    @staticmethod
    def of(version: Version) -> Entry:
        """Errors: `KeyError` for a missing tag, `ValueError` for tags that were edited."""
        tags = {k.removeprefix(PREFIX): v for k, v in dict(version.tags).items() if k.startswith(PREFIX)}
        mirrored, served = tags.pop("mirrored", ""), tags.pop("served", "")
        mirroring = {PREFIX + k: tags.pop(k) for k in list(tags) if (PREFIX + k).startswith(MIRRORING)}
        values: dict[str, Any] = {"documents": "", **tags}
        written = {f.name: values[f.name] for f in fields(Entry) if f.name not in ADDED}
        entry = Entry(**{**written, "emergency": tags["emergency"] == "yes"})
        if {PREFIX + k: v for k, v in tags.items()} != entry.tags():
            raise ValueError("its tags do not add up")
        return replace(
            entry,
            number=int(version.version),
            run_id=str(version.run_id or ""),
            mirrored=bool(mirrored),
            begun=tuple(sorted(k for k, v in mirroring.items() if v == BEGUN)),
            served=served,
        )

    @property
    def described(self) -> str:
        """The entry in a sentence: what, to which version, by whom, when, and why."""
        why = f": {_inert(self.reason)}" if self.reason else ""
        return (
            f"entry {self.number}, {self.action} to version {self.after} by {_inert(self.actor)}, {self.created}{why}"
        )

    def __str__(self) -> str:
        """For people who read the registry's own pages; Markdown that says nothing but what the tags say."""
        what = f"**EMERGENCY** {self.action}" if self.emergency else self.action
        lines = [f"{what}: version {self.before or 'none'} to {self.after}, by `{_inert(self.actor)}`, {self.created}"]
        lines += [f"record `{self.record}`" if self.record else "no record"]
        lines += [f"{name}: `{_inert(value)}`" for name, value in self._said() if value]
        return "\n\n".join(lines)

    def _said(self) -> list[tuple[str, str]]:
        return [("owner", self.owner), ("reason", self.reason), ("run", self.url), ("since the anchor", self.change)]


class Ledger(Chain[Entry]):
    """The ledger of one model."""

    def __init__(self, registry: Registry, model: str, name: str = "") -> None:
        """Take the name that the contract gives the ledger, if it does."""
        super().__init__(registry, companion(model, "ledger", registry.store, name), EXPERIMENT, Entry.of)

    def _lost(self, first: Entry) -> PromotionError:
        return PromotionError(
            f"another came first: {first.action} to version {first.after} (entry {first.number}, {first.actor}, "
            f"{first.created})",
            self.name,
            "Validate again, against the champion of today.",
        )

    def begin_mirroring(self, entry: Entry) -> str:
        """Note that the aliases are about to be moved to what an entry says; returns the tag that says so."""
        tag = MIRRORING + uuid.uuid4().hex
        self._registry.tag(self.name, str(entry.number), {tag: BEGUN})
        return tag

    def end_mirroring(self, entry: Entry, tags: Iterable[str], moment: str) -> None:
        """Note that the aliases were moved to it, and that who began so will not move them any more."""
        self._registry.tag(self.name, str(entry.number), {**dict.fromkeys(tags, moment), MIRRORED: moment})

    def mark_served(self, entry: Entry, said: str) -> None:
        """Note what the servers proved."""
        self._registry.tag(self.name, str(entry.number), {SERVED: said})


def _inert(text: str) -> str:
    return " ".join("".join(c if c.isprintable() and c != "`" else " " for c in text).split())
