"""How often a drift check is wrong, measured through `psi` and its siblings and then `decide`.

    python benchmarks/drift_error_rates.py [--quick] [--draws N] [--only TEXT] [--csv FILE]

Every setting has two distributions that are known exactly: equal ones, ones at a true distance just above the limit, or
ones far above it. From both, rows or whole days are drawn, and the outcome is counted. What is promised: equal data is
`failed` in at most alpha of draws; drift just above the limit `passed` in at most alpha; for PSI in ten bins also that
equal data passes in 95 of 100 from 300 units on, and that a true PSI of 0.3 fails in 95 of 100 from 500 units on. Rates
are tested by exact binomial tests, Bonferroni over all; significant ones count as `breaches`. On the same draws stands
what Evidently's PSI test says at the same threshold: it gets the raw values, and makes its own bins.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize, stats

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from weighin.outcome import Direction, Limit, Measurement, Status, Unmeasured, decide
from weighin.stats.drift import Distance, edges, jensen_shannon, psi, total_variation
from weighin.stats.intervals import Undefined
from weighin.stats.kolmogorov import kolmogorov_smirnov, single_valued
from weighin.stats.shift import mean_shift, share_shift

ALPHA = 0.05
POOL = 200_000
REFERENCE_ROWS = 50_000
REFERENCE_DAYS = 400
JUST_ABOVE = 1.001
PROMISED_PASS, PROMISED_FAIL = 300, 500
"""Units from which on equal data must pass, and a true PSI of 0.3 must fail, in 95 of 100."""

Floats = np.ndarray


@dataclass(frozen=True)
class Shape:
    """A column: values in fixed bins, and which of the bins is rare (or -1)."""

    values: tuple[Floats, ...]
    share: Floats
    rare: int = -1
    single: Floats | None = None

    def rows(self, counts: Floats, rng: np.random.Generator) -> Floats:
        """Raw values with these counts per bin, for a tool that makes its own bins."""
        drawn = [rng.choice(v, int(c)) for v, c in zip(self.values, counts, strict=True) if c]
        return rng.permutation(np.concatenate(drawn))


@cache
def shape(name: str) -> Shape:
    rng = np.random.default_rng(1)
    normal = rng.normal(size=POOL)
    if name.startswith("rare"):
        share = float(name.split()[1])
        ordinary, odd = normal, 6 + 0.2 * rng.random(1_000)
        inner = np.append(edges(np.quantile(ordinary, np.arange(1, 9) / 9)), 5.5)
        parts = _parts(np.append(ordinary, odd), inner)
        return Shape(parts, np.append(np.full(9, (1 - share) / 9), share), 9)
    if name == "spiky":
        values = np.where(rng.random(POOL) < 0.6, 0.0, np.round(rng.gamma(1.5, 2.0, POOL), 1))
    elif name == "ties":
        values = rng.poisson(3.0, POOL).astype(float)
    else:
        values = normal
    inner = edges(np.quantile(values, np.arange(1, 10) / 10))
    parts = tuple(p for p in _parts(values, inner) if len(p))
    return Shape(parts, np.array([len(p) for p in parts]) / POOL)


def _parts(values: Floats, inner: Floats) -> tuple[Floats, ...]:
    bins = np.searchsorted(inner, values, side="right")
    return tuple(values[bins == b] for b in range(len(inner) + 1))


@dataclass(frozen=True)
class Setting:
    """`units` rows, or days where there are days of about `rows` rows with the correlation `icc` within a day.

    kind      "equal"; or how the current data differs: "tilt", "into", "out", "mixed" (of the rare bin), "appears"
    true      the true distance, where the distributions differ
    uneven    standard deviation of the logarithm of the size of a day
    common    a day moves all of its rows together; otherwise its shares are Dirichlet
    """

    measure: str
    shape: str
    kind: str
    units: int
    limit: float
    true: float = 0.0
    rows: int = 0
    icc: float = 0.0
    uneven: float = 0.0
    common: bool = False

    @property
    def name(self) -> str:
        days = ""
        if self.rows:
            days = f" days of {self.rows}, icc {self.icc:g}{', uneven' if self.uneven else ''}"
            days += ", common" if self.common else ""
        far = f" {self.true:.3g}" if self.kind != "equal" else ""
        return f"{self.measure} {self.shape} {self.kind}{far} n={self.units}{days}"

    @property
    def promise(self) -> tuple[str, float, bool]:
        """(outcome, rate, whether that is the most); the first of the promises that concern this setting."""
        if self.kind == "equal":
            return "failed", ALPHA, True
        return ("passed", ALPHA, True) if self.true < 1.5 * self.limit else ("failed", 0.95, False)


def distance_psi(p: Floats, q: Floats) -> float:
    return float(np.sum((q - p) * np.log(q / p)))


def distance_js(p: Floats, q: Floats) -> float:
    m = (p + q) / 2
    return math.sqrt(max(0.0, float(np.sum(p * np.log2(p / m) + q * np.log2(q / m)) / 2)))


def distance_tv(p: Floats, q: Floats) -> float:
    return float(np.abs(p - q).sum() / 2)


DISTANCES = {"psi": distance_psi, "js": distance_js, "tv": distance_tv}
MEASURES: dict[str, Callable[..., Distance]] = {"psi": psi, "js": jensen_shannon, "tv": total_variation}


def moved(p: Floats, kind: str, rare: int, true: float, distance: Callable[[Floats, Floats], float]) -> Floats:
    """Shares at this true distance from `p`."""

    def tilted(start: Floats, by: float, keep: int = -1) -> Floats:
        weight = start * np.exp(by * np.linspace(-1, 1, len(p)))
        if keep < 0:
            return weight / weight.sum()
        weight[keep] = 0
        weight *= (1 - start[keep]) / weight.sum()
        weight[keep] = start[keep]
        return weight

    def with_rare(share: float) -> Floats:
        q = p * (1 - share) / (1 - p[rare])
        q[rare] = share
        return q

    def at(make: Callable[[float], Floats], low: float, high: float, target: float) -> Floats:
        return make(optimize.brentq(lambda x: distance(p, make(x)) - target, low, high, xtol=1e-14))

    if kind == "tilt":
        return at(lambda by: tilted(p, by), 0, 20, true)
    if kind == "out":
        return at(lambda log: with_rare(math.exp(-log)), -math.log(p[rare]), 40, true)
    if kind == "into":
        return at(with_rare, float(p[rare]), 0.999, true)
    half = at(with_rare, float(p[rare]), 0.999, true / 2)
    return at(lambda by: tilted(half, by, rare), 0, 20, true)


def shares(setting: Setting) -> tuple[Floats, Floats]:
    """True shares of the reference and of the current data."""
    p = shape(setting.shape).share
    if setting.kind == "equal":
        return p, p
    if setting.kind == "appears":
        # The reference has none; by our rule that is half a row of it.
        half = np.append(p[:-1], 0.5 / REFERENCE_ROWS)
        return p, moved(half / half.sum(), "into", len(p) - 1, setting.true, distance_psi)
    return p, moved(p, setting.kind, shape(setting.shape).rare, setting.true, DISTANCES[setting.measure])


def sizes(setting: Setting, units: int, rng: np.random.Generator) -> Floats:
    if not setting.uneven:
        return np.full(units, setting.rows)
    drawn = setting.rows * rng.lognormal(-(setting.uneven**2) / 2, setting.uneven, units)
    return np.maximum(1, np.round(drawn)).astype(int)


def table(setting: Setting, share: Floats, units: int, rng: np.random.Generator) -> Floats:
    """Counts of so many rows, or of so many days."""
    if not setting.rows:
        return rng.multinomial(units, share).astype(float)
    if setting.common:
        by_day = common_shift(np.cumsum(share)[:-1], setting.icc, units, rng)
    else:
        by_day = rng.gamma(np.broadcast_to(share * (1 - setting.icc) / setting.icc, (units, len(share)))) + 1e-300
        by_day /= by_day.sum(axis=1, keepdims=True)
    return rng.multinomial(sizes(setting, units, rng), by_day).astype(float)


def common_shift(cumulated: Floats, icc: float, days: int, rng: np.random.Generator) -> Floats:
    """(days, bins) shares where a normal score behind the column has a part that all rows of a day have in common."""
    cuts = stats.norm.ppf(cumulated)
    day = rng.normal(0, math.sqrt(icc), days)
    below = stats.norm.cdf((cuts - day[:, None]) / math.sqrt(1 - icc))
    return np.maximum(0, np.diff(np.column_stack([np.zeros(days), below, np.ones(days)]), axis=1))


def outcome(measure: Callable[[], Distance], limit: float) -> str:
    """What `decide` says, through the same values as the suite hands over."""
    at_most = Limit(Direction.AT_MOST, limit, ALPHA)
    try:
        d = measure()
    except Undefined as error:
        return decide(Unmeasured("drift/x", str(error)), at_most).status.value
    measured = Measurement("drift/x", d.estimate, d.low, d.high, d.level, d.units, "units", "simulated")
    return decide(measured, at_most).status.value


def draw_counts(setting: Setting, rng: np.random.Generator) -> Iterator[tuple[Callable[[], Distance], Floats, Floats]]:
    p, q = shares(setting)
    grouped = bool(setting.rows)
    measure = MEASURES[setting.measure]
    while True:
        before = table(setting, p, REFERENCE_DAYS if grouped else REFERENCE_ROWS, rng)
        after = table(setting, q, setting.units, rng)

        def found(before: Floats = before, after: Floats = after) -> Distance:
            return measure(before, after, 1 - ALPHA, grouped, grouped)

        yield found, np.atleast_2d(before).sum(axis=0), np.atleast_2d(after).sum(axis=0)


def draw_values(setting: Setting, rng: np.random.Generator) -> Iterator[tuple[Callable[[], Distance], None, None]]:
    """For measures that need more than ten bins: raw values, as cells, moments or a share."""
    grouped = bool(setting.rows)
    days, far = REFERENCE_DAYS if grouped else 1, setting.true if setting.kind != "equal" else 0.0
    while True:
        pair = []
        for which, shift in (("reference", 0.0), ("current", far)):
            units = (days if which == "reference" else setting.units) if grouped else 1
            rows = (
                sizes(setting, units, rng)
                if grouped
                else np.array([REFERENCE_ROWS if which == "reference" else setting.units])
            )
            pair.append(reduced(setting, shift, rows, rng))

        def found(pair: list[Floats] = pair) -> Distance:
            before, after = (t if grouped else t[0] for t in pair)
            if setting.measure == "ks":
                single = single_valued(ks_edges(setting.shape))
                return kolmogorov_smirnov(before, after, 1 - ALPHA, grouped, grouped, single)
            return {"mean": mean_shift, "share": share_shift}[setting.measure](
                before, after, 1 - ALPHA, grouped, grouped
            )

        yield found, None, None


@cache
def ks_edges(name: str) -> Floats:
    """Inner edges of about a hundred cells; zero holds six values in ten of the spiky column."""
    quantiles = stats.norm.ppf(np.arange(1, 100) / 100)
    return edges(np.where(quantiles < SPIKE, SPIKE, quantiles) if name == "spiky" else quantiles)


SPIKE = float(stats.norm.ppf(0.6))


def reduced(setting: Setting, far: float, rows: Floats, rng: np.random.Generator) -> Floats:
    """(groups, ...) what the measure needs, at the distance `far` from the reference."""
    group = np.repeat(np.arange(len(rows)), rows)
    day = rng.normal(0, math.sqrt(setting.icc), len(rows))[group] if setting.rows else 0.0
    score = day + rng.normal(0, math.sqrt(1 - setting.icc), len(group))
    if setting.measure == "share":
        # Of the reference, two in a hundred.
        hit = score < stats.norm.ppf(0.02 + far)
        return np.column_stack([rows, np.bincount(group, weights=hit, minlength=len(rows))]).astype(float)
    if setting.measure == "mean":
        value = score if setting.shape == "smooth" else -np.log(stats.norm.sf(score)) - 1
        value = value + far
        return np.column_stack(
            [np.bincount(group, weights=w, minlength=len(rows)) for w in (value**0, value, value**2)]
        )
    # Two normal distributions with means mu apart are 2 Phi(mu / 2) - 1 apart, halfway between them; shifted so that
    # this point is no spike.
    value = score + (2 * stats.norm.ppf((1 + far) / 2) if far else 0.0)
    if setting.shape == "spiky":
        value = np.maximum(value, SPIKE)
    inner = ks_edges(setting.shape)
    cell = np.searchsorted(inner, value, side="right")
    return (
        np.bincount(group * (len(inner) + 1) + cell, minlength=len(rows) * (len(inner) + 1))
        .reshape(len(rows), -1)
        .astype(float)
    )


def run(setting: Setting, draws: int, compared: int, seed: int) -> dict[str, Any]:
    """Draw and decide; counts of outcomes. Evidently judges the first `compared` of the draws."""
    rng = np.random.default_rng(seed)
    raw = np.random.default_rng([seed, 1])
    counts = {status.value: 0 for status in Status} | {"compared": 0, "evidently": 0}
    makes = draw_counts(setting, rng) if setting.measure in DISTANCES else draw_values(setting, rng)
    started = time.perf_counter()
    for number, (measure, before, after) in zip(range(draws), makes, strict=False):
        counts[outcome(measure, setting.limit)] += 1
        if number < compared and before is not None and after is not None:
            column = shape(setting.shape)
            counts["evidently"] += evidently_says_drift(column.rows(before, raw), column.rows(after, raw))
            counts["compared"] += 1
    return {"setting": setting, "draws": draws, "seconds": time.perf_counter() - started, **counts}


def evidently_says_drift(reference: Floats, current: Floats) -> bool:
    import pandas as pd
    from evidently.legacy.calculations.stattests import psi_stat_test
    from evidently.legacy.core import ColumnType

    return bool(psi_stat_test(pd.Series(reference), pd.Series(current), ColumnType.Numerical, 0.1).drifted)


def settings(quick: bool) -> Iterator[Setting]:
    above, rare = 0.1 * JUST_ABOVE, ("rare 0.01", "rare 0.001", "rare 0.05")
    sizes_of_n = (30, 100, 300) if quick else (30, 60, 100, 200, 300, 1_000, 5_000)
    equal = Setting("psi", "smooth", "equal", 0, 0.1)
    for name in ("smooth", "spiky", "rare 0.001") if quick else ("smooth", "spiky", "ties", *rare[:2]):
        for n in sizes_of_n:
            yield replace(equal, shape=name, units=n)
    moves = [("smooth", "tilt"), ("spiky", "tilt"), ("ties", "tilt"), ("rare 0.01", "tilt")]
    moves += [(name, "into") for name in rare] + [("rare 0.01", "mixed"), ("rare 0", "appears"), ("rare 0.05", "out")]
    for name, kind in moves[:2] + moves[4:6] + moves[8:] if quick else moves:
        for n in sizes_of_n:
            at = replace(equal, shape=name, kind=kind, units=n, true=above)
            # Below half a row a bin counts as half a row: the true distance by that rule is then below the limit.
            if kind != "out" or shares(at)[1].min() * n >= 0.5:
                yield at
        for n in (500,) if quick else (500, 1_000):
            far = replace(equal, shape=name, kind=kind, units=n, true=0.3)
            if kind != "out":
                yield far
    days = [(20, 0.02, 0.0), (50, 0.1, 0.0), (50, 0.3, 0.0), (50, 0.1, 1.0), (200, 0.6, 0.0)]
    for common, name, kind in ((True, "smooth", "tilt"), (False, "smooth", "tilt"), (False, "rare 0.01", "into")):
        for rows, icc, uneven in days[2:4] if quick else days if common else days[1:4]:
            for units in (20, 500) if quick else (20, 40, 100, 500):
                here = replace(equal, shape=name, units=units, rows=rows, icc=icc, uneven=uneven, common=common)
                yield here
                yield replace(here, kind=kind, true=above)
                if units >= PROMISED_FAIL:
                    yield replace(here, kind=kind, true=0.3)
    if not quick:
        for units in (40, 100, 500):
            here = replace(equal, shape="rare 0.05", units=units, rows=50, icc=0.1)
            yield replace(here, kind="out", true=above)
            yield replace(here, shape="spiky", rows=50, icc=0.1, kind="tilt", true=above, common=True)
    yield from other_measures(quick)


def other_measures(quick: bool) -> Iterator[Setting]:
    """The siblings of PSI, each at a limit that suits it."""
    plans = [("js", "smooth", 0.1), ("js", "spiky", 0.1), ("tv", "smooth", 0.1), ("tv", "spiky", 0.1)]
    plans += [("js", "rare 0.01", 0.1), ("tv", "rare 0.01", 0.1)]
    plans += [("ks", "smooth", 0.1), ("ks", "spiky", 0.1), ("mean", "smooth", 0.2), ("mean", "skewed", 0.2)]
    plans += [("share", "rare 0.02", 0.02)]
    for measure, name, limit in plans:
        moves = {"rare 0.01": "into"}.get(name, "tilt")
        base = Setting(measure, name, "equal", 0, limit)
        for units, rows, icc, uneven in (
            (100, 0, 0.0, 0.0),
            (1_000, 0, 0.0, 0.0),
            (30, 50, 0.1, 0.0),
            (200, 50, 0.1, 1.0),
        ):
            if quick and (uneven or units == 1_000):
                continue
            # A normal score behind the column has no rare bin of its own size by day: there the shares are Dirichlet.
            here = replace(base, units=units, rows=rows, icc=icc, uneven=uneven, common=name != "rare 0.01")
            yield here
            yield replace(here, kind=moves, true=limit * JUST_ABOVE)


def judge(results: list[dict[str, Any]]) -> list[str]:
    """Promises that are broken significantly: exact binomial tests, Bonferroni over all promises."""
    claims = []
    for result in results:
        setting: Setting = result["setting"]
        claims.append((result, *setting.promise))
        if setting.measure == "psi" and setting.kind == "equal" and setting.units >= PROMISED_PASS:
            claims.append((result, "passed", 0.95, False))
    breaches = []
    for result, status, rate, is_most in claims:
        alternative = "greater" if is_most else "less"
        p = stats.binomtest(result[status], result["draws"], rate, alternative=alternative).pvalue
        if p < ALPHA / len(claims):
            breaches.append(f"{result['setting'].name}: {status} {result[status] / result['draws']:.2%}")
    return breaches


def worst(results: list[dict[str, Any]], wanted: Callable[[Setting], bool], key: str, of: str = "draws") -> float:
    return max((r[key] / r[of] for r in results if r[of] and wanted(r["setting"])), default=0.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="half a minute: fewer settings, fewer draws")
    parser.add_argument("--draws", type=int, help="draws a setting; 150 with --quick, otherwise 1,000")
    parser.add_argument("--only", help="settings whose name holds this text")
    parser.add_argument("--csv", type=Path, help="write one line a setting")
    given = parser.parse_args()
    draws = given.draws or (150 if given.quick else 1_000)
    compared = 10 if given.quick else 60
    # Imported before the workers fork: it takes ten seconds.
    evidently_says_drift(np.zeros(30), np.zeros(30))
    planned = [s for s in settings(given.quick) if not given.only or given.only in s.name]
    results = []
    with ProcessPoolExecutor(max_workers=2) as pool:
        for task in [pool.submit(run, setting, draws, compared, 100 + i) for i, setting in enumerate(planned)]:
            results.append(task.result())
            say(results[-1])
    breaches = judge(results)
    print("\n" + ("\n".join(breaches) if breaches else "no promise is broken significantly"))
    if given.csv:
        keys = ["name", "draws", *(status.value for status in Status), "compared", "evidently"]
        with given.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, keys, extrasaction="ignore")
            writer.writeheader()
            writer.writerows({"name": r["setting"].name} | r for r in results)
    at_limit = worst(results, lambda s: s.promise[0] == "passed", "failed")
    print(f"failed at a true distance just above the limit, at most: {at_limit:.2%}")
    summary = {
        "alpha": ALPHA,
        "worst_false_alarm": round(worst(results, lambda s: s.kind == "equal", "failed"), 5),
        "worst_miss": round(worst(results, lambda s: s.promise[0] == "passed", "passed"), 5),
        "breaches": len(breaches),
        "evidently_worst_false_alarm": round(
            worst(results, lambda s: s.kind == "equal" and s.measure == "psi", "evidently", "compared"), 5
        ),
    }
    print(json.dumps(summary))
    return 0


def say(result: dict[str, Any]) -> None:
    """One line a setting."""
    draws = result["draws"]
    rates = "  ".join(f"{key} {result[key] / draws:7.2%}" for key in ("passed", "failed", "not_evaluated"))
    theirs = f"  Evidently: drift {result['evidently'] / result['compared']:6.1%}" if result["compared"] else ""
    print(f"{result['setting'].name:68} {draws:6,} {result['seconds']:6.1f} s  {rates}{theirs}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
