"""Rollback: back to a version that was gated before it was needed, or, with somebody who answers for it, to another.

Without a version it undoes the last promotion, once: the same command again would otherwise undo the rollback.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from weighin.contract.release import Deploy
from weighin.errors import PromotionError
from weighin.registry.champion import ChampionRegistry
from weighin.registry.ledger import Entry
from weighin.release.deploy import Proof, deploy_and_verify


@dataclass(frozen=True)
class Rollback:
    """From version `before` to `after`.

    entry  what the ledger says of it, or None where nothing was to be done
    proof  what the servers answered, where the contract says how to ask them
    """

    before: str
    after: str
    entry: Entry | None
    proof: Proof | None = None


def rollback(
    champions: ChampionRegistry,
    to: str = "",
    *,
    only_from: str = "",
    owner: str,
    reason: str,
    emergency: bool = False,
    dry_run: bool = False,
    spec: Deploy | None = None,
) -> Rollback:
    """Make an earlier version champion again.

    to         a version; by default the one before the champion of now, where a promotion made that one champion
    only_from  the version that must be champion now; empty for any. Who decided on it may have waited since
    owner, reason  who answers for it, and why
    emergency  also to a version that was never gated, or whose files have changed, and over aliases that somebody moved
               by hand; recorded as such
    spec       how the servers load the champion and prove it
    Errors: `PromotionError` with the sentence that says why not; the registry is then as it was. `DeployError` when the
    registry was changed and the servers do not follow.
    """
    place = champions.model
    if not owner.strip() or not reason.strip():
        raise PromotionError("a rollback needs somebody who answers for it, and why", place, "Give --owner, --reason.")
    champions.demand_promises()
    head, champion = champions.reconcile(restore=emergency and not dry_run, look_only=dry_run)
    if head is None:
        raise PromotionError("nothing was promoted yet, so there is nothing to go back from", place)
    if only_from and champion != only_from:
        raise PromotionError(f"version {champion} is champion now, not version {only_from}", place, "Decide again.")
    target = _target(to, head, place)
    gated, artifact = _gated(champions, target, emergency=emergency)
    if target == champion:
        proof = deploy_and_verify(champions, head, spec) if spec and not dry_run else None
        return Rollback(champion, target, None, proof)
    if dry_run:
        return Rollback(champion, target, None)
    unchanged = bool(gated) and gated[-1].artifact == artifact
    planned = replace(
        champions.planned("rollback", head, champion, target, artifact),
        record=gated[-1].record if unchanged else "",
        owner=owner,
        reason=reason,
        # Only what had to be set aside is: the word stands for a rule that was not kept.
        emergency=not unchanged,
    )
    with tempfile.TemporaryDirectory() as nothing:
        entry = champions.enter(planned, Path(nothing))
    champions.sync_aliases(entry)
    return Rollback(champion, target, entry, deploy_and_verify(champions, entry, spec) if spec else None)


def _gated(champions: ChampionRegistry, target: str, *, emergency: bool) -> tuple[list[Entry], str]:
    """Return the entries that have a record for a version, and the digest of its files as they are.

    Errors: `PromotionError` where it was never gated or has changed since, unless this is an emergency.
    """
    place = champions.model
    gated = [e for e in champions.ledger.entries() if e.after == target and e.record]
    with tempfile.TemporaryDirectory() as scratch:
        artifact = champions.registry.digest(place, target, Path(scratch) / "model")
    if not gated and not emergency:
        raise PromotionError(
            f"version {target} was never gated: no entry of the ledger has a record for it",
            place,
            "Validate and promote it, or use --emergency.",
        )
    if gated and gated[-1].artifact != artifact and not emergency:
        raise PromotionError(
            f"version {target} has other files than when it was gated ({artifact}, gated {gated[-1].artifact})",
            place,
            "Validate and promote it, or use --emergency.",
        )
    return gated, artifact


def _target(to: str, head: Entry, place: str) -> str:
    """Return the version to go to. Errors: `PromotionError` where none was named and the last entry does not say
    which.
    """
    if not to and head.action == "rollback":
        raise PromotionError(
            f"the last entry is a rollback from version {head.before} already ({head.described})",
            place,
            "Name a version with --to.",
        )
    if not to and not head.before:
        raise PromotionError(f"there was no champion before version {head.after}", place, "Name a version with --to.")
    return to or head.before
