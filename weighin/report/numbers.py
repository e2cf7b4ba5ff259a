"""Numbers for people: as many digits as an interval supports, and the unit in words."""

from __future__ import annotations

import math

MOST = 6
"""Decimals."""


def decimals(low: float, estimate: float, high: float, limit: float) -> int:
    """Return how many decimals show the first digit of the interval's half-width, or two where it is 1 or 2; and none
    of the three as equal to a limit that it is not.

    >>> decimals(-0.0844, -0.0712, -0.0581, -0.05), decimals(81.1, 84.2, 87.3, 150)
    (3, 0)
    """
    half = max((abs(v) for v in (estimate - low, high - estimate) if math.isfinite(v)), default=0.0)
    places = _written(estimate)
    if half > 0:
        power = math.floor(math.log10(half))
        places = min(max((half < 3 * 10.0**power) - power, 0), MOST)
    while places < MOST and any(e != limit and round(e, places) == round(limit, places) for e in (low, estimate, high)):
        places += 1
    return places


def _written(value: float) -> int:
    """Return after how many decimals a number ends when it is shown with four digits."""
    return min(len(f"{value:.4g}".partition("e")[0].partition(".")[2]), MOST) if math.isfinite(value) else 0


def fixed(value: float, places: int, *, signed: bool = False) -> str:
    """Return a number with so many decimals. An end without a bound is infinite.

    >>> fixed(-0.0712, 3), fixed(12345.6, 0), fixed(0.01, 3, signed=True), fixed(-math.inf, 2), fixed(-0.0001, 3)
    ('−0.071', '12,346', '+0.010', '−∞', '0.000')
    """
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{abs(value):,.{places}f}"
    zero = not text.strip("0.,")
    sign = "" if zero else "−" if value < 0 else "+" if signed else ""
    return f"{sign}{text}"


def bound(value: float, places: int, *, signed: bool = False) -> str:
    """Return a limit with so many decimals at least, and all that it has.

    >>> bound(-0.01, 3, signed=True), bound(0.0125, 2), bound(150, 0)
    ('−0.010', '0.0125', '150')
    """
    own = min(len(repr(float(value)).partition(".")[2].rstrip("0")), MOST) if math.isfinite(value) else 0
    return fixed(value, max(places, own), signed=signed)


def percent(share: float) -> str:
    """Return a share in percent with two digits, and more where it would be shown as all of it.

    >>> percent(0.0231), percent(0.5), percent(0.000004), percent(0.9997), percent(1.0), percent(0.0)
    ('2.3 %', '50 %', '0.0004 %', '99.97 %', '100 %', '0 %')
    """
    value = 100 * share
    if not math.isfinite(value) or value == 0:
        return f"{fixed(value, 0)} %"
    places = min(max(1 - math.floor(math.log10(abs(value))), 0), MOST)
    while places < MOST and value != 100 and round(value, places) == 100:
        places += 1
    text = fixed(value, places)
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"
