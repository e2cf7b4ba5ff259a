"""What a pull request changes: limits, and every file by its digest, told apart by what it is for.

Both sides are folders: a checkout of the base, and one of the pull request.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from weighin.canonical import file_digest, read_json
from weighin.contract.models import Contract
from weighin.contract.own import own_suites
from weighin.contract.reading import ContractFile, read_contract
from weighin.contract.sources import Feast, Files, Source
from weighin.contract.stricter import Compared, LimitChange, compare
from weighin.errors import ContractError, EvidenceError
from weighin.untrusted import JsonDict

SCHEMA = "weighin/changes/v2"
FILE = "changes.json"
Kind = Literal[
    "contract",
    "data",
    "metrics",
    "suites",
    "policy",
    "owners",
    "engine",
    "image",
    "workflows",
    "code",
    "requirements",
    "other",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order in which they are shown: what decides first."""
DECIDES: tuple[Kind, ...] = ("contract", "data", "metrics", "suites", "policy", "engine", "image")
"""Taken from the base until a maintainer has reviewed them, but for the limits of the contract: the stricter decide."""
PATTERNS: Mapping[Kind, tuple[str, ...]] = {
    "suites": (
        *("validation_tests/*", "*/validation_tests/*", "great_expectations/*", "*/great_expectations/*"),
        *("conftest.py", "*/conftest.py", "pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg"),
    ),
    "policy": ("policy/*",),
    "owners": (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"),
    "engine": ("weighin/*",),
    "image": ("Dockerfile", ".dockerignore"),
    "workflows": (
        *(".github/workflows/*", ".github/actions/*", ".github/dependabot.yml"),
        *("actions/*/action.yml", "actions/image-ready.sh"),
    ),
    "requirements": (
        "requirements*.txt",
        "*/requirements*.txt",
        "pyproject.toml",
        "*.lock",
        "environment*.y*ml",
        "conda*.y*ml",
    ),
    "code": (
        "scripts/*",
        *(f"*.{end}" for end in ("py", "pyi", "pyd", "so", "pth", "ipynb", "R", "sh", "jar", "scala", "java")),
    ),
}
DATASETS = ("holdout", "reference", "current", "sealed_holdout")
SKIPPED = (".git", "__pycache__", ".venv")
SCRATCH = (
    *(
        ".weighin",
        "reports",
        "weighin-base",
        "weighin-candidate",
        "weighin-drill",
        "weighin-drilled",
        "weighin-image",
        "weighin-promotion",
        "weighin-monitor.txt",
    ),
    *("weighin-registry", "weighin-released", "weighin-suites", "weighin-work", "weighin-attestation"),
)
"""What a workflow leaves in the folder of a checkout; it removes what a repository holds there."""


@dataclass(frozen=True)
class FileChange:
    """A file of one of the kinds. `how` is added, removed or changed."""

    kind: Kind
    path: str
    how: Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class Review:
    """A maintainer's review of a pull request at one commit."""

    commit: str
    by: str


@dataclass(frozen=True)
class Changes:
    """What a pull request changes.

    files, limits, measured  as far as they differ
    review                   by which its files decide, and not those of the base
    note                     why limits were not compared, where they were not
    drill                    what a drill of both sides says, in sentences
    """

    files: tuple[FileChange, ...]
    limits: tuple[LimitChange, ...] = ()
    measured: tuple[str, ...] = ()
    review: Review | None = None
    note: str = ""
    drill: tuple[str, ...] = ()

    @property
    def deciding(self) -> tuple[FileChange, ...]:
        """Files that would change the decision, or who may change it."""
        return tuple(f for f in self.files if f.kind in DECIDES)

    def value(self) -> JsonDict:
        """As plain values, of `changes.json`."""
        return {"schema": SCHEMA, **asdict(self)}

    @staticmethod
    def read(path: Path) -> Changes | None:
        """Return what was left, or None for nothing. Errors: `EvidenceError` for a damaged file."""
        if not path.exists() and not path.is_symlink():
            return None
        value = read_json(path, SCHEMA)
        try:
            return Changes(
                tuple(FileChange(**f) for f in value["files"]),
                tuple(LimitChange(**c) for c in value["limits"]),
                tuple(str(m) for m in value["measured"]),
                None if value["review"] is None else Review(**value["review"]),
                str(value["note"]),
                tuple(str(s) for s in value.get("drill", ())),
            )
        except (KeyError, TypeError) as error:
            raise EvidenceError(f"damaged ({type(error).__name__})", str(path), "Judge again.") from error


def changes(
    file: ContractFile, base: Path, *, head: Path | None = None, review: Review | None = None
) -> tuple[Changes, Compared | None]:
    """Return what a pull request changes, and both contracts together, where the stricter of them decides.

    file    the contract of the pull request, in a repository that is the current folder
    base    a checkout of the branch that it wants to join
    head    a checkout of the pull request; by default the current folder
    review  by which the files and limits of the pull request decide
    Errors: `ContractError` when there is no such folder, or when the base has the contract and it cannot be read.
    """
    for folder, option in ((base, "--base"), *([(head, "--head")] if head else [])):
        if not folder.is_dir():
            raise ContractError("no such checkout", str(folder), f"Check it out, or leave {option} out.")
    here = Path.cwd().resolve()
    place = file.path.resolve().relative_to(here).as_posix()
    theirs = read_contract(base / place) if (base / place).is_file() else None
    own = named_files(place, file.contract, theirs.contract if theirs else file.contract)
    files = tuple(sorted(_files(head or here, base, own), key=lambda f: (KINDS.index(f.kind), f.path)))
    if theirs is None:
        return Changes(files, review=review, note=f"{place} is new: there is nothing to compare it with"), None
    both = replace(compare(file.contract, theirs.contract), own=own_suites(theirs.folder))
    return Changes(files, both.limits, both.measured, review), None if review else both


def _paths(source: Source | None) -> tuple[str, ...]:
    """Return the files and folders that rows come from; a feature repository holds code that decides what they are."""
    if isinstance(source, Feast):
        return source.feast.repository, source.feast.entities
    return (source.path,) if isinstance(source, Files) else ()


def named_files(place: str, *contracts: Contract) -> Mapping[Kind, tuple[str, ...]]:
    """Patterns of the files that decide and that contracts name; a folder stands for all that is in it.

    place  of the contract, relative to the repository
    """
    folder = Path(place).parent
    found: dict[Kind, tuple[str, ...]] = {"contract": (place,), "policy": (), "metrics": (), "data": ()}
    for contract in contracts:
        gates = contract.gates
        custom = gates.performance.custom.values() if gates.performance else ()
        modules = {metric.function.partition(":")[0].replace(".", "/") for metric in custom}
        named = [f"{module}{end}" for module in sorted(modules) for end in (".py", "/__init__.py")]
        if gates.load and gates.load.locustfile:
            named.append(gates.load.locustfile)
        data = [path for name in DATASETS for path in _paths(contract.data.source(name))]
        data += [contract.data.training or ""]
        # The candidate's are what a pull request is about; those of the champion decide how good it must be.
        data += [contract.model.champion.predictions or ""] if contract.model.champion else []
        data += [score.given or "" for score in gates.performance.scores.values()] if gates.performance else []
        data += [r.table for r in gates.data_quality.references] if gates.data_quality else []
        data += contract.labels.files if contract.labels else []
        for kind, paths in (("metrics", named), ("data", data), ("policy", [contract.promotion.policy or ""])):
            whole = [os.path.normpath(folder / path) for path in paths if path and "://" not in path]
            found[kind] += (*whole, *(f"{path}/*" for path in whole))  # type: ignore[index]
    return found


def _files(head: Path, base: Path, own: Mapping[Kind, tuple[str, ...]]) -> Iterator[FileChange]:
    before, after = _listed(base), _listed(head)
    for path in sorted({*before, *after}):
        kind = _kind(path, own)
        if path not in before:
            yield FileChange(kind, path, "added")
        elif path not in after:
            yield FileChange(kind, path, "removed")
        elif _differ(before[path], after[path]):
            yield FileChange(kind, path, "changed")


def _differ(one: Path, other: Path) -> bool:
    """Whether two files differ. A link is compared as one, and not followed."""
    if one.is_symlink() and other.is_symlink():
        return os.readlink(one) != os.readlink(other)
    if one.is_symlink() or other.is_symlink() or not (one.is_file() and other.is_file()):
        return True
    return one.stat().st_size != other.stat().st_size or file_digest(one) != file_digest(other)


def _listed(root: Path) -> dict[str, Path]:
    """Every file and link of a checkout by its path, but for what workflows leave there."""
    found: dict[str, Path] = {}
    for parent, folders, names in os.walk(root):
        inner = Path(parent)
        links = [f for f in folders if (inner / f).is_symlink()]
        top = inner == root
        folders[:] = [f for f in folders if f not in SKIPPED and f not in links and not (top and f in SCRATCH)]
        for name in (*names, *links):
            if not (top and name in SCRATCH):
                found[(inner / name).relative_to(root).as_posix()] = inner / name
    return found


def _kind(path: str, own: Mapping[Kind, tuple[str, ...]]) -> Kind:
    for kinds in (own, PATTERNS):
        for kind, patterns in kinds.items():
            if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
                return kind
    return "other"
