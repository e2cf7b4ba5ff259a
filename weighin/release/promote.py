"""Promotion: the alias moves only to what was judged, only from what it was judged against, and once for a record.

`promote` reads as the list in docs/how-to/releasing.md: preconditions, policy, signature (here, by whoever holds the
key, and nowhere else), ledger, evidence, tags, and the alias last.

Success means that the ledger's last entry carries the record. An alias that names the candidate already, without such
an entry, was moved by hand and is refused: an entry could not say what the candidate replaced, because nobody knows it.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from weighin.canonical import canonical, read_json, write_json
from weighin.contract.reading import ContractFile
from weighin.data.profile import Profile
from weighin.errors import EvidenceError, PromotionError, WeighinError
from weighin.model.subject import Subject
from weighin.outcome import Measurement, Status
from weighin.record.attestation import ATTESTED, Attestation
from weighin.record.decision import Decision, decision_record, verdict_file
from weighin.record.documents import listing, named, read_documents
from weighin.record.outcomes import encode_outcome
from weighin.record.provenance import proven
from weighin.record.signature import SIGNED, SIGNER, Signer, Witness, envelope
from weighin.record.suite import Binding
from weighin.record.verify import Verified, verify
from weighin.registry.champion import ChampionRegistry, actor
from weighin.registry.holdout_uses import HoldoutUses
from weighin.registry.ledger import Entry
from weighin.registry.mlflow import Registry
from weighin.registry.profiles import BESIDE, STORED
from weighin.registry.spent import demand_unspent
from weighin.release.approval import FOLDER, approvals, listed
from weighin.release.policy import demand
from weighin.suites.drift import stored_with_model
from weighin.suites.evidence import Evidence
from weighin.untrusted import JsonDict, JsonObject


@dataclass(frozen=True)
class Promotion:
    """What was done: alias `alias` of `model` went from version `before` (empty for none) to `after`.

    entry, ledger_head  number and `sum` of the ledger's entry that says so; 0 and empty for a dry run
    documents    name -> digest of the documents that are kept with the entry
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
    documents: Mapping[str, str] = field(default_factory=dict)


PROMOTION = "weighin/promotion/v1"
RECORD = "weighin.record"
"""Tag of a version: digest of the record that it was promoted with."""


@dataclass(frozen=True)
class Plan:
    """A promotion that is checked, and what became of it so far.

    before      the champion that the candidate replaces; empty for none
    head        the last entry of the ledger
    stands      the entry that made the candidate champion with this record already: then nothing is moved
    unfinished  whether the process that wrote `stands` was ended before it said so everywhere
    files       that are kept for the entry, by name
    profile     of the reference data, which is stored with the candidate
    entry       the entry that is to be written, and from `write_ledger` on the one that was
    """

    file: ContractFile
    subject: Subject
    decision: Decision
    reports: Path
    work: Path | None
    champions: ChampionRegistry
    record: Verified
    before: str
    head: Entry | None
    stands: Entry | None
    unfinished: bool
    by: Signer | None
    attestation: Attestation | None
    files: Mapping[str, bytes] = field(default_factory=dict)
    profile: Profile | None = None
    entry: Entry | None = None

    @property
    def registry(self) -> Registry:
        return self.champions.registry

    @property
    def says(self) -> bool:
        """Whether tags, metrics and files are still to be written."""
        return self.unfinished or self.stands is None

    @property
    def done(self) -> Promotion:
        """Return the promotion as it is told."""
        entry = self.stands or self.entry
        written = entry is not None and entry.number > 0
        return Promotion(
            self.subject.candidate.name,
            self.champions.champion,
            self.before,
            self.subject.candidate.version,
            self.record.digest,
            self.stands is not None,
            self.by.key_id if self.by else "",
            self.record.attested_by,
            entry.number if entry and written else 0,
            entry.sum if entry and written else "",
            named(entry.documents) if entry else {},
        )


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
    champions = ChampionRegistry.of(contract_file.contract.model, registry)
    champions.demand_promises()
    record = checked_record(contract_file, subject, decision, reports, work=work, attestation=attestation, image=image)
    before, head, stands = check_preconditions(contract_file, subject, champions, record, dry_run=dry_run)
    unfinished = stands is not None and _record_tag(champions, subject) != record.digest
    plan = Plan(
        contract_file, subject, decision, reports, work, champions, record, before, head, stands, unfinished, by,
        attestation,
    )  # fmt: skip
    plan = ask_policy(plan)
    if dry_run:
        return replace(plan.done, entry=0, ledger_head="")
    plan = begin_ledger(plan)
    plan = sign_record(plan)
    plan = write_ledger(plan)
    log_evidence(plan)
    set_tags(plan)
    return move_alias(plan)


