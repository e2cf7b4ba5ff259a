"""Look at the models before they are asked: what each is, and whether it fits the contract."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType

from weighin.contract import Contract
from weighin.contract.columns import Column
from weighin.model.description import Description, describe
from weighin.model.examined import LIBRARIES, PYTHON, Examined
from weighin.model.signature import Findings, findings
from weighin.untrusted import JsonObject


def examine(
    contract: Contract,
    models: Path,
    roles: Iterable[str],
    data: Mapping[str, JsonObject],
    given: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Examined]:
    """Return what was found out about the model in each role, without loading one.

    models  folder that holds one folder for each role
    data    what is known of each dataset: `missing` says how many values of a feature are missing
    given   role -> why its predictions, which were given in place of a model, cannot be judged, or nothing
    """
    columns = {name: contract.data.columns[name] for name in contract.features}
    missing: dict[str, int] = {}
    for known in data.values():
        for name, count in known.get("missing", {}).items():
            missing[name] = max(missing.get(name, 0), count)
    examined: dict[str, Examined] = {}
    described: dict[str, Description] = {}
    # The champion first: the candidate's signature is compared with its.
    for role in sorted(roles, key=("champion", "anchor", "candidate").index):
        if role in given:
            examined[role] = Examined(problem=given[role], environment="given")
            continue
        try:
            model = described[role] = describe(models / role)
        except ValueError as error:
            examined[role] = Examined(problem=str(error))
            continue
        champion = described.get("champion") if role == "candidate" else None
        own = _environment(contract, model) == "own"
        # What a model declares is what its own environment has.
        have = installed() | (model.pins if own else {})
        if model.task and contract.model.task == "text":
            found = _chat_findings(columns)
        else:
            found = findings(model, columns, missing, champion)
        large = _too_large(contract, model)
        found = replace(found, faults=(*found.faults, *([large] if large else [])))
        examined[role] = Examined.of(model, found, have, "own" if own else "judge")
    return examined


def _chat_findings(columns: Mapping[str, Column]) -> Findings:
    """Return why a model that is asked in messages cannot be asked about the features, if it cannot."""
    if [c.type for c in columns.values()] == ["string"]:
        return Findings()
    said = "a chat model is asked one text for each row, and the features are not one column of type string"
    return Findings((f"{said}: leave one, with the question or a JSON list of messages",))


def _too_large(contract: Contract, model: Description) -> str:
    """Return why a model cannot be loaded within its memory; empty where it may be."""
    size, most = model.bytes / 2**20, contract.model.memory_mb
    if size <= most:
        return ""
    return (
        f"the model's files have {size:,.0f} MB, and its container may use {most:,} MB: raise `model.memory_mb`, or "
        "log a smaller model"
    )


def _environment(contract: Contract, model: Description) -> str:
    """Return where a model is asked: in an environment of its own where its library is not here."""
    if contract.model.environment is not None:
        return contract.model.environment
    with contextlib.suppress(PackageNotFoundError):
        return "judge" if not model.needs or version(model.needs) else "own"
    return "own"


def installed() -> dict[str, str]:
    """Return the libraries of models that this Python has, with their versions: it is that which asks them."""
    found = {PYTHON: f"{sys.version_info.major}.{sys.version_info.minor}"}
    for library in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[library] = version(library)
    return found
