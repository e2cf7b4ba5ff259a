"""Answers: whatever they are, they are read or it is said what is wrong with them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighin.load.answer import at, read_answer
from weighin.runner.plan import Answers

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.exhaustive
@settings(deadline=None)
@given(st.binary(max_size=40) | JSON.map(lambda v: json.dumps({"predictions": v}).encode()))
def test_every_answer_is_numbers_or_an_error_never_both(content: bytes) -> None:
    error, answers = read_answer(content, 2, "/predictions", Answers((0,)))
    assert bool(error) == (answers is None)
    assert answers is None or len(answers) == 2


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=9))
def test_numbers_come_back_in_every_digit(numbers: list[float]) -> None:
    content = json.dumps({"predictions": numbers}).encode()
    assert read_answer(content, len(numbers), "/predictions", Answers((0,))) == ("", numbers)


def test_of_several_classes_those_come_back_that_count() -> None:
    content = b'{"predictions": [[0.1, 0.9], [0.3, 0.7]]}'
    assert read_answer(content, 2, "/predictions", Answers()) == ("", [0.9, 0.7])
    assert read_answer(content, 2, "/predictions", Answers((0, 1), "probabilities")) == ("", [0.1, 0.9, 0.3, 0.7])


def test_numbers_beyond_numbers_and_long_words_are_errors() -> None:
    assert read_answer(b"[1" + b"0" * 400 + b"]", 1, "", Answers((0,)))[0] == "the answers are too large to be numbers"
    said = read_answer(b'["' + b"x" * 10_000 + b'"]', 1, "", Answers((0,)))[0]
    assert said.startswith("the answers are not numbers, text among them (ValueError, code ")
    assert "xx" not in said


# The examples of RFC 6901, section 5.
DOCUMENT = {
    "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8
}  # fmt: skip
EXAMPLES = {
    "": DOCUMENT, "/foo": ["bar", "baz"], "/foo/0": "bar", "/": 0, "/a~1b": 1, "/c%d": 2, "/e^f": 3, "/g|h": 4,
    "/i\\j": 5, '/k"l': 6, "/ ": 7, "/m~0n": 8,
}  # fmt: skip


@pytest.mark.parametrize("pointer", EXAMPLES)
def test_pointers_are_those_of_the_rfc(pointer: str) -> None:
    assert at(DOCUMENT, pointer) == EXAMPLES[pointer]


@pytest.mark.parametrize("pointer", ["/nothing", "/foo/2", "/foo/-", "/foo/01", "/foo/0/0", "/a~1b/x"])
def test_a_pointer_to_nothing_is_a_lookup_error(pointer: str) -> None:
    with pytest.raises(LookupError):
        at(DOCUMENT, pointer)
