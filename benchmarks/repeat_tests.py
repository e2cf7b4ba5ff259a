"""Tests that fail now and then: the same tests again and again while another process keeps a core busy.

    python benchmarks/repeat_tests.py [--rounds N] [--busy B] [-k EXPRESSION] TESTS...

Each round is a pytest of its own. A test that fails in one of N rounds (20), a skipped test and a round without tests
are failures. Last line: JSON. Exit code 1 when there was a failure.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
ROUND_SECONDS = 3600.0
SPIN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(100_000))\n"


@contextlib.contextmanager
def load(processes: int) -> Iterator[None]:
    """So many processes that compute until the block ends."""
    spinning = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def once(tests: list[str], expression: str, report: Path) -> dict[str, str]:
    """Run the tests once; returns the outcome of each: passed, failed or skipped."""
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *tests]
    output = report.with_suffix(".txt")
    with output.open("wb") as file, contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            [*command, *(["-k", expression] if expression else [])],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=ROUND_SECONDS,
            check=False,
        )
    if not report.is_file():
        return {"(the round has no report)": "failed"}
    # Written by the pytest above.
    cases = ElementTree.parse(report).getroot().iter("testcase")  # noqa: S314
    found = {f"{case.get('classname')}::{case.get('name')}": _outcome(case) for case in cases}
    return found or {"(the round has no tests)": "failed"}


def _outcome(case: ElementTree.Element) -> str:
    kinds = {child.tag for child in case}
    return "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"


def main(arguments: list[str] | None = None) -> int:
    """Run the rounds and print; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run tests many times beside a busy process.")
    parser.add_argument("tests", nargs="+", help="what pytest is given: files, folders, tests")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--busy", type=int, default=1, help="processes that compute meanwhile")
    parser.add_argument("-k", dest="expression", default="", help="pytest's -k")
    args = parser.parse_args(arguments)
    failures: collections.Counter[str] = collections.Counter()
    ran, began = 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="weighin-rounds-") as place, load(args.busy):
        for number in range(1, args.rounds + 1):
            started, report = time.monotonic(), Path(place) / "report.xml"
            outcomes = once(args.tests, args.expression, report)
            bad = sorted(name for name, outcome in outcomes.items() if outcome != "passed")
            failures.update(bad)
            ran += len(outcomes)
            print(
                f"round {number}: {len(outcomes) - len(bad)} passed, {len(bad)} not, "
                f"{time.monotonic() - started:.0f} s, load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
            if bad:
                print(report.with_suffix(".txt").read_text(errors="replace")[-6000:], flush=True)
    for name, count in failures.most_common():
        print(f"{count} of {args.rounds}: {name}")
    result = {"rounds": args.rounds, "tests": ran, "failures": sum(failures.values())}
    print(json.dumps({**result, "seconds": round(time.monotonic() - began)}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
