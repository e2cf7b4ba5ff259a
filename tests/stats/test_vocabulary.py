"""Unknown words: against the definition, row by row, and against leaving out one unit at a time by hand."""

from __future__ import annotations

import numpy as np
import pytest

from weighin.stats.intervals import Interval, Undefined, from_influence
from weighin.stats.vocabulary import Vocabulary, unknown_words

Rows = list[tuple[int, set[int]]]
"""The unit and the words of each row."""


def drawn(seed: int, rows: int, units: int | None, words: int = 60) -> Rows:
    random = np.random.default_rng(seed)
    share = 1 / np.arange(1, words + 1)
    unit = np.arange(rows) if units is None else random.permutation(np.arange(rows) % units)
    drawn = [set(random.choice(words, random.integers(0, 6), p=share / share.sum()).tolist()) for _ in range(rows)]
    return list(zip(unit.tolist(), drawn, strict=True))


def vocabulary(rows: Rows) -> Vocabulary:
    pairs = [(word, row) for row, (_, words) in enumerate(rows) for word in words]
    word, row = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return Vocabulary(word, row, np.array([unit for unit, _ in rows]))


def growth(reference: Rows, current: Rows) -> float:
    """By the definition: the share of words that no other unit has, of each row."""

    def share(words: set[int], others: Rows) -> float:
        known = set().union(*(w for _, w in others))
        return len(words - known) / len(words) if words else 0.0

    was = [share(words, [r for r in reference if r[0] != unit]) for unit, words in reference]
    return float(np.mean([share(words, reference) for _, words in current]) - np.mean(was))


@pytest.mark.parametrize("units", [None, 25])
def test_it_is_the_share_of_words_that_no_other_unit_has(units: int | None) -> None:
    reference, current = drawn(1, 70, units), drawn(2, 50, units, 90)
    found = unknown_words(vocabulary(reference), vocabulary(current), 0.95)
    assert found.estimate == pytest.approx(growth(reference, current))
    assert found.low < found.estimate < found.high


@pytest.mark.parametrize("units", [None, 25])
def test_the_references_part_of_the_error_is_that_of_leaving_out_one_unit(units: int | None) -> None:
    reference, current = drawn(1, 70, units), drawn(2, 50, units, 90)
    found = unknown_words(vocabulary(reference), vocabulary(current), 0.95)
    left_out = sorted({unit for unit, _ in reference})
    without = np.array([growth([r for r in reference if r[0] != unit], current) for unit in left_out])
    jackknife = (len(left_out) - 1) / len(left_out) * float(np.square(without - without.mean()).sum())
    alone = unknown_words(vocabulary(reference), vocabulary(current[:25]), 0.95)
    assert found.standard_error**2 == pytest.approx(jackknife + of_current(reference, current).standard_error ** 2)
    assert alone.standard_error > found.standard_error


def of_current(reference: Rows, current: Rows) -> Interval:
    known = set().union(*(words for _, words in reference))
    shares = np.array([len(words - known) / len(words) if words else 0.0 for _, words in current])
    units = np.array([unit for unit, _ in current])
    return from_influence(float(shares.mean()), (shares - shares.mean()) / len(shares), units, 0.95)


def test_words_that_a_talk_repeats_are_not_known_from_it() -> None:
    talks: Rows = [(talk, {2 * talk, 2 * talk + 1}) for talk in range(30) for _ in range(4)]
    others: Rows = [(talk, {words + 100 for words in row}) for talk, row in talks]
    assert unknown_words(vocabulary(talks), vocabulary(others), 0.95).estimate == pytest.approx(0)


def test_few_units_are_undefined() -> None:
    few: Rows = [(row % 3, {row}) for row in range(40)]
    with pytest.raises(Undefined, match="independent units"):
        unknown_words(vocabulary(few), vocabulary(drawn(2, 50, None)), 0.95)
    with pytest.raises(Undefined, match="independent units"):
        unknown_words(vocabulary([(0, {1})]), vocabulary(drawn(2, 50, None)), 0.95)
