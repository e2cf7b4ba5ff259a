"""Promotion: the alias moves only to what was judged, only from what it was judged against, and once for a record.

In this order: everything is checked, the policy is asked, the record is signed (here, by whoever holds the key, and
nowhere else), the ledger is written, then tags, metrics and files, and the alias last.

Success means that the ledger's last entry carries the record. An alias that names the candidate already, without such
an entry, was moved by hand and is refused: an entry could not say what the candidate replaced, because nobody knows it.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from weighin.canonical import canonical, read_json, write_json
from weighin.contract.reading import ContractFile
from weighin.data.profile import Profile
from weighin.errors import EvidenceError, PromotionError, WeighinError
from weighin.model.subject import Subject
from weighin.outcome import Measurement, Status
from weighin.record.attestation import ATTESTED, Attestation
from weighin.record.decision import Decision, decision_record, verdict_file
from weighin.record.outcomes import encode_outcome
from weighin.record.provenance import proven
from weighin.record.signature import SIGNED, SIGNER, Signer, Witness, envelope
from weighin.record.suite import Binding
from weighin.record.verify import Verified, verify
from weighin.registry.champion import Titles, who
from weighin.registry.ledger import Entry
from weighin.registry.looks import Looks
from weighin.registry.mlflow import Registry
from weighin.registry.profiles import STORED
from weighin.registry.spent import demand_unspent
from weighin.release.approval import FOLDER, approvals, listed
from weighin.release.policy import demand
from weighin.suites.drift import stored_with_model
from weighin.suites.evidence import Evidence


@dataclass(frozen=True)
class Promotion:
    """What was done: alias `alias` of `model` went from version `before` (empty for none) to `after`.

    entry, ledger_head  number and `sum` of the ledger's entry that says so; 0 and empty for a dry run
    """

    model: str
    alias: str
    before: str
    after: str
    record: str
    already: bool
    signed_by: str = ""
    attested_by: str = ""
    entry: int = 0
    ledger_head: str = ""


PROMOTION = "weighin/promotion/v1"
RECORD = "weighin.record"
"""Tag of a version: digest of the record that it was promoted with."""


def promote(
    contract_file: ContractFile,
    subject: Subject,
    decision: Decision,
    reports: Path,
    registry: Registry,
    *,
    work: Path | None = None,
    dry_run: bool = False,
    by: Signer | None = None,
    attestation: Attestation | None = None,
    image: str = "",
) -> Promotion:
    """Move the champion's alias to the candidate.

    decision  recomputed from the evidence in `reports` by the caller, not read from a file
    work      what was resolved and predicted: the reference's profile is stored with the candidate from there
    by        who signs the record
    attestation  the platform's, of this record; where it is named, nothing is moved without it
    image        the image whose evidence counted
    Errors: `PromotionError` with the sentence that says what does not hold; the registry is then as it was.
    """
    aliases, candidate = contract_file.contract.model.aliases, subject.candidate
    record = checked_record(contract_file, subject, decision, reports, work=work, attestation=attestation, image=image)
    _close_epoch(contract_file, subject, registry, dry_run=dry_run)
    if not candidate.version:
        raise PromotionError(
            "the candidate is no registered version", candidate.source, "Register it and validate that."
        )
    if candidate.name != contract_file.contract.model.name:
        raise PromotionError(
            f"the candidate is no version of `{contract_file.contract.model.name}`",
            str(candidate),
            "Nothing was moved.",
        )
    with tempfile.TemporaryDirectory() as scratch:
        found = registry.digest(candidate.name, candidate.version, Path(scratch) / "model")
    if found != candidate.digest:
        raise PromotionError(
            f"its files are not those that were judged ({found}, judged {candidate.digest})",
            str(candidate),
            "Validate the version again.",
        )
    titles = Titles.of(contract_file.contract.model, registry)
    head, before = titles.settle(look_only=dry_run)
    demand_unspent(titles, titles.ledger.entries(), record.record, record.digest)
    judged_against = subject.champion.version if subject.champion else ""
    stands, unfinished = None, False
    if before == candidate.version:
        # Only this very promotion, which a killed process may not have finished.
        stands = _carries(titles, head, record, judged_against)
        before = stands.before
        unfinished = registry.tags(candidate.name, candidate.version).get(RECORD) != record.digest
    elif before != judged_against:
        raise PromotionError(
            f"`{aliases.champion}` is version {before or 'none'} now, the candidate was compared with "
            f"version {judged_against or 'none'}",
            candidate.name,
            "Validate again, against the champion of today.",
        )
    elif head is not None and subject.champion and subject.champion.digest != head.artifact:
        raise PromotionError(
            f"version {before} has other files than when it became champion ({head.artifact})",
            candidate.name,
            "Somebody changed or re-created it: look into the registry.",
        )
    if head is None:
        titles.demand_no_ledger_before(_first(titles, subject, record))
    files = allowed(contract_file, str(candidate), record, reports)
    signed_by = by.key_id if by else ""
    done = Promotion(
        candidate.name,
        aliases.champion,
        before,
        candidate.version,
        record.digest,
        stands is not None,
        signed_by,
        record.attested_by,
    )
    if dry_run:
        return done
    if attestation:
        if not _same_file(attestation.bundle, reports / ATTESTED):
            shutil.copyfile(attestation.bundle, reports / ATTESTED)
        files[ATTESTED] = (reports / ATTESTED).read_bytes()
    profile = None if stands and not unfinished else _profile(contract_file, subject, work)
    if not stands and candidate.run_id:
        # Whoever may not write to the run is to be told before the ledger says anything.
        registry.tag_run(candidate.run_id, {"weighin.judged": record.digest})
    if stands:
        entry = stands
        if by:
            _sign(reports, record, by, titles, _promoted_by(titles, stands))
    else:
        if head is None and subject.champion is not None:
            # Before the first promotion, the champion that it replaces.
            head = titles.adopt(before, subject.champion.digest)
        planned = _planned(titles, head, subject, record)
        if by:
            _sign(reports, record, by, titles, planned)
            files |= {SIGNED: (reports / SIGNED).read_bytes(), SIGNER: by.public}
        entry = _enter(titles, head, planned, files)
    if unfinished or not stands:
        tags = {
            "validation_status": "passed",
            "weighin.contract": contract_file.digest,
            "weighin.replaces": before or "none",
            "weighin.signed": signed_by or "no",
            "weighin.attested": record.attested_by or "no",
        }
        kept = tuple(name for name, there in ((SIGNED, by), (ATTESTED, attestation)) if there)
        _publish(decision, subject, reports, registry, kept)
        if profile is not None:
            with tempfile.TemporaryDirectory() as scratch:
                profile.write(Path(scratch) / STORED)
                registry.log_files(candidate.run_id, (Path(scratch) / STORED).parent, str(Path(STORED).parent))
        # The record's digest last: whoever finds it there need not do the rest again.
        registry.tag(candidate.name, candidate.version, tags | _suites(decision) | {RECORD: record.digest})
    if not stands:
        titles.mirror(entry)
    done = replace(done, entry=entry.number, ledger_head=entry.sum)
    write_json(reports / "promotion.json", {"schema": PROMOTION, "signed": by is not None, **asdict(done)})
    return done


def read_promotion(path: Path, record: str) -> dict[str, Any]:
    """What `promotion.json` says. Errors: `EvidenceError` for a damaged one, or one of another record."""
    value = read_json(path, PROMOTION)
    names = {field.name for field in fields(Promotion)}
    if set(value) != {"schema", "signed", *names} or value["record"] != record:
        raise EvidenceError("it is about another record, or damaged", str(path), "Take both from one promotion.")
    return value


def allowed(contract_file: ContractFile, place: str, record: Verified, reports: Path) -> dict[str, bytes]:
    """The files that speak for the promotion, by name: the record, approvals, policy and what the policy was shown.

    Errors: `PromotionError` where the image's provenance is demanded and not verified, or the policy denies it.
    """
    demands = contract_file.contract.promotion
    built = record.record.get("provenance") or {}
    if demands.image_built_by is not None and built.get("workflow") != demands.image_built_by:
        who_did = f"is that of {built['workflow']}" if built else "was not verified"
        raise PromotionError(
            f"the provenance of the image that judged ({record.record['image'] or 'none'}) {who_did}, and "
            f"{demands.image_built_by} must have built it",
            place,
            "Judge with such an image: docs/verifying.md.",
        )
    found = approvals(contract_file, reports, record.digest)
    files = {"record.json": (reports / "record.json").read_bytes()}
    for path in sorted((reports / FOLDER).iterdir()) if (reports / FOLDER).is_dir() else ():
        files[f"{FOLDER}/{path.name}"] = path.read_bytes()
    files["approvals.json"] = canonical(listed(found))
    if demands.policy is not None:
        policy = contract_file.folder / demands.policy
        promoter = who(os.environ)
        given = {
            "record": record.record,
            "record_digest": record.digest,
            "approvals": listed(found),
            "promoter": promoter,
        }
        demand(policy, given)
        files |= {"policy.rego": policy.read_bytes(), "policy-promoter.txt": promoter.encode()}
    return files


def _carries(titles: Titles, head: Entry | None, record: Verified, judged_against: str) -> Entry:
    """The last entry, which made the candidate champion, if it carries the record.

    Errors: `PromotionError` where there is none, or it carries another.
    """
    if head is None:
        back = f"Let it name version {judged_against} again" if judged_against else "Delete it"
        raise PromotionError(
            f"`{titles.champion}` names the candidate already, and the ledger has no entry: somebody moved it by hand",
            titles.model,
            f"{back}, as when the candidate was judged, and promote again.",
        )
    if head.record != record.digest:
        raise PromotionError(
            f"version {head.after} is champion already, by {head.described}, which does not carry this record "
            f"({head.record or 'it carries none'})",
            titles.model,
            "Nothing is to be moved: weighin history.",
        )
    return head


def _first(titles: Titles, subject: Subject, record: Verified) -> Entry:
    """The entry with which the ledger is to begin."""
    if subject.champion is not None:
        return titles.adoption(subject.champion.version, subject.champion.digest)
    return _planned(titles, None, subject, record)


def _planned(titles: Titles, head: Entry | None, subject: Subject, record: Verified) -> Entry:
    own, before = subject.candidate, subject.champion.version if subject.champion else ""
    return titles.planned(
        "promote", head, before, own.version, own.digest, record=record.digest, change=since_anchor(record.record)
    )


def _promoted_by(titles: Titles, stands: Entry) -> Entry:
    """The entry that moved the alias with the record of the last, which may be a rollback to its version."""
    promoted = [e for e in titles.ledger.entries() if e.record == stands.record and e.action == "promote"]
    return promoted[-1] if promoted else stands


def _sign(reports: Path, record: Verified, by: Signer, titles: Titles, entry: Entry) -> None:
    write_json(reports / SIGNED, envelope(record.record, by, Witness(titles.ledger.name, entry.parent, entry.essence)))


def _enter(titles: Titles, head: Entry | None, planned: Entry, files: Mapping[str, bytes]) -> Entry:
    """Write the promotion to the ledger. Errors: `PromotionError` when another came first."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in files.items():
            path = Path(scratch) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        return titles.enter(
            "promote",
            head,
            planned.before,
            planned.after,
            planned.artifact,
            Path(scratch),
            record=planned.record,
            change=planned.change,
        )


