"""`weighin drill`: put faults of known size into copies of what the gate reads, and see which it blocks."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weighin.cli.parser import contract_argument, example, work_argument

if TYPE_CHECKING:
    from weighin.contract.reading import ContractFile

CONTROLS, QUICK = 200, 60
"""Draws of each control; of a quick drill."""


def add_drill(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin drill`."""
    contract_argument(command)
    work_argument(command)
    command.add_argument("--candidate", help="models:/NAME/VERSION, a version or a folder; default: as validated last")
    command.add_argument("--champion", help="the same for the baseline")
    command.add_argument("--fault", action="append", default=[], metavar="NAME", help="only this one (repeat)")
    command.add_argument("--family", action="append", default=[], metavar="NAME", help="only these faults (repeat)")
    command.add_argument("--dataset", choices=("reference", "holdout", "current"), help="for faults of data")
    command.add_argument("--repeats", type=int, default=60, metavar="N", help="draws for each curve (%(default)s)")
    command.add_argument("--quick", action="store_true", help="only the stated sizes, no curves")
    command.add_argument("--seed", type=int, default=7, metavar="N", help="of every random number (%(default)s)")
    command.add_argument("--out", type=Path, default=Path("reports/drill"), help="folder of the reports (%(default)s)")
    command.add_argument(
        "--suggest", type=Path, metavar="FILE", help="write contract lines that block what gets through"
    )
    command.add_argument("--reports", type=Path, default=Path("reports"), help="of the validation (%(default)s)")
    command.add_argument("--list", action="store_true", help="list the faults, and do nothing")
    command.add_argument(
        "--base", type=Path, metavar="DIR", help="checkout of the base of a change: say what the change lets through"
    )
    command.add_argument(
        "--head", type=Path, metavar="DIR", help="a checkout of the change; default: the current folder"
    )
    example(command, "weighin drill --quick", "weighin drill --family labels --fault model-worse")
    command.set_defaults(run=run_drill)


def run_drill(args: argparse.Namespace) -> int:
    """Drill, and write the reports; 0 whatever the gate missed, since a drill judges no model."""
    from weighin.contract import read_contract
    from weighin.drill.catalogue import FAULTS, selected
    from weighin.drill.own import own_faults
    from weighin.drill.search import Settings
    from weighin.errors import ContractError
    from weighin.github.escape import visible

    file = read_contract(args.contract)
    if args.base:
        return _run_change(args, file)
    faults = selected(args.fault, args.family, (*FAULTS, *own_faults(file)))
    if args.list:
        for fault in faults:
            print(f"{fault.name:26} {fault.size:g} {fault.unit}: {fault.what}")
        return 0
    if args.repeats < 1:
        raise ContractError(f"{args.repeats} draws are none", "--repeats", "Give a whole number above zero.")
    from weighin.canonical import write_json
    from weighin.contract.edit import Edit
    from weighin.drill.ml_test_score import score
    from weighin.drill.prepare import prepared
    from weighin.drill.run import drill
    from weighin.drill.suggest import patch
    from weighin.report import drill as report

    def say(line: str) -> None:
        print(visible(line), file=sys.stderr, flush=True)

    with prepared(file, args.work, args.candidate, args.champion) as work:
        controls = QUICK if args.quick else CONTROLS
        settings = Settings(args.seed, args.repeats, args.quick, controls, args.suggest is not None)
        value = drill(file, work, faults, settings, dataset=args.dataset, journal=args.out, say=say).to_json()
    if args.suggest is not None:
        listed = [Edit(tuple(e["path"]), e["value"]) for fault in value["faults"] for e in fault["edits"]]
        args.suggest.write_text(patch(file, listed), encoding="utf-8")
        print(f"{len(listed)} changes of the contract, each tried: {args.suggest}" if listed else "no change was found")
    value["ml_test_score"] = score(file.contract, _record(args.reports, file.digest), value, datetime.now(UTC).date())
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / "drill.json", value)
    (args.out / "drill.md").write_text(report.markdown(value), encoding="utf-8")
    (args.out / "ml_test_score.svg").write_text(report.badge(value["ml_test_score"]), encoding="utf-8")
    (args.out / "drill.html").write_text(report.html(value), encoding="utf-8")
    print(report.headline(value))
    print(value["promise"])
    say(f"Report: {args.out / 'drill.html'}")
    return 0


def _run_change(args: argparse.Namespace, file: ContractFile) -> int:
    """Compare the drill of the base with that of the head, where what decides differs."""
    from weighin.contract import read_contract
    from weighin.contract.changes import changes
    from weighin.drill.change import drill_change
    from weighin.github.escape import visible
    from weighin.record.drill_change import FILE, KINDS

    (args.out / FILE).unlink(missing_ok=True)
    files = changes(file, args.base, head=args.head)[0].files
    if not any(f.kind in KINDS for f in files):
        print("neither the contract nor suites nor data change, so the gate blocks what it blocked")
        return 0
    place = file.path.resolve().relative_to(Path.cwd().resolve()).as_posix()
    if not (args.base / place).is_file():
        print(f"the base has no {place}, so there is nothing to compare with")
        return 0
    base, head = read_contract(args.base / place), read_contract((args.head or Path()) / place)
    found = drill_change(
        file, base, head, files, args.work, args.reports, say=lambda line: print(visible(line), file=sys.stderr)
    )
    found.write(args.out)
    for sentence in found.sentences(most=len(found.lets_through)):
        print(visible(sentence))
    return 0


def _record(reports: Path, contract: str) -> dict[str, Any] | None:
    """Return the record of the last validation, where it is of this contract and holds by itself."""
    from weighin.errors import WeighinError
    from weighin.record.verify import verify

    try:
        record = dict(verify(reports / "record.json").record)
    except WeighinError:
        return None
    return record if record["contract"]["digest"] == contract else None


COMMANDS = {"drill": add_drill}
