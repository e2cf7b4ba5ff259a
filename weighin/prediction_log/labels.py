"""Labels that came: appended to the prediction log from a file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from weighin.errors import ContractError, NotEvaluated
from weighin.prediction_log.sinks import Sink
from weighin.prediction_log.tables import LogTables

ROWS = 50_000
"""In one transaction, or one file."""


def append_labels(sink: Sink, labels: pa.Table, now: datetime) -> int:
    """Append labels to a log; returns how many.

    labels  columns `request`, `label`; `row` (default 0) and `at` (when it came, default `now`) where they are known
    Errors: `ContractError` where a column is missing, holds nothing somewhere, or is of another type than the target;
    `SinkError` when the log is away: nothing of the part that failed is then stored, and the same file may be given
    again, as a label that comes twice counts once.
    """
    tables = sink.tables
    if not tables.label:
        raise ContractError(
            "the target is `sensitive`, or a text: no label is stored",
            tables.model,
            "Labels of it stay where they are.",
        )
    given = {name: labels[name] for name in labels.column_names}
    given.setdefault("row", pa.chunked_array([pa.array([0] * labels.num_rows, pa.int64())]))
    given.setdefault("at", pa.chunked_array([pa.array([now.astimezone(UTC)] * labels.num_rows)]))
    columns = []
    for field in tables.label_schema:
        if field.name not in given:
            raise ContractError(f"no column `{field.name}`", "labels", "Columns are request, row, label and at.")
        try:
            column = given[field.name].cast(field.type)
        except pa.ArrowException as error:
            raise ContractError(
                f"the column `{field.name}` holds {given[field.name].type}, not {field.type}", "labels", "Correct it."
            ) from error
        if missing := pc.sum(pc.is_null(column)).as_py():
            raise ContractError(f"{missing} rows have no `{field.name}`", "labels", "Leave such rows out.")
        columns.append(column)
    rows = pa.table(columns, schema=tables.label_schema)
    for start in range(0, rows.num_rows, ROWS):
        sink.write(tables.labels, rows.slice(start, ROWS))
    return int(rows.num_rows)


def read_labels(path: Path, tables: LogTables) -> pa.Table:
    """Labels of a Parquet or CSV file. Errors: `NotEvaluated` when it cannot be read."""
    import pyarrow.csv
    import pyarrow.parquet

    try:
        if path.suffix.lower() == ".csv":
            types = {f.name: f.type for f in tables.label_schema}
            options = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=True)
            return pyarrow.csv.read_csv(path, convert_options=options)
        return pyarrow.parquet.read_table(path)
    except FileNotFoundError as error:
        raise NotEvaluated("there is no such file", str(path), "Correct the path.") from error
    except (OSError, pa.ArrowException) as error:
        kind = type(error).__name__
        raise NotEvaluated(f"no table of labels ({kind})", str(path), "Give Parquet, or CSV with a header.") from error
