"""How often the monitor is wrong, and how soon it is right: `weighin.monitor.evaluate.evaluate` on an in-process clock.

    python benchmarks/monitor_delay.py [--quick] [--months N] [--only TEXT] [--part NAME ...] [--state FILE]

alarms     months without a fault, a run every five minutes, with every true value at its limit: the alarms of a month
           against the number that the contract states. On the stream in which nothing has changed stands beside it
           what the plain rule "Kolmogorov-Smirnov p < 0.05 on the last 1,000 rows" does
year       the flights of a year in the order of time: seasons, steps and ramps; ours, the plain rule, and Evidently
           with its default on the same windows
roundtrip  a scoring server, PostgreSQL and a faulty model: from the run to the server that answers with the old
           identity

An alarm begins at a run that has it where the run before has not; looks with an alarm are counted beside it, as
alarm.py states their expected number. A setting is a breach where an exact test of the alarms (Poisson, one-sided 5 %)
says that there are more than stated; of many settings that keep their promise exactly one in twenty is one by chance.
With --state each month is kept when it is counted: a run that was stopped goes on where it was, and one of fewer months
says what is known so far. The last line is one JSON object; its false alarms are those of the first setting.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes share two cores

import numpy as np
from monitored.alarms import Compared, Counted, Rate, Setting, base, compare, run, settings
from monitored.kept import Kept
from monitored.streams import LOOKS
from monitored.year import (
    AFTER,
    FAULTS,
    LIMITS,
    RAMP,
    Delay,
    Year,
    begins_of,
    delays,
    flights,
    items,
    same,
    season,
    watching,
)

MONTHS = 200
QUICK_MONTHS = 4
"""Of the first setting, and a quarter of it of all others."""
LOOKS_OF_A_DAY = 190
"""At which rows come; there are no flights at night."""
PARTS = ("alarms", "year", "roundtrip")
SEED = 20
CHILD_SECONDS = 300


def alarms(
    pool: ProcessPoolExecutor, planned: Sequence[Setting], given: int, quick: bool, kept: Kept
) -> dict[str, Any]:
    """A line a setting; what the last line says of it. `given` months of each."""
    known, compared = settings(), 3 if quick else 60
    many = {s.name: max(1, given // 4) if quick and s is not planned[0] else given for s in planned}
    seeds = {s.name: [SEED, known.index(s)] for s in planned}
    tasks: dict[str, list[Future[Counted]]] = {s.name: [] for s in planned}
    # Month by month, so that a run that is stopped knows of all settings.
    for m in range(given):
        for s in planned:
            if m < many[s.name]:
                tasks[s.name].append(kept.submit(pool, run, s.name, s, seed=[*seeds[s.name], m]))
    checked = {s.name: pool.submit(compare, s, [*seeds[s.name], given], compared) for s in planned}
    head = f"{'':40} {'months':>6} {'stated':>6} {'alarms a month':>25} {'looks with one':>25}"
    print(f"{head} {'windows, failed, missed':>26}  seconds", flush=True)
    breaches, rates, rule = 0, {}, None
    screened = Compared(0, 0, 0)
    for setting in planned:
        months = many[setting.name]
        found: list[Counted] = [task.result() for task in tasks[setting.name]]
        one: Compared = checked[setting.name].result()
        rate = Rate(sum(f.begun for f in found), months)
        rates[setting.name] = rate
        broken = rate.exceeds(setting.stated)
        breaches += broken
        word = "  MORE THAN STATED" if broken else ""
        low, high = rate.interval
        looks = np.array([f.looks for f in found])
        reach = 1.96 * float(looks.std(ddof=1)) / math.sqrt(months) if months > 1 else math.inf
        print(
            f"{setting.name:40} {months:6} {setting.stated:6.2f} {rate.per_month:8.3f} [{low:6.3f}, {high:6.3f}]"
            f" {looks.mean():8.3f} [{max(0.0, looks.mean() - reach):6.3f}, {looks.mean() + reach:6.3f}]"
            f" {one.windows:10,} {one.failed:7,} {one.missed:7} {sum(f.seconds for f in found):8.0f}{word}",
            flush=True,
        )
        screened = Compared(screened.windows + one.windows, screened.failed + one.failed, screened.missed + one.missed)
        if setting.rule:
            rule = Rate(sum(f.rule_begun for f in found), months)
            share = sum(f.rule_looks for f in found) / months / LOOKS
            low, high = rule.interval
            print(
                f"{'  the plain rule on its feature':40} {months:6} {'':6} {rule.per_month:8.1f}"
                f" [{low:6.1f}, {high:6.1f}]   in {share:.1%} of all runs",
                flush=True,
            )
    print(
        f"{screened.windows:,} windows at random were given to `look` itself: {screened.failed:,} failed,"
        f" of which the screen had left out {screened.missed}"
    )
    if screened.missed:
        sys.exit("the screen hides alarms: its numbers say nothing")
    first = planned[0]
    return {
        "months": many[first.name],
        "looks": many[first.name] * LOOKS,
        "false_alarms_per_month": round(rates[first.name].per_month, 4),
        "stated_false_alarms_per_month": first.stated,
        "breaches": breaches,
        "ks_rule_false_alarms_per_month": None if rule is None else round(rule.per_month, 1),
    }


def year(pool: ProcessPoolExecutor, built: Future[Year], quick: bool) -> dict[str, Any]:
    """Alarms on the year as it was, and delays of faults that were put into it."""
    flights, contract = built.result(), watching(base())
    listed, every = items(contract), 144 if quick else 1
    at = begins_of(flights, 3 if quick else 24)
    number = 2 if quick else 60
    agreed = pool.submit(same, flights, contract, number)
    seasons = [pool.submit(season, flights, name, item, every) for name, item in listed.items()]
    found: list[Future[list[Delay]]] = []
    for kind, fault in enumerate(FAULTS):
        for ramp in (False, True):
            looks = (AFTER + (RAMP if ramp else 0)) * LOOKS_OF_A_DAY
            for begins in at:
                part, taken = flights.part(int(begins), looks)
                found.append(pool.submit(delays, part, taken, kind, listed[fault.seen], ramp))
    months = (flights.looks[-1] - flights.looks[0]) / LOOKS
    often = "one run in 144" if quick else "a run every five minutes"
    print(f"\nThe year as it was, {often}: alarms a month, and share of runs with one")
    for notified in seasons:
        rows = {one.actor: one for one in notified.result()}
        cells = [
            f"{actor} {rows[actor].begun / months:7.2f} {rows[actor].alarming / rows[actor].looks:6.1%}"
            for actor in ("weighin", "ks", "evidently")
            if actor in rows
        ]
        seen = rows["weighin"].seen
        print(f"{seen:12} limit {LIMITS[seen]:<5g} {'   '.join(cells)}", flush=True)
    print("\nRows from a change to the alarm: median (least to most; how many were found, how many alarmed before)")
    notified = [one for task in found for one in task.result()]
    for ramp in (False, True):
        for fault in FAULTS:
            print(f"{'ramp' if ramp else 'step'}, {fault.name:32}", end="")
            for actor in ("weighin", "ks", "evidently"):
                of = [d for d in notified if (d.actor, d.fault, d.ramp) == (actor, fault.name, ramp)]
                print(f"   {actor} {delayed(of)}" if of else f"   {actor}: no rule for categories", end="")
            print(flush=True)
    compared, differ, others = agreed.result()
    print(f"{compared} outcomes were compared with those of `look`, {differ} differ; of scipy and Evidently {others}")
    if differ or others:
        sys.exit("what was counted is not what they say")
    steps = [d for d in notified if d.actor == "weighin" and not d.ramp and not d.before]
    return {"median_delay_rows": median(steps)}


def delayed(notified: Sequence[Delay]) -> str:
    """Of one fault, in words."""
    calm = [d for d in notified if not d.before]
    rows = [d.rows for d in calm if d.rows is not None]
    if not rows:
        return f"     - (found 0 of {len(calm)}, {len(notified) - len(calm)} before)"
    middle = median(calm)
    return (
        f"{'never' if middle is None else f'{middle:,}':>6} ({min(rows):,} to {max(rows):,};"
        f" {len(rows)} of {len(calm)}, {len(notified) - len(calm)} before)"
    )


def median(notified: Sequence[Delay]) -> int | None:
    """What is not found counts as later than all that is; None where half of them are not."""
    rows = sorted(math.inf if d.rows is None else d.rows for d in notified)
    middle = rows[len(rows) // 2] if rows else math.inf
    return None if math.isinf(middle) else int(middle)


def started() -> subprocess.Popen[str]:
    """The round trip in a process of its own: it changes the environment, and loads much."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", __file__, "--child"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def roundtrip(child: subprocess.Popen[str]) -> dict[str, Any]:
    """Seconds from the run to the answer of the old version."""
    out, said = child.communicate(timeout=CHILD_SECONDS)
    if child.returncode:
        sys.exit(f"the round trip failed:\n{said[-3000:]}")
    found = json.loads(out.splitlines()[-1])
    print(
        f"\n{', '.join(found['checks'])}: {found['look']:.1f} s a calm look, {found['total']:.1f} s from the run"
        " with the alarm until the server, which had proven that it is back, answered a request"
    )
    return {"seconds_to_rollback": round(found["total"], 1)}


