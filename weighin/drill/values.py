"""Faults of data in the values of a column: of the dataset that is drilled, the one that arrives by default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from weighin.drill.fault import Fault, categorical, chosen, numeric, shares
from weighin.drill.inputs import Inputs, NotApplicable

Floats = NDArray[np.float64]


def missing(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Leave out a share of the values of the numeric feature that the candidate's answers follow most.

    Seen: a sensor or a form field that stops reporting; half of a column missing is a PSI of 0.04 where missing
    values leave the bins.
    """
    return _emptied(inputs, numeric(inputs)[0], size, rng)


def missing_category(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Leave out a share of the values of the feature with categories that the answers follow most.

    Seen: a left join whose right side lacks the newest keys.
    """
    return _emptied(inputs, categorical(inputs)[0], size, rng)


def scaled(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Multiply the numeric feature by `size`: another unit.

    Seen: pounds for newtons lost a spacecraft in 1999; miles and kilometres, cents and euros.
    """
    return _numbers(inputs, numeric(inputs)[0], lambda v: v * size)


def scaled_share(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Multiply a share of the values of the numeric feature by 25.4: some rows come in another unit.

    Seen: one of many sites reports in millimetres, the others in inches.
    """
    mask = chosen(_rows(inputs), size, rng)
    return _numbers(inputs, numeric(inputs)[0], lambda v: np.where(mask, v * 25.4, v))


def shifted(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Add `size` standard deviations to the numeric feature.

    Seen: a sensor that was calibrated again, a price list after inflation.
    """
    return _numbers(inputs, numeric(inputs)[0], lambda v: v + size * np.nanstd(v))


def constant(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Repeat one value of the numeric feature to the end, for a share of the rows: the sensor hangs.

    Seen: a cache in front of a feature store that was not refreshed.
    """
    start = min(_rows(inputs) - 1, round((1 - size) * _rows(inputs)))

    def hang(values: Floats) -> Floats:
        there = values[~np.isnan(values)]
        last = np.array(values)
        last[start:] = values[start] if np.isfinite(values[start]) else np.median(there)
        return last

    return _numbers(inputs, numeric(inputs)[0], hang)


def outliers(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Put a number that is a hundred times as far out as any other into a share of the values.

    Seen: -999 and 9999 as signs for "unknown".
    """
    mask = chosen(_rows(inputs), size, rng)
    return _numbers(inputs, numeric(inputs)[0], lambda v: np.where(mask, 100 * np.nanmax(np.abs(v)) + 1, v))


def negative(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Turn the sign of a share of the values of the numeric feature.

    Seen: bookings whose sign means debit in one system and credit in another.
    """
    mask = chosen(_rows(inputs), size, rng)
    return _numbers(inputs, numeric(inputs)[0], lambda v: np.where(mask, -v, v))


def category_renamed(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Write the most frequent category otherwise in a share of its rows.

    Seen: "NY" becomes "New York" with a new version of a form.
    """
    name, values = _texts(inputs)
    mask = chosen(len(values), size, rng, values == _frequent(values)[0])
    return _with_texts(inputs, name, np.where(mask, f"{_frequent(values)[0]}_2", values))


def category_merged(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Give a share of the rows of the second category the name of the most frequent one.

    Seen: two branches that were united in the source system.
    """
    name, values = _texts(inputs)
    frequent = _frequent(values)
    if len(frequent) < 2:
        raise NotApplicable(f"the column {name} has one category")
    mask = chosen(len(values), size, rng, values == frequent[1])
    return _with_texts(inputs, name, np.where(mask, frequent[0], values))


def category_new(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Give a share of the rows a category that was never seen.

    Seen: a new airline, a new product; encoders that ignore what they do not know answer as if it were nothing.
    """
    name, values = _texts(inputs)
    return _with_texts(inputs, name, np.where(chosen(len(values), size, rng), "never_seen", values))


def encoding(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Break the encoding of a share of the texts: the first letter becomes the sign for what cannot be decoded.

    Seen: Latin-1 read as UTF-8, with errors replaced.
    """
    name, values = _texts(inputs)
    mask = chosen(len(values), size, rng)
    broken = np.array(
        [f"\ufffd{v[1:]}" if hit and isinstance(v, str) else v for v, hit in zip(values, mask, strict=True)],
        dtype=object,
    )
    return _with_texts(inputs, name, broken)


def columns_swapped(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Exchange the values of two numeric features in a share of the rows.

    Seen: a CSV file without a header, whose writer has another order of columns.
    """
    names = numeric(inputs)
    if len(names) < 2:
        raise NotApplicable("the contract has one numeric feature, which cannot be exchanged with another")
    mask = chosen(_rows(inputs), size, rng)
    one, other = (_values(inputs, n) for n in names[:2])
    changed = _put(inputs, names[0], np.where(mask, other, one))
    return _put(changed, names[1], np.where(mask, one, other))


def rounded_off(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Round the numeric feature to multiples of `size` standard deviations.

    Seen: a column that became decimal(10, 0), a float that passed a text of few digits.
    """

    def coarse(values: Floats) -> Floats:
        step = size * np.nanstd(values) or 1.0
        return np.asarray(np.round(values / step) * step)

    return _numbers(inputs, numeric(inputs)[0], coarse)


def as_text(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Hand the numeric feature over as text.

    Seen: one "n/a" in a CSV file turns a whole column into texts.
    """
    name = numeric(inputs)[0]
    return inputs.with_column(
        inputs.dataset, name, pc.cast(inputs.table(inputs.dataset)[name], pa.string()).combine_chunks()
    )


def _rows(inputs: Inputs) -> int:
    return int(inputs.table(inputs.dataset).num_rows)


def _column(inputs: Inputs, name: str) -> pa.ChunkedArray:
    table = inputs.table(inputs.dataset)
    if name not in table.column_names:
        raise NotApplicable(f"data.{inputs.dataset} has no column {name}")
    return table[name]


def _values(inputs: Inputs, name: str) -> Floats:
    return np.asarray(_column(inputs, name).cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _put(inputs: Inputs, name: str, values: Floats) -> Inputs:
    """Return a copy with these numbers in a column, in its type where that is one of whole numbers."""
    kind = _column(inputs, name).type
    absent = np.isnan(values)
    if pa.types.is_integer(kind):
        whole = np.where(absent, 0, np.round(values)).astype(np.int64)
        return inputs.with_column(inputs.dataset, name, pa.array(whole, mask=absent))
    return inputs.with_column(inputs.dataset, name, pa.array(values, pa.float64(), mask=absent))


def _numbers(inputs: Inputs, name: str, change: Callable[[Floats], Any]) -> Inputs:
    return _put(inputs, name, np.asarray(change(_values(inputs, name)), dtype=np.float64))


def _emptied(inputs: Inputs, name: str, size: float, rng: np.random.Generator) -> Inputs:
    column = _column(inputs, name).combine_chunks()
    mask = chosen(len(column), size, rng)
    return inputs.with_column(inputs.dataset, name, pc.if_else(pa.array(mask), pa.scalar(None, column.type), column))


def _texts(inputs: Inputs) -> tuple[str, NDArray[np.object_]]:
    """Return the feature with texts that the answers follow most, and its values in the dataset."""
    columns = inputs.file.contract.data.columns
    names = [n for n in categorical(inputs) if columns[n].type == "string"]
    if not names:
        raise NotApplicable("the contract has no feature that holds texts")
    values = _column(inputs, names[0]).cast(pa.string()).to_numpy(zero_copy_only=False)
    return names[0], np.asarray(values, dtype=object)


def _with_texts(inputs: Inputs, name: str, values: NDArray[np.object_]) -> Inputs:
    return inputs.with_column(inputs.dataset, name, pa.array(values.tolist(), pa.string()))


def _frequent(values: NDArray[np.object_]) -> list[str]:
    """Return the texts that occur, the most frequent first."""
    counted = pc.value_counts(pa.array(values.tolist(), pa.string()).drop_null())
    pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
    return [value for value, _ in sorted(pairs, key=lambda p: (-p[1], p[0]))]


SHARE = "share of the rows"
FAULTS = (
    Fault("data-missing", "data", missing, 0.5, shares(0.5), SHARE, asks=True),
    Fault("data-missing-category", "data", missing_category, 0.2, shares(0.2), SHARE, asks=True),
    Fault("data-scaled", "data", scaled, 2.54, (1.05, 1.1, 1.25, 1.6, 2.54, 25.4, 1000.0), "times", asks=True),
    Fault("data-scaled-share", "data", scaled_share, 0.2, shares(0.2), SHARE, asks=True),
    Fault("data-shifted", "data", shifted, 2.0, shares(2.0, 8), "standard deviations", asks=True),
    Fault("data-constant", "data", constant, 0.5, shares(0.5), SHARE, asks=True),
    Fault("data-outliers", "data", outliers, 0.02, shares(0.02), SHARE, asks=True),
    Fault("data-negative", "data", negative, 0.2, shares(0.2), SHARE, asks=True),
    Fault("data-category-renamed", "data", category_renamed, 0.5, shares(0.5), "share of its rows", asks=True),
    Fault("data-category-merged", "data", category_merged, 1.0, shares(1.0), "share of its rows", asks=True),
    Fault("data-category-new", "data", category_new, 0.05, shares(0.05), SHARE, asks=True),
    Fault("data-encoding", "data", encoding, 0.05, shares(0.05), SHARE, asks=True),
    Fault("data-columns-swapped", "data", columns_swapped, 1.0, shares(1.0), SHARE, asks=True),
    Fault("data-rounded-off", "data", rounded_off, 2.0, shares(2.0, 8), "standard deviations", asks=True),
    Fault("data-as-text", "data", as_text, 1.0, (1.0,), "column", asks=True),
)
