"""Label plans: how often a decision after some batch is wrong, and how many labels it takes.

    python benchmarks/label_plan.py [--quick] [--trials N]

A trial draws a table of unlabelled rows, on a share of which candidate and champion decide differently, draws its plan
(`weighin.stats.label_plan.order`), and lets labels come in by batches. After each batch the gate is asked through the
production path (`measure_rows`, then `decide`), until it has an answer or there are no rows left. The candidate is at
the limit: a pass is a false promotion, and a failure is as wrong. Each rate is tested against alpha by an exact
binomial test, Bonferroni over all settings and both kinds of error; what lies above is a breach. Then the candidate is
truly better, and the labels until it passes are counted for each design. Last, the labels until the interval is as wide
as ease.ml/ci asks for (Renggli et al. 2019, SysML: 29,000 labels for p = 0.1, epsilon = 0.01, delta = 1e-4).

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from weighin.contract.checks import Check, MetricRule
from weighin.contract.gates import Performance
from weighin.outcome import Direction, Limit, Measurement, Status, decide
from weighin.stats.intervals import Undefined
from weighin.stats.label_plan import Design, Pool, difference, labels_needed, order
from weighin.stats.scored import Scored
from weighin.suites.performance import measure_rows
from weighin.suites.rows import Rows

ALPHA = 0.05
ROWS = 20_000
LABELS = 1_500
"""Labels of rows decided differently, at most."""
CLASSES = 4
NEITHER = 0.2
"""Share of the rows decided differently on which neither model is right, with several classes."""
GATE = Performance.model_validate({"checks": [{"metric": "accuracy", "against": "champion", "margin": 0.01}]})
RULE = MetricRule("accuracy", "champion")
AGREED = 0.85
"""Share of right answers on the rows that both models decide the same."""
EASE_ML = {"p": 0.1, "epsilon": 0.01, "delta": 1e-4, "labels": 29_000}


@dataclass(frozen=True)
class Setting:
    """What is drawn, and how often the gate is asked.

    differ  share of the rows that both models decide differently
    batch   labels of such rows between two evaluations, about
    gain    candidate's minus champion's share of right answers among those rows
    margin  the same share at the limit, with the other sign
    alone   the metric of the candidate alone that is limited; empty for accuracy against the champion
    agreed  share of right answers on the rows that both models decide the same
    """

    design: Design
    differ: float
    task: Literal["binary", "multiclass"]
    batch: int
    gain: float
    margin: float
    alone: str = ""
    agreed: float = AGREED

    @property
    def name(self) -> str:
        """In words."""
        what = f", {self.alone} alone, {self.agreed:.0%} of the others right" if self.alone else ""
        return f"{self.design}, {self.differ:.0%} differ, {self.task}, batches of {self.batch}{what}"


def settings() -> list[Setting]:
    """The candidate lies at the limit."""
    designs: tuple[Design, ...] = ("disagreement", "stratified", "random")
    of_weights = [
        Setting(design, differ, "binary", 250, -0.1, 0.1, "accuracy") for design in designs[1:] for differ in (0.1, 0.3)
    ]
    # Each label of a row decided the same stands for many, and is seldom of a wrong one.
    of_weights += [
        Setting("stratified", 0.02, "binary", 50, -0.1, 0.1, metric, agreed)
        for metric in ("accuracy", "f1", "recall", "brier")
        for agreed in (0.7, AGREED, 0.95, 0.99)
    ]
    return of_weights + [
        Setting(design, differ, task, batch, -0.1, 0.1)
        for design in designs
        for differ in (0.02, 0.1, 0.3)
        for task in ("binary", "multiclass")
        for batch in (50, 250)
    ]


def own(setting: Setting) -> float:
    """Return the limited metric of the candidate in the population.

    Both classes are as frequent and mistaken for each other as often, so that recall and F1 are the accuracy as well.
    """
    right = own_accuracy(setting)
    # Scores are 0.1 and 0.9.
    return right * 0.1**2 + (1 - right) * 0.9**2 if setting.alone == "brier" else right


def own_accuracy(setting: Setting) -> float:
    """Return the candidate's accuracy in the population."""
    neither = NEITHER if setting.task == "multiclass" else 0.0
    return (1 - setting.differ) * setting.agreed + setting.differ * (1 - neither + setting.gain) / 2


