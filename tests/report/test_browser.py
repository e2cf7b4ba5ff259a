"""The report in a real browser: what blocks, or could, is seen with interval and limit, by everybody, on any screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver as selenium
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from support import drilled
from support.answers import ANSWERS, failed
from support.browser_pages import barriers, cut, shown
from support.evidence_files import Case, interval
from weighin.contract import checks
from weighin.contract.changes import Changes, FileChange
from weighin.outcome import Unmeasured
from weighin.report import drill, html
from weighin.report.answer import NoDecision

pytestmark = pytest.mark.browser
CHANGES = Changes((FileChange("code", "scripts/train.py", "changed"), FileChange("engine", "weighin/a.py", "added")))
SCREENS = [*((name, *screen) for name in ANSWERS for screen in ((1300, "light"), (390, "dark")))]
OPENED = [("failed", 1300, "dark"), ("failed", 390, "light")]
"""Screens on which all that is folded is looked at as well, which takes axe seconds."""


@pytest.mark.parametrize(("name", "width", "scheme"), [*SCREENS, *OPENED])
def test_nothing_bars_anybody_and_nothing_is_cut(
    browser: selenium.Chrome, tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    shown(browser, html.report(ANSWERS[name](tmp_path), CHANGES), tmp_path, width, scheme)
    if (name, width, scheme) in OPENED:
        browser.execute_script("document.querySelectorAll('details').forEach(e => { e.open = true })")
    assert barriers(browser) == []
    assert [line["message"] for line in browser.get_log("browser")] == []
    assert cut(browser, width) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_a_suite_and_of_no_decision_bar_nobody_either(
    browser: selenium.Chrome, tmp_path: Path, scheme: str
) -> None:
    suite = next(s for s in failed(tmp_path)["suites"] if s["suite"] == "load")
    why = NoDecision("the registry is away", "sqlite:///x", "Start it.", "whoever runs the registry")
    for page in (html.suite_report(suite), html.no_decision(why)):
        shown(browser, page, tmp_path, 390, scheme)
        assert barriers(browser) == []


@pytest.mark.parametrize(("width", "scheme"), [(1300, "light"), (390, "dark")])
def test_the_page_of_a_drill_bars_nobody(browser: selenium.Chrome, tmp_path: Path, width: int, scheme: str) -> None:
    shown(browser, drill.html(drilled.value()), tmp_path, width, scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(e => { e.open = true })")
    assert barriers(browser) == []
    assert cut(browser, width) == []


def test_a_page_that_bars_somebody_is_found(browser: selenium.Chrome, tmp_path: Path) -> None:
    page = (
        html.report(failed(tmp_path)).replace('<html lang="en">', "<html>").replace("--soft: #5b6675", "--soft: #ccc")
    )
    shown(browser, page, tmp_path)
    found = {one.partition(":")[0] for one in barriers(browser)}
    assert {"html-has-lang", "color-contrast"} <= found


@pytest.mark.parametrize("name", ["failed", "passed", "unanswered"])
def test_the_answer_is_on_the_first_screen(browser: selenium.Chrome, tmp_path: Path, name: str) -> None:
    shown(browser, html.report(ANSWERS[name](tmp_path)), tmp_path)
    seen = browser.execute_script(
        "return [...document.querySelectorAll('h1, #headlines table, #blocking li, #steps')]"
        ".map(e => [e.tagName, e.getBoundingClientRect().bottom])"
    )
    assert {"H1", "TABLE"} <= {tag for tag, _ in seen}
    assert [tag for tag, bottom in seen if bottom > 900] == []


def test_what_is_folded_opens_by_keyboard(browser: selenium.Chrome, tmp_path: Path) -> None:
    shown(browser, html.report(failed(tmp_path)), tmp_path)
    opened = browser.execute_script("return document.querySelectorAll('details[open]').length")
    keys = ActionChains(browser)
    for _ in range(60):
        keys = keys.send_keys(Keys.TAB)
        keys.perform()
        keys = ActionChains(browser)
        if browser.switch_to.active_element.tag_name == "summary":
            break
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    assert browser.execute_script("return document.querySelectorAll('details[open]').length") == opened + 1
    outline = browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


def test_every_outcome_is_a_word_and_not_only_a_colour(browser: selenium.Chrome, tmp_path: Path) -> None:
    shown(browser, html.report(failed(tmp_path)), tmp_path)
    browser.execute_script("document.querySelectorAll('details').forEach(e => { e.open = true })")
    words = browser.execute_script("return [...document.querySelectorAll('.word')].map(e => e.innerText.slice(2))")
    assert set(words) == {"passed", "failed"}
    rows = browser.execute_script("return [...document.querySelectorAll('#headlines tbody tr')].map(e => e.innerText)")
    assert len(rows) == 7
    assert all(row.rstrip().endswith(("passed", "failed")) for row in rows), rows


def test_every_blocking_check_is_visible_with_interval_and_limit(browser: selenium.Chrome, tmp_path: Path) -> None:
    case = Case(tmp_path / "reports")
    worse = case.check("performance/roc_auc/vs-champion")
    case.evidence[worse.id] = interval(worse, -0.05, 0.02)
    case.evidence["drift/temp"] = Unmeasured("drift/temp", "the file is missing")
    shown(browser, html.report(case.write().record()), tmp_path)
    script = """return [...document.querySelectorAll('tr[data-check]')].map(row => {
             const cell = name => row.querySelector('.' + name);
             const seen = e => e.checkVisibility({opacityProperty: true, visibilityProperty: true})
                               && e.getBoundingClientRect().width > 0 && e.getBoundingClientRect().height > 0;
             return [row.dataset.check, seen(row), cell('interval-text').innerText, cell('limit-text').innerText,
                     seen(cell('limit-text')), row.querySelector('.word').innerText.slice(2),
                     row.querySelector('svg.interval') !== null];
           })"""
    # Folded are counts that passed, and nothing else.
    folded = [row for row in browser.execute_script(script) if not row[1]]
    assert len(folded) > 200
    assert {(between, word) for _, _, between, _, _, word, _ in folded} <= {
        ("exact", "passed"),
        ("", "passed"),
        ("", ""),
    }
    browser.execute_script("document.querySelectorAll('details').forEach(e => { e.open = true })")
    rows = {name: rest for name, *rest in browser.execute_script(script)}
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
        e.get_attribute("data-cause") for e in first.find_elements("css selector", "[data-cause]")
    }
    assert [line["message"] for line in browser.get_log("browser")] == []
