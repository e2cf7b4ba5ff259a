"""A record moves an alias once: what was promoted, and then replaced or rolled back, is spent.

Otherwise the same job, run again, would undo what people decided since. A record is the same if its evidence is: what
it says of the run in which it was written does not make it another one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from weighin.canonical import read_json
from weighin.errors import EvidenceError, PromotionError, RegistryError
from weighin.registry.champion import ChampionRegistry
from weighin.registry.ledger import Entry
from weighin.untrusted import JsonDict, JsonObject

RECORD = "record.json"
"""The record, among the files that are kept for an entry."""


def demand_unspent(champions: ChampionRegistry, entries: Sequence[Entry], record: JsonObject, digest: str) -> None:
    """Errors: `PromotionError` where the record moved the alias before, and a later entry ended that.

    `RegistryError` where an entry promoted the same files, and the record that was kept for it cannot be read.
    entries  of the ledger, in order
    digest   of the record
    """
    if not entries or entries[-1].record == digest:
        return
    used = [e for e in entries if e.action == "promote" and _is_of(champions, e, record, digest)]
    if not used:
        return
    ended = next((e for e in entries if e.number > used[-1].number), None)
    if ended is None:
        raise PromotionError(
            f"its evidence is that of another record, with which version {used[-1].after} became champion already "
            f"({used[-1].described})",
            champions.model,
            "Nothing is to be moved.",
        )
    raise PromotionError(
        f"this record is spent: it made version {used[-1].after} champion by entry {used[-1].number}, which was ended "
        f"by {ended.described}",
        champions.model,
        "Validate the version again, for a new record. In an emergency: "
        f"weighin rollback --emergency --to {used[-1].after}.",
    )


def _is_of(champions: ChampionRegistry, entry: Entry, record: JsonObject, digest: str) -> bool:
    """Whether an entry was made with this record, or with one of the same evidence."""
    if entry.record == digest:
        return True
    if entry.artifact != record["candidate"]["digest"]:
        return False
    with tempfile.TemporaryDirectory() as scratch:
        try:
            kept = read_json(champions.ledger.kept(entry, RECORD, Path(scratch)), str(record["schema"]))
        except (RegistryError, EvidenceError) as error:
            raise RegistryError(
                f"entry {entry.number} promoted the same files, and its record cannot be read ({error.fact})",
                champions.ledger.name,
                "Restore the files of its run: without them nobody can tell whether this is new evidence.",
            ) from error
    return _evidence(kept) == _evidence(record)


def _evidence(record: JsonObject) -> JsonDict:
    return {name: value for name, value in record.items() if name != "run"}
