"""`weighin holdout`: the uses of the sealed holdout."""

from __future__ import annotations

import argparse
import json

from weighin.cli.parser import contract_argument, example
from weighin.errors import ContractError


def add_holdout(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin holdout`."""
    contract_argument(command)
    command.add_argument("--json", action="store_true", help="as JSON")
    example(command, "weighin holdout --json")
    command.set_defaults(run=run_holdout)


def run_holdout(given: argparse.Namespace) -> int:
    """Print the uses that were taken, and how many are left."""
    from weighin.contract import read_contract
    from weighin.registry.holdout_uses import HoldoutUses
    from weighin.registry.mlflow import Registry

    file = read_contract(given.contract)
    gate, model = file.contract.gates.sealed, file.contract.model.name
    if gate is None:
        raise ContractError("the contract has no sealed holdout", str(given.contract), "Add `gates.sealed`.")
    ledger = HoldoutUses(Registry(), model, file.contract.model.ledger.name or "")
    taken, closed = ledger.all(), ledger.closed(gate.epoch)
    own = [use for use in taken if use.epoch == gate.epoch]
    left = 0 if closed else max(0, gate.holdout_uses - len(own))
    if given.json:
        listed = [vars(use) for use in taken]
        print(
            json.dumps(
                {
                    "epoch": gate.epoch,
                    "holdout_uses": gate.holdout_uses,
                    "left": left,
                    "closed": closed,
                    "taken": listed,
                }
            )
        )
        return 0
    for use in taken:
        print(
            f"{use.epoch}  use {use.number} of {use.holdout_uses}  version {use.version}  {use.candidate[:19]}  "
            f"{use.created}  {use.result}"
        )
    state = "closed by a pass" if closed else f"{left} of {gate.holdout_uses} uses left"
    print(f"epoch {gate.epoch}: {state}, each at alpha {file.contract.alpha / gate.holdout_uses:g}")
    return 0


COMMANDS = {"holdout": add_holdout}
