"""`weighin init`: a contract drafted from data and a model, or a small repository of one's own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from weighin.cli.parser import contract_argument, example, work_argument
from weighin.errors import ContractError
from weighin.github.escape import visible

if TYPE_CHECKING:
    from weighin.init.draft import Request


def add_init(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin init`."""
    contract_argument(command)
    command.add_argument("--data", type=Path, metavar="FILE", help="labelled rows: Parquet, CSV or Arrow")
    command.add_argument("--reference", type=Path, metavar="FILE", help="earlier rows, from which drift is measured")
    command.add_argument("--training", type=Path, metavar="FILE", help="what the model learnt from")
    command.add_argument("--model", default="", help="models:/NAME/VERSION, models:/NAME@ALIAS or a folder")
    command.add_argument("--name", default="", help="the registered model; default that of --model, or of the folder")
    for role, what in ROLES.items():
        command.add_argument(f"--{role}", default="", metavar="COLUMN", help=what)
    command.add_argument("--positive", default="", metavar="LABEL", help="the positive label of two")
    command.add_argument("--no-load", action="store_true", help="leave out the ten seconds of load, and the load gate")
    command.add_argument("--yes", action="store_true", help="ask nothing: what was guessed stands, as a comment")
    command.add_argument("--project", type=Path, metavar="DIR", help="write a small repository around the contract")
    command.add_argument("--engine", default=ENGINE, help="whose workflows it calls, OWNER/REPOSITORY@SHA")
    command.add_argument("--image", default=IMAGE, help="what its Dockerfile starts from, NAME@sha256:DIGEST")
    example(
        command,
        "weighin init --data holdout.parquet --model models:/churn/3 --target churned",
        "weighin init --project churn-model --data holdout.parquet --model models:/churn/3",
    )
    command.set_defaults(run=run_init)


ENGINE = f"OWNER/weigh-in@{40 * '0'}"
IMAGE = f"ghcr.io/OWNER/weigh-in@sha256:{64 * '0'}"
ROLES = {
    "target": "the column that holds the truth",
    "key": "the column that names a row",
    "time": "the column that says when a row was made",
    "group": "the column by which rows depend on each other",
}


def run_init(args: argparse.Namespace) -> int:
    """Draft a contract, and write it where none is; returns 1 where a check of it does not pass on the data."""
    from weighin.init.draft import draft
    from weighin.init.files import next_steps, write_contract
    from weighin.init.project import Project
    from weighin.suites.expectations import FOLDER, SUITE

    request = _request(args)
    if args.project is not None:
        request = Project(args.project, request, args.engine, args.image).write()
        print(f"{args.project} holds a repository of your own: README.md says what comes next.")
    # Before minutes of measuring.
    for place in (request.path, request.path.parent / FOLDER / "expectations" / f"{SUITE}.json"):
        if place.exists():
            raise ContractError("it exists, and is not overwritten", str(place), "Give --contract another folder.")
    written: list[str] = []

    def write(text: str) -> None:
        write_contract(request.path, text, written[-1] if written else "")
        written.append(text)

    drafted = draft(request, write, _asking(args))
    for line in next_steps(request, drafted):
        print(visible(line))
    return 1 if drafted.broken else 0


def _request(args: argparse.Namespace) -> Request:
    from weighin.init.draft import Request

    roles = {role: getattr(args, role) for role in ROLES}
    return Request(
        args.contract,
        args.data,
        args.reference,
        args.training,
        args.model,
        args.name,
        roles,
        args.positive,
        load=not args.no_load,
    )


def _asking(args: argparse.Namespace) -> Callable[[str, str], str] | None:
    """Return what asks on a terminal; nothing where there is none."""
    if args.yes or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None

    def ask(question: str, offered: str) -> str:
        answered = input(f"{visible(question)} [{visible(offered) or 'none'}] ").strip()
        return "" if answered == "none" else answered or offered

    return ask


def add_check_model(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin check-model`."""
    contract_argument(command)
    work_argument(command)
    command.add_argument("--candidate", help="models:/NAME/VERSION, a version, models:/NAME@ALIAS or a folder")
    example(command, "weighin check-model --candidate models:/churn/4")
    command.set_defaults(run=run_check_model)


def run_check_model(args: argparse.Namespace) -> int:
    """Load a model, ask it five rows, and say whether they are what the contract says."""
    from weighin.contract.reading import read_contract
    from weighin.verdict.check_model import check_model

    for line in check_model(read_contract(args.contract), args.work, args.candidate):
        print(visible(line), flush=True)
    return 0


COMMANDS = {"init": add_init, "check-model": add_check_model}
