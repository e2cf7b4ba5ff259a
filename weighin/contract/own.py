"""What a team adds: suites of its own, tests beside ours in the file of a gate, and metrics.

All of it is code of the repository. The judge of our own suites never imports it: it runs in a judge of its own, whose
outcomes can add checks that block and can change none of ours (weighin/verdict/judge.py).
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from weighin.contract.models import Contract
from weighin.contract.parts import CUSTOM_METRIC
from weighin.errors import ContractError

FOLDER = "validation_tests"
GATES = ("data_quality", "performance", "drift", "explainability", "load", "shadow", "sealed")
TAKEN = ("approvals",)
"""Names of other folders beside the reports of the suites."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,60}")
LARGEST = 8_000
"""Bytes of a gate's file; a larger one holds more than our test."""
OURS = ast.dump(ast.parse("assert outcome.goes_on, outcome").body[0])


def own_suites(folder: Path) -> tuple[str, ...]:
    """Names of the suites in `validation_tests/test_<name>.py` below the contract's folder that are none of ours.

    One that is there is demanded, as if it were a gate.
    Errors: `ContractError` for a name that cannot be that of a job.
    """
    found = []
    for path in sorted((folder / FOLDER).glob("test_*.py")):
        name = path.stem.removeprefix("test_")
        if name in GATES:
            continue
        if not NAME.fullmatch(name) or name in TAKEN:
            raise ContractError(
                f"`{name[:80]}` cannot be the name of a suite", str(path), "Use letters, digits and underscores."
            )
        found.append(name)
    return tuple(found)


def suite_file(folder: Path, suite: str) -> Path:
    """Return the file of a suite in the repository; that of a gate need not exist."""
    return folder / FOLDER / f"test_{suite}.py"


def runs_own_code(folder: Path, contract: Contract, suite: str) -> bool:
    """Whether a suite needs code of the repository: tests of its own, or a custom metric."""
    return suite not in GATES or _has_own_tests(suite_file(folder, suite)) or custom_metrics(contract, suite)


def custom_metrics(contract: Contract, suite: str) -> bool:
    """Whether checks of a suite measure with a function of the repository."""
    gate = contract.gates.performance
    used = gate is not None and any(m.startswith(CUSTOM_METRIC) for m in gate.metrics)
    return used and suite in ("performance", "sealed")


def _has_own_tests(path: Path) -> bool:
    """Whether a gate's file holds anything besides our one test, so that it has to be run."""
    try:
        data = path.read_bytes() if path.stat().st_size <= LARGEST else None
    except FileNotFoundError:
        return False
    if data is None:
        return True
    try:
        module = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    return not all(_is_plain(node) or is_ours(node) for node in module.body)


def is_ours(node: ast.stmt) -> bool:
    """Whether a function is the one test of a gate's file: `assert outcome.goes_on, outcome`, and nothing else."""
    if not isinstance(node, ast.FunctionDef) or node.decorator_list:
        return False
    body = [part for part in node.body if not _is_text(part)]
    named = [a.arg for a in node.args.args]
    return named == ["outcome"] and not node.args.defaults and [ast.dump(part) for part in body] == [OURS]


def _is_plain(node: ast.stmt) -> bool:
    """Whether a statement of a module is its docstring, or gives `SUITE` its name."""
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
        return [ast.dump(t) for t in node.targets] == [ast.dump(ast.Name("SUITE", ast.Store()))]
    return _is_text(node)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