def since_anchor(record: Mapping[str, Any]) -> str:
    """What has changed since the pinned anchor, one comparison after the other; empty where the contract has none.

    Each promotion compares with the same anchor, so that this is the whole change and not that of one step.
    """
    lines = []
    for outcome in (o for s in record["suites"] for o in s["outcomes"]):
        evidence = outcome["evidence"]
        if outcome["check"].endswith("/vs-anchor") and "estimate" in evidence:
            low, high = (float(evidence[end]) for end in ("low", "high"))
            lines.append(f"{outcome['check']} {float(evidence['estimate']):.4g} [{low:.4g}, {high:.4g}]")
    return "; ".join(lines)


def _suites(decision: Decision) -> dict[str, str]:
    """A tag for each suite, for people who live in MLflow's pages."""
    return {
        f"weighin.suite.{s.suite}": f"{s.status.value}: {len(s.outcomes)} checks, "
        f"{sum(o.status is not Status.PASSED for o in s.outcomes)} warnings"
        for s in decision.suites
    }


def _publish(
    decision: Decision, subject: Subject, reports: Path, registry: Registry, evidence: tuple[str, ...]
) -> None:
    """Log the checks as metrics, and the evidence that MLflow can show, to the run that the candidate came from."""
    run_id = subject.candidate.run_id
    if not run_id:
        return
    measured = [o.evidence for o in decision.outcomes if isinstance(o.evidence, Measurement)]
    metrics: dict[str, float] = {}
    for m in measured:
        # Of the data's checks only those that are not counts of nothing: hundreds of zeros would hide the rest.
        if m.check.startswith("data_quality/") and m.estimate == 0:
            continue
        metrics[f"weighin/{m.check}"] = m.estimate
        if m.kind == "sample":
            metrics |= {f"weighin/{m.check}/low": m.low, f"weighin/{m.check}/high": m.high}
    registry.log_metrics(run_id, {k: v for k, v in metrics.items() if math.isfinite(v)})
    drawn = reports / "performance" / "mlflow"
    if drawn.is_dir():
        registry.log_files(run_id, drawn, "weighin/evaluation")
    if evidence:
        with tempfile.TemporaryDirectory() as scratch:
            for name in evidence:
                shutil.copyfile(reports / name, Path(scratch) / name)
            registry.log_files(run_id, Path(scratch), "weighin")


