"""The documents about a record, on disk: which files there are, with their digests, and about which record they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from weighin.canonical import canonical, digest, read_json, write_json
from weighin.errors import EvidenceError

FOLDER = "documents"
"""Beside the record."""
LIST = "documents.json"
SCHEMA = "weighin/documents/v1"
KNOWN = (
    "model-card.md",
    "ml-bom.cdx.json",
    "validation-report.html",
    "validation-report.md",
    "validation-report.pdf",
)
"""Names of documents."""
REMEDY = "Write them again: weighin document."
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,60}")
LARGEST = 64 * 2**20
"""Bytes of a document."""


def write_documents(folder: Path, record: str, files: Mapping[str, bytes]) -> dict[str, str]:
    """Write documents and their list; returns the digest of each by its name.

    Documents of another record are taken away first, and the list is written last: without it there are none.
    record  digest of the record that they are about
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LIST).unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.is_symlink() or (path.is_file() and path.name in KNOWN and path.name not in files):
            path.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    digests = {name: digest(data) for name, data in files.items()}
    write_json(folder / LIST, {"schema": SCHEMA, "record": record, "files": digests})
    return digests


def read_documents(reports: Path, record: str) -> dict[str, bytes]:
    """Return the documents beside a record, and their list, by `documents/<name>`; empty where nobody wrote any.

    Errors: `EvidenceError` for documents of another record, or that are not those of their list.
    """
    folder = reports / FOLDER
    if not folder.exists():
        return {}
    listed = read_json(folder / LIST, SCHEMA)
    names = listed.get("files")
    if not isinstance(names, dict) or not names or not all(_NAME.fullmatch(n) for n in names):
        raise EvidenceError("damaged", str(folder / LIST), REMEDY)
    if listed.get("record") != record:
        raise EvidenceError("the documents are about another record", str(folder), REMEDY)
    found = {f"{FOLDER}/{LIST}": canonical(listed)}
    for name, said in sorted(names.items()):
        path = folder / name
        if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
            raise EvidenceError("the document is missing, or no regular file", str(path), REMEDY)
        data = path.read_bytes()
        if digest(data) != said:
            raise EvidenceError("the document was changed since it was written", str(path), REMEDY)
        found[f"{FOLDER}/{name}"] = data
    return found


def listing(files: Mapping[str, bytes]) -> str:
    """Return the documents among files as one line, `name digest; ...`; their own list is none of them.

    >>> listing({"record.json": b"{}", "documents/documents.json": b"{}"})
    ''
    """
    found = {name.partition("/")[2]: data for name, data in sorted(files.items()) if name.startswith(f"{FOLDER}/")}
    return "; ".join(f"{name} {digest(data)}" for name, data in found.items() if name != LIST)


def named(listed: str) -> dict[str, str]:
    """Return name -> digest of such a line.

    >>> named("a.md sha256:1; b.md sha256:2")
    {'a.md': 'sha256:1', 'b.md': 'sha256:2'}
    """
    return dict(one.split(" ", 1) for one in listed.split("; ")) if listed else {}
