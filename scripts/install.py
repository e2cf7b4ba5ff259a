"""Make the virtual environment, and install a locked file into it: one sentence for whatever is in the way.

    python3 scripts/install.py .venv requirements.txt ...

Standard library only, and no syntax newer than Python 3.6, so that an old Python can say that it is too old. uv
installs where it is at hand or locked, pip otherwise; nothing is compiled. What they print is kept in VENV/install.log.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)
SUPPORTED = "Python 3.11 to 3.13 is needed"
LOG = "install.log"
USERS = "requirements.txt"
"""The one file of which everything comes as a wheel. Some packages of a developer (pyspark) are published as source
only; they are pure Python, so that no compiler is needed for them either."""
CAUSES = (
    (
        r"No space left on device",
        "the disk is full: make room, then try again",
    ),
    (
        r"Read-only file system|Permission denied|EROFS|os error (13|30)\b",
        "a folder cannot be written to: make this checkout writable by you, then try again",
    ),
    (
        r"Temporary failure in name resolution|Name or service not known|Failed to establish a new connection|"
        r"Connection refused|Connection reset|Network is unreachable|ConnectTimeout|timed out|"
        r"[Ff]ailed to fetch|error sending request|dns error|client error \(Connect\)|ProxyError|tunnel error",
        "the package index cannot be reached: connect to the network, or name a mirror in PIP_INDEX_URL "
        "(UV_INDEX_URL for uv), then try again",
    ),
    (
        r"THESE PACKAGES DO NOT MATCH THE HASHES|[Hh]ash mismatch",
        "a package is not the one that was locked (its hash differs): use another index, or `make lock`",
    ),
    (
        r"No matching distribution|no wheels|no usable wheels|has no compatible wheel|building source distributions|"
        r"No solution found",
        "a package has no wheel for this machine, and nothing is compiled here: use Linux x86-64 or arm64, or macOS, "
        "with Python 3.11 to 3.13",
    ),
)


class Refused(Exception):
    """Why the installation cannot be done: a sentence."""


def supported(version):
    """Whether a version of Python will do."""
    return OLDEST <= tuple(version[:2]) <= NEWEST


def version_of(python):
    """The version of an interpreter, or nothing where it does not run."""
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", "import sys; print(*sys.version_info[:2])"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        found = done.stdout.decode().split()
        return (int(found[0]), int(found[1])) if len(found) == 2 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def make_environment(venv):
    """Make the virtual environment where there is none. Errors: `Refused`."""
    if venv.is_symlink() or venv.exists():
        there = version_of(venv / "bin/python")
        if there is None:
            raise Refused("{0} does not work, its Python is gone: remove it (rm -rf {0}), then try again".format(venv))
        if not supported(there):
            raise Refused(
                "{0} was made by Python {1}.{2}, and {3}: remove it (rm -rf {0}), then run "
                "make PYTHON=python3.12".format(venv, there[0], there[1], SUPPORTED)
            )
        return
    if not supported(sys.version_info):
        raise Refused(
            "{0}, this is {1}.{2}: make PYTHON=python3.12".format(SUPPORTED, sys.version_info[0], sys.version_info[1])
        )
    done = subprocess.run(
        [sys.executable, "-I", "-m", "venv", str(venv)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        shutil.rmtree(str(venv), ignore_errors=True)
        said = done.stdout.decode("utf-8", "replace")
        if "ensurepip" in said:
            raise Refused("this Python has no module venv: install it (Debian: apt-get install python3-venv)")
        raise Refused(cause_of(said) or "the virtual environment cannot be made: " + last_line(said))


def cause_of(printed):
    """Our sentence for what an installer printed, or nothing."""
    for pattern, sentence in CAUSES:
        if re.search(pattern, printed):
            return sentence
    return ""


def last_line(printed):
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def writable_cache(environment):
    """Whether the installers can write to their caches: a home that is read-only is no reason to fail."""
    home = environment.get("XDG_CACHE_HOME") or os.path.join(
        environment.get("HOME") or os.path.expanduser("~"), ".cache"
    )
    place = Path(home)
    while not place.exists() and place != place.parent:
        place = place.parent
    return place.is_dir() and os.access(str(place), os.W_OK)


def commands(venv, requirements, uv, environment):
    """What installs the locked files one after the other, and then this project."""
    python, keeps = str(venv / "bin/python"), writable_cache(environment)
    pip = [python, "-I", "-m", "pip", "--no-input", "--disable-pip-version-check", "install", "-q", "--no-deps"]
    found = []
    for name in requirements:
        wheels = name == USERS
        if uv:
            command = [uv, "pip", "install", "-q", "--no-deps", "--compile-bytecode", "--python", python]
            command += [] if keeps or environment.get("UV_CACHE_DIR") else ["--no-cache"]
            command += ["--no-build"] if wheels else []
        else:
            command = pip + ["--retries", "2", "--timeout", "15"] + ([] if keeps else ["--no-cache-dir"])
            command += ["--only-binary", ":all:"] if wheels else []
        found.append([*command, "--require-hashes", "-r", name])
    found.append([*pip, "--no-build-isolation", "-e", "."])
    return found


def locked_uv(requirements):
    """The lines of a locked file that name uv, or nothing."""
    for name in requirements:
        found = re.search(r"^uv==.*(?:\n[ \t].*)*", Path(name).read_text(), re.MULTILINE)
        if found:
            return found.group() + "\n"
    return ""


def own_uv(venv, requirements, environment):
    """The path of uv where the environment is to have it: installed first, it installs the rest faster than pip."""
    lines = locked_uv(requirements)
    if not lines:
        return None
    (venv / "uv.txt").write_text(lines)
    with open(str(venv / LOG), "ab") as log:
        command = commands(venv, [str(venv / "uv.txt")], None, environment)[0]
        code = subprocess.call(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment)
    return str(venv / "bin/uv") if not code else None


def install(venv, requirements, uv, environment):
    """Install. Errors: `Refused`."""
    if uv is None:
        uv = own_uv(venv, requirements, environment)
        if uv:
            try:
                return install(venv, requirements, uv, environment)
            except Refused:
                # It knows the settings of pip only in part, a mirror for example.
                uv = None
    with open(str(venv / LOG), "ab") as log:
        for command in commands(venv, requirements, uv, environment):
            begin = log.tell()
            code = subprocess.call(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
            if code:
                printed = (venv / LOG).read_bytes()[begin:].decode("utf-8", "replace")
                why = cause_of(printed) or "the installation ended with code {}: {}".format(code, last_line(printed))
                raise Refused(why)
    return None


def main(arguments):
    """Make and fill the environment; returns the exit code."""
    venv, requirements = Path(arguments[0]), arguments[1:]
    try:
        if not os.access(".", os.W_OK):
            raise Refused("this folder cannot be written to: make it writable by you, then try again")
        make_environment(venv)
        if requirements:
            install(venv, requirements, shutil.which("uv"), dict(os.environ))
    except OSError as error:
        print("weighin: install: {}".format(cause_of(str(error)) or error), file=sys.stderr)
        return 1
    except Refused as refused:
        log = venv / LOG
        print(
            "weighin: install: {}.{}".format(refused, " Log: {}".format(log) if log.is_file() else ""), file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
