"""`weighin contract`: check a contract, print its JSON Schema, write the Great Expectations suite of it."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from weighin.cli.parser import Parser, contract_argument, example, work_argument
from weighin.errors import ContractError
from weighin.github.escape import visible

if TYPE_CHECKING:
    from weighin.contract.reading import ContractFile


def add_contract(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin contract check`, `schema` and `sync`."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    check = actions.add_parser("check", help="name every mistake with its line, list the checks, and their power")
    contract_argument(check)
    work_argument(check)
    check.set_defaults(run=run_check)
    schema = actions.add_parser("schema", help="print the JSON Schema of contracts, for editors")
    schema.set_defaults(run=run_schema)
    sync = actions.add_parser("sync", help="write the Great Expectations suite of the contract")
    contract_argument(sync)
    sync.add_argument("--check", action="store_true", help="fail when the committed suite differs")
    sync.set_defaults(run=run_sync)
    example(command, "weighin contract check", "weighin contract sync --check    # in CI")


def run_check(given: argparse.Namespace) -> int:
    """Check a contract, and print its checks."""
    from weighin.contract import checks, read_contract
    from weighin.contract.reading import ContractErrors
    from weighin.data.fits import look

    file = read_contract(given.contract)
    listed = checks(file.contract)
    for check in listed:
        severity = "blocks" if check.limit.severity == "block" else "warns"
        print(f"{check.id:60} {check.limit!s:>10}  {severity}{'  ' + check.waiver if check.waiver else ''}")
    expired = [c.expired for c in listed if c.expired]
    fit = look(file)
    for said in (*fit.absent, *(f"{one}: its columns are not compared" for one in fit.unopened)):
        print(f"data: {visible(said)}")
    if (given.work / "subject.json").exists():
        from weighin.suites.power import say_power

        say_power(file, given.work)
    else:
        print(
            "power: not known yet. Power is how likely a candidate that is as good as the champion passes; "
            "run `weighin validate` once, and this command prints it."
        )
    print(f"{given.contract}: {len(listed)} checks in {len({c.suite for c in listed})} suites, {file.digest}")
    problems = [*_card_problems(file), *(f"{given.contract}: {said}" for said in fit.unfit)]
    if problems:
        raise ContractErrors(problems)
    if expired:
        raise ContractError("; ".join(expired), str(given.contract), "An expired waiver blocks.")
    return 0


def _card_problems(file: ContractFile) -> list[str]:
    """Return which keys a card lacks. A contract with a card asks for documents, in which people must say these."""
    from weighin.contract.lines import key_line

    card = file.contract.card
    if card is None:
        return []
    return [f"{file.path}:{key_line(file.path, 'card')}: `{k}` is missing in card. Add it." for k in card.absent]


def run_schema(given: argparse.Namespace) -> int:
    """Print the JSON Schema of contracts."""
    from weighin.contract import Contract

    print(json.dumps(Contract.model_json_schema(), indent=2))
    return 0


def run_sync(given: argparse.Namespace) -> int:
    """Write, or check, the Great Expectations suite of the contract."""
    from weighin.contract import read_contract
    from weighin.suites.expectations import write_suite

    file = read_contract(given.contract)
    same = write_suite(file.contract, file.folder, check=given.check)
    print("great_expectations/expectations/contract.json is " + ("as the contract says" if same else "written"))
    return 0


COMMANDS = {"contract": add_contract}
