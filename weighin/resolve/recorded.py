"""Look up what the champion's own promotion recorded: the judge has no registry."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from weighin.contract import Contract
from weighin.errors import EvidenceError, NotEvaluated, RegistryError
from weighin.model.subject import ModelVersion, Recorded
from weighin.outcome import Measurement
from weighin.record.outcomes import decode_evidence
from weighin.record.verify import verify
from weighin.registry.champion import ChampionRegistry
from weighin.registry.ledger import Entry, Ledger
from weighin.registry.mlflow import Registry
from weighin.registry.spent import RECORD
from weighin.untrusted import JsonObject


def champion_recorded(contract: Contract, champion: ModelVersion | None) -> Recorded | None:
    """Return what is recorded of the metrics in `gates.performance.champion_as_recorded`.

    None where the contract has none, or there is no champion. A record that is not there, or does not hold, is a
    `problem`.
    """
    gate = contract.gates.performance
    if gate is None or not gate.champion_as_recorded or champion is None:
        return None
    metrics = [item.metric for item in gate.champion_as_recorded]
    try:
        return _looked_up(ChampionRegistry.of(contract.model, Registry()).ledger, champion, metrics)
    except (RegistryError, EvidenceError, NotEvaluated) as error:
        return Recorded(problem=str(error))


def _looked_up(ledger: Ledger, champion: ModelVersion, metrics: list[str]) -> Recorded:
    """Errors: `NotEvaluated` without a promotion of these files, `EvidenceError` for a record that does not hold."""
    promoted = [e for e in ledger.entries() if e.action == "promote" and e.record and e.artifact == champion.digest]
    if not promoted:
        raise NotEvaluated(
            f"the champion, {champion}, was never promoted with a record", ledger.name, "The next promotion keeps one."
        )
    entry = promoted[-1]
    record = kept_record(ledger, entry)
    return Recorded(
        entry=f"entry {entry.number}, {entry.created[:10]}",
        record=entry.record,
        contract=str(record["contract"]["digest"]),
        holdout=str(record["data"].get("holdout", {}).get("sha256", "")),
        metrics={metric: known for metric in metrics if (known := _metric(record, metric))},
    )


def kept_record(ledger: Ledger, entry: Entry) -> JsonObject:
    """Return the record that is kept for a promotion.

    Errors: `EvidenceError` for one that does not hold, or is of other files; `RegistryError`.
    """
    place = f"{ledger.name}, entry {entry.number}"
    with tempfile.TemporaryDirectory() as scratch:
        kept = ledger.kept(entry, RECORD, Path(scratch))
        try:
            record = verify(kept, expected=entry.record).record
        except EvidenceError as error:
            raise EvidenceError(f"the record that is kept for it does not hold: {error.fact}", place) from error
    if record["candidate"]["digest"] != entry.artifact:
        raise EvidenceError("the record that is kept for it is of other files", place)
    return record


def _metric(record: JsonObject, metric: str) -> dict[str, float]:
    """Return a metric of the candidate that a record is about; nothing where it holds no usable interval."""
    check = f"performance/{metric}"
    for suite in record["suites"]:
        for outcome in suite["outcomes"]:
            if outcome["check"] == check:
                found = decode_evidence(check, outcome["evidence"])
                if isinstance(found, Measurement) and math.isfinite(found.low) and math.isfinite(found.high):
                    known = {"estimate": found.estimate, "low": found.low, "high": found.high}
                    return {**known, "level": found.level, "n": found.n}
    return {}
