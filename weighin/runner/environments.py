"""Environments of models, kept by what they are made of: built once, and offline afterwards. Standard library only.

They lie below the user's cache, or where WEIGHIN_ENVIRONMENTS says: a folder for each, named by the digest of what a
model declares and of what builds it. A folder that is not complete has another name.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from weighin.runner.collect import remove
from weighin.runner.prepare import ENV, PACKAGES

PLACE = "WEIGHIN_ENVIRONMENTS"
KEPT = 8
"""So many environments are kept; those that were used longest ago make room."""
READY = "ready.json"
PACKAGES_BYTES = 2**20
NOTE = ".environment.json"
"""End of the file beside a role's predictions that says in which environment it was asked."""
_CODE = re.compile(r".*ended with code 7: ", re.DOTALL)
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")
_VERSION = re.compile(r"[A-Za-z0-9.+!]{1,60}")


def home() -> Path:
    """Return the folder of all environments."""
    named = os.environ.get(PLACE)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else cache / "weighin/environments"


def declared(model: Path) -> Path | None:
    """Return the file in which a model declares its packages, if it does."""
    listed = model.resolve() / "requirements.txt"
    return None if listed.is_symlink() or not listed.is_file() else listed


def environment(
    model: Path, of: str, build: Callable[[Path, Path, bool], str], *, complete: bool = True
) -> tuple[Path, str]:
    """Return the folder of a model's environment, and why there is none, or nothing.

    of        what builds it: the interpreter, or the image
    build     makes an environment of a file in an empty folder, and says why it could not
    complete  whether packages that asking a model takes are added where it does not declare them
    """
    listed = declared(model)
    if listed is None:
        return Path(), "the model declares no requirements.txt"
    key = hashlib.sha256(f"1\n{of}\n{complete}\n".encode() + listed.read_bytes()).hexdigest()[:32]
    folder = home() / key
    home().mkdir(parents=True, exist_ok=True)
    with (home() / f"{key}.lock").open("w") as lock:
        # Candidate and champion often declare the same, and are asked side by side.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / READY).is_file():
            os.utime(folder)
            return folder, ""
        problem = _made(folder, lambda made: build(listed, made, complete))
    _make_room()
    return folder, _CODE.sub("", problem)


def _made(folder: Path, build: Callable[[Path], str]) -> str:
    """Make an environment under another name, and give it its own when it is complete; why not, or nothing."""
    made = home() / f"new-{uuid.uuid4().hex}"
    made.mkdir(mode=0o755)
    try:
        problem = build(made)
        if not problem:
            (made / READY).write_text("{}")
            # What an earlier version left there without this file is nobody's.
            remove(folder)
            made.rename(folder)
        return problem
    finally:
        remove(made)


def interpreter(folder: Path) -> Path:
    """Return the interpreter of an environment."""
    return folder / ENV / "bin/python"


def note(out: Path, python: Path) -> None:
    """Write beside a role's predictions which packages the environment of an interpreter has."""
    _note(out).write_text(json.dumps(_packages(python.parents[2] / PACKAGES)))


def noted(out: Path) -> dict[str, str]:
    """Return package -> version, as it was noted beside a role's predictions; nothing where nothing was."""
    return _packages(_note(out))


def _note(out: Path) -> Path:
    return out.with_name(out.name + NOTE)


def _packages(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            known = json.loads(file.read(PACKAGES_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    pairs = known.items() if isinstance(known, dict) else ()
    return {n: v for n, v in pairs if isinstance(v, str) and _NAME.fullmatch(n) and _VERSION.fullmatch(v)}


def _make_room() -> None:
    with contextlib.suppress(OSError):
        kept = sorted((p for p in home().iterdir() if (p / READY).is_file()), key=lambda p: p.stat().st_mtime)
        for folder in kept[:-KEPT]:
            shutil.rmtree(folder, ignore_errors=True)
