"""A page in a real browser, and what bars people from it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from selenium import webdriver as selenium

AXE = files("selenium_axe_python") / "axe-core/axe.min.js"


def shown(browser: selenium.Chrome, page: str, folder: Path, width: int = 1300, scheme: str = "light") -> None:
    """Open a page on a screen of this width, for people who asked for light or dark."""
    place = folder / "report.html"
    place.write_text(page, encoding="utf-8")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(place.as_uri())


def barriers(browser: selenium.Chrome) -> list[str]:
    """What axe-core finds that bars people from a page: rule, and where."""
    browser.execute_script(AXE.read_text(encoding="utf-8"))
    found: Any = browser.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        " axe.run(document, {resultTypes: ['violations']}).then(done, e => done({failed: String(e)}))"
    )
    assert "violations" in found, found
    assert len(found["passes"]) > 10
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found["violations"]]


def cut(browser: selenium.Chrome, width: int) -> list[str]:
    """What reaches beyond a screen of this width, outside of what scrolls; the page itself must not scroll sideways."""
    wide = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide[0] <= wide[1] == width
    found: list[str] = browser.execute_script(
        """return [...document.querySelectorAll('h1, h2, p, li, td, th, figcaption, code, svg')].filter(e => {
             const box = e.getBoundingClientRect();
             return box.width > 0 && box.right > innerWidth + 1 && !e.closest('.scroll');
           }).map(e => e.outerHTML.slice(0, 80))"""
    )
    return found
