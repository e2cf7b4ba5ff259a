"""Which files hold tests that are `exhaustive`, and which a slice has: `2/8` is every eighth, from the second."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BRINGS = ("mark.exhaustive", "from support.attack import")
"""What a file with such tests has in its text: the mark, or an import of tests that have it."""
SLICE = "WEIGHIN_PROOFS"


def chosen(path: Path) -> bool:
    """Whether a file is one of the slice that the environment names; of all where it names none."""
    return path in chosen_of(os.environ.get(SLICE, ""))


@cache
def chosen_of(given: str) -> frozenset[Path]:
    """Return the files of a slice.

    >>> slices = [chosen_of(f"{k}/3") for k in (1, 2, 3)]
    >>> sum(map(len, slices)) == len(frozenset().union(*slices)) == len(chosen_of("")) > 20
    True
    """
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("tests/**/test_*.py"))}
    files = [path for path, text in texts.items() if any(word in text for word in BRINGS)]
    if not given:
        return frozenset(files)
    first, _, step = given.partition("/")
    if not 1 <= int(first) <= int(step):
        raise ValueError(f"{SLICE}={given}: a slice is 1/8 to 8/8")
    return frozenset(files[int(first) - 1 :: int(step)])
