"""Unknown words: against the definition, row by row, and against leaving out one unit at a time by hand."""

from __future__ import annotations

import numpy as np
import pytest

from weighin.stats.intervals import Interval, Undefined, from_influence, unseen
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
    return Vocabulary(word, row, np.array([unit for unit, _ in rows], dtype=np.int64))


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


def of_current(reference: Rows, current: Rows, level: float = 0.95) -> Interval:
    known = set().union(*(words for _, words in reference))
    shares = np.array([len(words - known) / len(words) if words else 0.0 for _, words in current])
    units = np.array([unit for unit, _ in current])
    return from_influence(float(shares.mean()), (shares - shares.mean()) / len(shares), units, level)


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


@pytest.mark.parametrize("level", [0.9, 0.975])
@pytest.mark.parametrize("units", [None, 25])
def test_its_bounds_are_as_far_off_as_those_of_both_samples(units: int | None, level: float) -> None:
    reference, current = drawn(3, 60, units), drawn(4, 40, units and 20, 90)
    found = unknown_words(vocabulary(reference), vocabulary(current), level)
    left_out = sorted({unit for unit, _ in reference})
    without = np.array([growth([r for r in reference if r[0] != unit], current) for unit in left_out])
    # Leaving a unit out moves the growth the other way than its presence does, and the reference is what is subtracted.
    moves = (without - without.mean()) * (len(left_out) - 1) / len(left_out)
    was, now = from_influence(0.0, moves, None, level), of_current(reference, current, level)
    assert found.high - found.estimate == pytest.approx(np.hypot(now.high - now.estimate, was.low))
    assert found.estimate - found.low == pytest.approx(np.hypot(now.estimate - now.low, was.high))
    assert (found.level, found.n) == (level, len(left_out) + (20 if units else 40))
    assert found.method == "share of unknown words, jackknife of the reference"
    assert found.tests == ()


def repeated(rows: int, words: int, first: int = 0) -> Rows:
    """Rows with one word each, of which each stands in several."""
    return [(row, {first + row % words}) for row in range(rows)]


def test_words_that_are_all_known_may_be_unknown_in_rows_that_were_not_seen() -> None:
    # Two thirds of six words in each row would leave a trace of rounding.
    for known in (repeated(40, 5), [(row, {row % 3, 3 + row % 2, 5 + row % 4}) for row in range(40)]):
        found = unknown_words(vocabulary(known), vocabulary(known), 0.95)
        bound = unseen(0.0, 40, 0.95).high
        assert (found.estimate, found.low, found.high) == pytest.approx((0.0, -bound, bound))


def test_a_share_of_words_is_no_more_than_all_of_them() -> None:
    found = unknown_words(vocabulary(repeated(40, 5)), vocabulary(repeated(30, 5, 50)), 0.95)
    bound = unseen(0.0, 40, 0.95).high, unseen(0.0, 30, 0.95).high
    assert (found.estimate, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(1 - np.hypot(*bound))
    # Where no row has a word that any other row has, both shares are one.
    own: Rows = [(row, {row}) for row in range(40)]
    found = unknown_words(vocabulary(own), vocabulary(repeated(30, 5, 50)), 0.95)
    assert (found.estimate, found.low, found.high) == pytest.approx((0.0, -bound[1], bound[0]))


def test_a_third_of_the_words_of_each_row_is_the_same_third_in_each_digit() -> None:
    current: Rows = [(row, {100 + row, row % 5, (row + 1) % 5}) for row in range(30)]
    found = unknown_words(vocabulary(repeated(40, 5)), vocabulary(current), 0.95)
    assert found.estimate == pytest.approx(1 / 3)
    assert found.high == pytest.approx(1 / 3 + unseen(0.0, 30, 0.95).high)


def test_groups_that_are_alike_say_as_little_as_rows_that_are() -> None:
    # One of two rows of each of fifteen talks has a word that nobody knows.
    talks: Rows = [(row // 2, {100 + row} if row % 2 else {row % 5}) for row in range(30)]
    found = unknown_words(vocabulary(repeated(40, 5)), vocabulary(talks), 0.95)
    assert (found.estimate, found.n) == (0.5, 55)
    assert found.high == pytest.approx(0.5 + unseen(0.0, 15, 0.95).high)


def test_rows_without_words_know_none_and_lack_none() -> None:
    empty: Rows = [(row, set()) for row in range(20)]
    found = unknown_words(vocabulary(empty), vocabulary(repeated(30, 5)), 0.95)
    assert found.estimate == 1.0
    assert unknown_words(vocabulary(repeated(30, 5)), vocabulary(empty), 0.95).estimate == 0.0
    assert unknown_words(vocabulary(empty), vocabulary(empty), 0.95).estimate == 0.0
    for n in (0, 1, 9):
        for few in (empty[:n], repeated(n, 5)):
            with pytest.raises(Undefined, match=rf"^{n} independent units, at least 10 are needed$"):
                unknown_words(vocabulary(few), vocabulary(repeated(30, 5)), 0.95)
    assert unknown_words(vocabulary(empty[:10]), vocabulary(empty[:10]), 0.95).n == 20


def test_a_word_of_two_units_is_unknown_without_either_of_them() -> None:
    # Word 7 stands in units 2 and 3 alone: once either is left out, only the other has it.
    reference: Rows = [*repeated(12, 3), (12, {7}), (13, {7})]
    current: Rows = [*repeated(12, 3), (12, {7}), (13, {9})]
    found = unknown_words(vocabulary(reference), vocabulary(current), 0.95)
    without = np.array([growth([r for r in reference if r[0] != unit], current) for unit in range(14)])
    expected = 13 / 14 * float(np.square(without - without.mean()).sum())
    assert found.standard_error**2 == pytest.approx(expected + of_current(reference, current).standard_error ** 2)