def check_preconditions(
    contract_file: ContractFile, subject: Subject, champions: ChampionRegistry, record: Verified, *, dry_run: bool
) -> tuple[str, Entry | None, Entry | None]:
    """Check the candidate's files, the ledger and the champion that it was compared with.

    Returns the version that the candidate replaces, the last entry of the ledger, and the entry that made the candidate
    champion with this record already, if there is one.
    Errors: `PromotionError`, `RegistryError`.
    """
    candidate, registry = subject.candidate, champions.registry
    _close_epoch(contract_file, subject, registry, dry_run=dry_run)
    _demand_judged_files(contract_file, subject, registry)
    head, before = champions.reconcile(look_only=dry_run)
    demand_unspent(champions, champions.ledger.entries(), record.record, record.digest)
    judged_against = subject.champion.version if subject.champion else ""
    stands = None
    if before == candidate.version:
        # Only this very promotion, which a killed process may not have finished.
        stands = _carries(champions, head, record, judged_against)
        before = stands.before
    elif before != judged_against:
        raise PromotionError(
            f"`{champions.champion}` is version {before or 'none'} now, the candidate was compared with "
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
        champions.demand_no_ledger_before(_first(champions, subject, record))
    return before, head, stands


def _demand_judged_files(contract_file: ContractFile, subject: Subject, registry: Registry) -> None:
    """Errors: `PromotionError` where the candidate is no version of the contract's model with the judged files."""
    candidate = subject.candidate
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


def ask_policy(plan: Plan) -> Plan:
    """Demand provenance, approvals and policy, and collect the files that speak for the promotion, with the documents.

    Errors: `PromotionError`; `EvidenceError` for documents of another record, or that were changed.
    """
    documents = read_documents(plan.reports, plan.record.digest)
    files = allowed(plan.file, str(plan.subject.candidate), plan.record, plan.reports)
    return replace(plan, files={**files, **documents})


def begin_ledger(plan: Plan) -> Plan:
    """Write what has to be there before the entry: the run's tag, and the champion that was there before the ledger.

    Errors: `RegistryError` for an account that may not write to the candidate's run: before the ledger says anything.
    """
    files, head, candidate = dict(plan.files), plan.head, plan.subject.candidate
    if plan.attestation:
        if not _same_file(plan.attestation.bundle, plan.reports / ATTESTED):
            shutil.copyfile(plan.attestation.bundle, plan.reports / ATTESTED)
        files[ATTESTED] = (plan.reports / ATTESTED).read_bytes()
    profile = _profile(plan.file, plan.subject, plan.work) if plan.says else None
    if plan.stands is None:
        if candidate.run_id:
            plan.registry.tag_run(candidate.run_id, {"weighin.judged": plan.record.digest})
        elif profile is not None:
            files[BESIDE] = _content(profile)
        if head is None and plan.subject.champion is not None:
            head = plan.champions.adopt(plan.before, plan.subject.champion.digest)
    return replace(plan, files=files, head=head, profile=profile)


def sign_record(plan: Plan) -> Plan:
    """Plan the ledger's entry, and sign record and entry with the key of this process, if it has one."""
    entry = plan.stands
    if entry is None:
        entry = _planned(plan.champions, plan.head, plan.subject, plan.record)
        entry = replace(entry, documents=listing(plan.files))
    if plan.by is None:
        return replace(plan, entry=entry)
    signed = _promoted_by(plan.champions, plan.stands) if plan.stands else entry
    witness = Witness(plan.champions.ledger.name, signed.parent, signed.content_hash)
    write_json(plan.reports / SIGNED, envelope(plan.record.record, plan.by, witness))
    files = {SIGNED: (plan.reports / SIGNED).read_bytes(), SIGNER: plan.by.public}
    return replace(plan, entry=entry, files={**plan.files, **files})


def write_ledger(plan: Plan) -> Plan:
    """Write the entry, which is the moment that counts. Errors: `PromotionError` when another came first."""
    if plan.stands is not None:
        return plan
    assert plan.entry is not None
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in plan.files.items():
            path = Path(scratch) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return replace(plan, entry=plan.champions.enter(plan.entry, Path(scratch)))


def log_evidence(plan: Plan) -> None:
    """Log metrics, pages and the reference's profile to the run of the candidate. Errors: `RegistryError`."""
    if not plan.says:
        return
    kept = tuple(name for name, there in ((SIGNED, plan.by), (ATTESTED, plan.attestation)) if there)
    _publish(plan.decision, plan.subject, plan.reports, plan.registry, kept)
    if plan.profile is not None and plan.subject.candidate.run_id:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / STORED
            plan.profile.write(path)
            plan.registry.log_files(plan.subject.candidate.run_id, path.parent, str(Path(STORED).parent))


def set_tags(plan: Plan) -> None:
    """Set the tags of the version; the record's digest last: whoever finds it need not do the rest again."""
    if not plan.says:
        return
    candidate = plan.subject.candidate
    tags = {
        "validation_status": "passed",
        "weighin.contract": plan.file.digest,
        "weighin.replaces": plan.before or "none",
        "weighin.signed": plan.by.key_id if plan.by else "no",
        "weighin.attested": plan.record.attested_by or "no",
    }
    last = {RECORD: plan.record.digest}
    plan.registry.tag(candidate.name, candidate.version, tags | _suites(plan.decision) | last)


def move_alias(plan: Plan) -> Promotion:
    """Let the aliases say what the ledger's entry says, and leave `promotion.json`."""
    if plan.stands is None:
        assert plan.entry is not None
        plan.champions.sync_aliases(plan.entry)
    done = plan.done
    write_json(plan.reports / "promotion.json", {"schema": PROMOTION, "signed": plan.by is not None, **asdict(done)})
    return done


def _record_tag(champions: ChampionRegistry, subject: Subject) -> str | None:
    return champions.registry.tags(subject.candidate.name, subject.candidate.version).get(RECORD)


def read_promotion(path: Path, record: str) -> JsonDict:
    """Return what `promotion.json` says. Errors: `EvidenceError` for a damaged one, or one of another record."""
    value = read_json(path, PROMOTION)
    names = {field.name for field in fields(Promotion)}
    # Promotions of before documents were kept do not name any.
    if set(value) | {"documents"} != {"schema", "signed", *names} or value["record"] != record:
        raise EvidenceError("it is about another record, or damaged", str(path), "Take both from one promotion.")
    return value


def allowed(contract_file: ContractFile, place: str, record: Verified, reports: Path) -> dict[str, bytes]:
    """Return the files that speak for the promotion, by name: the record, approvals, policy and what the policy was
    shown.

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
            "Judge with such an image: docs/how-to/verifying.md.",
        )
    found = approvals(contract_file, reports, record.digest)
    files = {"record.json": (reports / "record.json").read_bytes()}
    for path in sorted((reports / FOLDER).iterdir()) if (reports / FOLDER).is_dir() else ():
        files[f"{FOLDER}/{path.name}"] = path.read_bytes()
    files["approvals.json"] = canonical(listed(found))
    if demands.policy is not None:
        policy = contract_file.folder / demands.policy
        promoter = actor(os.environ)
        given = {
            "record": record.record,
            "record_digest": record.digest,
            "approvals": listed(found),
            "promoter": promoter,
        }
        demand(policy, given)
        files |= {"policy.rego": policy.read_bytes(), "policy-promoter.txt": promoter.encode()}
    return files


def _carries(champions: ChampionRegistry, head: Entry | None, record: Verified, judged_against: str) -> Entry:
    """Return the last entry, which made the candidate champion, if it carries the record.

    Errors: `PromotionError` where there is none, or it carries another.
    """
    if head is None:
        back = f"Let it name version {judged_against} again" if judged_against else "Delete it"
        raise PromotionError(
            f"`{champions.champion}` names the candidate already, and the ledger has no entry: it was moved by hand",
            champions.model,
            f"{back}, as when the candidate was judged, and promote again.",
        )
    if head.record != record.digest:
        raise PromotionError(
            f"version {head.after} is champion already, by {head.described}, which does not carry this record "
            f"({head.record or 'it carries none'})",
            champions.model,
            "Nothing is to be moved: weighin history.",
        )
    return head


def _first(champions: ChampionRegistry, subject: Subject, record: Verified) -> Entry:
    """Return the entry with which the ledger is to begin."""
    if subject.champion is not None:
        return champions.adoption(subject.champion.version, subject.champion.digest)
    return _planned(champions, None, subject, record)


def _planned(champions: ChampionRegistry, head: Entry | None, subject: Subject, record: Verified) -> Entry:
    own, before = subject.candidate, subject.champion.version if subject.champion else ""
    entry = champions.planned("promote", head, before, own.version, own.digest)
    return replace(entry, record=record.digest, change=since_anchor(record.record))


def _promoted_by(champions: ChampionRegistry, stands: Entry) -> Entry:
    """Return the entry that moved the alias with the record of the last, which may be a rollback to its version."""
    promoted = [e for e in champions.ledger.entries() if e.record == stands.record and e.action == "promote"]
    return promoted[-1] if promoted else stands


def since_anchor(record: JsonObject) -> str:
    """Return what has changed since the pinned anchor, one comparison after the other; empty where the contract has
    none.

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
    """Return a tag for each suite, for people who live in MLflow's pages."""
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
    """Return the reference's profile, which is stored with the candidate so that later drift checks need no row of it:
    in the candidate's run, or beside the ledger's entry where it came from none.

    Errors: `EvidenceError` where drift was judged, and the profile it was judged with is not there.
    """
    if work is None or contract_file.contract.gates.drift is None:
        return None
    evidence = Evidence(contract_file, work)
    try:
        return stored_with_model(evidence)
    except WeighinError:
        # Predictions need not have come along to where a version is promoted; the profile of the data has.
        return evidence.profile("reference")


def _content(profile: Profile) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        profile.write(Path(scratch) / BESIDE)
        return (Path(scratch) / BESIDE).read_bytes()


def _close_epoch(contract_file: ContractFile, subject: Subject, registry: Registry, *, dry_run: bool) -> None:
    """Demand the sealed holdout where the contract has one, and close its epoch: this was its first pass."""
    if contract_file.contract.gates.sealed is None:
        return
    use = subject.sealed
    if use is None:
        raise PromotionError(
            "judged on the development holdout only, and the contract releases on the sealed one",
            str(subject.candidate),
            "Run `weighin validate --sealed`.",
        )
    ledger = HoldoutUses(registry, contract_file.contract.model.name, contract_file.contract.model.ledger.name or "")
    held = [h for h in ledger.all(use.epoch) if h.ledger_version == use.ledger_version]
    if not held or held[0].candidate != subject.candidate.digest:
        raise PromotionError(
            f"the registry holds no use {use.use} of epoch {use.epoch} for this candidate",
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
    """Return the record, after the checks that it holds by itself and says what the evidence says."""
    if decision.status is not Status.PASSED:
        first = decision.messages[0] if decision.messages else "no reason was recorded"
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
    told = (record.get("run", {}), built, record.get("drill"))
    if record != decision_record(decision, contract_file, subject, binding, *told):
        raise PromotionError(
            "the record says something else than the evidence", str(reports / "record.json"), "Validate again."
        )
    beside = reports / "verdict.json"
    if beside.exists() and beside.read_bytes() != canonical(verdict_file(record)):
        raise PromotionError("the verdict is not that of the record beside it", str(beside), "Validate again.")
    return found
