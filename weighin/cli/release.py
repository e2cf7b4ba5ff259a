"""`weighin promote`, `rollback`, `history`, `approve`, `import`, `deploy`: who is champion, was, and is to be again."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from weighin.cli.parser import (
    attestation_arguments,
    contract_argument,
    dry_run_argument,
    example,
    identity_arguments,
    reports_arguments,
    trusted_key_argument,
)
from weighin.errors import ContractError, EvidenceError, PromotionError

if TYPE_CHECKING:
    from weighin.registry.champion import ChampionRegistry


def add_promote(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin promote`."""
    reports_arguments(command)
    dry_run_argument(command)
    attestation_arguments(command, "attestation of the record, without which nothing is moved")
    example(command, "WEIGHIN_SIGNING_KEY=release.key weighin promote reports")
    command.set_defaults(run=run_promote)


def add_rollback(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin rollback`."""
    contract_argument(command)
    command.add_argument("--to", default="", metavar="VERSION", help="default: the one before the present champion")
    command.add_argument("--from", dest="only_from", default="", metavar="VERSION", help="only if it is champion now")
    command.add_argument("--owner", default="", help="who answers for it")
    command.add_argument("--reason", default="", help="why")
    command.add_argument("--emergency", action="store_true", help="also to a version that was not gated")
    dry_run_argument(command)
    example(command, 'weighin rollback --owner "on-call" --reason "error rate of version 8"')
    command.set_defaults(run=run_rollback)


def add_history(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin history`."""
    contract_argument(command)
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--markdown", action="store_true", help="as a table of Markdown, the newest entry first")
    trusted_key_argument(command, "who must have signed each promotion (repeatable)")
    command.add_argument(
        "--witness", type=Path, action="append", default=[], metavar="FILE",
        help="a record that was kept elsewhere, signed or not: its entry must still be there (repeatable)",
    )  # fmt: skip
    identity_arguments(command)
    command.add_argument("--restore", action="store_true", help="move aliases back that somebody moved by hand")
    example(command, "weighin history --trusted-key release.key.pub")
    command.set_defaults(run=run_history)


def add_approve(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin approve`."""
    command.add_argument(
        "record", type=Path, nargs="?", default=Path("reports/record.json"), help="record (%(default)s)"
    )
    command.add_argument("--comment", default="", help="why")
    example(command, 'WEIGHIN_SIGNING_KEY=mine.key weighin approve reports/record.json --comment "reviewed"')
    command.set_defaults(run=run_approve)


def add_import(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin import`."""
    command.add_argument("version", help="models:/NAME/VERSION there")
    command.add_argument("--source", required=True, metavar="URI", help="the registry there, or `same`")
    trusted_key_argument(command, "who signs there (repeatable)")
    dry_run_argument(command)
    contract_argument(command)
    example(command, "weighin import models:/flight-delay/7 --source https://dev.example --trusted-key dev.pub")
    command.set_defaults(run=run_import)


def add_deploy(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin deploy`."""
    contract_argument(command)
    command.add_argument("--check", action="store_true", help="only ask the servers what they serve")
    example(command, "weighin deploy --check")
    command.set_defaults(run=run_deploy)


def champions_of(given: argparse.Namespace) -> ChampionRegistry:
    """Return the champion of the contract's model."""
    from weighin.contract import read_contract
    from weighin.registry.champion import ChampionRegistry
    from weighin.registry.mlflow import Registry

    return ChampionRegistry.of(read_contract(given.contract).contract.model, Registry())


def run_rollback(given: argparse.Namespace) -> int:
    """Make an earlier version champion again."""
    from weighin.contract import read_contract
    from weighin.release.rollback import rollback as go_back

    champions, spec = champions_of(given), read_contract(given.contract).contract.deploy
    done = go_back(
        champions,
        given.to,
        only_from=given.only_from,
        owner=given.owner,
        reason=given.reason,
        emergency=given.emergency,
        dry_run=given.dry_run,
        spec=spec,
    )
    if done.before == done.after:
        print(f"`{champions.champion}` of {champions.model} is version {done.after} already")
    else:
        word = "would move" if done.entry is None else "moved"
        print(f"`{champions.champion}` of {champions.model} {word}: version {done.before} -> version {done.after}")
    if done.entry is not None and done.entry.emergency:
        print("EMERGENCY: to a version that was not gated, or has changed since.")
    if done.proof:
        print(f"The servers serve it: {done.proof.answers} answers in a row, after {done.proof.seconds:g} s.")
    elif not given.dry_run:
        print("Whether servers follow was not asked: the contract has no `deploy`.", file=sys.stderr)
    return 0


def run_deploy(given: argparse.Namespace) -> int:
    """Tell the servers to load the champion, and ask them until they do."""
    from weighin.contract import read_contract
    from weighin.release.deploy import deploy_and_verify, verify_served_model

    champions, file = champions_of(given), read_contract(given.contract)
    spec = file.contract.deploy
    if spec is None:
        raise ContractError("the contract has no `deploy`", str(file.path), "Say how servers prove whom they serve.")
    head, champion = champions.reconcile(look_only=given.check)
    if head is None:
        raise PromotionError("nothing was promoted yet, so no digest is known", champions.model, "Promote a version.")
    proof = verify_served_model(spec, head.artifact) if given.check else deploy_and_verify(champions, head, spec)
    print(f"version {champion} {proof.digest}: {proof.answers} answers in a row, after {proof.seconds:g} s")
    return 0


def run_import(given: argparse.Namespace) -> int:
    """Copy a version that was promoted elsewhere, with its record, and make it champion here."""
    from weighin.contract import read_contract
    from weighin.record.signature import trusted_key
    from weighin.release.import_version import import_version as receive

    champions, file = champions_of(given), read_contract(given.contract)
    from weighin.registry.mlflow import Registry

    source = champions.registry if given.source == "same" else Registry(given.source)
    keys = [trusted_key(path) for path in given.trusted_key]
    done = receive(file, champions, source, given.version, keys, dry_run=given.dry_run)
    word = "would move" if done.entry is None else "moved"
    print(f"{given.version} is version {done.version or '(not copied yet)'} of {done.model}, record {done.record}")
    print(
        f"`{champions.champion}` of {done.model} {word}: version {done.before or 'none'} -> "
        f"{done.version or 'the copy'}"
    )
    return 0


def run_history(given: argparse.Namespace) -> int:
    """Who was champion, since when, by whom, and on what evidence; 1 where something of it does not hold."""
    from weighin.record.attestation import Attestation, Identity
    from weighin.record.history import check_history, check_witness
    from weighin.record.signature import trusted_key
    from weighin.report.history import champion_now, lines, markdown

    champions, trusted = champions_of(given), [trusted_key(path) for path in given.trusted_key]
    if given.restore:
        champions.reconcile(restore=True)
    attestation = None
    if given.issuer or given.workflow:
        # Its bundle is the one that is kept for each entry.
        actor = Identity.of(given.issuer, given.workflow, given.repository)
        attestation = Attestation(Path(), actor, given.trusted_root)
    checked = check_history(champions, trusted, attestation)
    if given.json:
        listed = [
            {**asdict(c.entry), "sum": c.entry.sum, "problems": c.problems, "signed_by": c.signed_by} for c in checked
        ]
        print(json.dumps(listed, indent=1))
    else:
        shown = markdown if given.markdown else lines
        print("\n".join(shown(champions.model, champions.champion, checked)))
    wrong = [f"entry {c.entry.number}: {problem}" for c in checked for problem in c.problems]
    for path in given.witness:
        try:
            entry = check_witness(path, champions, trusted)
        except EvidenceError as error:
            wrong.append(str(error))
        else:
            print(f"{path}: entry {entry.number} is as it was signed" if trusted else f"{path}: entry {entry.number}")
    if not given.json:
        named = champions.registry.aliased(champions.model, champions.champion) or ""
        print("\n".join(champion_now(champions.champion, checked, named, as_markdown=given.markdown)))
    for sentence in wrong:
        print(f"weighin: {_printable(sentence)}", file=sys.stderr)
    champions.reconcile(look_only=True)
    return 1 if wrong else 0


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def run_promote(given: argparse.Namespace) -> int:
    """Move the champion's alias, and print what was moved."""
    from weighin.cli.verify import attestation_of
    from weighin.record.signature import signer
    from weighin.registry.location import is_embedded, registry_uri
    from weighin.verdict.promote import promote

    done = promote(
        given.contract,
        reports=given.reports,
        work=given.work,
        by=signer(),
        attestation=attestation_of(given),
        image=given.image,
        dry_run=given.dry_run,
    )
    word = "would move" if given.dry_run else "already stands" if done.already else "moved"
    how = f"signed by {done.signed_by}" if done.signed_by else "unsigned"
    how += f", attested by {done.attested_by}" if done.attested_by else ""
    print(f"`{done.alias}` of {done.model} {word}: version {done.before or 'none'} -> version {done.after} ({how})")
    if done.entry:
        # In the log of the job it is a witness that whoever rewrites the registry does not reach.
        print(f"Entry {done.entry} of the ledger, {done.ledger_head}")
    if is_embedded(registry_uri()):
        print("The registry is a file of this machine: the alias moved here and nowhere else.")
    return 0


def run_approve(given: argparse.Namespace) -> int:
    """Sign that a record may be acted on."""
    from weighin.record.signature import KEY, signer
    from weighin.release.approval import approve as sign

    by = signer()
    if by is None:
        raise ContractError("no key to approve with", KEY, "Make one: weighin keygen FILE.")
    print(sign(given.record, by, given.comment))
    return 0


COMMANDS = {
    "promote": add_promote,
    "rollback": add_rollback,
    "history": add_history,
    "approve": add_approve,
    "import": add_import,
    "deploy": add_deploy,
}
