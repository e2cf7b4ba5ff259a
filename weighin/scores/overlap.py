"""How much of a reference stands in an answer.

Texts are compared in Unicode's NFC, without white space at their ends. Every function takes answers and references of
the same length n and returns (n,) numbers.
"""

from __future__ import annotations

import itertools
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Texts = Sequence[str]

_ROUGE_WORD = re.compile(r"[^\W_]+")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def plain(text: str) -> str:
    """Return a text in NFC, without white space at its ends."""
    return unicodedata.normalize("NFC", text).strip()


def normalised(text: str) -> str:
    """Return a text in lower case, without punctuation, English articles and double spaces.

    Source: Rajpurkar et al. 2016, SQuAD, section 6.1.

    >>> normalised("The  Eiffel-Tower!")
    'eiffeltower'
    """
    return " ".join(_ARTICLES.sub(" ", plain(text).lower().translate(_PUNCTUATION)).split())


def exact_match(answers: Texts, references: Texts) -> Floats:
    """1 where an answer is its reference, else 0."""
    return _each(answers, references, lambda a, r: plain(a) == plain(r))


def quasi_exact_match(answers: Texts, references: Texts) -> Floats:
    """1 where both are the same when `normalised`, else 0."""
    return _each(answers, references, lambda a, r: normalised(a) == normalised(r))


def contains_reference(answers: Texts, references: Texts) -> Floats:
    """1 where the reference stands in the answer, both `normalised`, as whole words; 0 for an empty reference.

    >>> contains_reference(["It is Paris.", "Parisian"], ["paris", "paris"]).tolist()
    [1.0, 0.0]
    """

    def holds(answer: str, reference: str) -> bool:
        wanted = normalised(reference)
        return bool(wanted) and f" {wanted} " in f" {normalised(answer)} "

    return _each(answers, references, holds)


def token_f1(answers: Texts, references: Texts) -> Floats:
    """Harmonic mean of precision and recall of words, `normalised`, in [0, 1]; 1 where neither has any.

    Source: Rajpurkar et al. 2016, section 6.1.

    >>> token_f1(["the cat sat"], ["a cat"]).round(3).tolist()
    [0.667]
    """

    def f1(answer: str, reference: str) -> float:
        ours, theirs = normalised(answer).split(), normalised(reference).split()
        if not ours or not theirs:
            return float(ours == theirs)
        common = sum((Counter(ours) & Counter(theirs)).values())
        return 2 * common / (len(ours) + len(theirs))

    return _each(answers, references, f1)


ROUGE = ("rouge1", "rouge2", "rougeL")


def rouge(answers: Texts, references: Texts) -> dict[str, Floats]:
    """ROUGE-1, ROUGE-2 and ROUGE-L: F-measures in [0, 1] of words, of pairs of words, of the longest common sequence.

    Words are letters and digits in a row, in lower case, without stemming: of ASCII text those of the package
    rouge-score. Source: Lin 2004.

    >>> [float(v[0].round(3)) for v in rouge(["the cat sat down"], ["the cat lay down"]).values()]
    [0.75, 0.333, 0.75]
    """
    found = np.zeros((len(answers), len(ROUGE)))
    for row, (answer, reference) in enumerate(zip(answers, references, strict=True)):
        ours, theirs = _ROUGE_WORD.findall(answer.lower()), _ROUGE_WORD.findall(reference.lower())
        pairs = [Counter(itertools.pairwise(words)) for words in (ours, theirs)]
        common = (Counter(ours) & Counter(theirs), pairs[0] & pairs[1])
        sizes = len(ours) + len(theirs)
        found[row] = (
            _f(common[0].total(), sizes),
            _f(common[1].total(), pairs[0].total() + pairs[1].total()),
            _f(common_sequence(ours, theirs), sizes),
        )
    return dict(zip(ROUGE, found.T, strict=True))


def common_sequence(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the longest common subsequence. Source: Hyyro 2004, bit vectors.

    >>> common_sequence("abcbdab", "bdcaba")
    4
    """
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    rest = every = (1 << len(one)) - 1
    for word in other:
        met = rest & places.get(word, 0)
        rest = (rest + met | rest - met) & every
    return (every ^ rest).bit_count()


def _f(common: int, sizes: int) -> float:
    return 2 * common / sizes if sizes else 0.0


def bleu(answers: Texts, references: Texts) -> Floats:
    """BLEU of each answer as sacreBLEU has it (tokeniser 13a, exponential smoothing, effective order), in [0, 100].

    It is not the BLEU of a corpus, which is no mean of rows. Source: Papineni et al. 2002, Post 2018.
    """
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(effective_order=True)
    return _each(answers, references, lambda a, r: min(100.0, metric.sentence_score(a, [r]).score))


def chrf(answers: Texts, references: Texts) -> Floats:
    """chrF2 of each answer as sacreBLEU has it, in [0, 100]; of any script. Source: Popovic 2015."""
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF()
    return _each(answers, references, lambda a, r: min(100.0, metric.sentence_score(a, [r]).score))


def _each(answers: Texts, references: Texts, of: Callable[[str, str], float]) -> Floats:
    return np.array([of(a, r) for a, r in zip(answers, references, strict=True)], dtype=np.float64)
