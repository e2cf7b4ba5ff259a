"""Who built the image that judges: verified once, before it judges, and left as `provenance.json` in the work folder.

An engine knows an image by its id, an attestation by the digest under which a registry has it. Both stand in the file:
the decision counts it only for the image whose id the suites' evidence carries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from weighin.canonical import read_json, write_json
from weighin.errors import ContractError, EvidenceError, RecordRefused
from weighin.record.attestation import BUILT, Attestation, attests, bundle_digest
from weighin.untrusted import JsonObject

SCHEMA = "weighin/provenance/v1"
FILE = "provenance.json"
DIGESTS = "WEIGHIN_IMAGE_DIGESTS"
"""Environment variable: the digests under which registries have the image of WEIGHIN_IMAGE, with commas between."""


@dataclass(frozen=True)
class Provenance:
    """The workflow that built an image, as an attestation said that was verified.

    image                         its id, as evidence is bound to it
    digest                        `sha256:<hex>` of what the attestation is about
    issuer, workflow, repository  the identity that was demanded and found
    bundle                        `sha256:<hex>` of the attestation
    """

    image: str
    digest: str
    issuer: str
    workflow: str
    repository: str
    bundle: str

    def write(self, work: Path) -> None:
        """Leave `provenance.json`."""
        write_json(work / FILE, {"schema": SCHEMA, **asdict(self)})

    @staticmethod
    def read(work: Path) -> Provenance | None:
        """Return what was left, or None for nothing. Errors: `EvidenceError` for a damaged file."""
        path = work / FILE
        if not path.exists() and not path.is_symlink():
            return None
        value = read_json(path, SCHEMA)
        del value["schema"]
        return Provenance.of(value, str(path))

    @staticmethod
    def of(value: JsonObject, place: str) -> Provenance:
        """From its fields. Errors: `EvidenceError` where one is absent, empty, or too many."""
        try:
            found = Provenance(**value)
        except TypeError as error:
            raise EvidenceError(
                f"damaged ({type(error).__name__})", place, "Run `weighin step provenance` again."
            ) from error
        if not all(isinstance(v, str) and v for v in asdict(found).values()):
            raise EvidenceError("damaged: an empty field", place, "Run `weighin step provenance` again.")
        return found


def verify_image(name: str, image: str, known_as: Iterable[str], attestation: Attestation) -> Provenance:
    """Verify who built an image.

    name      the image by digest, `...@sha256:<hex>`, or the digest alone
    image     its id
    known_as  the digests under which the engine got it; one of them, or the id, must be the one that is named
    Errors: `RecordRefused`, `ContractError`.
    """
    digest = name.rpartition("@")[2]
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise ContractError("an image without a digest", name, "Name it as NAME@sha256:..., as the registry has it.")
    if digest not in (image, *known_as):
        raise RecordRefused(f"the image that judges is {image}, which no registry has as {digest}", name)
    attests(attestation.bundle, digest, BUILT, attestation.by, attestation.trusted_root)
    by = attestation.by
    return Provenance(image, digest, by.issuer, by.workflow, by.repository, bundle_digest(attestation.bundle))


def proven(work: Path, image: str) -> dict[str, str] | None:
    """Return what stands in the record: the provenance of this very image, or None. Errors: `EvidenceError`."""
    found = Provenance.read(work)
    return asdict(found) if found is not None and image and found.image == image else None
