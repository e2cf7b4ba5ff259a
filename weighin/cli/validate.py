"""`weighin validate`: predict, run the suites, print the verdict."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from weighin.cli.parser import as_artifact_argument, contract_argument, example, subject_arguments, work_argument

SUITES = ("data_quality", "performance", "drift", "explainability", "load", "shadow")


def add_validate(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin validate`."""
    contract_argument(command)
    subject_arguments(command)
    command.add_argument("--suite", action="append", choices=SUITES, help="only this one (repeat); never a pass")
    command.add_argument("--runner", choices=("local", "docker"), default="local", help="where the steps run")
    command.add_argument("--image", default="weighin:local", help="image of the docker runner")
    command.add_argument("--out", type=Path, default=Path("reports"), help="folder of the reports")
    command.add_argument(
        "--drill",
        type=Path,
        metavar="FILE",
        help="drill.json of the last drill, for the record (default: the one in drill/ of the reports)",
    )
    command.add_argument("--train", metavar="COMMAND", help="Python file, with its arguments, that is run first")
    work_argument(command)
    command.add_argument(
        "--resume", action="store_true", help="take up predictions and load of a run that ended early; suites run again"
    )
    as_artifact_argument(command)
    example(command, "weighin validate --candidate models:/flight-delay/7 --runner docker")
    command.set_defaults(run=run_validate)


def run_validate(args: argparse.Namespace) -> int:
    """Validate the candidate; returns the exit code of the verdict."""
    from weighin.verdict.validate import validate

    return validate(
        args.contract,
        candidate=args.candidate,
        champion=args.champion,
        runner=args.runner,
        image=args.image,
        suites=args.suite,
        sealed=args.sealed,
        train=shlex.split(args.train or ""),
        work=args.work,
        reports=args.out,
        as_artifact=args.as_artifact,
        in_process=args.debug,
        resume=args.resume,
        drill=args.drill,
    ).exit_code


COMMANDS = {"validate": add_validate}
