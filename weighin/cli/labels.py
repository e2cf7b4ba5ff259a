"""`weighin labels`: which rows to label next, and what the labels that are there say."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from weighin.cli.parser import Parser, contract_argument, example, work_argument
from weighin.github.escape import visible

if TYPE_CHECKING:
    from weighin.verdict.label_plan import Subjects


def add_labels(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin labels plan` and `status`."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    plan = actions.add_parser("plan", help="write which rows of the holdout to label, in which order")
    _common(plan)
    plan.add_argument("--labels", type=int, metavar="N", help="rows to list (default: twice as many as are expected)")
    plan.add_argument("--batch", type=int, default=100, metavar="N", help="rows labelled together (%(default)s)")
    plan.add_argument("--format", choices=("csv", "parquet"), default="csv", help="of the rows (%(default)s)")
    plan.set_defaults(run=run_plan)
    status = actions.add_parser("status", help="say what the labels decide so far, and what is left to do")
    _common(status)
    status.add_argument(
        "--out", type=Path, default=Path("reports/labels"), help="folder of labels.html and labels.json (%(default)s)"
    )
    status.set_defaults(run=run_status)
    example(command, "weighin labels plan --candidate 7", "weighin labels status --candidate 7")


def _common(command: argparse.ArgumentParser) -> None:
    contract_argument(command)
    command.add_argument("--candidate", help="models:/NAME/VERSION, a version, models:/NAME@ALIAS or a folder")
    command.add_argument("--champion", help="the same for the baseline; default the contract's alias")
    command.add_argument("--runner", choices=("local", "docker"), default="local", help="where the models predict")
    command.add_argument("--image", default="weighin:local", help="image of the docker runner")
    work_argument(command)


def _models(args: argparse.Namespace) -> Subjects:
    from weighin.verdict.label_plan import Subjects

    return Subjects(args.candidate, args.champion, args.runner, args.image, args.work)


def run_plan(args: argparse.Namespace) -> int:
    """Write the plan."""
    from weighin.contract import read_contract
    from weighin.verdict.label_plan import make_plan

    made = make_plan(
        read_contract(args.contract), _models(args), labels=args.labels, batch=args.batch, form=args.format
    )
    pool = made.plan.pool
    print(
        f"{pool.rows:,} rows, of which candidate and champion decide {pool.differ:,} differently; "
        f"about {made.expected:,} labels settle it if both are equally good"
    )
    print(f"{made.plan.listed:,} rows to label, in the order of the column `draw`: {made.rows}")
    print(f"plan: {made.path}")
    return 0


def run_status(args: argparse.Namespace) -> int:
    """Print what the labels say, and write the page."""
    from weighin.canonical import write_json
    from weighin.contract import read_contract
    from weighin.report.labels import page
    from weighin.verdict.label_plan import label_status

    status = label_status(read_contract(args.contract), _models(args))
    for line in status.lines:
        print(visible(line))
    write_json(args.out / "labels.json", status.value)
    (args.out / "labels.html").write_text(page(status.value), encoding="utf-8")
    print(f"page: {args.out / 'labels.html'}", file=sys.stderr)
    return 0


COMMANDS = {"labels": add_labels}
