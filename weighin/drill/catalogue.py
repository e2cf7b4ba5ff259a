"""Every fault, in the order of the report."""

from __future__ import annotations

from collections.abc import Sequence

from weighin.drill import answers, labels, process, rows, serving, skew, values
from weighin.drill.fault import Fault
from weighin.errors import ContractError

FAULTS: tuple[Fault, ...] = (
    *labels.FAULTS,
    *answers.FAULTS,
    *skew.FAULTS,
    *values.FAULTS,
    *rows.FAULTS,
    *serving.FAULTS,
    *process.FAULTS,
)
FAMILIES = tuple(dict.fromkeys(f.family for f in FAULTS))


def selected(names: Sequence[str], families: Sequence[str], every: Sequence[Fault] = FAULTS) -> list[Fault]:
    """Return the faults of some names or families, all where neither is given. Errors: `ContractError`."""
    known = {f.name for f in every}
    strange = [n for n in names if n not in known]
    if strange:
        raise ContractError(f"no fault `{strange[0]}`", "--fault", "`weighin drill --list` shows the names.")
    if not names and not families:
        return list(every)
    return [f for f in every if f.name in names or f.family in families]
