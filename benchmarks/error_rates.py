"""How often the performance gate is wrong, measured through the production path: suite function, then `decide`.

    python benchmarks/error_rates.py [--quick] [--gates N] [--only TEXT] [--csv FILE]

Every setting has a population whose metrics are known exactly (real holdouts with real predictions, or synthetic rows),
from which rows or whole groups are drawn with replacement. The limit is the population's own value, so the candidate
sits *at* the limit: there a gate that keeps its promise passes it at most `alpha` of the time, and blames it at most
`alpha` of the time. On the same draws stand the rules that other gates use. Each rate is tested against alpha by an
exact binomial test, Bonferroni over all settings; those that are significantly above count as `breaches`.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from weighin.contract.checks import Check, FairnessRule, MetricRule, SliceRule
from weighin.contract.gates import Performance, SliceCheck
from weighin.outcome import Direction, Limit, Measurement, Unmeasured, confirm_failures, decide
from weighin.stats.intervals import Undefined
from weighin.stats.metrics import METRICS
from weighin.stats.rates import rate
from weighin.stats.scored import Scored
from weighin.suites.performance import measure_rows
from weighin.suites.rows import Rows

ALPHA = 0.05
GATE = Performance.model_validate({"checks": [{"metric": "accuracy", "at_least": 0.5}]})
POPULATION = 200_000
PUBLISHED = (50, 10)
"""Looks of the adversary who sees scores, and of the one who sees passed or not passed."""


@dataclass(frozen=True)
class Setting:
    """One kind of gate on one kind of data. `n` counts rows, or groups where there are groups."""

    name: str
    population: str
    metric: str
    n: int
    against: bool = True
    relative: float = 0.0
    slice: str = ""
    fairness: str = ""
    direction: Direction | None = None


@dataclass(frozen=True)
class Population:
    """Rows whose metrics are the truth. `group` codes are contiguous: rows of a group stand together."""

    candidate: Scored
    champion: Scored
    group: np.ndarray | None = None
    columns: dict[str, np.ndarray] = field(default_factory=dict)

    def draw(self, n: int, rng: np.random.Generator) -> Rows:
        """`n` rows, or `n` whole groups, with replacement."""
        if self.group is None:
            return self.rows(rng.integers(0, len(self.candidate.truth), n), None)
        starts = np.flatnonzero(np.diff(self.group, prepend=-1))
        ends = np.append(starts[1:], len(self.group))
        picked = rng.integers(0, len(starts), n)
        index = np.concatenate([np.arange(starts[g], ends[g]) for g in picked])
        return self.rows(index, np.repeat(np.arange(n), (ends - starts)[picked]))

    def rows(self, index: np.ndarray | None, group: np.ndarray | None) -> Rows:
        """Some rows, in the form in which suites measure them."""

        def some(scored: Scored) -> Scored:
            if index is None:
                return scored
            weight = None if scored.weight is None else scored.weight[index]
            return Scored(scored.truth[index], scored.score[index], weight, scored.threshold)

        def column(name: str) -> np.ndarray:
            return self.columns[name] if index is None else self.columns[name][index]

        scored = {"candidate": some(self.candidate), "champion": some(self.champion)}
        return Rows(scored, group, "groups" if group is not None else "rows", column, column)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def binary(share: float, noise: float = 1.0, worse: float = 0.25, weights: bool = False, seed: int = 1) -> Population:
    """Two calibrated-looking models of one truth; the candidate is noisier by `worse`, on mostly the same rows."""
    rng = np.random.default_rng(seed)
    truth = rng.random(POPULATION) < share
    signal = 1.6 * truth + rng.normal(0, noise, POPULATION)
    centre = np.log(share / (1 - share)) - 0.8
    champion = sigmoid(1.3 * signal + centre)
    candidate = sigmoid(1.3 * (signal + rng.normal(0, worse, POPULATION)) + centre)
    weight = rng.lognormal(0, 0.7, POPULATION) if weights else None
    threshold = float(np.quantile(champion, 1 - share))
    columns = {"site": rng.choice(["a", "b", "c"], POPULATION, p=[0.5, 0.4, 0.1])}
    return Population(
        Scored(truth, candidate, weight, threshold), Scored(truth, champion, weight, threshold), None, columns
    )


def customers() -> Population:
    """Independent customers with many rows each, of very different numbers, that share a part of their luck."""
    rng = np.random.default_rng(2)
    sizes = 1 + rng.geometric(1 / 12, 12_000)
    group = np.repeat(np.arange(len(sizes)), sizes)
    common = rng.normal(0, 0.8, len(sizes))[group]
    truth = rng.random(len(group)) < sigmoid(common - 1)
    signal = 1.4 * truth + rng.normal(0, 1, len(group))
    own = rng.normal(0, 0.4, len(sizes))[group]
    champion, candidate = sigmoid(signal - 1.2), sigmoid(signal + own - 1.2)
    return Population(Scored(truth, candidate, None, 0.4), Scored(truth, champion, None, 0.4), group)


def multiclass() -> Population:
    rng = np.random.default_rng(3)
    truth = rng.choice(3, POPULATION, p=[0.6, 0.3, 0.1])
    shift = np.eye(3)[truth] * 1.8
    noise = rng.gumbel(size=(POPULATION, 3))

    def scores(extra: float) -> np.ndarray:
        raw = shift + noise + rng.normal(0, extra, (POPULATION, 3))
        return np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)

    champion = scores(0.01)
    return Population(Scored(truth, scores(0.6)), Scored(truth, champion))


def regression(heavy: bool = False) -> Population:
    rng = np.random.default_rng(4)
    signal = rng.normal(10, 3, POPULATION)
    error = rng.standard_t(4, POPULATION) if heavy else rng.normal(0, 1, POPULATION)
    truth = np.abs(signal + error) + 0.5
    champion = signal + rng.normal(0, 0.2, POPULATION)
    candidate = champion + rng.normal(0.1, 0.4, POPULATION)
    return Population(Scored(truth, candidate), Scored(truth, champion))


def flights() -> Population:
    """The example's holdout, days as groups, with predictions of two gradient boosted models as it trains them."""
    import pandas as pd

    from scripts import train

    folder = ROOT / "examples/flights/data"
    rows, holdout = (pd.read_parquet(folder / f"{name}.parquet") for name in ("train", "holdout"))
    holdout = holdout.sort_values("day", kind="stable")
    truth = holdout["late"].to_numpy() == 1
    scores = []
    for features, seed in ((train.CHALLENGER, 0), (train.CHAMPION, 1)):
        model = train.pipeline(features, seed).fit(rows[list(features)], rows["late"])
        scores.append(model.predict_proba(holdout[list(features)])[:, 1])
    # The schedule-only model is the worse one: it is the candidate here.
    group = pd.factorize(holdout["day"])[0].astype(np.int64)
    columns = {"site": holdout["origin"].to_numpy()}
    return Population(Scored(truth, scores[1], None, 0.3), Scored(truth, scores[0], None, 0.3), group, columns)


