"""SQL conditions of a contract: slices of the holdout, and the rows that a data rule is about."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weighin.data.engines import told
from weighin.errors import NotEvaluated

ROW = "weighin_row"


def holds(rows: pa.Table | pa.RecordBatchReader, query: str, place: str) -> NDArray[np.bool_]:
    """(n,) whether a condition holds for each row; unknown counts as no.

    rows   with their number, counted from 0, in the column `ROW`
    DuckDB answers over these rows alone, in UTC, without access to files or network.
    Errors: `NotEvaluated` when the text is no condition over these columns.
    """
    import duckdb

    names = [n for n in rows.schema.names if n != ROW]
    try:
        with duckdb.connect(config={"enable_external_access": False, "threads": 1}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("holdout", rows)
            # Read as one expression first: no text closes the parenthesis that it stands in.
            duckdb.SQLExpression(query)
            found = connection.sql(f"SELECT {ROW}, ({query}\n) FROM holdout")  # noqa: S608 - one expression
            if len(found.types) != 2 or found.types[1] != "BOOLEAN":
                raise NotEvaluated(f"`{query}` is no condition: it is not true or false", place, "Compare something.")
            number, true = (column.to_numpy(zero_copy_only=False) for column in found.to_arrow_table().columns)
    except duckdb.Error as error:
        fact = f"`{query}` is no condition over these columns ({told(error, names)})"
        raise NotEvaluated(fact, place, "Correct it.") from error
    keep = np.zeros(len(number), dtype=bool)
    keep[number] = np.equal(true, True)
    return keep
