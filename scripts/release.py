"""Check, describe and build a release of weigh-in itself. `.github/workflows/publish.yml` runs it.

    python scripts/release.py check --tag v0.2.0    the tag, the version and CHANGELOG.md agree
    python scripts/release.py notes                 prints the newest section of CHANGELOG.md
    python scripts/release.py version               prints the version in pyproject.toml
    python scripts/release.py build --out dist      writes the sdist and the wheel of the commit
    python scripts/release.py try dist/*.whl        installs the wheel into a new environment and runs it

With --dry-run there is no tag yet, the newest section may be `Unreleased`, and `build` leaves nothing. Exit code 1: not
releasable, with one sentence for each reason.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "weighin"
VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")
SECTION = re.compile(r"^## \[?(?P<name>[^\]\s]+)\]?(?: - (?P<date>\S+))?\s*$", re.MULTILINE)
UNRELEASED = "Unreleased"
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_{kind}(sys.argv[1]))"
SECONDS = 900


class NotReleasable(Exception):
    """Why not, one sentence a reason."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("\n".join(reasons))


@dataclass(frozen=True)
class Section:
    """The newest section of the changelog."""

    name: str
    date: str
    text: str


def git(root: Path, *words: str) -> str:
    """What git prints. Errors: `NotReleasable`."""
    ran = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=60, check=False)
    if ran.returncode:
        raise NotReleasable(f"{root}: git {words[0]} failed ({ran.stderr.strip()[:200]}): run this in a checkout.")
    return ran.stdout


def newest(root: Path) -> Section:
    """The first section of CHANGELOG.md. Errors: `NotReleasable` where there is none."""
    text = (root / "CHANGELOG.md").read_text()
    heads = list(SECTION.finditer(text))
    if not heads:
        raise NotReleasable("CHANGELOG.md has no section: add one with the heading `## VERSION - YYYY-MM-DD`.")
    end = heads[1].start() if len(heads) > 1 else len(text)
    return Section(heads[0]["name"], heads[0]["date"] or "", text[heads[0].end() : end].strip())


def project_version(root: Path) -> str:
    """The version in pyproject.toml."""
    return str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])


