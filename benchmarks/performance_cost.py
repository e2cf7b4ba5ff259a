"""What the performance suite costs: 8 metrics, candidate and champion, 10 slices, on up to 10,000,000 scored rows.

    python benchmarks/performance_cost.py [--quick]

Each size is measured in a process of its own, through the suite's function, against a naive bootstrap of the same
metrics on 2,000 resampled sets (timed on a few and multiplied). The last line is one JSON object, for 1,000,000 rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

METRICS = ("roc_auc", "average_precision", "accuracy", "precision", "recall", "f1", "log_loss", "brier")
BOOTSTRAP = 2_000


def measure(rows: int, resampled: int) -> dict[str, float]:
    """Seconds and peak memory of the suite on `rows` rows, and of the bootstrap."""
    import numpy as np

    from weighin.contract.checks import checks
    from weighin.contract.models import Contract
    from weighin.outcome import decide
    from weighin.stats.metrics import METRICS as KNOWN
    from weighin.stats.scored import Scored
    from weighin.suites.performance import measure_rows
    from weighin.suites.rows import Rows

    limits = [{"metric": m, "at_most" if KNOWN[m].lower_is_better else "at_least": 0.5} for m in METRICS]
    against = [{"metric": m, "against": "champion", "margin": 0.01} for m in METRICS]
    slices = [{"column": "site", "values": [*range(10)], "metric": "roc_auc", "margin": 0.05}]
    contract = Contract.model_validate(
        {
            "version": 1,
            "model": {"name": "m", "task": "binary", "target": "y"},
            "data": {
                "holdout": "h",
                "columns": {
                    "y": {"type": "integer", "role": "target"},
                    "site": {"type": "integer"},
                    "day": {"type": "integer", "role": "group"},
                },
            },
            "group": "day",
            "gates": {"performance": {"checks": [*limits, *against], "slices": slices}},
        }
    )
    gate = contract.gates.performance
    assert gate is not None
    rng = np.random.default_rng(0)
    truth = rng.random(rows) < 0.2
    signal = rng.normal(size=rows) + 1.2 * truth
    scores = [1 / (1 + np.exp(-(signal + rng.normal(0, s, rows)))) for s in (0.2, 0.4)]
    columns = {"site": rng.integers(0, 10, rows)}
    group = np.arange(rows, dtype=np.int64) * min(200, rows // 50) // rows
    scored = {r: Scored(truth, s) for r, s in zip(("candidate", "champion"), scores, strict=True)}
    judged = Rows(scored, group, "days", columns.__getitem__, columns.__getitem__)
    started = time.perf_counter()
    for check in checks(contract, "performance")[1:]:
        outcome = decide(measure_rows(check, judged, gate, ROOT), check.limit)
        assert outcome.status.value != "not_evaluated", outcome.reason
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    started = time.perf_counter()
    for _ in range(resampled):
        picked = rng.integers(0, rows, rows)
        for one in scored.values():
            again = Scored(one.truth[picked], one.score[picked])
            for name in METRICS:
                KNOWN[name].of(again)
            site = columns["site"][picked]
            for value in range(10):
                KNOWN["roc_auc"].of(again.rows(site == value))
    each = (time.perf_counter() - started) / max(1, resampled)
    return {"rows": rows, "seconds": seconds, "peak_gb": peak, "bootstrap_seconds": each * BOOTSTRAP}


def apart(rows: int, resampled: int) -> dict[str, float]:
    """`measure` in a fresh process, so that peaks do not mix."""
    command = [sys.executable, __file__, "--one", str(rows), "--resampled", str(resampled)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=1800)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="up to 1,000,000 rows, within a minute")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--resampled", type=int, default=1, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, given.resampled)))
        return 0
    sizes = (10_000, 100_000, 1_000_000) if given.quick else (10_000, 100_000, 1_000_000, 10_000_000)
    found = {}
    for rows in sizes:
        found[rows] = apart(rows, 0 if rows > 1_000_000 else 1)
        one = found[rows]
        print(
            f"{rows:>11,} rows  {one['seconds']:7.2f} s  {one['peak_gb']:5.2f} GB peak  "
            f"bootstrap of {BOOTSTRAP:,}: {one['bootstrap_seconds']:,.0f} s",
            flush=True,
        )
    one = found[1_000_000]
    print(
        json.dumps(
            {
                "rows": 1_000_000,
                "seconds": round(one["seconds"], 2),
                "peak_gb": round(one["peak_gb"], 3),
                "bootstrap_seconds": round(one["bootstrap_seconds"]),
                "ratio": round(one["bootstrap_seconds"] / one["seconds"]),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
