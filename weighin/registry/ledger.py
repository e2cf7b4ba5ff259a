"""Who was champion, since when, on what evidence: a chain of entries that only grows, kept in the registry itself.

An entry is one version of a companion registered model, `<model>.ledger`, written in one call: a kill leaves a
whole entry or none. MLflow assigns version numbers atomically, and nothing else here is atomic: so every entry names
the entry that its writer saw as the last (`parent`), and whoever reads replays the numbers in order. An entry counts if
its parent is the last that counted; of two that name the same parent the lower number counts, and the other has lost.
That is a compare-and-swap. The aliases of the model are mirrors of the last entry that counts.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from weighin.errors import PromotionError, RegistryError, without_password
from weighin.record.encode import canonical, digest
from weighin.registry.location import artifact_location
from weighin.registry.mlflow import Registry

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
    who, url   of the process or run that wrote it
    created    ISO 8601, UTC
    evidence   digest of the files that are kept for it: the record, signed or not, approvals, what the policy said
    change     what has changed since the anchor, as the record says it: `check estimate [low, high]; ...`
    number     version of the companion model; 0 before it is written
    mirrored   whether the aliases said once what it says
    begun      tags of those who began to move the aliases to it, and did not say that they were done
    served     what the servers proved: the moment, or why they did not
    """

    action: Action
    before: str
    after: str
    artifact: str
    record: str
    parent: str
    owner: str
    reason: str
    emergency: bool
    who: str
    url: str
    created: str
    evidence: str = ""
    change: str = ""
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
        return {"schema": SCHEMA, **own, "emergency": "yes" if self.emergency else "no"}

    def tags(self) -> dict[str, str]:
        """What is written."""
        return {PREFIX + k: v for k, v in {**self._values(), "sum": self.sum}.items()}

    @property
    def essence(self) -> str:
        """`sha256:<hex>` of all but who wrote it, when, and the files kept for it: the same wish again has the same."""
        own = {k: v for k, v in self._values().items() if k not in ("created", "who", "url", "evidence")}
        return digest(canonical(own))

    @staticmethod
    def of(version: Any) -> Entry:
        """Errors: `KeyError` for a missing tag, `ValueError` for tags that were edited."""
        tags = {k.removeprefix(PREFIX): v for k, v in dict(version.tags).items() if k.startswith(PREFIX)}
        mirrored, served = tags.pop("mirrored", ""), tags.pop("served", "")
        mirroring = {PREFIX + k: tags.pop(k) for k in list(tags) if (PREFIX + k).startswith(MIRRORING)}
        values: dict[str, Any] = {k: v for k, v in tags.items() if k not in ("schema", "sum")}
        entry = Entry(**{**values, "emergency": tags["emergency"] == "yes"})
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

    def __str__(self) -> str:
        """For people who read the registry's own pages; Markdown that says nothing but what the tags say."""
        what = f"**EMERGENCY** {self.action}" if self.emergency else self.action
        lines = [f"{what}: version {self.before or 'none'} to {self.after}, by `{_inert(self.who)}`, {self.created}"]
        lines += [f"record `{self.record}`" if self.record else "no record"]
        lines += [f"{name}: `{_inert(value)}`" for name, value in self._said() if value]
        return "\n\n".join(lines)

    def _said(self) -> list[tuple[str, str]]:
        return [("owner", self.owner), ("reason", self.reason), ("run", self.url), ("since the anchor", self.change)]


class Ledger:
    """The ledger of one model."""

    def __init__(self, registry: Registry, model: str) -> None:
        self._registry = registry
        self.name = f"{model}.ledger"

    def entries(self) -> list[Entry]:
        """All entries that count, in order. Errors: `RegistryError` when one is missing or was changed."""
        return self._replayed(self._all())

    def head(self) -> Entry | None:
        """The last entry that counts."""
        entries = self.entries()
        return entries[-1] if entries else None

    def append(self, wish: Entry, evidence: Path) -> Entry:
        """Write an entry; returns it as it stands, which it may have done already.

        evidence  folder of the files that speak for it; they are kept in a run of their own
        Errors: `PromotionError` when another came first, `RegistryError`.
        """
        written, chain = self._find(wish)
        # Who has lost already need not leave an entry that everybody has to read from then on.
        if written is None and (chain[-1].sum if chain else "") == wish.parent:
            location = artifact_location(self._registry.uri)
            run_id = self._registry.log_run(EXPERIMENT, location, evidence, {"model": self.name, "sum": wish.sum})
            # What arrived twice does no harm: the second names a parent that is no longer the last.
            there = lambda: self._find(wish)[0] is not None  # noqa: E731 - shorter than a function
            self._registry.append(self.name, run_id, wish.tags(), there, str(wish))
            written, chain = self._find(wish)
            if written is None:
                raise RegistryError("the ledger does not show the entry that was written", self.name, "Run it again.")
        if written is None or written.number not in {e.number for e in chain}:
            first = next((e for e in chain if e.parent == wish.parent), None)
            if first is None:
                raise RegistryError("the entry that was the last does not count any more", self.name, TAMPERED)
            raise PromotionError(
                f"another came first: {first.action} to version {first.after} (entry {first.number}, {first.who}, "
                f"{first.created})",
                self.name,
                "Validate again, against the champion of today.",
            )
        return written

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

    def kept(self, entry: Entry, name: str, folder: Path) -> Path:
        """A file that is kept for an entry, copied into `folder`. Errors: `RegistryError`."""
        return self._registry.fetch(entry.run_id, name, folder)

    def _find(self, wish: Entry) -> tuple[Entry | None, list[Entry]]:
        """The entry of a wish, and those that count."""
        every = self._all()
        chain = self._replayed(every)
        counted = {e.number for e in chain}
        same = [e for e in every if e.essence == wish.essence]
        return next((e for e in same if e.number in counted), same[0] if same else None), chain

    def _replayed(self, entries: list[Entry]) -> list[Entry]:
        chain: list[Entry] = []
        for entry in entries:
            if entry.parent == (chain[-1].sum if chain else ""):
                chain.append(entry)
        return chain

    def _all(self) -> list[Entry]:
        where = f"{self.name}, {without_password(self._registry.uri)}"
        found: dict[int, Entry] = {}  # pages that are read while others write repeat an entry
        for version in self._registry.entries(self.name):
            try:
                found[int(version.version)] = Entry.of(version)
            except (KeyError, ValueError, TypeError) as error:
                why = f"no tag {error.args[0]}" if isinstance(error, KeyError) else str(error)
                raise RegistryError(f"entry {version.version} was changed: {why}", where, TAMPERED) from error
        missing = sorted(set(range(1, max(found, default=0))) - set(found))
        if missing:
            raise RegistryError(f"entry {missing[0]} is missing", where, TAMPERED)
        return [found[number] for number in sorted(found)]


def _inert(text: str) -> str:
    return " ".join("".join(c if c.isprintable() and c != "`" else " " for c in text).split())


TAMPERED = "Somebody changed the ledger. Restore the registry's database, or go on under a new model name."
