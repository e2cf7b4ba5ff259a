"""Cells: how the rows of a column are counted, and the expressions that tell in which one a value falls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weighin.untrusted import JsonDict

if TYPE_CHECKING:
    from weighin.data.engines import Expression

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

HUGE = 1e300
SUMS = ("n", "s", "q", "low", "high", "infinite")


@dataclass(frozen=True)
class Cells:
    """How the rows of a column are counted.

    edges       of a number: cells are closed below, `len(edges) + 1` of them
    categories  of anything else: the first `own` have a cell each, the rest share one; then one for values that are
                none of them
    A last cell counts missing values. `centre` and `scale` are the middle and the spread of a number, in which its
    moments are taken: sums of squares of large numbers lose their digits.
    """

    kind: Literal["number", "category"]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    own: int = 0
    centre: float = 0.0
    scale: float = 1.0

    @property
    def count(self) -> int:
        """How many cells there are, that of missing values included."""
        return len(self.edges) + 2 if self.kind == "number" else self.own + 3


@dataclass(frozen=True)
class Moments:
    """Of a number: (groups, 3) finite values, their sum and sum of squares, both of (value - centre) / scale; the range
    of the finite values, and how many are not (infinite, above 1e300 in size, or 1e100 times the spread away)."""

    by_group: Floats
    minimum: float | None
    maximum: float | None
    infinite: int


@dataclass(frozen=True)
class Counted:
    """(groups, cells) rows of a column, and the moments of a number."""

    counts: Counts
    moments: Moments | None


def code_of(value: Expression, cells: Cells) -> Expression:
    """Return the number of the cell that a value falls into."""
    import ibis

    last = cells.count - 1
    if cells.kind == "number":
        return ibis.ifelse(value.notnull(), _cell(value, cells.edges, 0), last).cast("int64")
    branches = [(value == c, i) for i, c in enumerate(cells.categories[: cells.own])]
    rest = cells.categories[cells.own :]
    if rest:
        branches.append((value.isin(rest), cells.own))
    return ibis.cases((value.isnull(), last), *branches, else_=cells.own + 1).cast("int64")


def upper_ends(value: Expression, cells: Cells) -> tuple[Expression, list[float]]:
    """Return a double, and where each cell ends that it can fall into, the end included: for a histogram.

    A missing number is in none of them.
    """
    if cells.kind == "number":
        return value, [*(float(np.nextafter(edge, -np.inf)) for edge in cells.edges), float("inf")]
    return code_of(value, cells).cast("float64"), [float(code) for code in range(cells.count)]


def _cell(value: Any, edges: Sequence[float], first: int) -> Any:
    """Return a search tree of comparisons: as deep as the logarithm of the number of edges."""
    import ibis

    if not edges:
        return ibis.literal(first)
    half = len(edges) // 2
    below, above = _cell(value, edges[:half], first), _cell(value, edges[half + 1 :], first + half + 1)
    return ibis.ifelse(value < _double(edges[half]), below, above)


def sums_of(value: Expression, cells: Cells) -> JsonDict:
    """Return aggregates of the finite values.

    Databases differ in what they do with a product that is too large or too small for a double, so none is formed.
    """
    import ibis

    large = _double(HUGE)
    away = value - _double(cells.centre)
    reach, dust = _double(min(HUGE, cells.scale * 1e100)), _double(cells.scale * 1e-100)
    inside = (value <= large) & (value >= -large)
    finite = ibis.ifelse(inside & (away <= reach) & (away >= -reach), value, ibis.null("float64"))
    shifted = finite - _double(cells.centre)
    unit = ibis.ifelse((shifted < dust) & (shifted > -dust), _double(0.0), shifted / _double(cells.scale))
    square = ibis.ifelse((unit < 1e-100) & (unit > -1e-100), _double(0.0), unit * unit)
    infinite = value.notnull() & finite.isnull()
    return {
        "n": finite.count(),
        "s": unit.sum(),
        "q": square.sum(),
        "low": finite.min(),
        "high": finite.max(),
        "infinite": ibis.ifelse(infinite, 1, 0).sum(),
    }


def _double(value: float) -> Any:
    """Return a literal that every engine reads as exactly this double: a bare 0.1 is a decimal to some of them."""
    import ibis

    return ibis.literal(repr(float(value))).cast("float64")


def floats(values: pa.ChunkedArray) -> Floats:
    """Numbers of an answer; nothing counted is a zero."""
    return np.array([0.0 if v is None else float(v) for v in values.to_pylist()])
