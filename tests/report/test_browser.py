"""The report in a real browser: what blocks, or could, is visible with its interval and its limit."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver as selenium

from support.evidence_files import Case, interval
from weighin.contract import checks
from weighin.outcome import Unmeasured
from weighin.report import html

pytestmark = pytest.mark.browser


def test_every_blocking_check_is_visible_with_interval_and_limit(browser: selenium.Chrome, tmp_path: Path) -> None:
    case = Case(tmp_path / "reports")
    worse = case.check("performance/roc_auc/vs-champion")
    case.evidence[worse.id] = interval(worse, -0.05, 0.02)
    case.evidence["drift/temp"] = Unmeasured("drift/temp", "the file is missing")
    page = tmp_path / "report.html"
    page.write_text(html.report(case.write().record()), encoding="utf-8")
    browser.get(page.as_uri())
    found = browser.execute_script(
        """return [...document.querySelectorAll('section:not(#blocking) tr[data-check]')].map(row => {
             const cell = name => row.querySelector('.' + name);
             const seen = e => e.checkVisibility({opacityProperty: true, visibilityProperty: true})
                               && e.getBoundingClientRect().width > 0 && e.getBoundingClientRect().height > 0;
             return [row.dataset.check, seen(row), cell('interval-text').innerText, cell('limit-text').innerText,
                     seen(cell('limit-text')), row.querySelector('.word').innerText,
                     row.querySelector('svg.interval') !== null];
           })"""
    )
    rows = {name: rest for name, *rest in found}
    blocking = [c for c in checks(case.file.contract) if c.limit.severity == "block"]
    assert len(blocking) > 200
    for check in blocking:
        visible, between, limit, limit_visible, word, _ = rows[check.id]
        assert visible, check.id
        assert limit_visible, check.id
        assert limit[0] in "≥≤", check.id
        assert between or word == "not evaluated", check.id
    assert rows[worse.id][1:6] == ["-0.07 to -0.03", "≥ -0.01", True, "failed", True]
    assert rows["drift/temp"][4] == "not evaluated"
    first = browser.find_element("id", "blocking")
    assert first.is_displayed()
    assert {worse.id, "drift/temp"} == {
        e.get_attribute("data-check") for e in first.find_elements("css selector", "tr[data-check]")
    }
    assert [line["message"] for line in browser.get_log("browser")] == []
    width = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert width[0] <= width[1]
