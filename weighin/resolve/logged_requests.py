"""Resolve the requests of the shadow gate: the last ones that the champion answered, fixed in the work folder.

They are read once, by their order in the log, and whoever was champion then: what users ask does not depend on who
answers. `requests/logged.parquet` lies apart from the features, which every model is given in its container: a request
that a model cannot bear is an error of the shadow gate and no reason to measure nothing else.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from weighin.canonical import file_digest
from weighin.contract.reading import ContractFile
from weighin.errors import NotEvaluated, WeighinError
from weighin.prediction_log.reader import Log
from weighin.prediction_log.requests import Requests
from weighin.runner.plan import REQUESTS
from weighin.untrusted import JsonDict

ROWS_AT_MOST = 200_000
"""Rows of the log that are looked through for whole requests."""
FIRST = "Without a champion there is nothing to compare with: add `gates.shadow` after the first release."


def resolve_requests(file: ContractFile, work: Path, moment: datetime, champion: bool) -> JsonDict:
    """Write the requests, and say what they are; a `problem` in words where nothing can be replayed.

    moment    up to which the log is read
    champion  whether there is one
    """
    gate = file.contract.gates.shadow
    assert gate is not None
    known: dict[str, Any] = {"sha256": "", "rows": 0, "requests": 0, "problem": "", "place": ""}
    try:
        if not champion:
            raise NotEvaluated("there is no champion", "gates.shadow", FIRST)
        found, left_out = logged_requests(file, gate.requests, moment)
    except WeighinError as error:
        return {**known, "problem": str(error)}
    found.write(work / REQUESTS)
    requests = int(found.request[-1]) + 1
    more = {"rows": len(found.request), "requests": requests, "left_out": left_out, "place": REQUESTS}
    return {**known, **more, "sha256": file_digest(work / REQUESTS)}


def logged_requests(file: ContractFile, wanted: int, moment: datetime) -> tuple[Requests, list[str]]:
    """Return the newest whole requests, at most `wanted`, oldest first; and in sentences what of the log was left out.

    Errors: `NotEvaluated` when the log is away or empty, or cannot hold what the model was asked.
    """
    columns = file.contract.data.columns
    hidden = [name for name in file.contract.features if columns[name].sensitive]
    if hidden:
        raise NotEvaluated(
            f"{len(hidden)} features are sensitive, and are never logged: no request can be asked again",
            "gates.shadow",
            "Leave the gate out, or let a shadow server answer the traffic itself (docs/reference/gates/shadow.md).",
        )
    log = Log.of(file)
    limit = wanted + 1
    while True:
        read = log.last_rows(limit, moment, kind="predicted")
        whole, partial = _whole(read.rows, cut=read.rows.num_rows >= limit)
        if _count(whole) >= wanted or read.rows.num_rows < limit or limit >= ROWS_AT_MOST:
            break
        limit = min(4 * limit, ROWS_AT_MOST)
    rows, empty = _with_features(whole, list(log.tables.columns.values()))
    if not rows.num_rows:
        raise NotEvaluated(
            "no request with features stands in the log",
            log.tables.place,
            "Let the champion answer for a while, or look at what its server says of the log.",
        )
    codes = _codes(rows)
    kept = rows.filter(pa.array(codes > codes[-1] - wanted))
    codes = codes[codes > codes[-1] - wanted]
    answered = np.column_stack([kept[name].to_numpy() for name in log.tables.outputs])
    features = kept.select(list(log.tables.columns.values())).rename_columns(list(log.tables.columns))
    digest = tuple(d or "" for d in kept["digest"].to_pylist())
    said = {"requests of which rows are missing": partial, "requests without a single feature": empty}
    left_out = [f"{number} {what}" for what, number in said.items() if number]
    return Requests(codes - codes[0], features.select(list(file.contract.features)), answered, digest), [
        *left_out,
        *read.faults.messages,
    ]


def _codes(rows: pa.Table) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(rows,) number of the request of each row, from 0 on: rows of a request stand together, as its moment is one."""
    request = rows["request"].to_pandas()
    return np.asarray((request != request.shift()).cumsum() - 1, dtype=np.int64)


def _count(rows: pa.Table) -> int:
    return int(_codes(rows)[-1]) + 1 if rows.num_rows else 0


def _whole(rows: pa.Table, *, cut: bool) -> tuple[pa.Table, int]:
    """Return the requests all of whose rows are here, and how many others there are.

    cut  whether there may be more rows of the oldest moment than these; its requests are left out then
    """
    if not rows.num_rows:
        return rows, 0
    if cut:
        rows = rows.filter(pc.greater(rows["at"], pc.min(rows["at"])))
    codes = _codes(rows)
    number = pd.Series(rows["row"].to_numpy())
    seen = number.groupby(codes)
    # Each row once: that much the log sees to.
    right = (seen.min() == 0) & (seen.max() == seen.size() - 1)
    return rows.filter(pa.array(right.to_numpy()[codes])), int((~right).sum())


def _with_features(rows: pa.Table, columns: list[str]) -> tuple[pa.Table, int]:
    """Return the requests with at least one logged feature, and how many have none: theirs could not be read."""
    if not rows.num_rows:
        return rows, 0
    some = np.zeros(rows.num_rows, dtype=bool)
    for name in columns:
        some |= pc.is_valid(rows[name]).to_numpy()
    codes = _codes(rows)
    there = pd.Series(some).groupby(codes).any().to_numpy()
    return rows.filter(pa.array(there[codes])), int((~there).sum())
