"""How often an A/B test decides wrongly when somebody looks every day: `python benchmarks/ab_test.py [--quick]`.

Units arrive for 60 days, each is assigned at random, and after each day the production's `evaluate` decides on all
units so far: the function that `weighin ab evaluate` calls after it has read the log. The challenger is truly better by
exactly what the limit asks for, so that any pass and any failure is false, at whichever look. Each setting's rates of
both are tested against alpha (exact binomial test, Bonferroni over all). Beside it: Welch's t-test at alpha, looked at
as often.

Then the challenger is better by twice what is asked for, and the units until the pass are counted.

The last line is one JSON object: settings, breaches, worst_false_decision (share of draws), peeking_false_decision (the
worst of the t-test), median_units (until a pass, over the settings where the challenger is better).
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import sys
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
sys.path[:0] = [str(ROOT)]

from weighin.ab_test.evaluate import Answer, Counted, evaluate
from weighin.contract.ab_test import AbTest
from weighin.outcome import Status
from weighin.stats import anytime

# The same few numbers of units at every draw: a pure function, kept.
anytime.standard_errors = functools.cache(anytime.standard_errors)

Floats = NDArray[np.float64]
ALPHA, DAYS, CAP = 0.05, 60, 20.0
NORMAL_95 = float(stats.norm.ppf(1 - ALPHA))


@dataclass(frozen=True)
class Kind:
    """A metric, by how much the challenger is to be better, and units of both arms.

    draw  (random, whether each unit is a challenger, by how much these are truly better) -> name -> value of each unit
    """

    metric: dict[str, Any]
    better_by: float
    draw: Callable[[np.random.Generator, NDArray[np.bool_], float], dict[str, Floats]]


def binary(share: float) -> Callable[..., dict[str, Floats]]:
    """Units with and without an outcome."""
    return lambda random, ours, more: {"x": (random.random(len(ours)) < share + more * ours).astype(float)}


def normal(random: np.random.Generator, ours: NDArray[np.bool_], more: float) -> dict[str, Floats]:
    """Bell curve."""
    return {"x": random.normal(size=len(ours)) + more * ours}


def scaled(values: Callable[..., Floats], mean: Callable[[float], float]) -> Callable[..., dict[str, Floats]]:
    """Positive values; the challenger's are larger by a factor. `mean`: factor -> mean, after the cap if any."""

    @functools.cache
    def factor(more: float) -> float:
        low, high = 1.0, 4.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if mean(middle) - mean(1.0) < more else (low, middle)
        return high

    return lambda random, ours, more: {"x": values(random, len(ours)) * np.where(ours, factor(more), 1.0)}


def lognormal(sigma: float, cap: float = math.inf) -> Callable[..., dict[str, Floats]]:
    """Values whose logarithm is normal."""

    def mean(factor: float) -> float:
        k, whole = cap / factor, math.exp(sigma**2 / 2)
        if math.isinf(cap):
            return factor * whole
        log = math.log(k) / sigma
        return factor * (whole * stats.norm.cdf(log - sigma) + k * stats.norm.sf(log))

    return scaled(lambda random, n: random.lognormal(0, sigma, n), mean)


def pareto(index: float, cap: float = math.inf) -> Callable[..., dict[str, Floats]]:
    """Values from 1 on with a tail of a power."""

    def mean(factor: float) -> float:
        k = cap / factor
        return factor * (1 + (1 - k ** (1 - index)) / (index - 1))

    return scaled(lambda random, n: 1 + random.pareto(index, n), mean)


def bought(random: np.random.Generator, ours: NDArray[np.bool_], more: float) -> dict[str, Floats]:
    """Revenue: one unit in twenty buys, for a lognormal amount; more buy from the challenger."""
    mean = math.exp(0.5) * stats.norm.cdf(math.log(CAP) - 1) + CAP * stats.norm.sf(math.log(CAP))
    buys = random.random(len(ours)) < 0.05 + more / mean * ours
    return {"x": np.where(buys, random.lognormal(0, 1, len(ours)), 0.0)}


def sessions(random: np.random.Generator, n: int) -> Floats:
    """Sessions of users: one or more, few have many."""
    return 1.0 + random.geometric(0.3, n).clip(max=40)


def clustered(random: np.random.Generator, ours: NDArray[np.bool_], more: float) -> dict[str, Floats]:
    """Sessions with a click; a user's sessions are alike."""
    of = sessions(random, len(ours))
    share = random.beta(0.8, 3.2, len(ours))
    # A part of the sessions without a click has one, so that the share grows by exactly `more`.
    share = share + (1 - share) * (more / 0.8) * ours
    return {"x": random.binomial(of.astype(int), share).astype(float), "y": of}


