"""From one registry, or registered model, to the next: development to staging to production.

The receiving side believes nothing: the record's signature, the digests of the files on both sides, and every limit of
its own contract, decided again on the measurements of the record. What was compared with another champion than the one
here has to be validated here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from weighin.canonical import canonical
from weighin.contract import checks
from weighin.contract.reading import ContractFile
from weighin.errors import EvidenceError, PromotionError, without_password
from weighin.outcome import Status, Unmeasured, confirm_failures, decide, gate
from weighin.record.outcomes import decode_evidence
from weighin.record.signature import SIGNED, SIGNER
from weighin.record.verify import Verified, verify
from weighin.registry.champion import ChampionRegistry
from weighin.registry.ledger import IMPORTED, Entry
from weighin.registry.mlflow import Address, Registry
from weighin.registry.profiles import BESIDE
from weighin.registry.spent import demand_unspent
from weighin.release.promote import allowed, since_anchor
from weighin.runner.artifact import manifest_digest

SOURCE, RECORD = "weighin.source", "weighin.record"
"""Tags of a received version: where it came from, and the digest of the record that came with it."""


@dataclass(frozen=True)
class Imported:
    """What was received: `version` here, champion by `entry`, or None for a dry run; `before` was champion."""

    model: str
    version: str
    before: str
    record: str
    entry: Entry | None


def import_version(
    contract_file: ContractFile,
    champions: ChampionRegistry,
    source: Registry,
    address: str,
    trusted: Iterable[Ed25519PublicKey],
    *,
    dry_run: bool = False,
) -> Imported:
    """Copy a version that was promoted elsewhere, with its record, and make it champion here.

    champions  the champion here, of the contract's model
    source   the registry that it comes from, which may be the same
    address  models:/NAME/VERSION there
    trusted  public keys, one of which must have signed the record
    Errors: `PromotionError` or `RecordRefused` with what does not hold. The version may have been copied by then, as
    the challenger; the champion is as it was.
    """
    wanted = Address.parse(address)
    place = f"{wanted.name} version {wanted.version}"
    keys = tuple(trusted)
    if not keys:
        raise PromotionError("nobody is trusted to have signed its record", place, "Give --trusted-key.")
    champions.demand_promises()
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        found, digest, files = _evidence_of(contract_file, source, wanted, keys, home)
        head, before = champions.reconcile(look_only=dry_run)
        demand_unspent(champions, champions.ledger.entries(), found.record, found.digest)
        version = _received(champions, source, wanted, digest, home / "model")
        if version and version == before:
            return Imported(champions.model, version, _carries(champions, head, found).before, found.digest, head)
        _same_champion(champions, head, before, found, home / "champion")
        if head is None and dry_run:
            champions.demand_no_ledger_before()
        if dry_run:
            return Imported(champions.model, version, before, found.digest, None)
        if not version:
            version = _copy(champions, source, wanted, digest, home / "model", found.digest)
        champions.registry.move_alias(champions.model, contract_file.contract.model.aliases.challenger, version)
        _write(home / "kept", files)
        if head is None and before:
            head = champions.adopt(before, champions.registry.digest(champions.model, before, home / "champion"))
        planned = replace(
            champions.planned("promote", head, before, version, digest),
            record=found.digest,
            reason=f"{IMPORTED}{place}",
            change=since_anchor(found.record),
        )
        entry = champions.enter(planned, home / "kept")
        champions.registry.tag(champions.model, version, {"validation_status": "passed", RECORD: found.digest})
        champions.sync_aliases(entry)
        return Imported(champions.model, version, before, found.digest, entry)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _evidence_of(
    contract_file: ContractFile, source: Registry, wanted: Address, keys: tuple[Ed25519PublicKey, ...], home: Path
) -> tuple[Verified, str, dict[str, bytes]]:
    """Fetch a version and what its promotion left; return the record, the digest of its files, and what is to be kept.

    Errors: `PromotionError`, `RecordRefused` where they do not agree, or the contract here does not allow the version.
    """
    place = f"{wanted.name} version {wanted.version}"
    there = _promoted_there(ChampionRegistry(source, wanted.name, "", "").ledger.entries(), wanted.version, place)
    source.fetch(there.run_id, "", home / "evidence")
    found = verify(home / "evidence" / SIGNED, keys)
    digest = source.digest(wanted.name, wanted.version, home / "model")
    stated = {"the ledger": there.artifact, "the record": found.record["candidate"]["digest"]}
    for origin, other in stated.items():
        if other != digest:
            raise PromotionError(f"its files are {digest}, and {origin} there says {other}", place)
    if found.digest != there.record:
        raise PromotionError("the record that is kept is not that of the ledger's entry", place)
    if _manifest(home / "evidence", place) != there.evidence:
        raise PromotionError("the files that are kept for it are not those of the ledger's entry", place)
    _decided_here(contract_file, found, place)
    files = allowed(contract_file, place, found, home / "evidence")
    # Not the file beside it: what was signed is what is kept.
    files |= {"record.json": canonical(found.record), SIGNED: (home / "evidence" / SIGNED).read_bytes()}
    if (home / "evidence" / SIGNER).is_file():
        files[SIGNER] = (home / "evidence" / SIGNER).read_bytes()
    if (home / "evidence" / BESIDE).is_file():
        files[BESIDE] = (home / "evidence" / BESIDE).read_bytes()
    return found, digest, files


def _manifest(folder: Path, place: str) -> str:
    try:
        return manifest_digest(folder)
    except ValueError as error:
        raise PromotionError(f"among the files that are kept for it, {error}", place) from error


def _promoted_there(entries: Sequence[Entry], version: str, place: str) -> Entry:
    """Return the entry there that promoted a version. Errors: `PromotionError` for none, or where it was rolled back
    since.
    """
    promoted = [e for e in entries if e.after == version and e.record and e.action == "promote"]
    if not promoted:
        raise PromotionError("no entry of the ledger there has a record for it", place, "Promote it there first.")
    last = [e for e in entries if version in (e.before, e.after)][-1]
    if last.action == "rollback" and last.before == version:
        raise PromotionError(f"it was rolled back there: {last.described}", place, "Validate another version.")
    return promoted[-1]


def _carries(champions: ChampionRegistry, head: Entry | None, found: Verified) -> Entry:
    """Return the last entry here, if it made this version champion with this record.

    Errors: `PromotionError`: the alias was moved by hand, or by another record.
    """
    if head is None or head.record != found.digest:
        said = f"{head.described} carries another record" if head else "the ledger has no entry"
        raise PromotionError(
            f"`{champions.champion}` names the copy of it already, and {said}",
            champions.model,
            "Let it name the champion that the version was compared with, and import it again." if head is None else "",
        )
    return head


def _decided_here(contract_file: ContractFile, found: Verified, place: str) -> None:
    """Errors: `PromotionError` naming the checks of the contract here that the record's measurements do not pass."""
    measured = {o["check"]: o["evidence"] for s in found.record["suites"] for o in s["outcomes"]}
    outcomes = []
    for check in checks(contract_file.contract):
        try:
            evidence = decode_evidence(check.id, measured[check.id])
        except KeyError:
            evidence = Unmeasured(check.id, "the record has no measurement for it")
        except EvidenceError as error:
            evidence = Unmeasured(check.id, error.fact)
        outcomes.append(decide(Unmeasured(check.id, check.expired) if check.expired else evidence, check.limit))
    outcomes = confirm_failures(outcomes, contract_file.contract.alpha)
    if found.record["verdict"]["status"] != "passed" or gate(outcomes) is not Status.PASSED:
        bad = [f"{o.check}: {o.status.value}: {o.reason}" for o in outcomes if o.blocks]
        first = "; ".join(bad[:3]) or f"its verdict was {found.record['verdict']['status']}"
        more = f", and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise PromotionError(f"by the contract here it does not pass: {first}{more}", place, "Validate it here.")


