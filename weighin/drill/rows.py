"""Faults of data in the rows of a table, in its times and its columns: what arrives twice, late, cut or not at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from weighin.drill.fault import Fault, chosen, numeric, shares
from weighin.drill.inputs import Inputs, NotApplicable


def doubled(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Append a share of the rows a second time.

    Seen: a queue that delivers at least once, a load that was started again.
    """
    rows = _rows(inputs)
    again = np.flatnonzero(chosen(rows, size, rng))
    return inputs.with_rows(inputs.dataset, np.concatenate([np.arange(rows), again]))


def cut_short(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Cut a share of the rows off the end.

    Seen: a transfer that broke off; a file that was read while it was written.
    """
    rows = _rows(inputs)
    return inputs.with_rows(inputs.dataset, np.arange(max(1, round((1 - size) * rows))))


def empty(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Leave no row.

    Seen: a query whose filter names yesterday's partition; a zero-row frame is a success in data tests by default.
    """
    return inputs.with_rows(inputs.dataset, np.arange(0))


def out_of_order(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Exchange the places of a share of the rows.

    Seen: files of parallel writers that are read in the order of their names.
    """
    order = np.arange(_rows(inputs))
    hit = np.flatnonzero(chosen(len(order), size, rng))
    order[hit] = order[rng.permutation(hit)]
    return inputs.with_rows(inputs.dataset, order)


def key_repeated(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Give a share of the rows the key of another row.

    Seen: numbers of two systems that were united without a prefix.
    """
    keys = [n for n, c in inputs.file.contract.data.columns.items() if c.role == "key"]
    if not keys:
        raise NotApplicable("the contract has no column with `role: key`")
    places = np.arange(_rows(inputs))
    hit = chosen(len(places), size, rng)
    places[hit] = rng.permutation(places)[: int(hit.sum())]
    column = inputs.table(inputs.dataset)[keys[0]]
    return inputs.with_column(inputs.dataset, keys[0], column.take(pa.array(places)).combine_chunks())


def time_zone(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Move all times by `size` hours, into the future.

    Seen: local times that are stored as if they were UTC.
    """
    name, column = _times(inputs)
    moved = pc.add(column, pa.scalar(round(size * 3600) * 1_000_000, pa.int64()).cast(pa.duration("us")))
    return inputs.with_column(inputs.dataset, name, moved.cast(column.type).combine_chunks())


def zone_lost(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Store the times in another time zone than the contract's, `size` hours ahead, with its name.

    Seen: a driver that writes time stamps in the zone of its session.
    """
    name, column = _times(inputs)
    zone = f"+{int(size):02d}:00"
    return inputs.with_column(inputs.dataset, name, column.cast(pa.timestamp("us", tz=zone)).combine_chunks())


def old_again(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Send rows of the reference again in place of a share of the rows, at the end.

    Seen: the export of last month under today's name.
    """
    source = "reference" if inputs.dataset != "reference" else "holdout"
    old, table, rows = inputs.table(source), inputs.table(inputs.dataset), _rows(inputs)
    if old.schema.names != table.schema.names:
        raise NotApplicable(f"data.{source} has other columns than data.{inputs.dataset}")
    start = max(0, round((1 - size) * rows))
    count = min(rows - start, old.num_rows)
    mixed = pa.concat_tables([table.slice(0, rows - count), old.slice(0, count).cast(table.schema)])
    answers = {
        (role, d): np.concatenate([values[: rows - count], inputs.answers[role, source][:count]])
        for (role, d), values in inputs.answers.items()
        if d == inputs.dataset and (role, source) in inputs.answers
    }
    return inputs.with_table(inputs.dataset, mixed.combine_chunks()).with_answers(answers)


def training_rows(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Put rows of the training data in place of a share of the holdout's rows.

    Seen: a split by row instead of by day or by person; a frequent leak (Kapoor and Narayanan 2023).
    """
    data, file = inputs.file.contract.data, inputs.file
    if data.training is None:
        raise NotApplicable("the contract names no data.training")
    table = inputs.table("holdout")
    path = file.folder / data.training
    names = set(pq.read_schema(path).names)
    shared = [n for n in table.column_names if n in names]
    training = pq.read_table(path, columns=shared)
    hit = np.flatnonzero(chosen(table.num_rows, size, rng))[: training.num_rows]
    drawn = training.take(pa.array(np.sort(rng.choice(training.num_rows, len(hit), replace=False))))
    places = np.arange(table.num_rows)
    places[hit] = table.num_rows + np.arange(len(hit))
    for name in shared:
        both = pa.chunked_array([*table[name].chunks, *drawn[name].cast(table[name].type).chunks])
        table = table.set_column(table.column_names.index(name), name, both.take(pa.array(places)).combine_chunks())
    return replace(inputs.with_table("holdout", table))


def column_absent(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Leave out the numeric feature that the candidate's answers follow most.

    Seen: a renamed field of an interface.
    """
    return inputs.with_table(inputs.dataset, inputs.table(inputs.dataset).drop_columns([numeric(inputs)[0]]))


def _rows(inputs: Inputs) -> int:
    return int(inputs.table(inputs.dataset).num_rows)


def _times(inputs: Inputs) -> tuple[str, pa.ChunkedArray]:
    name = inputs.file.contract.data.time_column
    if name is None:
        raise NotApplicable("the contract has no column with `role: time`")
    column = inputs.table(inputs.dataset)[name]
    if not pa.types.is_timestamp(column.type):
        raise NotApplicable(f"the column {name} holds no time stamps")
    return name, column.cast(pa.timestamp("us", tz=column.type.tz))


SHARE = "share of the rows"
FAULTS = (
    Fault("data-doubled", "data", doubled, 0.1, shares(0.1), SHARE),
    Fault("data-cut-short", "data", cut_short, 0.9, (0.1, 0.25, 0.5, 0.75, 0.9, 0.99), SHARE),
    Fault("data-empty", "data", empty, 1.0, (1.0,), "table"),
    Fault("data-out-of-order", "data", out_of_order, 0.1, shares(0.1), SHARE),
    Fault("data-key-repeated", "data", key_repeated, 0.01, shares(0.01), SHARE),
    Fault("data-time-zone", "data", time_zone, 5.0, (1.0, 2.0, 5.0, 8.0, 12.0, 720.0), "hours"),
    Fault("data-zone-lost", "data", zone_lost, 5.0, (1.0, 5.0), "hours"),
    Fault("data-old-again", "data", old_again, 1.0, shares(1.0), SHARE),
    Fault("data-training-rows", "data", training_rows, 0.05, shares(0.05), "share of the holdout", asks=True),
    Fault("data-column-absent", "data", column_absent, 1.0, (1.0,), "column", asks=True),
)
