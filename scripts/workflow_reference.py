"""Write docs/reference/workflows.md and weighin/doctor/workflows.json from workflows and actions: `... [--check]`.

One row a line, in the order of the files, so that two branches that change two inputs merge; after any other merge, run
it again.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGE, FACTS = Path("docs/reference/workflows.md"), Path("weighin/doctor/workflows.json")
HEAD = """# The reusable workflows and actions

Generated from `.github/workflows` and `actions` by `python scripts/workflow_reference.py`; edit
those, not this page. How to call them: [adopting](../how-to/adopting.md).
"""
_GRANTED = re.compile(r"^# +permissions: \{(.+)\}$", re.MULTILINE)
_PERMISSION = re.compile(r" {6}([a-z-]+): (read|write|none) # (.+)$")


def reusable(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every workflow that others may call, in the order of names, with `on` as a key (YAML 1.1 reads it as true)."""
    for path in sorted((root / ".github/workflows").glob("*.yml")):
        value = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
        value["on"] = value.pop(True)
        if isinstance(value["on"], dict) and "workflow_call" in value["on"]:
            yield path, value


def actions(root: Path) -> Iterator[tuple[str, Path, dict[str, Any], dict[str, str]]]:
    """Every action for a step of a caller's job: folder, file, content, and what its job must grant.

    The permissions stand in the example that the file begins with.
    """
    for path in sorted((root / "actions").glob("*/action.yml")):
        text = path.read_text()
        (granted,) = _GRANTED.findall(text)
        pairs = (pair.split(": ") for pair in granted.split(", "))
        yield f"actions/{path.parent.name}", path, yaml.safe_load(text), dict(sorted((k, v) for k, v in pairs))


def reasons(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """Job, permission, access and reason, as they stand in the file."""
    job = inside = ""
    for line in path.read_text().splitlines():
        if re.match(r"\S", line):
            inside = line.split(":")[0]
        elif inside == "jobs" and (found := re.match(r" {2}([\w-]+):", line)):
            job = found[1]
        elif inside == "jobs" and (found := _PERMISSION.match(line)):
            yield job, found[1], found[2], found[3]


def purpose(path: Path) -> str:
    """The first paragraph of the comment that a file begins with."""
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("# "):
            break
        lines.append(line[2:])
    return " ".join(lines)


def needed(workflow: dict[str, Any]) -> dict[str, str]:
    """What a caller must grant: the most that any job asks for."""
    found: dict[str, str] = {}
    for job in workflow["jobs"].values():
        for name, access in job.get("permissions", {}).items():
            found[name] = "write" if "write" in (access, found.get(name)) else access
    return dict(sorted(found.items()))


def cell(value: object) -> str:
    """A text inside a table."""
    return " ".join(str(value).split()).replace("|", "\\|")


def page(root: Path) -> str:
    """The page."""
    parts = [HEAD]
    for path, workflow in reusable(root):
        call = workflow["on"]["workflow_call"] or {}
        granted = ", ".join(f"{name}: {access}" for name, access in needed(workflow).items())
        parts.append(f"\n## {path.name}\n\n{purpose(path)}\n\nThe calling job grants `permissions: {{{granted}}}`.\n")
        parts.append(
            table(
                "input | type | default | what it is",
                [
                    f"`{name}` | {given['type']} | {default(given)} | {cell(given['description'])}"
                    for name, given in call.get("inputs", {}).items()
                ],
            )
        )
        parts.append(
            table(
                "secret | required | what it is",
                [
                    f"`{name}` | {'yes' if given.get('required') else 'no'} | {cell(given['description'])}"
                    for name, given in call.get("secrets", {}).items()
                ],
            )
        )
        parts.append(
            table(
                "output | what it is",
                [f"`{name}` | {cell(given['description'])}" for name, given in call.get("outputs", {}).items()],
            )
        )
        rows = [f"`{job}` | `{name}: {access}` | {cell(why)}" for job, name, access, why in reasons(path)]
        parts.append(table("job | permission | why", rows))
    for name, path, action, wanted in actions(root):
        granted = ", ".join(f"{key}: {access}" for key, access in wanted.items())
        parts.append(f"\n## {name}\n\n{purpose(path)}\n\nIts job grants `permissions: {{{granted}}}`.\n")
        rows = [f"`{key}` | {default(given)} | {cell(given['description'])}" for key, given in action["inputs"].items()]
        parts.append(table("input | default | what it is", rows))
    return "".join(parts)


def default(given: dict[str, Any]) -> str:
    """The default of an input, or that there is none."""
    if given.get("required"):
        return "required"
    return f"`{json.dumps(given['default'])}`" if "default" in given else "none"


def table(head: str, rows: list[str]) -> str:
    """A table, or nothing where it would have no row."""
    if not rows:
        return ""
    rule = "|".join("---" for _ in head.split("|"))
    return "\n" + "\n".join([f"| {head} |", f"|{rule}|", *(f"| {row} |" for row in rows)]) + "\n"


def facts(root: Path) -> str:
    """What `weighin doctor` has to know of them: permissions to grant, names of jobs, variables they read."""
    found = {
        path.name: {
            "permissions": needed(workflow),
            "variables": sorted(set(re.findall(r"\bvars\.(\w+)", path.read_text()))),
            "jobs": [str(job.get("name", name)) for name, job in workflow["jobs"].items()],
        }
        for path, workflow in reusable(root)
    }
    for name, _, _, wanted in actions(root):
        found[name] = {"permissions": wanted, "variables": [], "jobs": []}
    return json.dumps(found, indent=2, sort_keys=True) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write both files, or say with --check which differs; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write the reference of the reusable workflows.")
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where a file differs")
    given = parser.parse_args(arguments)
    differs = []
    for path, text in ((PAGE, page(ROOT)), (FACTS, facts(ROOT))):
        if (ROOT / path).is_file() and (ROOT / path).read_text() == text:
            continue
        differs.append(str(path))
        if not given.check:
            (ROOT / path).write_text(text)
    for name in differs:
        print(f"{name}: " + ("not what the workflows say. Run it without --check." if given.check else "written"))
    return 1 if given.check and differs else 0


if __name__ == "__main__":
    sys.exit(main())
