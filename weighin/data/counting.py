"""Count a relation's rows in cells, by group: here where they are few, else where the data live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from weighin.contract.models import TimeBlock
from weighin.data.cells import HUGE, SUMS, Cells, Counted, Floats, Moments, code_of, floats, sums_of, upper_ends
from weighin.data.relation import COLUMNS, Relation, in_parts
from weighin.errors import NotEvaluated

Groups = NDArray[np.int64]

GROUPS = 2048
"""More groups than these are thrown together at random, by a hash: fewer, larger units are independent as well."""
STRIDE = 2048
"""More cells than a column may have; tells columns apart that are counted in one query."""
FEW = 2_100_000
"""Pairs of a group and a value that one statement may lead to: those of a thousand categories in any case."""


def count_rows(
    relation: Relation, cells: Mapping[str, Cells], key: Any, groups: int, expected: Mapping[str, int]
) -> tuple[dict[str, Counted], dict[str, int]]:
    """Return every row of the columns, counted by group, and about how many different values each column has.

    key, groups  of `key_of`; groups come sorted by label
    expected     column -> about how many values it has; decides how a column is counted, not what comes out
    """
    tallied: dict[str, tuple[Counted, int]] = {}
    for columns in _statements(groups, expected) if relation.engine.tallies else ():
        tallied |= _tallied(relation, key, {c: cells[c] for c in columns})
    counted = {c: found for c, (found, _) in tallied.items()}
    left = [c for c in cells if c not in counted]
    count = _by_histograms if relation.engine.tallies else _by_codes
    for part in in_parts(left):
        counted |= count(relation, key, {c: cells[c] for c in part})
    return counted, relation.distinct(left) | {c: different for c, (_, different) in tallied.items()}


def count_values(values: pa.Table, key: pa.ChunkedArray | None, cells: Mapping[str, Cells]) -> dict[str, Counted]:
    """Rows that have been fetched, counted here. `values`: of `Relation.values`, with their `key`."""
    groups, size = _groups(key, values.num_rows)
    return {c: _counted(values[c], groups, size, of, None) for c, of in cells.items()}


def _counted(values: pa.ChunkedArray, groups: Groups, size: int, of: Cells, times: Floats | None) -> Counted:
    """One column's values, each so many `times` (None: once)."""
    moments = None
    if of.kind == "category":
        there = values.cast(pa.string())
        found = pc.fill_null(pc.index_in(there, pa.array(of.categories, pa.string())), -1).to_numpy()
        code = np.where(found < 0, of.own + 1, np.minimum(found, of.own))
        code[there.is_null().to_numpy()] = of.own + 2
    else:
        number = values.cast(pa.float64()).to_numpy()
        code = np.searchsorted(of.edges, number, side="right")
        code[np.isnan(number)] = of.count - 1
        moments = _moments_of(number, groups, size, of, times)
    counts = np.bincount(groups * of.count + code, times, size * of.count)
    return Counted(counts.reshape(size, of.count).astype(np.int64), moments)


def _moments_of(number: Floats, groups: Groups, size: int, of: Cells, times: Floats | None) -> Moments:
    """Return what `sums_of` tells an engine to work out."""
    times = np.ones(len(number)) if times is None else times
    finite = (np.abs(number) <= HUGE) & (np.abs(number - of.centre) <= min(HUGE, of.scale * 1e100))
    infinite = int(times[~finite & ~np.isnan(number)].sum())
    there, groups, times = number[finite], groups[finite], times[finite]
    unit = (there - of.centre) / of.scale
    sums = [np.bincount(groups, times * power, size) for power in (np.ones(len(unit)), unit, unit * unit)]
    low, high = (float(f(there)) if len(there) else None for f in (np.min, np.max))
    return Moments(np.column_stack(sums), low, high, infinite)


