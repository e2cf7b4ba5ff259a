"""Faults of the team's own: functions of the repository that the contract names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa

from weighin.contract.drill import OwnFault
from weighin.contract.reading import ContractFile
from weighin.drill.fault import Fault
from weighin.drill.inputs import Inputs
from weighin.errors import NotEvaluated
from weighin.suites.custom import own_function
from weighin.untrusted.redact import listed, reduced


class BadFaultError(Exception):
    """A fault that is none: its function raised, or returned something else than it must. The text holds no value."""


def own_faults(file: ContractFile) -> tuple[Fault, ...]:
    """Return the faults that a contract names."""
    known = file.contract.drill.faults if file.contract.drill else {}
    return tuple(_fault(name, of) for name, of in known.items())


def _fault(name: str, of: OwnFault) -> Fault:
    most = of.largest if of.largest is not None else 4 * of.size
    sizes = sorted({round(of.size * 2.0**p, 12) for p in range(-4, 3) if of.size * 2.0**p <= most} | {of.size})

    def make(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
        return _made(inputs, of, size, rng)

    said = of.what.strip().removesuffix(".") or f"Apply `{of.function}` to data.{of.dataset}"
    make.__doc__ = f"{said}.\n\nSeen: named by the contract, drill.faults.{name}."
    return Fault(f"own-{name}", "own", make, of.size, tuple(sizes), of.unit or "as the team counts it", asks=True)


def _made(inputs: Inputs, of: OwnFault, size: float, rng: np.random.Generator) -> Inputs:
    table = inputs.table(of.dataset)
    place = f"`{of.function}`"
    try:
        found = own_function(of.function, inputs.file.folder)(table.to_pandas(), size, rng)
    except NotEvaluated as error:
        raise BadFaultError(str(error)) from error
    except Exception as error:
        raise BadFaultError(f"{place} raised {reduced(error, table.column_names)}") from error
    if not isinstance(found, pd.DataFrame):
        raise BadFaultError(f"{place} returned {type(found).__name__} in place of a data frame")
    if list(found.columns) != table.column_names:
        other = [str(c) for c in found.columns if c not in table.column_names]
        absent = [c for c in table.column_names if c not in list(found.columns)]
        raise BadFaultError(
            f"{place} returned other columns: {len(other)} are new, {listed(absent)} are absent or out of order"
        )
    try:
        changed = pa.Table.from_pandas(found, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise BadFaultError(f"{place} returned values that no table can hold, {reduced(error)}") from error
    return replace(inputs.with_table(of.dataset, _as_before(changed, table)), dataset=of.dataset)


def _as_before(table: pa.Table, before: pa.Table) -> pa.Table:
    """Return a table in the types that it had, column by column, where the values allow it."""
    columns = []
    for name in before.column_names:
        column = table[name]
        try:
            columns.append(column.cast(before[name].type))
        except pa.ArrowException:
            columns.append(column)
    return pa.table(dict(zip(before.column_names, columns, strict=True)))
