"""`weighin doctor`: whether a repository is set up as docs/how-to/adopting.md says."""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path

from weighin.cli.parser import example
from weighin.errors import ContractError

INCONCLUSIVE = 6
UNNAMED = "no repository was named"
NAME_IT = "Give --repository OWNER/REPO, and a token in WEIGHIN_GITHUB_TOKEN that may read its settings."


def add_doctor(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin doctor`."""
    command.add_argument("--repository", default="", metavar="OWNER/REPO", help="ask GitHub about its settings as well")
    command.add_argument("--json", action="store_true", help="as JSON")
    command.add_argument(
        "--contract",
        type=Path,
        default=Path("model_contract.yaml"),
        help="the contract, or a pattern of several such as 'models/*/model_contract.yaml' (%(default)s)",
    )
    example(command, "GITHUB_TOKEN=... weighin doctor --repository octocat/flight-delay")
    command.set_defaults(run=run_doctor)


def run_doctor(given: argparse.Namespace) -> int:
    """Print a line for each finding; 1 where something is missing, 6 where something could not be told, else 0."""
    from weighin.doctor import CANNOT_TELL, MISSING, check_files, check_settings
    from weighin.doctor.callers import read_workflows
    from weighin.doctor.finding import cannot_tell
    from weighin.github.client import GitHub

    root = Path()
    repository = given.repository or os.environ.get("GITHUB_REPOSITORY", "")
    if repository and not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", repository):
        raise ContractError("not OWNER/REPO", "--repository", "Give it like octocat/flight-delay.")
    contracts = _contracts(given.contract)
    for contract in contracts:
        if not contract.resolve().is_relative_to(root.resolve()):
            raise ContractError("outside this folder", str(contract), "Run this at the root of the repository.")
    try:
        github = GitHub.of(os.environ)
    except ValueError as error:
        raise ContractError(str(error), "environment", "Correct the variable.") from None
    workflows = read_workflows(root)
    found = check_files(root, contracts[0], workflows, *contracts[1:])
    found += check_settings(github, repository, workflows)
    counts = {status: sum(f.status == status for f in found) for status in ("ok", MISSING, CANNOT_TELL)}
    code = 1 if counts[MISSING] else INCONCLUSIVE if counts[CANNOT_TELL] else 0
    if given.json:
        listed = [vars(f) for f in found]
        print(json.dumps({"schema": "weighin/doctor/v1", "repository": repository, "findings": listed, "exit": code}))
        return code
    # Without a repository all of GitHub's settings are unknown for one reason.
    folded = [f for f in found if f.status == CANNOT_TELL and f.said == UNNAMED]
    for finding in found:
        if finding not in folded:
            print(finding)
    if folded:
        names = ", ".join(f.check for f in folded)
        print(cannot_tell("settings", f"no repository was named, so nothing is known of {names}", NAME_IT))
    print(", ".join(f"{n} {status}" for status, n in counts.items()))
    return code


def _contracts(given: Path) -> list[Path]:
    """Return the contract that was named, or those that a pattern matches. Errors: `ContractError` where none does."""
    if given.exists() or not re.search(r"[*?\[]", str(given)):
        return [given]
    pattern = str(given)
    found = [] if given.is_absolute() or ".." in given.parts else sorted(Path().glob(pattern))
    if not found:
        raise ContractError("no contract matches", pattern, "Give a pattern below this folder, in quotes.")
    return found


COMMANDS = {"doctor": add_doctor}
