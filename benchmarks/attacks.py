"""Every attack of tests/attacks, tried against the walls as they are.

    python benchmarks/attacks.py [--without-docker]

A line for each attack, and one JSON object last. `attacks` must equal `blocked`; the other counts must be zero, but
for `fuzzed`, the number of mutated Arrow files that were read. An attack that could not be tried was not blocked.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from support.attack import Result, all_attacks

FUZZED = 1000


def main() -> int:
    """Run everything; returns 0 where every wall holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--without-docker", action="store_true", help="leave out what needs an engine")
    args = parser.parse_args()
    os.environ["WEIGHIN_LOGS"] = logs = tempfile.mkdtemp(prefix="weighin-attacks-")
    atexit.register(shutil.rmtree, logs, ignore_errors=True)
    found = all_attacks()
    came: list[Result | None] = []
    for kind, attacks in found.items():
        for one in attacks:
            if one.docker and args.without_docker:
                continue
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                try:
                    result: Result | None = one.run(Path(folder), True)
                    word = result.value if result else "nothing"
                except Exception as error:  # noqa: BLE001 - what could not be tried is listed, and counts as not blocked
                    result, word = None, f"not tried: {type(error).__name__}: {error}"[:200]
            came.append(result)
            print(f"{kind:12} {one.name}: {word}", flush=True)
    from test_arrow import fuzz

    refused, identical, out_of_bounds = fuzz(FUZZED)
    print(f"{FUZZED} mutated Arrow files: {refused} refused, {identical} read as they were meant")
    summary = {
        "attacks": len(came),
        "blocked": came.count(Result.BLOCKED),
        "fuzzed": refused + identical + out_of_bounds,
        "out_of_bounds": out_of_bounds + came.count(Result.OUT_OF_BOUNDS),
        "secrets_leaked": came.count(Result.SECRET),
        "forged_passes": came.count(Result.FORGED),
    }
    print(json.dumps(summary))
    return 0 if summary["blocked"] == summary["attacks"] and not summary["out_of_bounds"] else 1


if __name__ == "__main__":
    sys.exit(main())
