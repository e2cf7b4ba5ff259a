"""Look up the last releases, for a trend beside the candidate: the judge and the report have no registry.

A record carries the releases before it. So the ledger and one record tell the metrics of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from weighin.contract import Contract
from weighin.errors import EvidenceError, RegistryError
from weighin.model.subject import Release
from weighin.record.metrics import candidate_metrics
from weighin.registry.champion import ChampionRegistry
from weighin.registry.ledger import Entry, Ledger
from weighin.registry.mlflow import Registry
from weighin.resolve.recorded import kept_record
from weighin.untrusted import JsonObject

SHOWN = 5


def recent_releases(contract: Contract) -> tuple[Release, ...]:
    """Return the last changes of champion, the oldest first; none where the ledger cannot be read."""
    try:
        ledger = ChampionRegistry.of(contract.model, Registry()).ledger
        entries = ledger.entries()
    except RegistryError:
        return ()
    known = _known(ledger, entries)
    return tuple(_release(entry, known.get(entry.record)) for entry in entries[-SHOWN:])


def _release(entry: Entry, known: JsonObject | None) -> Release:
    of = known or {"holdout": "", "metrics": {}}
    day = entry.created[:10]
    return Release(entry.number, entry.action, entry.after, day, entry.record, of["holdout"], of["metrics"])


def _known(ledger: Ledger, entries: Sequence[Entry]) -> dict[str, JsonObject]:
    """Return what the newest record that is kept says of itself and of the releases before it, by their records."""
    promoted = [e for e in entries if e.action == "promote" and e.record]
    if not promoted:
        return {}
    try:
        record = kept_record(ledger, promoted[-1])
    except (RegistryError, EvidenceError):
        return {}
    found = {str(one["record"]): one for one in record.get("releases", ()) if one["record"]}
    holdout = str(record["data"].get("holdout", {}).get("sha256", ""))
    return found | {promoted[-1].record: {"holdout": holdout, "metrics": candidate_metrics(record)}}
