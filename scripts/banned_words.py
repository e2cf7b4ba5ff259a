"""Find words that must not come back. Standard library only.

    python scripts/banned_words.py

reads docs/words.txt, prints each place and what to write instead, and ends with 1 where there is one.
"""

from __future__ import annotations

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = "docs/words.txt"
# What names the old words on purpose: history, the list itself, and the table of renamed keys with its test.
ALLOWED = (
    LIST,
    "docs/decisions/*",
    "CHANGELOG.md",
    "benchmarks/RESULTS.md",
    "weighin/contract/reading.py",
    "tests/contract/test_reading.py",
    "tests/test_words.py",
    "*package-lock.json",
    "requirements*.txt",
)


def rules(text: str) -> list[tuple[re.Pattern[str], str, str]]:
    """Return pattern, remedy and glob of each line of the list. Errors: `ValueError` for a line without a remedy."""
    found = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            pattern, _, rest = line.partition("; ")
            remedy, _, files = rest.partition("; files ")
            if not remedy:
                raise ValueError(f"{LIST}: no remedy in the line {line!r}")
            found.append((re.compile(pattern), remedy.strip(), files.strip() or "*"))
    return found


def files(root: Path = ROOT) -> list[str]:
    """Return the files of the repository, as git knows them, that hold text of ours."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, timeout=60, check=True
    ).stdout.split("\0")
    return [name for name in listed if name and not any(fnmatch(name, pattern) for pattern in ALLOWED)]


def found_words(root: Path = ROOT) -> list[str]:
    """Return `file:line: word: remedy` for each place."""
    listed = rules((root / LIST).read_text(encoding="utf-8"))
    found = []
    for name in files(root):
        path = root / name
        try:
            text = path.read_text(encoding="utf-8") if path.is_file() and not path.is_symlink() else ""
        except UnicodeDecodeError:
            continue
        for pattern, remedy, glob in listed:
            if fnmatch(name, glob):
                found += [
                    f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group(0)}: write {remedy}"
                    for match in pattern.finditer(text)
                ]
    return found


if __name__ == "__main__":
    places = found_words()
    print(*places, sep="\n", end="\n" if places else "")
    sys.exit(1 if places else 0)
