"""`weighin drift` and `weighin profile`: compare tables without a model, and store the counts of one."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from weighin.canonical import write_json
from weighin.cli.parser import contract_argument, example
from weighin.contract import Check, read_contract
from weighin.contract.checks import KS_CELLS, DriftRule, checks, cut, drift_columns
from weighin.contract.reading import ContractFile
from weighin.contract.sources import Files, StoredProfile
from weighin.data.profile import Profile
from weighin.data.profiling import profile
from weighin.data.relation import Relation
from weighin.errors import ContractError, NotEvaluated
from weighin.outcome import Direction, Limit, Outcome, Unmeasured, confirm_failures, decide, gate
from weighin.record.decision import EXIT
from weighin.record.outcomes import encode_outcome
from weighin.resolve.datasets import relation
from weighin.stats.intervals import Undefined
from weighin.suites.drift import compared

MEASURES = ("psi", "jensen_shannon", "total_variation", "kolmogorov_smirnov")


def add_drift(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin drift`."""
    command.add_argument("reference", nargs="?", help="files, or a profile that `weighin profile` wrote (.json)")
    command.add_argument("current", nargs="?", help="files")
    command.add_argument("--threshold", type=float, help="limit of the distance; default the contract's, or 0.1")
    command.add_argument("--measure", choices=MEASURES, default="psi", help="the distance (%(default)s)")
    command.add_argument("--bins", type=int, default=10, help="quantile bins of a number (%(default)s)")
    command.add_argument("--group", help="rows that share this column's value are not independent")
    command.add_argument("--columns", help="only these, with commas between; default all but the group")
    command.add_argument("--alpha", type=float, default=0.05, help="one-sided error of every interval (%(default)s)")
    command.add_argument("--engine", choices=("duckdb", "spark"), default="duckdb", help="reads files (%(default)s)")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the outcomes as JSON")
    command.add_argument("--report", type=Path, metavar="FILE", help="write them as a page")
    contract_argument(command)
    example(command, "weighin drift old.parquet new.parquet --measure psi --threshold 0.2")
    command.set_defaults(run=run_drift)


