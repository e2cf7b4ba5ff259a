"""Read a contract file; every error at once, each with file, line and the nearest valid key."""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from weighin.contract.checks import checks
from weighin.contract.models import Contract
from weighin.contract.sources import Files
from weighin.errors import ContractError
from weighin.untrusted.bounded import Unreadable, content, yaml_nodes, yaml_value

SHOWN = 120
"""Letters of a wrong value in a message."""
RENAMED = {
    "looks": ("consecutive_windows", "holdout_uses"),
    "then": ("action",),
    "unseen_at_most": ("new_category_share_at_most",),
    "silent_minutes_at_most": ("no_traffic_minutes_at_most",),
    "errors_at_most": ("error_rate_at_most",),
    "milliseconds_at_most": ("latency_ms_at_most",),
    "milliseconds": ("latency_ms",),
    "knee_at_least": ("max_sustainable_rate_at_least",),
    "worse_at_most": ("metric_drop_at_most",),
    "slower_at_most": ("latency_ratio_at_most",),
    "errors_more_at_most": ("error_rate_increase_at_most",),
}
"""Keys of before 0.1, and what they are now; where there are several, that of the place."""


@dataclass(frozen=True)
class ContractFile:
    """A contract with the place it came from. Data paths are relative to that place."""

    path: Path
    contract: Contract
    digest: str
    """sha256 over the bytes of the file, as `sha256:<hex>`."""

    @cached_property
    def folder(self) -> Path:
        """Where the contract lies."""
        return self.path.resolve().parent

    def data_path(self, dataset: str) -> Path:
        """Return the one local file of a dataset (or `sealed_holdout`) that is read in place.

        Errors: `ContractError` for a dataset that has none.
        """
        given = self.contract.data.source(dataset)
        if not isinstance(given, Files) or given.remote:
            raise ContractError(f"data.{dataset} is no file here", str(self.path), "Run `weighin validate` as a whole.")
        return self.folder / given.path

    def demand_public_data(self) -> None:
        """Check that features, models and predictions may become artifacts, which others can download.

        Errors: `ContractError` where the contract does not allow it.
        """
        if not self.contract.data.public_data:
            raise ContractError(
                "features and models would become downloadable artifacts, and the contract does not allow it",
                str(self.path),
                "Set `data.public_data: true`, or run `weighin validate` where the data are.",
            )


def read_contract(path: Path) -> ContractFile:
    """Read and check a contract.

    Errors: `ContractError` with one line per problem, each `file:line: fact. remedy`.
    """
    try:
        raw = content(path)
    except Unreadable as error:
        raise ContractError(str(error), str(path), "Write a shorter contract.") from error
    except OSError as error:
        raise ContractError(
            error.strerror or "cannot be read", str(path), "Give the contract's path with --contract."
        ) from error
    try:
        root = yaml_nodes(raw)
        if not isinstance(root, yaml.MappingNode):
            raise ContractError("the contract is empty or not a mapping", str(path), "Start from model_contract.yaml.")
        problems = list(_repeated_keys(root, path))
        values = yaml_value(raw)
    except Unreadable as error:
        raise ContractError(f"not valid YAML: {error}", f"{path}:{error.line}", "Correct the line.") from error
    try:
        contract = Contract.model_validate(values)
    except ValidationError as error:
        problems += [_sentence(detail, root, path) for detail in _meant(error.errors(), root)]
        contract = None
    problems += _repeated_checks(contract, path) if contract else []
    if problems or contract is None:
        raise ContractErrors(list(dict.fromkeys(problems)))
    return ContractFile(path, contract, "sha256:" + hashlib.sha256(raw).hexdigest())


