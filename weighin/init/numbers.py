"""Numbers as a person would write a limit: few digits, rounded to the side that leaves room."""

from __future__ import annotations

import math


def above(value: float, digits: int = 2) -> float:
    """Return the value rounded up to so many significant digits.

    >>> above(0.01234), above(123.4), above(0.0), above(-0.01234)
    (0.013, 130.0, 0.0, -0.012)
    """
    return -under(-value, digits)


def under(value: float, digits: int = 2) -> float:
    """Return the value rounded down to so many significant digits.

    >>> under(0.01234), under(123.4), under(-123.4)
    (0.012, 120.0, -130.0)
    """
    # Of a value below 1e-300 no digit matters.
    if abs(value) < 1e-300 or not math.isfinite(value):
        return value
    return below(value, math.floor(math.log10(abs(value))) - digits + 1)


def below(value: float, power: int) -> float:
    """Return the value rounded down to a multiple of a power of ten.

    >>> below(0.678, -2), below(-1.2, 0), below(678.0, 2)
    (0.67, -2.0, 600.0)
    """
    scale = 10.0 ** abs(power)
    # A hair of tolerance: 0.3 / 0.1 is not 3.
    scaled = value * scale if power < 0 else value / scale
    whole = math.floor(scaled + 1e-9 * max(1.0, abs(scaled)))
    return whole / scale if power < 0 else whole * scale
