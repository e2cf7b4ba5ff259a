"""What a contract may plan as an A/B test, and what it may not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from weighin.contract.ab_test import AbTest

PLAN: dict[str, Any] = {"name": "ranker-2", "outcome_days": 7, "success": {"outcome": "bought", "better_by": 0}}


def test_a_plan_needs_a_name_a_time_and_a_success() -> None:
    plan = AbTest.model_validate(PLAN)
    assert (plan.share, plan.unit_header, plan.delay_hours, plan.units_at_least) == (0.5, "x-weighin-unit", 24, 1000)
    assert plan.outcomes.table == "weighin_outcomes"
    assert [m.id for m in plan.metrics] == ["ab/share/bought"]
    assert plan.names == ("bought",)


def test_what_guards_need_is_read_too() -> None:
    guards = [
        {"outcome": "clicks", "kind": "ratio", "denominator": "views", "margin": 0.1},
        {"outcome": "bought", "kind": "mean", "cap": 5, "margin": 1},
    ]
    plan = AbTest.model_validate({**PLAN, "guards": guards})
    assert plan.names == ("bought", "clicks", "views")
    assert [m.id for m in plan.metrics][1:] == ["ab/ratio/clicks/views", "ab/mean/bought"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "Ranker 2"}, "pattern"),
        ({"name": "a:b"}, "pattern"),
        ({"share": 0}, "0.01"),
        ({"share": 1}, "0.99"),
        ({"share": float("nan")}, "less than or equal"),
        ({"units_at_least": 100}, "500"),
        ({"outcome_days": 0}, "greater than 0"),
        ({"delay_hours": -1}, "greater than or equal to 0"),
        ({"unit_header": "X-Unit"}, "pattern"),
        ({"unit_header": ""}, "pattern"),
        ({"outcomes": {"path": "a", "connection": "A"}}, "or neither"),
        ({"success": {"outcome": "bought"}}, "either `better_by` or `margin`"),
        ({"success": {"outcome": "bought", "better_by": 0, "margin": 1}}, "either `better_by` or `margin`"),
        ({"success": {"outcome": "bought", "margin": 0}}, "greater than 0"),
        ({"success": {"outcome": "bought", "better_by": -1}}, "greater than or equal to 0"),
        ({"success": {"outcome": "bought", "better_by": float("inf")}}, "finite"),
        ({"success": {"outcome": "a b", "better_by": 0}}, "pattern"),
        ({"success": {"outcome": "x", "kind": "ratio", "better_by": 0}}, "needs it"),
        ({"success": {"outcome": "x", "denominator": "y", "better_by": 0}}, "goes with `kind: ratio`"),
        ({"success": {"outcome": "x", "kind": "ratio", "denominator": "x", "better_by": 0}}, "always 1"),
        ({"success": {"outcome": "x", "cap": 1, "better_by": 0}}, "`cap` goes with"),
        ({"guards": [{"outcome": "bought", "margin": 0.1}]}, "stands twice"),
    ],
)
def test_a_plan_that_says_nothing_or_two_things_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AbTest.model_validate({**PLAN, **changed})
