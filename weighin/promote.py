"""Promotion, first form: the alias moves only to what was judged, and only from what it was judged against.

Unsigned: who promoted is what the registry's tags say, and no more. See docs/decisions for what is still to come.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weighin.contract.reading import ContractFile
from weighin.errors import PromotionError
from weighin.outcome import Status
from weighin.record.decision import SCHEMA, Decision
from weighin.record.encode import canonical, digest, read_json, write_json
from weighin.registry.mlflow import Registry
from weighin.subject import Subject


@dataclass(frozen=True)
class Promotion:
    """What was done: alias `alias` of `model` went from version `before` (empty for none) to `after`."""

    model: str
    alias: str
    before: str
    after: str
    record: str
    already: bool


def promote(
    contract_file: ContractFile,
    subject: Subject,
    decision: Decision,
    reports: Path,
    registry: Registry,
    *,
    dry_run: bool = False,
) -> Promotion:
    """Move the champion's alias to the candidate.

    decision  recomputed from the evidence in `reports` by the caller, not read from a file
    Errors: `PromotionError` with the sentence that says what does not hold; the registry is then as it was.
    """
    aliases, candidate = contract_file.contract.model.aliases, subject.candidate
    record = _record(contract_file, subject, decision, reports)
    if not candidate.version:
        raise PromotionError(
            "the candidate is no registered version", candidate.source, "Register it and validate that."
        )
    with tempfile.TemporaryDirectory() as scratch:
        found = registry.digest(candidate.name, candidate.version, Path(scratch) / "model")
    if found != candidate.digest:
        raise PromotionError(
            f"its files are not those that were judged ({found}, judged {candidate.digest})",
            str(candidate),
            "Validate the version again.",
        )
    before = registry.aliased(candidate.name, aliases.champion) or ""
    judged_against = subject.champion.version if subject.champion else ""
    already = before == candidate.version
    if not already and before != judged_against:
        raise PromotionError(
            f"`{aliases.champion}` is version {before or 'none'} now, the candidate was compared with "
            f"version {judged_against or 'none'}",
            candidate.name,
            "Validate again, against the champion of today.",
        )
    done = Promotion(candidate.name, aliases.champion, before, candidate.version, record, already)
    if dry_run:
        return done
    if not already:
        tags = {
            "validation_status": "passed",
            "weighin.record": record,
            "weighin.contract": contract_file.digest,
            "weighin.replaces": before or "none",
            "weighin.signed": "no",
        }
        registry.tag(candidate.name, candidate.version, tags)
        if before:
            registry.move_alias(candidate.name, aliases.previous, before)
        registry.move_alias(candidate.name, aliases.champion, candidate.version)
    write_json(reports / "promotion.json", {"schema": "weighin/promotion/v1", "signed": False, **done.__dict__})
    return done


def _record(contract_file: ContractFile, subject: Subject, decision: Decision, reports: Path) -> str:
    """The digest of the record, after the check that it says what the evidence says."""
    if decision.status is not Status.PASSED:
        first = decision.sentences[0] if decision.sentences else "no reason was recorded"
        raise PromotionError(f"the verdict is {decision.status.value}: {first}", str(reports), "Nothing was moved.")
    record: dict[str, Any] = read_json(reports / "record.json", SCHEMA)
    said = (record["verdict"]["status"], record["subject"], record["contract"]["digest"])
    if said != (Status.PASSED.value, subject.digest, contract_file.digest):
        raise PromotionError(
            "the record is about something else than the evidence", str(reports / "record.json"), "Validate again."
        )
    return digest(canonical(record))
