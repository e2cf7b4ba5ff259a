"""How often the monitor is wrong, and how soon it is right: `weighin.monitor.look.look` on an in-process clock.

    python benchmarks/monitor_delay.py [--quick] [--months N] [--only TEXT] [--part NAME ...]

alarms     months without a fault, a look every five minutes, with every true value at its limit: the alarms of a month
           against the number that the contract states. On the stream in which nothing has changed stands beside it what
           the plain rule "Kolmogorov-Smirnov p < 0.05 on the last 1,000 rows" does
year       the flights of a year in the order of time: seasons, steps and ramps; ours, the plain rule, and Evidently with
           its default on the same windows
roundtrip  a scoring server, PostgreSQL and a faulty model: from the look to the server that answers with the old identity

An alarm begins at a look that has it where the look before has not; looks with an alarm are counted beside it, as alarm.py
states their expected number. A setting is a breach where an exact test of the alarms (Poisson, one-sided 5 %) says that
there are more than stated. The last line is one JSON object; its false alarms are those of the first setting.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import numpy as np

from monitored.alarms import Compared, Counted, Rate, Setting, compare, run, settings
from monitored.streams import LOOKS

MONTHS = 200
QUICK_MONTHS = 2
PARTS = ("alarms", "year", "roundtrip")
SEED = 20


def alarms(pool: ProcessPoolExecutor, planned: Sequence[Setting], months: int, compared: int) -> dict[str, Any]:
    """A line a setting; what the last line says of it."""
    known = settings()
    seeds = {s.name: [SEED, known.index(s)] for s in planned}
    tasks = {s.name: [pool.submit(run, s, [*seeds[s.name], m]) for m in range(months)] for s in planned}
    checked = {s.name: pool.submit(compare, s, [*seeds[s.name], months], compared) for s in planned}
    print(f"{'':40} {'stated':>6} {'alarms a month':>24} {'looks with one':>24} {'windows: failed, missed':>26}  seconds")
    breaches, rates, rule = 0, {}, None
    screened = Compared(0, 0, 0)
    for setting in planned:
        found: list[Counted] = [task.result() for task in tasks[setting.name]]
        one: Compared = checked[setting.name].result()
        rate = Rate(sum(f.begun for f in found), months)
        rates[setting.name] = rate
        broken = rate.exceeds(setting.stated)
        breaches += broken
        low, high = rate.interval
        looks = np.array([f.looks for f in found])
        reach = 1.96 * float(looks.std(ddof=1)) / math.sqrt(months) if months > 1 else math.nan
        print(
            f"{setting.name:40} {setting.stated:6.2f} {rate.per_month:8.3f} [{low:6.3f}, {high:6.3f}]"
            f" {looks.mean():8.3f} [{max(0.0, looks.mean() - reach):6.3f}, {looks.mean() + reach:6.3f}]"
            f" {one.windows:10,} {one.failed:8,} {one.missed:6} {sum(f.seconds for f in found):8.0f}"
            f"{'  MORE THAN STATED' if broken else ''}",
            flush=True,
        )
        screened = Compared(
            screened.windows + one.windows, screened.failed + one.failed, screened.missed + one.missed
        )
        if setting.rule:
            rule = Rate(sum(f.rule_begun for f in found), months)
            share = sum(f.rule_looks for f in found) / months / LOOKS
            low, high = rule.interval
            print(
                f"{'  the plain rule on its feature':40} {'':6} {rule.per_month:8.1f} [{low:6.1f}, {high:6.1f}]"
                f"   in {share:.1%} of all looks",
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
        "months": months,
        "looks": months * LOOKS,
        "false_alarms_per_month": round(rates[first.name].per_month, 4),
        "stated_false_alarms_per_month": first.stated,
        "breaches": breaches,
        "ks_rule_false_alarms_per_month": None if rule is None else round(rule.per_month, 1),
    }


def main() -> int:
    """Parse, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="within a minute: few months, few faults")
    parser.add_argument("--months", type=int, help=f"of each setting; {QUICK_MONTHS} with --quick, otherwise {MONTHS}")
    parser.add_argument("--only", default="", help="settings whose name holds this text")
    parser.add_argument("--part", choices=PARTS, nargs="+", default=PARTS)
    given = parser.parse_args()
    months = given.months or (QUICK_MONTHS if given.quick else MONTHS)
    planned = [s for s in settings() if given.only in s.name]
    said: dict[str, Any] = dict.fromkeys(
        (
            *("months", "looks", "false_alarms_per_month", "stated_false_alarms_per_month", "breaches"),
            *("median_delay_rows", "ks_rule_false_alarms_per_month", "seconds_to_rollback"),
        )
    )
    started = time.monotonic()
    with ProcessPoolExecutor(max_workers=2) as pool:
        if "alarms" in given.part:
            said |= alarms(pool, planned, months, 5 if given.quick else 150)
    print(f"{time.monotonic() - started:.0f} s in all")
    print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
