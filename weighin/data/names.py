"""Names of columns, and of the folders that are columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from weighin.errors import NotEvaluated


def must_differ(names: Iterable[str], types: Iterable[str], place: str) -> None:
    """Refuse a table in which a name stands twice. Errors: `NotEvaluated`."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        known = [name for name in twice if name in set(types)]
        shown = f"column {', '.join(known)}" if known else f"{len(twice)} columns that the contract does not list"
        raise NotEvaluated(f"{shown}: the name stands there more than once", place, "Rename or drop one.")


def partitions(files: Iterable[str], root: str) -> list[str]:
    """Return the columns that stand in the names of folders below a root, as in `day=2024-12-31/a.parquet`."""
    found: dict[str, None] = {}
    for file in files:
        below = file[len(root) :] if file.startswith(root) else file
        parts = (part.partition("=") for part in PurePosixPath(below).parent.parts)
        found |= dict.fromkeys(name for name, sign, _ in parts if sign)
    return list(found)
