"""Drift of texts: how often its checks are wrong, each measured through `text_drift.compare` and then `decide`.

    python benchmarks/text_drift.py [--quick] [--gates N] [--only TEXT]

A setting has two populations of texts, in which a share of the current ones is of another kind: longer, in another
language, with other words. Rows, or whole talks, are drawn from both with replacement. Three limits are then compared
with each interval:

- the true distance itself: at most alpha of gates may pass, and at most alpha may fail. It is known exactly, by the
  bins and by the classifier of each draw; only that of unknown words, which depends on how many rows the reference
  has, is the mean over all draws.
- nothing at all, where both populations are the same: at most alpha may fail.
- a stated one (`STATED`), as a contract has it: whether equal texts pass, and drifted ones fail.

Beside it stand the number of the two samples compared with the limit, as most tools do (for distances the plain value,
for the others the estimate), and the interval that takes rows of a talk for independent. Exact binomial tests,
Bonferroni over all of them; what lies significantly above alpha is a breach.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from scipy import stats

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from weighin.contract.checks import Check, TextDriftRule
from weighin.contract.gates import Drift, TextKind
from weighin.outcome import Direction, Limit, Measurement, Unmeasured, decide
from weighin.scores.language import language
from weighin.scores.style import words_of
from weighin.stats.drift import edges
from weighin.stats.intervals import Undefined
from weighin.stats.metrics import METRICS
from weighin.stats.scored import Scored
from weighin.suites import text_drift
from weighin.suites.text_drift import Texts

ALPHA = 0.05
POPULATION = 20_000
NOTHING = 1e-9
STATED: dict[TextKind, float] = {"length": 0.1, "words": 0.1, "language": 0.1, "unknown_words": 0.05, "auc": 0.65}
"""Limits of the kind that a contract states; that on the length is PSI."""
COMMON = {
    "en": "the and that with this have from they which would there their what about when your said will each many then "
    "them these some make like into time look more write number people water first been call who now find down long",
    "de": "der die und nicht mit sich auch das eine werden noch haben "
    "oder einen über nach wenn dass unter zwischen "  # codespell:ignore oder,unter
    "wir ihre durch immer keine können schon gegen sein wurde diese einer mehr sehr weil dann wieder ohne heute jeder",
    "fr": "les des une dans que pour qui avec sur plus par mais nous vous leur cette aussi comme fait être sont tout "
    "même après deux très peut sans entre encore autre depuis alors toujours notre sous jamais chaque avoir était",
}


@dataclass(frozen=True)
class Setting:
    """`n` rows, or talks, on each side; `drift` is the share of current texts that are of the other kind."""

    kind: TextKind
    n: int
    drift: float = 0.0
    talks: bool = False
    measure: str = "psi"

    @property
    def name(self) -> str:
        """In words."""
        what = f"length, {self.measure}" if self.kind == "length" else self.kind.replace("_", " ")
        return f"{what}, {self.n} {'talks' if self.talks else 'rows'}, drift {self.drift:g}"


@dataclass(frozen=True)
class Population:
    """Texts, and (units + 1,) the first row of each unit, a row or a talk."""

    texts: NDArray[np.object_]
    start: NDArray[np.int64]

    def draw(self, units: int, talks: bool, random: np.random.Generator) -> Texts:
        """Return the texts of so many units, with replacement."""
        picked = random.integers(0, len(self.start) - 1, units)
        sizes = np.diff(self.start)[picked]
        ends = np.cumsum(sizes)
        rows = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes) + np.repeat(self.start[picked], sizes)
        group = np.repeat(np.arange(units), sizes) if talks else None
        return Texts(self.texts[rows].tolist(), group)


@cache
def vocabulary(of: str) -> list[str]:
    """Words that look like those of a language: its common ones first, then pairs of them joined."""
    common = COMMON[of].split()
    random = np.random.default_rng(len(of) + ord(of[0]))
    return common + [f"{a}{b}" for a, b in random.choice(common, (3_000, 2)).tolist()]


@cache
def population(drift: float, talks: bool) -> Population:
    """Texts in three languages, of which `drift` are German and longer. A talk keeps its language and its subject."""
    random = np.random.default_rng(round(drift * 1000) + talks)
    units = POPULATION // 4 if talks else POPULATION
    sizes = 1 + random.geometric(0.3, units).clip(max=12) if talks else np.ones(units, dtype=np.int64)
    other = random.random(units) < drift
    spoken = np.where(other, "de", random.choice(["en", "de", "fr"], units, p=[0.85, 0.1, 0.05]))
    subject, longer = random.integers(0, 3_000, units), np.exp(0.3 * random.normal(size=units) + 0.4 * other)
    texts, kept = [], []
    for unit in range(units):
        words = vocabulary(str(spoken[unit]))
        rank = 1 / np.arange(1, len(words) + 1)
        before = len(texts)
        for _ in range(sizes[unit]):
            length = max(6, round(14 * longer[unit] * math.exp(0.4 * random.normal())))
            drawn = random.choice(len(words), length, p=rank / rank.sum())
            # One word in four is of the subject of the talk: its words come again.
            about = 40 + (subject[unit] + random.integers(0, 12, length)) % 3_000
            text = " ".join(
                words[a if told else w] for a, w, told in zip(about, drawn, random.random(length) < 0.25, strict=True)
            )
            # The languages of a population are then known, and none is among the rare ones that are one.
            if known_language(text) in COMMON:
                texts.append(text)
        kept.append(len(texts) - before)
    held = np.array([k for k in kept if k])
    return Population(np.array(texts, dtype=object), np.concatenate([[0], np.cumsum(held)]))


known_language, known_words = cache(language), cache(words_of)
text_drift.language, text_drift.words_of = known_language, known_words  # type: ignore[assignment]
"""The same functions, which remember the texts of a population."""


class Watched:
    """Keeps what the functions of statistics that `compare` calls have answered last."""

    def __init__(self) -> None:
        self.last: Any = None

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self.last = function(*args)
            return self.last

        return call


WATCHED = Watched()
text_drift.total_variation = WATCHED(text_drift.total_variation)  # type: ignore[assignment]
text_drift.apart = WATCHED(text_drift.apart)  # type: ignore[assignment]
text_drift.DISTANCES = {name: WATCHED(of) for name, of in text_drift.DISTANCES.items()}


@cache
def shares(kind: TextKind, drift: float, talks: bool) -> Any:
    """Of a whole population: what its true distances are made of."""
    texts = population(drift, talks).texts.tolist()
    if kind == "length":
        return np.array([len(t) for t in texts], dtype=np.float64)
    if kind == "words":
        # Not by unit: a share of all words, as in the ratio of sums that is measured.
        cells = text_drift._hashed(Texts(texts, None)).sum(axis=0)
        return cells / cells.sum()
    if kind == "language":
        found = Counter(map(known_language, texts))
        return np.array([found[name] for name in COMMON]) / len(texts)
    return text_drift._features(texts)


def truth(setting: Setting, before: Texts) -> float:
    """Return the true distance of the two populations, by the bins or the classifier of the last draw."""
    one, other = (shares(setting.kind, drift, setting.talks) for drift in (0.0, setting.drift))
    if setting.kind in ("words", "language"):
        return float(np.abs(one - other).sum() / 2)
    if setting.kind == "length":
        inner = edges(np.quantile([len(t) for t in before.texts], np.arange(1, 10) / 10))
        p, q = (
            np.bincount(np.searchsorted(inner, v, side="right"), minlength=len(inner) + 1) / len(v)
            for v in (one, other)
        )
        return float(((q - p) * np.log(q / p)).sum() if setting.measure == "psi" else np.abs(p - q).sum() / 2)
    if setting.kind == "auc":
        told = WATCHED.last.tell
        current = np.arange(len(one) + len(other)) >= len(one)
        return float(METRICS["roc_auc"].of(Scored(current, np.concatenate([told(one), told(other)]))).estimate)
    return math.nan


def measured(setting: Setting, before: Texts, after: Texts) -> Measurement | Unmeasured:
    """Measure two samples as the suite does."""
    limit = Limit(Direction.AT_MOST, STATED[setting.kind], ALPHA)
    rule = TextDriftRule(setting.kind, "text")
    check = Check(f"drift/text/{setting.kind}", "drift", limit, rule)
    gate = Drift.model_validate({"measure": setting.measure, "texts": {"text": {"words_at_most": 0.1}}})
    WATCHED.last = None
    try:
        return text_drift.compare(check, rule, before, after, gate, "rows")
    except Undefined as error:
        return Unmeasured(check.id, str(error))


def run(setting: Setting, gates: int, seed: int) -> dict[str, Any]:
    """Draw and measure `gates` times; how often each rule passes and fails."""
    random, started = np.random.default_rng(seed), time.perf_counter()
    sides = [population(drift, setting.talks) for drift in (0.0, setting.drift)]
    found: list[tuple[Measurement | Unmeasured, Measurement | Unmeasured | None, float, float]] = []
    for _ in range(gates):
        before, after = (side.draw(setting.n, setting.talks, random) for side in sides)
        this = measured(setting, before, after)
        plain = getattr(WATCHED.last, "statistic", math.nan) if isinstance(this, Measurement) else math.nan
        true = truth(setting, before) if isinstance(this, Measurement) else math.nan
        alone = None
        if setting.talks and setting.kind != "auc":  # its classifier, and with it the true area, would be another one
            alone = measured(setting, Texts(before.texts, None), Texts(after.texts, None))
        found.append((this, alone, true, plain))
    estimates = [m.estimate for m, *_ in found if isinstance(m, Measurement)]
    mean = float(np.mean(estimates)) if estimates else math.nan
    counts: Counter[str] = Counter(not_evaluated=0)

    def outcome(of: Measurement | Unmeasured, value: float) -> str:
        return decide(of, Limit(Direction.AT_MOST, value, ALPHA)).status.value

    same = setting.drift == 0 and setting.kind != "unknown_words"
    for this, alone, true, plain in found:
        if isinstance(this, Unmeasured):
            counts["not_evaluated"] += 1
            continue
        at = mean if setting.kind == "unknown_words" else true
        at = at + NOTHING if same else at
        number = this.estimate if math.isnan(plain) else plain
        counts[f"{outcome(this, at)} at the limit"] += 1
        counts[f"{outcome(this, STATED[setting.kind])} as stated"] += 1
        counts["point passed at the limit"] += number <= at
        counts["point failed at the limit"] += number > at
        counts["point passed as stated"] += number <= STATED[setting.kind]
        if alone is not None:
            counts[f"rows {outcome(alone, at)} at the limit"] += 1
    true = mean if setting.kind == "unknown_words" else float(np.nanmean([t for *_, t, _ in found]))
    return {
        "setting": setting,
        "gates": gates,
        "same": same,
        "true": true,
        "s": time.perf_counter() - started,
        **counts,
    }


def settings() -> list[Setting]:
    """All of them."""
    found = []
    for drift in (0.0, 0.1, 0.3):
        for measure in ("psi", "total_variation"):
            found += [Setting("length", n, drift, measure=measure) for n in (300, 1_000)]
            found += [Setting("length", 200, drift, talks=True, measure=measure)]
        kinds: tuple[TextKind, ...] = ("words", "language", "unknown_words")
        for kind in kinds:
            found += [Setting(kind, n, drift) for n in (300, 1_000)]
            found += [Setting(kind, n, drift, talks=True) for n in (60, 200)]
        found += [Setting("auc", 1_000, drift), Setting("auc", 200, drift, talks=True)]
    return found


def say(found: dict[str, Any]) -> None:
    """One line a setting."""
    gates = found["gates"]

    def share(name: str) -> str:
        return f"{found.get(name, 0) / gates:6.2%}"

    at = f"passed {share('passed at the limit')} failed {share('failed at the limit')}"
    number = f"number passed {share('point passed at the limit')}"
    rows = f"rows: passed {share('rows passed at the limit')} failed {share('rows failed at the limit')}"
    stated = f"stated: passed {share('passed as stated')} failed {share('failed as stated')}"
    stated += f" number passed {share('point passed as stated')}"
    print(
        f"{found['setting'].name:48} true {found['true']:6.3f} {gates:6,} {found['s']:6.1f} s  {at}  {number}  "
        f"{rows if found['setting'].talks else '':36}  {stated}  not evaluated {share('not_evaluated')}",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100 gates a setting")
    parser.add_argument("--gates", type=int, default=1_000, help="gates a setting; a fifth for the classifier")
    parser.add_argument("--only", default="", help="settings whose name holds this text")
    given = parser.parse_args()
    gates = 100 if given.quick else given.gates
    planned, results = [s for s in settings() if given.only in s.name], []
    with ProcessPoolExecutor(max_workers=2) as pool:
        tasks = [
            pool.submit(run, s, max(50, gates // 5) if s.kind == "auc" else gates, 1000 + i)
            for i, s in enumerate(planned)
        ]
        for task in tasks:
            results.append(task.result())
            say(results[-1])
    promises = [(r, "failed at the limit") for r in results]
    promises += [(r, "passed at the limit") for r in results if not r["same"]]
    breaches = []
    for found, name in promises:
        test = stats.binomtest(found.get(name, 0), found["gates"], ALPHA, alternative="greater")
        if test.pvalue < ALPHA / len(promises):
            breaches.append(f"{found['setting'].name}: {name} {found[name] / found['gates']:.2%}")
    print("\n".join(breaches) if breaches else "no setting is significantly above alpha")

    def worst(name: str) -> float:
        return round(max((r.get(name, 0) / r["gates"] for r, n in promises if n == name), default=math.nan), 5)

    summary = {
        "settings": len(results),
        "promises": len(promises),
        "breaches": len(breaches),
        "worst_passed": worst("passed at the limit"),
        "worst_failed": worst("failed at the limit"),
    }
    print(json.dumps(summary))
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
