"""Answers that are texts, as libraries return them, and what is refused of them without being shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from weighin.errors import NotEvaluated
from weighin.model.texts import LARGEST, read_texts, texts_in, write_texts
from weighin.runner.plan import Answers

FIRST, NAMED = Answers((0,), "text"), Answers(("answer",), "text")


@pytest.mark.parametrize(
    "returned",
    [
        ["a", "b"],
        ("a", "b"),
        np.array(["a", "b"]),
        np.array(["a", "b"], dtype=object),
        pd.Series(["a", "b"]),
        pd.DataFrame({"any": ["a", "b"]}),
        {"any": ["a", "b"]},
        [{"any": "a"}, {"any": "b"}],
        pa.array(["a", "b"]).to_pylist(),
    ],
    ids=["list", "tuple", "array", "objects", "series", "frame", "mapping", "rows", "arrow"],
)
def test_texts_are_found_in_whatever_holds_them(returned: Any) -> None:
    assert texts_in(returned, FIRST) == ["a", "b"]


def test_the_column_that_is_meant_is_read() -> None:
    frame = pd.DataFrame({"cost": [1, 2], "answer": ["a", "b"]})
    assert texts_in(frame, NAMED) == texts_in(frame, Answers((1,), "text")) == ["a", "b"]
    with pytest.raises(NotEvaluated, match=r'no column \["answer"\]'):
        texts_in({"other": ["a"]}, NAMED)
    with pytest.raises(NotEvaluated, match="none of number 2"):
        texts_in(frame, Answers((2,), "text"))


def test_lists_and_objects_are_written_as_json() -> None:
    returned = [["d1", "d2"], {"b": [1]}, np.array(["x"])]
    assert texts_in(returned, FIRST) == ['["d1", "d2"]', '{"b": [1]}', '["x"]']


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("a text", "no list of texts"),
        (3, "no list of texts"),
        (["a", None], "1 of 2 answers are no text"),
        (["a", 3.0], "1 of 2 answers are no text"),
        ([b"a"], "1 of 1 answers are no text"),
        ([{"a": {1, 2}}], "1 of 1 answers are no text"),
        (["SECRET\ud800"], "an answer holds what UTF-8 cannot hold"),
        (["SECRET" * LARGEST], "1 of 1 answers have more than 200,000 bytes"),
        (["ä" * (LARGEST // 2 + 1)], "have more than 200,000 bytes"),
    ],
    ids=["text", "number", "none", "float", "bytes", "set", "surrogate", "long", "long-in-bytes"],
)
def test_what_is_no_text_is_refused_and_not_shown(returned: Any, said: str) -> None:
    with pytest.raises(NotEvaluated) as refused:
        texts_in(returned, FIRST)
    assert said in str(refused.value)
    assert "SECRET" not in repr(refused.value)


def test_texts_are_read_as_they_were_written(tmp_path: Path) -> None:
    path, texts = tmp_path / "holdout.arrow", ["", "ä\n\t\x1b[31m", "🎉" * 50, "a" * LARGEST]
    write_texts(path, texts, "sha256:f")
    assert read_texts(path, 4, "sha256:f").tolist() == texts
    for rows, features, said in ((3, "sha256:f", "4 predictions for 3 rows"), (4, "sha256:g", "answer other rows")):
        with pytest.raises(NotEvaluated, match=said):
            read_texts(path, rows, features)
    with pytest.raises(NotEvaluated, match="was not left"):
        read_texts(tmp_path / "other.arrow", 4, "sha256:f")
