"""The page of an A/B test in a real browser: wide and narrow, light and dark, and for everybody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver as selenium

from support.ab_pages import HOSTILE, contract, story
from support.browser_pages import barriers, cut, shown
from weighin.report.ab import page

pytestmark = pytest.mark.browser
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "pass": ({}, {}),
    "goes on": ({"effect": 0.0}, {}),
    "first days": ({"days": 2}, {}),
    "void": ({"challengers": 7000}, {}),
    "hostile": ({"days": 4, "champion": (HOSTILE, HOSTILE), "challenger": ("8", HOSTILE)}, {}),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("width", "scheme"), [(1300, "light"), (390, "dark")])
def test_nothing_bars_anybody_and_nothing_is_cut_loaded_or_run(
    browser: selenium.Chrome, tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    given, plan = CASES[name]
    record = story(contract(tmp_path, **plan), **given)
    shown(browser, page(record), tmp_path, width, scheme)
    assert barriers(browser) == []
    assert [line["message"] for line in browser.get_log("browser")] == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.title == f"ranker-2: {record['answer'].replace('_', ' ')}"
    assert cut(browser, width) == []


def test_the_answer_and_what_is_left_to_do_are_on_the_first_screen(browser: selenium.Chrome, tmp_path: Path) -> None:
    shown(browser, page(story(contract(tmp_path))), tmp_path, 1300, "light")
    tops = browser.execute_script(
        "return ['h1', '#left li', 'figure svg'].map(n => document.querySelector(n).getBoundingClientRect().bottom)"
    )
    assert tops == sorted(tops)
    assert tops[2] < 900
    first = browser.find_element("css selector", "figure[data-check]")
    assert first.get_attribute("data-check") == "ab/share/bought"
    assert "passed" in first.text
    assert "limit ≥ 0" in first.text
