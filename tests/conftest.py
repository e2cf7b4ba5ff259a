"""For all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def environment() -> Iterator[None]:
    """Nothing that a module's tests do to the environment (MLflow keeps its address there) reaches the next module."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
