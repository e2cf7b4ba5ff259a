"""The page of an A/B test: every answer, what is left to do, and what strangers may have written."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.ab_pages import HOSTILE, contract, story
from weighin.ab_test.record import demand_form, demand_sense
from weighin.ab_test.units import Faults
from weighin.report.ab import page

GOES_ON = {"effect": 0.0}


def test_a_pass_shows_every_limit_over_time_and_says_what_follows(tmp_path: Path) -> None:
    record = story(contract(tmp_path))
    demand_form(record, "")
    demand_sense(record, "")
    html = page(record)
    assert record["answer"] == "pass"
    assert html.count('<svg class="over-time"') == 5
    assert html.count("<polyline") == 5
    for check in ("ab/share/bought", "ab/mean/revenue", "ab/ratio/clicks/views", "ab/share/complaint"):
        assert f'data-check="{check}"' in html
    assert "<code>weighin promote</code>" in html
    assert "First decided" in html
    assert "12 units were served by both arms" in html


def test_a_test_that_goes_on_says_what_it_still_takes(tmp_path: Path) -> None:
    html = page(story(contract(tmp_path), **GOES_ON))
    assert "3,200 units wait" in html
    assert "units in all" in html
    assert "days at the rate so far" in html
    assert "weighin promote" not in html


def test_before_the_first_decision_the_days_are_told(tmp_path: Path) -> None:
    html = page(story(contract(tmp_path, units_at_least=9000)))
    assert "The first decision takes about 9,000 units in all, 1 days at the rate so far." in html
    assert "Not compared at this evaluation." in html


def test_a_failure_sends_the_units_back(tmp_path: Path) -> None:
    html = page(story(contract(tmp_path), effect=-0.05))
    assert "Send every unit to the champion again" in html
    assert 'class="verdict failed"' in html


def test_a_broken_sample_ratio_is_said_first(tmp_path: Path) -> None:
    record = story(contract(tmp_path), challengers=7000)
    html = page(record)
    assert record["answer"] == "not_evaluated"
    assert 'Sample ratio: <span class="word failed">broken' in html
    assert html.index("ab/sample-ratio") < html.index("Challenger minus champion")
    assert "weighin promote" not in html


def test_faults_are_counted_on_the_page(tmp_path: Path) -> None:
    html = page(story(contract(tmp_path), faults=Faults(other_arm=900, broken=300)))
    assert "900 units were served by the other arm" in html
    assert 'data-check="ab/assignment"' in html


@pytest.mark.parametrize("place", ["model", "reason", "problems", "champion", "challenger"])
def test_texts_of_strangers_are_escaped(tmp_path: Path, place: str) -> None:
    record = story(contract(tmp_path), days=4)
    record[place] = {"model": HOSTILE, "reason": HOSTILE, "problems": [HOSTILE]}.get(
        place, {"version": HOSTILE, "digest": HOSTILE}
    )
    html = page(record)
    assert "<script" not in html
    assert "<img" not in html
