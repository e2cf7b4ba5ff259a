"""The history of a ledger, checked: each entry against what is kept for it, and all of them against what others kept.

A ledger adds up by itself, also after somebody has written all of it again. So every entry must agree with the files of
its run (record, signature), with the tags of its version, and with the entries before it; and a signed record that was
kept outside the registry (`check_witness`) names an entry that must still be there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from weighin.canonical import canonical, digest
from weighin.errors import ContractError, EvidenceError, RecordRefused, RegistryError
from weighin.record.attestation import ATTESTED, Attestation
from weighin.record.signature import SIGNED, SIGNER, Witness, trusted_key
from weighin.record.verify import Verified, verify
from weighin.registry.champion import ENTRY, HEAD, ChampionRegistry, claim_tag
from weighin.registry.ledger import IMPORTED, Entry
from weighin.registry.spent import RECORD
from weighin.runner.artifact import manifest_digest

NOTHING = digest(canonical({}))
"""Digest of no files at all."""


@dataclass(frozen=True)
class Checked:
    """An entry, and what does not hold of it.

    problems   sentences; none where everything that is kept for it agrees
    signed_by  id of the key that signed its record: a trusted one where some are, else the one that is kept with it
    """

    entry: Entry
    problems: tuple[str, ...]
    signed_by: str = ""


def check_history(
    champions: ChampionRegistry, trusted: Sequence[Ed25519PublicKey] = (), attestation: Attestation | None = None
) -> list[Checked]:
    """All entries that count, in order, each with what does not hold of it.

    trusted      public keys; with any, each promotion must be signed by one of them
    attestation  by whom each promotion must have been attested; the bundle is the one that is kept for it
    Errors: `RegistryError` for a ledger that does not add up, or where the registry is away.
    """
    entries = champions.ledger.entries()
    versions = {str(v.version): dict(v.tags) for v in champions.registry.entries(champions.model)}
    found = []
    for position, entry in enumerate(entries):
        problems = [*_chained(entry, entries[:position]), *_tagged(entry, entries, versions)]
        signed_by = ""
        if entry.action == "promote":
            with tempfile.TemporaryDirectory() as scratch:
                previous = entries[position - 1] if position else None
                folder = Path(scratch) / "kept"
                about, signed_by = _kept(champions, entry, previous, tuple(trusted), attestation, folder)
            problems += about
        found.append(Checked(entry, tuple(problems), signed_by))
    return found


def check_witness(path: Path, champions: ChampionRegistry, trusted: Sequence[Ed25519PublicKey] = ()) -> Entry:
    """Return the entry that a kept record names.

    path  record.dsse.json, signed by a trusted key, or record.json, which names its entry by its digest only
    Errors: `RecordRefused` where the record does not hold, or the ledger has no such entry any more.
    """
    found = verify(path, trusted)
    return named_entry(found, champions.ledger.name, champions.ledger.entries(), str(path))


def named_entry(found: Verified, ledger: str, entries: Sequence[Entry], place: str) -> Entry:
    """Return the entry that a record and its witness name. Errors: `RecordRefused` where it is not there, or is
    another.
    """
    same = [e for e in entries if e.action == "promote" and e.record == found.digest]
    if not same:
        raise RecordRefused(
            f"no entry of `{ledger}` carries the record {found.digest}",
            place,
            "It was deleted, or is of another model.",
        )
    witness = found.witness
    if witness is None or all(e.reason.startswith(IMPORTED) for e in same):
        return same[-1]
    for entry in same:
        if witness == Witness(ledger, entry.parent, entry.content_hash):
            return entry
    raise RecordRefused(
        f"entry {same[-1].number} of `{ledger}` is another than the one that was signed, or what came before it is",
        place,
        "Somebody wrote the ledger again: compare with all records that were kept elsewhere.",
    )


def _chained(entry: Entry, before: Sequence[Entry]) -> list[str]:
    """Return what contradicts the entries before it."""
    champion = before[-1].after if before else ""
    problems = []
    if entry.before != champion:
        problems.append(
            f"it says version {entry.before or 'none'} was champion before, and it was {champion or 'none'}"
        )
    if entry.action == "adopt" and (before or entry.record):
        problems.append("an adoption only begins a ledger, and has no record")
    if entry.action == "rollback":
        gated = [e for e in before if e.action == "promote" and (e.record, e.after) == (entry.record, entry.after)]
        if entry.record and entry.artifact not in {e.artifact for e in gated}:
            problems.append("no promotion before it carries its record for these files")
        if not entry.record and not entry.emergency:
            problems.append("a rollback without a record that is no emergency")
    return problems


def _tagged(entry: Entry, entries: Sequence[Entry], versions: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return what contradicts the tags of its version. A version that was deleted since says nothing."""
    tags = versions.get(entry.after)
    if tags is None:
        return []
    problems = []
    if claim_tag(entry) not in tags:
        problems.append(f"version {entry.after} does not claim it: who wrote it may not change the model")
    last = [e for e in entries if e.after == entry.after][-1]
    # While somebody moves aliases, or was stopped there, tags may be those of an entry before.
    settled = entry.mirrored and not any(e.begun for e in entries)
    if last.number == entry.number and settled and (tags.get(ENTRY), tags.get(HEAD)) != (str(entry.number), entry.sum):
        problems.append(f"the tags {ENTRY} and {HEAD} of version {entry.after} say otherwise")
    return problems


