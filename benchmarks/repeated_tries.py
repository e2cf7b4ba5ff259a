"""Repeated tries on one holdout: how often one of fifty candidates that are no better is promoted.

    python benchmarks/repeated_tries.py [--quick] [--gates N]

Two teams. One tries fifty candidates and promotes the first that passes. The other looks at the published scores of
forty-nine, lets those that scored better than the champion vote, and tries the vote as well: the attack of Blum and
Hardt (2015), "The Ladder", section 4. No candidate is better than the champion: on the rows where they differ, each
is right as often as the champion. A promotion is false.

Three ways to judge, each through the production path (`measure_rows`, then `decide`): every try as if it were the only
one; `evaluations: unlimited`, which is valid for one candidate at any number of evaluations and says nothing of fifty
candidates; and the sealed holdout, other rows at alpha / 50 of which nothing is published but whether a try passed.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from weighin.contract.checks import Check, MetricRule
from weighin.contract.gates import Performance
from weighin.outcome import Direction, Limit, Status, decide
from weighin.stats.scored import Scored
from weighin.suites.performance import measure_rows
from weighin.suites.rows import Rows

ALPHA, TRIES = 0.05, 50
ROWS, HARD = 5_000, 1_000
"""Rows of the holdout, and those on which models differ: there every model is right half of the time."""
GATE = Performance.model_validate({"checks": [{"metric": "accuracy", "against": "champion", "margin": 0.0}]})
LIMIT = Limit(Direction.AT_LEAST, 0.0, ALPHA)
WAYS = {
    "one": LIMIT,
    "unlimited": replace(LIMIT, evaluations="unlimited"),
    "sealed": replace(LIMIT, alpha=ALPHA / TRIES),
}
Answers = NDArray[np.bool_]


def none(name: str) -> Any:
    raise KeyError(name)


def judged(truth: Answers, candidate: Answers, champion: Answers, way: str) -> tuple[bool, float]:
    """Return whether a candidate passes on the rows that differ and as many easy ones as there are, and its score."""
    rest = np.ones(ROWS - HARD, dtype=bool)

    def scored(answers: Answers) -> Scored:
        return Scored(np.concatenate([truth, rest]), np.where(np.concatenate([answers, rest]), 0.9, 0.1))

    rows = Rows({"candidate": scored(candidate), "champion": scored(champion)}, None, "rows", none, none, ALPHA)
    check = Check("performance/accuracy/vs-champion", "performance", WAYS[way], MetricRule("accuracy", "champion"))
    found: Any = measure_rows(check, rows, GATE, ROOT)
    return decide(found, check.limit).status is Status.PASSED, float(found.estimate)


def promoted(way: str, *, adapts: bool, random: np.random.Generator) -> bool:
    """Whether one of the tries passes."""
    truth, champion = random.random((2, HARD)) < 0.5
    hidden, champion_there = random.random((2, HARD)) < 0.5
    votes = np.zeros(HARD), np.zeros(HARD)
    for _ in range(TRIES - adapts):
        candidate, there = random.random((2, HARD)) < 0.5
        seen = (hidden, there, champion_there) if way == "sealed" else (truth, candidate, champion)
        passed, score = judged(*seen, way)
        if passed:
            return True
        if adapts:
            # Published are the scores of the development holdout, whichever way decides.
            score = score if way != "sealed" else judged(truth, candidate, champion, "one")[1]
            votes[0][:] += np.sign(score) * (2 * candidate - 1)
            votes[1][:] += np.sign(score) * (2 * there - 1)
    if not adapts:
        return False
    vote, vote_there = votes[0] > 0, votes[1] > 0
    return judged(*((hidden, vote_there, champion_there) if way == "sealed" else (truth, vote, champion)), way)[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="half a minute: 40 teams each")
    parser.add_argument("--gates", type=int, default=1_000, help="teams of each kind (%(default)s)")
    given = parser.parse_args()
    teams, started, random = 40 if given.quick else given.gates, time.perf_counter(), np.random.default_rng(11)
    found: dict[str, dict[str, float]] = {}
    for adapts in (False, True):
        team = "adapts" if adapts else "keeps the best"
        for way in WAYS:
            count = Counter(promoted(way, adapts=adapts, random=random) for _ in range(teams))[True]
            found.setdefault(team, {})[way] = count / teams
            print(f"a team that {team}, judged as {way}: {count / teams:.1%} falsely promoted", flush=True)
    single = Counter(judged(*(random.random((3, HARD)) < 0.5), "unlimited")[0] for _ in range(teams))[True]
    summary = {
        "tries": TRIES,
        "teams": teams,
        "false_promotion": found,
        "one_try_unlimited": single / teams,
        "seconds": round(time.perf_counter() - started, 1),
        "processor_seconds": round(time.process_time(), 1),
    }
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
