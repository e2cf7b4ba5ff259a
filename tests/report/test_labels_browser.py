"""The page of a label plan in a real browser: what is left to do is seen first, by everybody, on any screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver as selenium

from support.browser_pages import barriers, cut, shown
from support.label_pages import HOSTILE, status
from weighin.report.labels import page

pytestmark = pytest.mark.browser
CASES: dict[str, dict[str, Any]] = {
    "inconclusive": status(),
    "no labels": status(labels=0),
    "a hostile name": status(model=HOSTILE, candidate=HOSTILE),
    "a long name": status(model="a_model_with_a_name_that_goes_on_" * 8),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("width", "scheme"), [(1300, "light"), (390, "dark")])
def test_nothing_bars_anybody_and_nothing_is_cut_loaded_or_run(
    browser: selenium.Chrome, tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    shown(browser, page(CASES[name]), tmp_path, width, scheme)
    assert barriers(browser) == []
    assert [line["message"] for line in browser.get_log("browser")] == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.title.startswith(f"Labels for {CASES[name]['model']}")
    assert cut(browser, width) == []


def test_what_is_left_to_do_is_on_the_first_screen(browser: selenium.Chrome, tmp_path: Path) -> None:
    shown(browser, page(status()), tmp_path, 390)
    left = browser.find_element("id", "left")
    assert left.text == "Left to do: about 700 more labels, from draw 301 of the plan on."
    assert left.rect["y"] + left.rect["height"] < 900
    assert "300 of 1,000 listed rows are labelled" in browser.find_element("id", "labels").text
    assert browser.find_element("id", "waiting").text == "12"


def test_the_interval_is_drawn_by_the_number_of_labels(browser: selenium.Chrome, tmp_path: Path) -> None:
    shown(browser, page(status()), tmp_path)
    figure = browser.find_element("css selector", "figure[data-check='performance/accuracy/vs-champion']")
    texts = [e.text for e in figure.find_elements("css selector", "svg text")]
    assert {"0", "150", "300"} <= set(texts)
    curve = figure.find_element("css selector", ".curve").get_attribute("points")
    assert len((curve or "").split()) == 6
    band, limit = (figure.find_element("css selector", f".{name}").rect for name in ("band", "limit"))
    # The limit lies within the band, as the word says.
    assert band["y"] < limit["y"] < band["y"] + band["height"]
    assert "inconclusive" in figure.text
    assert figure.find_element("css selector", ".expected").text == "1,000"