def _profile(contract_file: ContractFile, subject: Subject, work: Path | None) -> Profile | None:
    """The reference's profile, which is stored with the candidate so that later drift checks need no row of it.

    Errors: `EvidenceError` where drift was judged, and the profile it was judged with is not there.
    """
    if work is None or contract_file.contract.gates.drift is None or not subject.candidate.run_id:
        return None
    evidence = Evidence(contract_file, work)
    try:
        return stored_with_model(evidence)
    except WeighinError:
        # Predictions need not have come along to where a version is promoted; the profile of the data has.
        return evidence.profile("reference")


def _close_epoch(contract_file: ContractFile, subject: Subject, registry: Registry, *, dry_run: bool) -> None:
    """Demand the sealed holdout where the contract has one, and close its epoch: this was its first pass."""
    if contract_file.contract.gates.sealed is None:
        return
    look = subject.sealed
    if look is None:
        raise PromotionError(
            "judged on the development holdout only, and the contract releases on the sealed one",
            str(subject.candidate),
            "Run `weighin validate --sealed`.",
        )
    ledger = Looks(registry, contract_file.contract.model.name)
    held = [h for h in ledger.all(look.epoch) if h.ledger_version == look.ledger_version]
    if not held or held[0].candidate != subject.candidate.digest:
        raise PromotionError(
            f"the registry holds no look {look.look} of epoch {look.epoch} for this candidate",
            str(subject.candidate),
            "Validate with --sealed against this registry.",
        )
    # Before anything else can go wrong: the pass has been seen, whether or not the alias moves.
    if not dry_run:
        ledger.record(held[0], passed=True)


