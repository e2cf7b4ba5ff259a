"""A profile: what the gate must know of a table, in counts. Small, versioned, and readable by later releases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weighin.canonical import canonical, digest, read_json, write_json
from weighin.data.cells import Cells, Counts, Moments
from weighin.data.relation import Kind
from weighin.errors import EvidenceError
from weighin.untrusted import JsonDict, JsonObject
from weighin.untrusted.redact import reduced

SCHEMA = "weighin/profile/v1"


@dataclass(frozen=True)
class ColumnProfile:
    """One column, counted.

    counts    (groups, cells) rows, see `Cells`; the last cell counts missing values
    moments   of numbers
    distinct  different values, exact where the whole table was looked at, else by the engine's sketch
    complete  of categories: whether all of the table's are listed
    """

    kind: Kind
    cells: Cells
    counts: Counts
    moments: Moments | None
    distinct: int
    complete: bool

    @property
    def missing(self) -> Counts:
        """(groups, 2) rows, and those of them without a value."""
        return np.column_stack([self.counts.sum(axis=1), self.counts[:, -1]])

    @property
    def present(self) -> Counts:
        """(groups, cells - 1) rows with a value."""
        return self.counts[:, :-1]


@dataclass(frozen=True)
class Profile:
    """A table, counted.

    groups   how many sampling units there are, or None where every row is one; many small ones were thrown together
    exact    whether edges and categories come from all rows, so that every engine finds the same ones
    table    every column of the table with its kind, whether or not it was counted
    """

    rows: int
    groups: int | None
    engine: str
    exact: bool
    table: Mapping[str, Kind]
    columns: Mapping[str, ColumnProfile]

    @property
    def digest(self) -> str:
        """Over everything that is counted and so comes out alike at every run: not over sums of doubles."""
        value = self._value()
        for column in value["columns"].values():
            column.pop("moments", None)
        value.pop("engine")
        return digest(canonical(value))

    def write(self, path: Path) -> None:
        """Write the profile as JSON."""
        write_json(path, self._value())

    @staticmethod
    def read(path: Path) -> Profile:
        """Read a profile of this or an earlier release. Errors: `EvidenceError`."""
        value = read_json(path, SCHEMA)
        try:
            columns = {name: _column(c) for name, c in value["columns"].items()}
            head = {k: value[k] for k in ("rows", "groups", "engine", "exact", "table")}
            return Profile(**head, columns=columns)
        except (KeyError, TypeError, ValueError) as error:
            raise EvidenceError(f"damaged ({reduced(error)})", str(path), "Make the profile again.") from error

    def _value(self) -> JsonDict:
        head = {k: getattr(self, k) for k in ("rows", "groups", "engine", "exact")}
        columns = {name: _plain(c) for name, c in self.columns.items()}
        return {"schema": SCHEMA, **head, "table": dict(self.table), "columns": columns}


def _plain(column: ColumnProfile) -> JsonDict:
    cells, found = column.cells, column.moments
    value: dict[str, Any] = {
        "kind": column.kind,
        "distinct": column.distinct,
        "counts": column.counts.tolist(),
    }
    if cells.kind == "number":
        value |= {"edges": [repr(e) for e in cells.edges], "centre": repr(cells.centre), "scale": repr(cells.scale)}
    else:
        value |= {"categories": list(cells.categories), "own": cells.own, "complete": column.complete}
    if found is not None:
        value |= {"minimum": _text(found.minimum), "maximum": _text(found.maximum), "infinite": found.infinite}
        value["moments"] = [[repr(float(v)) for v in row] for row in found.by_group]
    return value


def _column(value: JsonObject) -> ColumnProfile:
    if "edges" in value:
        edges = tuple(map(float, value["edges"]))
        cells = Cells("number", edges, centre=float(value["centre"]), scale=float(value["scale"]))
    else:
        cells = Cells("category", categories=tuple(value["categories"]), own=value["own"])
    moments = None
    if "moments" in value:
        low, high = (None if value[k] is None else float(value[k]) for k in ("minimum", "maximum"))
        sums = np.array([[float(v) for v in row] for row in value["moments"]]).reshape(-1, 3)
        moments = Moments(sums, low, high, value["infinite"])
    counts = np.array(value["counts"], dtype=np.int64).reshape(-1, cells.count)
    return ColumnProfile(value["kind"], cells, counts, moments, value["distinct"], value.get("complete", True))


def _text(value: float | None) -> str | None:
    """Doubles are written as text, digit for digit: canonical JSON has no infinity and its own idea of a number."""
    return None if value is None else repr(float(value))
