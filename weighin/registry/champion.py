"""The champion: what the ledger says, and the aliases that mirror it."""

from __future__ import annotations

import getpass
import logging
import os
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import SequenceMatcher
from pathlib import Path

from weighin.contract.models import Model
from weighin.errors import PromotionError, RegistryError
from weighin.registry.ledger import Action, Entry, Ledger
from weighin.registry.mlflow import Registry
from weighin.registry.promises import demand_promises
from weighin.runner.artifact import manifest_digest

ENTRY = "weighin.ledger.entry"
"""Tag of a version that became champion: number of the entry that says so."""
HEAD = "weighin.ledger.head"
"""Tag of such a version: `sum` of that entry. Whoever rewrites the entry has to rewrite the model's tag as well."""
CLAIM = "weighin.ledger.claim."
"""Begin of the tags of a version that is to become champion, each followed by the essence of the entry to say so.

It is written before the entry: who may write the ledger, and not the model, makes nobody champion. The value says when,
and names the ledger, since MLflow's copy of a version to another model takes its tags along.
"""
MODEL = "weighin.ledger.model"
"""Tag of such a version: name of the model. A version whose claims name another ledger is a copy from another model, or
the contract names another ledger than before: this tells which."""
ADOPTED = "champion when the ledger began"
"""Reason of the entry for a champion that nobody promoted through the ledger."""
STAGES = ("Staging", "Production", "Archived")
"""MLflow's stages of a version that somebody has released, or meant to."""
ALIKE = 0.75
"""From here on a name is taken for a misspelling: one letter in four, by `SequenceMatcher.ratio`."""
ROUNDS = 10
"""How often aliases are moved again because another entry was written meanwhile; the next command does the rest."""
_LOG = logging.getLogger(__name__)
BY, RUN, EMERGENCY = "weighin.by", "weighin.run", "weighin.emergency"
"""Tags of such a version: who wrote that entry, the address of the run that did, and what rule was set aside."""


