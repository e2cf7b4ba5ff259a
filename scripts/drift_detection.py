"""Measure drift alone: current data against the reference, column by column, with an interval for each.

    python scripts/drift_detection.py --threshold 0.1                                  what the contract names
    python scripts/drift_detection.py last_month.parquet this_week.parquet --threshold 0.1 --group day
    python scripts/drift_detection.py --help                                           the rest: engines, measures, JSON

The exit code: 0 passed, 1 failed, 6 inconclusive, 7 not evaluated. It needs no model; `weighin validate --suite drift`
looks at a model's predictions as well.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from weighin.cli import main

if __name__ == "__main__":
    sys.exit(main(["drift", *sys.argv[1:]]))
