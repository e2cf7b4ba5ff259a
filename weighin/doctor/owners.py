"""Who owns a path, as GitHub reads CODEOWNERS."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
"""GitHub reads the first that exists."""
LARGEST = 3 * 2**20
_OWNER = re.compile(r"@[\w-]+(/[\w.-]+)?|[^@\s]+@[^@\s]+\.[^@\s]+")


@dataclass(frozen=True)
class Owners:
    """The file, and its rules in their order: pattern and owners."""

    path: str
    rules: tuple[tuple[str, tuple[str, ...]], ...]

    def of(self, path: str) -> tuple[str, ...]:
        """Owners of a path relative to the repository. The last rule that matches counts, also one without owners."""
        found: tuple[str, ...] = ()
        for pattern, owners in self.rules:
            if matches(pattern, path):
                found = owners
        return found


def read_owners(folder: Path) -> Owners | None:
    """Return the CODEOWNERS that counts, or None. A line that GitHub does not accept is left out, as GitHub does."""
    for place in PLACES:
        path = folder / place
        if not path.is_file():
            continue
        if path.stat().st_size > LARGEST:
            return Owners(place, ())
        rules = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            words = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].split()
            if words and all(_OWNER.fullmatch(w) for w in words[1:]) and not re.search(r"^!|[\[\]\\]", words[0]):
                rules.append((words[0], tuple(words[1:])))
        return Owners(place, tuple(rules))
    return None


def matches(pattern: str, path: str) -> bool:
    """Whether a pattern covers a file.

    >>> matches("*", "a/b"), matches("/a/", "a/b/c"), matches("a/*", "a/b/c"), matches("*.py", "a/b.py")
    (True, True, False, True)
    >>> matches("/docs", "docs/x"), matches("a/b", "x/a/b"), matches("**/b", "x/a/b"), matches("x", "xy/z")
    (True, False, True, False)
    """
    anchored = "/" in pattern.rstrip("/")
    body = pattern.strip("/")
    if not body:
        return False
    parts = []
    meaning = {"/**/": "/(?:.*/)?", "**/": "(?:.*/)?", "/**": "/.*", "*": "[^/]*", "?": "[^/]"}
    for piece in re.split(r"(/\*\*/|^\*\*/|/\*\*$|\*|\?)", body):
        parts.append(meaning.get(piece, re.escape(piece)))
    # A name stands for a file or for all below a folder; `a/*` does not reach into the folders below.
    below = "/.+" if pattern.endswith("/") else "" if body.endswith("/*") else "(?:/.*)?"
    return re.fullmatch(("" if anchored else "(?:.*/)?") + "".join(parts) + below, path) is not None