def _same_champion(
    champions: ChampionRegistry, head: Entry | None, before: str, found: Verified, scratch: Path
) -> None:
    """Errors: `PromotionError` when it was compared with another champion than the one here."""
    judged = found.record["champion"]
    here = ""
    if before:
        here = champions.registry.digest(champions.model, before, scratch)
        if head is not None and here != head.artifact:
            raise PromotionError(f"version {before} has other files than when it became champion", champions.model)
    if here != (judged["digest"] if judged else ""):
        raise PromotionError(
            f"it was compared with {judged['digest'] if judged else 'no champion'}, and the champion here is "
            f"{f'version {before}, {here}' if before else 'none'}",
            champions.model,
            f"Copy it and validate it here: weighin validate --candidate models:/{champions.model}/VERSION.",
        )


def _received(champions: ChampionRegistry, source: Registry, wanted: Address, digest: str, scratch: Path) -> str:
    """Return the version here that was copied from there before, if its files are still the same; otherwise empty."""
    said = _source(source, wanted, digest)
    for version in champions.registry.entries(champions.model):
        number = str(version.version)
        if (
            dict(version.tags).get(SOURCE) == said
            and champions.registry.digest(champions.model, number, scratch) == digest
        ):
            return number
    return ""


def _copy(
    champions: ChampionRegistry, source: Registry, wanted: Address, digest: str, folder: Path, record: str
) -> str:
    """Copy the files; returns the version here. Errors: `PromotionError` where other files arrived."""
    if champions.registry.uri == source.uri:
        version = source.copy_version(wanted, champions.model)
    else:
        version = champions.registry.add_version(champions.model, source.run_of(wanted), folder, source)
    arrived = champions.registry.digest(champions.model, version, folder)
    if arrived != digest:
        raise PromotionError(f"other files arrived ({arrived}, sent {digest})", f"{champions.model} version {version}")
    champions.registry.tag(champions.model, version, {SOURCE: _source(source, wanted, digest), RECORD: record})
    return version


def _source(source: Registry, wanted: Address, digest: str) -> str:
    return f"{without_password(source.uri)} models:/{wanted.name}/{wanted.version} {digest}"
