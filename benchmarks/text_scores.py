"""Scores of texts: how often the gate is wrong about them, and how long a hundred thousand answers take.

    python benchmarks/text_scores.py [--quick] [--gates N] [--only TEXT] [--rows N]

Every setting has a population of rows, or of conversations, whose own value is the limit: there a gate that keeps its
promise passes at most `alpha` of the time. Rows are drawn with replacement and measured through the production path
(`measure_rows`, then `decide`). Beside it stand the rules that other gates use on the same draws: the point estimate
against the limit, the interval that believes rows of a conversation to be independent, and the judge that is believed
although it is biased. Each rate is tested against alpha by an exact binomial test, Bonferroni over all settings; what
lies above is a breach. With `better` the candidate is truly better than the limit, and passing is right.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from weighin.contract.checks import Check, MetricRule
from weighin.contract.gates import Performance
from weighin.outcome import Direction, Limit, Measurement, Status, Unmeasured, decide
from weighin.stats.intervals import Undefined
from weighin.stats.scored import HUMAN, Scored
from weighin.suites.performance import measure_rows
from weighin.suites.rows import Rows

Floats = NDArray[np.float64]
ALPHA = 0.05
POPULATION = 100_000
SCALE = 100_000
GATE = Performance.model_validate(
    {
        "checks": [{"metric": "exact_match", "at_least": 0.5}],
        "scores": {
            "judge": {"given": "judged.parquet", "column": "judge", "least": 0, "largest": 1},
            "people": {"given": "judged.parquet", "column": "judge", "human": "people", "least": 0, "largest": 1},
        },
    }
)


@dataclass(frozen=True)
class Setting:
    """One kind of gate on one kind of score.

    kind    of the population, a key of `POPULATIONS`
    metric  that is limited; `n` counts rows, or conversations
    labels  rows that people have scored
    better  how much better than the limit the candidate truly is; 0 for at the limit
    """

    kind: str
    metric: str
    n: int
    against: bool = False
    labels: int = 0
    better: float = 0.0

    @property
    def name(self) -> str:
        """In words."""
        parts = [self.kind, self.metric, f"n={self.n}", "vs champion" if self.against else "alone"]
        parts += [f"{self.labels} labels"] if self.labels else []
        return ", ".join([*parts, *([f"better by {self.better:g}"] if self.better else [])])


@dataclass(frozen=True)
class Population:
    """What people would say of each answer (or the score itself), what a judge says, for both models.

    start  (units + 1,) first row of each unit; units are rows, or conversations
    """

    truth: Floats
    champion: Floats
    judge: Floats
    judge_of_champion: Floats
    start: NDArray[np.int64]

    def draw(self, units: int, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of units that are drawn with replacement, and the number of the drawn unit of each row."""
        picked = random.integers(0, len(self.start) - 1, units)
        sizes = np.diff(self.start)[picked]
        ends = np.cumsum(sizes)
        rows = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes) + np.repeat(self.start[picked], sizes)
        return rows, np.repeat(np.arange(units), sizes)


def latent(random: np.random.Generator, sizes: NDArray[np.int64], within: float) -> Floats:
    """Standard normal numbers, those of a unit correlated by `within`."""
    rows = int(sizes.sum())
    common = np.repeat(random.normal(size=len(sizes)), sizes)
    return np.asarray(math.sqrt(within) * common + math.sqrt(1 - within) * random.normal(size=rows))