def _statements(groups: int, expected: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield the columns whose values are few enough to be counted first, so many in a statement as are few together."""
    part: list[str] = []
    pairs = 0
    for column, values in expected.items():
        more = max(1, values) * groups
        if more > FEW:
            continue
        if pairs + more > FEW or len(part) == COLUMNS:
            yield part
            part, pairs = [], 0
        part.append(column)
        pairs += more
    if part:
        yield part


def _tallied(relation: Relation, key: Any, cells: Mapping[str, Cells]) -> dict[str, tuple[Counted, int]]:
    """Count each value of several columns in one scan; what falls into which cell is then decided here.

    Returns each column, counted, and about how many different values it has; nothing where there are more pairs of a
    group and a value than were expected.
    """
    with relation.engine.reading(relation.place):
        found = relation.engine.tally(_selected(relation, key, cells), FEW)
    answer = {}
    for (column, of), (values, different) in zip(cells.items(), found or (), strict=found is not None):
        groups, size = _groups(None if key is None else values["key"], values.num_rows)
        answer[column] = _counted(values["value"], groups, size, of, values["n"].to_numpy()), different
    return answer


def _selected(relation: Relation, key: Any, columns: Mapping[str, Cells]) -> Any:
    """Return the values of columns, by their number, and the group of each row where there are groups."""
    grouped = {} if key is None else {"key": key}
    return relation.expression.select(**grouped, **{f"value{i}": relation.value(c) for i, c in enumerate(columns)})


def _by_histograms(relation: Relation, key: Any, cells: Mapping[str, Cells]) -> dict[str, Counted]:
    """Several columns in one query, whose answer has a row for each group."""
    t = _selected(relation, _labelled(key), cells)
    cut = {f"cells{i}": relation.engine.histogram(*upper_ends(t[f"value{i}"], c)) for i, c in enumerate(cells.values())}
    answer = relation.run(t.group_by("key").aggregate(rows=t.count(), **cut, **_sums(t, cells)))
    groups, size = _groups(answer["key"], answer.num_rows)
    rows = answer["rows"].to_numpy()
    found = {}
    for i, (column, of) in enumerate(cells.items()):
        counts = np.zeros((size, of.count), dtype=np.int64)
        for group, filled in zip(groups, answer[f"cells{i}"].to_pylist(), strict=True):
            counts[group, : len(filled or ())] = [n for _, n in filled or ()]
        if of.kind == "number":
            counts[groups, -1] = rows - counts[groups].sum(axis=1)
        found[column] = Counted(counts, _moments(answer, i, groups, size) if of.kind == "number" else None)
    return found


def _by_codes(relation: Relation, key: Any, cells: Mapping[str, Cells]) -> dict[str, Counted]:
    """Several columns in one query for the counts and one for the moments, however many columns there are."""
    import ibis

    t = _selected(relation, _labelled(key), cells)
    codes = [code_of(t[f"value{i}"], of) + i * STRIDE for i, of in enumerate(cells.values())]
    # One step each: an engine that puts a value into the place where it is used works it out for every comparison.
    coded = t.select(key=t.key, codes=ibis.array(codes))
    coded = coded.select(key=coded.key, code=coded.codes.unnest())
    answer = relation.run(coded.group_by(["key", "code"]).aggregate(rows=coded.count()))
    groups, size = _groups(answer["key"], answer.num_rows)
    place, cell = np.divmod(answer["code"].to_numpy().astype(np.int64), STRIDE)
    rows = answer["rows"].to_numpy().astype(np.int64)
    sums = _sums(t, cells)
    summed = relation.run(t.group_by("key").aggregate(**sums)) if sums else answer
    of_sums, _ = _groups(summed["key"], summed.num_rows)
    found = {}
    for i, (column, of) in enumerate(cells.items()):
        counts = np.zeros((size, of.count), dtype=np.int64)
        here = place == i
        np.add.at(counts, (groups[here], cell[here]), rows[here])
        found[column] = Counted(counts, _moments(summed, i, of_sums, size) if of.kind == "number" else None)
    return found


def _sums(t: Any, cells: Mapping[str, Cells]) -> dict[str, Any]:
    """Return the aggregates for the moments of all numbers."""
    return {
        f"{name}{i}": aggregate
        for i, of in enumerate(cells.values())
        if of.kind == "number"
        for name, aggregate in sums_of(t[f"value{i}"], of).items()
    }


def key_of(relation: Relation, group: str | TimeBlock | None) -> tuple[Any, int]:
    """Return the key that rows of one sampling unit share, and about how many there are; no key without a group.

    Errors: `NotEvaluated` when a row has none.
    """
    if group is None:
        return None, 1
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


def _labelled(key: Any) -> Any:
    """Return a key in any case: a query that counts has one group at least."""
    import ibis

    return ibis.literal("all") if key is None else key


def _groups(key: pa.ChunkedArray | None, rows: int) -> tuple[Groups, int]:
    """Return the group of each row of an answer, as a number in the order of their labels, and how many there are."""
    if key is None:
        return np.zeros(rows, dtype=np.int64), 1
    coded = key.cast(pa.string()).combine_chunks().dictionary_encode()
    labels, places = np.unique(np.array(coded.dictionary.to_pylist(), dtype=str), return_inverse=True)
    return places.astype(np.int64)[coded.indices.to_numpy()], len(labels)


def _moments(answer: pa.Table, column: int, groups: Groups, size: int) -> Moments:
    """Read what `_sums` has led to for one of the columns."""
    n, s, q, low, high, infinite = (answer[f"{name}{column}"] for name in SUMS)
    sums = np.zeros((size, 3))
    np.add.at(sums, groups, np.column_stack([floats(of) for of in (n, s, q)]))
    lowest, highest = ([v for v in of.to_pylist() if v is not None] for of in (low, high))
    return Moments(sums, min(lowest, default=None), max(highest, default=None), int(floats(infinite).sum()))
