"""`weighin rollback` and `weighin history`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from weighin.contract import read_contract
from weighin.registry.champion import Titles
from weighin.registry.mlflow import Registry


def titles_of(given: argparse.Namespace) -> Titles:
    """The champion of the contract's model."""
    model = read_contract(given.contract).contract.model
    return Titles(Registry(), model.name, model.aliases.champion, model.aliases.previous)


def rollback(given: argparse.Namespace) -> int:
    """Make an earlier version champion again."""
    from weighin.rollback import rollback as go_back

    titles = titles_of(given)
    done = go_back(
        titles,
        given.to,
        owner=given.owner,
        reason=given.reason,
        emergency=given.emergency,
        dry_run=given.dry_run,
    )
    if done.before == done.after:
        print(f"`{titles.champion}` of {titles.model} is version {done.after} already")
        return 0
    word = "would move" if done.entry is None else "moved"
    print(f"`{titles.champion}` of {titles.model} {word}: version {done.before} -> version {done.after}")
    if done.entry is not None and done.entry.emergency:
        print("EMERGENCY: to a version that was not gated, or has changed since.")
    return 0


def history(given: argparse.Namespace) -> int:
    """Who was champion, since when, by whom, and on what evidence."""
    titles = titles_of(given)
    if given.restore:
        titles.settle(restore=True)
    entries = titles.ledger.entries()
    if given.json:
        print(json.dumps([{**asdict(e), "sum": e.sum} for e in entries], indent=1))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{titles.model}: who was `{titles.champion}`", title_justify="left")
    for column in ("entry", "when", "what", "version", "by", "record", "why"):
        table.add_column(column)
    for e in entries:
        style = "bold red" if e.emergency else None
        what = f"{e.action} (EMERGENCY)" if e.emergency else e.action
        why = f"{e.reason} ({e.owner})" if e.owner else e.reason
        cells = (str(e.number), e.created, what, f"{e.before or 'none'} → {e.after}", e.who, e.record[:19], why)
        table.add_row(*(_inert(c) for c in cells), style=style)
    Console().print(table)
    titles.settle(look_only=True)
    return 0


def _inert(cell: str) -> str:
    """Text that a terminal shows and does not obey."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() else " " for c in cell))
