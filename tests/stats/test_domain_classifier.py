"""Telling current rows from the reference: what is held out, what is found, and which column it is found by."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from weighin.stats.contrast import contrast
from weighin.stats.domain_classifier import Apart, apart
from weighin.stats.intervals import Undefined
from weighin.stats.scored import Scored

NUMBERS = np.array([False, False])


def table(n: int, moved: float = 0.0, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Rows of two numbers, the first of which has moved in every other row, which is current."""
    current = np.arange(n) % 2 == 0
    rows = np.random.default_rng(seed).normal(size=(n, 2))
    rows[:, 0] += moved * current
    return rows, current


def numbers_of(found: Apart, rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which rows were held out: no two are the same."""
    return np.array([int(np.flatnonzero((rows == row).all(axis=1))[0]) for row in found.held[0]])


def test_a_hundred_rows_of_each_side_are_enough() -> None:
    rows, current = table(200)
    assert apart(rows, current, NUMBERS, None, 0.95).interval.n == 100
    for fewer in (np.arange(200) != 0, np.arange(200) != 1):
        with pytest.raises(Undefined, match=r"^fewer than 100 rows of the reference or of current data$"):
            apart(rows[fewer], current[fewer], NUMBERS, None, 0.95)


def test_half_of_each_side_is_held_out_always_the_same_half() -> None:
    rows, _ = table(301)
    current = np.arange(301) < 120
    found = apart(rows, current, NUMBERS, None, 0.95)
    held = numbers_of(found, rows)
    assert held.tolist() == sorted(set(held.tolist()))
    assert found.held[1].tolist() == current[held].tolist()
    assert (int(found.held[1].sum()), int((~found.held[1]).sum())) == (60, 90)
    again = apart(rows, current, NUMBERS, None, 0.95)
    assert numbers_of(again, rows).tolist() == held.tolist()
    assert (again.interval.low, again.interval.high) == (found.interval.low, found.interval.high)
    assert again.tell(rows).tolist() == found.tell(rows).tolist()


def test_of_so_many_rows_that_some_are_set_aside_the_trees_are_the_same_again() -> None:
    # scikit-learn stops early beyond 10,000 rows, by rows that it draws.
    rows, current = table(20_200, 0.3)
    one, two = (apart(rows[:, :1], current, NUMBERS[:1], None, 0.95) for _ in range(2))
    assert one.tell(rows[:500, :1]).tolist() == two.tell(rows[:500, :1]).tolist()


def test_groups_stay_on_one_side_and_are_what_counts() -> None:
    rows, _ = table(600)
    group = np.random.default_rng(1).permutation(np.arange(600) % 50)
    current = group % 2 == 0
    found = apart(rows, current, NUMBERS, group, 0.95)
    held = numbers_of(found, rows)
    taken = set(group[held].tolist())
    assert sorted(held.tolist()) == np.flatnonzero(np.isin(group, list(taken))).tolist()
    # Of 25 groups of each side twelve.
    assert [sum(code % 2 == side for code in taken) for side in (0, 1)] == [12, 12]
    assert found.interval.n == 24
    assert found.interval.method == "influence values by group"


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_area_is_that_of_what_it_tells_of_rows_that_were_held_out(level: float, grouped: bool) -> None:
    rows, current = table(400, 1.0)
    group = np.arange(400) // 8 * 2 + np.arange(400) % 2 if grouped else None  # of four rows, all of one side
    found = apart(rows, current, NUMBERS, group, level)
    held, truth = found.held
    told = found.tell(held)
    assert told.dtype == np.float64
    assert ((told >= 0) & (told <= 1)).all()
    assert found.interval.estimate == pytest.approx(roc_auc_score(truth, told))
    codes = None if group is None else np.unique(group[numbers_of(found, rows)], return_inverse=True)[1]
    expected = contrast("roc_auc", Scored(truth, told), None, codes, level).interval
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high))
    assert found.interval.level == level
    # It was not grown on what it is asked about: it knows the others better.
    rest = np.setdiff1d(np.arange(400), numbers_of(found, rows))
    assert roc_auc_score(current[rest], found.tell(rows[rest])) > found.interval.estimate + 0.05


def test_what_has_moved_is_found_and_what_has_not_is_not() -> None:
    assert apart(*table(800), NUMBERS, None, 0.95).interval.low < 0.5
    assert apart(*table(800, 3.0), NUMBERS, None, 0.95).interval.low > 0.95
    # Each column as it was, and both together not.
    rows, current = table(1_200)
    rows[:, 1] = np.abs(rows[:, 1]) * np.sign(rows[:, 0]) * np.where(current, 1, -1)
    assert apart(rows, current, NUMBERS, None, 0.95).interval.low > 0.9


def test_what_is_missing_on_one_side_is_found() -> None:
    rows, current = table(400)
    rows[current & (np.arange(400) % 3 > 0), 1] = np.nan
    assert apart(rows, current, NUMBERS, None, 0.95).interval.low > 0.7


@pytest.mark.parametrize(("largest", "category"), [(254, True), (255, True), (254, False)])
def test_codes_are_categories_unless_there_are_more_than_trees_take(largest: int, category: bool) -> None:
    random, code = np.random.default_rng(2), np.arange(1_000) % 8
    current = random.random(1_000) < np.where(code < 4, 0.9, 0.1)
    rows = np.column_stack([code, random.normal(size=1_000) * 1_000])
    rows[5, 0], rows[6, 0] = np.nan, largest
    found = apart(rows, current, np.array([category, False]), None, 0.95)
    assert found.interval.low > 0.8
    # Between two codes there is a number, and no category that was ever seen: all such are told alike.
    one, other = found.tell(np.array([[1.5, 0.0], [6.5, 0.0]]))
    assert (one == other) == (category and largest < 255)


def test_too_few_groups_of_a_side_leave_nothing_to_hold_out() -> None:
    rows, current = table(400)
    # One group of each side, or of one side.
    for group in (current.astype(np.int64), np.where(current, 0, 1 + np.arange(400) % 30)):
        with pytest.raises(Undefined, match=r"^too few groups to hold some out$"):
            apart(rows, current, NUMBERS, group, 0.95)


def test_a_column_drops_the_area_by_what_it_alone_tells() -> None:
    random = np.random.default_rng(5)
    current = np.arange(800) % 2 == 0
    rows = np.column_stack([random.normal(size=800), np.zeros(800), random.normal(size=800) + 2.0 * current])
    found = apart(rows, current, np.zeros(3, dtype=bool), None, 0.95)
    before = found.held[0].copy()
    drops = found.drops()
    assert (found.held[0] == before).all()  # each column is put back
    assert drops.shape == (3,)
    assert drops[1] == 0.0
    assert abs(drops[0]) < 0.1
    # Without it nothing is told: the area falls to about a half.
    assert drops[2] == pytest.approx(found.interval.estimate - 0.5, abs=0.1)
    assert found.drops().tolist() == drops.tolist()
