"""`weighin ab`: evaluate an A/B test as often as anybody likes, and say which arm a unit is in."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from weighin.cli.parser import Parser, contract_argument, example, trusted_key_argument
from weighin.errors import ContractError
from weighin.untrusted import JsonDict

EXIT = {"pass": 0, "fail": 1, "inconclusive": 6, "not_evaluated": 7}


def add_ab(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin ab`."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    evaluate = actions.add_parser("evaluate", help="compare challenger and champion by the outcomes of their units")
    evaluate.add_argument("--version", required=True, help="of the challenger")
    evaluate.add_argument("--since", required=True, metavar="TIME", help="when it began, ISO 8601; UTC without a zone")
    evaluate.add_argument(
        "--out", type=Path, default=Path("reports/ab"), help="folder of ab.json, which is read again, and ab.html"
    )
    contract_argument(evaluate)
    example(evaluate, "weighin ab evaluate --version 8 --since 2026-12-01T00:00:00Z")
    evaluate.set_defaults(run=run_evaluate)
    assign = actions.add_parser("assign", help="print the arm of each unit")
    assign.add_argument("units", nargs="+", metavar="UNIT", help="the pseudonym of a unit")
    contract_argument(assign)
    example(assign, "weighin ab assign u1 u2")
    assign.set_defaults(run=run_assign)
    verify = actions.add_parser("verify", help="check whether a record holds, and its signature; needs no network")
    verify.add_argument("record", type=Path, help="ab.json, or ab.dsse.json with --trusted-key")
    trusted_key_argument(verify, "who may have signed it (repeatable)")
    example(verify, "weighin ab verify reports/ab/ab.dsse.json --trusted-key ab.key.pub")
    verify.set_defaults(run=run_verify)
    example(command, "weighin ab evaluate --version 8 --since 2026-12-01T00:00:00Z")


def run_evaluate(given: argparse.Namespace) -> int:
    """0 when the challenger passes, 1 when it fails, 6 while it is undecided, 7 when the arms must not be compared.

    The record of the last evaluation, in the folder, is read and replaced. It stays where an evaluation ends in an
    error.
    """
    from weighin.ab_test.record import PAGE, RECORD, SIGNED, demand_form, envelope, read_record
    from weighin.ab_test.run import run
    from weighin.canonical import write_json
    from weighin.contract import read_contract
    from weighin.record.signature import signer
    from weighin.report.ab import page

    file, since, out = read_contract(given.contract), _moment(given.since), given.out
    by, place = signer(), out / RECORD
    previous = read_record(place) if place.exists() or place.is_symlink() else None
    # A page of an earlier evaluation never stands for this one.
    (out / PAGE).unlink(missing_ok=True)
    record = run(file, given.version, since, datetime.now(UTC), previous)
    demand_form(record, str(place))
    write_json(place, record)
    if by is not None:
        write_json(out / SIGNED, envelope(record, by))
    else:
        (out / SIGNED).unlink(missing_ok=True)
    (out / PAGE).write_text(page(record), encoding="utf-8")
    for line in said(record):
        print(line)
    return EXIT[record["answer"]]


def said(record: JsonDict) -> list[str]:
    """Return what an evaluation says, for people: each outcome, each fault, and the answer."""
    lines = [f"{o['status']:14} {o['check']}: {o['reason']}" for o in record["outcomes"]]
    units, ratio = record["units"], record["sample_ratio"]
    counted = units["champion"] + units["challenger"]
    lines += [f"note: {problem}" for problem in record["problems"]]
    why = "" if record["outcomes"] else f": {record['reason']}"
    lines.append(
        f"{record['answer']}: version {record['challenger']['version']} against {record['champion']['version']}, "
        f"{counted:,} of {units['seen']:,} units counted, {ratio['share']:.4f} of all in the challenger's arm{why}"
    )
    if record["answer"] == "pass":
        lines.append("Next: `weighin promote`, with the record of the version's validation.")
    elif record["answer"] == "fail":
        lines.append("Next: send every unit to the champion again.")
    decided = record["decided"]
    if decided and decided["answer"] != record["answer"]:
        lines.append(f"The test was decided at {decided['at']}: {decided['answer']}.")
    return lines


def run_verify(given: argparse.Namespace) -> int:
    """Print what a record says, where it holds. Errors: `RecordRefused` with what does not."""
    from weighin.ab_test.record import read_record, read_signed
    from weighin.record.signature import trusted_key

    if given.trusted_key:
        record, by = read_signed(given.record, [trusted_key(path) for path in given.trusted_key])
        print(f"signed by {by}")
    else:
        record, by = read_record(given.record)
        print(f"not signed; {by}")
    for line in said(record):
        print(line)
    return 0


def run_assign(given: argparse.Namespace) -> int:
    """Print each unit with its position and its arm. Errors: `ContractError` for what is no pseudonym."""
    from weighin.ab_test.assignment import arm, position
    from weighin.ab_test.run import spec_of
    from weighin.contract import read_contract
    from weighin.prediction_log.tables import UNIT

    spec = spec_of(read_contract(given.contract))
    wrong = [place for place, unit in enumerate(given.units, 1) if not UNIT.fullmatch(unit)]
    if wrong:
        raise ContractError(
            "this is no unit's pseudonym", f"unit {wrong[0]}", "Letters, digits, `.`, `_`, `:` and `-`, at most 128."
        )
    for unit in given.units:
        print(f"{unit} {position(spec.name, unit):.17f} {arm(spec.name, unit, spec.share)}")
    sys.stdout.flush()
    return 0


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ContractError("this is no moment", "--since", "Write 2026-12-01T00:00:00+00:00.") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


COMMANDS = {"ab": add_ab}