@dataclass(frozen=True)
class Table:
    """Rows that could be labelled: labels and both models' decisions, as class codes, shape (rows,)."""

    truth: NDArray[np.int64]
    candidate: NDArray[np.int64]
    champion: NDArray[np.int64]


def table(setting: Setting, random: np.random.Generator) -> Table:
    """Draw the rows of a table from a population with the setting's own accuracies."""
    classes = 2 if setting.task == "binary" else CLASSES
    truth = random.integers(0, classes, ROWS)
    # A wrong class, and another one that is wrong too.
    wrong = (truth + 1) % classes
    other = (truth + 2) % classes
    differ, turn = random.random(ROWS) < setting.differ, random.random(ROWS)
    neither = NEITHER if classes > 2 else 0.0
    wins = differ & (turn < (1 - neither + setting.gain) / 2)
    loses = differ & ~wins & (turn < 1 - neither)
    both = np.where(random.random(ROWS) < setting.agreed, truth, wrong)
    candidate = np.where(differ, np.where(wins, truth, wrong), both)
    champion = np.where(differ, np.where(wins, wrong, np.where(loses, truth, other)), both)
    return Table(truth, candidate, champion)


def scored(truth: NDArray[np.int64], codes: NDArray[np.int64], task: str) -> Scored:
    """Return decisions as a model's answers."""
    if task == "binary":
        return Scored(truth.astype(bool), np.where(codes == 1, 0.9, 0.1))
    return Scored(truth, np.eye(CLASSES)[codes])


def none(name: str) -> Any:
    raise KeyError(name)


def answers(setting: Setting, random: np.random.Generator) -> Iterator[tuple[int, Status, Measurement]]:
    """Yield the labels that are there, and what the gate says of them, after each batch."""
    drawn = table(setting, random)
    differ = drawn.candidate != drawn.champion
    margin = setting.margin * setting.differ
    tightest = labels_needed(int(differ.sum()), ROWS, margin, ALPHA)
    of_all = {"disagreement": 1.0, "stratified": 0.8, "random": setting.differ}[setting.design]
    pool = Pool(setting.design, ROWS, int(differ.sum()), 0.2, max(1, min(ROWS, round(tightest / of_all))))
    numbers = order(pool, differ, int(random.integers(2**60)))
    # Once every row that is decided differently has its label, the others change nothing but one model's own metrics.
    most = min(len(numbers), round(min(LABELS, int(differ.sum())) / of_all))
    most = max(most, LABELS) if setting.alone else most
    value = own(setting) if setting.alone else -margin
    side = Direction.AT_MOST if setting.alone == "brier" else Direction.AT_LEAST
    limit = Limit(side, value, ALPHA, evaluations="unlimited")
    check = Check("performance/x", "performance", limit, MetricRule(setting.alone) if setting.alone else RULE)
    step = round(setting.batch / of_all)
    for n in range(min(step, most), most + 1, step):
        rows = numbers[:n]
        known = {
            role: scored(drawn.truth[rows], codes[rows], setting.task)
            for role, codes in (("candidate", drawn.candidate), ("champion", drawn.champion))
        }
        labelled = Rows(known, None, "rows", none, none, ALPHA).by_plan(pool, differ[rows])
        try:
            found = measure_rows(check, labelled, GATE, ROOT)
        except Undefined:
            continue  # too few labels yet of one kind of rows
        assert isinstance(found, Measurement)
        yield n, decide(found, limit).status, found


