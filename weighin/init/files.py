"""What `weighin init` writes: a contract with its Great Expectations suite, or a small repository."""

from __future__ import annotations

import shlex
from pathlib import Path

from weighin.contract.reading import read_contract
from weighin.errors import ContractError
from weighin.init.draft import Drafted, Request
from weighin.suites.expectations import write_suite


def write_contract(path: Path, text: str, ours: str = "") -> None:
    """Write a contract where none is, and the Great Expectations suite of it.

    ours  the text that was written there before, by the same command: that alone is replaced
    Errors: `ContractError`.
    """
    if ours and path.read_text(encoding="utf-8") == ours:
        path.unlink()
    _write_new(path, text)
    file = read_contract(path)
    write_suite(file.contract, file.folder, check=False)


def next_steps(request: Request, drafted: Drafted) -> list[str]:
    """Return what to do with a draft that was written, in lines."""
    contract = [] if request.path.name == "model_contract.yaml" else ["--contract", request.path.name]
    candidate = ["--candidate", request.model] if request.model else []
    lines = [f"{request.path} is written, and great_expectations/expectations/contract.json from it."]
    if drafted.broken:
        lines.append(f"{len(drafted.broken)} of its checks do not pass on these data and this model:")
        lines += [f"  {o.check}: {o.status.value}, {o.reason}" for o in drafted.broken[:10]]
        lines.append("Correct the data, or the limit where it is wrong.")
    lines.append("Next: read the comments, which ask what no data answer, then")
    lines.append(f"  {shlex.join(['weighin', 'validate', *contract, *candidate])}")
    return lines


def _write_new(path: Path, text: str) -> None:
    """Errors: `ContractError` where something is there already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ContractError("it exists, and is not overwritten", str(path), "Give another place.") from None
