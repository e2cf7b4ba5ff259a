"""What somebody with every permission on a registry can do to a ledger: write it again so that it adds up.

One registry for all that ask, on SQLite; every `Trial` is a model of its own in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from support.promotion_trials import Stock, Trial, _stocked
from weighin.canonical import write_json
from weighin.record.signature import SIGNED, Signer, Witness, envelope, make_key, trusted_key
from weighin.registry.champion import CLAIM, ENTRY, HEAD, ChampionRegistry, claim_tag
from weighin.registry.ledger import MIRRORED, Entry
from weighin.runner.artifact import manifest_digest

FOLDERS: list[tempfile.TemporaryDirectory[str]] = []
"""Held until this process ends."""


@cache
def stock() -> Stock:
    """Versions of models in a registry of this process."""
    # In memory where that can be had: a promotion is a hundred small commits, each of which waits for the disk.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    FOLDERS.append(tempfile.TemporaryDirectory(prefix="weighin-ledger-", dir=memory))
    folder = Path(FOLDERS[-1].name)
    make_key(folder / "key")
    uri = f"sqlite:///{folder}/mlflow.db"
    # In this process, unlike `Stock.of`: nothing here forks, and other attacks may have left threads.
    return Stock(uri, _stocked(uri, folder, 4), folder)


def trial(*promoted: int) -> Trial:
    """A model with four versions, of which the first is champion by its alias, and these were really promoted since."""
    found = Trial(stock(), f"m{uuid.uuid4().hex[:8]}")
    found.set_up()
    for before, after in zip((1, *promoted), promoted, strict=False):
        found.promote(after, before)
    return found


@cache
def _template() -> Trial:
    found = trial(2, 3)
    for folder in _folders(found):
        shutil.copytree(folder, found.stock.folder / "template" / folder.name)
    _copy(found.stock.folder / "mlflow.db", found.stock.folder / "template.db")
    return found


def _folders(of: Trial) -> list[Path]:
    return [of.stock.folder / "artifacts", *of.stock.folder.glob(f"{of.name}-*")]


def _copy(database: Path, to: Path) -> None:
    # Not the bytes of the file: a process that has it open would not notice that its pages are others.
    with contextlib.closing(sqlite3.connect(database)) as one, contextlib.closing(sqlite3.connect(to)) as other:
        one.backup(other)


def promoted_twice() -> Trial:
    """`trial(2, 3)`, the same one again as it was: a promotion takes a second."""
    found = _template()
    home = found.stock.folder
    for folder in _folders(found):
        shutil.rmtree(folder)
    shutil.copytree(home / "template", home, dirs_exist_ok=True)
    _copy(home / "template.db", home / "mlflow.db")
    return found


def trusted() -> list[Any]:
    """The key that signs here."""
    return [trusted_key(stock().folder / "key.pub")]


def kept_elsewhere(of: Trial, number: int, champion: int) -> Path:
    """The signed record of a promotion, which its job left."""
    return of.case(number, champion).reports / "record.dsse.json"


def files_of(champions: ChampionRegistry, entry: Entry) -> Path:
    """The folder in which the files of an entry lie."""
    return Path(champions.registry._client.get_run(entry.run_id).info.artifact_uri.removeprefix("file://"))


def delete_ledger(champions: ChampionRegistry, *, claims: bool = True) -> None:
    """Delete a ledger, with the aliases, and with what the tags of the versions say of it."""
    client = champions.registry._client
    client.delete_registered_model(champions.ledger.name)
    for alias in champions.registry.aliases(champions.model):
        client.delete_registered_model_alias(champions.model, alias)
    for version in champions.registry.entries(champions.model):
        for tag in dict(version.tags):
            if tag in (ENTRY, HEAD) or (claims and tag.startswith(CLAIM)):
                client.delete_model_version_tag(champions.model, version.version, tag)


def rewrite(
    champions: ChampionRegistry, change: Callable[[list[Entry]], list[Entry]], by: Signer | None = None
) -> list[Entry]:
    """Delete the ledger and write it again, changed, with all sums, claims, tags and aliases as they belong to it.

    by  signs the records again, for who has the key as well
    """
    entries = champions.ledger.entries()
    delete_ledger(champions)
    written: list[Entry] = []
    for entry in change(entries):
        new = replace(entry, parent=written[-1].sum if written else "")
        if by and new.action == "promote":
            folder = files_of(champions, entry)
            record = json.loads((folder / "record.json").read_bytes())
            write_json(
                folder / SIGNED, envelope(record, by, Witness(champions.ledger.name, new.parent, new.content_hash))
            )
        if new.evidence != entry.evidence or files_of(champions, entry).is_dir():
            new = replace(new, evidence=manifest_digest(files_of(champions, entry)))
        champions.registry.tag(champions.model, new.after, {claim_tag(new): "now"})
        number = champions.registry.add_entry(champions.ledger.name, entry.run_id, {**new.tags(), MIRRORED: "now"})
        new = replace(new, number=number, mirrored=True)
        champions.registry.tag(champions.model, new.after, {ENTRY: str(number), HEAD: new.sum})
        written.append(new)
    if written:
        champions.registry.move_alias(champions.model, champions.champion, written[-1].after)
        if written[-1].before:
            champions.registry.move_alias(champions.model, champions.previous, written[-1].before)
    return written


def tamper_record(path: Path, **changes: Any) -> None:
    """Write a record with other values, in its canonical form."""
    write_json(path, json.loads(path.read_bytes()) | changes)