def flights_by_rows() -> Population:
    return replace(population("flights"), group=None)


def cancer() -> Population:
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def scaled(model: Any) -> Any:
        return make_pipeline(StandardScaler(), model)

    x, y = load_breast_cancer(return_X_y=True)
    scores = [
        cross_val_predict(
            make_pipeline(StandardScaler(), LogisticRegression(C=c)), part, y, cv=5, method="predict_proba"
        )
        for c, part in ((1.0, x), (0.01, x[:, :6]))
    ]
    return Population(Scored(y == 1, scores[1][:, 1]), Scored(y == 1, scores[0][:, 1]))


def diabetes() -> Population:
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import cross_val_predict

    x, y = load_diabetes(return_X_y=True)
    scores = [cross_val_predict(Ridge(alpha=a), part, y, cv=5) for a, part in ((0.1, x), (1.0, x[:, :6]))]
    return Population(Scored(y, scores[1]), Scored(y, scores[0]))


def digits() -> Population:
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    x, y = load_digits(return_X_y=True)
    scores = [
        cross_val_predict(LogisticRegression(C=c, max_iter=300), part / 16, y, cv=3, method="predict_proba")
        for c, part in ((1.0, x), (0.1, x[:, ::2]))
    ]
    return Population(Scored(y, scores[1]), Scored(y, scores[0]))


