"""Rows as the body of a request: MLflow's forms, tensors of the V2 protocol, and templates around them.

The V2 protocol (KServe's "Open Inference Protocol", spoken by Triton, MLServer and KServe) has one tensor for each
column here: `{"name": ..., "shape": [n, 1], "datatype": ..., "data": [...]}`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

import numpy as np

from weighin.errors import NotEvaluated
from weighin.model.chat import REQUESTS, request
from weighin.runner.plan import Interface

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ROWS, LISTS, VALUES, TENSORS, COUNT = "{{rows}}", "{{lists}}", "{{values}}", "{{tensors}}", "{{count}}"
"""What a template holds where the rows go: as objects, as lists, as one flat list row by row, or as V2 tensors; and the
number of rows."""
DATA = (ROWS, LISTS, VALUES, TENSORS)
V2 = f'{{"inputs": {TENSORS}}}'


class Bodies(Protocol):
    """Requests as JSON, from rows that are encoded already: a body is put together in microseconds, when it is sent."""

    def of(self, rows: Sequence[int]) -> bytes:
        """Return the body that asks for these rows."""


@dataclass(frozen=True)
class _Around:
    """What stands before and after the rows; `{{count}}` in it is their number."""

    before: bytes
    after: bytes

    def body(self, data: bytes, rows: int) -> bytes:
        mark, count = COUNT.encode(), b"%d" % rows
        return self.before.replace(mark, count) + data + self.after.replace(mark, count)


@dataclass(frozen=True)
class _ByRow:
    """Each row in its form; `brackets` is whether a list holds them."""

    rows: dict[int, bytes]
    around: _Around

    def of(self, rows: Sequence[int]) -> bytes:
        return self.around.body(b"[" + b",".join([self.rows[row] for row in rows]) + b"]", len(rows))


@dataclass(frozen=True)
class _ByColumn:
    """The cells of each row, and the beginning of the tensor of each column."""

    rows: dict[int, tuple[bytes, ...]]
    columns: tuple[tuple[bytes, bytes], ...]
    around: _Around

    def of(self, rows: Sequence[int]) -> bytes:
        cells = zip(*(self.rows[row] for row in rows), strict=True)
        tensors = [
            b'{"name": %s, "shape": [%d, 1], "datatype": "%s", "data": [%s]}' % (name, len(rows), kind, b",".join(data))
            for (name, kind), data in zip(self.columns, cells, strict=True)
        ]
        return self.around.body(b"[" + b",".join(tensors) + b"]", len(rows))


@dataclass(frozen=True)
class _Conversations:
    """One request for each row."""

    rows: dict[int, bytes]

    def of(self, rows: Sequence[int]) -> bytes:
        if len(rows) != 1:
            said = f"a request of {len(rows)} rows, and one conversation is asked at a time"
            raise NotEvaluated(said, "load", "Write `batch_rows: 1`.")
        return self.rows[rows[0]]


def bodies(frame: pd.DataFrame, interface: Interface, numbers: Sequence[int] | None = None) -> Bodies:
    """Rows of a frame as JSON, see `rows_as_json`.

    numbers  by which the rows are known; default 0, 1, ...
    """
    import pyarrow as pa

    numbers = range(len(frame)) if numbers is None else numbers
    return rows_as_json(pa.Table.from_pandas(frame, preserve_index=False), interface, numbers)


def rows_as_json(table: pa.Table, interface: Interface, numbers: Sequence[int]) -> Bodies:
    """Return rows of a table as JSON: numbers keep every digit, what is missing is null, moments are ISO 8601 in UTC.

    An integer that is missing makes no others floats. MLflow's server takes moments without a zone only, so its forms
    have none; other servers' have it.
    Errors: `NotEvaluated` for a template that is no JSON around the rows, and cells that have no form in JSON.
    """
    if interface.form in REQUESTS:
        asked = [request(REQUESTS[interface.form], text or "") for text in table.column(0).to_pylist()]
        streamed = {"stream": True} if interface.stream else {}
        return _Conversations({n: _json({**a, **streamed}) for n, a in zip(numbers, asked, strict=True)})
    names, zoned = table.column_names, interface.form in ("template", "v2")
    columns = [[_plain(value, zoned=zoned) for value in column.to_pylist()] for column in table.columns]
    rows = zip(*columns, strict=True)
    if interface.form == "dataframe_split":
        before = b'{"dataframe_split": {"columns": ' + json.dumps(names).encode() + b', "data": '
        return _ByRow(dict(zip(numbers, map(_json, map(list, rows)), strict=True)), _Around(before, b"}}"))
    form, around = _form(interface)
    if form == TENSORS:
        cells = [tuple(map(_json, row)) for row in rows]
        heads = tuple((_json(field.name), _datatype(field.type)) for field in table.schema)
        return _ByColumn(dict(zip(numbers, cells, strict=True)), heads, around)
    if form == ROWS:
        encoded = [_json(dict(zip(names, row, strict=True))) for row in rows]
    else:
        lists = [_json(list(row)) for row in rows]
        encoded = lists if form == LISTS else [row[1:-1] for row in lists]
    return _ByRow(dict(zip(numbers, encoded, strict=True)), around)


def _json(value: object) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def _form(interface: Interface) -> tuple[str, _Around]:
    """Return in which form a body has the rows, and what stands around them. Errors: `NotEvaluated`."""
    if interface.form == "instances":
        return ROWS, _Around(b'{"instances": ', b"}")
    template = V2 if interface.form == "v2" else interface.template
    found = [form for form in DATA for _ in range(template.count(form))]
    remedy = f"Write one of {', '.join(DATA)}, once, where the rows go."
    if len(found) != 1:
        raise NotEvaluated(f"the template of requests has the rows {len(found)} times", "load", remedy)
    before, _, after = template.partition(found[0])
    try:
        # A text within, so that a mark that stands in quotation marks is found out.
        json.loads(f'{before}[""]{after}'.replace(COUNT, "1"))
    except ValueError as error:
        raise NotEvaluated("the template of requests is not JSON", "load", remedy) from error
    return found[0], _Around(before.encode(), after.encode())


def _datatype(kind: pa.DataType) -> bytes:
    """Return the V2 protocol's name of a type; text for what it has none for.

    Source: KServe, Open Inference Protocol, "Tensor Data Types".
    """
    import pyarrow.types as of

    if of.is_boolean(kind):
        return b"BOOL"
    if of.is_floating(kind) or of.is_integer(kind):
        family = b"FP" if of.is_floating(kind) else b"UINT" if of.is_unsigned_integer(kind) else b"INT"
        return family + b"%d" % kind.bit_width
    return b"FP64" if of.is_decimal(kind) else b"BYTES"


def _plain(value: object, *, zoned: bool = True) -> object:
    """Return a cell as JSON has it."""
    match value:
        case float():
            return value if np.isfinite(value) else None
        case datetime() if value.tzinfo is not None:
            utc = value.astimezone(UTC)
            return utc.isoformat() if zoned else utc.replace(tzinfo=None).isoformat()
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return float(value)
        case bytes():
            raise NotEvaluated("a column of bytes has no form in JSON", "load", "Leave it out of the features.")
        case list():
            return [_plain(inner, zoned=zoned) for inner in value]
        case dict():
            return {key: _plain(inner, zoned=zoned) for key, inner in value.items()}
    return value