def main() -> int:
    """Parse, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="within a minute: few months, few faults")
    parser.add_argument("--months", type=int, help=f"of each setting; {QUICK_MONTHS} with --quick, otherwise {MONTHS}")
    parser.add_argument("--only", nargs="+", default=[""], help="settings whose name holds one of these texts")
    parser.add_argument("--part", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--state", type=Path, help="file of the months that are counted, to go on from")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        from monitored.roundtrip import measured

        print(json.dumps(asdict(measured())))
        return 0
    months = given.months or (QUICK_MONTHS if given.quick else MONTHS)
    planned = [s for s in settings() if any(text in s.name for text in given.only)]
    said: dict[str, Any] = dict.fromkeys(
        (
            *("months", "looks", "false_alarms_per_month", "stated_false_alarms_per_month", "breaches"),
            *("median_delay_rows", "ks_rule_false_alarms_per_month", "seconds_to_rollback"),
        )
    )
    began = time.monotonic()
    # Beside the rest where a minute has to do: its seconds are then those of a busy machine.
    child = started() if "roundtrip" in given.part and given.quick else None
    with ProcessPoolExecutor(max_workers=2) as pool:
        built = pool.submit(flights, 15_000 if given.quick else 100_000) if "year" in given.part else None
        if "alarms" in given.part:
            said |= alarms(pool, planned, months, given.quick, Kept(given.state, Counted))
        if built is not None:
            said |= year(pool, built, given.quick)
    if "roundtrip" in given.part:
        said |= roundtrip(child or started())
    print(f"{time.monotonic() - began:.0f} s in all")
    print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