MAKERS: dict[str, Callable[[], Population]] = {
    "half": lambda: binary(0.5),
    "fifth": lambda: binary(0.2),
    "twentieth": lambda: binary(0.05),
    "hundredth": lambda: binary(0.01),
    "weighted": lambda: binary(0.3, weights=True),
    "close": lambda: binary(0.3, worse=0.05),
    "customers": customers,
    "multiclass": multiclass,
    "regression": regression,
    "heavy": lambda: regression(heavy=True),
    "flights": flights,
    "flights by rows": flights_by_rows,
    "cancer": cancer,
    "diabetes": diabetes,
    "digits": digits,
}
_MADE: dict[str, Population] = {}


def population(name: str) -> Population:
    """A population, made once in each process."""
    if name not in _MADE:
        _MADE[name] = MAKERS[name]()
    return _MADE[name]


def settings() -> list[Setting]:
    """All settings; the name says population, metric, size and what is compared."""
    found = []

    def add(people: str, metric: str, n: int, **more: Any) -> None:
        words = [people, more.get("fairness") or metric, f"n={n:,}"]
        words += [key for key in ("slice", "relative") if more.get(key)]
        words += ["alone"] if not more.get("against", True) else []
        found.append(Setting(" ".join(words), people, metric, n, **more))

    for n in (200, 500, 2_000, 10_000, 50_000):
        add("fifth", "roc_auc", n)
    for people, n in (("half", 200), ("twentieth", 1_000), ("hundredth", 5_000), ("hundredth", 2_000), ("close", 500)):
        add(people, "roc_auc", n)
    add("fifth", "roc_auc", 500, against=False)
    add("hundredth", "roc_auc", 5_000, against=False)
    for metric in ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "f1_macro", "f1_weighted"):
        add("fifth", metric, 500)
    for metric in ("accuracy", "precision", "recall", "f1", "balanced_accuracy"):
        add("twentieth", metric, 2_000, against=False)
    for metric in ("average_precision", "log_loss", "brier"):
        add("fifth", metric, 500)
        add("twentieth", metric, 2_000)
    add("hundredth", "log_loss", 5_000)
    add("close", "log_loss", 500)
    add("close", "accuracy", 500)
    add("fifth", "roc_auc", 2_000, relative=0.02)
    add("fifth", "accuracy", 2_000, relative=0.02)
    add("fifth", "roc_auc", 2_000, slice="site=c")
    add("fifth", "accuracy", 2_000, fairness="error_rate")
    add("fifth", "recall", 2_000, fairness="true_positive_rate")
    for metric in ("roc_auc", "log_loss", "recall", "f1"):
        add("weighted", metric, 1_000)
        add("customers", metric, 100)
    add("customers", "accuracy", 40)
    add("customers", "roc_auc", 400)
    for metric in ("roc_auc", "accuracy", "f1_macro", "log_loss"):
        add("multiclass", metric, 500)
    for metric in ("mae", "rmse", "median_absolute_error", "r2", "mape"):
        add("regression", metric, 200)
    add("heavy", "rmse", 500)
    add("heavy", "mae", 200)
    add("regression", "median_absolute_error", 200, against=False)
    for metric in ("roc_auc", "log_loss", "precision", "recall", "f1", "brier"):
        add("flights", metric, 76)
    add("flights", "roc_auc", 76, against=False)
    add("flights", "roc_auc", 30)
    add("flights by rows", "roc_auc", 2_000)
    add("cancer", "accuracy", 300)
    add("cancer", "roc_auc", 300)
    add("cancer", "brier", 300)
    add("diabetes", "mae", 200)
    add("diabetes", "r2", 200)
    add("digits", "accuracy", 600)
    add("digits", "log_loss", 600)
    return found


def rule(setting: Setting) -> tuple[Any, bool]:
    """The contract's rule of a setting, and whether its number must be at least something."""
    better_high = not METRICS[setting.metric].lower_is_better
    if setting.fairness:
        return FairnessRule(setting.fairness, "site", "a", "b"), False
    part = None
    if setting.slice:
        of = SliceCheck(column="site", values=("c",), metric=setting.metric, margin=0.0, rows_at_least=20)
        part = SliceRule(of, "c")
    factor = 1 - (1 if better_high else -1) * setting.relative
    return MetricRule(setting.metric, "champion" if setting.against else None, factor, part), better_high


def true_value(setting: Setting) -> float:
    """The population's own value of what the check measures."""
    rows, (found, _) = population(setting.population).rows(None, None), rule(setting)
    if isinstance(found, FairnessRule):
        values, base = rate(found.rate, rows.scored["candidate"])
        site = rows.column("site")
        return float(values[base & (site == "a")].mean() - values[base & (site == "b")].mean())
    part = rows.part(found.slice)
    value = METRICS[setting.metric].of(part.scored["candidate"]).estimate
    if found.against:
        value -= found.factor * METRICS[setting.metric].of(part.scored["champion"]).estimate
    return value


