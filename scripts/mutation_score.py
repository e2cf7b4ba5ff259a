"""Print how many mutants of each module the tests killed, from what mutmut left in `mutants/`: `... [--list]`.

A mutant that no test reached counts as one that survived. One that ran out of time counts as killed: the tests did not
pass. The exit code is 0 where every module that was run reaches the score, else 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

LEAST = 0.90
KILLED = frozenset({1, 3})
TIMEOUT = frozenset({24, 36, 152, 255, -24})
SURVIVED = frozenset({0, 5, 33})
Results = Mapping[str, int | None]


def modules(folder: Path) -> Iterator[tuple[str, Results]]:
    """Each module with its mutants: name -> exit code of the tests, None where the mutant was not run."""
    for path in sorted(folder.rglob("*.py.meta")):
        found: Results = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        if found:
            yield path.relative_to(folder).as_posix().removesuffix(".meta"), found


def verdict(code: int | None) -> str:
    """What the exit code of the tests says; `unclear` for a crash, which is no proof that a test noticed anything."""
    if code is None:
        return "not run"
    groups = ((KILLED, "killed"), (TIMEOUT, "timeout"), (SURVIVED, "survived"))
    return next((name for codes, name in groups if code in codes), "unclear")


def main(arguments: list[str]) -> int:
    """Print the table and, with `--list`, the mutants that survived; 1 where a module is below the score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="name each mutant that was not killed")
    parser.add_argument("--folder", type=Path, default=Path("mutants"))
    args = parser.parse_args(arguments)
    print(
        "| module | mutants | run | killed | timeout | survived | unclear | score |\n|---|--:|--:|--:|--:|--:|--:|--:|"
    )
    below, count = [], 0
    for module, results in modules(args.folder):
        seen = Counter(verdict(code) for code in results.values())
        ran = len(results) - seen["not run"]
        if not ran:
            continue
        count += ran
        score = (seen["killed"] + seen["timeout"]) / ran
        below += [module] if score < LEAST else []
        cells = [module, len(results), ran, *(seen[k] for k in ("killed", "timeout", "survived", "unclear"))]
        print(f"| {' | '.join(map(str, cells))} | {score:.1%} |")
        if args.list:
            print(
                "\n".join(f"  {k}: {verdict(c)}" for k, c in results.items() if verdict(c) in ("survived", "unclear"))
            )
    if not count:
        print("no mutant was run: start `make mutants` first", file=sys.stderr)
    elif below:
        print(f"below {LEAST:.0%}: {', '.join(below)}", file=sys.stderr)
    return 0 if count and not below else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
