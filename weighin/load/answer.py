"""What an answer says, or what is wrong with it."""

from __future__ import annotations

import json
import re

from weighin.errors import NotEvaluated
from weighin.model.answers import answers_in
from weighin.runner.plan import Answers
from weighin.untrusted import JsonValue

ERROR_LETTERS = 200
"""A server's own words may be long, and there may be many of them."""


def read_answer(content: bytes, rows: int, pointer: str, meant: Answers) -> tuple[str, list[float] | None]:
    """Return the error (empty for none) and the predictions of one answer, row by row. Never an exception.

    rows     how many were asked for
    pointer  where in the answer the predictions are: a JSON pointer (RFC 6901)
    meant    what of it is the prediction

    >>> read_answer(b'{"predictions": [0.5, 1]}', 2, "/predictions", Answers((1,)))
    ('', [0.5, 1.0])
    >>> read_answer(b"<html>", 2, "/predictions", Answers((1,)))
    ('HTML instead of JSON', None)
    """
    try:
        found = at(json.loads(content), pointer)
    except LookupError:
        return f"no {pointer} in the answer", None
    except (ValueError, RecursionError):
        return "HTML instead of JSON" if content.lstrip()[:1] == b"<" else "broken JSON", None
    try:
        answers = answers_in(found, meant)
    except NotEvaluated as error:
        return error.fact[:ERROR_LETTERS], None
    except OverflowError:
        return "the answers are too large to be numbers", None
    if len(answers) != rows:
        return f"{len(answers)} answers for {rows} rows", None
    return "", answers.ravel().tolist()


def at(document: JsonValue, pointer: str) -> JsonValue:
    """Return what a JSON pointer (RFC 6901) refers to. Errors: `LookupError` when there is no such place.

    >>> at({"a/b": [{"c": 7}]}, "/a~1b/0/c")
    7
    """
    for part in pointer.split("/")[1:]:
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