def _kept(
    champions: ChampionRegistry,
    entry: Entry,
    previous: Entry | None,
    trusted: tuple[Ed25519PublicKey, ...],
    attestation: Attestation | None,
    folder: Path,
) -> tuple[list[str], str]:
    """Return what contradicts the files that are kept for a promotion, and who signed its record."""
    try:
        if entry.evidence != NOTHING:
            champions.registry.fetch(entry.run_id, "", folder)
            held = manifest_digest(folder)
            if held != entry.evidence:
                return [f"the files that are kept for it are {held}, and it says {entry.evidence}"], ""
        if not (folder / RECORD).is_file():
            return ["no record is kept for it"], ""
        found = verify(folder / RECORD)
    except (RegistryError, EvidenceError, ValueError) as error:
        fact = error.fact if isinstance(error, RegistryError | EvidenceError) else str(error)
        return [f"what is kept for it does not hold: {fact}"], ""
    problems = _recorded(champions, entry, previous, found)
    if attestation is not None:
        try:
            replace(attestation, bundle=folder / ATTESTED).attests_record(found.record, found.digest)
        except EvidenceError as error:
            problems.append(f"its attestation does not hold: {error.fact}")
    try:
        signed_by = _signed(champions, entry, found, trusted, folder)
    except (EvidenceError, ContractError) as error:
        return [*problems, f"its signature does not hold: {error.fact}"], ""
    return problems, signed_by


def _recorded(champions: ChampionRegistry, entry: Entry, previous: Entry | None, found: Verified) -> list[str]:
    """Return what of the entry contradicts its record."""
    record, champion = found.record, found.record["champion"]
    pairs = {
        "the record": (found.digest, entry.record),
        "the verdict": (record["verdict"]["status"], "passed"),
        "the candidate's files": (record["candidate"]["digest"], entry.artifact),
    }
    if previous is not None:
        pairs["the champion's files"] = (champion["digest"] if champion else "none", previous.artifact)
    if not entry.reason.startswith(IMPORTED):
        # A version that was promoted elsewhere has other names there.
        pairs["the candidate"] = (_name(record["candidate"]), f"{champions.model} {entry.after}")
        pairs["the champion"] = (_name(champion), f"{champions.model} {entry.before}" if entry.before else "none")
    return [
        f"{what} is {held} in what is kept for it, expected {said}"
        for what, (held, said) in pairs.items()
        if held != said
    ]


def _name(version: Mapping[str, str] | None) -> str:
    return f"{version['name']} {version['version']}" if version else "none"


def _signed(
    champions: ChampionRegistry, entry: Entry, found: Verified, trusted: tuple[Ed25519PublicKey, ...], folder: Path
) -> str:
    """Return the id of the key that signed; empty for an unsigned record where nobody is trusted.

    Errors: `RecordRefused` where the signature does not hold, or is about another place in the ledger; `ContractError`
    for a kept key that cannot be read.
    """
    path = folder / SIGNED
    if not path.is_file():
        if trusted:
            raise RecordRefused("there is none, and a key is trusted")
        return ""
    if not trusted and not (folder / SIGNER).is_file():
        raise RecordRefused("no key is kept with it, so only --trusted-key can tell")
    signed = verify(path, trusted or [trusted_key(folder / SIGNER)], expected=found.digest)
    if not entry.reason.startswith(IMPORTED) and signed.witness != Witness(
        champions.ledger.name, entry.parent, entry.content_hash
    ):
        raise RecordRefused("it is about another entry than this")
    return signed.signed_by
