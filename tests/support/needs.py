"""What the tests of a file need beyond this process: found in what the file and its support modules import.

A file that imports nothing of `STARTS` holds unit tests. Two marks are set in the files themselves: `integration` on a
single test that starts something in a file of unit tests, and the programs that the engine itself starts.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
SYSTEM = ("jvm", "browser", "kubectl", "prometheus", "docker", "workflow", "mlflow2", "airflow", "feast", "node")
"""Marks of tests that need a program which is not a Python package. `make test-all` runs them, `make test` does not."""
STARTS = frozenset(
    {
        # Processes, servers and sockets.
        *("subprocess", "multiprocessing", "socket", "socketserver", "http.server", "urllib.request", "asyncio"),
        *("support.forked", "support.loopback", "support.attack"),
        # Databases, stores and contexts.
        *("sqlite3", "psycopg", "mlflow", "great_expectations", "evidently", "pyspark", "selenium"),
        # Modules of the engine whose work is to start a process, or a context of Great Expectations.
        *(
            "weighin.verdict.judge",
            "weighin.runner.local",
            "weighin.suites.plugin",
            "weighin.release.policy",
            "weighin.record.provenance",
        ),
        *("weighin.model.shap", "weighin.data.arrow", "weighin.registry.mlflow"),
        # A DuckDB over files, and where a suite asks for it a context.
        "support.suite_work",
    }
)
MARKS = {
    "pyspark": "jvm",
    "support.spark_servers": "jvm",
    "selenium": "browser",
    "support.prometheus_server": "prometheus",
}


@functools.cache
def imported(path: Path) -> frozenset[str]:
    """Return the dotted names that a file imports, anywhere in it; `a.b` also as `a`."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_bytes())]
    while waiting:
        node = waiting.pop()
        # An import is a statement, and so is whatever it can stand in: expressions are most of a file.
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting.extend(getattr(node, part, ()))
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(
        ".".join(parts[: i + 1]) for name in found for parts in [name.split(".")] for i in range(len(parts))
    )


@functools.cache
def uses(path: Path) -> frozenset[str]:
    """Return what a file imports, and what the support modules import that it uses."""
    found: set[str] = set()
    waiting = [path]
    seen: set[Path] = set()
    while waiting:
        each = waiting.pop()
        seen.add(each)
        names = imported(each)
        found |= names
        for name in names:
            module = TESTS / f"{name.replace('.', '/')}.py"
            if name.startswith("support.") and module.is_file() and module not in seen:
                waiting.append(module)
    return frozenset(found)


def marks(path: Path) -> frozenset[str]:
    """Return the marks of all tests of a file: `unit` or `integration`, and what of `SYSTEM` its imports show."""
    used = uses(path)
    return frozenset({"integration" if used & STARTS else "unit", *(MARKS[name] for name in used & MARKS.keys())})
