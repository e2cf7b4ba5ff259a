"""Whether a monitor may roll back, and to which version: never in circles, never over somebody else's change."""

from __future__ import annotations

from collections.abc import Sequence

from weighin.contract.release import Deploy
from weighin.errors import PromotionError
from weighin.monitor.evaluate import Evaluation
from weighin.registry.champion import ChampionRegistry
from weighin.registry.ledger import Entry
from weighin.release.rollback import Rollback, rollback

OWNER = "weighin monitor"


def target(entries: Sequence[Entry], champion: str) -> str:
    """Return the version to go back to from `champion`, or nothing where people have to decide.

    The one that was champion before it was promoted; not one that was itself rolled back from since its own promotion,
    or the monitor would go from one faulty version to another and back. And from a version that came by a rollback
    nowhere: where two in a row fail, it may be the data.
    """
    if entries and entries[-1].action == "rollback":
        return ""
    promoted = [e for e in entries if e.after == champion and e.action == "promote"]
    if not promoted or not promoted[-1].before:
        return ""
    before = promoted[-1].before
    since = [e for e in entries if e.after == before and e.action in ("promote", "adopt")]
    first = since[-1].number if since else 0
    left = [e for e in entries if e.action == "rollback" and e.before == before and e.number > first]
    gated = [e for e in entries if e.after == before and e.record]
    return "" if left or not gated else before


def go_back(champions: ChampionRegistry, found: Evaluation, checks: Sequence[str], spec: Deploy | None) -> Rollback:
    """Roll back because of the checks of a run.

    Of two monitors at once the ledger lets one win; the other finds another champion than it looked at.
    Errors: `PromotionError` when the champion is another by now, or people have to decide; else as `rollback`.
    """
    head, champion = champions.reconcile()
    if champion != found.champion.version or head is None:
        raise PromotionError(
            f"version {champion or 'none'} is champion now, the run was at version {found.champion.version}",
            champions.model,
            "Nothing more is to be done.",
        )
    to = target(champions.ledger.entries(), champion)
    if not to:
        raise PromotionError(
            f"there is no version to go back to from version {champion} that was gated and not itself left",
            champions.model,
            "People have to decide: weighin rollback --to VERSION.",
        )
    reason = f"{', '.join(sorted(checks))} broke their limits"
    return rollback(champions, to, owner=OWNER, reason=reason, spec=spec)
