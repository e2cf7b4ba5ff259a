"""A process in which pyarrow does without pandas.

The first time that pyarrow makes an array of Python's own objects it imports pandas, to know a Series when it sees one.
That is a third of a second at every start of a generator, which has none. Where the import fails it does not try again,
until somebody asks for a data frame.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Finder:
    """Finds no pandas."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name == "pandas":
            raise ImportError(name)
        return None


def leave_out_pandas() -> None:
    """Let pyarrow look for pandas now, in vain. For commands, and not where a team's own code runs in the process."""
    import pyarrow as pa

    sys.meta_path.insert(0, _Finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(_Finder)