def population(kind: str) -> Population:
    """Both models' answers to the same rows; they agree more often than by chance, as models do."""
    random = np.random.default_rng(sum(map(ord, kind)))
    grouped = "conversations" in kind
    sizes = 1 + random.geometric(0.3, POPULATION // 4).clip(max=12) if grouped else np.ones(POPULATION, dtype=np.int64)
    within = 0.4 if grouped else 0.0
    hard = latent(random, sizes, within)
    one, other = (0.7 * hard + 0.714 * latent(random, sizes, within) for _ in range(2))
    if kind.startswith("heavy"):
        truth, champion = np.exp(3 + 1.2 * one), np.exp(3.02 + 1.2 * other)
    elif kind.startswith("bounded"):
        truth, champion = (np.clip(0.6 + 0.35 * x, 0, 1) for x in (one, other - 0.05))
    elif kind.startswith("rare"):
        truth, champion = ((x > 2.05).astype(float) for x in (one, other))
    else:
        truth, champion = ((x > -1.0).astype(float) for x in (one, other - 0.05))
    # The judge sees three quarters of the faults, is lenient, and more so with the candidate, whose style it likes.
    noise = 0.1 * random.normal(size=(2, len(truth)))
    judged = np.clip(0.25 + 0.15 + 0.6 * truth + noise[0], 0, 1)
    of_champion = np.clip(0.25 + 0.05 + 0.6 * champion + noise[1], 0, 1)
    start = np.concatenate([[0], np.cumsum(sizes)])
    return Population(truth, champion, judged, of_champion, start)


POPULATIONS: dict[str, Population] = {}


def people(kind: str) -> Population:
    """The population of a kind, made once a process."""
    if kind not in POPULATIONS:
        POPULATIONS[kind] = population(kind)
    return POPULATIONS[kind]


def settings() -> list[Setting]:
    """All of them: first at the limit, then better than it."""
    found = []
    for against in (False, True):
        for n in (100, 300, 2_000):
            found += [Setting("binary", "exact_match", n, against), Setting("bounded", "token_f1", n, against)]
        found += [Setting("heavy-tailed", "words", n, against) for n in (300, 2_000)]
        found += [Setting("rare", "refusal", n, against) for n in (300, 2_000)]
        for n in (60, 400):
            found += [Setting("binary conversations", "exact_match", n, against)]
            found += [Setting("bounded conversations", "token_f1", n, against)]
        for labels in (50, 100, 200, 500):
            found += [Setting("binary", "score.people", 2_000, against, labels)]
            found += [Setting("bounded", "score.people", 2_000, against, labels)]
        found += [Setting("binary conversations", "score.people", 400, against, labels) for labels in (100, 500)]
    power = [
        Setting("binary", "exact_match", 2_000, True, better=0.03),
        Setting("bounded", "token_f1", 2_000, True, better=0.03),
        Setting("binary conversations", "exact_match", 400, True, better=0.03),
        Setting("heavy-tailed", "words", 2_000, True, better=10),
        Setting("binary", "score.people", 2_000, True, 200, better=0.1),
        Setting("bounded", "score.people", 2_000, True, 200, better=0.1),
    ]
    return found + power


LOWER = ("words", "refusal")


def rows_of(setting: Setting, of: Population, random: np.random.Generator) -> tuple[Rows, bool]:
    """Draw a holdout; whether rows of it belong together."""
    rows, codes = of.draw(setting.n, random)
    blank = np.full(len(rows), "", dtype=object)
    labelled = random.permutation(len(rows))[: setting.labels] if setting.labels else np.arange(0)

    def scored(truth: Floats, judged: Floats) -> Scored:
        drawn = truth[rows]

        def named(name: str) -> Floats:
            if name.endswith(HUMAN):
                said = np.full(len(rows), np.nan)
                said[labelled] = drawn[labelled]
                return said
            return judged[rows] if name.startswith("score.") else drawn

        return Scored(blank, blank, row_scores=named)

    grouped = len(of.start) - 1 < len(of.truth)
    every = {"candidate": scored(of.truth, of.judge)}
    if setting.against:
        every["champion"] = scored(of.champion, of.judge_of_champion)

    def none(name: str) -> Any:
        raise KeyError(name)

    return Rows(every, codes if grouped else None, "units", none, none, ALPHA, GATE.catalogued), grouped


def run(setting: Setting, gates: int, seed: int) -> dict[str, Any]:
    """Draw, measure, decide `gates` times; how often each rule passes."""
    of, random = people(setting.kind), np.random.default_rng(seed)
    true = float(of.truth.mean()) - (float(of.champion.mean()) if setting.against else 0.0)
    lower = setting.metric in LOWER
    limit = Limit(
        Direction.AT_MOST if lower else Direction.AT_LEAST,
        true + (setting.better if lower else -setting.better),
        ALPHA,
    )
    counts: Counter[str] = Counter()
    started = time.perf_counter()

    def passes(metric: str, rows: Rows) -> tuple[bool, Measurement | Unmeasured]:
        rule = MetricRule(metric, "champion" if setting.against else None)
        check = Check(f"performance/{metric}", "performance", limit, rule)
        try:
            found = measure_rows(check, rows, GATE, ROOT)
        except Undefined as error:
            found = Unmeasured(check.id, str(error))
        return decide(found, limit).status is Status.PASSED, found

    for _ in range(gates):
        rows, grouped = rows_of(setting, of, random)
        passed, found = passes(setting.metric, rows)
        counts["passed"] += passed
        counts["not_evaluated"] += isinstance(found, Unmeasured)
        if isinstance(found, Measurement):
            beyond = found.estimate - limit.value
            counts["point_estimate"] += bool(beyond <= 0 if lower else beyond >= 0)
        if grouped:
            counts["unclustered"] += passes(setting.metric, Rows(**{**vars(rows), "group": None, "_kept": {}}))[0]
        if setting.labels:
            counts["judge_believed"] += passes("score.judge", rows)[0]
    return {"setting": setting, "gates": gates, "grouped": grouped, "s": time.perf_counter() - started, **counts}


def say(found: dict[str, Any]) -> None:
    """One line a setting."""
    setting, gates = found["setting"], found["gates"]
    rules = [f"passed {found.get('passed', 0) / gates:7.2%}", f"point {found.get('point_estimate', 0) / gates:6.1%}"]
    rules += [f"unclustered {found.get('unclustered', 0) / gates:6.1%}"] if found["grouped"] else []
    rules += [f"judge believed {found.get('judge_believed', 0) / gates:6.1%}"] if setting.labels else []
    rules += [f"not evaluated {found['not_evaluated'] / gates:6.1%}"] if found.get("not_evaluated") else []
    print(f"{setting.name:68} {gates:6,} {found['s']:6.1f} s  {'  '.join(rules)}", flush=True)


TEN = ("exact_match", "quasi_exact_match", "contains_reference", "token_f1", "rouge1", "rougeL")
TEN += ("refusal", "profanity", "words", "flesch_kincaid_grade")


def scale(rows: int, answer: Callable[[tuple[float, float]], None]) -> None:
    """Judge ten scores of candidate and champion on so many rows; answer with seconds and peak memory in GB."""
    from support.text_work import TextWork

    random = np.random.default_rng(0)
    spelt = ["".join(random.choice(list("etaoinshrdlu"), random.integers(2, 11))) for _ in range(3_000)]
    words = np.array([*spelt, *(f"{word}." for word in spelt[:300])])
    with tempfile.TemporaryDirectory() as folder:
        work = TextWork(Path(folder))
        lines = [f"      - {{metric: {name}, at_most: 1000}}\n" for name in TEN]
        lines += [f"      - {{metric: {name}, against: champion, margin: 1000}}\n" for name in TEN]
        head, _, rest = work.contract.partition("    checks:\n")
        work.contract = head + "    checks:\n" + "".join(lines) + "    scores:\n" + rest.partition("    scores:\n")[2]

        def texts() -> list[str]:
            return [" ".join(words[random.integers(0, len(words), n)]) for n in random.integers(10, 50, rows)]

        references, other = texts(), texts()
        work.frame = work.frame.reindex(np.arange(rows) % len(work.frame)).reset_index(drop=True)
        work.frame["reference"], work.frame["id"] = references, np.arange(rows)
        kept = random.random((2, rows))
        work.answers = {
            role: [r if k < 0.6 else o for r, o, k in zip(references, other, share, strict=True)]
            for role, share in zip(("candidate", "champion"), kept, strict=True)
        }
        work.write()
        del references, other
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        outcomes = work.outcomes(write=False)
        seconds = time.perf_counter() - started
        assert all(o.status is not Status.NOT_EVALUATED for o in outcomes.values()), outcomes
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"{rows:,} rows, {len(TEN)} scores of two models: {seconds:.1f} s; peak {peak / 2**20:.2f} GB", end="")
        print(f", of which the texts were {before / 2**20:.2f} GB before it was judged", flush=True)
        answer((seconds, peak / 2**20))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two minutes: 300 gates each, a tenth of the rows")
    parser.add_argument("--gates", type=int, default=10_000, help="gates a setting")
    parser.add_argument("--only", default="", help="settings whose name holds this text")
    parser.add_argument("--rows", type=int, default=SCALE, help="of the run at scale")
    given = parser.parse_args()
    gates, rows = (300, given.rows // 10) if given.quick else (given.gates, given.rows)
    reader, writer = multiprocessing.Pipe(duplex=False)
    # In a process of its own, whose peak is that of this run alone.
    alone = multiprocessing.get_context("spawn").Process(target=scale, args=(rows, writer.send))
    alone.start()
    alone.join(3600)
    seconds, peak = reader.recv() if reader.poll() else (math.nan, math.nan)
    planned = [s for s in settings() if given.only in s.name]
    results = []
    with ProcessPoolExecutor(max_workers=2) as pool:
        for task in [pool.submit(run, setting, gates, 1000 + i) for i, setting in enumerate(planned)]:
            results.append(task.result())
            say(results[-1])
    at_limit = [r for r in results if not r["setting"].better]
    breaches = []
    for found in at_limit:
        test = stats.binomtest(found.get("passed", 0), gates, ALPHA, alternative="greater")
        if test.pvalue < ALPHA / max(1, len(at_limit)):
            breaches.append(f"{found['setting'].name}: {found['passed'] / gates:.2%}")
    print("\n".join(breaches) if breaches else "no setting is significantly above alpha")
    believed = [r.get("judge_believed", 0) / gates for r in at_limit if r["setting"].labels]
    summary = {
        "settings": len(at_limit),
        "breaches": len(breaches),
        "worst_false_promotion": round(max((r.get("passed", 0) / gates for r in at_limit), default=math.nan), 5),
        "judge_believed_false_promotion": round(max(believed, default=math.nan), 5),
        "rows": rows,
        "seconds": round(seconds, 1),
        "peak_gb": round(peak, 2),
    }
    print(json.dumps(summary))
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
