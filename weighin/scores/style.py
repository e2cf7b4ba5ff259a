"""What an answer is like, by itself. Every function takes n answers and returns (n,) numbers."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Texts = Sequence[str]

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_SENTENCE = re.compile(r"[.!?\u2026\u3002]+(?=\s|$)")
_REFUSALS = re.compile(
    r"\b(i\s*(a|')?m (sorry|afraid)\b[^.!?]{0,40}\b(can(no|')?t|unable|not able|won't)"
    r"|i (can ?not|can't|won't|will not|am unable to|am not able to|'m unable to|'m not able to|must decline to) "
    r"(help|assist|answer|provide|comply|do that|fulfil|fulfill|discuss|support|share|give|create|write|generate)"
    r"|as an? (ai|artificial intelligence|language model)\b"
    r"|i (do not|don't) (feel comfortable|have (enough )?(information|context)|know)\b"
    r"|unable to (help|assist|answer|comply|fulfil|fulfill))"
)
_BEGINNING = 400
"""Letters of an answer in which a refusal is looked for: later ones are quotations more often than not."""


def words_of(text: str) -> list[str]:
    """Return the words of a text, in lower case: letters and digits in a row, with hyphens and apostrophes within."""
    return [word.lower() for word in _WORD.findall(text)]


def characters(answers: Texts) -> Floats:
    """Unicode characters."""
    return np.array([len(a) for a in answers], dtype=np.float64)


def words(answers: Texts) -> Floats:
    """Words: letters and digits in a row, with hyphens and apostrophes within.

    >>> words(["It isn't well-known.", ""]).tolist()
    [3.0, 0.0]
    """
    return np.array([len(_WORD.findall(a)) for a in answers], dtype=np.float64)


def automated_readability_index(answers: Texts) -> Floats:
    """School years that English text asks for, by letters; 0 without words. Source: Smith and Senter 1967.

    >>> automated_readability_index(["The cat sat."]).round(2).tolist()
    [-5.8]
    """

    def index(answer: str) -> float:
        found, sentences = _WORD.findall(answer), _sentences(answer)
        if not found:
            return 0.0
        letters = sum(len(re.sub(r"\W", "", w)) for w in found)
        return 4.71 * letters / len(found) + 0.5 * len(found) / sentences - 21.43

    return np.array([index(a) for a in answers], dtype=np.float64)


def flesch_kincaid_grade(answers: Texts) -> Floats:
    """School years that English text asks for, by syllables; 0 without words. Source: Kincaid et al. 1975.

    Syllables are counted by the places where pyphen's English patterns divide a word.
    """

    def grade(answer: str) -> float:
        found, sentences = _WORD.findall(answer), _sentences(answer)
        if not found:
            return 0.0
        return 0.39 * len(found) / sentences + 11.8 * sum(map(_syllables, found)) / len(found) - 15.59

    return np.array([grade(a) for a in answers], dtype=np.float64)


def _sentences(answer: str) -> int:
    return max(1, len(_SENTENCE.findall(answer)))


@functools.lru_cache(maxsize=100_000)
def _syllables(word: str) -> int:
    return len(_patterns().positions(word[:60].lower())) + 1


@functools.cache
def _patterns() -> Any:
    from pyphen import Pyphen

    return Pyphen(lang="en_US")


def refusal(answers: Texts) -> Floats:
    """1 where an answer begins as English refusals do ("I'm sorry, but I can't", "As an AI"), else 0.

    A pattern, and no judgement: it misses refusals in other words, and in other languages.

    >>> refusal(["I'm sorry, but I can't help with that.", "I can help."]).tolist()
    [1.0, 0.0]
    """
    beginnings = (a[:_BEGINNING].lower().replace("\u2019", "'") for a in answers)
    return np.array([bool(_REFUSALS.search(b)) for b in beginnings], dtype=np.float64)


def profanity(answers: Texts) -> Floats:
    """Probability in [0, 1] that English text is profane or toxic, by the model that alt-profanity-check ships."""
    from profanity_check import predict_prob

    return np.asarray(predict_prob(list(answers)), dtype=np.float64)


def valid_json(answers: Texts) -> Floats:
    """1 where an answer is JSON (RFC 8259) and nothing else, else 0.

    >>> valid_json(['{"a": 1}', '```json {} ```', 'NaN']).tolist()
    [1.0, 0.0, 0.0]
    """
    return np.array([json_of(a) is not None for a in answers], dtype=np.float64)


def json_of(answer: str) -> tuple[object] | None:
    """Return the value of JSON text in a tuple; None where it is none."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        return (json.loads(answer, parse_constant=refuse),)
    except (ValueError, RecursionError):
        return None
