"""Resolve: candidate and champion become versions, digests and folders; data become features without labels.

Everything after this step works on the folder that it leaves (`WORK`):

    subject.json   plan.json   models/<role>/   features/<dataset>.parquet
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from weighin.contract.reading import ContractFile
from weighin.data.table import read_columns
from weighin.errors import ContractError, NotEvaluated
from weighin.record.encode import file_digest
from weighin.registry.location import is_embedded, tracking_uri
from weighin.registry.mlflow import Registry
from weighin.runner.plan import Plan
from weighin.subject import ModelVersion, Subject, artifact_digest

DATASETS = ("reference", "holdout", "current")


def resolve(
    contract_file: ContractFile, work: Path, candidate: str | None = None, champion: str | None = None
) -> Subject:
    """Fill `work`, replacing what an earlier run left there.

    candidate, champion  `models:/...` addresses or folders; default the contract's aliases. A champion that was not
                         named and does not exist makes this a first release, which the contract must allow.
    Errors: `RegistryError`, `ContractError`. Data that cannot be read are left to the suites to report.
    """
    contract = contract_file.contract
    name, aliases = contract.model.name, contract.model.aliases
    for part in ("models", "features", "predictions", "load"):
        shutil.rmtree(work / part, ignore_errors=True)
    for part in ("subject.json", "plan.json"):
        (work / part).unlink(missing_ok=True)
    subject = Subject(
        _model(candidate or f"models:/{name}@{aliases.challenger}", name, work / "models/candidate"),
        _champion(contract_file, champion, work / "models/champion"),
        contract_file.digest,
        {dataset: _features(contract_file, dataset, work / "features") for dataset in DATASETS},
        is_embedded(tracking_uri()),
    )
    subject.write(work / "subject.json")
    Plan.of(contract, subject.roles).write(work / "plan.json")
    return subject


def _champion(contract_file: ContractFile, named: str | None, folder: Path) -> ModelVersion | None:
    contract = contract_file.contract
    name, alias = contract.model.name, contract.model.aliases.champion
    if named is None and Registry().aliased(name, alias) is None:
        gate = contract.gates.performance
        if gate is None or gate.first_release == "refuse":
            raise ContractError(
                f"`{name}` has no alias `{alias}`: there is no champion to compare with",
                str(contract_file.path),
                "Set `gates.performance.first_release: allow`, or name one with --champion.",
            )
        return None
    return _model(named or f"models:/{name}@{alias}", name, folder)


def _model(source: str, name: str, folder: Path) -> ModelVersion:
    if source.startswith("models:/"):
        return Registry().resolve(source, folder)
    path = Path(source)
    if not path.is_dir():
        raise ContractError("no such model folder", source, "Give a folder or models:/NAME/VERSION.")
    shutil.copytree(path, folder, symlinks=True)
    return ModelVersion(name, "", "", artifact_digest(folder), source)


def _features(contract_file: ContractFile, dataset: str, folder: Path) -> Mapping[str, Any]:
    """Write a dataset's features, and nothing else of it; say what the file is that they came from."""
    path = contract_file.data_path(dataset)
    try:
        table = read_columns(path, contract_file.contract.features)
    except NotEvaluated as error:
        return {"sha256": "", "rows": 0, "problem": str(error)}
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / f"{dataset}.parquet")
    return {"sha256": file_digest(path), "rows": table.num_rows, "problem": ""}
