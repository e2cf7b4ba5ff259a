"""Resolve: candidate and champion become versions, digests and folders; data become features without labels.

Everything after this step works on the folder that it leaves (`WORK`):

    subject.json   plan.json   models/<role>/   features/<dataset>.parquet   data/<dataset>.parquet   profiles/
    requests/logged.parquet

`features/permuted.parquet` holds rows of the holdout with one feature permuted at a time: a model answers them like any
other rows, and its judge learns what it relies on.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from weighin.contract import Contract
from weighin.contract.own import own_suites, runs_own_code
from weighin.contract.reading import ContractFile
from weighin.data.profile import Profile
from weighin.data.table import read_columns
from weighin.errors import ContractError, NotEvaluated
from weighin.load.probes import EXAMPLE, EXAMPLE_BYTES
from weighin.model.given import is_behind_endpoint
from weighin.model.subject import ModelVersion, ReservedUse, Subject, artifact_digest
from weighin.registry.champion import ChampionRegistry
from weighin.registry.holdout_uses import HoldoutUses, row_hashes
from weighin.registry.location import is_embedded, registry_uri
from weighin.registry.mlflow import Registry
from weighin.registry.profiles import stored_profile
from weighin.resolve.datasets import merged, resolve_profiles, resolve_rows, some_rows
from weighin.resolve.examine import examine
from weighin.resolve.feature_store import fetched
from weighin.resolve.logged_requests import resolve_requests
from weighin.resolve.predictions import with_predictions
from weighin.resolve.recorded import champion_recorded
from weighin.resolve.releases import recent_releases
from weighin.resolve.trained_on import trained_on
from weighin.runner.plan import LOCUSTFILE, Plan


def resolve(
    contract_file: ContractFile,
    work: Path,
    candidate: str | None = None,
    champion: str | None = None,
    sealed: bool = False,
) -> Subject:
    """Fill `work`, replacing what an earlier run left there.

    candidate, champion  `models:/...` addresses or folders; default the contract's aliases. A champion that was not
                         named and does not exist makes this a first release, which the contract must allow.
    sealed               reserve a use of the sealed holdout, and judge on it as well: for releases
    Errors: `RegistryError`, `ContractError`, `HoldoutUseRefused`. Suites report data that cannot be read.
    """
    contract = contract_file.contract
    name = contract.model.name
    own = own_suites(contract_file.folder)
    if contract.model.registry == "server" and is_embedded(registry_uri()):
        raise NotEvaluated(
            "the contract demands a registry on a server, and this run has none",
            "MLFLOW_TRACKING_URI",
            "A maintainer must run this: pull requests from forks get neither variables nor secrets.",
        )
    _empty(work)
    contract_file, fetched_from = fetched(contract_file, work, sealed)
    contract = contract_file.contract
    subject = Subject(
        _candidate(contract, candidate, work / "models/candidate"),
        _champion(contract_file, champion, work / "models/champion"),
        contract_file.digest,
        {},
        is_embedded(registry_uri()),
        fetch(contract.model.anchor, name, work / "models/anchor") if contract.model.anchor else None,
    )
    moment = contract.as_of or datetime.now(UTC)
    rows = resolve_rows(contract_file, work, sealed, moment)
    for dataset, facts in fetched_from.items():
        rows[dataset]["feature_store"] = facts
    profiles = resolve_profiles(contract_file, work, moment, lambda role: _stored(contract_file, subject, role))
    if contract.gates.shadow:
        # By the clock and not `as_of`: the log is what was asked until now.
        rows["requests"] = resolve_requests(contract_file, work, datetime.now(UTC), subject.champion is not None)
    subject, given = with_predictions(contract_file, subject, work, rows)
    examined = examine(contract, work / "models", subject.roles, rows, given)
    recorded = champion_recorded(contract, subject.champion)
    subject = replace(subject, data=merged(rows, profiles), models=examined, recorded=recorded)
    subject = replace(subject, releases=recent_releases(contract))
    subject = replace(subject, trained_on=trained_on(contract_file, subject, work))
    _input_example(work)
    _locustfile(contract_file, work)
    if sealed:
        # The last thing: whatever else can go wrong here must not cost a look.
        subject = replace(subject, sealed=_reserve_use(contract_file, subject, work))
    subject.write(work / "subject.json")
    run_here = (*contract.gates.names, *(["sealed"] if sealed else []), *own)
    own_code = tuple(s for s in run_here if runs_own_code(contract_file.folder, contract, s))
    refused = {role: said for role, known in examined.items() if (said := known.refused)}
    apart = tuple(role for role, known in examined.items() if known.environment == "own")
    behind = tuple(role for role in given if is_behind_endpoint(work / "models" / role))
    Plan.of(contract, subject.roles, sealed, own, own_code, refused, apart, behind).write(work / "plan.json")
    return subject


def resolve_one(
    file: ContractFile, work: Path, candidate: str | None, rows: int, moment: datetime
) -> tuple[Subject, int]:
    """Fill `work` for one model and the first rows of the holdout; return what it is, and how many rows there are.

    Errors: `RegistryError`, `ContractError`; `NotEvaluated` where the holdout cannot be read.
    """
    contract = file.contract
    _empty(work)
    name = contract.model.name
    model = fetch(candidate or f"models:/{name}@{contract.model.aliases.challenger}", name, work / "models/candidate")
    count = some_rows(file, work, rows, moment)
    examined = examine(contract, work / "models", ("candidate",), {})["candidate"]
    apart = ("candidate",) if examined.environment == "own" else ()
    Plan.of(contract, ("candidate",), own_environments=apart).write(work / "plan.json")
    models = {"candidate": examined}
    subject = Subject(model, None, file.digest, {}, is_embedded(registry_uri()), models=models)
    subject.write(work / "subject.json")
    return subject, count


def _stored(contract_file: ContractFile, subject: Subject, role: str) -> Profile:
    champions = ChampionRegistry.of(contract_file.contract.model, Registry())
    return stored_profile(champions, subject.role(role), role)


def _empty(work: Path) -> None:
    """Remove what an earlier run left."""
    for part in ("models", "features", "requests", "predictions", "load", "shadow", "data", "profiles"):
        shutil.rmtree(work / part, ignore_errors=True)
    for part in ("subject.json", "plan.json"):
        (work / part).unlink(missing_ok=True)


def _candidate(contract: Contract, named: str | None, folder: Path) -> ModelVersion:
    """Return the candidate, its files in a folder; of one whose predictions are given only what it is.

    Errors: as for `fetch`.
    """
    name, given = contract.model.name, contract.model.candidate
    if given is None:
        return fetch(named or f"models:/{name}@{contract.model.aliases.challenger}", name, folder)
    source = named or given.version
    found = ModelVersion(name, "", "", "", "") if source is None else fetch(source, name, folder)
    shutil.rmtree(folder, ignore_errors=True)
    return replace(found, source=given.source)


def _champion(contract_file: ContractFile, named: str | None, folder: Path) -> ModelVersion | None:
    contract = contract_file.contract
    name, alias = contract.model.name, contract.model.aliases.champion
    if named is None and Registry().aliased(name, alias) is None:
        # Before the contract is asked: an alias that is only spelt otherwise is not answered with `allow`.
        ChampionRegistry.of(contract.model, Registry()).demand_first_release()
        gate = contract.gates.performance
        if gate is None or gate.first_release == "refuse":
            raise ContractError(
                f"first release: `{name}` has no alias `{alias}`, so the candidate is compared with nothing",
                str(contract_file.path),
                "If no version was released before, write `first_release: allow` under `gates.performance`; otherwise "
                "name the version that serves with --champion.",
            )
        return None
    return fetch(named or f"models:/{name}@{alias}", name, folder)


def fetch(source: str, name: str, folder: Path) -> ModelVersion:
    """Copy a model's files to a folder, which must not be there yet; say what they are.

    source  `models:/...`, a version of the model `name`, or a folder
    Errors: `RegistryError`, `ContractError`.
    """
    if source.isdecimal():
        source = f"models:/{name}/{source}"
    if source.startswith("models:/"):
        return Registry().resolve(source, folder)
    path = Path(source)
    if not path.is_dir():
        raise ContractError("no such model folder", source, "Give a folder or models:/NAME/VERSION.")
    shutil.copytree(path, folder, symlinks=True)
    return ModelVersion(name, "", "", artifact_digest(folder), source)


def _input_example(work: Path) -> None:
    """Put the example that is logged with the candidate where the load generator, which sees no model, finds it."""
    logged = work / "models/candidate/serving_input_example.json"
    if logged.is_file() and not logged.is_symlink() and logged.stat().st_size <= EXAMPLE_BYTES:
        (work / "features").mkdir(exist_ok=True)
        shutil.copyfile(logged, work / "features" / EXAMPLE)


def _locustfile(contract_file: ContractFile, work: Path) -> None:
    gate = contract_file.contract.gates.load
    (work / LOCUSTFILE).unlink(missing_ok=True)
    if gate is None or gate.locustfile is None:
        return
    own = contract_file.folder / gate.locustfile
    if not own.is_file():
        place = str(contract_file.path)
        raise ContractError(f"no such file: {gate.locustfile}", f"{place}, gates.load.locustfile", "Correct the path.")
    shutil.copyfile(own, work / LOCUSTFILE)


def _reserve_use(contract_file: ContractFile, subject: Subject, work: Path) -> ReservedUse:
    """Reserve a use of the sealed holdout for the candidate, before anything is measured on it."""
    contract, place = contract_file.contract, str(contract_file.path)
    gate = contract.gates.sealed
    if gate is None:
        raise ContractError("the contract has no sealed holdout to release on", place, "Add `gates.sealed`.")
    if subject.champion is not None and subject.champion.digest == subject.candidate.digest:
        raise ContractError("candidate and champion are the same files: nothing to look at", place, "Train another.")
    names = tuple(contract.data.columns)
    paths = {
        d: work / p if (p := subject.data[d]["place"]) else contract_file.data_path(d)
        for d in ("sealed_holdout", "holdout")
    }
    rows = row_hashes(read_columns(paths["sealed_holdout"], names))
    seen = set(rows.tolist()) & set(row_hashes(read_columns(paths["holdout"], names)).tolist())
    if seen:
        raise ContractError(
            f"{len(seen):,} rows of the sealed holdout stand in the development holdout as well", place, "Seal others."
        )
    uses = HoldoutUses(Registry(), contract.model.name, contract.model.ledger.name or "")
    use = uses.reserve(gate.epoch, gate.holdout_uses, subject.candidate, rows)
    return ReservedUse(use.epoch, use.number, use.holdout_uses, use.ledger_version)
