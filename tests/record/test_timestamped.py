"""Bundles with a time stamp in place of a log entry: one holds, and with one thing changed none does."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import VerificationError
from sigstore.models import TrustedRoot  # here, since its first import opens a socket

from support.private_sigstore import NOW, OWN, WORKFLOW, Authority, Sigstore, b64, key, name, sign, usage
from weighin.record import timestamped
from weighin.record.attestation import GITHUB
from weighin.record.signature import PAYLOAD_TYPE, pre_authentication
from weighin.record.timestamped import NotProven, verified_payload

PAYLOAD = b'{"said": "something"}'
FEW_MINUTES = timedelta(minutes=4)


class Anybody:
    """A policy that accepts every certificate and keeps those that it was shown."""

    def __init__(self) -> None:
        self.shown: list[x509.Certificate] = []

    def verify(self, cert: x509.Certificate) -> None:
        self.shown.append(cert)


class Nobody:
    """A policy that accepts no certificate."""

    def verify(self, cert: x509.Certificate) -> None:
        raise PermissionError("another identity")


@pytest.fixture(scope="module")
def sigstore() -> Sigstore:
    return Sigstore()


@pytest.fixture(scope="module")
def bundle(sigstore: Sigstore) -> dict[str, Any]:
    return sigstore.attest(PAYLOAD, logged=False)


def trusted(folder: Path, root: dict[str, Any]) -> TrustedRoot:
    path = folder / "root.json"
    path.write_text(json.dumps({"tlogs": [], "ctlogs": []} | root))
    return TrustedRoot.from_file(str(path))


@pytest.fixture
def root(sigstore: Sigstore, tmp_path: Path) -> TrustedRoot:
    return trusted(tmp_path, sigstore.root(logs=False))


def stamped(sigstore: Sigstore, bundle: dict[str, Any], *times: datetime, by: Sigstore | None = None) -> dict[str, Any]:
    """The same bundle with time stamps of these moments, by another authority where one is given."""
    changed: dict[str, Any] = json.loads(json.dumps(bundle))
    signature = base64.b64decode(changed["dsseEnvelope"]["signatures"][0]["sig"])
    stamps = [{"signedTimestamp": b64((by or sigstore).stamp(signature, at))} for at in times]
    changed["verificationMaterial"]["timestampVerificationData"] = {"rfc3161Timestamps": stamps}
    return changed


def payload_of(bundle: dict[str, Any], root: TrustedRoot, by: Any = None) -> tuple[str, bytes]:
    # The caller in attestation.py adds the list that the library misses.
    material = {"tlogEntries": []} | bundle["verificationMaterial"]
    text = json.dumps(bundle | {"verificationMaterial": material})
    return verified_payload(text.encode(), root, by or Anybody())


def test_a_bundle_that_holds_gives_its_type_and_its_payload(bundle: dict[str, Any], root: TrustedRoot) -> None:
    assert payload_of(bundle, root) == (PAYLOAD_TYPE, PAYLOAD)


def test_the_policy_judges_the_certificate_of_the_bundle(bundle: dict[str, Any], root: TrustedRoot) -> None:
    anybody = Anybody()
    payload_of(bundle, root, anybody)
    assert [b64(c.public_bytes(Encoding.DER)) for c in anybody.shown] == [
        bundle["verificationMaterial"]["certificate"]["rawBytes"]
    ]
    with pytest.raises(PermissionError, match="another identity"):
        payload_of(bundle, root, Nobody())


# --- form


def without_certificate(bundle: dict[str, Any]) -> None:
    del bundle["verificationMaterial"]["certificate"]
    bundle["verificationMaterial"]["publicKey"] = {"hint": "a key"}


def without_envelope(bundle: dict[str, Any]) -> None:
    del bundle["dsseEnvelope"]
    digest = {"algorithm": "SHA2_256", "digest": b64(b"0" * 32)}
    bundle["messageSignature"] = {"messageDigest": digest, "signature": b64(b"signature")}


def with_two_signatures(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["signatures"] *= 2


def without_signatures(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["signatures"] = []


@pytest.mark.parametrize("change", [without_certificate, without_envelope, with_two_signatures, without_signatures])
def test_a_bundle_has_one_certificate_and_one_signature_over_an_envelope(
    change: Callable[[dict[str, Any]], None], bundle: dict[str, Any], root: TrustedRoot
) -> None:
    changed = json.loads(json.dumps(bundle))
    change(changed)
    with pytest.raises(NotProven, match=r"^not one certificate and one signature over an envelope$"):
        payload_of(changed, root)


def test_a_bundle_without_a_time_stamp_proves_nothing(
    sigstore: Sigstore, bundle: dict[str, Any], root: TrustedRoot
) -> None:
    message = r"^neither an entry in a public log nor 1 to 8 time stamps$"
    for changed in (json.loads(json.dumps(bundle)), stamped(sigstore, bundle)):
        if changed["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]:
            del changed["verificationMaterial"]["timestampVerificationData"]
        with pytest.raises(NotProven, match=message):
            payload_of(changed, root)
    with pytest.raises(NotProven, match=message):
        payload_of(stamped(sigstore, bundle, *[NOW] * 9), root)
    assert payload_of(stamped(sigstore, bundle, *[NOW] * 8), root) == (PAYLOAD_TYPE, PAYLOAD)


def test_what_is_no_bundle_is_an_error(root: TrustedRoot) -> None:
    for text in (b"", b"[]", b"{}", b"\xff"):
        with pytest.raises(ValueError):  # noqa: PT011 - the messages are those of the library
            verified_payload(text, root, Anybody())


# --- time stamps


@pytest.mark.parametrize("at", [NOW - FEW_MINUTES, NOW + FEW_MINUTES])
def test_a_time_within_the_life_of_the_certificate_holds(
    at: datetime, sigstore: Sigstore, bundle: dict[str, Any], root: TrustedRoot
) -> None:
    assert payload_of(stamped(sigstore, bundle, at), root) == (PAYLOAD_TYPE, PAYLOAD)


@pytest.mark.parametrize("at", [NOW - 2 * FEW_MINUTES, NOW + 2 * FEW_MINUTES])
def test_a_time_beyond_the_life_of_the_certificate_does_not_hold(
    at: datetime, sigstore: Sigstore, bundle: dict[str, Any], root: TrustedRoot
) -> None:
    with pytest.raises(VerificationError):
        payload_of(stamped(sigstore, bundle, at), root)
    # Also beside one that holds, before it and after it.
    for times in ((NOW, at), (at, NOW)):
        with pytest.raises(VerificationError):
            payload_of(stamped(sigstore, bundle, *times), root)


def test_a_time_stamp_of_a_foreign_authority_does_not_hold(
    sigstore: Sigstore, bundle: dict[str, Any], root: TrustedRoot
) -> None:
    message = r"^its time stamp is not of an authority that the root trusts$"
    foreign = Sigstore()
    with pytest.raises(NotProven, match=message):
        payload_of(stamped(sigstore, bundle, NOW, by=foreign), root)
    mixed = stamped(sigstore, bundle, NOW)
    material = mixed["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
    other = stamped(sigstore, bundle, NOW, by=foreign)["verificationMaterial"]["timestampVerificationData"]
    material += other["rfc3161Timestamps"]
    with pytest.raises(NotProven, match=message):
        payload_of(mixed, root)


def test_a_time_stamp_over_another_signature_does_not_hold(
    sigstore: Sigstore, bundle: dict[str, Any], root: TrustedRoot
) -> None:
    changed = json.loads(json.dumps(bundle))
    stamp = b64(sigstore.stamp(b"another signature", NOW))
    changed["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] = [{"signedTimestamp": stamp}]
    with pytest.raises(NotProven, match="time stamp is not of an authority"):
        payload_of(changed, root)


def test_a_later_authority_of_the_root_is_tried_after_one_that_does_not_fit(
    sigstore: Sigstore, bundle: dict[str, Any], tmp_path: Path
) -> None:
    root, foreign = sigstore.root(logs=False), Sigstore().root(logs=False)
    root["timestampAuthorities"] = foreign["timestampAuthorities"] + root["timestampAuthorities"]
    assert payload_of(bundle, trusted(tmp_path, root)) == (PAYLOAD_TYPE, PAYLOAD)


def valid_for(sigstore: Sigstore, folder: Path, start: datetime, end: datetime | None) -> TrustedRoot:
    """A root that trusts the time stamp authority from `start` to `end`."""
    root = sigstore.root(logs=False, stamps_end=end)
    root["timestampAuthorities"][0]["validFor"]["start"] = start.isoformat().replace("+00:00", "Z")
    return trusted(folder, root)


def test_an_authority_counts_from_its_start_and_before_its_end(
    sigstore: Sigstore, bundle: dict[str, Any], tmp_path: Path
) -> None:
    second, day = timedelta(seconds=1), timedelta(days=1)
    for start, end in ((NOW, NOW + day), (NOW - day, NOW + second), (NOW, None)):
        assert payload_of(bundle, valid_for(sigstore, tmp_path, start, end)) == (PAYLOAD_TYPE, PAYLOAD)
    for start, end in ((NOW + second, NOW + day), (NOW - day, NOW), (NOW + second, None)):
        with pytest.raises(NotProven, match="not of an authority that the root trusts"):
            payload_of(bundle, valid_for(sigstore, tmp_path, start, end))


def test_an_authority_without_a_root_of_its_own_does_not_count(
    sigstore: Sigstore, bundle: dict[str, Any], tmp_path: Path
) -> None:
    root = sigstore.root(logs=False)
    whole = root["timestampAuthorities"]
    alone = json.loads(json.dumps(whole))
    del alone[0]["certChain"]["certificates"][1]
    with pytest.raises(NotProven, match="not of an authority that the root trusts"):
        payload_of(bundle, trusted(tmp_path, root | {"timestampAuthorities": alone}))
    assert payload_of(bundle, trusted(tmp_path, root | {"timestampAuthorities": alone + whole}))[1] == PAYLOAD


class SelfSigned(Authority):
    """A certificate that signs and that nobody else vouches for."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cert = self._made(self.key, self.title, self.key, self.title, self.purpose, ca=False)

    def in_root(self, end: datetime | None) -> dict[str, Any]:
        found = super().in_root(end)
        del found["certChain"]["certificates"][1]
        return found


