"""`weighin monitor`: one evaluation of the prediction log, or a run every few minutes until it is told to end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

from weighin.canonical import write_json
from weighin.cli.parser import contract_argument, example
from weighin.cli.release import champions_of
from weighin.contract import read_contract
from weighin.errors import ContractError, WeighinError
from weighin.monitor.health import Health
from weighin.monitor.history import history, last_heartbeat
from weighin.monitor.prometheus import exposition, push, write_textfile
from weighin.monitor.result import EXIT_CODES, Run, document
from weighin.monitor.run import Watcher
from weighin.prediction_log.retention import keep
from weighin.prediction_log.tables import LogTables
from weighin.report.monitor import page

HOUR = timedelta(hours=1)


def add_monitor(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin monitor`."""
    contract_argument(command)
    command.add_argument("--out", type=Path, default=Path("reports"), help="folder of monitor.json and monitor.html")
    command.add_argument("--every", action="store_true", help="again and again, as often as the contract says")
    command.add_argument("--health-port", type=int, metavar="PORT", help="with --every: answer /alive and /ready")
    command.add_argument("--textfile", type=Path, metavar="FILE", help="write metrics for Prometheus' node exporter")
    command.add_argument("--pushgateway", metavar="URL", help="push them to a Prometheus Pushgateway")
    command.add_argument("--max-heartbeat-age", type=float, metavar="MINUTES", help="only say when the last run was")
    command.add_argument("--dry-run", action="store_true", help="evaluate, and neither act nor write anything")
    example(command, "weighin monitor --textfile /var/lib/node_exporter/weighin.prom")
    command.set_defaults(run=run_monitor)


def run_monitor(given: argparse.Namespace) -> int:
    """Evaluate, and act on the result."""
    champions, file = champions_of(given), read_contract(given.contract)
    if file.contract.monitor is None:
        raise ContractError("the contract has no `monitor`", str(file.path), "Say what is to be watched.")
    if given.max_heartbeat_age is not None:
        return _heartbeat(given, last_heartbeat(champions.registry, champions.model))
    watcher = Watcher(file, champions, os.environ)
    if not given.every:
        return EXIT_CODES[_run_once(watcher, given).state]
    return _loop(watcher, given)


def _heartbeat(given: argparse.Namespace, last: datetime | None) -> int:
    minutes = (datetime.now(UTC) - last) / timedelta(minutes=1) if last else None
    said = "nobody ever looked" if minutes is None else f"the last run was {minutes:.1f} minutes ago"
    print(said)
    if minutes is None or minutes > given.max_heartbeat_age:
        print(
            f"weighin: {said}, at most {given.max_heartbeat_age:g} are allowed. Is the monitor running?",
            file=sys.stderr,
        )
        return 1
    return 0


def _run_once(watcher: Watcher, given: argparse.Namespace) -> Run:
    """One run, said and written. A page or a document of an earlier run never stands for this one."""
    out: Path = given.out
    for name in ("monitor.json", "monitor.html"):
        (out / name).unlink(missing_ok=True)
    run = watcher.run(datetime.now(UTC), dry_run=given.dry_run)
    value = document(run)
    write_json(out / "monitor.json", value)
    champions = watcher.champions
    seen = history(champions.registry, champions.model, champions.ledger.entries(), run.journal.events)
    (out / "monitor.html").write_text(page(value, seen), encoding="utf-8")
    metrics = exposition(value)
    for problem in (
        write_textfile(given.textfile, metrics) if given.textfile else "",
        push(given.pushgateway, value, champions.model) if given.pushgateway else "",
    ):
        if problem:
            print(f"weighin: {problem}", file=sys.stderr, flush=True)
    for line in said(run):
        print(line, flush=True)
    return run


def said(run: Run) -> list[str]:
    """For people, at most a few lines for each check that does not pass."""
    found = run.found
    passed = sum(o.status.value == "passed" for o in found.outcomes)
    moment = found.moment.astimezone(UTC).isoformat(timespec="seconds")
    lines = [f"{run.state}: {run.model} version {found.champion.version}, {moment}"]
    lines[0] += f", {passed} of {len(found.outcomes)} checks pass, in {run.seconds:.1f} s"
    alarms = {a.check for a in found.alarms}
    for outcome in found.outcomes:
        if outcome.status.value != "passed":
            word = "alarm" if outcome.check in alarms else outcome.status.value
            lines.append(f"  {word}: {outcome.check}: {outcome.reason}")
    lines += [f"  {e.kind}: {e.message}" for e in run.new if e.message]
    return [*lines, *(f"  note: {p}" for p in run.problems)]


def _loop(watcher: Watcher, given: argparse.Namespace) -> int:
    """Run every few minutes; what goes wrong at one run is said, and the next comes all the same."""
    every = timedelta(minutes=watcher.monitor.evidence.every_minutes)
    ended = threading.Event()

    def end(_: int, __: FrameType | None) -> None:
        ended.set()

    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, end)
    health = Health(every)
    kept = datetime.now(UTC)
    with health.answering(given.health_port):
        while not ended.is_set():
            began = health.begin()
            try:
                _run_once(watcher, given)
                health.succeeded()
                if began - kept >= HOUR and not given.dry_run:
                    kept = began
                    keep(LogTables.of(watcher.file), began)
            except WeighinError as error:
                print(f"weighin: {error}", file=sys.stderr, flush=True)
            ended.wait(max(0.0, (began + every - datetime.now(UTC)).total_seconds()))
    return 0


COMMANDS = {"monitor": add_monitor}
