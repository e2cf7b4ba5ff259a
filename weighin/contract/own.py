"""The suites that a team adds: files beside ours that no gate of the contract names."""

from __future__ import annotations

import re
from pathlib import Path

from weighin.errors import ContractError

FOLDER = "validation_tests"
GATES = ("data_quality", "performance", "drift", "explainability", "load", "shadow", "sealed")
TAKEN = ("approvals",)
"""Names of other folders beside the reports of the suites."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,60}")


def own_suites(folder: Path) -> tuple[str, ...]:
    """Names of the suites in `validation_tests/test_<name>.py` below the contract's folder that are none of ours.

    One that is there is demanded, as if it were a gate.
    Errors: `ContractError` for a name that cannot be that of a job.
    """
    found = []
    for path in sorted((folder / FOLDER).glob("test_*.py")):
        name = path.stem.removeprefix("test_")
        if name in GATES:
            continue
        if not NAME.fullmatch(name) or name in TAKEN:
            raise ContractError(
                f"`{name[:80]}` cannot be the name of a suite", str(path), "Use letters, digits and underscores."
            )
        found.append(name)
    return tuple(found)
