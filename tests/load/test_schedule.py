"""Schedules: arrivals that are what they are called, and requests that are the data."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from support.load_plans import PLAN
from weighin.errors import NotEvaluated
from weighin.load.schedule import moments, schedule
from weighin.runner.plan import Interface, Phase

RNG = np.random.default_rng


@pytest.fixture
def features(tmp_path: Path) -> Path:
    frame = pd.DataFrame(
        {
            "number": [0.1 + 0.2, 1e-20, float("nan"), float("inf")],
            "count": [1, 2, 3, 2**53 + 1],
            "word": ["a", None, "ü", '"'],
            "at": pd.to_datetime(["2013-06-01T12:00:00.5", "2013-06-02", "2013-06-03", None], format="ISO8601"),
            "day": [date(2013, 6, 1)] * 4,
            "kind": pd.Categorical(["x", "y", "x", "y"]),
        },
        index=[7, 8, 9, 10],
    )
    frame.to_parquet(tmp_path / "features.parquet", index=False)
    return tmp_path / "features.parquet"


EXPECTED = [
    [0.30000000000000004, 1, "a", "2013-06-01T12:00:00.500000", "2013-06-01", "x"],
    [1e-20, 2, None, "2013-06-02T00:00:00", "2013-06-01", "y"],
    [None, 3, "ü", "2013-06-03T00:00:00", "2013-06-01", "x"],
    [None, 2**53 + 1, '"', None, "2013-06-01", "y"],
]
NAMES = ["number", "count", "word", "at", "day", "kind"]


def test_constant_arrivals_are_equally_far_apart_and_end_with_the_phase() -> None:
    assert moments(Phase("load", 10, 0.95), "constant", RNG(0)) == pytest.approx(np.arange(10) / 10)


def test_poisson_arrivals_have_exponential_gaps_and_a_poisson_number() -> None:
    gaps = [np.diff(moments(Phase("load", 100, 50), "poisson", RNG([3, i]))) for i in range(100)]
    chances = [stats.kstest(each, "expon", args=(0, 1 / 100)).pvalue for each in gaps]
    assert stats.kstest(chances, "uniform").pvalue > 0.01
    numbers = [len(moments(Phase("load", 20, 1), "poisson", RNG([4, i]))) for i in range(2_000)]
    assert np.mean(numbers) == pytest.approx(20, abs=0.5)
    assert np.var(numbers) == pytest.approx(20, rel=0.15)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.1, 500), st.floats(0.01, 20), st.sampled_from(["poisson", "constant"]), st.integers(0, 99))
def test_every_arrival_lies_in_its_phase_and_none_before_the_last(r: float, s: float, kind: str, seed: int) -> None:
    found = moments(Phase("load", r, s), kind, RNG(seed))
    assert np.all(np.diff(found) >= 0)
    assert np.all((found >= 0) & (found < s))


def test_a_body_is_the_rows_that_it_says_in_every_digit(features: Path) -> None:
    plan = replace(PLAN, phases=(Phase("load", 50, 1),), batch_rows=(1, 3))
    drawn = schedule(features, plan, (0,))
    assert {len(rows) for rows in drawn.rows[0]} == {1, 3}
    for rows in drawn.rows[0]:
        body = json.loads(drawn.bodies.of(rows))
        assert body == {"dataframe_split": {"columns": NAMES, "data": [EXPECTED[row] for row in rows]}}


def test_instances_and_templates_hold_row_objects(features: Path) -> None:
    objects = [dict(zip(NAMES, row, strict=True)) for row in EXPECTED]
    for interface, expected in (
        (Interface(form="instances"), {"instances": objects}),
        (Interface(form="template", template='{"in": {"rows": {{rows}}}, "k": 1}'), {"in": {"rows": objects}, "k": 1}),
    ):
        plan = replace(PLAN, batch_rows=(4,), interface=interface)
        drawn = schedule(features, plan, (0,))
        assert json.loads(drawn.bodies.of((0, 1, 2, 3))) == expected


@pytest.mark.parametrize("template", ["", "{}", '{"in": {{rows}}', "[{{rows}}, {{rows}}]", '{"in": "{{rows}}"}'])
def test_a_template_must_be_json_around_the_rows(template: str, features: Path) -> None:
    plan = replace(PLAN, interface=Interface(form="template", template=template))
    with pytest.raises(NotEvaluated, match="template"):
        schedule(features, plan, (0,))


def test_more_rows_than_there_are_are_all_there_are(features: Path) -> None:
    drawn = schedule(features, replace(PLAN, batch_rows=(100,)), (0,))
    assert set(drawn.rows[0]) == {(0, 1, 2, 3)}


def test_equal_seeds_ask_the_same_and_others_do_not(features: Path) -> None:
    first, same, other = (schedule(features, PLAN, seed) for seed in ((0, 1), (0, 1), (0, 2)))
    assert first.rows == same.rows != other.rows
    assert all(np.array_equal(a, b) for a, b in zip(first.moments, same.moments, strict=True))


def test_features_without_rows_are_not_evaluated(tmp_path: Path) -> None:
    pd.DataFrame({"a": []}).to_parquet(tmp_path / "features.parquet")
    with pytest.raises(NotEvaluated, match="no rows"):
        schedule(tmp_path / "features.parquet", PLAN, (0,))
