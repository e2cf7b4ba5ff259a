"""Scores of an answer and its reference: against the packages that the field compares with, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from weighin.scores import overlap


def texts(count: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(f"w{i}" for i in random.integers(0, 40, random.integers(0, 40))) for _ in range(count)]


@pytest.mark.parametrize("name", overlap.ROUGE)
def test_rouge_is_that_of_the_package(name: str) -> None:
    answers, references = texts(200, 1), texts(200, 2)
    scorer = RougeScorer([name])
    theirs = [scorer.score(r, a)[name].fmeasure for a, r in zip(answers, references, strict=True)]
    np.testing.assert_allclose(overlap.rouge(answers, references)[name], theirs, atol=1e-12)
    assert 0 < np.mean(theirs) < 1


def test_rouge_knows_words_of_other_scripts() -> None:
    assert overlap.rouge(["η γάτα κάθισε"], ["η γάτα"])["rouge1"].round(3).tolist() == [0.8]


def test_bleu_and_chrf_are_those_of_sacrebleu() -> None:
    answers, references = texts(30, 3), texts(30, 4)
    bleu = [sacrebleu.sentence_bleu(a, [r]).score for a, r in zip(answers, references, strict=True)]
    chrf = [sacrebleu.sentence_chrf(a, [r]).score for a, r in zip(answers, references, strict=True)]
    np.testing.assert_allclose(overlap.bleu(answers, references), bleu, atol=1e-9)
    np.testing.assert_allclose(overlap.chrf(answers, references), chrf, atol=1e-9)


@pytest.mark.parametrize("score", [overlap.bleu, overlap.chrf])
def test_a_text_and_itself_have_the_best_score_and_no_more(score: object) -> None:
    assert callable(score)
    assert score(["the cat sat on the mat"], ["the cat sat on the mat"]).tolist() == pytest.approx([100])
    assert score([""], ["the cat"]).tolist() == [0]


def test_texts_are_compared_in_one_form_of_unicode() -> None:
    composed, apart = "\u00e9t\u00e9", "e\u0301te\u0301 "
    assert overlap.exact_match([composed, "a"], [apart, "A"]).tolist() == [1, 0]
    assert overlap.quasi_exact_match(["The Cat!", "dog"], ["cat", "dogs"]).tolist() == [1, 0]


def test_a_reference_is_held_as_whole_words_and_an_empty_one_by_nothing() -> None:
    answers = ["It is Paris, France.", "Parisian", "", "anything"]
    assert overlap.contains_reference(answers, ["paris", "paris", "paris", ""]).tolist() == [1, 0, 0, 0]


def test_the_f1_of_words_counts_a_word_as_often_as_it_stands_there() -> None:
    found = overlap.token_f1(["b b c", "", "x", ""], ["b c c", "", "", "x"])
    assert found.round(3).tolist() == [0.667, 1, 0, 0]


def test_the_longest_common_sequence_is_that_of_the_table() -> None:
    random = np.random.default_rng(5)
    for _ in range(200):
        one, other = ("".join(random.choice(list("abc"), random.integers(0, 70))) for _ in range(2))
        table = np.zeros((len(one) + 1, len(other) + 1), dtype=int)
        for i, a in enumerate(one):
            for j, b in enumerate(other):
                table[i + 1, j + 1] = table[i, j] + 1 if a == b else max(table[i, j + 1], table[i + 1, j])
        assert overlap.common_sequence(one, other) == table[-1, -1]