def package_version(root: Path) -> str:
    """The version that `weighin --version` prints; it is read, not imported."""
    for node in ast.parse((root / PACKAGE / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == ["__version__"]:
            return str(ast.literal_eval(node.value))
    return ""


def problems(root: Path, tag: str, dry_run: bool) -> Iterator[str]:
    """Every reason why this commit cannot be released, one sentence each."""
    if changed := git(root, "status", "--porcelain").splitlines():
        names = ", ".join(line[3:] for line in changed[:3]) + (" ..." if len(changed) > 3 else "")
        yield f"The checkout differs from its commit in {len(changed)} files ({names}): commit or remove them."
    version = project_version(root)
    if not VERSION.fullmatch(version):
        yield f"pyproject.toml has the version {version}, which is not X.Y.Z: correct it."
    if (own := package_version(root)) != version:
        yield f"{PACKAGE}/__init__.py has the version {own}, pyproject.toml has {version}: make them the same."
    if not dry_run and not tag:
        yield "No tag was named: give --tag, or --dry-run."
    if tag and tag != f"v{version}":
        yield f"The tag is {tag}, pyproject.toml has the version {version}: tag v{version}, or correct the version."
    section = newest(root)
    if section.name == UNRELEASED and dry_run:
        pass
    elif section.name != version:
        fact = f"The newest section of CHANGELOG.md is {section.name}, pyproject.toml has the version {version}"
        yield f"{fact}: name the section `{version} - YYYY-MM-DD`."
    elif not _is_date(section.date):
        yield f"The section {section.name} of CHANGELOG.md has no date: write `{section.name} - YYYY-MM-DD`."
    if not re.search(r"^- \S", section.text, re.MULTILINE):
        yield f"The section {section.name} of CHANGELOG.md is empty: say what a user notices."


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def check(root: Path, tag: str = "", *, dry_run: bool = False) -> str:
    """The version that may be released. Errors: `NotReleasable`."""
    if found := list(problems(root, tag, dry_run)):
        raise NotReleasable(*found)
    return project_version(root)


def tracked(root: Path) -> set[str]:
    """Files of the package, as the commit has them."""
    return set(git(root, "ls-files", PACKAGE).splitlines())


def build(root: Path, out: Path) -> list[Path]:
    """Write the sdist of the commit, and the wheel that is made of the sdist; returns both.

    Errors: `NotReleasable` where the checkout has changes, or the wheel lacks a file of the package.
    """
    if git(root, "status", "--porcelain"):
        raise NotReleasable("The checkout differs from its commit: commit or remove the changes.")
    out.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": git(root, "log", "-1", "--format=%ct").strip()}
    with tempfile.TemporaryDirectory(prefix="weighin-release-") as place:
        exported, unpacked = Path(place) / "exported", Path(place) / "unpacked"
        exported.mkdir()
        archive = subprocess.run(
            ["git", "-C", str(root), "archive", "HEAD"], capture_output=True, timeout=SECONDS, check=True
        )
        subprocess.run(["tar", "-x", "-C", str(exported)], input=archive.stdout, timeout=SECONDS, check=True)
        sdist = out / _backend("sdist", exported, out, environment)
        unpacked.mkdir()
        # By the program: before 3.11.4 Python's own library could not be told to refuse links and paths that lead out.
        subprocess.run(["tar", "-xzf", str(sdist), "-C", str(unpacked)], timeout=SECONDS, check=True)
        (source,) = unpacked.iterdir()
        wheel = out / _backend("wheel", source, out, environment)
    if wrong := differences(wheel, tracked(root)):
        raise NotReleasable(*wrong)
    return [sdist, wheel]


def _backend(kind: str, source: Path, out: Path, environment: dict[str, str]) -> str:
    """Let the build backend make one file; returns its name."""
    command = [sys.executable, "-I", "-c", BUILD.format(kind=kind), str(out.resolve())]
    ran = subprocess.run(
        command, cwd=source, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if ran.returncode:
        raise NotReleasable(f"The {kind} was not built: {(ran.stderr.strip().splitlines() or ['no message'])[-1]}.")
    return ran.stdout.splitlines()[-1]


def differences(wheel: Path, expected: set[str]) -> list[str]:
    """One sentence for each file that the wheel lacks, or has too many."""
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if not re.match(r"[^/]+\.dist-info/", name)}
    found = [f"{wheel.name} lacks {name}: add it to package-data in pyproject.toml." for name in expected - names]
    found += [f"{wheel.name} holds {name}, which the commit lacks: remove it." for name in names - expected]
    return sorted(found)


TRIAL = """
import json, sys
from pathlib import Path
import weighin
from weighin.doctor.callers import facts
from weighin.verdict.judge import CHECKS, CONFIGURATION
from weighin.report.html import template
from weighin.suites import data_quality

home = Path(weighin.__file__).resolve().parent
assert home.is_relative_to(Path(sys.prefix).resolve()), f"{home} is not of this environment"
assert "validate.yml" in facts()
for name in ("report.html.j2", "monitor.html.j2"):
    template(name)
for path in (CHECKS, CONFIGURATION, Path(data_quality.__file__).with_name("great_expectations.yml"), home / "py.typed"):
    assert path.is_file(), f"{path} is absent"
"""


def try_wheel(root: Path, wheel: Path, place: Path, packages: Path | None = None) -> Path:
    """Install the wheel into a new environment in `place`, and run it there; returns the environment's folder.

    packages  folder of installed dependencies that the environment may use; without it the locked ones are installed
    Errors: `NotReleasable` where one command does not do what it must.
    """
    environment, empty = place / "environment", place / "elsewhere"
    empty.mkdir(parents=True)
    _run(place, sys.executable, "-I", "-m", "venv", "--without-pip", str(environment))
    python = environment / "bin/python"
    pip = [sys.executable, "-I", "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    if packages is None:
        _run(place, *pip, "--require-hashes", "--requirement", str(root / "requirements.txt"))
    else:
        (site,) = environment.glob("lib/python3*/site-packages")
        # Lines of a .pth file that begin with `import`, like those of an editable install there, are not followed.
        (site / "dependencies.pth").write_text(f"{packages.resolve()}\n")
    # Without the index: nothing but the file is installed. The other environment may hold another weighin.
    _run(place, *pip, "--no-index", "--ignore-installed", str(wheel.resolve()))
    program = str(environment / "bin/weighin")
    _run(empty, str(python), "-I", "-c", TRIAL)
    version = project_version(root)
    if (answer := _run(empty, program, "--version").strip()) != f"weighin {version}":
        raise NotReleasable(f"`weighin --version` prints {answer!r}, expected `weighin {version}`.")
    _run(empty, program, "--help")
    json.loads(_run(empty, program, "contract", "schema"))
    _run(empty, program, "verify", str(root / "tests/record/golden/decision-v1.json"))
    return environment


def _run(folder: Path, *command: str) -> str:
    """What a command prints. Errors: `NotReleasable` where it fails."""
    # Nothing of this checkout, and no variable that names code, reaches it.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    ran = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["no message"])[-1]
        shown = " ".join(Path(c).name if "\n" not in c else "..." for c in command[:4])
        raise NotReleasable(f"`{shown}` ended with code {ran.returncode}: {last}")
    return ran.stdout


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(description="Check, describe and build a release of weigh-in itself.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, about in (
        ("check", "tag, version and changelog agree"),
        ("notes", "print the newest section of the changelog"),
        ("version", "print the version of the project"),
        ("build", "write the sdist and the wheel"),
        ("try", "install a wheel into a new environment and run it"),
    ):
        command = commands.add_parser(name, help=about)
        if name == "check":
            command.add_argument("--tag", default="", help="the tag of the release, vX.Y.Z")
        if name in ("check", "notes", "build"):
            command.add_argument("--dry-run", action="store_true", help="there is no tag yet; `build` leaves nothing")
        if name == "build":
            command.add_argument("--out", type=Path, default=Path("dist"))
        if name == "try":
            command.add_argument("wheel", type=Path)
            command.add_argument("--packages", type=Path, help="installed dependencies, in place of the locked ones")
    args = parser.parse_args(arguments)
    try:
        print(_done(root, args))
    except NotReleasable as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _done(root: Path, args: argparse.Namespace) -> str:
    if args.command == "check":
        return f"version {check(root, args.tag, dry_run=args.dry_run)} can be released"
    if args.command == "notes":
        section = newest(root)
        if not args.dry_run and section.name != project_version(root):
            raise NotReleasable(f"The newest section of CHANGELOG.md is {section.name}, not {project_version(root)}.")
        return section.text
    if args.command == "version":
        return project_version(root)
    with tempfile.TemporaryDirectory(prefix="weighin-release-") as place:
        if args.command == "try":
            try_wheel(root, args.wheel, Path(place), args.packages)
            return f"{args.wheel.name} works from an environment of its own"
        made = build(root, Path(place) if args.dry_run else args.out)
        return "\n".join(f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()} {path.name}" for path in made)


if __name__ == "__main__":
    sys.exit(main())
