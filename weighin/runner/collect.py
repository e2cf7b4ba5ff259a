"""What a container leaves is hostile until the host has copied it, file by file, into a fresh folder.

A container writes to a *raw* folder and to nothing else. When the container is gone, `take` copies from it the regular
files of the expected names, and refuses everything if there is anything else. Nobody uploads, mounts or reads the raw
folder. No name or content of a refused file stands in a message: a model may write what it has read into a name.
Standard library only.

    python3 -I HOST/weighin/runner collect suites --from DIR --to DIR --measure JSON --prefix TEXT --suffix TEXT

takes from the artifacts of a run those of the suites that were to run: a job of the caller may leave others.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import unicodedata
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RAW = Path(".weighin/raw")
"""Where raw folders lie, below the current folder: never below a folder that a workflow uploads."""
CHUNK = 2**20
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NAME_BYTES = 200


@dataclass(frozen=True)
class Allowed:
    """What may be left.

    names  regular expression that the whole path of each file (with `/`) must match
    files  most entries, folders included
    size   most bytes of all files together
    depth  most folders on the way to a file
    """

    names: str
    files: int = 64
    size: int = 64 * 2**20
    depth: int = 0


class Refused(Exception):
    """What was left is not what is allowed; the text says why, without a name or a content of it."""


ANY_NAME = r"[^\x00-\x1f\x7f\\]+"
"""For folders whose file names the engine does not choose: files of models, and MLflow's own."""
FAILING_KEYS = "failing_keys"
"""Folder of a suite's reports: the keys of rows that break a rule, where the contract asks for them."""
PREDICTIONS = Allowed(r"[A-Za-z0-9_]+\.arrow", files=32, size=600 * 2**20)
LOAD = Allowed(r"[A-Za-z0-9_.-]+", files=64, size=600 * 2**20)
SUITE = Allowed(r"[A-Za-z0-9_./-]+", files=5_000, size=256 * 2**20, depth=12)
OWN_TESTS = Allowed(r"(outcomes\.json|junit\.xml)", files=8, size=64 * 2**20)
TREE = Allowed(ANY_NAME, files=50_000, size=16 * 2**30, depth=24)


def take(raw: Path, fresh: Path, allowed: Allowed) -> None:
    """Copy what a container left in `raw` to `fresh`, which is made anew, and remove `raw`.

    Errors: `Refused`; `fresh` is then empty.
    """
    remove(fresh)
    fresh.mkdir(parents=True)
    try:
        _copy(raw, fresh, allowed)
    except (Refused, OSError) as error:
        remove(fresh)
        fresh.mkdir(parents=True)
        raise (
            error if isinstance(error, Refused) else Refused(f"it could not be read ({type(error).__name__})")
        ) from None
    finally:
        remove(raw)


def surplus(folder: Path, allowed: Allowed) -> str:
    """Why a folder that a container still writes to holds too much already, or nothing.

    The walk ends at the first limit, whatever the container goes on to write.
    """
    try:
        for _ in _walk(folder, allowed, names=False):
            pass
    except Refused as refused:
        return str(refused)
    return ""


@contextlib.contextmanager
def raw_folder(name: str) -> Iterator[Path]:
    """Yield a new folder for a container to write to; removed at the end, whatever happens.

    Errors: `Refused` where the repository itself holds a link in its place.
    """
    for part in (RAW.parent, RAW):
        if part.is_symlink():
            raise Refused(f"{part} is a symbolic link of the repository")
    folder = Path.cwd() / RAW / f"{name}-{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        remove(folder)


def remove(path: Path) -> None:
    """Remove a file, a link (not what it names) or a folder, however deep and whatever its modes are."""
    if not os.path.lexists(path):
        return
    for _ in range(2):
        # `rm` needs no recursion of this process and no path longer than the system takes.
        subprocess.run(["rm", "-rf", "--", str(path)], check=False, capture_output=True, timeout=600)
        if not os.path.lexists(path):
            return
        subprocess.run(["chmod", "-R", "u+rwX", "--", str(path)], check=False, capture_output=True, timeout=600)
    shutil.rmtree(path)


def _copy(raw: Path, fresh: Path, allowed: Allowed) -> None:
    left = allowed.size
    for parent, entry, path in _walk(raw, allowed, names=True):
        target = fresh / path
        target.parent.mkdir(parents=True, exist_ok=True)
        left -= _copy_file(parent, entry, target, left)


