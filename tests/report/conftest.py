"""A real browser, one for a module."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from selenium import webdriver as selenium


@pytest.fixture(scope="module")
def browser() -> Iterator[selenium.Chrome]:
    program, driver = (shutil.which(n) for n in ("chromium", "chromedriver"))
    assert program, "chromium is needed: .ci/programs installs it"
    assert driver, "chromedriver is needed: .ci/programs installs it"
    options = selenium.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    found.set_page_load_timeout(120)
    # axe looks at all of a page in one script, which takes ten times as long where other tests run.
    found.set_script_timeout(240)
    yield found
    found.quit()
