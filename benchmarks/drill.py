"""How well a drill predicts: python benchmarks/drill.py [--quick] [--contract FILE] [--work DIR].

It drills on what `make validate` left. Then it makes fresh draws of every fault with a curve, at the size of which the
drill says that it is blocked with 80 %. The last line is one JSON object. RESULTS.md has what was measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from weighin.contract import read_contract
from weighin.drill.catalogue import FAULTS
from weighin.drill.fault import Fault
from weighin.drill.inputs import Inputs
from weighin.drill.judge import Judge
from weighin.drill.own import own_faults
from weighin.drill.result import Drill, FaultResult
from weighin.drill.run import drill
from weighin.drill.search import Settings, fresh

FRESH, FRESH_QUICK = 400, 100
LOW, HIGH = 0.75, 0.85
"""Within which the share of fresh draws that a predicted size blocks is to lie."""
PART = 50
"""Fresh draws that one process makes at a time."""
SEED = 2_026
_JUDGE: list[Judge] = []


def say(line: str) -> None:
    """Print progress."""
    print(line, file=sys.stderr, flush=True)


def _part(job: tuple[str, float, int, int]) -> int:
    name, size, draws, seed = job
    fault = next(f for f in FAULTS if f.name == name)
    return fresh(_JUDGE[0], fault, size, draws, seed)


def coverage(judge: Judge, predicted: Sequence[tuple[Fault, float]], draws: int) -> list[tuple[str, float, float]]:
    """Return each fault with its predicted size, and the share of fresh draws that are blocked at it."""
    _JUDGE[:] = [judge]
    jobs = [(f.name, s, PART, SEED + i) for f, s in predicted for i in range(draws // PART)]
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        blocked = list(pool.map(_part, jobs))
    found = []
    for fault, size in predicted:
        own = [b for job, b in zip(jobs, blocked, strict=True) if job[0] == fault.name]
        found.append((fault.name, size, sum(own) / draws))
        say(f"{fault.name}: {found[-1][2]:.1%} of {draws} fresh draws blocked at {size:.4g}")
    return found


def curves(found: Drill) -> list[tuple[Fault, float]]:
    """Return the faults whose 80 % size was fitted to draws, and was bracketed by them."""
    known = {f.name: f for f in FAULTS}

    def fitted(one: FaultResult) -> bool:
        fault = known.get(one.name)
        return one.curve is not None and fault is not None and fault.drawn and not fault.asks and one.curve.low > 0

    return [(known[f.name], float(f.curve.size)) for f in found.faults if fitted(f) and f.curve and f.curve.size]


def main(argv: Sequence[str]) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer draws, no serving")
    parser.add_argument("--contract", type=Path, default=Path("model_contract.yaml"))
    parser.add_argument("--fault", action="append", default=[], help="predict only the size of this one (repeat)")
    parser.add_argument("--work", type=Path, default=Path(".weighin/work"))
    args = parser.parse_args(argv)
    file = read_contract(args.contract)
    settings = Settings(repeats=60 if args.quick else 400, controls=100 if args.quick else 400)
    # What a team runs, timed: the default settings.
    started = time.monotonic()
    every = [f for f in (*FAULTS, *own_faults(file)) if f.family != "serving"]
    timed = drill(file, args.work, every, Settings(), say=say)
    seconds = time.monotonic() - started
    serving_seconds = None
    serving = [f for f in FAULTS if f.family == "serving"]
    results = list(timed.faults)
    if serving and not args.quick:
        started = time.monotonic()
        results += drill(file, args.work, serving, replace(Settings(), controls=1), say=say).faults
        serving_seconds = round(time.monotonic() - started, 1)
    # Of what a team runs; the draws below are more than that, and share more.
    memory = max(resource.getrusage(w).ru_maxrss for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    drawn = [f for f in FAULTS if f.drawn and not f.asks and (not args.fault or f.name in args.fault)]
    precise = timed if args.quick else drill(file, args.work, drawn, settings, say=say)
    judge = Judge.of(Inputs.read(file, args.work))
    held = coverage(judge, curves(precise), FRESH_QUICK if args.quick else FRESH)
    applicable = [f for f in results if f.answer not in ("not_applicable", "error")]
    survived = [f.name for f in applicable if f.answer != "blocked"]
    for one in results:
        if one.answer != "blocked":
            say(f"{one.name}: {one.answer} {one.reason}")
    shares = [share for _, _, share in held]
    inside = sum(LOW <= share <= HIGH for share in shares)
    print(f"survived: {', '.join(survived) or 'none'}")
    print("blocked at the predicted size: " + ", ".join(f"{name} {share:.1%}" for name, _, share in held))
    print(
        json.dumps(
            {
                "faults": len(applicable),
                "killed": len(applicable) - len(survived),
                "survived": len(survived),
                "controls": precise.summary["controls"],
                "false_alarms": precise.summary["false_alarms"],
                "predicted_size_coverage": round(inside / len(shares), 3) if shares else None,
                "seconds": round(seconds, 1),
                "serving_seconds": serving_seconds,
                "memory_mb": round(memory),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
