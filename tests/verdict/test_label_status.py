"""What is left to do, in a sentence, for each state of a label plan."""

from __future__ import annotations

from typing import Any

import pytest

from support.label_pages import status
from weighin.verdict.label_plan import _left


def value(state: str = "inconclusive", expected: int | None = 900, **changed: Any) -> dict[str, Any]:
    found = status(**changed)
    found["checks"][0] |= {"status": state, "expected": expected, "blocks": state != "passed"}
    return found


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (value("passed"), "nothing, every check that blocks has passed"),
        (value("failed"), "a check has failed alone: run `weighin validate`, which confirms it by Holm"),
        (value(), "about 600 more labels, from draw 301 of the plan on"),
        (value(expected=None), "more labels, from draw 301 of the plan on"),
        (value(expected=200), "about 1 more labels"),
        (value(labels=1_000), "run `weighin labels plan --labels 2000` to list them"),
        (value(expected=5_000), "about 5,000 labels would settle it, and only 2,000 rows can be drawn"),
        (value(labels=2_000), "no row is left to label, and the checks are not settled"),
        (value("not_evaluated", None), "a check that blocks could not be evaluated"),
        (value("not_evaluated", None, labels=0), "more labels, from draw 1 of the plan on"),
    ],
)
def test_it_says_what_to_do_next(given: dict[str, Any], says: str) -> None:
    assert says in _left(given)


def test_a_check_that_only_warns_leaves_nothing_to_do() -> None:
    given = value()
    given["checks"][0]["blocks"] = False
    assert _left(given).startswith("nothing, every check that blocks has passed")
