"""`weighin serve` and `weighin log`: serve the champion, and complete the log of its predictions."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from weighin.cli.parser import Parser, contract_argument, example


def add_serve(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin serve`."""
    contract_argument(command)
    command.add_argument("--port", type=int, required=True, help="where to listen")
    command.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    command.add_argument("--pid-file", type=Path, help="where to write the number of the process")
    example(command, "weighin serve --port 8080    # at SIGHUP it serves the champion of that moment")
    command.set_defaults(run=run_serve)


def add_log(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin log add-labels`."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    labels = actions.add_parser("add-labels", help="append labels that arrived to the prediction log")
    labels.add_argument("file", type=Path, help="Parquet or CSV: request, label, and row and at where they are known")
    contract_argument(labels)
    example(command, "weighin log add-labels labels.parquet")
    labels.set_defaults(run=run_add_labels)


def run_serve(given: argparse.Namespace) -> int:
    """Serve the champion; at SIGHUP, look up the champion again."""
    from weighin.cli.release import champions_of
    from weighin.contract import read_contract
    from weighin.prediction_log.sinks import sink_for
    from weighin.prediction_log.tables import LogTables
    from weighin.serving.follow import follow

    file = read_contract(given.contract)
    log = None if file.contract.monitor is None else LogTables.of(file)
    if log is not None:
        # A mistake is reported now, and not in the log of a worker.
        sink_for(log)
    return follow(champions_of(given), given.host, given.port, given.pid_file, log)


def run_add_labels(given: argparse.Namespace) -> int:
    """Append labels that came to the prediction log."""
    from datetime import UTC, datetime

    from weighin.contract import read_contract
    from weighin.prediction_log.labels import append_labels, read_labels
    from weighin.prediction_log.sinks import sink_for
    from weighin.prediction_log.tables import LogTables

    tables = LogTables.of(read_contract(given.contract))
    with contextlib.closing(sink_for(tables)) as sink:
        number = append_labels(sink, read_labels(given.file, tables), datetime.now(UTC))
    print(f"{number} labels appended to {tables.labels}")
    return 0


COMMANDS = {"serve": add_serve, "log": add_log}
