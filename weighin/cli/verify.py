"""The commands about who made something: verify a record, verify who built an image, say what is to be attested."""

from __future__ import annotations

import argparse
import os
import sys

from weighin.canonical import write_json
from weighin.errors import ContractError, NotEvaluated
from weighin.record.attestation import Attestation, Identity
from weighin.record.attestation import predicate as head

PREDICATE = "predicate.json"


def attestation_of(given: argparse.Namespace) -> Attestation | None:
    """The attestation that is demanded, or None. Errors: `ContractError` for an identity that is not told in full."""
    if given.attestation is None:
        for name in ("issuer", "workflow", "repository", "trusted_root"):
            if getattr(given, name):
                option = f"--{name.replace('_', '-')}"
                raise ContractError("nothing is attested without a bundle", option, "Give it with --attestation.")
        return None
    return Attestation(
        given.attestation, Identity.of(given.issuer, given.workflow, given.repository), given.trusted_root
    )


def verify(given: argparse.Namespace) -> int:
    """Say whether a record holds."""
    from weighin.record.signature import trusted_key
    from weighin.record.verify import verify as verified

    found = verified(given.record, [trusted_key(p) for p in given.trusted_key], given.digest, attestation_of(given))
    candidate, verdict = found.record["candidate"], found.record["verdict"]["status"]
    how = f"signed by {found.signed_by}" if found.signed_by else "unsigned"
    how += f"; attested by {found.attested_by}" if found.attested_by else ""
    print(f"{candidate['name']} version {candidate['version'] or 'unregistered'}: {verdict}; {how}; {found.digest}")
    print("Every outcome follows from its stored measurement.")
    if not found.signed_by and not found.attested_by and not given.digest:
        print(
            "Who made it is not proven: give --trusted-key and the signed record, --attestation, or --digest.",
            file=sys.stderr,
        )
    return 0


def provenance(given: argparse.Namespace) -> int:
    """Verify who built the image that judges, and leave it for the decision."""
    from weighin.record.provenance import DIGESTS, FILE, verify_image
    from weighin.runner import sandbox

    attestation = attestation_of(given)
    if attestation is None:
        raise ContractError("no attestation of the image", "--attestation", "Give the bundle that its build left.")
    # Inside a container the runner has told both; outside, the engine knows.
    image, known = os.environ.get("WEIGHIN_IMAGE", ""), os.environ.get(DIGESTS, "").split(",")
    if not image:
        try:
            image, known = sandbox.identity(given.image), sandbox.digests(given.image)
        except sandbox.NoEngineError as error:
            raise NotEvaluated(str(error), f"image {given.image}") from error
    found = verify_image(given.image, image, known, attestation)
    found.write(given.work)
    print(f"{found.digest}: built by {found.workflow} in {found.repository}; {given.work / FILE}")
    return 0


def predicate(given: argparse.Namespace) -> int:
    """Judge again from the evidence; if the record says the same, and it passed, write what is to be attested of it."""
    from weighin.contract import read_contract
    from weighin.release.promote import checked_record
    from weighin.verdict.judge import decide_again

    file = read_contract(given.contract)
    subject, binding, decision = decide_again(file, given.work, given.reports)
    record = checked_record(file, subject, decision, given.reports, work=given.work, image=binding.image)
    write_json(given.reports / PREDICATE, head(record.record))
    print(f"{record.digest} passed, and may be attested: {given.reports / PREDICATE}")
    return 0
