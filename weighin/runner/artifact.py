"""The digest of a model's files, and whether a folder still holds what was resolved. Standard library only."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from weighin.untrusted.redact import cause

LEFT_OUT = "registered_model_meta"
"""MLflow adds it on some downloads, and it is no part of the model."""


def manifest(folder: Path) -> dict[str, str]:
    """Relative path -> `sha256:<hex>` of every file of a folder.

    Errors: `ValueError` for a link, which may point to anything.
    """
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise ValueError(f"`{name}` is a link")
        if path.is_file() and name != LEFT_OUT:
            with path.open("rb") as file:
                found[name] = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    return found


def manifest_digest(folder: Path) -> str:
    """`sha256:<hex>` over the sorted manifest of a folder as canonical JSON.

    Errors: as for `manifest`, and `ValueError` for a name that is not Unicode.
    """
    found = manifest(folder)
    # RFC 8785: sorted by UTF-16 code units, no spaces, everything unescaped that may be.
    ordered = {name: found[name] for name in sorted(found, key=lambda n: n.encode("utf-16-be"))}
    data = json.dumps(ordered, ensure_ascii=False, separators=(",", ":")).encode()
    return "sha256:" + hashlib.sha256(data).hexdigest()


def changed(work: Path, role: str) -> str:
    """Why the model of a role must not be started: a sentence, or nothing where its files are those that were resolved.

    work  what `weighin step resolve` left
    """
    folder = work / "models" / role
    try:
        known = json.loads((work / "subject.json").read_bytes())[role]
        resolved = known.get("predictions") or known["digest"]
        found = manifest_digest(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"the files of the {role} cannot be compared with what was resolved ({cause(error)})"
    return "" if found == resolved else f"the files of the {role} are {found}, and {resolved} was resolved"
