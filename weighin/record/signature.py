"""A record under a signature: an in-toto statement in a DSSE envelope, signed with ed25519.

The statement (https://in-toto.io/Statement/v1) says which artifact it is about, by name and digest, and carries the
record as its predicate; that of a promotion carries it beside its place in the ledger (`Witness`), so that every signed
record that is kept anywhere bears witness to what the ledger said. The envelope
(https://github.com/secure-systems-lab/dsse, protocol v1) signs its bytes together with their type. Only the promoting
job holds a key.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from weighin.canonical import canonical, digest
from weighin.errors import ContractError, RecordRefused
from weighin.record.form import ENVELOPE_BYTES, parsed
from weighin.untrusted import JsonDict, JsonObject

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
KEY = "WEIGHIN_SIGNING_KEY"
"""Environment variable: an ed25519 private key in PEM (PKCS 8, without a password), or the path of a file with one."""


SIGNED = "record.dsse.json"
"""The signed record, in the reports, with the ledger's entry and with the candidate's run."""
SIGNER = "record.pub"
"""The public key of who signed, with the entry: who trusts nobody can still see whether the signature holds."""
PROMOTED = "https://weigh-in.dev/promoted-decision/v1"
"""Type of the predicate of a promotion: `record`, and `ledger`, a `Witness`. The digest of the record stays its own."""


@dataclass(frozen=True)
class Witness:
    """The place of a promotion in the ledger, as its signed record says it.

    name   of the ledger
    head   `sum` of the entry that was the last when it was signed, which covers all entries before; empty for none
    entry  digest of the entry that was then written, without who wrote it, when, and the files kept for it
    """

    name: str
    head: str
    entry: str


@dataclass(frozen=True)
class Opened:
    """What was in an envelope: the record, the id of the trusted key that signed it, and its place in the ledger."""

    record: dict[str, Any]
    by: str
    witness: Witness | None


@dataclass(frozen=True)
class Signer:
    """A private key. It is never printed."""

    key: Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"Signer({self.key_id})"

    @property
    def key_id(self) -> str:
        """`sha256:<hex>` of the raw public key."""
        return key_id(self.key.public_key())

    @property
    def public(self) -> bytes:
        """The public key in PEM."""
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, payload: bytes) -> bytes:
        """Return the signature over a payload of our type."""
        return self.key.sign(pre_authentication(PAYLOAD_TYPE, payload))


def signer(environment: Mapping[str, str] = os.environ) -> Signer | None:
    """Return the signer of this environment, or None where there is no key. Errors: `ContractError` for an unusable
    one.
    """
    given = environment.get(KEY, "")
    if not given.strip():
        return None
    try:
        pem = given.encode() if given.lstrip().startswith("-----BEGIN") else Path(given).read_bytes()
        key = load_pem_private_key(pem, password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        # Not the error's own text: it may quote what it could not read.
        fact = f"not a readable ed25519 private key in PEM ({type(error).__name__})"
        raise ContractError(fact, KEY, "Make one: weighin keygen FILE.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ContractError("a key of another kind than ed25519", KEY, "Make one: weighin keygen FILE.")
    return Signer(key)


def make_key(path: Path) -> str:
    """Write a new private key to `path` (for its owner only) and the public one to `path.pub`; returns the key's id.

    Errors: `ContractError` where one of the files exists: a key is never overwritten.
    """
    key = Ed25519PrivateKey.generate()
    public = path.with_name(path.name + ".pub")
    try:
        for place, mode, content in (
            (path, 0o600, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
            (public, 0o644, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
        ):
            with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(content)
    except FileExistsError as error:
        raise ContractError("the file exists, and a key is never overwritten", str(error.filename)) from error
    return key_id(key.public_key())


def trusted_key(path: Path) -> Ed25519PublicKey:
    """Return a public key to be trusted. Errors: `ContractError` for anything else than an ed25519 public key in
    PEM.
    """
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        fact = f"not a readable public key in PEM ({type(error).__name__})"
        raise ContractError(fact, str(path), "Give the file FILE.pub that `weighin keygen FILE` wrote.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ContractError("a key of another kind than ed25519", str(path))
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """`sha256:<hex>` of the raw public key."""
    return digest(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def statement(record: JsonObject, witness: Witness | None = None) -> JsonDict:
    """Return the in-toto statement about the candidate of a record, of a promotion with its place in the ledger."""
    candidate = record["candidate"]
    name = f"models:/{candidate['name']}/{candidate['version']}"
    kind, predicate = f"https://weigh-in.dev/{record['schema'].removeprefix('weighin/')}", record
    if witness is not None:
        kind, predicate = PROMOTED, {"record": record, "ledger": asdict(witness)}
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": candidate["digest"].removeprefix("sha256:")}}],
        "predicateType": kind,
        "predicate": predicate,
    }


def envelope(record: JsonObject, by: Signer, witness: Witness | None = None) -> JsonDict:
    """Return the record, signed."""
    return signed(statement(record, witness), by)


def signed(said: JsonObject, by: Signer) -> JsonDict:
    """Return an in-toto statement in an envelope."""
    payload = canonical(said)
    signature = {"keyid": by.key_id, "sig": base64.b64encode(by.sign(payload)).decode()}
    return {"payloadType": PAYLOAD_TYPE, "payload": base64.b64encode(payload).decode(), "signatures": [signature]}


def pre_authentication(kind: str, payload: bytes) -> bytes:
    """Return what DSSE signs: the type and the payload, each with its length.

    >>> pre_authentication("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    encoded = kind.encode()
    return b"DSSEv1 %d %s %d %s" % (len(encoded), encoded, len(payload), payload)


def opened(data: bytes, trusted: Iterable[Ed25519PublicKey], place: str) -> Opened:
    """Return what is in the envelope of a record.

    Errors: `RecordRefused` with what does not hold: what `unsealed` says, or that the statement's subject is not the
    record's candidate.
    """
    said, by = unsealed(data, trusted, place)
    try:
        record, witness = said["predicate"], None
        if said["predicateType"] == PROMOTED:
            record, witness = record["record"], Witness(**record["ledger"])
        right = said == statement(record, witness)
    except (KeyError, TypeError, AttributeError) as error:
        raise RecordRefused(f"no statement about a record ({type(error).__name__})", place) from error
    if not right or (witness and not all(isinstance(v, str) for v in asdict(witness).values())):
        raise RecordRefused("the statement is not that of its record", place)
    return Opened(record, by, witness)


def unsealed(data: bytes, trusted: Iterable[Ed25519PublicKey], place: str) -> tuple[JsonDict, str]:
    """Return the statement in an envelope, and the id of the trusted key that signed it.

    Errors: `RecordRefused` with what does not hold: form, type, canonical bytes, or signature.
    """

    def refused(fact: str) -> RecordRefused:
        return RecordRefused(fact, place)

    try:
        value = parsed(data, place, ENVELOPE_BYTES)
        kind, payload = value["payloadType"], base64.b64decode(value["payload"], validate=True)
        signatures = [base64.b64decode(s["sig"], validate=True) for s in value["signatures"]]
        same = canonical(value) == data
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise refused(f"no DSSE envelope ({type(error).__name__})") from error
    if not same:
        raise refused("its bytes are not the canonical form of what they say")
    if kind != PAYLOAD_TYPE or set(value) != {"payloadType", "payload", "signatures"}:
        raise refused("an envelope of another kind")
    by = ""
    if len(signatures) != 1:
        raise refused(f"{len(signatures)} signatures where there is to be one")
    for key in trusted:
        try:
            key.verify(signatures[0], pre_authentication(kind, payload))
        except InvalidSignature:
            continue
        by = key_id(key)
    if not by:
        raise refused("not signed by a key that is trusted")
    if value["signatures"][0] != {"keyid": by, "sig": base64.b64encode(signatures[0]).decode()}:
        raise refused("its signature is filed under another key")
    if base64.b64encode(payload).decode() != value["payload"]:
        raise refused("its payload has more than one form")
    try:
        said = parsed(payload, place)
        right = isinstance(said, dict) and canonical(said) == payload
    except (ValueError, TypeError) as error:
        raise refused(f"no statement ({type(error).__name__})") from error
    if not right:
        raise refused("its statement is not the canonical form of what it says")
    return said, by