def _same_file(one: Path, other: Path) -> bool:
    return other.exists() and one.samefile(other)


def checked_record(
    contract_file: ContractFile,
    subject: Subject,
    decision: Decision,
    reports: Path,
    *,
    work: Path | None,
    attestation: Attestation | None = None,
    image: str = "",
) -> Verified:
    """The record, after the checks that it holds by itself and says what the evidence says."""
    if decision.status is not Status.PASSED:
        first = decision.sentences[0] if decision.sentences else "no reason was recorded"
        raise PromotionError(f"the verdict is {decision.status.value}: {first}", str(reports), "Nothing was moved.")
    found = verify(reports / "record.json", attestation=attestation)
    record = found.record
    said = (record["verdict"]["status"], record["subject"], record["contract"]["digest"])
    if said != (Status.PASSED.value, subject.digest, contract_file.digest):
        raise PromotionError(
            "the record is about something else than the evidence", str(reports / "record.json"), "Validate again."
        )
    # What was measured, all of it: a record of the same subject with other numbers is another record.
    stored = [o for s in record["suites"] for o in s["outcomes"]]
    if stored != [encode_outcome(o, decision.waivers.get(o.check, "")) for o in decision.outcomes]:
        raise PromotionError(
            "the record has other outcomes than the evidence", str(reports / "record.json"), "Validate again."
        )
    built = proven(work, image) if work else None
    if (record["image"], record.get("provenance")) != (image, built):
        raise PromotionError(
            "the record is of another image than the evidence, or of another provenance",
            str(reports / "record.json"),
            "Validate again.",
        )
    binding = Binding(contract_file.digest, subject.digest, image, str(record.get("attempt")))
    if record != decision_record(decision, contract_file, subject, binding, record.get("run", {}), built):
        raise PromotionError(
            "the record says something else than the evidence", str(reports / "record.json"), "Validate again."
        )
    beside = reports / "verdict.json"
    if beside.exists() and beside.read_bytes() != canonical(verdict_file(record)):
        raise PromotionError("the verdict is not that of the record beside it", str(beside), "Validate again.")
    return found
