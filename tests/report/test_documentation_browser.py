"""The documentation site in a real browser: wide and narrow, without another host, and with a search that finds."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial

import pytest
from selenium import webdriver as selenium
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from support.evidence_files import ROOT

pytestmark = pytest.mark.browser
PAGES = ("index.html", "tutorials/own-table.html", "reference/contract.html")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the site, built from the pages as they are."""
    out = tmp_path_factory.mktemp("built") / "site"
    command = [sys.executable, str(ROOT / "scripts/build_site.py"), str(out)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(out))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def opened(browser: selenium.Chrome, address: str, width: int) -> None:
    """Open a page in a window of this width."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(address)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_as_wide_as_the_window_and_asks_no_other_host(
    browser: selenium.Chrome, site: str, page: str, width: int
) -> None:
    opened(browser, f"{site}/{page}", width)
    wide, window = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= window
    pictures = browser.execute_script(
        "return [...document.images].map(i => [i.src, i.naturalWidth > 0, i.getBoundingClientRect().right])"
    )
    assert [src for src, loaded, right in pictures if not loaded or right > window] == []
    asked = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert asked
    assert [name for name in asked if not name.startswith(site)] == []
    assert [line["message"] for line in browser.get_log("browser")] == []


FOUND = """return [...document.querySelectorAll('*')].filter(e => e.shadowRoot)
             .flatMap(e => [...e.shadowRoot.querySelectorAll('a')].map(a => a.href))"""


def test_the_search_finds_a_key_of_the_contract(browser: selenium.Chrome, site: str) -> None:
    opened(browser, f"{site}/index.html", 1280)
    browser.find_element(By.CSS_SELECTOR, ".md-search__button").click()
    WebDriverWait(browser, 30).until(lambda b: b.execute_script("return document.activeElement !== document.body"))
    ActionChains(browser).send_keys("when_inconclusive").perform()
    WebDriverWait(browser, 30).until(
        lambda b: any(f"{site}/reference/contract.html?" in href for href in b.execute_script(FOUND))
    )
