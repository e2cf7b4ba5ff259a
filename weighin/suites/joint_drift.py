"""Joint drift of the features: rows of the reference against current ones, told apart by a classifier."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from weighin.contract import Check
from weighin.contract.checks import drift_columns
from weighin.data.table import read_columns
from weighin.errors import NotEvaluated
from weighin.outcome import Measurement
from weighin.stats.domain_classifier import apart
from weighin.stats.intervals import Codes, Floats
from weighin.suites.evidence import Evidence
from weighin.suites.sample import sample
from weighin.untrusted.redact import reduced

BATCH = 50_000
DATASETS = ("reference", "current")
NAMED = 3
"""Features that the outcome names."""


def measure(check: Check, evidence: Evidence) -> Measurement:
    """Return the area under the ROC curve of a classifier of reference and current rows.

    Errors: `NotEvaluated`, `Undefined`.
    """
    contract = evidence.contract
    gate = contract.gates.drift
    if gate is None or gate.joint is None:
        raise TypeError(f"{check.id} is no check of joint drift")
    features = [c for c in drift_columns(contract) if c in contract.features]
    if not features:
        raise NotEvaluated("every feature is ignored", "gates.drift.columns", "Leave one, or remove `joint`.")
    (before, first), (after, second) = (drawn(evidence, d, features, gate.joint.rows_at_most) for d in DATASETS)
    columns = [_numbers(name, before[name], after[name]) for name in features]
    found = apart(
        np.column_stack([values for values, _ in columns]),
        np.arange(before.num_rows + after.num_rows) >= before.num_rows,
        np.array([category for _, category in columns]),
        None if first is None or second is None else np.concatenate([first, first.max() + 1 + second]),
        1 - check.limit.alpha,
    )
    drops = found.drops()
    order = np.argsort(-drops, kind="stable")[:NAMED]
    telling = {features[i]: round(float(drops[i]), 3) for i in order if drops[i] > 0}
    method = f"classifier of reference and current rows, most by {', '.join(telling) or 'no feature'}"
    detail = {"rows": [before.num_rows, after.num_rows], "fall of the area without the feature": telling}
    return sample(check, replace(found.interval, method=method), "AUC", contract.sampling_unit, detail)


def drawn(evidence: Evidence, dataset: str, features: list[str], most: int) -> tuple[pa.Table, Codes | None]:
    """Return some columns of up to so many rows, drawn with a fixed seed, and their groups; read a part at a time.

    Errors: `NotEvaluated`.
    """
    path = evidence.path(dataset)
    read_columns(path, features[:1])  # says what is wrong with the file, if anything
    groups = evidence.groups(dataset)
    try:
        file = pq.ParquetFile(path)
        rows = file.metadata.num_rows
        chosen = np.sort(np.random.default_rng(7).permutation(rows)[:most])
        parts, start = [], 0
        for batch in file.iter_batches(BATCH, columns=features):
            inside = chosen[(chosen >= start) & (chosen < start + batch.num_rows)] - start
            parts.append(batch.take(pa.array(inside)))
            start += batch.num_rows
    except (pa.ArrowException, OSError, KeyError) as error:
        raise NotEvaluated(f"its features cannot be read ({reduced(error, features)})", dataset) from error
    table = pa.Table.from_batches(parts)
    absent = [f for f in features if f not in table.column_names]
    if absent:
        raise NotEvaluated(f"no column {', '.join(absent)}", f"data.{dataset}", "Correct the data or the contract.")
    return table, None if groups is None else np.unique(groups[chosen], return_inverse=True)[1].astype(np.int64)


def _numbers(name: str, before: pa.ChunkedArray, after: pa.ChunkedArray) -> tuple[Floats, bool]:
    """Return a column of both tables as numbers, NaN where missing, and whether these are codes of categories.

    Codes are in the order of the names: in the order of appearance they would tell where a row is from.
    """
    values = [v.cast(v.type.value_type) if pa.types.is_dictionary(v.type) else v for v in (before, after)]
    texts = [pa.types.is_string(v.type) or pa.types.is_large_string(v.type) for v in values]
    if texts[0] != texts[1]:
        raise NotEvaluated(f"column {name} holds text in one table and none in the other", "gates.drift.joint")
    try:
        if not texts[0]:
            numbers = [_number(v) for v in values]
            return np.concatenate(numbers), pa.types.is_boolean(values[0].type)
        both = pa.concat_arrays([chunk for v in values for chunk in v.cast(pa.string()).chunks])
        names = pc.unique(both).drop_null()
        codes = pc.index_in(both, value_set=names.take(pc.sort_indices(names)))
        return codes.cast(pa.float64()).to_numpy(zero_copy_only=False), True
    except pa.ArrowException as error:
        fact = f"column {name} holds what is no number and no text"
        raise NotEvaluated(fact, "gates.drift.joint", "Let the column be ignored in gates.drift.columns.") from error


def _number(values: pa.ChunkedArray) -> Floats:
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("us", tz=getattr(values.type, "tz", None))).cast(pa.int64())
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
