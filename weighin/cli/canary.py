"""`weighin canary`: evaluate the canary once, print the result, and move the traffic."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from weighin.cli.parser import contract_argument, dry_run_argument, example
from weighin.contract import read_contract
from weighin.contract.models import Contract
from weighin.errors import ContractError, DeployError, NotEvaluated
from weighin.monitor.canary import Answer, canary
from weighin.prediction_log.reader import Log
from weighin.release.deploy import run

EXIT = {Answer.PASS: 0, Answer.FAIL: 1, Answer.INCONCLUSIVE: 6}
SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "WEIGHIN_GITHUB_TOKEN")


def add_canary(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin canary`."""
    command.add_argument("--version", required=True, help="of the canary")
    command.add_argument("--share", type=float, required=True, help="of the traffic that it has now: a step")
    command.add_argument("--since", required=True, metavar="TIME", help="when it got it, ISO 8601; UTC without a zone")
    dry_run_argument(command)
    contract_argument(command)
    example(command, "weighin canary --version 8 --share 0.05 --since 2026-11-28T12:00:00Z")
    command.set_defaults(run=run_canary)


def run_canary(given: argparse.Namespace) -> int:
    """0 when the step passes, 1 when it fails, 6 when it is undecided; a step that cannot be judged raises.

    Errors: `NotEvaluated` as well when a step passes and the command does not move the traffic; `DeployError` when a
    step fails and it does not.
    """
    file = read_contract(given.contract)
    now = datetime.now(UTC)
    found = canary(file.contract, Log.of(file), given.version, given.share, _moment(given.since), now)
    for outcome in found.outcomes:
        print(f"{outcome.status.value:14} {outcome.check}: {outcome.reason}")
    seen = f"{found.requests:,} of {found.traffic:,} requests"
    print(f"{found.answer.value}: version {given.version} at a share of {found.share:g} ({seen}): {found.reason}")
    if found.next_share is not None:
        if given.dry_run:
            print(f"would move to a share of {found.next_share:g}")
        else:
            _move(file.contract, given.version, found.next_share, found.answer)
            print(f"moved to a share of {found.next_share:g}")
    if found.answer is Answer.PASS:
        print(_next(given, found.next_share, now))
    return EXIT[found.answer]


def _next(given: argparse.Namespace, share: float | None, now: datetime) -> str:
    if share is None or share == 1:
        return "That was the last step: `weighin promote` makes it champion, or `weighin rollback` another one."
    since = now.isoformat(timespec="seconds")
    return f"Next: weighin canary --version {given.version} --share {share:g} --since {since}"


def _move(contract: Contract, version: str, share: float, answer: Answer) -> None:
    monitor = contract.monitor
    assert monitor is not None
    assert monitor.canary is not None
    spec = monitor.canary
    ours = {*SECRETS, monitor.log.connection, *(v for a in monitor.alerts for v in (a.address, a.secret))}
    values = {"share": f"{share:g}", "version": version, "model": contract.model.name}
    try:
        run("monitor.canary.command", spec.command, values, spec.seconds_at_most, {v for v in ours if v})
    except DeployError as error:
        if answer is Answer.PASS:
            raise NotEvaluated(f"the step passes, and the traffic was not moved: {error.fact}", error.place) from error
        print("The canary fails and still has its share.", file=sys.stderr)
        raise


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ContractError(f"{text!r} is no moment", "--since", "Write 2026-11-28T12:00:00+00:00.") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


COMMANDS = {"canary": add_canary}
