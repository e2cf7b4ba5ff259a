"""The decision about numbers of units: each answer, each way in which there is none, and what chance may do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from weighin.ab_test.evaluate import Answer, Counted, answer_of, evaluate, limit, sample_ratio
from weighin.contract.ab_test import AbMetric, AbTest
from weighin.outcome import Direction, Status
from weighin.stats import anytime
from weighin.stats.intervals import Undefined

N = 20_000
RANDOM = np.random.default_rng(0)
OURS = RANDOM.random(N) < 0.5
NOISE = RANDOM.random(N)
BELL = RANDOM.normal(size=N)


def spec(*metrics: dict[str, Any], **given: Any) -> AbTest:
    first, *guards = metrics
    return AbTest.model_validate({"name": "a", "outcome_days": 1, "success": first, "guards": guards, **given})


def counted(**values: np.ndarray) -> Counted:
    return Counted(OURS, values, values)


def happened(champion: float, challenger: float) -> np.ndarray:
    return (np.where(OURS, challenger, champion) > NOISE).astype(float)


SHARE = {"outcome": "x", "better_by": 0.0}
MEAN = {"outcome": "x", "kind": "mean", "margin": 0.05}
RATIO = {"outcome": "x", "kind": "ratio", "denominator": "y", "margin": 0.01}


@pytest.mark.parametrize(
    ("metric", "values", "answer"),
    [
        (SHARE, {"x": happened(0.1, 0.13)}, "pass"),
        (SHARE, {"x": happened(0.1, 0.1)}, "inconclusive"),
        (SHARE, {"x": happened(0.1, 0.07)}, "fail"),
        ({**SHARE, "lower_is_better": True}, {"x": happened(0.1, 0.07)}, "pass"),
        ({**SHARE, "lower_is_better": True}, {"x": happened(0.1, 0.13)}, "fail"),
        ({"outcome": "x", "margin": 0.03}, {"x": happened(0.1, 0.1)}, "pass"),
        ({"outcome": "x", "margin": 0.03, "lower_is_better": True}, {"x": happened(0.1, 0.18)}, "fail"),
        ({"outcome": "x", "better_by": 0.03}, {"x": happened(0.1, 0.13)}, "inconclusive"),
        (MEAN, {"x": BELL}, "pass"),
        (MEAN, {"x": BELL - 0.2 * OURS}, "fail"),
        (MEAN, {"x": BELL - 0.05 * OURS}, "inconclusive"),
        ({**MEAN, "cap": 1}, {"x": BELL}, "pass"),
        (RATIO, {"x": happened(0.2, 0.2) * 3, "y": np.full(N, 3.0)}, "inconclusive"),
        ({**RATIO, "margin": 0.05}, {"x": happened(0.2, 0.2) * 3, "y": np.full(N, 3.0)}, "pass"),
        (RATIO, {"x": happened(0.2, 0.1) * 3, "y": np.full(N, 3.0)}, "fail"),
    ],
)
def test_each_kind_of_number_has_each_answer(metric: dict[str, Any], values: dict[str, Any], answer: str) -> None:
    found = evaluate(spec(metric), 0.05, counted(**values))
    assert found.answer == answer, found.reason


def test_the_interval_is_one_of_a_sequence() -> None:
    (outcome,) = evaluate(spec(MEAN), 0.05, counted(x=BELL)).outcomes
    m = outcome.evidence
    assert m.level == 0.95
    assert m.n == N
    error = (BELL[OURS].var() / OURS.sum() + BELL[~OURS].var() / (~OURS).sum()) ** 0.5
    assert (m.estimate - m.low) / error == pytest.approx(anytime.standard_errors(N, 0.05), rel=0.01)
    assert m.detail == {"challenger": int(OURS.sum()), "champion": int((~OURS).sum())}


def test_before_the_first_decision_it_waits() -> None:
    found = evaluate(spec(SHARE, units_at_least=N + 1), 0.05, counted(x=happened(0.1, 0.9)))
    assert (found.answer, found.outcomes) == (Answer.INCONCLUSIVE, ())
    assert "20,000 units so far, the first decision needs 20,001" in found.reason


# --- one thing broken


GOOD = {"x": happened(0.1, 0.15), "g": BELL}
GUARD = {"outcome": "g", "kind": "mean", "margin": 0.1}


def test_success_and_guard_pass_together() -> None:
    assert evaluate(spec(SHARE, GUARD), 0.05, counted(**GOOD)).answer is Answer.PASS


@pytest.mark.parametrize(
    ("broken", "answer"),
    [
        ({"g": BELL - 0.3 * OURS}, "fail"),
        ({"g": BELL - 0.1 * OURS}, "inconclusive"),
        ({"x": happened(0.1, 0.1)}, "inconclusive"),
        ({"g": np.where(NOISE < 0.5, np.nan, BELL)}, "not_evaluated"),
        ({"g": np.where(np.arange(N) == 7, np.inf, BELL)}, "not_evaluated"),
        ({"g": np.zeros(N)}, "not_evaluated"),
        ({"g": np.where(OURS, 0.0, BELL)}, "not_evaluated"),
        ({"g": np.where(np.arange(N) < 4, 1e6, BELL)}, "not_evaluated"),
        ({"g": np.exp(4 * BELL)}, "not_evaluated"),
    ],
)
def test_a_guard_that_is_broken_or_has_no_interval_stops_the_test(broken: dict[str, Any], answer: str) -> None:
    assert evaluate(spec(SHARE, GUARD), 0.05, counted(**{**GOOD, **broken})).answer == answer


def test_a_heavy_tail_is_decided_with_a_cap_and_refused_without() -> None:
    tail = np.exp(4 * BELL)
    without = evaluate(spec({**MEAN, "margin": 3}), 0.05, counted(x=tail))
    assert without.answer is Answer.NOT_EVALUATED
    assert "a `cap`" in without.reason
    assert evaluate(spec({**MEAN, "margin": 3, "cap": 20}), 0.05, counted(x=tail)).answer is Answer.PASS


def test_an_arm_without_units_is_not_evaluated() -> None:
    nobody = Counted(np.zeros(N, dtype=bool), {"x": BELL}, {"x": BELL})
    assert evaluate(spec(MEAN), 0.05, nobody).answer is Answer.NOT_EVALUATED


def test_a_denominator_of_zero_is_not_evaluated() -> None:
    assert evaluate(spec(RATIO), 0.05, counted(x=GOOD["x"], y=np.zeros(N))).answer is Answer.NOT_EVALUATED


def test_one_failure_among_many_limits_must_hold_at_the_stricter_level() -> None:
    # A drop for which the interval at alpha lies just beyond the limit, and that at alpha / 5 does not.
    error = (BELL[OURS].var() / OURS.sum() + BELL[~OURS].var() / (~OURS).sum()) ** 0.5
    drop = 0.1 + error * (anytime.standard_errors(N, 0.05) + 0.15)
    centred = BELL - np.where(OURS, BELL[OURS].mean() + drop, BELL[~OURS].mean())
    alone = evaluate(spec({**GUARD}), 0.05, counted(g=centred))
    assert alone.answer is Answer.FAIL
    others = [{"outcome": f"o{i}", "margin": 0.1} for i in range(4)]
    among = evaluate(spec(GUARD, *others), 0.05, counted(g=centred, **{f"o{i}": happened(0.1, 0.1) for i in range(4)}))
    assert among.answer is Answer.INCONCLUSIVE
    assert "not at the error of 0.01" in among.reason


def test_nothing_is_no_pass() -> None:
    assert answer_of([]) is Answer.NOT_EVALUATED
    assert answer_of([Status.PASSED]) is Answer.PASS
    assert answer_of([Status.PASSED, Status.NOT_EVALUATED]) is Answer.NOT_EVALUATED
    assert answer_of([Status.FAILED, Status.NOT_EVALUATED]) is Answer.FAIL


@pytest.mark.parametrize(
    ("given", "direction", "value"),
    [
        ({"better_by": 0.1}, Direction.AT_LEAST, 0.1),
        ({"better_by": 0}, Direction.AT_LEAST, 0.0),
        ({"margin": 0.1}, Direction.AT_LEAST, -0.1),
        ({"better_by": 0.1, "lower_is_better": True}, Direction.AT_MOST, -0.1),
        ({"better_by": 0, "lower_is_better": True}, Direction.AT_MOST, 0.0),
        ({"margin": 0.1, "lower_is_better": True}, Direction.AT_MOST, 0.1),
    ],
)
def test_a_limit_lies_on_the_side_that_is_meant(given: dict[str, Any], direction: Direction, value: float) -> None:
    found = limit(AbMetric.model_validate({"outcome": "x", **given}), 0.05)
    assert (found.direction, found.value, str(found.value)) == (direction, value, str(value))


# --- the sample ratio


@pytest.mark.parametrize(
    ("challengers", "units", "expected", "broken"),
    [
        (5_000, 10_000, 0.5, False),
        (5_150, 10_000, 0.5, False),
        (5_300, 10_000, 0.5, True),
        (4_700, 10_000, 0.5, True),
        (1_000, 10_000, 0.1, False),
        (0, 10_000, 0.1, True),
        (10_000, 10_000, 0.5, True),
        (3, 5, 0.5, False),
    ],
)
def test_the_sample_ratio_is_broken_where_chance_does_not_explain_it(
    challengers: int, units: int, expected: float, *, broken: bool
) -> None:
    assert bool(sample_ratio(challengers, units, expected).broken) is broken


def test_no_units_have_no_ratio() -> None:
    with pytest.raises(Undefined):
        sample_ratio(0, 0, 0.5)


# --- chance


def test_daily_looks_at_the_limit_decide_wrongly_no_more_often_than_alpha() -> None:
    random, draws, wrong = np.random.default_rng(3), 150, {"pass": 0, "fail": 0}
    plan = spec({"outcome": "x", "better_by": 0.0}, units_at_least=500)
    for _ in range(draws):
        ours, x = random.random(6000) < 0.5, (random.random(6000) < 0.2).astype(float)
        answers = {
            evaluate(plan, 0.05, Counted(ours[:n], {"x": x[:n]}, {"x": x[:n]})).answer for n in range(500, 6001, 500)
        }
        for answer in wrong:
            wrong[answer] += answer in answers
    # 99.9 % of a binomial distribution with 5 %.
    assert max(wrong.values()) <= 16
