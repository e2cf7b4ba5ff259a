"""One request and its answer, and the rows of the log that they make. Nothing in them is trusted."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from weighin.errors import NotEvaluated
from weighin.model.chat import CHAT, RESPONSES, asked, reply
from weighin.model.stream import read_stream
from weighin.model.texts import LARGEST, must_be_texts, texts_in
from weighin.prediction_log.tables import LogTables
from weighin.runner.plan import Answers
from weighin.untrusted import JsonObject, JsonValue
from weighin.untrusted.bounded import json_value

Features = Mapping[str, Sequence[Any]]
ReadFeatures = Callable[[bytes, str], Features]
"""(body of the request, its content type) -> name -> values, row by row; raises what it likes where there are none."""
ReadPredictions = Callable[[bytes, Answers], Sequence[Sequence[float]]]
"""(body of the answer, what of it is the prediction) -> one or several numbers for each row."""

ROWS_AT_MOST = 10_000
"""Of a request with more rows neither features nor predictions are logged."""
LONGEST_TEXT = 1000
"""Letters of a value; a longer one is no value of a column that is counted."""
CONVERSATION = ""
"""Where `mlflow_features` puts what a model was asked in messages: no column is called so."""


@dataclass(frozen=True)
class Served:
    """Who answers. `role` is champion, shadow or canary; `version` is empty where there is no registry."""

    model: str
    digest: str
    version: str = ""
    role: str = "champion"


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was asked and answered.

    at       Unix time of the request
    request_body  its body; empty where it was larger than what is logged
    whole    whether both bodies are here
    unit     the pseudonym of whom the request is for, where it names one
    """

    at: float
    request: str
    served: Served
    status: int
    latency_ms: float
    request_body: bytes
    content_type: str
    response_body: bytes
    whole: bool
    features: ReadFeatures
    predictions: ReadPredictions
    unit: str | None = None

    @property
    def size(self) -> int:
        """Bytes that it holds, about."""
        return len(self.request_body) + len(self.response_body) + 1000


@dataclass(frozen=True)
class Read:
    """Rows of the log, column by column. `unread` says what could not be read of an answered request."""

    columns: dict[str, list[Any]]
    rows: int
    unread: str = ""
    problems_with: int = 0
    """Values that are not of their column's type, and so are missing."""


def read(exchange: Exchange, tables: LogTables) -> Read:
    """Return the rows of an exchange; one without features and prediction where it failed or cannot be read."""
    unread, rows, problems_with = "", 1, 0
    answers: dict[str, list[Any]] = {}
    features: dict[str, list[Any]] = {}
    if 200 <= exchange.status < 300:
        if exchange.whole:
            try:
                found = exchange.predictions(exchange.response_body, tables.answers)
                rows = len(found)
                if not 0 < rows <= ROWS_AT_MOST:
                    raise ValueError(f"{rows} rows")
                answers = {n: [_finite(r[i]) for r in found] for i, n in enumerate(tables.outputs)}
            except Exception as error:  # noqa: BLE001 - a stranger's bytes, and a team's function
                unread, rows, answers = f"no predictions in an answer ({type(error).__name__})", 1, {}
            try:
                features, problems_with = _features(exchange, tables, rows)
            except Exception as error:  # noqa: BLE001 - the same
                unread = unread or f"no features in a request ({type(error).__name__})"
        else:
            unread = "a body larger than what is logged"
    served = exchange.served
    about = (
        datetime.fromtimestamp(exchange.at, UTC),
        exchange.request,
        None,
        served.model,
        served.version,
        served.digest,
        served.role,
        exchange.status,
        exchange.latency_ms,
        *((exchange.unit,) if tables.unit_header else ()),
    )
    columns: dict[str, list[Any]] = {}
    for number, name in enumerate(tables.types):
        if number < len(about):
            columns[name] = list(range(rows)) if name == "row" else [about[number]] * rows
        else:
            columns[name] = answers.get(name) or features.get(name) or [None] * rows
    return Read(columns, rows, unread, problems_with)


def _features(exchange: Exchange, tables: LogTables, rows: int) -> tuple[dict[str, list[Any]], int]:
    given = exchange.features(exchange.request_body, exchange.content_type)
    texts = tables.answers.kind == "text"
    if texts and CONVERSATION in given and len(tables.features) == 1:
        given = {tables.features[0][0]: given[CONVERSATION]}
    found, problems_with = {}, 0
    for name, kind in tables.features:
        values = given.get(name)
        if values is None:
            continue
        if len(values) != rows:
            raise ValueError("rows and answers differ in number")
        fitting = [_string(v, LARGEST) if texts and kind == "string" else fit(v, kind) for v in values]
        problems_with += sum(f is None and v is not None for f, v in zip(fitting, values, strict=True))
        found[tables.columns[name]] = fitting
    return found, problems_with


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def fit(value: JsonValue, kind: str) -> JsonValue:
    """Return a value of JSON in the type of its column; nothing where it is of another.

    >>> fit(3.0, "integer"), fit("3", "integer"), fit(True, "float"), fit("2026-11-27", "date")
    (3, None, None, datetime.date(2026, 11, 27))
    """
    try:
        return _FIT[kind](value)
    except (ValueError, TypeError, OverflowError):
        return None


