"""How a gate answers to one fault: at the size that is stated, and the smallest size that it blocks with 80 %."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from weighin.drill.asked import Models
from weighin.drill.fault import Fault
from weighin.drill.inputs import Inputs
from weighin.drill.judge import Judge, Judged, drawn_again, holdout_rows, reached
from weighin.errors import NotEvaluated
from weighin.outcome import Outcome
from weighin.stats.dose_response import Curve, Trials, fit
from weighin.stats.intervals import Undefined
from weighin.suites.rows import Rows

SCAN = 4
"""Draws at each size before the sizes are known that matter."""
AT = (0.65, 0.78, 0.88)
"""Where on the fitted curve the further draws are made: they tell most about the size that is blocked with 80 %."""
PARTS = (0.25, 0.35, 0.4)
"""Of the further draws: between two of these parts the curve is fitted again."""
SHARED = 5
"""Draws of the holdout that share one making of the fault."""
HALVINGS = 3
"""Of the step between the largest size that was missed and the smallest that was blocked."""


@dataclass(frozen=True)
class Settings:
    """How thoroughly a drill looks.

    seed     of every random number
    repeats  further draws for each fault that has a curve
    quick    only the stated sizes, and no curves
    controls draws of each control
    suggest  try changes of the contract for what is not blocked
    """

    seed: int = 7
    repeats: int = 60
    quick: bool = False
    controls: int = 200
    suggest: bool = False


@dataclass(frozen=True)
class Sized:
    """What became of the draws at one size."""

    size: float
    draws: int
    blocked: int
    inconclusive: int


@dataclass
class Search:
    """Draws of one fault, at sizes that follow from each other.

    make    puts the fault into inputs: (size, random numbers) -> inputs
    models  the models, where the fault changes what they are given
    """

    judge: Judge
    fault: Fault
    settings: Settings
    make: Callable[[float, np.random.Generator], Inputs]
    models: Models | None = None
    found: dict[float, list[Judged]] = field(default_factory=dict)
    _first: str = ""
    _fixed: dict[float, dict[str, Outcome]] = field(default_factory=dict)
    _made: dict[float, Inputs] = field(default_factory=dict)

    def rng(self, size: float, number: int) -> np.random.Generator:
        """Return random numbers that depend on the seed, the fault, the size and the number of the draw alone."""
        name = zlib.crc32(f"{self.fault.name} {size:.9g}".encode())
        return np.random.default_rng([self.settings.seed, name, number])

    def at_stated(self) -> Inputs:
        """Return inputs with the fault at its stated size, on the data as they are, the models having answered."""
        inputs = self.make(self.fault.size, self.rng(self.fault.size, 0))
        return self.models.again(inputs) if self.models else inputs

    def sizes(self) -> list[Sized]:
        """Return what became of all draws, by size."""
        return [
            Sized(size, len(of), sum(j.killed for j in of), sum(j.answer == "inconclusive" for j in of))
            for size, of in sorted(self.found.items())
        ]

    def curve(self) -> Curve | None:
        """Draw, and return the curve; None where nothing was blocked at any size. Errors: `NotApplicable`."""
        if not self.fault.drawn:
            return self._step()
        self._bracket()
        for number, part in enumerate((1.0,) if self.models else PARTS):
            found = self._fitted()
            if found.size is None:
                break
            sizes = self._telling(found, first=number == 0)
            for size in sizes:
                self._draw(size, max(1, round(part * self.settings.repeats / len(sizes))))
        found = self._fitted()
        return None if found.size is None else found

    def _telling(self, found: Curve, *, first: bool) -> list[float]:
        """Return sizes at which draws tell most: between the bounds at first, then by the curve."""
        least, most = self.fault.sizes[0] / 4, self.fault.sizes[-1]
        if first and 0 < found.low < found.high < math.inf:
            wanted = np.geomspace(found.low, found.high, len(AT) + 2)[1:-1].tolist()
        else:
            wanted = [found.quantile(p) for p in AT]
        return sorted({min(max(size, least), most) for size in wanted})

    def _bracket(self) -> None:
        """Draw at the stated size, and from there on to sizes that are never and that are always blocked."""
        sizes, start = self.fault.sizes, self.fault.sizes.index(self.fault.size)
        first = self._share(self.fault.size)
        for size in reversed(sizes[:start]):
            if first == 0.0 or self._share(size) == 0.0:
                break
        for size in sizes[start + 1 :]:
            if first == 1.0 or self._share(size) == 1.0:
                break

    def _share(self, size: float) -> float:
        of = self._draw(size, SCAN)
        return sum(j.killed for j in of) / len(of)

    def _fitted(self) -> Curve:
        return fit([Trials(s.size, s.blocked, s.draws) for s in self.sizes()])

    def _step(self) -> Curve | None:
        """Return the smallest size that is blocked, of a fault whose draws hardly differ: between the two bounds."""
        missed, hit = 0.0, None
        for size in self.fault.sizes:
            if self._draw(size, 1)[0].killed:
                hit = size
                break
            missed = size
        if hit is None:
            return None
        for _ in range(HALVINGS if missed else 0):
            middle = math.sqrt(missed * hit)
            if self._draw(middle, 1)[0].killed:
                hit = middle
            else:
                missed = middle
        # All draws at `hit` are blocked, and none at `missed`: as steep as a curve can be drawn.
        return Curve(hit, missed, hit, 60.0)

    def _draw(self, size: float, draws: int) -> list[Judged]:
        """Judge the fault at one size so many times more, on the holdout drawn again where performance matters."""
        of = self.found.setdefault(size, [])
        wanted = len(of) + draws
        while len(of) < wanted:
            rng = self.rng(size, 1 + len(of))
            inputs = self._input(size, rng)
            ids = reached(self.judge.checks.values(), inputs, self.judge.base)
            rows = self._rows(inputs) if self.fault.drawn and ids & self.judge.performance else None
            if rows is None:
                of.append(self._whole(inputs))
                continue
            fixed = self._others(size, inputs, ids - self.judge.performance)
            for _ in range(min(SHARED, wanted - len(of))):
                one = self.judge.at_once(drawn_again(rows, rng), fixed, self._first)
                self._first = next(iter(one.by), self._first)
                of.append(one)
        return of

    def _others(self, size: float, inputs: Inputs, ids: frozenset[str]) -> dict[str, Outcome]:
        """Return the outcomes of what is measured on the data as they are: data quality once for each size."""
        counted = frozenset(i for i in ids if i.startswith("data_quality/"))
        if size not in self._fixed:
            self._fixed[size] = self.judge.outcomes(inputs, counted if self.models is None else ids)
        return {**self._fixed[size], **(self.judge.outcomes(inputs, ids - counted) if self.models is None else {})}

    def _input(self, size: float, rng: np.random.Generator) -> Inputs:
        """Return inputs with the fault. Where models have to be asked it is put in once for each size."""
        if self.models is None or not self.fault.drawn:
            return self.make(size, rng)
        if size not in self._made:
            self._made[size] = self.models.again(self.make(size, rng), whole=False)
        return self._made[size]

    def _whole(self, inputs: Inputs) -> Judged:
        """Judge inputs as they are. Models are asked only where nothing blocks that needs no answer of theirs."""
        if self.models is None:
            return self.judge.judged(inputs)
        before = self.judge.judged(inputs, asked=False)
        return before if before.killed else self.judge.judged(self.models.again(inputs))

    def _rows(self, inputs: Inputs) -> Rows | None:
        """Return the scored rows; None where they cannot be scored, which every performance check then says."""
        try:
            return holdout_rows(inputs, self.judge.base)
        except (NotEvaluated, Undefined):
            return None


def fresh(judge: Judge, fault: Fault, size: float, draws: int, seed: int) -> int:
    """Return how many fresh draws of a fault are blocked at a size: what a predicted size is held against."""
    search = Search(judge, fault, Settings(seed), lambda s, rng: fault.make(judge.base, s, rng))
    return sum(j.killed for j in search._draw(size, draws))
