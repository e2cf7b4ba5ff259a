"""`weighin ask`: ask language models for answers, or for the points of answers."""

from __future__ import annotations

import argparse
import sys

from weighin.cli.parser import contract_argument, example, work_argument
from weighin.contract import read_contract


def add_ask(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin ask`."""
    command.add_argument("whom", choices=("candidate", "judge"), help="who is asked")
    command.add_argument("score", nargs="?", help="of a judge: the score of gates.performance.scores that it gives")
    command.add_argument(
        "--dataset", choices=("holdout", "sealed_holdout"), default="holdout", help="of a candidate (%(default)s)"
    )
    contract_argument(command)
    work_argument(command)
    example(command, "weighin ask candidate", "weighin ask judge helpful")
    command.set_defaults(run=run_ask)


def run_ask(given: argparse.Namespace) -> int:
    """Ask, and write the file that the contract names."""
    from weighin.errors import ContractError
    from weighin.verdict.ask import ask_candidate, ask_judge

    file = read_contract(given.contract)
    if (given.whom == "judge") == (given.score is None):
        raise ContractError("a judge gives a score, and a candidate none", "weighin ask", "Name the score of a judge.")
    found = (
        ask_candidate(file, given.dataset) if given.whom == "candidate" else ask_judge(file, given.score, given.work)
    )
    print(f"{found.path}: {found.rows:,} rows, {found.asked:,} asked now")
    for sentence in found.noise:
        print(sentence)
    if found.malformed:
        print(
            f"{found.malformed:,} replies were no points on the scale: their answers have no score. Ask again, or "
            "correct the rubric",
            file=sys.stderr,
        )
    return 1 if found.malformed else 0


COMMANDS = {"ask": add_ask}
