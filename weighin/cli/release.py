"""Who is champion, and was, and is to be again: `weighin rollback`, `history`, `deploy`, `serve --follow`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from weighin.contract import read_contract
from weighin.errors import ContractError, EvidenceError, PromotionError
from weighin.registry.champion import Titles
from weighin.registry.mlflow import Registry

if TYPE_CHECKING:
    from weighin.record.history import Checked


def titles_of(given: argparse.Namespace) -> Titles:
    """The champion of the contract's model."""
    return Titles.of(read_contract(given.contract).contract.model, Registry())


def rollback(given: argparse.Namespace) -> int:
    """Make an earlier version champion again."""
    from weighin.release.rollback import rollback as go_back

    titles, spec = titles_of(given), read_contract(given.contract).contract.deploy
    done = go_back(
        titles,
        given.to,
        owner=given.owner,
        reason=given.reason,
        emergency=given.emergency,
        dry_run=given.dry_run,
        spec=spec,
    )
    if done.before == done.after:
        print(f"`{titles.champion}` of {titles.model} is version {done.after} already")
    else:
        word = "would move" if done.entry is None else "moved"
        print(f"`{titles.champion}` of {titles.model} {word}: version {done.before} -> version {done.after}")
    if done.entry is not None and done.entry.emergency:
        print("EMERGENCY: to a version that was not gated, or has changed since.")
    if done.proof:
        print(f"The servers serve it: {done.proof.answers} answers in a row, after {done.proof.seconds:g} s.")
    elif not given.dry_run:
        print("Whether servers follow was not asked: the contract has no `deploy`.", file=sys.stderr)
    return 0


def deploy(given: argparse.Namespace) -> int:
    """Tell the servers to load the champion, and ask them until they do."""
    from weighin.release.deploy import bring, prove

    titles, file = titles_of(given), read_contract(given.contract)
    spec = file.contract.deploy
    if spec is None:
        raise ContractError("the contract has no `deploy`", str(file.path), "Say how servers prove whom they serve.")
    head, champion = titles.settle(look_only=given.check)
    if head is None:
        raise PromotionError("nothing was promoted yet, so no digest is known", titles.model, "Promote a version.")
    proof = prove(spec, head.artifact) if given.check else bring(titles, head, spec)
    print(f"version {champion} {proof.digest}: {proof.answers} answers in a row, after {proof.seconds:g} s")
    return 0


def accept(given: argparse.Namespace) -> int:
    """Copy a version that was promoted elsewhere, with its record, and make it champion here."""
    from weighin.record.signature import trusted_key
    from weighin.release.import_version import accept as receive

    titles, file = titles_of(given), read_contract(given.contract)
    source = titles.registry if given.source == "same" else Registry(given.source)
    keys = [trusted_key(path) for path in given.trusted_key]
    done = receive(file, titles, source, given.version, keys, dry_run=given.dry_run)
    word = "would move" if done.entry is None else "moved"
    print(f"{given.version} is version {done.version or '(not copied yet)'} of {done.model}, record {done.record}")
    print(
        f"`{titles.champion}` of {done.model} {word}: version {done.before or 'none'} -> {done.version or 'the copy'}"
    )
    return 0


def serve_champion(given: argparse.Namespace) -> int:
    """Serve the champion, and at SIGHUP the champion of then."""
    from weighin.prediction_log.sinks import sink_for
    from weighin.prediction_log.tables import LogTables
    from weighin.serving.follow import follow

    file = read_contract(given.contract)
    log = None if file.contract.monitor is None else LogTables.of(file)
    if log is not None:
        # Now, while somebody looks, rather than in a worker's log.
        sink_for(log)
    return follow(titles_of(given), given.host, given.port, given.pid_file, log)


def history(given: argparse.Namespace) -> int:
    """Who was champion, since when, by whom, and on what evidence; 1 where something of it does not hold."""
    from weighin.record.attestation import Attestation, Identity
    from weighin.record.history import check_history, check_witness
    from weighin.record.signature import trusted_key

    titles, trusted = titles_of(given), [trusted_key(path) for path in given.trusted_key]
    if given.restore:
        titles.settle(restore=True)
    attestation = None
    if given.issuer or given.workflow:
        # Its bundle is the one that is kept for each entry.
        who = Identity.of(given.issuer, given.workflow, given.repository)
        attestation = Attestation(Path(), who, given.trusted_root)
    checked = check_history(titles, trusted, attestation)
    if given.json:
        listed = [
            {**asdict(c.entry), "sum": c.entry.sum, "problems": c.problems, "signed_by": c.signed_by} for c in checked
        ]
        print(json.dumps(listed, indent=1))
    else:
        _table(titles, checked)
    wrong = [f"entry {c.entry.number}: {problem}" for c in checked for problem in c.problems]
    for path in given.witness:
        try:
            entry = check_witness(path, titles, trusted)
        except EvidenceError as error:
            wrong.append(str(error))
        else:
            print(f"{path}: entry {entry.number} is as it was signed" if trusted else f"{path}: entry {entry.number}")
    for sentence in wrong:
        print(f"weighin: {_printable(sentence)}", file=sys.stderr)
    titles.settle(look_only=True)
    return 1 if wrong else 0


def _table(titles: Titles, checked: list[Checked]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{titles.model}: who was `{titles.champion}`", title_justify="left")
    for column in ("entry", "when", "what", "version", "by", "record", "evidence", "since the anchor", "served", "why"):
        table.add_column(column)
    for c in checked:
        e = c.entry
        style = "bold red" if e.emergency or c.problems else None
        what = f"{e.action} (EMERGENCY)" if e.emergency else e.action
        why = f"{e.reason} ({e.owner})" if e.owner else e.reason
        version, change = f"{e.before or 'none'} → {e.after}", e.change.replace("performance/", "")
        evidence = "DOES NOT HOLD" if c.problems else f"signed {c.signed_by[:19]}" if c.signed_by else "holds"
        cells = (str(e.number), e.created, what, version, e.who, e.record[:19], evidence, change, e.served, why)
        table.add_row(*(_inert(cell) for cell in cells), style=style)
    Console().print(table)


def _inert(cell: str) -> str:
    """Text that a terminal shows and does not obey."""
    from rich.markup import escape

    return escape(_printable(cell))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
