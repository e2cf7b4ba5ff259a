"""What a pull request changes in the rules by which it is judged: limits, and the files of contract, suites, engine,
policy, image and workflows. Both sides are folders: a checkout of the base, and one of the merge.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from weighin.contract.own import own_suites
from weighin.contract.reading import ContractFile, read_contract
from weighin.contract.stricter import Compared, LimitChange, compare
from weighin.errors import ContractError, EvidenceError
from weighin.record.encode import file_digest, read_json

SCHEMA = "weighin/changes/v1"
FILE = "changes.json"
Kind = Literal["contract", "suites", "engine", "policy", "workflows", "image"]
PATTERNS: Mapping[Kind, tuple[str, ...]] = {
    "suites": ("validation_tests/*", "great_expectations/*"),
    "engine": ("weighin/*", "scripts/*"),
    "policy": ("policy/*", ".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"),
    "workflows": (".github/workflows/*", ".github/actions/*", ".github/dependabot.yml"),
    "image": ("Dockerfile", ".dockerignore", "requirements*.txt", "pyproject.toml"),
}
SKIPPED = (".git", "__pycache__")


@dataclass(frozen=True)
class FileChange:
    """A file of one of the kinds. `how` is added, removed or changed."""

    kind: Kind
    path: str
    how: Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class Changes:
    """What a pull request changes.

    files, limits, measured  as far as they differ
    reviewed                 whether a maintainer has said that the new limits may decide
    note                     why limits were not compared, where they were not
    """

    files: tuple[FileChange, ...]
    limits: tuple[LimitChange, ...] = ()
    measured: tuple[str, ...] = ()
    reviewed: bool = False
    note: str = ""

    def value(self) -> dict[str, Any]:
        """As plain values, of `changes.json`."""
        return {"schema": SCHEMA, **asdict(self)}

    @staticmethod
    def read(path: Path) -> Changes | None:
        """What was left, or None for nothing. Errors: `EvidenceError` for a damaged file."""
        if not path.exists() and not path.is_symlink():
            return None
        value = read_json(path, SCHEMA)
        try:
            return Changes(
                tuple(FileChange(**f) for f in value["files"]),
                tuple(LimitChange(**c) for c in value["limits"]),
                tuple(str(m) for m in value["measured"]),
                bool(value["reviewed"]),
                str(value["note"]),
            )
        except (KeyError, TypeError) as error:
            raise EvidenceError(f"damaged ({type(error).__name__})", str(path), "Judge again.") from error


def changes(file: ContractFile, base: Path, *, reviewed: bool) -> tuple[Changes, Compared | None]:
    """What a pull request changes, and both contracts together.

    file      the contract of the pull request, in a checkout of it that is the current folder
    base      a checkout of the branch that it wants to join
    reviewed  whether a maintainer has said that the limits of the pull request may decide
    Errors: `ContractError` when there is no such folder, or when the base has the contract and it cannot be read.
    """
    if not base.is_dir():
        raise ContractError("no checkout of the base", str(base), "Check it out, or leave --base out.")
    head = Path.cwd()
    place = file.path.resolve().relative_to(head.resolve()).as_posix()
    policy = file.contract.promotion.policy
    own: dict[Kind, tuple[str, ...]] = {"contract": (place,)}
    if policy:
        own["policy"] = (os.path.normpath(Path(place).parent / policy),)
    files = tuple(_files(head, base, own))
    if not (base / place).is_file():
        return Changes(files, reviewed=reviewed, note=f"{place} is new: there is nothing to compare it with"), None
    theirs = read_contract(base / place)
    both = replace(compare(file.contract, theirs.contract), own=own_suites(theirs.folder))
    return Changes(files, both.limits, both.measured, reviewed), None if reviewed else both


def _files(head: Path, base: Path, own: Mapping[Kind, tuple[str, ...]]) -> Iterator[FileChange]:
    aside = base.resolve()
    before, after = _listed(base, own, None), _listed(head, own, aside)
    for path in sorted({*before, *after}):
        kind = (before.get(path) or after.get(path) or ("contract", Path()))[0]
        if path not in before:
            yield FileChange(kind, path, "added")
        elif path not in after:
            yield FileChange(kind, path, "removed")
        elif _content(before[path][1]) != _content(after[path][1]):
            yield FileChange(kind, path, "changed")


def _content(path: Path) -> str:
    return f"link {os.readlink(path)}" if path.is_symlink() else file_digest(path)


def _listed(root: Path, own: Mapping[Kind, tuple[str, ...]], aside: Path | None) -> dict[str, tuple[Kind, Path]]:
    found: dict[str, tuple[Kind, Path]] = {}
    for parent, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in SKIPPED and (Path(parent) / f).resolve() != aside]
        for name in names:
            path = Path(parent) / name
            kind = _kind(path.relative_to(root).as_posix(), own)
            if kind is not None:
                found[path.relative_to(root).as_posix()] = (kind, path)
    return found


def _kind(path: str, own: Mapping[Kind, tuple[str, ...]]) -> Kind | None:
    for kinds in (own, PATTERNS):
        for kind, patterns in kinds.items():
            if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
                return kind
    return None