def run(setting: Setting, trials: int, seed: int) -> Counter[str]:
    """Ask after every batch until there is an answer; how often it was each."""
    random, counts = np.random.default_rng(seed), Counter[str]()
    for _ in range(trials):
        last = Status.INCONCLUSIVE
        for _, status, _ in answers(setting, random):
            last = status
            if status is not Status.INCONCLUSIVE:
                break
        counts[last.value] += 1
    return counts


def labels_until_passed(setting: Setting, trials: int, seed: int) -> float:
    """Return the median number of labels at which a better candidate passes; infinite where half never do."""
    random, found = np.random.default_rng(seed), []
    for _ in range(trials):
        at = (n for n, status, _ in answers(setting, random) if status is Status.PASSED)
        found.append(float(next(at, np.inf)))
    return float(np.median(found))


def labels_of_ease_ml(rows: int) -> int:
    """Return the labels until both ends lie within epsilon, for a table of so many rows in the worst case: a tie."""
    differ, alpha = round(EASE_ML["p"] * rows), EASE_ML["delta"] / 2
    pool = Pool("disagreement", rows, differ, 0.2, 2_000)
    for n in range(100, differ + 1, 10):
        wins = np.arange(n) < n // 2
        found = difference(pool, wins, ~wins, np.ones(n, dtype=bool), alpha)
        if max(found.high - found.estimate, found.estimate - found.low) <= EASE_ML["epsilon"]:
            return n
    raise ValueError(f"{rows} rows are not enough")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less than a minute: 20 trials each")
    parser.add_argument("--trials", type=int, default=600, help="of each setting (%(default)s)")
    parser.add_argument("--only", default="", help="settings whose name holds this text")
    given = parser.parse_args()
    trials, started = 20 if given.quick else given.trials, time.perf_counter()
    at_limit, breaches, worst = [s for s in settings() if given.only in s.name], [], 0.0
    for number, setting in enumerate(at_limit):
        began = time.perf_counter()
        counts = run(setting, trials, 1_000 + number)
        line = f"{setting.name:84} {trials:6,} trials {time.perf_counter() - began:6.1f} s"
        for status in ("passed", "failed"):
            rate = counts[status] / trials
            worst = max(worst, rate)
            line += f"  {status} {rate:6.2%}"
            test = stats.binomtest(counts[status], trials, ALPHA, alternative="greater")
            if test.pvalue < ALPHA / (2 * len(at_limit)):
                breaches.append(f"{setting.name}: {status} {rate:.2%}")
        print(line, flush=True)
    print("\n".join(breaches) if breaches else "no setting is significantly above alpha")
    medians: dict[str, dict[str, float | None]] = {}
    tries = max(10, trials // 5)
    for differ in () if given.only else (0.02, 0.1, 0.3):
        for design in ("disagreement", "stratified", "random"):
            better = Setting(design, differ, "binary", 50, 0.1, 0.1)
            labels = labels_until_passed(better, tries, 7)
            medians.setdefault(f"{differ:g}", {})[design] = labels if np.isfinite(labels) else None
        print(f"{differ:.0%} differ, candidate better by a tenth of them: labels {medians[f'{differ:g}']}", flush=True)
    ease = {rows: labels_of_ease_ml(rows) for rows in (EASE_ML["labels"], 1_000_000)}
    print(f"ease.ml/ci's guarantee, by rows of the table: {ease}")
    summary = {
        "settings": len(at_limit),
        "breaches": len(breaches),
        "worst_false_decision": round(worst, 5),
        # At ease.ml/ci's guarantee, on a table of as many rows as it wants labels.
        "labels_median": ease[EASE_ML["labels"]],
        "labels_ease_ml": EASE_ML["labels"],
        "ratio": round(ease[EASE_ML["labels"]] / EASE_ML["labels"], 4),
        "labels_until_decided": medians,
        "seconds": round(time.perf_counter() - started, 1),
        "processor_seconds": round(time.process_time(), 1),
    }
    print(json.dumps(summary))
    return 1 if breaches or summary["ratio"] > 0.1 else 0


if __name__ == "__main__":
    sys.exit(main())
