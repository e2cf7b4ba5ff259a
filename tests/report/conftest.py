"""A real browser, one for a module."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from selenium import webdriver as selenium


@pytest.fixture(scope="module")
def browser() -> Iterator[selenium.Chrome]:
    program, driver = (shutil.which(n) for n in ("chromium", "chromedriver"))
    if not (program and driver):
        if os.environ.get("CI"):
            pytest.fail("Chromium and chromedriver must be installed where CI=true")
        pytest.skip("this machine has no Chromium")
    options = selenium.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    found.set_page_load_timeout(60)
    yield found
    found.quit()
