"""A Sigstore of our own: certificate authority, certificate log, signature log, time stamp authority, trusted root.

It makes bundles as actions/attest leaves them, of both kinds: with an entry in a public log, and with a time stamp as
for a private repository. All keys are made in the test that asks for it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from weighin.record.attestation import GITHUB
from weighin.record.signature import PAYLOAD_TYPE, pre_authentication

OWN = "https://github.com/example/model"
WORKFLOW = OWN + "/.github/workflows/attest.yml@refs/heads/release/1"
FULCIO = "1.3.6.1.4.1.57264.1."
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SHA256_WITH_ECDSA = "1.2.840.10045.4.3.2"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def key() -> EllipticCurvePrivateKey:
    return generate_private_key(SECP256R1())


def sign(by: EllipticCurvePrivateKey, data: bytes) -> bytes:
    return by.sign(data, ECDSA(hashes.SHA256()))


def spki(public: EllipticCurvePublicKey) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


# --- DER, as little of it as a time stamp needs


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def der_oid(dotted: str) -> bytes:
    first, second, *rest = (int(n) for n in dotted.split("."))
    out = bytearray([40 * first + second])
    for n in rest:
        seven = [n & 0x7F]
        while n := n >> 7:
            seven.append(0x80 | n & 0x7F)
        out += bytes(reversed(seven))
    return der(0x06, bytes(out))


def der_int(n: int) -> bytes:
    return der(0x02, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def sequence(*parts: bytes) -> bytes:
    return der(0x30, *parts)


SHA256 = sequence(der_oid("2.16.840.1.101.3.4.2.1"))


# --- authorities


def name(text: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "private"), x509.NameAttribute(NameOID.COMMON_NAME, text)]
    )


@dataclass
class Authority:
    """A root and one certificate below it that signs."""

    title: str
    purpose: x509.ObjectIdentifier
    may_issue: bool
    root_key: EllipticCurvePrivateKey = field(default_factory=key)
    key: EllipticCurvePrivateKey = field(default_factory=key)

    def __post_init__(self) -> None:
        self.root = self._made(self.root_key, f"{self.title} root", self.root_key, f"{self.title} root", None, ca=True)
        self.cert = self._made(
            self.key, self.title, self.root_key, f"{self.title} root", self.purpose, ca=self.may_issue
        )

    def _made(
        self,
        own: EllipticCurvePrivateKey,
        title: str,
        by: EllipticCurvePrivateKey,
        issuer: str,
        purpose: x509.ObjectIdentifier | None,
        *,
        ca: bool,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(title))
            .issuer_name(name(issuer))
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=100))
            .not_valid_after(NOW + timedelta(days=3000))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(usage(signs=not ca, issues=ca), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        )
        if purpose:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=not ca)
        return builder.sign(by, hashes.SHA256())

    def in_root(self, end: datetime | None) -> dict[str, Any]:
        valid = {"start": (NOW - timedelta(days=100)).isoformat().replace("+00:00", "Z")}
        if end:
            valid["end"] = end.isoformat().replace("+00:00", "Z")
        chain = [{"rawBytes": b64(c.public_bytes(Encoding.DER))} for c in (self.cert, self.root)]
        return {
            "subject": {"organization": "private", "commonName": self.title},
            "uri": "https://private.example",
            "certChain": {"certificates": chain},
            "validFor": valid,
        }


def usage(*, signs: bool, issues: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issues,
        crl_sign=issues,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass
class Sigstore:
    """One instance. `root(path)` writes what a verifier trusts; `attest` makes a bundle."""

    fulcio: Authority = field(default_factory=lambda: Authority("fulcio", ExtendedKeyUsageOID.CODE_SIGNING, True))
    stamps: Authority = field(default_factory=lambda: Authority("stamps", ExtendedKeyUsageOID.TIME_STAMPING, False))
    certificate_log: EllipticCurvePrivateKey = field(default_factory=key)
    signature_log: EllipticCurvePrivateKey = field(default_factory=key)

    def root(self, *, logs: bool = True, stamps_end: datetime | None = None) -> dict[str, Any]:
        """The trusted root. Without logs it is that of an instance for private repositories."""
        found: dict[str, Any] = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "certificateAuthorities": [self.fulcio.in_root(None)],
        }
        if logs:
            found["tlogs"] = [self._log(self.signature_log)]
            found["ctlogs"] = [self._log(self.certificate_log)]
        else:
            found["timestampAuthorities"] = [self.stamps.in_root(stamps_end)]
        return found

    def _log(self, by: EllipticCurvePrivateKey) -> dict[str, Any]:
        public = spki(by.public_key())
        return {
            "baseUrl": "https://log.private.example",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": b64(public),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": {"start": "2026-01-01T00:00:00Z"},
            },
            "logId": {"keyId": b64(hashlib.sha256(public).digest())},
        }

    def attest(
        self,
        statement: Any,
        *,
        workflow: str = WORKFLOW,
        issuer: str = GITHUB,
        repository: str = OWN,
        logged: bool = True,
        at: datetime = NOW,
        purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING,
    ) -> dict[str, Any]:
        """The bundle of a statement, signed at a time, with a certificate from five minutes before `NOW`."""
        signer = key()
        cert = self._certificate(signer.public_key(), workflow, issuer, repository, purpose)
        payload = statement if isinstance(statement, bytes) else json.dumps(statement).encode()
        signature = sign(signer, pre_authentication(PAYLOAD_TYPE, payload))
        material: dict[str, Any] = {"certificate": {"rawBytes": b64(cert.public_bytes(Encoding.DER))}}
        if logged:
            material["tlogEntries"] = [self._entry(cert, payload, signature, at)]
        else:
            stamp = self.stamp(signature, at)
            material["timestampVerificationData"] = {"rfc3161Timestamps": [{"signedTimestamp": b64(stamp)}]}
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": material,
            "dsseEnvelope": {
                "payload": b64(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": b64(signature)}],
            },
        }

    def _certificate(
        self,
        public: EllipticCurvePublicKey,
        workflow: str,
        issuer: str,
        repository: str,
        purpose: x509.ObjectIdentifier,
    ) -> x509.Certificate:
        """Ten minutes around `NOW`, with the promise of the certificate log inside."""
        by = self.fulcio
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(by.cert.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(minutes=5))
            .not_valid_after(NOW + timedelta(minutes=5))
            .add_extension(usage(signs=True, issues=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(workflow)]), critical=True)
        )
        for number, value in ((8, issuer), (9, workflow), (12, repository)):
            oid = x509.ObjectIdentifier(FULCIO + str(number))
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, der(0x0C, value.encode())), critical=False)
        bare = builder.sign(by.key, hashes.SHA256()).tbs_certificate_bytes
        issuer_id = hashlib.sha256(spki(by.key.public_key())).digest()
        log_id = hashlib.sha256(spki(self.certificate_log.public_key())).digest()
        head = struct.pack("!BBQH", 0, 0, int(NOW.timestamp() * 1000), 1)
        signed = head + issuer_id + len(bare).to_bytes(3, "big") + bare + b"\0\0"
        signature = sign(self.certificate_log, signed)
        promise = struct.pack("!B32sQH", 0, log_id, int(NOW.timestamp() * 1000), 0) + b"\4\3"
        promise += struct.pack("!H", len(signature)) + signature
        listed = struct.pack("!HH", len(promise) + 2, len(promise)) + promise
        oid = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
        return builder.add_extension(x509.UnrecognizedExtension(oid, der(0x04, listed)), critical=False).sign(
            by.key, hashes.SHA256()
        )

    def _entry(self, cert: x509.Certificate, payload: bytes, signature: bytes, at: datetime) -> dict[str, Any]:
        """The second of two entries of the signature log, with proof, checkpoint and promise."""
        spec = {
            "envelopeHash": {"algorithm": "sha256", "value": "0" * 64},
            "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
            "signatures": [{"signature": b64(signature), "verifier": b64(cert.public_bytes(Encoding.PEM))}],
        }
        body = rfc8785.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        neighbour = hashlib.sha256(b"\0another entry").digest()
        top = hashlib.sha256(b"\1" + neighbour + hashlib.sha256(b"\0" + body).digest()).digest()
        log_id = hashlib.sha256(spki(self.signature_log.public_key())).digest()
        note = f"log.private.example - 1\n2\n{b64(top)}\n"
        mark = b64(log_id[:4] + sign(self.signature_log, note.encode()))
        seconds = int(at.timestamp())
        promise = {"body": b64(body), "integratedTime": seconds, "logID": log_id.hex(), "logIndex": 1}
        return {
            "logIndex": "1",
            "logId": {"keyId": b64(log_id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(seconds),
            "inclusionPromise": {"signedEntryTimestamp": b64(sign(self.signature_log, rfc8785.dumps(promise)))},
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": b64(top),
                "treeSize": "2",
                "hashes": [b64(neighbour)],
                "checkpoint": {"envelope": f"{note}\n\u2014 log.private.example {mark}\n"},
            },
            "canonicalizedBody": b64(body),
        }

    def stamp(self, message: bytes, at: datetime) -> bytes:
        """A time stamp response (RFC 3161) over a message."""
        cert = self.stamps.cert
        imprint = sequence(SHA256, der(0x04, hashlib.sha256(message).digest()))
        when = der(0x18, at.strftime("%Y%m%d%H%M%SZ").encode())
        info = sequence(der_int(1), der_oid("1.3.6.1.4.1.57264.2"), imprint, der_int(7), when)
        whole = cert.public_bytes(Encoding.DER)
        certified = sequence(sequence(sequence(der(0x04, hashlib.sha256(whole).digest()))))
        attributes = sorted(
            (
                sequence(der_oid("1.2.840.113549.1.9.3"), der(0x31, der_oid("1.2.840.113549.1.9.16.1.4"))),
                sequence(der_oid("1.2.840.113549.1.9.4"), der(0x31, der(0x04, hashlib.sha256(info).digest()))),
                sequence(der_oid("1.2.840.113549.1.9.16.2.47"), der(0x31, certified)),
            )
        )
        signature = sign(self.stamps.key, der(0x31, *attributes))
        actor = sequence(cert.issuer.public_bytes(), der_int(cert.serial_number))
        signer = sequence(
            der_int(1),
            actor,
            SHA256,
            der(0xA0, *attributes),
            sequence(der_oid(SHA256_WITH_ECDSA)),
            der(0x04, signature),
        )
        content = sequence(der_oid("1.2.840.113549.1.9.16.1.4"), der(0xA0, der(0x04, info)))
        # Without the certificate, as that of GitHub: the verifier has it in its root.
        data = sequence(der_int(3), der(0x31, SHA256), content, der(0x31, signer))
        return sequence(sequence(der_int(0)), sequence(der_oid("1.2.840.113549.1.7.2"), der(0xA0, data)))


def write(path: Path, *values: Any) -> Path:
    """JSON, one value a line."""
    path.write_text("".join(json.dumps(v) + "\n" for v in values), encoding="utf-8")
    return path
