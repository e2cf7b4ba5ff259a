"""Build an environment of the packages that a model declares: wheels only, resolved once with hashes. Standard library.

    python3 -I .../weighin/runner/prepare.py REQUIREMENTS FOLDER [--complete]

It runs where there is a network and neither the model, nor data, nor a secret, and no code of a package runs: wheels
are unpacked, and the environment's own interpreter, which runs what a package leaves in a .pth file, is not started
before the model is asked. In FOLDER it leaves `env/`, a virtual environment, `lock.txt`, what was resolved with hashes,
and `packages.json`, what it holds.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

LOCK, ENV, PACKAGES, ASKED, CACHE = "lock.txt", "env", "packages.json", "asked.txt", "cache"
NEEDED = ("mlflow", "pandas", "pyarrow")
"""What asking a model takes, where its requirements do not name it."""
_LINE = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]{0,99})\s*(\[[A-Za-z0-9._, -]*\])?"
    r"\s*((?:[<>=!~]=?=?\s*[A-Za-z0-9.*+!_-]+\s*,?\s*)*)(;[A-Za-z0-9_.'\"<>=!() ~-]*)?"
)
"""A package with versions and a condition. Addresses, paths and options of an installer are none."""
_LOCKED = re.compile(r"^([a-z0-9][a-z0-9.-]*)==([A-Za-z0-9.+!]+)", re.MULTILINE)
_NO_WHEEL = re.compile(r"(?:building|source distribution|no (?:usable )?wheels?|--no-build)", re.IGNORECASE)
_PASSWORD = re.compile(r"//[^/\s@]*@")
_LETTERS, LINE, LINES = 400, 300, 500
"""Letters of a message, letters of a line of requirements.txt, and lines of it."""


class Refused(ValueError):
    """No environment can be made; the text says why, and which package."""


def asked(text: str) -> list[str]:
    """Return the lines of a requirements.txt that name packages. Errors: `Refused` for one that names something else.

    >>> asked("mlflow==3.1 # why\\n\\nscikit-learn>=1.2,<2; python_version < '4'")
    ['mlflow==3.1', "scikit-learn>=1.2,<2; python_version < '4'"]
    """
    found: list[str] = []
    for number, written in enumerate(text.splitlines(), 1):
        if number > LINES or len(written) > LINE:
            raise Refused(f"requirements.txt has more than {LINES} lines, or {LINE} letters in one")
        line = written.partition(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        if not _LINE.fullmatch(line):
            raise Refused(f"line {number} of requirements.txt is no package with a version: no address, path or option")
        found.append(line)
    return found


def complete(lines: list[str]) -> list[str]:
    """Return the same with what asking a model takes."""
    named = {re.split(r"[\s\[<>=!~;]", line, maxsplit=1)[0].lower().replace("_", "-") for line in lines}
    return [*lines, *(name for name in NEEDED if name not in named)]


def environment(given: dict[str, str], pip_conf: Path = Path("/etc/pip.conf")) -> dict[str, str]:
    """Return the variables for uv: those of the machine, and the index and certificate that pip would use."""
    found = {k: v for k, v in given.items() if k.startswith(("UV_", "SSL_")) or k in ("PATH", "HOME", "TMPDIR", "LANG")}
    read = configparser.ConfigParser(interpolation=None)
    try:
        read.read(pip_conf)
    except (configparser.Error, OSError, UnicodeDecodeError):
        read = configparser.ConfigParser()
    index = given.get("PIP_INDEX_URL") or read.get("global", "index-url", fallback="")
    cert = given.get("PIP_CERT") or read.get("global", "cert", fallback="")
    if index:
        found.setdefault("UV_DEFAULT_INDEX", index)
    if cert and Path(cert).is_file():
        found.setdefault("SSL_CERT_FILE", cert)
    # No configuration of a folder or user, and hard links only where the cache is on the same disk.
    return {**found, "UV_NO_CONFIG": "1", "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}


def build(requirements: Path, folder: Path, uv: str, python: str, *, completed: bool) -> None:
    """Build the environment in a folder. Errors: `Refused`."""
    with requirements.open(encoding="utf-8") as file:
        lines = asked(file.read(LINE * LINES + 1))
    variables = environment(dict(os.environ))
    (folder / ASKED).write_text("\n".join(complete(lines) if completed else lines) + "\n")
    env = folder / ENV
    wheels, hashes = ["--only-binary", ":all:"], ["--no-header", "--no-annotate", "--generate-hashes"]
    inside, lock = ["--python", str(env / "bin/python")], str(folder / LOCK)
    asks = [str(folder / ASKED), "--output-file", lock, "--python", python]
    steps = (
        ("resolved", ["pip", "compile", *asks, *hashes, *wheels]),
        ("made", ["venv", "--relocatable", "--python", python, str(env)]),
        ("installed", ["pip", "sync", *inside, "--require-hashes", *wheels, lock]),
    )
    for what, step in steps:
        done = subprocess.run(
            [uv, *step, "--quiet"], capture_output=True, text=True, env=variables, check=False, errors="replace"
        )
        if done.returncode:
            raise Refused(f"the packages that the model declares cannot be {what}: {said(done.stderr)}")
    shutil.rmtree(folder / CACHE, ignore_errors=True)
    (folder / PACKAGES).write_text(json.dumps(dict(_LOCKED.findall((folder / LOCK).read_text()))))
    # By this interpreter: uv would let that of the environment do it, which runs the packages' .pth files at its start.
    compiled = [python, "-I", "-m", "compileall", "-q", "-j", "0", str(env / "lib")]
    subprocess.run(compiled, capture_output=True, env=variables, check=False)


def said(printed: str) -> str:
    """Return what uv printed as one line, with the reason that a reader needs."""
    text = re.sub(r"[^\x20-\x7e]+", " ", re.sub(r"\x1b\[[0-9;]*m", "", printed))
    text = _PASSWORD.sub("//", re.sub(r"\s+", " ", text)).strip() or "it said nothing"
    more = "; only wheels are taken, since building a package would run its code" if _NO_WHEEL.search(text) else ""
    return text[:_LETTERS] + more


def found_uv() -> str:
    """Return the program uv: that beside this interpreter, or one on the path. Errors: `Refused`."""
    beside = Path(sys.executable).parent / "uv"
    known = str(beside) if beside.is_file() else shutil.which("uv")
    if not known:
        raise Refused("uv is not installed, which makes environments of models: pip install uv")
    return known


def main() -> int:
    """Build what the command line names; returns the exit code."""
    requirements, folder = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        build(requirements, folder, found_uv(), sys.executable, completed="--complete" in sys.argv[3:])
    except (Refused, OSError, UnicodeDecodeError) as error:
        print(
            str(error)
            if isinstance(error, Refused)
            else f"{type(error).__name__} {getattr(error, 'strerror', None) or ''}",
            file=sys.stderr,
        )
        return 7
    return 0


if __name__ == "__main__":
    sys.exit(main())
