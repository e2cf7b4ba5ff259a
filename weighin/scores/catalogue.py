"""The scores by the names that a contract gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from weighin.scores import overlap, style

Floats = NDArray[np.float64]
Texts = Sequence[str]

OF_BOTH: dict[str, Callable[[Texts, Texts], Floats]] = {
    "exact_match": overlap.exact_match,
    "quasi_exact_match": overlap.quasi_exact_match,
    "contains_reference": overlap.contains_reference,
    "token_f1": overlap.token_f1,
    "bleu": overlap.bleu,
    "chrf": overlap.chrf,
}
"""Scores of an answer and its reference."""
OF_ANSWERS: dict[str, Callable[[Texts], Floats]] = {
    "valid_json": style.valid_json,
    "refusal": style.refusal,
    "profanity": style.profanity,
    "characters": style.characters,
    "words": style.words,
    "flesch_kincaid_grade": style.flesch_kincaid_grade,
    "automated_readability_index": style.automated_readability_index,
}
"""Scores of an answer alone."""
NEED_REFERENCES = frozenset({*OF_BOTH, *overlap.ROUGE})


def score(name: str, answers: Texts, references: Texts | None) -> dict[str, Floats]:
    """Return a score of the catalogue by its name, with those that come of the same work.

    references  one for each answer; None for a score of answers alone
    Errors: `ModuleNotFoundError` without the packages of `weighin[text]`.
    """
    if name in OF_ANSWERS:
        return {name: OF_ANSWERS[name](answers)}
    if references is None:
        raise TypeError(f"{name} is a score of an answer and its reference")
    return overlap.rouge(answers, references) if name in overlap.ROUGE else {name: OF_BOTH[name](answers, references)}
