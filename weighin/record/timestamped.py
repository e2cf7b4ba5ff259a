"""Bundles without an entry in a public log: how private repositories attest.

Such a bundle proves its time by a time stamp (RFC 3161) over the signature instead. Sigstore's library demands the
entry, so the four steps stand here, each with a library's own function: the time stamp, the certificate's chain at that
time, the certificate's use and identity, the signature over the envelope. What a public log would add, that a signature
nobody asked for is seen by others, is absent from such bundles, whoever verifies them.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from weighin.record.signature import pre_authentication

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import TrustedRoot

STAMPS = 8
"""More time stamps than anybody makes are not looked at."""


class Policy(Protocol):
    """Compares the identity in a certificate, and raises."""

    def verify(self, cert: Certificate) -> None: ...


class NotProven(ValueError):
    """Something of the bundle does not hold."""


def verified_payload(text: bytes, root: TrustedRoot, by: Policy) -> tuple[str, bytes]:
    """Return the type and the payload of a bundle's envelope. Errors: `NotProven`, and whatever the libraries raise."""
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509 import load_der_x509_certificate
    from sigstore_models.bundle.v1 import Bundle

    bundle = Bundle.from_json(text)
    material, envelope = bundle.verification_material, bundle.dsse_envelope
    if material.certificate is None or envelope is None or len(envelope.signatures) != 1:
        raise NotProven("not one certificate and one signature over an envelope")
    stamps = material.timestamp_verification_data.rfc3161_timestamps if material.timestamp_verification_data else []
    signature = envelope.signatures[0].sig
    if not 0 < len(stamps) <= STAMPS:
        raise NotProven(f"neither an entry in a public log nor 1 to {STAMPS} time stamps")
    cert = load_der_x509_certificate(material.certificate.raw_bytes)
    # Every stamp must hold: one that does not was put there by somebody.
    for stamp in stamps:
        _chain_holds(cert, root, _time(stamp.signed_timestamp, signature, root))
    _is_for_signing(cert)
    by.verify(cert)
    key = cert.public_key()
    if not isinstance(key, EllipticCurvePublicKey):
        raise NotProven("signed with a key of another kind than ECDSA")
    key.verify(signature, pre_authentication(envelope.payload_type, envelope.payload), ECDSA(SHA256()))
    return envelope.payload_type, envelope.payload


def _time(stamp: bytes, signature: bytes, root: TrustedRoot) -> datetime:
    """When the signature existed, by an authority of the root, while the root trusts it."""
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

    response = decode_timestamp_response(stamp)
    at: datetime = response.tst_info.gen_time
    for authority in root.get_timestamp_authorities():
        end = authority.validity_period_end
        chain = authority.certificates(allow_expired=True)
        if len(chain) < 2 or not (authority.validity_period_start <= at and (end is None or at < end)):
            continue
        builder = VerifierBuilder().tsa_certificate(chain[0]).add_root_certificate(chain[-1])
        for between in chain[1:-1]:
            builder = builder.add_intermediate_certificate(between)
        try:
            builder.build().verify_message(response, signature)
        except VerificationError:
            continue
        return at
    raise NotProven("its time stamp is not of an authority that the root trusts")


def _chain_holds(cert: Certificate, root: TrustedRoot, at: datetime) -> None:
    from cryptography.x509 import ExtendedKeyUsage
    from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store

    # The default demands the use "client authentication"; these certificates are for signing code, which
    # `_is_for_signing` demands.
    authorities = ExtensionPolicy.webpki_defaults_ca().may_be_present(ExtendedKeyUsage, Criticality.NON_CRITICAL, None)
    leaf = ExtensionPolicy.webpki_defaults_ee().may_be_present(ExtendedKeyUsage, Criticality.NON_CRITICAL, None)
    policy = PolicyBuilder().store(Store(root.get_fulcio_certs())).time(at)
    policy.extension_policies(ca_policy=authorities, ee_policy=leaf).build_client_verifier().verify(cert, [])


def _is_for_signing(cert: Certificate) -> None:
    from cryptography.x509 import ExtendedKeyUsage, KeyUsage
    from cryptography.x509.oid import ExtendedKeyUsageOID

    used = cert.extensions.get_extension_for_class(KeyUsage).value.digital_signature
    purposes = cert.extensions.get_extension_for_class(ExtendedKeyUsage).value
    if not used or ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
        raise NotProven("its certificate is not for signing")
