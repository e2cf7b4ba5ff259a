"""The page of the monitor in a real browser: wide and narrow, light and dark, with what strangers may have written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver as selenium

from support.browser_pages import cut, shown
from support.monitor_pages import DRIFT, NOW, event, item, measured, notified, run, series
from weighin.monitor.history import History
from weighin.monitor.result import document
from weighin.outcome import Direction, Limit
from weighin.report.monitor import page

pytestmark = pytest.mark.browser
LONG = "monitor/last-1000/drift/" + "a_feature_with_a_name_that_goes_on_" * 6
HOSTILE = (
    '"></title></svg></td><script>document.title="run"</script><img src="http://127.0.0.1:9/x" onerror="alert(1)">'
)
NOTHING = History((), ())


def strange(name: str) -> tuple[dict[str, object], History]:
    """Everything that a log or a registry may say is `name`."""
    check = f"monitor/last-1000/drift/{name}"
    events = (event(1, "alarm", 30, checks=(check,), message=name, version=name, actor=name),)
    evidence = [(item(check, Limit(Direction.AT_MOST, 0.2, 0.01), baseline=name), measured(check, 0.3, 0.02))]
    found = History((series(check, name, np.full(9, 0.3), 0.02, NOW),), events)
    return document(run(evidence, events, model=name, version=name, problems=[name])), found


CASES = {
    "the story": notified(),
    "8,000 runs of each": notified(8000, 8000),
    "no history": (notified()[0], NOTHING),
    "a long name": strange("a_feature_with_a_name_that_goes_on_" * 8),
    "a hostile name": strange(HOSTILE),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("width", "scheme"), [(1300, "light"), (390, "dark")])
def test_nothing_is_cut_loaded_or_run(
    browser: selenium.Chrome, tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    value, found = CASES[name]
    html = page(value, found)
    assert len(html) < 90_000
    shown(browser, html, tmp_path, width, scheme)
    assert [line["message"] for line in browser.get_log("browser")] == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.title == f"{value['model']} version {value['version']}: {value['state']}"
    assert cut(browser, width) == []


def test_the_state_and_the_first_chart_are_seen_without_scrolling_much(
    browser: selenium.Chrome, tmp_path: Path
) -> None:
    shown(browser, page(*notified()), tmp_path, 1300, "light")
    top = browser.execute_script(
        "return ['h1', 'figure svg'].map(name => document.querySelector(name).getBoundingClientRect().top)"
    )
    assert top[0] < 100
    assert top[1] < 650
    first = browser.find_element("css selector", "figure[data-check]")
    assert first.get_attribute("data-check") == DRIFT
    assert "failed, alarm open: 0.31 (0.26 to 0.36), limit ≤ 0.2" in first.text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_on_their_background(browser: selenium.Chrome, tmp_path: Path, scheme: str) -> None:
    shown(browser, page(*notified()), tmp_path, 1300, scheme)
    ratios = browser.execute_script(
        """const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(v => v / 255)
             .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
             return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
           const paper = light(getComputedStyle(document.body).backgroundColor);
           return [...document.querySelectorAll('.word, .soft, .sign, td')].map(e => {
             const ink = light(getComputedStyle(e).color);
             return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05); })"""
    )
    assert len(ratios) > 30
    assert min(ratios) >= 4.5


def test_a_longer_name_than_the_screen_is_wide_is_there_in_full(browser: selenium.Chrome, tmp_path: Path) -> None:
    evidence = [(item(LONG, Limit(Direction.AT_MOST, 0.2, 0.01)), measured(LONG, 0.3, 0.02))]
    value = document(replace(run(evidence), problems=()))
    shown(browser, page(value, NOTHING), tmp_path, 390, "light")
    assert browser.find_element("css selector", "figcaption code").text == LONG
