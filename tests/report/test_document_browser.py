"""The validation report in a real browser, on a screen and on paper."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver as selenium

from support.browser_pages import barriers, shown
from support.documents import case, drill, recorded, write_drill
from weighin.cli import main
from weighin.document.contents import sections
from weighin.document.material import read_material
from weighin.document.page import page
from weighin.record.documents import FOLDER

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("width", "scheme"), [(1300, "light"), (390, "dark")])
def test_nothing_of_the_report_bars_anybody_and_nothing_is_cut(
    browser: selenium.Chrome, tmp_path: Path, width: int, scheme: str
) -> None:
    made = case(tmp_path)
    write_drill(made, drill(recorded(made)))
    of = read_material(made.file, made.reports)
    shown(browser, page(of, sections(of)), tmp_path, width, scheme)
    assert barriers(browser) == []
    assert [line["message"] for line in browser.get_log("browser")] == []
    wide = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide[0] <= wide[1] == width


def test_the_browser_prints_the_report_on_paper(tmp_path: Path) -> None:
    made = case(tmp_path)
    recorded(made)
    assert main(["document", str(made.reports), "--contract", str(made.file.path), "--pdf"]) == 0
    data = (made.reports / FOLDER / "validation-report.pdf").read_bytes()
    assert data.startswith(b"%PDF-")
    assert data.count(b"/Type /Page\n") > 3