@dataclass(frozen=True)
class ChampionRegistry:
    """The champion of one model in one registry, with the names of the aliases that mirror it.

    challenger  the alias of what is to be judged, which no champion has
    ledger_name  of the ledger, where the contract says it
    """

    registry: Registry
    model: str
    champion: str
    previous: str
    challenger: str = "challenger"
    ledger_name: str = ""

    @staticmethod
    def of(model: Model, registry: Registry) -> ChampionRegistry:
        """Of a contract's model."""
        named = model.aliases
        return ChampionRegistry(
            registry, model.name, named.champion, named.previous, named.challenger, model.ledger.name or ""
        )

    @property
    def ledger(self) -> Ledger:
        """Its ledger."""
        return Ledger(self.registry, self.model, self.ledger_name)

    def demand_promises(self) -> None:
        """Demand that the registry can hold what a change of champion leaves; nothing is written.

        Errors: `PromotionError` that says what could not be promised.
        """
        demand_promises(self.registry, self.model, self.champion, self.ledger_name)

    def reconcile(self, *, restore: bool = False, look_only: bool = False) -> tuple[Entry | None, str]:
        """Return the last entry, and the version that is champion by it (or by the alias, where there is no ledger
        yet).

        What a killed or stopped process left undone, or did too late, is put right, unless this is to `look_only`.
        Aliases that somebody else moved are an error, or with `restore` moved back.
        Errors: `PromotionError` for such an alias; `RegistryError` for a ledger that was changed, or a champion that is
        not the version that the ledger means.
        """
        entries = self.ledger.entries()
        head = entries[-1] if entries else None
        versions = {str(v.version): dict(v.tags) for v in self.registry.entries(self.model)}
        self._nothing_is_missing(head, versions)
        if head is None:
            return None, self.registry.aliased(self.model, self.champion) or ""
        late = [e for e in entries[:-1] if e.begun]
        self._is_the_one_meant(head, versions, late)
        wrong = self._wrong_aliases(head)
        if wrong and head.mirrored and not restore and not self._said_by(late, wrong):
            alias, held, said = wrong[0]
            raise PromotionError(
                f"`{alias}` names version {held or 'none'}, and the ledger says version {said} (entry "
                f"{head.number}, {head.action} by {head.actor}, {head.created}): somebody moved it by hand",
                self.model,
                "`weighin history --restore` moves it back; `weighin rollback --emergency` goes to another on record.",
            )
        if look_only:
            return head, head.after
        if wrong or not head.mirrored or versions[head.after].get(ENTRY) != str(head.number):
            for alias, held, said in wrong if head.mirrored else ():
                _LOG.warning("`%s` of %s named version %s, moved back to version %s", alias, self.model, held, said)
            self.sync_aliases(head)
            for entry in late:
                self.ledger.end_mirroring(entry, entry.begun, _now())
        return head, head.after

    def _wrong_aliases(self, head: Entry) -> list[tuple[str, str, str]]:
        """Aliases that do not say what an entry says: alias, version that it names, version that it should name."""
        wanted = {self.champion: head.after}
        if head.before and head.before != head.after:
            wanted[self.previous] = head.before
        held = self.registry.aliases(self.model)
        return [(a, held.get(a, ""), v) for a, v in wanted.items() if held.get(a, "") != v]

    def _said_by(self, late: Sequence[Entry], wrong: Sequence[tuple[str, str, str]]) -> bool:
        """Whether it is all said by earlier entries, whose process may have been stopped while it moved aliases."""
        said = {(self.champion, e.after) for e in late} | {(self.previous, e.before) for e in late}
        return all((alias, held) in said for alias, held, _ in wrong)

    def _nothing_is_missing(self, head: Entry | None, versions: Mapping[str, Mapping[str, str]]) -> None:
        """Errors: `RegistryError` when a version says that it became champion by an entry which is not there."""
        self._demand_same_ledger(versions)
        last = head.number if head else 0
        own = [tags for tags in versions.values() if self._own(tags)]
        said = [int(t) for tags in own if (t := tags.get(ENTRY, "")).isdigit()]
        if max(said, default=0) > last:
            raise RegistryError(
                f"a version became champion by entry {max(said)}, and the last entry is {last}",
                self.ledger.name,
                "Somebody deleted it. Restore the registry's database, or go on under a new model name.",
            )

    def _demand_same_ledger(self, versions: Mapping[str, Mapping[str, str]]) -> None:
        """Errors: `RegistryError` when a version of this model became champion by a ledger of another name."""
        for version, tags in versions.items():
            if tags.get(MODEL) == self.model and ENTRY in tags and not self._own(tags):
                others = sorted({value.partition(" ")[2] for tag, value in tags.items() if tag.startswith(CLAIM)})
                raise RegistryError(
                    f"version {version} became champion by the ledger `{others[0]}`, and this is `{self.ledger.name}`",
                    self.model,
                    f"Write `ledger: {{name: {others[0]}}}` under `model` in the contract.",
                )

    def _is_the_one_meant(self, head: Entry, versions: Mapping[str, Mapping[str, str]], late: Sequence[Entry]) -> None:
        """Errors: `RegistryError` when the champion by the ledger is gone, or does not carry the number of its entry.

        Of an entry whose number it does not carry yet, the claim.
        late  entries whose process may have been stopped while it wrote that number
        """
        place = f"{self.model} version {head.after}, champion by entry {head.number} of {self.ledger.name}"
        if head.after not in versions:
            remedy = "Somebody deleted it. Restore the registry's database, or go on under a new model name."
            raise RegistryError("it is not there", place, remedy)
        if not head.mirrored and claim_tag(head) not in versions[head.after]:
            raise RegistryError(
                f"the version does not claim that, so {head.actor}, who wrote the entry, may not change the model",
                place,
                "Let nobody but who promotes write the ledger (docs/how-to/access.md). Restore the registry's "
                "database, or go on under a new model name.",
            )
        said = versions[head.after].get(ENTRY, "")
        if head.mirrored and said not in {str(e.number) for e in (head, *late)}:
            raise RegistryError(
                f"its tag {ENTRY} says {said or 'nothing'}: it was registered again, or the tag was changed",
                place,
                "Look at its files. If they are those of the entry, set the tag to its number; otherwise restore the "
                "registry's database, or go on under a new model name.",
            )
        kept = versions[head.after].get(HEAD, "")
        if head.mirrored and kept not in {e.sum for e in (head, *late)}:
            raise RegistryError(
                f"its tag {HEAD} says {kept or 'nothing'}, the entry's sum is {head.sum}: one of them was rewritten",
                place,
                "Compare with a record that was kept elsewhere: weighin history --witness FILE.",
            )

    def sync_aliases(self, entry: Entry) -> None:
        """Let tags and aliases say what an entry says; where another was written meanwhile, what that one says."""
        begun: list[tuple[Entry, str]] = []
        for _ in range(ROUNDS):
            begun.append((entry, self.ledger.begin_mirroring(entry)))
            self.registry.tag(self.model, entry.after, self._said(entry))
            if entry.before and entry.before != entry.after:
                self.registry.move_alias(self.model, self.previous, entry.before)
            self.registry.move_alias(self.model, self.champion, entry.after)
            head = self.ledger.head()
            if head is None or head.number == entry.number:
                break
            entry = head
        else:
            return
        # Only now: who was stopped before one of these calls moves aliases late, and is known by what it began.
        for of, tag in reversed(begun):
            self.ledger.end_mirroring(of, [tag], _now())

    def _said(self, entry: Entry) -> dict[str, str]:
        emergency = f"{entry.owner}: {entry.reason}" if entry.emergency else "no"
        return {
            ENTRY: str(entry.number),
            HEAD: entry.sum,
            BY: entry.actor,
            RUN: entry.url or "none",
            EMERGENCY: emergency,
        }

    def planned(
        self,
        action: Action,
        head: Entry | None,
        before: str,
        after: str,
        artifact: str,
        environment: Mapping[str, str] = os.environ,
    ) -> Entry:
        """Return the entry after `head`, by whoever runs this, now. Its other fields are set with `replace`."""
        parent, url = head.sum if head else "", environment.get("WEIGHIN_RUN_URL", "")
        return Entry(
            action, before, after, artifact, parent=parent, actor=actor(environment), url=url, created=_now()
        )  # fmt: skip

    def enter(self, entry: Entry, evidence: Path) -> Entry:
        """Write an entry, which `planned` made, to the ledger.

        evidence  folder of the files that speak for it
        Errors: `PromotionError` when another came first; `RegistryError`, before anything else is written, where the
        model may not be changed, or something says that this is not the first entry.
        """
        entry = replace(entry, evidence=manifest_digest(evidence))
        if not entry.parent:
            self.demand_no_ledger_before(entry)
        held = self.registry.tags(self.model, entry.after)
        if not self._own(held):
            self.registry.untag(self.model, entry.after, [tag for tag in (ENTRY, HEAD) if tag in held])
        claim = {MODEL: self.model, claim_tag(entry): f"{entry.created} {self.ledger.name}"}
        self.registry.tag(self.model, entry.after, claim)
        return self.ledger.append(entry, evidence)

    def adoption(self, version: str, artifact: str) -> Entry:
        """Return the entry with which a ledger begins where there was a champion before it."""
        return replace(self.planned("adopt", None, "", version, artifact), reason=ADOPTED)

    def adopt(self, version: str, artifact: str) -> Entry:
        """Begin the ledger with the champion that was there before it. Errors: as `enter`."""
        with tempfile.TemporaryDirectory() as nothing:
            return self.enter(self.adoption(version, artifact), Path(nothing))

    def demand_first_release(self) -> None:
        """Demand that no version is, or was, champion: an alias that is not found says little.

        Errors: `RegistryError` where the ledger has entries, and as `demand_no_ledger_before`.
        """
        head = self.ledger.head()
        if head is not None:
            raise RegistryError(
                f"no alias `{self.champion}`, and the ledger says version {head.after} ({head.described})",
                self.model,
                "Somebody deleted the alias: `weighin history --restore` sets it again.",
            )
        self.demand_no_ledger_before()

    def demand_no_ledger_before(self, first: Entry | None = None) -> None:
        """Demand that an empty ledger was always empty: "not found" is not "never was".

        first  the entry that is to begin the ledger; its claim, which a killed process left, is no sign of another
        Errors: `RegistryError` where a version says that it became champion, or is to become it by another entry, and
        where there is no champion but an alias of almost the same name, that of a version before, or a stage.
        """
        own = claim_tag(first) if first else ""
        versions = self.registry.entries(self.model)
        self._demand_same_ledger({version.version: version.tags for version in versions})
        marked = [
            (str(version.version), tag)
            for version in versions
            if self._own(version.tags)
            for tag in dict(version.tags)
            if tag in (ENTRY, HEAD) or (tag.startswith(CLAIM) and tag != own)
        ]
        if marked and not self.ledger.entries():
            version, tag = marked[0]
            raise RegistryError(
                f"the ledger is empty, and version {version} carries the tag {tag}: an entry was there, or was begun",
                self.ledger.name,
                "Run again what was interrupted, or restore the registry's database.",
            )
        if first is None or not (first.before or first.action == "adopt"):
            self._demand_nothing_released()

    def _own(self, tags: Mapping[str, str]) -> bool:
        """Whether a version's tags are about this model: those of a copy name the ledger that it was promoted by."""
        claims = [value.partition(" ")[2] for tag, value in dict(tags).items() if tag.startswith(CLAIM)]
        return not claims or any(name in ("", self.ledger.name) for name in claims)

    def _demand_nothing_released(self) -> None:
        """Errors: `RegistryError` where `champion` does not exist, and something else says that a version was released:
        an alias that is spelt otherwise or names the version before, or one of MLflow's stages.
        """
        held = self.registry.aliases(self.model)
        if self.champion in held:
            return
        alike = [a for a in sorted(held) if a != self.challenger and (a == self.previous or _alike(a, self.champion))]
        if alike:
            listed = ", ".join(f"`{alias}` (version {held[alias]})" for alias in sorted(held))
            meant = sorted(alike, key=lambda alias: alias == self.previous)[0]
            said = f"`{meant}` names an earlier champion." if meant == self.previous else f"did you mean `{meant}`?"
            raise RegistryError(
                f"no alias `{self.champion}`; {said} The aliases are {listed}",
                self.model,
                "Name it in `model.aliases.champion`, or rename it: with one of that name this is no first release.",
            )
        staged = [v for v in self.registry.entries(self.model) if v.current_stage in STAGES]
        if staged:
            listed = ", ".join(f"version {v.version} ({v.current_stage})" for v in staged[:5])
            raise RegistryError(
                f"no alias `{self.champion}`, and MLflow's stages say that versions were released: {listed}",
                self.model,
                f"Let `{self.champion}` name the version that serves. Where none does, set their stage to None.",
            )


def claim_tag(entry: Entry) -> str:
    """Return the tag with which a version claims that it is to become champion by an entry."""
    return CLAIM + entry.content_hash.removeprefix("sha256:")


def _alike(alias: str, name: str) -> bool:
    """Whether two aliases differ by case, signs or spelling.

    >>> [_alike(alias, "champion") for alias in ("Champ-ion", "chmapion", "champ", "challenger", "baseline")]
    [True, True, True, False, False]
    """
    return SequenceMatcher(None, _letters(alias), _letters(name)).ratio() >= ALIKE


def _letters(alias: str) -> str:
    return "".join(c for c in alias.casefold() if c.isalnum())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def actor(environment: Mapping[str, str]) -> str:
    """Return the person or account that runs this; what the platform says of it, where there is one."""
    actor = environment.get("GITHUB_ACTOR") or environment.get("WEIGHIN_ACTOR")
    if actor:
        return actor
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return f"uid {os.getuid()}@{socket.gethostname()}"