def correlated(random: np.random.Generator, ours: NDArray[np.bool_], more: float) -> dict[str, Floats]:
    """Amount per item, where users with many items pay less for each; the number of items has a long tail."""
    of = np.ceil(random.lognormal(1, 0.8, len(ours)))
    each = 1 + 1 / of + random.normal(0, 0.3, len(ours)) + more * ours
    return {"x": of * each, "y": of}


MEAN, SHARE = {"kind": "mean"}, {"kind": "share"}
CAPPED, RATIO = {**MEAN, "cap": CAP}, {"kind": "ratio", "denominator": "y"}
KINDS = {
    "binary 1 %": Kind(SHARE, 0.004, binary(0.01)),
    "binary 10 %": Kind(SHARE, 0.01, binary(0.1)),
    "binary 50 %": Kind(SHARE, 0.02, binary(0.5)),
    "normal": Kind(MEAN, 0.05, normal),
    "lognormal 1": Kind(MEAN, 0.1, lognormal(1)),
    "lognormal 1, capped": Kind(CAPPED, 0.1, lognormal(1, CAP)),
    "lognormal 1.5": Kind(MEAN, 0.3, lognormal(1.5)),
    "lognormal 1.5, capped": Kind(CAPPED, 0.2, lognormal(1.5, CAP)),
    "lognormal 2": Kind(MEAN, 1.0, lognormal(2)),
    "Pareto 2.5": Kind(MEAN, 0.1, pareto(2.5)),
    "Pareto 2.5, capped": Kind(CAPPED, 0.05, pareto(2.5, CAP)),
    "Pareto 1.5": Kind(MEAN, 0.3, pareto(1.5)),
    "revenue, capped": Kind(CAPPED, 0.02, bought),
    "clustered ratio": Kind(RATIO, 0.01, clustered),
    "correlated ratio": Kind(RATIO, 0.03, correlated),
}


@dataclass(frozen=True)
class Setting:
    """One kind of test.

    truly   how many times `better_by` the challenger is truly better by: 1 is at the limit
    limits  how many limits of this kind there are, on outcomes that are drawn independently
    """

    kind: str
    share: float
    per_day: int
    truly: float = 1.0
    limits: int = 1

    @property
    def name(self) -> str:
        """In words."""
        several = f", {self.limits} limits" if self.limits > 1 else ""
        return f"{self.kind}{several}, share {self.share:g}, {self.per_day:,} a day"


def settings() -> list[Setting]:
    """All of them: at the limit, then better than it."""
    found = [Setting(k, share, n) for k in KINDS for share in (0.5, 0.1) for n in (100, 1000)]
    found += [Setting(k, 0.5, 100, limits=3) for k in ("binary 10 %", "normal")]
    return found + [Setting(k, share, 1000, 2.0) for k in KINDS for share in (0.5, 0.1)]


def spec_of(setting: Setting) -> AbTest:
    """Return what a contract would say."""
    kind = KINDS[setting.kind]
    metrics = []
    for number in range(setting.limits):
        of = {**kind.metric, "outcome": f"x{number}", "better_by": kind.better_by}
        metrics.append(of | ({"denominator": f"y{number}"} if "denominator" in of else {}))
    return AbTest.model_validate(
        {"name": "a", "share": setting.share, "outcome_days": 1, "success": metrics[0], "guards": metrics[1:]}
    )


def welch(x: Floats, ours: NDArray[np.bool_], ends: NDArray[np.int64], value: float) -> tuple[bool, bool]:
    """Whether a t-test at alpha calls the difference larger, or smaller, than `value` at any of the looks."""
    found = []
    for arm in (ours, ~ours):
        n, s, q = (np.cumsum(v)[ends - 1] for v in (arm, np.where(arm, x, 0.0), np.where(arm, x * x, 0.0)))
        mean = s / n
        found.append((mean, (q / n - mean**2) / (n - 1)))
    t = (found[0][0] - found[1][0] - value) / np.sqrt(found[0][1] + found[1][1])
    # More than a thousand units: Student's quantile is the normal one.
    return bool((t > NORMAL_95).any()), bool((t < -NORMAL_95).any())


