"""The champion: what the ledger says, and the aliases that mirror it."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from weighin.contract.models import Model
from weighin.errors import PromotionError, RegistryError
from weighin.registry.ledger import Action, Entry, Ledger
from weighin.registry.mlflow import Registry
from weighin.runner.artifact import manifest_digest

ENTRY = "weighin.ledger.entry"
"""Tag of a version that became champion: number of the entry that says so."""
BY, RUN, EMERGENCY = "weighin.by", "weighin.run", "weighin.emergency"
"""Tags of such a version: who wrote that entry, the address of the run that did, and what rule was set aside."""


@dataclass(frozen=True)
class Titles:
    """The champion of one model in one registry, with the names of the aliases that mirror it."""

    registry: Registry
    model: str
    champion: str
    previous: str

    @staticmethod
    def of(model: Model, registry: Registry) -> Titles:
        """Of a contract's model."""
        return Titles(registry, model.name, model.aliases.champion, model.aliases.previous)

    @property
    def ledger(self) -> Ledger:
        """Its ledger."""
        return Ledger(self.registry, self.model)

    def settle(self, *, restore: bool = False, look_only: bool = False) -> tuple[Entry | None, str]:
        """The last entry, and the version that is champion by it (or by the alias, where there is no ledger yet).

        What a killed process left undone is finished, unless this is to `look_only`. Aliases that somebody else moved
        are an error, or with `restore` moved back.
        Errors: `PromotionError` for such an alias; `RegistryError` for a ledger that was changed.
        """
        head = self.ledger.head()
        held = self.registry.aliased(self.model, self.champion) or ""
        self._nothing_is_missing(head)
        if head is None:
            return None, held
        if head.mirrored and held != head.after and not restore:
            raise PromotionError(
                f"`{self.champion}` names version {held or 'none'}, and the ledger says version {head.after} (entry "
                f"{head.number}, {head.action} by {head.who}, {head.created}): somebody moved it by hand",
                self.model,
                "`weighin history --restore` moves it back; `weighin rollback --emergency` goes to another on record.",
            )
        if (not head.mirrored or held != head.after) and not look_only:
            self.mirror(head)
        return head, head.after

    def _nothing_is_missing(self, head: Entry | None) -> None:
        """Errors: `RegistryError` when a version says that it became champion by an entry which is not there."""
        last = head.number if head else 0
        said = [int(t) for v in self.registry.entries(self.model) if (t := dict(v.tags).get(ENTRY, "")).isdigit()]
        if max(said, default=0) > last:
            raise RegistryError(
                f"a version became champion by entry {max(said)}, and the last entry is {last}",
                self.ledger.name,
                "Somebody deleted it. Restore the registry's database, or go on under a new model name.",
            )

    def mirror(self, entry: Entry) -> None:
        """Let tags and aliases say what an entry says."""
        self.registry.tag(self.model, entry.after, self._said(entry))
        if entry.before and entry.before != entry.after:
            self.registry.move_alias(self.model, self.previous, entry.before)
        self.registry.move_alias(self.model, self.champion, entry.after)
        self.ledger.mark_mirrored(entry, _now())

    def _said(self, entry: Entry) -> dict[str, str]:
        emergency = f"{entry.owner}: {entry.reason}" if entry.emergency else "no"
        return {ENTRY: str(entry.number), BY: entry.who, RUN: entry.url or "none", EMERGENCY: emergency}

    def enter(
        self,
        action: Action,
        head: Entry | None,
        before: str,
        after: str,
        artifact: str,
        evidence: Path,
        *,
        record: str = "",
        owner: str = "",
        reason: str = "",
        emergency: bool = False,
        change: str = "",
        environment: Mapping[str, str] = os.environ,
    ) -> Entry:
        """Write an entry after `head`. Errors: `PromotionError` when another came first.

        evidence  folder of the files that speak for it
        """
        wish = Entry(
            action,
            before,
            after,
            artifact,
            record,
            head.sum if head else "",
            owner,
            reason,
            emergency,
            who(environment),
            environment.get("WEIGHIN_RUN_URL", ""),
            _now(),
            manifest_digest(evidence),
            change,
        )
        return self.ledger.append(wish, evidence)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def who(environment: Mapping[str, str]) -> str:
    """The person or account that runs this; what the platform says of it, where there is one."""
    actor = environment.get("GITHUB_ACTOR") or environment.get("WEIGHIN_ACTOR")
    if actor:
        return actor
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return f"uid {os.getuid()}@{socket.gethostname()}"
