"""Measure drift alone: the current data and the candidate's predictions against the reference.

    python scripts/drift_detection.py [options of `weighin validate`]

The exit code is the drift suite's own: 0 passed, 1 failed, 6 inconclusive, 7 not evaluated.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from weighin.cli import main
from weighin.cli.arguments import parser
from weighin.outcome import Status
from weighin.record.decision import EXIT


def detect(arguments: list[str]) -> int:
    """Run the suite; `weighin validate` itself never calls one suite of four a pass."""
    command = ["validate", "--suite", "drift", *arguments]
    code = main(command)
    record = parser().parse_args(command).out / "record.json"
    if not record.is_file():
        return code
    (suite,) = json.loads(record.read_text())["suites"]
    return EXIT[Status(suite["status"])]


if __name__ == "__main__":
    sys.exit(detect(sys.argv[1:]))
