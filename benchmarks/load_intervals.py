"""Interval honesty of the load gate: how often a server that just breaks its limit passes.

    python benchmarks/load_intervals.py [--quick] [--runs N]

Servers are simulated on a clock of their own: requests arrive by a Poisson process, a server is calm, fails at random,
freezes at random (alone or with a queue behind it), or differs from start to start. The limit is set to each server's
true value, from a run a thousand times longer, so that every pass is a false one. Beside our interval stand the two
that are common: Wilson's for the share, order statistics for the quantile, both over requests. Last line: JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from weighin.stats.intervals import Undefined
from weighin.stats.latency import Moments, quantile, share

Floats = NDArray[np.float64]
ALPHA = 0.05
LIMIT_MS = 100.0
"""What counts as answered in time."""


@dataclass(frozen=True)
class Server:
    """How latencies (ms) come about for arrivals (seconds, ascending), in a start of their own."""

    name: str
    answer: Callable[[np.random.Generator, Floats], Floats]
    stall_seconds: float = 0.5
    """What the contract says of it: the shortest block."""
    promised: bool = True
    """Whether that is true."""


def freezes(rng: np.random.Generator, until: float, share_of_time: float, seconds: float) -> tuple[Floats, Floats]:
    """Begins and ends of freezes that start at random and fill about a share of the time."""
    gap = seconds * (1 - share_of_time) / share_of_time
    count = int(until / gap * 1.5) + 50
    begins = np.cumsum(rng.exponential(gap, count) + seconds) - seconds
    kept = begins < until
    return begins[kept], begins[kept] + seconds


def frozen(share_of_time: float, seconds: float, service_ms: float = 5.0) -> Callable[..., Floats]:
    """Concurrent: whatever is due while it is frozen is answered when it thaws."""

    def answer(rng: np.random.Generator, due: Floats) -> Floats:
        begins, ends = freezes(rng, float(due[-1]), share_of_time, seconds)
        last = np.searchsorted(begins, due, side="right") - 1
        inside = (last >= 0) & (due < ends[np.maximum(last, 0)]) if len(begins) else np.zeros(len(due), bool)
        wait = np.where(inside, ends[np.maximum(last, 0)] - due, 0.0) if len(begins) else 0.0
        return (wait * 1000) + rng.exponential(service_ms, len(due))

    return answer


def queued(share_of_time: float, seconds: float, service_ms: float) -> Callable[..., Floats]:
    """Serial: one at a time, so that a queue builds up behind a freeze and drains after it."""

    def answer(rng: np.random.Generator, due: Floats) -> Floats:
        begins, ends = freezes(rng, float(due[-1]) + 60, share_of_time, seconds)
        work = rng.exponential(service_ms / 1000, len(due))
        free, place, latency = 0.0, 0, np.empty(len(due))
        for i, moment in enumerate(due):
            begin = max(moment, free)
            while place < len(ends) and ends[place] <= begin:
                place += 1
            if place < len(begins) and begins[place] <= begin:
                begin = ends[place]
            free = begin + work[i]
            latency[i] = (free - moment) * 1000
        return latency

    return answer


def calm(failing: float) -> Callable[..., Floats]:
    """Independent answers, a share of them slow."""

    def answer(rng: np.random.Generator, due: Floats) -> Floats:
        slow = rng.random(len(due)) < failing
        return np.where(slow, rng.uniform(150, 400, len(due)), rng.exponential(10, len(due)))

    return answer


def by_start(rng: np.random.Generator, due: Floats) -> Floats:
    """Every second start is slower for as long as it lives."""
    return calm(0.02 if rng.random() < 0.5 else 0.10)(rng, due)


SERVERS = (
    Server("calm, 2 % slow", calm(0.02)),
    Server("calm, 10 % slow", calm(0.10)),
    Server("frozen 0.3 s at random, 4 % of the time", frozen(0.04, 0.3)),
    Server("frozen 0.5 s at random, 5 % of the time", frozen(0.05, 0.5)),
    Server("frozen 0.5 s at random, 20 % of the time", frozen(0.20, 0.5)),
    Server("frozen 0.4 s, a queue behind it, 5 % of the time", queued(0.05, 0.4, 4.0)),
    Server("frozen 1 s at random, 10 % of the time", frozen(0.10, 1.0), promised=False),
    Server("frozen 2 s at random, 5 % of the time", frozen(0.05, 2.0), promised=False),
    Server("the same, with stall_seconds: 2", frozen(0.05, 2.0), 2.0),
    Server("starts that differ", by_start, promised=False),
)


def arrivals(rng: np.random.Generator, rate: float, seconds: float) -> Floats:
    """Poisson."""
    count = int(rate * seconds + 8 * np.sqrt(rate * seconds) + 20)
    moments = np.cumsum(rng.exponential(1 / rate, count))
    return moments[moments < seconds]


def truth(server: Server, rate: float, starts: int, level: float) -> tuple[float, float]:
    """The share within `LIMIT_MS` and the `level` quantile, from a long run of many starts."""
    rng = np.random.default_rng(99)
    parts = [server.answer(rng, arrivals(rng, rate, 100.0)) for _ in range(200 if server.promised else 600)]
    every = np.concatenate(parts)
    return float((every <= LIMIT_MS).mean()), float(np.quantile(every, level))


def wilson_low(successes: int, n: int) -> float:
    """Wilson's score bound, over requests."""
    return float(stats.binomtest(successes, n).proportion_ci(1 - 2 * ALPHA, "wilson").low)