def run(setting: Setting, gates: int, seed: int) -> dict[str, Any]:
    """Draw, measure, decide `gates` times; counts of outcomes, and of what the other rules would have promoted."""
    people, (found, at_least) = population(setting.population), rule(setting)
    limit = Limit(Direction.AT_LEAST if at_least else Direction.AT_MOST, true_value(setting), ALPHA)
    check = Check(f"performance/{setting.metric}", "performance", limit, found)
    rng = np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    started = time.perf_counter()
    for _ in range(gates):
        rows = people.draw(setting.n, rng)
        evidence: Measurement | Unmeasured
        try:
            evidence = measure_rows(check, rows, GATE, ROOT)
        except Undefined as error:
            evidence = Unmeasured(check.id, str(error))
        outcome = confirm_failures([decide(evidence, limit)], ALPHA)[0]
        counts[outcome.status.value] += 1
        if setting.against and not setting.fairness and isinstance(evidence, Measurement):
            ours, theirs = float(evidence.detail["candidate"]), float(evidence.detail["champion"])
            for name, promotes in others(ours, theirs, evidence, at_least).items():
                counts[name] += promotes
            counts["compared"] += 1
    return {"setting": setting.name, "gates": gates, "seconds": time.perf_counter() - started, **counts}


def others(ours: float, theirs: float, evidence: Measurement, at_least: bool) -> dict[str, bool]:
    """What the common rules say to the same numbers; MLflow's thresholds compare them as the strict rule does."""
    better = ours >= theirs if at_least else ours <= theirs
    nearly = ours >= 0.95 * theirs if at_least else ours <= 1.05 * theirs
    worst_case = evidence.high if at_least else -evidence.low
    return {"rule_95": nearly, "rule_strict": better, "rule_not_significantly_worse": worst_case >= 0}


def mlflow_agrees_with_strict() -> bool:
    """MLflow's own validation on pairs of numbers: the same answers as the strict rule, shown and not assumed."""
    from mlflow.models import MetricThreshold
    from mlflow.models.evaluation import EvaluationResult
    from mlflow.models.evaluation.validation import ModelValidationFailedException, validate_evaluation_results

    threshold = {"auc": MetricThreshold(min_absolute_change=1e-12, greater_is_better=True)}
    for ours, theirs in ((0.7, 0.71), (0.71, 0.7), (0.7005, 0.7), (0.6995, 0.7)):
        results = [EvaluationResult(metrics={"auc": v}, artifacts={}) for v in (ours, theirs)]
        try:
            validate_evaluation_results(threshold, *results)
            passed = True
        except ModelValidationFailedException:
            passed = False
        if passed != (ours > theirs):
            return False
    return True


def adversary(repeats: int, seed: int = 5) -> dict[str, float]:
    """How often a candidate that is no better than its champion passes "must be better", by reuse of one holdout.

    On four rows in ten the label is a coin toss, so what a candidate answers there changes its measured accuracy and
    not its true one. Free reuse: 50 looks, scores are published, and the adversary keeps what scored best. Sealed: 10
    looks at alpha / 10, of which it learns that they did not pass.
    """
    rng = np.random.default_rng(seed)
    n = 1_000
    limit = Limit(Direction.AT_LEAST, 0.0, ALPHA)
    strict = replace(limit, alpha=ALPHA / PUBLISHED[1])
    free = sealed = 0
    for _ in range(repeats):
        truth = rng.random(n) < 0.5
        coin = rng.random(n) < 0.4
        champion = np.where(coin, rng.random(n) < 0.5, truth).astype(float)

        def varied(score: np.ndarray, coin: np.ndarray = coin) -> np.ndarray:
            return np.where(coin & (rng.random(n) < 0.2), 1 - score, score)

        def passes(score: np.ndarray, at: Limit, truth: np.ndarray = truth, champion: np.ndarray = champion) -> bool:
            rows = pair(truth, score, champion)
            check = Check("performance/accuracy", "performance", at, MetricRule("accuracy", "champion"))
            return decide(measure_rows(check, rows, GATE, ROOT), at).status.value == "passed"

        kept, won = champion, False
        for _reserve_use in range(PUBLISHED[0]):
            tried = varied(kept)
            won |= passes(tried, limit)
            if ((tried == truth).mean()) > ((kept == truth).mean()):
                kept = tried
        free += won
        sealed += any(passes(varied(champion), strict) for _ in range(PUBLISHED[1]))
    bound = stats.binomtest(sealed, repeats, ALPHA, alternative="greater").pvalue
    return {"free_reuse_50_looks": free / repeats, "sealed_10_looks": sealed / repeats, "p_sealed_above_alpha": bound}


