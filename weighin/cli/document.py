"""`weighin document`: a model card, a bill of materials and a validation report, from a record."""

from __future__ import annotations

import argparse
from pathlib import Path

from weighin.cli.parser import contract_argument, example, trusted_key_argument


def add_document(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin document`."""
    command.add_argument(
        "reports", type=Path, nargs="?", default=Path("reports"), help="folder of the record (%(default)s)"
    )
    contract_argument(command)
    command.add_argument("--out", type=Path, help="folder of the documents (default: documents, beside the record)")
    trusted_key_argument(command, "who must have signed record.dsse.json (repeatable)")
    command.add_argument("--history", action="store_true", help="ask the registry who was champion")
    command.add_argument("--pdf", action="store_true", help="print the validation report with Chromium as well")
    example(command, "weighin document reports", "weighin document --trusted-key release.key.pub --history --pdf")
    command.set_defaults(run=run_document)


def run_document(args: argparse.Namespace) -> int:
    """Write the documents, and print the digest of each; 1 where the record does not hold."""
    from weighin.contract import read_contract
    from weighin.document.blocks import not_known
    from weighin.document.contents import sections
    from weighin.document.material import read_material
    from weighin.document.write import write
    from weighin.record.documents import FOLDER
    from weighin.record.signature import trusted_key

    file, keys = read_contract(args.contract), [trusted_key(path) for path in args.trusted_key]
    history = None
    if args.history:
        from weighin.cli.release import champions_of
        from weighin.record.history import check_history

        history = check_history(champions_of(args), keys)
    found = read_material(file, args.reports, keys, history)
    folder = args.out or args.reports / FOLDER
    for name, said in write(found, folder, pdf=args.pdf).items():
        print(f"{folder / name}  {said}")
    missing = len(not_known(sections(found)))
    print(f"Record {found.digest}. {missing} things are not known; the documents name them.")
    return 0


COMMANDS = {"document": add_document}
