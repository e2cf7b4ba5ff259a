"""Make a profile: one bounded sample to cut the cells, then one pass that counts every row in them.

A table that is no larger than the sample is fetched, and counted here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from weighin.contract.models import TimeBlock
from weighin.data.cells import HUGE, Cells, Counts
from weighin.data.counting import count_rows, count_values, key_of
from weighin.data.profile import ColumnProfile, Profile
from weighin.data.relation import Relation
from weighin.errors import NotEvaluated
from weighin.stats.drift import edges

SAMPLE_ROWS = 100_000
"""Edges and categories come from all rows of a table up to this size, from about so many of a larger one."""
SAMPLE_VALUES = 4_000_000
"""The same for all columns together: a wide table gives fewer rows."""
OWN = 30
"""Categories that are counted on their own."""
KNOWN = 1000
"""Categories that are remembered, so that new ones can be told."""


def profile(
    table: Relation,
    columns: Mapping[str, int],
    group: str | TimeBlock | None,
    like: Profile | None = None,
) -> Profile:
    """Count a table.

    columns  column -> number of quantile cells, where it is a number. What the table lacks, or holds as lists or
             structures, is left out: `Profile.table` tells
    like     the reference's profile: its cells are used, so that both can be compared; other columns are left out
    Errors: `NotEvaluated` for a table without rows, one that cannot be read, or rows without a group.
    """
    if not table.rows:
        raise NotEvaluated("there are no rows", table.place, "Nothing can be measured on an empty table.")
    names = [c for c in columns if table.kinds.get(c, "other") != "other"]
    if like is not None:
        names = [c for c in names if c in like.columns and comparable(like.columns[c], table, c)]
    most = min(SAMPLE_ROWS, max(1, SAMPLE_VALUES // max(1, len(names))))
    exact = table.rows <= most
    key, groups = key_of(table, group)
    drawn, keys = table.values(names, key) if exact else (table.sample([] if like else names, most), None)
    seen = {c: _distinct(drawn[c]) for c in drawn.column_names}
    if like is None:
        cells = {c: _cells(drawn[c], columns[c], number=table.is_number(c)) for c in names}
    else:
        cells = {c: like.columns[c].cells for c in names}
    if exact:
        counted, distinct = count_values(drawn, keys, cells), seen
    elif like is None:
        # Where every other value of a sample is a new one, there may be as many as rows.
        many = 0.5 * drawn.num_rows
        expected = {c: different if different <= many else table.rows for c, different in seen.items()}
        counted, distinct = count_rows(table, cells, key, groups, expected)
    else:
        counted, distinct = count_rows(table, cells, key, groups, {c: like.columns[c].distinct for c in names})
    found = {}
    for c in names:
        of, complete, counts = cells[c], True, counted[c].counts
        if of.kind == "category":
            if like is None and seen[c] <= KNOWN:
                of, complete = _completed(table, c, of, counts)
            elif like is None or not like.columns[c].complete:
                _join_unknown_categories(of, counts)
                complete = False
        found[c] = ColumnProfile(table.kinds[c], of, counts, counted[c].moments, distinct[c], complete)
    units = None if group is None else max((len(c.counts) for c in counted.values()), default=0)
    return Profile(table.rows, units, table.engine.name, exact, dict(table.kinds), found)


def comparable(known: ColumnProfile, table: Relation, column: str) -> bool:
    """Whether a column can be counted in the cells of the reference's: both numbers, or neither."""
    return (known.cells.kind == "number") == table.is_number(column)


def _cells(values: pa.ChunkedArray, bins: int, *, number: bool) -> Cells:
    """Quantile cells of numbers, or the most frequent categories, ties by name."""
    if number:
        there = values.drop_null().to_numpy()
        there = there[np.abs(there) <= HUGE]
        if not len(there):
            return Cells("number")
        shares = np.linspace(0, 1, bins + 1)[1:-1]
        # Values that occur, not values between them: every engine then finds the same edges.
        cut = np.quantile(there, shares, method="inverted_cdf")
        middle = float(np.quantile(there, 0.5, method="inverted_cdf"))
        # Where most of a column is one value, the spread is that of what lies beside it.
        away = np.abs(there - middle)
        spread = float(np.quantile(away[away > 0], 0.5, method="inverted_cdf")) if (away > 0).any() else 1.0
        return Cells("number", tuple(edges(cut).tolist()), centre=middle, scale=min(max(spread, 1e-300), 1e300))
    counted = pc.value_counts(values.drop_null().combine_chunks())
    pairs = zip(counted.field("counts").to_pylist(), counted.field("values").to_pylist(), strict=True)
    listed = [value for _, value in sorted(pairs, key=lambda p: (-p[0], p[1]))]
    # Of very many categories a list would be none.
    kept = listed if len(listed) <= KNOWN else listed[:OWN]
    return Cells("category", categories=tuple(kept), own=min(OWN, len(listed)))


def _completed(table: Relation, column: str, cells: Cells, counts: Counts) -> tuple[Cells, bool]:
    """Return the cells with all categories that the sample has missed, if they are not too many; counts become
    theirs.
    """
    if not counts[:, cells.own + 1].any():
        return cells, True
    room = KNOWN - len(cells.categories)
    found = table.other_categories(column, cells.categories, room + 1)
    _join_unknown_categories(cells, counts)
    if len(found) > room:
        return replace(cells, categories=cells.categories[: cells.own]), False
    return replace(cells, categories=(*cells.categories, *found)), True


def _join_unknown_categories(cells: Cells, counts: Counts) -> None:
    """Where the list of categories is not complete, one that it lacks is not new, but one of the others."""
    counts[:, cells.own] += counts[:, cells.own + 1]
    counts[:, cells.own + 1] = 0


def _distinct(values: pa.ChunkedArray) -> int:
    there = values.drop_null()
    if pa.types.is_floating(there.type):
        there = there.filter(pc.invert(pc.is_nan(there)))
    return len(pc.unique(there))
