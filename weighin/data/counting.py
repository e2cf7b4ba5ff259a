"""Count a relation's rows in cells, by group: in one query for a column, or for many, wherever it pays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weighin.contract.models import TimeBlock
from weighin.data.cells import HUGE, SUMS, Cells, Counted, Counts, Moments, code_of, floats, sums_of
from weighin.data.relation import Relation, in_parts
from weighin.errors import NotEvaluated

Labels = NDArray[np.str_]

GROUPS = 2048
"""More groups than these are thrown together at random, by a hash: fewer, larger units are independent as well."""
WIDE = 200
"""Columns beyond which their number, not that of the rows, decides what counting costs: a few rows of very many
columns are counted in this process."""
VALUES = 4_000_000
STRIDE = 2048
"""More cells than a column may have; tells columns apart that are counted in one query."""
FEW = 1_000_000
"""Up to so many pairs of a value and a group, equal values are counted before anything else is done with them."""


def count_rows(
    relation: Relation, cells: Mapping[str, Cells], group: str | TimeBlock | None, distinct: Mapping[str, int]
) -> dict[str, Counted]:
    """Every row of the columns, counted by group. Without a group there is one; groups come sorted by label.

    distinct  column -> about how many values it has; decides how a column is counted, not what comes out
    """
    key, groups = _grouped(relation, group)
    if len(cells) > WIDE and relation.rows * len(cells) <= VALUES:
        return _here(relation, key, cells)
    if not relation.engine.reads_once:
        return {c: _one(relation, key, c, of, few=distinct[c] * groups <= FEW) for c, of in cells.items()}
    found: dict[str, Counted] = {}
    for part in in_parts(list(cells)):
        found |= _together(relation, key, {c: cells[c] for c in part})
    return found


def _here(relation: Relation, key: Any, cells: Mapping[str, Cells]) -> dict[str, Counted]:
    """Few rows of many columns, fetched and counted here."""
    answer = relation.run(
        relation.expression.select(key=key, **{f"v{i}": relation.value(c) for i, c in enumerate(cells)})
    )
    groups, labels = _groups(answer)
    found = {}
    for i, (column, of) in enumerate(cells.items()):
        values = answer[f"v{i}"].to_numpy(zero_copy_only=False)
        counts = np.zeros((len(labels), of.count), dtype=np.int64)
        if of.kind == "category":
            places = {c: min(j, of.own) for j, c in enumerate(of.categories)} | {None: of.own + 2}
            np.add.at(counts, (groups, np.array([places.get(v, of.own + 1) for v in values])), 1)
            found[column] = Counted(counts, None)
            continue
        values = values.astype(np.float64)
        code = np.searchsorted(of.edges, values, side="right")
        np.add.at(counts, (groups, np.where(np.isnan(values), of.count - 1, code)), 1)
        finite = (np.abs(values) <= HUGE) & (np.abs(values - of.centre) <= min(HUGE, of.scale * 1e100))
        unit = (values[finite] - of.centre) / of.scale
        sums = np.zeros((len(labels), 3))
        np.add.at(sums, groups[finite], np.column_stack([np.ones(len(unit)), unit, unit * unit]))
        low, high = (float(f(values[finite])) if finite.any() else None for f in (np.min, np.max))
        found[column] = Counted(counts, Moments(sums, low, high, int((~finite & ~np.isnan(values)).sum())))
    return found


def _one(relation: Relation, key: Any, column: str, cells: Cells, *, few: bool) -> Counted:
    """One column in a query of its own.

    few  count equal values first: where they are few, cells and sums then cost nothing
    """
    number = cells.kind == "number"
    apart = not few and len(cells.categories) > cells.own
    t = relation.expression.select(key=key, value=relation.value(column))
    if few:
        t = t.group_by(["key", "value"]).aggregate(n=t.count())
    t = t.mutate(code=code_of(t.value, cells, apart=apart))
    times = t.n if few else None
    wanted = {"rows": t.n.sum() if few else t.count(), **(sums_of(t.value, times, cells) if number else {})}
    answer = relation.run(t.group_by(["key", "code"]).aggregate(**wanted))
    groups, labels = _groups(answer)
    counts = np.zeros((len(labels), cells.count), dtype=np.int64)
    np.add.at(counts, (groups, answer["code"].to_numpy().astype(np.int64)), floats(answer["rows"]).astype(np.int64))
    if apart:
        _move_unknown_categories(relation, key, column, cells, counts, labels)
    return Counted(counts, _moments(answer, groups, len(labels)) if number else None)


def _move_unknown_categories(
    relation: Relation, key: Any, column: str, cells: Cells, counts: Counts, labels: Labels
) -> None:
    """Tell values that are no listed category from the rest of the listed: a filter looks them up in a hash table,
    where a CASE would compare with each."""
    strange = relation.value(column).notin(list(cells.categories))
    t = relation.expression.filter(strange).select(key=key)
    answer = relation.run(t.group_by("key").aggregate(rows=t.count()))
    at = np.searchsorted(labels, np.array(answer["key"].to_pylist(), dtype=labels.dtype))
    rows = floats(answer["rows"]).astype(np.int64)
    counts[at, cells.own] -= rows
    counts[at, cells.own + 1] += rows


def _together(relation: Relation, key: Any, cells: Mapping[str, Cells]) -> dict[str, Counted]:
    """Several columns in one query for the counts and one for the moments, however many columns there are."""
    import ibis

    t = relation.expression.select(key=key, **{f"value{i}": relation.value(c) for i, c in enumerate(cells)})
    codes = [code_of(t[f"value{i}"], of) + i * STRIDE for i, of in enumerate(cells.values())]
    # One step each: an engine that puts a value into the place where it is used works it out for every comparison.
    t = t.select(key=t.key, codes=ibis.array(codes))
    t = t.select(key=t.key, code=t.codes.unnest())
    answer = relation.run(t.group_by(["key", "code"]).aggregate(rows=t.count()))
    groups, labels = _groups(answer)
    place, cell = np.divmod(answer["code"].to_numpy().astype(np.int64), STRIDE)
    rows = answer["rows"].to_numpy().astype(np.int64)
    moments = _all_moments(relation, key, {c: of for c, of in cells.items() if of.kind == "number"})
    found = {}
    for i, (column, of) in enumerate(cells.items()):
        counts = np.zeros((len(labels), of.count), dtype=np.int64)
        here = place == i
        np.add.at(counts, (groups[here], cell[here]), rows[here])
        found[column] = Counted(counts, moments.get(column))
    return found


def _all_moments(relation: Relation, key: Any, cells: Mapping[str, Cells]) -> dict[str, Moments]:
    if not cells:
        return {}
    t = relation.expression.select(key=key, **{f"value{i}": relation.value(c) for i, c in enumerate(cells)})
    wanted: dict[str, Any] = {}
    for i, of in enumerate(cells.values()):
        wanted |= {f"{name}{i}": sum_ for name, sum_ in sums_of(t[f"value{i}"], None, of).items()}
    answer = relation.run(t.group_by("key").aggregate(**wanted))
    groups, labels = _groups(answer)
    return {
        c: _moments(answer.select([f"{n}{i}" for n in SUMS]).rename_columns(SUMS), groups, len(labels))
        for i, c in enumerate(cells)
    }


def _grouped(relation: Relation, group: str | TimeBlock | None) -> tuple[Any, int]:
    """Return the key that rows of one sampling unit share, and about how many there are.

    Errors: `NotEvaluated` when a row has none.
    """
    import ibis

    if group is None:
        return ibis.literal("all"), 1
    name = group.column if isinstance(group, TimeBlock) else group
    if name not in relation.kinds:
        raise NotEvaluated(f"no column {name} to group by", relation.place, "Correct `group`, or the data.")
    column = relation.expression[name]
    if isinstance(group, TimeBlock):
        if relation.kinds[name] not in ("timestamp", "date"):
            raise NotEvaluated(f"column {name} holds no time", relation.place, "Correct `group`.")
        key = (relation.value(name) / (group.hours * 3600)).floor().cast("int64").cast("string")
    else:
        key = column.cast("string")
    missing, groups = _how_many(relation, key)
    if missing:
        raise NotEvaluated(f"{missing} rows have no group", relation.place, "Every row must belong to a group.")
    if groups > GROUPS:
        key = ((key.hash() % GROUPS + GROUPS) % GROUPS).cast("string")
    return key, min(groups, GROUPS)


def _how_many(relation: Relation, key: Any) -> tuple[int, int]:
    t = relation.expression.select(group=key)
    row = relation.run(t.aggregate(missing=t.count() - t.group.count(), groups=t.group.approx_nunique()))
    return int(row["missing"][0].as_py() or 0), int(row["groups"][0].as_py() or 0)


def _groups(answer: pa.Table) -> tuple[NDArray[np.int64], Labels]:
    """Return the group of each row of an answer, as a number, and the groups' labels, sorted."""
    labels, groups = np.unique(np.array(answer["key"].to_pylist(), dtype=str), return_inverse=True)
    return groups.astype(np.int64), labels


def _moments(answer: pa.Table, groups: NDArray[np.int64], count: int) -> Moments:
    sums = np.zeros((count, 3))
    np.add.at(sums, groups, np.column_stack([floats(answer[name]) for name in ("n", "s", "q")]))
    low, high = ([v for v in answer[name].to_pylist() if v is not None] for name in ("low", "high"))
    infinite = int(floats(answer["infinite"]).sum())
    return Moments(sums, min(low, default=None), max(high, default=None), infinite)