def _copy_file(parent: int, entry: os.DirEntry[str], target: Path, most: int) -> int:
    """Copy one regular file through its descriptor; returns its bytes. Errors: `Refused`."""
    source = os.open(entry.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    with open(source, "rb", buffering=0) as read:
        _must_be_a_file(os.fstat(read.fileno()))
        total = 0
        with target.open("xb") as write:
            while chunk := read.read(CHUNK):
                total += len(chunk)
                if total > most:
                    raise Refused("it holds more bytes than it may")
                write.write(chunk)
    return total


def _walk(folder: Path, allowed: Allowed, *, names: bool) -> Iterator[tuple[int, os.DirEntry[str], str]]:
    """Each file with a descriptor of its folder and its path below `folder`. Errors: `Refused` at the first limit.

    names  whether names and kinds count as well, not only number, depth and size
    """
    seen: set[str] = set()
    counted, size = 0, 0

    def below(descriptor: int, prefix: str, depth: int) -> Iterator[tuple[int, os.DirEntry[str], str]]:
        nonlocal counted, size
        with os.scandir(descriptor) as entries:
            for entry in entries:
                counted += 1
                if counted > allowed.files:
                    raise Refused(f"it holds more than {allowed.files:,} files")
                path = prefix + entry.name
                if names:
                    _must_be_a_name(entry.name, path, seen)
                try:
                    info = os.stat(entry.name, dir_fd=descriptor, follow_symlinks=False)
                    inner = os.open(entry.name, FOLDER, dir_fd=descriptor) if stat.S_ISDIR(info.st_mode) else None
                except OSError:
                    if names:
                        raise
                    continue  # removed while it is looked at: whoever goes on removing does not end the count
                if inner is not None:
                    try:
                        if depth >= allowed.depth:
                            raise Refused(f"it holds folders deeper than {allowed.depth}")
                        yield from below(inner, path + "/", depth + 1)
                    finally:
                        os.close(inner)
                    continue
                size += info.st_size if stat.S_ISREG(info.st_mode) else 0
                if size > allowed.size:
                    raise Refused("it holds more bytes than it may")
                if names:
                    _must_be_a_file(info)
                    if not re.fullmatch(allowed.names, path):
                        raise Refused("it holds a file that nobody asked for")
                    yield descriptor, entry, path

    top = os.open(folder, FOLDER)
    try:
        yield from below(top, "", 0)
    finally:
        os.close(top)


def _must_be_a_file(info: os.stat_result) -> None:
    kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    if not stat.S_ISREG(info.st_mode):
        raise Refused(f"it holds {kinds.get(stat.S_IFMT(info.st_mode), 'a device')} where a regular file is expected")
    if info.st_nlink != 1:
        raise Refused("it holds a file that has a second name (a hard link)")


def _must_be_a_name(name: str, path: str, seen: set[str]) -> None:
    """Names that are the same for another file system are refused, as are those that cannot be shown on one line."""
    if not name.isprintable() or len(os.fsencode(name)) > NAME_BYTES or "\\" in name or name != name.strip():
        raise Refused("it holds a file with a name that is not plain")
    twin = unicodedata.normalize("NFC", path).casefold()
    if twin in seen:
        raise Refused("it holds two names that differ in case only")
    seen.add(twin)


def take_suites(source: Path, target: Path, jobs: Mapping[str, Sequence[str]], prefix: str, suffix: str) -> list[str]:
    """Take the reports of each suite from the artifact that its job left; returns what was refused, in sentences.

    source  a folder for each artifact, called like it
    jobs    key of a job, which is the middle of its artifact's name -> the suites that it was to run
    A suite without reports is left out: the verdict then says that it left no evidence. Where an artifact holds
    anything but folders of its job's suites, none of it is taken.
    """
    problems = []
    for key, suites in jobs.items():
        folder = source / f"{prefix}{key}{suffix}"
        if not folder.is_dir() or folder.is_symlink():
            continue
        if not set(os.listdir(folder)) <= set(suites):
            problems.append(f"{key}: its reports were refused: it holds something else than the folders of its suites")
            continue
        for suite in suites:
            try:
                if os.path.lexists(folder / suite):
                    take(folder / suite, target / suite, SUITE)
            except (Refused, OSError) as error:
                why = str(error) if isinstance(error, Refused) else type(error).__name__
                problems.append(f"suite {suite}: its reports were refused: {why}")
    return problems


def measured(text: str) -> dict[str, list[str]]:
    """Read which job was to run which suites: a JSON list of objects with `key` and `suites`.

    Errors: `ValueError` for another form.
    """
    try:
        found = {str(job["key"]): [str(suite) for suite in job["suites"]] for job in json.loads(text)}
    except (KeyError, TypeError) as error:
        raise ValueError("no list of jobs with their suites") from error
    if not all(re.fullmatch(r"\w+", name, re.ASCII) for key, suites in found.items() for name in (key, *suites)):
        raise ValueError("a name of a job or suite is not plain")
    return found


def main() -> int:
    """Parse the command line of this module; returns the exit code."""
    parser = argparse.ArgumentParser(prog="weighin-runner collect", description=__doc__)
    parser.add_argument("what", choices=("suites",))
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--to", dest="target", type=Path, required=True)
    parser.add_argument("--measure", type=measured, required=True, help="JSON: which job was to run which suites")
    parser.add_argument("--prefix", required=True, help="of the names of the artifacts")
    parser.add_argument("--suffix", required=True)
    args = parser.parse_args()
    args.target.mkdir(parents=True, exist_ok=True)
    for problem in take_suites(args.source, args.target, args.measure, args.prefix, args.suffix):
        print(f"weighin: {problem}", file=sys.stderr)
    return 0