def test_an_authority_that_signs_for_itself_does_not_count(tmp_path: Path) -> None:
    sigstore = Sigstore(stamps=SelfSigned("stamps", ExtendedKeyUsageOID.TIME_STAMPING, False))
    with pytest.raises(NotProven, match="not of an authority that the root trusts"):
        payload_of(sigstore.attest(PAYLOAD, logged=False), trusted(tmp_path, sigstore.root(logs=False)))


class WithIntermediate(Authority):
    """A certificate that signs, below one that issues, below a root."""

    def __post_init__(self) -> None:
        super().__post_init__()
        between = key()
        self.between = self._made(between, "between", self.root_key, f"{self.title} root", None, ca=True)
        self.cert = self._made(self.key, self.title, between, "between", self.purpose, ca=False)

    def in_root(self, end: datetime | None) -> dict[str, Any]:
        found = super().in_root(end)
        found["certChain"]["certificates"].insert(1, {"rawBytes": b64(self.between.public_bytes(Encoding.DER))})
        return found


def test_a_time_stamp_authority_below_an_intermediate_one_holds(tmp_path: Path) -> None:
    sigstore = Sigstore(stamps=WithIntermediate("stamps", ExtendedKeyUsageOID.TIME_STAMPING, False))
    root, bundle = sigstore.root(logs=False), sigstore.attest(PAYLOAD, logged=False)
    assert payload_of(bundle, trusted(tmp_path, root)) == (PAYLOAD_TYPE, PAYLOAD)
    del root["timestampAuthorities"][0]["certChain"]["certificates"][1]
    with pytest.raises(NotProven, match="not of an authority that the root trusts"):
        payload_of(bundle, trusted(tmp_path, root))


