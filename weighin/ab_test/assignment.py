"""Which arm a unit is in: a hash of the test's name and the unit, which a gateway computes as well.

    position = first 8 bytes of sha256(name + ":" + unit), as an unsigned big-endian integer, divided by 2 ** 64
    challenger where position < share, else champion

The name stands in the hash so that each test divides the units anew; a larger share keeps who is in the challenger's
arm already. docs/how-to/ab-test.md has test vectors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

CHAMPION, CHALLENGER = "champion", "challenger"


def position(name: str, unit: str) -> float:
    """Return where in [0, 1) a unit lies in a test.

    >>> round(position("ranker-2", "u1"), 12)
    0.071627796517
    """
    return int.from_bytes(hashlib.sha256(f"{name}:{unit}".encode()).digest()[:8], "big") / 2**64


def arm(name: str, unit: str, share: float) -> str:
    """Return the arm of a unit: `challenger` for a share of all units, else `champion`."""
    return CHALLENGER if position(name, unit) < share else CHAMPION


def in_challenger(name: str, units: Iterable[str], share: float) -> NDArray[np.bool_]:
    """Return for each unit whether it is in the challenger's arm; (n,)."""
    return np.fromiter((position(name, unit) < share for unit in units), dtype=np.bool_)