class ContractErrors(ContractError):
    """Several problems of one file."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(problems[0])

    def __str__(self) -> str:
        return "\n".join(self.problems)


def _repeated_keys(node: yaml.Node, path: Path) -> list[str]:
    found: list[str] = []
    if isinstance(node, yaml.MappingNode):
        seen: dict[Any, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                continue  # no key that a contract can have, which reading its value says
            if key.value in seen:
                found.append(f"{path}:{line}: `{key.value}` stands here and in line {seen[key.value]}. Keep one.")
            seen[key.value] = line
            found += _repeated_keys(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            found += _repeated_keys(item, path)
    return found


def _repeated_checks(contract: Contract, path: Path) -> list[str]:
    counts = Counter(check.id for check in checks(contract))
    found = [f"{path}: the check {name} is listed {n} times. Keep one." for name, n in counts.items() if n > 1]
    known = "Run `weighin contract check` for the list of checks."
    return found + [
        f"{path}: waivers: no check `{w.check}`. {known}" for w in contract.waivers if w.check not in counts
    ]


def _meant(details: list[ErrorDetails], root: yaml.Node) -> list[ErrorDetails]:
    """Return the errors without those of members of a union that were not meant.

    Of each union the member with the fewest errors is the one meant; one that wants another kind of value altogether
    (a name where a mapping stands) is meant only where all do.
    """
    deepest = max(len(_members(detail, root)) for detail in details)
    for depth in range(deepest):
        details = _meant_at(details, root, depth)
    return details


def _meant_at(details: list[ErrorDetails], root: yaml.Node, depth: int) -> list[ErrorDetails]:
    """Return the same, for the unions that are so deep within others."""
    found: dict[tuple[str, ...], dict[str, list[ErrorDetails]]] = {}
    kept: list[ErrorDetails] = []
    for detail in details:
        members = _members(detail, root)
        if len(members) > depth:
            at, member = members[depth]
            found.setdefault(at, {}).setdefault(member, []).append(detail)
        else:
            kept.append(detail)

    def misfit(of: list[ErrorDetails], at: tuple[str, ...]) -> tuple[bool, int, int]:
        another = any(d["type"].endswith("_type") and len(_walk(root, d["loc"])[2]) == len(at) for d in of)
        # A key that another member of the union knows says that this one was not meant.
        foreign = sum(d["type"] == "extra_forbidden" and d["loc"][-1] in _fields_at(list(at)) for d in of)
        return another, foreign, len(of)

    for at, by_member in found.items():
        least = min(misfit(of, at) for of in by_member.values())
        kept += [d for of in by_member.values() if misfit(of, at) == least for d in of]
    return sorted(kept, key=details.index)


def _members(detail: ErrorDetails, root: yaml.Node) -> list[tuple[tuple[str, ...], str]]:
    """Return the unions on the way to an error, each by its place and the member that the error is about."""
    loc = detail["loc"][:-1] if detail["type"] == "missing" else detail["loc"]
    walked = [_walk(root, loc[:n])[2] for n in range(len(loc) + 1)]
    return [(tuple(walked[n]), str(loc[n])) for n in range(len(loc)) if walked[n] == walked[n + 1]]


def _sentence(detail: ErrorDetails, root: yaml.Node, path: Path) -> str:
    node, key, walked = _walk(root, detail["loc"])
    line = (key or node).start_mark.line + 1
    where = ".".join(walked) or "the contract"
    if detail["type"] == "extra_forbidden":
        wrong = str(detail["loc"][-1])
        renamed = [name for name in RENAMED.get(wrong, ()) if name in _fields_at(walked[:-1])]
        if renamed:
            return f"{path}:{line}: unknown key `{wrong}`: since 0.1 it is `{renamed[0]}`."
        if wrong in _fields_at(walked[:-1]):
            place = ".".join(walked[:-1])
            return f"{path}:{line}: `{wrong}` does not go with the other keys of {place}. Leave it or the others out."
        near = difflib.get_close_matches(wrong, _fields_at(walked[:-1]), n=1, cutoff=0.4)
        remedy = f"Did you mean `{near[0]}`?" if near else f"Valid keys: {', '.join(_fields_at(walked[:-1]))}."
        return f"{path}:{line}: unknown key `{wrong}`. {remedy}"
    if detail["type"] == "missing":
        return f"{path}:{line}: `{detail['loc'][-1]}` is missing in {where}. Add it."
    message = detail["msg"].removeprefix("Value error, ").rstrip(".")
    given = detail["input"]
    shown = f", not {_quoted(given)}" if isinstance(given, (str, int, float, bool)) else ""
    return f"{path}:{line}: {where}: {message}{shown}."


def _quoted(given: object) -> str:
    """Return what stands in the contract, which somebody wrote by hand; of a long text its beginning."""
    text = repr(given[: SHOWN + 1] if isinstance(given, str) else given)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _walk(node: yaml.Node, loc: tuple[str | int, ...]) -> tuple[yaml.Node, yaml.Node | None, list[str]]:
    """Follow a pydantic location as far as the YAML goes; parts that are names of union members are not in it."""
    key: yaml.Node | None = None
    walked: list[str] = []
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            match = [(k, v) for k, v in node.value if k.value == str(part)]
            if match:
                key, node = match[0]
                walked.append(str(part))
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node, key = node.value[part], None
            walked.append(str(part))
    return node, key, walked


def _fields_at(walked: list[str]) -> list[str]:
    """Return the keys that a place of the contract may hold."""
    models: list[type[BaseModel]] = [Contract]
    for part in walked:
        found: list[type[BaseModel]] = []
        for model in models:
            if part in model.model_fields:
                found += _models_in(model.model_fields[part].annotation)
        # A number or a free name (a column) leads into the same model that its list or mapping already named.
        models = found or models
    return list(dict.fromkeys(name for model in models for name in model.model_fields))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
