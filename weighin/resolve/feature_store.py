"""Rows of a feature store: point-in-time values from Feast's offline store, fetched before anything else is resolved.

Feast runs in an environment of its own, which WEIGHIN_FEAST_PYTHON names: what it pins is not what weighin pins. The
repository may hold code (transformations), so that it is handed no credential of the registry and no key. That is no
wall, as it runs as the same user: its files are data that decide, which a pull request changes after a review only.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from weighin.contract.reading import ContractFile
from weighin.contract.sources import Feast, Files
from weighin.errors import NotEvaluated
from weighin.runner import variables
from weighin.runner.isolated import isolated
from weighin.untrusted import JsonDict
from weighin.untrusted.bounded import content, json_value
from weighin.untrusted.redact import cause

PYTHON = "WEIGHIN_FEAST_PYTHON"
"""Environment variable: the interpreter of an environment that has Feast."""
SECONDS = 1800
FACTS_BYTES = 2**20
HIDDEN = frozenset(
    {*variables.JUDGING, *variables.REGISTRY, *variables.SERVER, *variables.ENDPOINT, *variables.ADDRESSES}
) | {variables.LINES, "WEIGHIN_JUDGE_KEY"}


def fetched(file: ContractFile, work: Path, sealed: bool) -> tuple[ContractFile, dict[str, JsonDict]]:
    """Return the contract with a file in place of each feature store, and what is known of each.

    Errors: `NotEvaluated` where Feast is not there, or a repository does not give every row.
    """
    data = file.contract.data
    gate = file.contract.gates.data_quality
    online = gate.online.entities if gate and gate.online else 0
    sources: dict[str, Files] = {}
    facts: dict[str, JsonDict] = {}
    for dataset in ("reference", "holdout", "current", *(["sealed_holdout"] if sealed else [])):
        given = data.source(dataset)
        if isinstance(given, Feast):
            path = work / "data" / f"{dataset}-fetched.parquet"
            facts[dataset] = _fetch(file, dataset, given, path, online)
            sources[dataset] = Files.model_validate({"path": str(path.resolve())})
    if not sources:
        return file, {}
    contract = file.contract.model_copy(update={"data": data.model_copy(update=sources)})
    return replace(file, contract=contract), facts


def _fetch(file: ContractFile, dataset: str, given: Feast, path: Path, online: int) -> JsonDict:
    """Leave the rows at a path; return what is known of them. Errors: `NotEvaluated`."""
    of, place = given.feast, f"data.{dataset}.feast"
    python, repository = os.environ.get(PYTHON, ""), file.folder / of.repository
    if not python:
        remedy = "Install Feast in an environment of its own, and set it to that interpreter."
        raise NotEvaluated("no interpreter with Feast is named", PYTHON, remedy)
    if not (repository / "feature_store.yaml").is_file():
        raise NotEvaluated("no feature_store.yaml is there", f"{place}.repository", "Name the feature repository.")
    request = {
        "features": list(of.features),
        "entities": str((file.folder / of.entities).resolve()),
        "timestamp": of.timestamp,
        "online": online,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the place where the rows end: a temporary folder may be another disk, or small.
    with tempfile.TemporaryDirectory(prefix="feast-", dir=path.parent.resolve()) as scratch:
        told, out = Path(scratch) / "request.json", Path(scratch) / "out"
        out.mkdir()
        told.write_text(json.dumps(request))
        command = [python, "-I", str(Path(__file__).with_name("in_feast.py")), str(told), str(out)]
        facts = _run(command, repository, out / "facts.json", place)
        if facts["problem"]:
            raise NotEvaluated(str(facts["problem"]), place, "Correct the contract, or apply the repository.")
        rows = out / "rows.parquet"
        if rows.is_symlink() or not rows.is_file():
            raise NotEvaluated("Feast left no file of rows", place, "Look for code in the repository that removes it.")
        rows.replace(path)
    return facts


def _run(command: list[str], folder: Path, facts: Path, place: str) -> JsonDict:
    """Run Feast's side; return its facts. Errors: `NotEvaluated`, without what it printed."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=_environment(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotEvaluated(f"Feast did not run ({cause(error)})", place, f"Correct {PYTHON}.") from None
    try:
        found = json_value(content(facts, FACTS_BYTES))
        if not isinstance(found, dict) or not isinstance(found["problem"], str):
            raise ValueError
    except (OSError, ValueError, KeyError):
        said = f"Feast left no account of the rows (it ended with code {done.returncode})"
        raise NotEvaluated(said, place, f"Install Feast for the interpreter of {PYTHON}.") from None
    return found


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {n: v for n, v in isolated(environment).items() if n not in HIDDEN} | {"FEAST_USAGE": "False"}