def add_profile(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin profile`."""
    contract_argument(command)
    command.add_argument("--out", type=Path, metavar="FILE", help="write the profile")
    command.add_argument("--store", metavar="MODEL", help="store it with models:/NAME/VERSION")
    example(command, "weighin profile --store models:/flight-delay/7")
    command.set_defaults(run=run_profile)


def run_drift(given: argparse.Namespace) -> int:
    """Print how far every column has moved; returns the exit code of the worst. Predictions take no part."""
    if (given.reference is None) != (given.current is None):
        raise ContractError("give both tables, or none for those of the contract", "weighin drift")
    listed, before, after, unit, hidden = _contracted(given) if given.reference is None else _named(given)
    outcomes = []
    for check in listed:
        try:
            found: Any = compared(check, before, after, 1 - check.limit.alpha, unit, hidden=hidden.get(check.id, False))
        except (NotEvaluated, Undefined) as error:
            found = Unmeasured(check.id, str(error))
        outcomes.append(decide(found, check.limit))
    outcomes = confirm_failures(outcomes, listed[0].limit.alpha) if listed else []
    status = gate(outcomes)
    _print(outcomes, before, after)
    print(
        f"{status.value.upper()}  {len(outcomes)} checks, {before.rows:,} rows against {after.rows:,}", file=sys.stderr
    )
    encoded = [encode_outcome(o, "") for o in outcomes]
    if given.json:
        write_json(given.json, {"schema": "weighin/drift/v1", "status": status.value, "outcomes": encoded})
    if given.report:
        from weighin.report.html import suite_report

        page = {"suite": "drift", "status": status.value, "seconds": 0.0, "problems": [], "outcomes": encoded}
        given.report.write_text(suite_report(page), encoding="utf-8")
    return EXIT[status]


Comparison = tuple[list[Check], Profile, Profile, str, Mapping[str, bool]]


def _named(given: argparse.Namespace) -> Comparison:
    """Two tables by name; a reference may be a profile."""
    here, group = Path(), given.group
    stored = Path(given.reference).suffix == ".json"
    current = Relation.of(Files.model_validate({"path": given.current}), here, given.engine)
    wanted = given.columns.split(",") if given.columns else None
    cells = KS_CELLS if given.measure == "kolmogorov_smirnov" else given.bins
    if stored:
        before = Profile.read(Path(given.reference))
        names = wanted or list(before.columns)
    else:
        reference = Relation.of(Files.model_validate({"path": given.reference}), here, given.engine)
        names = wanted or [c for c in reference.kinds if c != group]
        before = profile(reference, dict.fromkeys(names, cells), group)
    after = profile(current, dict.fromkeys(names, cells), group, before)
    limit = Limit(Direction.AT_MOST, 0.1 if given.threshold is None else given.threshold, given.alpha)
    listed = [
        Check(f"drift/{name}", "drift", limit, DriftRule("distance", name, given.measure, cells)) for name in names
    ]
    return listed, before, after, f"groups by {group}" if group else "rows", {}


def _contracted(given: argparse.Namespace) -> Comparison:
    """Return the contract's reference and current data, with its limits."""
    file = read_contract(given.contract)
    contract = file.contract
    if contract.gates.drift is None:
        raise ContractError("the contract has no drift gate", str(given.contract), "Add `gates.drift`.")
    moment = contract.as_of or datetime.now(UTC)
    before = counted(file, "reference", moment)
    after = counted(file, "current", moment, before)
    listed, hidden = [], {}
    for check in checks(contract, "drift"):
        rule = check.rule
        if not isinstance(rule, DriftRule) or rule.column not in contract.data.columns:
            continue
        if rule.kind == "distance" and given.threshold is not None:
            check = replace(check, limit=replace(check.limit, value=given.threshold))
        listed.append(check)
        hidden[check.id] = contract.data.columns[rule.column].sensitive
    return listed, before, after, contract.sampling_unit, hidden


def counted(file: ContractFile, dataset: str, moment: datetime, like: Profile | None = None) -> Profile:
    """Return the profile of one of the contract's datasets. Errors: `WeighinError`."""
    contract = file.contract
    gate_ = contract.gates.drift
    if gate_ is None:
        raise ContractError("the contract has no drift gate", str(file.path), "Add `gates.drift`.")
    given = contract.data.source(dataset)
    if isinstance(given, StoredProfile):
        from weighin.registry.champion import ChampionRegistry
        from weighin.registry.mlflow import Registry
        from weighin.registry.profiles import stored_profile

        aliases = contract.model.aliases
        alias = aliases.champion if given.profile == "champion" else aliases.challenger
        champions = ChampionRegistry.of(contract.model, Registry())
        with tempfile.TemporaryDirectory() as scratch:
            model = champions.registry.resolve(f"models:/{contract.model.name}@{alias}", Path(scratch) / "model")
        return stored_profile(champions, model, given.profile)
    columns = {c: cut(gate_, c)[1] for c in drift_columns(contract) if c in contract.data.columns}
    return profile(relation(file, dataset, moment), columns, contract.group, like)


def run_profile(given: argparse.Namespace) -> int:
    """Count the reference, write the profile, store it with a version."""
    from weighin.registry.mlflow import Registry
    from weighin.registry.profiles import STORED

    file = read_contract(given.contract)
    found = counted(file, "reference", file.contract.as_of or datetime.now(UTC))
    if given.out:
        found.write(given.out)
    if given.store:
        registry = Registry()
        with tempfile.TemporaryDirectory() as scratch:
            model = registry.resolve(given.store, Path(scratch) / "model")
            if not model.run_id:
                raise ContractError(
                    "this version came from no run of this server, and profiles lie in runs",
                    given.store,
                    "Promote it: its profile is then kept beside the ledger's entry.",
                )
            path = Path(scratch) / "profile" / Path(STORED).name
            found.write(path)
            registry.log_files(model.run_id, path.parent, str(Path(STORED).parent))
    print(f"{found.rows:,} rows, {len(found.columns)} columns, {found.digest}")
    return 0


def _print(outcomes: list[Outcome], before: Profile, after: Profile) -> None:
    table = Table(box=None, header_style="bold")
    for name in ("check", "outcome", "what was found"):
        table.add_column(name, overflow="fold")
    for o in outcomes:
        table.add_row(_plain(o.check), o.status.value, _plain(o.reason))
    Console(file=sys.stdout, markup=False, highlight=False).print(table)


def _plain(text: str) -> str:
    """Names of columns are data: nothing of them may steer a terminal."""
    return "".join(c if c.isprintable() else "�" for c in text)


COMMANDS = {"drift": add_drift, "profile": add_profile}