def run(setting: Setting, draws: int, seed: int) -> dict[str, Any]:
    """Draw and decide so many tests; how often each is decided wrongly, or how many units a pass takes."""
    spec, kind, random = spec_of(setting), KINDS[setting.kind], np.random.default_rng(seed)
    total = DAYS * setting.per_day
    ends = np.arange(1, DAYS + 1) * setting.per_day
    ends = ends[ends >= spec.units_at_least]
    counts: Counter[str] = Counter()
    until, started = [], time.perf_counter()
    for _ in range(draws):
        ours = random.random(total) < setting.share
        values: dict[str, Floats] = {}
        for number in range(setting.limits):
            drawn = kind.draw(random, ours, setting.truly * kind.better_by)
            values |= {f"{name}{number}": v for name, v in drawn.items()}
        answers, undefined, first = set(), 0, math.inf
        for n in ends:
            part = {name: v[:n] for name, v in values.items()}
            found = evaluate(spec, ALPHA, Counted(ours[:n], part, part))
            answers.add(found.answer)
            undefined += any(o.status is Status.NOT_EVALUATED for o in found.outcomes)
            if found.answer is Answer.PASS and setting.truly > 1:
                first = float(n)
                break
        counts["pass"] += Answer.PASS in answers
        counts["fail"] += Answer.FAIL in answers
        counts["undefined"] += undefined == len(ends)
        until.append(first)
        if setting.limits == 1 and kind.metric["kind"] != "ratio":
            x = values["x0"].clip(max=kind.metric.get("cap", math.inf))
            larger, smaller = welch(x, ours, ends, kind.better_by)
            counts["peeked_larger"] += larger
            counts["peeked_smaller"] += smaller
    seconds = time.perf_counter() - started
    return {"setting": setting, "draws": draws, "median": float(np.median(until)), "s": seconds, **counts}


def say(found: dict[str, Any]) -> None:
    """One line a setting."""
    setting, draws = found["setting"], found["draws"]
    if setting.truly > 1:
        units = "not in 60 days" if math.isinf(found["median"]) else f"{found['median']:,.0f} units"
        rates = [f"passes {found['pass'] / draws:6.1%}", f"median {units}"]
    else:
        rates = [f"false pass {found['pass'] / draws:6.2%}", f"false fail {found['fail'] / draws:6.2%}"]
        if "peeked_larger" in found:
            rates.append(f"t-test {found['peeked_larger'] / draws:6.1%} {found['peeked_smaller'] / draws:6.1%}")
    rates += [f"never an interval {found['undefined'] / draws:6.1%}"] if found["undefined"] else []
    print(f"{setting.name:52} {draws:6,} {found['s']:6.1f} s  {'  '.join(rates)}", flush=True)


def main() -> int:
    """Run all settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less than a minute: few draws, 100 units a day")
    parser.add_argument("--draws", type=int, default=0, help="of each setting at the limit")
    parser.add_argument("--only", default="", help="settings whose name holds this text")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    given = parser.parse_args()
    planned = [s for s in settings() if given.only in s.name]
    if given.quick:
        planned = [s for s in planned if s.per_day == 100 or (s.truly > 1 and s.share == 0.5)]
    draws = given.draws or (30 if given.quick else 300)

    def number(setting: Setting) -> int:
        return max(5, draws // 10) if setting.truly > 1 else draws * (2 if setting.per_day == 100 else 1)

    results = []
    tasks = [(setting, number(setting), 1000 + i) for i, setting in enumerate(planned)]
    if given.workers > 1:
        with ProcessPoolExecutor(given.workers) as pool:
            for task in [pool.submit(run, *task) for task in tasks]:
                results.append(task.result())
                say(results[-1])
    else:
        for task in tasks:
            results.append(run(*task))
            say(results[-1])
    at_limit = [r for r in results if r["setting"].truly == 1]
    breaches, rates = [], []
    for found in at_limit:
        for way in ("pass", "fail"):
            rates.append(found[way] / found["draws"])
            test = stats.binomtest(found[way], found["draws"], ALPHA, alternative="greater")
            if test.pvalue < ALPHA / (2 * len(at_limit)):
                breaches.append(f"{found['setting'].name}: false {way} {rates[-1]:.2%}")
    print("\n".join(breaches) if breaches else "no setting is significantly above alpha")
    peeked = [max(r["peeked_larger"], r["peeked_smaller"]) / r["draws"] for r in at_limit if "peeked_larger" in r]
    medians = [r["median"] for r in results if r["setting"].truly > 1 and r["pass"]]
    summary = {
        "settings": len(at_limit),
        "breaches": len(breaches),
        "worst_false_decision": round(max(rates, default=math.nan), 5),
        "peeking_false_decision": round(max(peeked, default=math.nan), 5),
        "median_units": float(np.median(medians)) if medians else None,
    }
    print(json.dumps(summary))
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
