"""The language of a text."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

LEAST = 20
"""Letters of a text whose language is told: of 838 such messages in translations of two packages, 86 % were right."""
BEGINNING = 2_000
"""Characters of a text that are looked at."""


def language(text: str) -> str:
    """Return the ISO 639-1 code of the language that a text is most likely in; empty where it is too short to tell.

    One of 97, by byte n-grams and naive Bayes, offline: the model of py3langid, and its answer.
    Source: Lui and Baldwin 2012, langid.py.

    >>> language("The train has left the station, and nobody knows why."), language("12:30, ok")
    ('en', '')
    """
    beginning = text[:BEGINNING]
    if sum(map(str.isalpha, beginning)) < LEAST:
        return ""
    identifier = _identifier()
    counts = identifier.instance2fv(beginning)
    # Few of 7,480 n-grams stand in a text: the product with the whole matrix takes ten times as long.
    there = np.flatnonzero(counts)
    likely = counts[there].astype(np.float64) @ identifier.nb_ptc[there] + identifier.nb_pc
    return str(identifier.nb_classes[int(likely.argmax())])


@functools.cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_pickled_model(MODEL_FILE)