def pair(truth: np.ndarray, candidate: np.ndarray, champion: np.ndarray) -> Rows:
    def nothing(name: str) -> np.ndarray:
        raise KeyError(name)

    return Rows(
        {"candidate": Scored(truth, candidate), "champion": Scored(truth, champion)}, None, "rows", nothing, nothing
    )


def plan(given: argparse.Namespace) -> Iterator[tuple[Setting, int]]:
    """Which settings, with how many gates: fewer where a gate is expensive."""
    for setting in settings():
        if given.only and given.only not in setting.name:
            continue
        rows = setting.n * (270 if setting.population == "flights" else 12 if setting.population == "customers" else 1)
        resampled = METRICS[setting.metric].kind == "table" or setting.relative or setting.metric == "precision"
        expensive = rows > 10_000 or (resampled and setting.population not in ("flights", "weighted", "customers"))
        if given.quick:
            if not expensive and setting.n <= 2_000:
                yield setting, 500
        else:
            yield setting, given.gates if not expensive else max(2_000, given.gates // 5)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a minute: fewer settings, 500 gates each")
    parser.add_argument("--gates", type=int, default=10_000, help="gates a setting, where the cost allows")
    parser.add_argument("--only", help="settings whose name holds this text")
    parser.add_argument("--csv", type=Path, help="write one line a setting")
    given = parser.parse_args()
    planned = list(plan(given))
    with ProcessPoolExecutor(max_workers=2) as pool:
        tasks = [pool.submit(run, setting, gates, 1000 + i) for i, (setting, gates) in enumerate(planned)]
        results = []
        for task in tasks:
            results.append(task.result())
            say(results[-1])
    bound = ALPHA / (2 * len(results))
    breaches = []
    for result in results:
        for what, key in (("false promotion", "passed"), ("false failures", "failed")):
            found = stats.binomtest(result.get(key, 0), result["gates"], ALPHA, alternative="greater")
            if found.pvalue < bound:
                breaches.append(f"{result['setting']}: {what} {result[key] / result['gates']:.2%}")
    attack = adversary(40 if given.quick else 1_000)
    print(f"\nadaptive reuse, a candidate that is truly worse passes: {attack}")
    print(f"MLflow's thresholds answer as the strict rule does: {mlflow_agrees_with_strict()}")
    print("\n".join(breaches) if breaches else "no setting is significantly above alpha")
    if given.csv:
        keys = ["setting", "gates", "passed", "failed", "inconclusive", "not_evaluated"]
        keys += ["compared", "rule_95", "rule_strict", "rule_not_significantly_worse"]
        with given.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, keys, extrasaction="ignore", restval=0)
            writer.writeheader()
            writer.writerows(results)
    worst = {key: max(r.get(key, 0) / r["gates"] for r in results) for key in ("passed", "failed")}
    summary = {
        "alpha": ALPHA,
        "settings": len(results),
        "gates": sum(r["gates"] for r in results),
        "worst_false_promotion": round(worst["passed"], 5),
        "worst_false_blame": round(worst["failed"], 5),
        "breaches": len(breaches),
    }
    print(json.dumps(summary))
    return 0


def say(result: dict[str, Any]) -> None:
    """One line a setting."""
    gates, compared = result["gates"], result.get("compared", 0)
    shares = "  ".join(f"{key} {result.get(key, 0) / gates:7.2%}" for key in ("passed", "failed", "not_evaluated"))
    rules = "  ".join(
        f"{name} {result.get(key, 0) / compared:6.1%}"
        for name, key in (("95%", "rule_95"), ("strict", "rule_strict"), ("not sig.", "rule_not_significantly_worse"))
        if compared
    )
    print(f"{result['setting']:44} {gates:6,} gates {result['seconds']:6.1f} s  {shares}  {rules}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
