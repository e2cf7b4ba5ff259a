"""Windows that share what their reference is off: how seldom all of them fail together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from weighin.monitor.alarm import shared_alpha

ALPHA, WINDOWS, DRAWS = 0.05, 3, 1_000_000


@pytest.mark.parametrize("shared", [0.0, 0.1, 1 / 3, 0.6, 1.0])
def test_all_fail_as_seldom_as_windows_that_share_nothing(shared: float) -> None:
    rng = np.random.default_rng(7)
    errors = math.sqrt(shared) * rng.standard_normal(DRAWS)[:, None]
    errors = errors + math.sqrt(1 - shared) * rng.standard_normal((DRAWS, WINDOWS))
    promised = ALPHA**WINDOWS

    def together(alpha: float) -> int:
        return int((errors > stats.norm.isf(alpha)).all(axis=1).sum())

    found = together(shared_alpha(ALPHA, WINDOWS, shared))
    assert found <= stats.binom.isf(1e-4, DRAWS, promised)
    # It gives away little: half of what is allowed is used.
    assert found >= stats.binom.isf(1 - 1e-4, DRAWS, promised / 2)
    if shared > 0.05:
        assert together(ALPHA) > stats.binom.isf(1e-4, DRAWS, promised)


def test_one_window_alone_and_a_reference_without_error_change_nothing() -> None:
    assert shared_alpha(0.01, 1, 0.9) == shared_alpha(0.01, 3, 0.0) == 0.01


def test_the_more_is_shared_the_stricter() -> None:
    found = [shared_alpha(0.0142, 3, s / 20) for s in range(21)]
    assert found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(0.0142**3, rel=1e-6)