def order_high(latency: Floats, p: float) -> float:
    """The upper bound of a quantile by order statistics, over requests."""
    k = int(stats.binom.ppf(1 - ALPHA, len(latency), p)) + 1
    return float(np.sort(latency)[k - 1]) if k <= len(latency) else float("inf")


def main() -> int:
    """Simulate, print one line a server, and the worst as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100 runs of each, below 60 s")
    parser.add_argument("--runs", type=int, default=500)
    given = parser.parse_args()
    runs = 100 if given.quick else given.runs
    breaches, worst, worst_naive = 0, 0.0, 0.0
    print(f"{'server':52} {'starts x s':>10} {'what':>6} {'ours':>6} {'naive':>6} {'p':>6}  power")
    for server in SERVERS:
        for starts, seconds, rate in ((2, 20.0, 20.0), (3, 40.0, 50.0)):
            for what in ("share", "p95"):
                within, slow = truth(server, rate, starts, 0.95)
                passes = naive = good = 0
                rng = np.random.default_rng(1)
                for _ in range(runs):
                    due = [arrivals(rng, rate, seconds) for _ in range(starts)]
                    latency = np.concatenate([server.answer(rng, d) for d in due])
                    codes = np.repeat(np.arange(starts), [len(d) for d in due])
                    moments = Moments(np.concatenate(due), codes, server.stall_seconds)
                    try:
                        if what == "share":
                            found = share(latency <= LIMIT_MS, moments, 1 - ALPHA)
                            # A hair above the truth, so that the server breaks its limit.
                            passes += found.low >= within + 1e-9
                            naive += wilson_low(int((latency <= LIMIT_MS).sum()), len(latency)) >= within + 1e-9
                            good += found.low >= within - 0.05
                        else:
                            found = quantile(latency, 0.95, moments, 1 - ALPHA)
                            passes += found.high <= slow - 1e-9
                            naive += order_high(latency, 0.95) <= slow - 1e-9
                            good += found.high <= 2 * slow
                    except Undefined:
                        continue
                p = float(stats.binomtest(int(passes), runs, ALPHA, "greater").pvalue)
                breaches += server.promised and p < 0.01
                worst = max(worst, passes / runs if server.promised else 0.0)
                worst_naive = max(worst_naive, naive / runs)
                mark = "" if server.promised else "  (beyond the promise)"
                print(
                    f"{server.name:52} {f'{starts} x {seconds:g}':>10} {what:>6} {passes / runs:6.1%} "
                    f"{naive / runs:6.1%} {p:6.3f}  {good / runs:.0%}{mark}",
                    flush=True,
                )
    print(
        json.dumps(
            {
                "alpha": ALPHA,
                "runs": runs,
                "worst_false_pass": worst,
                "worst_naive_false_pass": worst_naive,
                "breaches": int(breaches),
            }
        )
    )
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
