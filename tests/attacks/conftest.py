"""The attacks of each file are the parameters of its tests."""

from __future__ import annotations

import pytest

from support import attack


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "attack" in metafunc.fixturenames:
        metafunc.parametrize("attack", attack.parameters(metafunc.module.ATTACKS))
