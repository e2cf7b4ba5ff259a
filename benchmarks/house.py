"""Measure how the code is arranged: rooms, cycles, long functions, types, docstrings, words.

    python benchmarks/house.py

Reads the files of `weighin/`, and imports none of them. The last line is one JSON object:

modules_loose             modules beside the packages
package_cycles            groups of packages that import each other
layer_exceptions          imports against the order of CONTRIBUTING.md
functions_over_50_lines   signature, docstring and body counted
any_in_public_signatures  public functions and methods with `Any` in an annotation
docstring_share           of public modules, classes, functions and methods
banned_words              places where a word of docs/words.txt stands
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "weighin"
sys.path.insert(0, str(ROOT / "scripts"))

from banned_words import found_words

LONG = 50
Function = ast.FunctionDef | ast.AsyncFunctionDef


def trees() -> dict[Path, ast.Module]:
    """Return every module of the package, parsed."""
    return {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def package(path: Path) -> str:
    """Return the name of the package, or of the loose module, that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def edges(modules: dict[Path, ast.Module]) -> dict[str, set[str]]:
    """Return which packages a package imports."""
    found: dict[str, set[str]] = defaultdict(set)
    for path, tree in modules.items():
        if path.parent == PACKAGE and path.stem in ("__init__", "__main__"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("weighin."):
                found[package(path)].add((node.module or "").split(".")[1])
    return {name: targets - {name} for name, targets in found.items()}


def cycles(graph: dict[str, set[str]]) -> int:
    """Return how many groups of packages reach each other."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for target in graph.get(waiting.pop(), set()) - seen:
                seen.add(target)
                waiting.append(target)
        return seen

    reach = {name: reached(name) for name in graph}
    groups = {
        frozenset({n for n in reach[name] if name in reach.get(n, set())}) for name in graph if name in reach[name]
    }
    return len(groups)


def against_the_order(graph: dict[str, set[str]]) -> int:
    """Return how many imports between packages point upwards in the table of CONTRIBUTING.md."""
    order = re.findall(r"^\| `(\w+)` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    return sum(order.index(t) >= order.index(name) for name, targets in graph.items() for t in targets)


def public(tree: ast.AST, hidden: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Yield classes and functions of a module, and whether they are public; nothing of what a function defines."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            private = hidden or node.name.startswith("_")
            yield node, not private
            if isinstance(node, ast.ClassDef):
                yield from public(node, private)


def has_any(function: Function) -> bool:
    """Return whether `Any` stands in a signature."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    annotations = [a.annotation for a in every if a is not None] + [function.returns]
    return any(
        isinstance(part, ast.Name) and part.id == "Any"
        for annotation in annotations
        if annotation is not None
        for part in ast.walk(annotation)
    )


def main() -> None:
    """Print the numbers, and what stands behind those that should be small."""
    modules = trees()
    graph = edges(modules)
    long, loose_types, documented = [], [], []
    for path, tree in modules.items():
        place = path.relative_to(ROOT)
        documented.append(bool(ast.get_docstring(tree)))
        for node, is_public in public(tree):
            name = f"{place}:{node.lineno} {node.name}"  # type: ignore[attr-defined]
            if isinstance(node, Function):
                lines = (node.end_lineno or 0) - node.lineno + 1
                long += [f"{name}: {lines} lines"] if lines > LONG else []
                loose_types += [name] if is_public and has_any(node) else []
            if is_public:
                documented.append(bool(ast.get_docstring(node)))  # type: ignore[arg-type]
    words = found_words()
    for title, listed in (("long functions", long), ("`Any` in public signatures", loose_types), ("words", words)):
        print(f"{title}: {len(listed)}", *(f"  {line}" for line in listed[:60]), sep="\n")
    loose = [p for p in PACKAGE.glob("*.py") if p.stem not in ("__init__", "__main__")]
    numbers = {
        "modules_loose": len(loose),
        "package_cycles": cycles(graph),
        "layer_exceptions": against_the_order(graph),
        "functions_over_50_lines": len(long),
        "any_in_public_signatures": len(loose_types),
        "docstring_share": round(sum(documented) / len(documented), 4),
        "banned_words": len(words),
    }
    print(json.dumps(numbers))


if __name__ == "__main__":
    main()