class Cell(str):
    """A value of CSV, which says no type."""


def _integer(value: Any) -> int | None:
    value = float(value) if isinstance(value, Cell) else value
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        return None
    return int(value) if -(2**63) <= value < 2**63 else None


def _float(value: Any) -> float | None:
    value = float(value) if isinstance(value, Cell) else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _finite(float(value))


def _string(value: Any, longest: int = LONGEST_TEXT) -> str | None:
    if not isinstance(value, str) or len(value) > longest:
        return None
    # PostgreSQL takes no NUL, and nothing takes half of a surrogate pair.
    return value.replace("\0", "\ufffd").encode(errors="replace").decode()


def _boolean(value: Any) -> bool | None:
    if isinstance(value, Cell):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


def _timestamp(value: Any) -> datetime | None:
    moment = datetime.fromisoformat(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _date(value: Any) -> date | None:
    return datetime.fromisoformat(value).date()


_FIT: dict[str, Callable[[Any], Any]] = {
    "integer": _integer,
    "float": _float,
    "string": _string,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "date": _date,
}


def mlflow_features(body: bytes, content_type: str) -> Features:
    """Of a request to MLflow's `/invocations`: dataframe_split, dataframe_records, instances or inputs that name their
    columns, messages, or CSV. Errors: `ValueError` and the like where there are none.

    >>> mlflow_features(b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}}', "application/json")
    {'a': [1, 3], 'b': [2, 4]}
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/csv":
        return _from_csv(body.decode())
    if kind not in ("application/json", ""):
        raise ValueError("neither JSON nor CSV")
    given = json_value(body)
    if "dataframe_split" in given:
        split = given["dataframe_split"]
        return {name: [row[i] for row in split["data"]] for i, name in enumerate(split["columns"])}
    for form in ("dataframe_records", "instances", "inputs"):
        if form in given:
            return _from_records(given[form]) if isinstance(given[form], list) else _from_columns(given[form])
    text = asked(given)
    if text is not None:
        return {CONVERSATION: [text]}
    raise ValueError("no rows")


def _from_records(records: Sequence[JsonObject]) -> Features:
    names = dict.fromkeys(name for record in records for name in record.keys())  # noqa: SIM118 - a list has no keys
    return {name: [record.get(name) for record in records] for name in names}


def _from_columns(columns: JsonObject) -> Features:
    return {name: values if isinstance(values, list) else [values] for name, values in columns.items()}


def _from_csv(text: str) -> Features:
    rows = list(csv.DictReader(text.splitlines()))
    return {name: [Cell(row[name]) if row[name] else None for row in rows] for name in rows[0]}


def mlflow_predictions(body: bytes, answers: Answers) -> Sequence[Sequence[float]]:
    """Of an answer of MLflow's `/invocations`; the number of characters of one that is a text, which is not logged.

    Errors: `NotEvaluated` where there are none.

    >>> mlflow_predictions(b'{"predictions": [[0.2, 0.8], [0.6, 0.4]]}', Answers((1,)))
    [[0.8], [0.4]]
    """
    from weighin.model.answers import answers_in

    if answers.kind == "text":
        return [[float(len(text))] for text in _texts(body, answers)]
    found = json_value(body)
    if not isinstance(found, dict) or "predictions" not in found:
        raise NotEvaluated("no predictions in the answer")
    values: list[list[float]] = answers_in(found["predictions"], answers).tolist()
    return values


def _texts(body: bytes, answers: Answers) -> list[str]:
    """Return the texts of an answer: a stream's, a chat model's, an agent's, or predictions. Errors: `NotEvaluated`."""

    if body.lstrip()[:1] != b"{":
        found = [(error, text) for error, text, _ in (read_stream(body, form) for form in (CHAT, RESPONSES))]
        whole = [text for error, text in found if not error]
        if not whole:
            raise NotEvaluated("no text in the answer")
        return must_be_texts([*whole[:1]], "")
    value = json_value(body)
    if "predictions" in value:
        return texts_in(value["predictions"], answers)
    return must_be_texts([reply(CHAT if "choices" in value else RESPONSES, value)], "")
