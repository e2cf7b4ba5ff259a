"""`weighin verify` and `weighin keygen`: whether a record holds, and a key to sign records with."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from weighin.cli.parser import attestation_arguments, example, trusted_key_argument
from weighin.errors import ContractError

if TYPE_CHECKING:
    from weighin.record.attestation import Attestation


def add_verify(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin verify`."""
    command.add_argument("record", type=Path, help="record.json, or record.dsse.json, which is signed")
    trusted_key_argument(command, "a public key (repeatable)")
    command.add_argument("--digest", default="", help="sha256:<hex> of the record, where it is known from elsewhere")
    attestation_arguments(command, "attestation of the record, a Sigstore bundle")
    example(command, "weighin verify reports/record.dsse.json --trusted-key release.key.pub")
    command.set_defaults(run=run_verify)


def add_keygen(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin keygen`."""
    command.add_argument("file", type=Path, help="where the private key goes; the public one goes to FILE.pub")
    example(command, "weighin keygen release.key")
    command.set_defaults(run=run_keygen)


def attestation_of(given: argparse.Namespace) -> Attestation | None:
    """Return the attestation that is demanded, or None. Errors: `ContractError` for an incomplete identity."""
    from weighin.record.attestation import Attestation, Identity

    if given.attestation is None:
        for name in ("issuer", "workflow", "repository", "trusted_root"):
            if getattr(given, name):
                option = f"--{name.replace('_', '-')}"
                raise ContractError("nothing is attested without a bundle", option, "Give it with --attestation.")
        return None
    return Attestation(
        given.attestation, Identity.of(given.issuer, given.workflow, given.repository), given.trusted_root
    )


def run_verify(given: argparse.Namespace) -> int:
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


def run_keygen(given: argparse.Namespace) -> int:
    """Make a key to sign with, and print its public half."""
    from weighin.record.signature import KEY, make_key

    made = make_key(given.file)
    print(f"{made}\n{given.file} signs ({KEY}), {given.file}.pub is to be trusted.")
    return 0


COMMANDS = {"verify": add_verify, "keygen": add_keygen}
