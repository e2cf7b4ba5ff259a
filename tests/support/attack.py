"""An attack on a wall: what somebody who wants a pass, or a secret, does, and what comes of it.

Each file `tests/attacks/test_<kind>.py` has a list `ATTACKS` and imports the two tests below. An attack is a function
of a fresh folder and a switch: with `wall=True` it is tried against the project as it is, with `wall=False` against the
project without the one thing that is to stop it. It says what came of it, so that a wall which was never tested cannot
look like one that holds: without it, the attack must succeed.

`python benchmarks/attacks.py` runs and lists all of them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "attacks"

FORGING = """
import sys, weighin.outcome
from weighin.outcome import census
_decide = weighin.outcome.decide
def passing(evidence, limit):
    return _decide(census(evidence.check, limit.value, n=1, unit="x", method="x"), limit)
weighin.outcome.decide = passing
if "weighin.suites.plugin" in sys.modules:
    sys.modules["weighin.suites.plugin"].decide = passing
"""
"""Whatever was measured, it is what the limit allows."""


class Result(Enum):
    """What came of an attack. All but the first are harm."""

    BLOCKED = "blocked"
    """Refused, or without any effect."""
    FORGED = "a pass that was not earned"
    SECRET = "a secret, or a value of the data, was taken"
    OUT_OF_BOUNDS = "memory was read out of bounds"
    UNBOUNDED = "time, memory or disk without a bound"
    MISLED = "a person was shown, or not shown, what the attacker wants"


@dataclass(frozen=True)
class Attack:
    """One attack.

    name    a sentence: who does what
    run     (fresh folder, whether the wall stands) -> what came of it
    harm    what comes of it without the wall
    docker  whether it needs a Docker engine and the images that .ci/run builds
    """

    name: str
    run: Callable[[Path, bool], Result]
    harm: Result
    docker: bool = False

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def replaced(wall: bool, target: str, other: Any) -> Any:
    """A context in which `target` (dotted name) is `other` where the wall is away; else one that does nothing."""
    return mock.patch(target, other) if not wall else mock.patch.dict({})


def parameters(attacks: list[Attack]) -> list[Any]:
    """The attacks of a file as parameters of its tests."""
    return [pytest.param(a, id=str(a), marks=[pytest.mark.docker] if a.docker else []) for a in attacks]


def test_the_wall_holds(attack: Attack, tmp_path: Path) -> None:
    assert attack.run(tmp_path, True) is Result.BLOCKED


@pytest.mark.exhaustive
def test_without_the_wall_it_succeeds(attack: Attack, tmp_path: Path) -> None:
    assert attack.run(tmp_path, False) is attack.harm


def all_attacks() -> dict[str, list[Attack]]:
    """Every attack by its kind, the name of its file."""
    sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]
    found = {}
    for path in sorted(FOLDER.glob("test_*.py")):
        found[path.stem.removeprefix("test_")] = list(importlib.import_module(path.stem).ATTACKS)
    return found