# --- certificate


def test_a_certificate_of_a_foreign_authority_does_not_hold(
    sigstore: Sigstore, bundle: dict[str, Any], tmp_path: Path
) -> None:
    root = sigstore.root(logs=False) | {"certificateAuthorities": Sigstore().root()["certificateAuthorities"]}
    with pytest.raises(VerificationError):
        payload_of(bundle, trusted(tmp_path, root))


def test_a_certificate_for_something_else_does_not_hold(sigstore: Sigstore, root: TrustedRoot) -> None:
    for purpose in (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH):
        with pytest.raises(NotProven, match=r"^its certificate is not for signing$"):
            payload_of(sigstore.attest(PAYLOAD, logged=False, purpose=purpose), root)


@pytest.mark.parametrize(
    ("signs", "purpose"), [(False, "CODE_SIGNING"), (True, "EMAIL_PROTECTION"), (False, "OCSP_SIGNING")]
)
def test_a_certificate_must_be_for_signatures_and_for_code(signs: bool, purpose: str) -> None:
    def made(signs: bool, purpose: str) -> x509.Certificate:
        own = key()
        return (
            x509.CertificateBuilder()
            .subject_name(name("signer"))
            .issuer_name(name("signer"))
            .public_key(own.public_key())
            .serial_number(1)
            .not_valid_before(NOW)
            .not_valid_after(NOW + FEW_MINUTES)
            .add_extension(usage(signs=signs, issues=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([getattr(ExtendedKeyUsageOID, purpose)]), critical=False)
            .sign(own, hashes.SHA256())
        )

    timestamped._is_for_signing(made(True, "CODE_SIGNING"))
    with pytest.raises(NotProven, match=r"^its certificate is not for signing$"):
        timestamped._is_for_signing(made(signs, purpose))


def test_a_key_of_another_kind_does_not_hold(sigstore: Sigstore, root: TrustedRoot) -> None:
    own = generate_private_key(public_exponent=65537, key_size=2048)
    made: Any = sigstore._certificate
    cert = made(own.public_key(), WORKFLOW, GITHUB, OWN, ExtendedKeyUsageOID.CODE_SIGNING)
    signature = own.sign(pre_authentication(PAYLOAD_TYPE, PAYLOAD), PKCS1v15(), hashes.SHA256())
    bundle = sigstore.attest(PAYLOAD, logged=False)
    bundle["verificationMaterial"]["certificate"]["rawBytes"] = b64(cert.public_bytes(Encoding.DER))
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = b64(signature)
    with pytest.raises(NotProven, match=r"^signed with a key of another kind than ECDSA$"):
        payload_of(stamped(sigstore, bundle, NOW), root)


# --- signature


@pytest.mark.parametrize(
    ("field", "value"), [("payload", b64(PAYLOAD + b" ")), ("payloadType", PAYLOAD_TYPE + "x"), ("payload", "")]
)
def test_the_signature_is_over_the_type_and_the_payload(
    field: str, value: str, bundle: dict[str, Any], root: TrustedRoot
) -> None:
    changed = json.loads(json.dumps(bundle))
    changed["dsseEnvelope"][field] = value
    with pytest.raises(InvalidSignature):
        payload_of(changed, root)


def test_a_signature_with_another_key_does_not_hold(
    sigstore: Sigstore, bundle: dict[str, Any], root: TrustedRoot
) -> None:
    changed = json.loads(json.dumps(bundle))
    forged = sign(key(), pre_authentication(PAYLOAD_TYPE, PAYLOAD))
    changed["dsseEnvelope"]["signatures"][0]["sig"] = b64(forged)
    with pytest.raises(InvalidSignature):
        payload_of(stamped(sigstore, changed, NOW), root)
