"""What an answer says, or what is wrong with it."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from weighin.errors import NotEvaluated
from weighin.load.client import Answer
from weighin.load.log import Response
from weighin.model.answers import answers_in
from weighin.model.chat import REQUESTS, reply
from weighin.model.stream import read_stream
from weighin.model.texts import must_be_texts, texts_in
from weighin.runner.plan import Answers, Interface
from weighin.untrusted import JsonValue

ERROR_LETTERS = 200
"""A server's own words may be long, and there may be many of them."""


def read_answer(content: bytes, rows: int, pointer: str, meant: Answers) -> tuple[str, list[float] | None]:
    """Return the error (empty for none) and the predictions of one answer, row by row. Never an exception.

    rows     how many were asked for
    pointer  where in the answer the predictions are: a JSON pointer (RFC 6901), in which `*` is each element of a list
    meant    what of it is the prediction

    >>> read_answer(b'{"predictions": [0.5, 1]}', 2, "/predictions", Answers((1,)))
    ('', [0.5, 1.0])
    >>> read_answer(b"<html>", 2, "/predictions", Answers((1,)))
    ('HTML instead of JSON', None)
    """
    try:
        answers = answers_in(_found(content, pointer), meant)
    except NotEvaluated as error:
        return error.fact[:ERROR_LETTERS], None
    except OverflowError:
        return "the answers are too large to be numbers", None
    if len(answers) != rows:
        return f"{len(answers)} answers for {rows} rows", None
    return "", answers.ravel().tolist()


def read_texts(answer: Answer, rows: int, interface: Interface, meant: Answers) -> tuple[str, list[str] | None, int]:
    """Return the error (empty for none), the texts of one answer, and after how many bytes of it the first one began.

    Never an exception; no error shows anything of a text.

    >>> said = Answer("", b'{"choices": [{"message": {"content": "So."}}]}', 0.0)
    >>> read_texts(said, 1, Interface(form="chat"), Answers((0,), "text"))
    ('', ['So.'], 46)
    """
    first, form = len(answer.content), REQUESTS.get(interface.form, "")
    found: list[str | None]
    try:
        if interface.stream:
            error, text, first = read_stream(answer.content, form)
            if error:
                return error, None, 0
            found = [text]
        elif form:
            found = [reply(form, _found(answer.content, ""))]
        else:
            found = [*texts_in(_found(answer.content, interface.predictions), meant)]
        texts = must_be_texts(found, "")
    except NotEvaluated as error:
        return error.fact[:ERROR_LETTERS], None, 0
    if len(texts) != rows:
        return f"{len(texts)} answers for {rows} rows", None, 0
    if not interface.may_be_empty and not all(map(str.strip, texts)):
        return "an empty answer", None, 0
    return "", texts, first


def response(
    phase: str,
    intended: float,
    sent: float,
    began: float,
    answer: Answer,
    rows: tuple[int, ...],
    interface: Interface,
    meant: Answers,
) -> Response:
    """Return the row of the log for an answer.

    began  the moment of `time.perf_counter` from which the others count
    """
    about = (phase, intended, sent, answer.done - began)
    if answer.error:
        return Response(*about, answer.error, rows)
    if meant.kind != "text":
        error, answers = read_answer(answer.content, len(rows), interface.predictions, meant)
        return Response(*about, error, rows, answers)
    error, texts, first = read_texts(answer, len(rows), interface, meant)
    if error:
        return Response(*about, error, rows)
    return Response(*about, "", rows, None, texts, answer.moment_of(first) - began)


def _found(content: bytes, pointer: str) -> JsonValue:
    """Return what a pointer refers to in an answer. Errors: `NotEvaluated`."""
    try:
        return in_tensors(at(json.loads(content), pointer))
    except LookupError:
        raise NotEvaluated(f"no {pointer} in the answer") from None
    except (ValueError, RecursionError):
        said = "HTML instead of JSON" if content.lstrip()[:1] == b"<" else "broken JSON"
        raise NotEvaluated(said) from None


def at(document: JsonValue, pointer: str) -> JsonValue:
    """Return what a JSON pointer (RFC 6901) refers to; after a `*`, what it refers to in each element of a list.

    Errors: `LookupError` when there is no such place.

    >>> at({"a/b": [{"c": 7}]}, "/a~1b/0/c")
    7
    >>> at({"predictions": [{"score": 0.2}, {"score": 0.8}]}, "/predictions/*/score")
    [0.2, 0.8]
    """
    parts = pointer.split("/")[1:]
    for position, part in enumerate(parts, 1):
        if part == "*" and isinstance(document, list):
            rest = "".join(f"/{each}" for each in parts[position:])
            return [at(element, rest) for element in document]
        token = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, list):
            if not re.fullmatch("0|[1-9][0-9]*", token):
                raise LookupError(token)
            document = document[int(token)]
        elif isinstance(document, dict):
            document = document[token]
        else:
            raise LookupError(token)
    return document


def in_tensors(found: JsonValue) -> JsonValue:
    """Return the values of tensors of the V2 protocol, row by row; what is no tensor stays as it is.

    One tensor has one value or one list for each row, whether its data are flat or nested; several are columns by name.
    Errors: `NotEvaluated` for data that do not fill their shape.

    >>> in_tensors([{"name": "p", "shape": [2, 2], "datatype": "FP64", "data": [0.1, 0.9, 0.3, 0.7]}])
    [[0.1, 0.9], [0.3, 0.7]]
    >>> in_tensors([{"name": n, "shape": [1, 1], "datatype": "FP32", "data": [v]} for n, v in (("a", 1.0), ("b", 2.0))])
    {'a': [1.0], 'b': [2.0]}
    """
    if _is_tensor(found):
        return _rows(found)
    if isinstance(found, list) and found and all(map(_is_tensor, found)):
        return _rows(found[0]) if len(found) == 1 else {str(t["name"]): _rows(t) for t in found}
    return found


def _is_tensor(value: JsonValue) -> bool:
    return isinstance(value, dict) and {"name", "shape", "datatype", "data"} <= set(value)


def _rows(tensor: Any) -> list[JsonValue]:
    shape, data = tensor["shape"], tensor["data"]
    while isinstance(data, list) and data and isinstance(data[0], list):
        data = [value for part in data for value in (part if isinstance(part, list) else [part])]
    sized = isinstance(shape, list) and shape and all(type(n) is int and n >= 0 for n in shape)
    if not sized or not isinstance(data, list) or math.prod(shape) != len(data):
        raise NotEvaluated("a tensor of the answer does not fill its shape")
    width = math.prod(shape[1:])
    return data if width == 1 else [data[i : i + width] for i in range(0, len(data), width)]
